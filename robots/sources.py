"""Where fitted geometry comes from: mesh files and primitives, as `source` entries of a description name them.

An entry is a mapping with one of

    mesh: package://NAME/PATH, file://PATH or a path     (with an optional scale: [x, y, z])
    box: [x, y, z]          full extents [m]
    cylinder: [radius, length]                            along z [m]
    sphere: radius          [m]

and, optionally, where it sits in the link frame: xyz, and rpy or quaternion.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.robots.description import entry_numbers, entry_pose
from edmp.robots.errors import EdmpWarning, FileFormatError
from edmp.robots.mesh_files import load_mesh
from edmp.robots.mesh_paths import resolve
from edmp.robots.robot import Array
from edmp.robots.transforms import apply

_SEGMENTS = 24

FLAT = 1e-7
"""A mesh whose vertices leave a plane by less than this, on average, is flat [m]."""

FLAT_THICKNESS = 1e-3
"""What a flat collision mesh is taken to measure across [m]."""


@dataclass(frozen=True)
class SourceGeometry:
    """Geometry in the link frame.

    Attributes:
        points: (n, 3), whose convex hull contains it [m].
        triangles: (F, 3) rows of ``points`` for a mesh; None for a primitive, which is convex.
    """

    points: Array
    triangles: NDArray[np.int64] | None


def load_source(
    entry: Mapping[str, Any], *, folder: Path | None, packages: Mapping[str, Path], place: str
) -> SourceGeometry:
    """The geometry that one `source` entry names."""
    kinds = [kind for kind in _POINTS if kind in entry]
    if len(kinds) != 1:
        raise FileFormatError(f"{place}: expected one of {', '.join(_POINTS)}")
    if kinds[0] == "mesh":
        scale = entry_numbers(entry.get("scale", (1, 1, 1)), (3,), f"{place}: scale")
        points, triangles = load_mesh(resolve(str(entry["mesh"]), folder=folder, packages=packages, place=place))
        solid = _thickened(points * scale)
        if len(solid) > len(points):
            note = f"{place}: mesh {entry['mesh']} is flat: taken as a body of {1000 * FLAT_THICKNESS:g} mm"
            warnings.warn(note, EdmpWarning, stacklevel=2)
            return SourceGeometry(apply(entry_pose(entry, place), solid), None)
        return SourceGeometry(apply(entry_pose(entry, place), solid), triangles)
    points = _POINTS[kinds[0]](entry[kinds[0]], f"{place}: {kinds[0]}")
    return SourceGeometry(apply(entry_pose(entry, place), points), None)


def _thickened(points: Array) -> Array:
    """The points (n, 3) as they are; those of a flat mesh twice, or more often, so that their hull has a volume."""
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    for size, axis in zip(spread / np.sqrt(len(points)), axes, strict=True):
        if size < FLAT:
            points = np.concatenate([points + sign * axis * FLAT_THICKNESS / 2 for sign in (1, -1)])
    return points


def box_points(size: Any, place: str) -> Array:
    """(8, 3) corners."""
    extents = _positive(size, (3,), place)
    return np.stack(np.meshgrid(*([[-0.5, 0.5]] * 3), indexing="ij"), axis=-1).reshape(-1, 3) * extents


def cylinder_points(size: Any, place: str) -> Array:
    """(48, 3) corners of a prism around the cylinder."""
    radius, length = _positive(size, (2,), place)
    angle = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * radius / np.cos(np.pi / _SEGMENTS)
    return np.concatenate([np.column_stack([rim, np.full(_SEGMENTS, z)]) for z in (-length / 2, length / 2)])


def sphere_points(size: Any, place: str) -> Array:
    """(162, 3) corners of a polytope around the ball."""
    import trimesh

    radius = float(_positive(size, (), place))
    ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    nearest = np.abs(np.einsum("fi,fi->f", ball.face_normals, ball.triangles[:, 0])).min()
    return np.asarray(ball.vertices, dtype=np.float64) * radius / nearest


_POINTS: dict[str, Callable[[Any, str], Array]] = {
    "mesh": lambda _size, _place: np.empty((0, 3)),  # read by load_mesh: it needs the search paths
    "box": box_points,
    "cylinder": cylinder_points,
    "sphere": sphere_points,
}


def _positive(value: Any, shape: tuple[int, ...], place: str) -> Array:
    numbers = entry_numbers(value, shape, place)
    if (numbers <= 0).any():
        raise FileFormatError(f"{place}: every size must be positive")
    return numbers


def load_sources(
    entries: Sequence[Any], *, folder: Path | None, packages: Mapping[str, Path], place: str
) -> list[SourceGeometry]:
    """All sources of a link."""
    return [
        load_source(entry, folder=folder, packages=packages, place=f"{place}: source[{i}]")
        for i, entry in enumerate(entries)
    ]
