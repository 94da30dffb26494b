"""A scene packed for the kernels: poses and boxes in the scene's order, and a table for each kind that has a distance.

A kind that the kernels have no distance for counts as the mesh that contains it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.collision import clouds, grids
from edmp.collision.kernels import obstacles as k
from edmp.collision.kernels.chain import Lanes
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.kinds import as_mesh, bounds
from edmp.geometry.mesh_cache import MeshCache
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.ranges import Range
from edmp.scenes.scene import Obstacle, Scene
from edmp.warp_start import wp

Array = NDArray[np.float64]
Kept = tuple[Any, ...]
"""What must live as long as the packed scene: kernels have only its address."""

_LANES = 8
FAR = (1.0e6, 1.0e6, 1.0e6)
"""Where nothing is [m]."""


# --- tables -----------------------------------------------------------------------------------------------------------


def _rounds(shapes: Sequence[Any], device: str) -> tuple[k.Rounds, Kept]:
    """Cylinders, capsules and balls."""
    table = k.Rounds()
    sizes = [(shape.radius, getattr(shape, "length", 0.0) / 2) for shape in shapes]
    table.size = wp.array(sizes, dtype=wp.vec2, device=device)
    return table, ()


def _meshes(shapes: Sequence[Mesh], device: str) -> tuple[k.Meshes, Kept]:
    made = tuple(_mesh_on_device(device)(shape) for shape in shapes)
    table = k.Meshes()
    table.id = wp.array(np.array([mesh.id for mesh in made], np.uint64), dtype=wp.uint64, device=device)
    return table, made


_mesh_bounds: MeshCache[tuple[Array, Array]] = MeshCache(bounds)


@functools.cache
def _mesh_on_device(device: str) -> MeshCache[wp.Mesh]:
    """The mesh about the centre of its box."""

    def make(shape: Mesh) -> wp.Mesh:
        lower, upper = _mesh_bounds(shape)
        about = shape.vertices - (lower + upper) / 2
        points: wp.array = wp.array(np.asarray(about, np.float32), dtype=wp.vec3, device=device)
        faces: wp.array = wp.array(np.asarray(shape.faces, np.int32).ravel(), dtype=int, device=device)
        return wp.Mesh(points, faces, support_winding_number=True)

    return MeshCache(make)


_PACK: Mapping[str, Callable[[Sequence[Any], str], tuple[Any, Kept]]] = {
    "rounds": _rounds,
    "meshes": _meshes,
    "voxels": grids.pack_voxels,
    "fields": grids.pack_fields,
    "clouds": clouds.pack_clouds,
}
"""Fills a table of `k.Obstacles` from its shapes, each about the centre of its box."""

_NATIVE: Mapping[type[Shape], tuple[int, str | None]] = {
    Box: (int(k.BOX), None),
    Cylinder: (int(k.CYLINDER), "rounds"),
    Capsule: (int(k.CAPSULE), "rounds"),
    Sphere: (int(k.CAPSULE), "rounds"),
    Mesh: (int(k.MESH), "meshes"),
    Voxels: (int(k.VOXELS), "voxels"),
    DistanceField: (int(k.FIELD), "fields"),
    PointCloud: (int(k.CLOUD), "clouds"),
}
"""Kinds that the kernels have a distance for: its number there, and the table that it reads besides the box."""


def packed_as(shape: Shape) -> Shape:
    """What the kernels take for a shape: itself, or the mesh that contains it if they have no distance for its kind."""
    return shape if type(shape) in _NATIVE else as_mesh(shape)


# --- the scene --------------------------------------------------------------------------------------------------------

_MARGIN = Range(0)


def checked_margins(margins: Mapping[str, float], scene: Scene) -> dict[str, float]:
    """Margins round obstacles that there are, none below zero [m].

    Raises:
        UnknownNameError, InvalidInputError: which is wrong.
    """
    for name in margins:
        if name not in scene.names:
            raise unknown_name("obstacle (in margins)", name, scene.names)
        if not _MARGIN.holds(margins[name]):
            raise InvalidInputError(f"margins[{name!r}] must be {_MARGIN} [m], got {margins[name]!r}")
    return {name: float(margin) for name, margin in margins.items()}


def obstacle_bounds(obstacle: Obstacle) -> tuple[Array, Array]:
    """Lower and upper corner (3,) of an obstacle's box along the world axes, as the kernels see it [m]."""
    return bounds(packed_as(obstacle.shape), obstacle.X_WO)


def pack_obstacles(scene: Scene, margins: Mapping[str, float], device: str) -> tuple[k.Obstacles, Kept]:
    """The scene as kernels read it, each obstacle with its margin [m]."""

    def pack(values: Any, dtype: Any) -> wp.array:
        return wp.array(np.asarray(values), dtype=dtype, device=device)

    num, shapes = len(scene), [packed_as(obstacle.shape) for obstacle in scene]
    X_WO = np.array([obstacle.X_WO for obstacle in scene]).reshape(-1, 4, 4)
    own = [_mesh_bounds(shape) if isinstance(shape, Mesh) else bounds(shape) for shape in shapes]
    boxes = np.array(own).reshape(-1, 2, 3)
    R_WO, halves = X_WO[:, :3, :3], (boxes[:, 1] - boxes[:, 0]) / 2
    p_WO = X_WO[:, :3, 3] + (R_WO @ boxes.mean(axis=1)[:, :, None])[:, :, 0]
    margin = np.array([margins.get(obstacle.name, 0.0) for obstacle in scene])
    groups = _groups(_world_boxes(shapes, X_WO, p_WO, halves), margin)
    num_groups = -(-num // _LANES)
    place, tables, kept = _tables(shapes, device)
    if num == 0:  # kernels want arrays that are not empty
        R_WO, p_WO, halves, margin, place = np.eye(3)[None], np.array([FAR]), np.ones((1, 3)), np.zeros(1), [(0, 0)]

    packed = k.Obstacles()
    packed.count = num
    packed.R_WO, packed.p_WO = pack(R_WO, wp.mat33), pack(p_WO, wp.vec3)
    packed.half, packed.margin = pack(halves, wp.vec3), pack(margin, float)
    packed.place = pack(place, wp.vec2i)
    packed.num_groups = num_groups
    packed.group_x, packed.group_y, packed.group_z = (pack(groups[..., i], Lanes) for i in range(3))
    packed.group_half_x, packed.group_half_y, packed.group_half_z = (pack(groups[..., i], Lanes) for i in range(3, 6))
    for name, table in tables.items():
        setattr(packed, name, table)
    return packed, kept


def _tables(shapes: Sequence[Shape], device: str) -> tuple[list[tuple[int, int]], dict[str, Any], Kept]:
    """Kind and row of each shape in its table, the tables by name, and what they refer to."""
    members: dict[str, list[Shape]] = {}
    place = []
    for shape in shapes:
        kind, table = _NATIVE[type(shape)]
        rows = members.setdefault(table, []) if table else []
        place.append((kind, len(rows)))
        rows.append(shape)
    packed = {table: _PACK[table](rows, device) for table, rows in members.items()}
    kept = tuple(one for _, its in packed.values() for one in its)
    return place, {name: table for name, (table, _) in packed.items()}, kept


def _world_boxes(shapes: Sequence[Shape], X_WO: Array, p_WO: Array, halves: Array) -> Array:
    """(n, 2, 3) corners of the boxes along the world axes: of meshes the least ones."""
    extents = (np.abs(X_WO[:, :3, :3]) @ halves[:, :, None])[:, :, 0]
    corners = np.stack([p_WO - extents, p_WO + extents], axis=1)
    for o, shape in enumerate(shapes):
        if isinstance(shape, Mesh):
            corners[o] = bounds(shape, X_WO[o])
    return corners


def _groups(corners: Array, margin: Array) -> Array:
    """(groups, 8, 6) centres and half extents of world boxes with margins; the last group is filled up with nothing."""
    corners = corners + margin[:, None, None] * np.array([[-1.0], [1.0]])
    lanes = np.tile([*FAR, 0.0, 0.0, 0.0], (max(-(-len(corners) // _LANES), 1) * _LANES, 1))
    lanes[: len(corners)] = np.hstack([corners.mean(axis=1), np.diff(corners, axis=1)[:, 0] / 2])
    return lanes.reshape(-1, _LANES, 6)
