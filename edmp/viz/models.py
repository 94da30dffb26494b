"""How the robot looks: its own meshes where they are installed, else the geometry that was fitted to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, UnknownNameError, unknown_name
from edmp.geometry.kinds import triangles
from edmp.geometry.mesh_files import unit_of
from edmp.geometry.primitives import hull_faces
from edmp.geometry.shapes import Box, Sphere
from edmp.robots.description import built_in_robots, entry_numbers, entry_pose, read_built_in
from edmp.robots.mesh_paths import resolve
from edmp.robots.parts import Link
from edmp.robots.robot import Robot
from edmp.robots.sources import load_source
from edmp.viz.surfaces import Color, Surface, body_poses, corner_normals, moved

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

GEOMETRIES = ("auto", "meshes", "hulls", "spheres", "boxes")
"""What a robot can be drawn as; ``auto`` is meshes where they are installed, else hulls."""

PLAIN: Color = (0.86, 0.88, 0.90)
"""Colour of links whose geometry says nothing about colour."""
CARRIED: Color = (0.50, 0.36, 0.72)
"""Colour of what is no part of the arm: what it holds, and what moves beside it."""
_SAME_PLACE = 0.03
"""A mesh that reaches this far [m] out of a link's hulls, or leaves as much of them empty, is not that link."""
_DETAIL = 0.004
"""Detail of the meshes for the eye that is kept [m]: about two pixels of a picture of the whole arm."""


@dataclass(frozen=True, eq=False)
class DrawnPart:
    """One link as it is drawn.

    Attributes:
        link: its name.
        body: index of the body that carries it.
        surface: in the frame of that body, in its own colours.
    """

    link: str
    body: int
    surface: Surface

    def tinted(self, color: Color) -> Surface:
        """The surface in shades of ``color``: what is dark on the robot stays dark."""
        own = self.surface.face_colors
        if own is None:
            return self.surface.colored(color)
        brightness = 0.45 + 0.55 * own.mean(axis=1, keepdims=True)
        return self.surface.colored(color, np.clip(brightness * np.array(color) * 1.04, 0, 1))


def robot_parts(robot: Robot, geometry: str = "auto") -> tuple[DrawnPart, ...]:
    """The links of ``robot`` that have geometry.

    Args:
        robot: the arm; what it holds is drawn as its convex hull.
        geometry: one of `GEOMETRIES`.

    Raises:
        UnknownNameError: no such geometry.
        MissingDependencyError: ``"meshes"`` was asked for and they are not installed.
    """
    if geometry not in GEOMETRIES:
        raise unknown_name("geometry", geometry, GEOMETRIES)
    if geometry != "auto":
        return _parts(robot, geometry)
    try:
        return _parts(robot, "meshes")
    except EdmpError as error:
        log.info("%s is drawn as convex pieces: %s", robot.name, error)
        return _parts(robot, "hulls")


def placed(
    parts: tuple[DrawnPart, ...], robot: Robot, q: Array, colors: Mapping[str, Color] | None = None
) -> list[Surface]:
    """The parts in the world at configuration ``q`` (dof,), tinted by link name, or in their own colours."""
    X_WB = body_poses(robot, np.atleast_2d(q))[0]
    return [(part.surface if colors is None else part.tinted(colors[part.link])).at(X_WB[part.body]) for part in parts]


@lru_cache(maxsize=16)
def _parts(robot: Robot, geometry: str) -> tuple[DrawnPart, ...]:
    if geometry == "meshes":
        return _mesh_parts(robot)
    make = _FITTED[geometry]
    pieces = ((link, make(link)) for link in robot.links)
    return tuple(DrawnPart(link.name, link.body, _own(link, some)) for link, some in pieces if some)


# --- fitted geometry -------------------------------------------------------------------------------------------------

Piece = tuple[Array, NDArray[np.int64]]
"""Vertices (V, 3) and outward faces (F, 3) in the body frame."""


def _hulls(link: Link) -> list[Piece]:
    return [(hull, hull_faces(hull)) for hull in link.hulls_B]


def _spheres(link: Link) -> list[Piece]:
    pieces = []
    for *centre, radius in link.spheres_B:
        points, faces = triangles(Sphere(radius))
        pieces.append((points + np.array(centre), faces))
    return pieces


def _boxes(link: Link) -> list[Piece]:
    if link.box is None:
        return []
    points, faces = triangles(Box(tuple(link.box.size)))
    return [(moved(points, link.box.X_BX), faces)]


_FITTED: Mapping[str, Callable[[Link], list[Piece]]] = {"hulls": _hulls, "spheres": _spheres, "boxes": _boxes}


def _own(link: Link, pieces: list[Piece]) -> Surface:
    """The link's pieces in its own colour."""
    return _joined(pieces).colored(CARRIED if link.attached else PLAIN)


def _joined(pieces: list[Piece], face_colors: Array | None = None) -> Surface:
    offsets = np.cumsum([0, *(len(points) for points, _ in pieces[:-1])])
    vertices = np.concatenate([points for points, _ in pieces])
    faces = np.concatenate([faces + offset for (_, faces), offset in zip(pieces, offsets, strict=True)])
    normals = np.concatenate([corner_normals(points, some) for points, some in pieces])
    return Surface(vertices, faces, PLAIN, face_colors, normals)


# --- meshes ----------------------------------------------------------------------------------------------------------


def _mesh_parts(robot: Robot) -> tuple[DrawnPart, ...]:
    """From the mesh files that the built-in description of this robot names."""
    if robot.name not in built_in_robots():
        raise UnknownNameError(f"no meshes are known for robot {robot.name!r}; they are for {built_in_robots()}")
    links = {entry["name"]: entry for entry in read_built_in(robot.name)["links"]}
    entries = {name: links[entry.get("like", name)].get("source", []) for name, entry in links.items()}
    parts = []
    for link in robot.links:
        if not link.hulls_B:
            continue
        surface = None if link.attached else _mesh_surface(link, entries.get(link.name, []))
        parts.append(DrawnPart(link.name, link.body, surface or _own(link, _hulls(link))))
    return tuple(parts)


def _mesh_surface(link: Link, sources: list[Mapping[str, Any]]) -> Surface | None:
    """The link's meshes in its body frame; None where the description names none that fit the link."""
    pieces: list[Piece] = []
    colors: list[Array] = []
    for number, entry in enumerate(sources):
        if "mesh" not in entry:
            return None
        place = f"{link.name}: source[{number}]"
        for vertices, faces, color in _visual(entry, place) or [_collision(entry, place)]:
            pieces.append((moved(vertices, link.X_BL), faces))
            colors.append(np.broadcast_to(color, (len(faces), 3)))
    if not pieces or not _fits(np.concatenate([points for points, _ in pieces]), np.concatenate(link.hulls_B)):
        return None
    return _joined(pieces, np.concatenate(colors))


def _fits(mesh: Array, hulls: Array) -> bool:
    """Do both fill about the same box? A robot of one's own may bear a known name and look otherwise."""
    ends = np.abs(np.stack([mesh.min(axis=0) - hulls.min(axis=0), mesh.max(axis=0) - hulls.max(axis=0)]))
    return bool(ends.max() < _SAME_PLACE)


def _collision(entry: Mapping[str, Any], place: str) -> tuple[Array, NDArray[np.int64], Array]:
    geometry = load_source(entry, folder=None, packages={}, place=place)
    assert geometry.triangles is not None
    return geometry.points, geometry.triangles, np.array(PLAIN)


def _visual(entry: Mapping[str, Any], place: str) -> list[tuple[Array, NDArray[np.int64], Array]]:
    """Vertices, faces and colour of each material of the mesh for the eye that lies beside the collision mesh.

    By the habit of ROS packages: ``collision/link.stl`` has its ``visual/link.dae``. Empty if there is none, or no
    reader for it (pycollada).
    """
    file = resolve(str(entry["mesh"]), folder=None, packages={}, place=place)
    look = file.parent.parent / "visual" / f"{file.stem}.dae"
    if file.parent.name != "collision" or not look.is_file():
        return []
    X_LM, scale = entry_pose(entry, place), entry_numbers(entry.get("scale", (1, 1, 1)), (3,), f"{place}: scale")
    return [(moved(vertices * scale, X_LM), faces, color) for vertices, faces, color in _read_visual(look)]


@lru_cache(maxsize=64)
def _read_visual(path: Path) -> list[tuple[Array, NDArray[np.int64], Array]]:
    import trimesh

    try:
        scene: Any = trimesh.load(path, force="scene")
        meshes = scene.dump()  # pieces, each where the file puts it
        unit = unit_of(path.read_bytes())
    except Exception as error:  # trimesh and its readers raise whatever they like
        log.info("%s cannot be read: %s", path.name, error)
        return []
    pieces = []
    for mesh in meshes:
        color = np.array(getattr(getattr(mesh.visual, "material", None), "main_color", [220, 224, 230, 255]))
        vertices, faces = unit * np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
        # Black stays readable, and white leaves room for highlights.
        vertices, faces = _thinned(vertices, faces)
        if len(faces):
            pieces.append((vertices, faces, 0.10 + 0.80 * color[:3] / 255.0))
    return pieces


def _thinned(vertices: Array, faces: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """The mesh with vertices of one cell of a grid of `_DETAIL` merged (Rossignac and Borrel 1993)."""
    _, cell = np.unique(_keys(np.round((vertices - vertices.min(axis=0)) / _DETAIL)), return_inverse=True)
    count = np.bincount(cell)
    merged = np.stack([np.bincount(cell, weights=column) / count for column in vertices.T], axis=1)
    corners = cell[faces]
    a, b, c = corners.T
    apart = (a != b) & (b != c) & (c != a)
    _, first = np.unique(_keys(np.sort(corners[apart], axis=1)), return_index=True)
    return merged, corners[apart][np.sort(first)]


def _keys(triples: Array) -> NDArray[np.int64]:
    """(n,) one number for each row of whole numbers (n, 3) from 0 to 2^20; np.unique is much faster on these."""
    x, y, z = triples.astype(np.int64).T
    return (x << 40) | (y << 20) | z
