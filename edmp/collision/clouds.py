"""Clouds of points, packed for the kernels: once for each content."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.collision.kernels import clouds as k
from edmp.collision.kernels.chain import Lanes
from edmp.collision.launch import launch_rows
from edmp.geometry.kinds import bounds
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.sensed import PointCloud
from edmp.warp_start import wp

Array = NDArray[np.float32]

KEPT = 4_000_000
"""Points that are kept though nobody else holds them, all together."""

WIDEST = 8
"""How far the grid of a cloud knows of it, in its cells."""
_STEPS = 31.0
"""A cell of the grid, in what 1 means there: 8 of them are less than 256."""
_EDGE, _MOST_CELLS = 0.04, 1 << 18
"""Cells of the grid are 4 cm wide, or as wide as that many fill it [m]."""


def pack_clouds(shapes: Sequence[PointCloud], device: str) -> tuple[k.Clouds, tuple[Any, ...]]:
    """The table of `k.Obstacles`, and what must live as long as it."""
    made = tuple(_cloud_on_device(device)(shape) for shape in shapes)
    table = k.Clouds()
    table.each = wp.array(made, dtype=k.Cloud, device=device)
    return table, made


@functools.cache
def _cloud_on_device(device: str) -> ShapeCache[PointCloud, k.Cloud]:
    return ShapeCache(lambda shape: _cloud(shape, device), size=lambda shape: len(shape.points), most=KEPT)


def _cloud(shape: PointCloud, device: str) -> k.Cloud:
    """The points about the centre of the cloud's box, the tree over them, and the grid round it."""
    lower, upper = (np.asarray(side, dtype=np.float32) for side in bounds(shape))
    cloud = k.Cloud()
    cloud.radius = shape.radius
    groups, edges = _points(shape.points, lower, upper, device)
    cloud.points = _lanes(groups)
    boxes, cloud.first, cloud.top = _tree(edges, device)
    cloud.boxes = _lanes(boxes)
    half = (upper - lower) / 2 - np.float32(shape.radius)
    cloud.gap, cloud.corner, cloud.edge = _grid(groups, half, device)
    cloud.step = cloud.edge / _STEPS
    return cloud


def _lanes(rows: Any) -> Any:
    """Rows of eight numbers each as `Lanes`, in the same memory."""
    return wp.array(ptr=rows.ptr, shape=rows.size // 8, dtype=Lanes, device=rows.device, deleter=lambda *_: rows)


def _points(points: NDArray[np.float32], lower: Array, upper: Array, device: str) -> tuple[Any, Any]:
    """The points along the curve, (groups, 3, 8), about the middle of the box; and a box of each group, (groups, 6)."""
    count = len(points)
    given: wp.array = wp.array(points, dtype=wp.vec3, device=device)
    place, index = (wp.empty(2 * count, dtype=int, device=device) for _ in range(2))  # the sort needs room
    scale = 1024.0 / float((upper - lower).max())
    wp.launch(k.curve_places, dim=count, inputs=[given, wp.vec3(*lower), scale, place, index], device=device)
    wp.utils.radix_sort_pairs(place, index, count)
    groups = -(-count // 8)
    lanes = wp.empty((groups, 3, 8), dtype=float, device=device)
    edges = wp.empty((groups, 6), dtype=float, device=device)
    middle = wp.vec3(*((lower + upper) / 2))
    launch_rows(k.gather, groups, (1,), [given, middle, index, count], [lanes, edges], device, grain=4096)
    return lanes, edges


def _tree(edges: Any, device: str) -> tuple[Any, k.Levels, int]:
    """Boxes of all nodes, (nodes, 6, 8), level after level; where each level begins; and how many there are."""
    sizes = [len(edges)]
    while sizes[-1] > 1 or len(sizes) == 1:
        sizes.append(-(-sizes[-1] // 8))
    first = np.cumsum([0, 0, *sizes[1:]])
    boxes = wp.empty((int(first[-1]), 6, 8), dtype=float, device=device)
    for level in range(1, len(sizes)):
        above = wp.empty((sizes[level], 6), dtype=float, device=device)
        inputs = [edges, sizes[level - 1], int(first[level])]
        wp.launch(k.gather_boxes, dim=sizes[level], inputs=inputs, outputs=[boxes, above], device=device)
        edges = above
    begin = np.zeros(int(k.MAX_LEVELS), dtype=np.int32)
    begin[: len(sizes)] = first[:-1]
    return boxes, k.Levels(*begin), len(sizes) - 1


def _grid(groups: Any, half: Array, device: str) -> tuple[Any, wp.vec3, float]:
    """The distances from cells to the nearest point, in steps, the corner of the first cell, and the edge of all."""
    edge = max(_EDGE, float((np.prod(2 * half + 2 * WIDEST * _EDGE) / _MOST_CELLS) ** (1 / 3)))
    shape = tuple(int(n) for n in np.ceil(2 * half / edge + 1e-3) + 2 * WIDEST + 1)
    corner = wp.vec3(*(-np.array(shape) * edge / 2))
    taken = wp.full(shape, WIDEST**2, dtype=wp.uint16, device=device)
    wp.launch(k.occupied_cells, dim=len(groups), inputs=[groups, corner, edge], outputs=[taken], device=device)
    steps = np.floor(np.sqrt(_squares(taken.numpy()), dtype=np.float32) * _STEPS).astype(np.uint8)
    return wp.array(steps, dtype=wp.uint8, device=device), corner, edge


def _squares(taken: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Squares of the distances between cells, in cells, from those that are 0; at most what the others are."""
    for axis in range(3):
        rows = np.moveaxis(taken, axis, 0)
        least = rows.copy()
        for apart in range(1, WIDEST + 1):
            between = np.uint16((apart - 1) ** 2)
            np.minimum(least[apart:], rows[:-apart] + between, out=least[apart:])
            np.minimum(least[:-apart], rows[apart:] + between, out=least[:-apart])
        taken = np.moveaxis(least, 0, axis)
    return taken
