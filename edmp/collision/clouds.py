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
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.sensed import PointCloud
from edmp.warp_start import wp

Array = NDArray[np.float64]

KEPT = 1 << 24
"""Points, and cells of grids, that are kept though nobody else holds them, all together."""

ROUND = 0.05
"""How far the grid of a cloud goes beyond it [m]."""
FINEST = 0.01
"""Edges of cells are no shorter [m]."""
FEWEST_CELLS, MOST_CELLS, CELLS_A_POINT = 1 << 17, 1 << 21, 16
"""About so many cells a grid has, whatever its edges then are: sixteen for each point, within these."""
_NOWHERE = 1.0e15


def pack_clouds(shapes: Sequence[PointCloud], device: str) -> tuple[k.Clouds, tuple[Any, ...]]:
    """The table of `k.Obstacles`, and what must live as long as it."""
    made = tuple(_cloud_on_device(device)(shape) for shape in shapes)
    table = k.Clouds()
    table.each = wp.array(made, dtype=k.Cloud, device=device)
    return table, made


@functools.cache
def _cloud_on_device(device: str) -> ShapeCache[PointCloud, k.Cloud]:
    return ShapeCache(lambda shape: packed_cloud(shape, device), size=_size, most=KEPT)


def packed_cloud(shape: PointCloud, device: str) -> k.Cloud:
    """The points about the centre of the cloud's box, by cells of a grid, and which of these is nearest to any."""
    edge, cells = _grid(shape)
    center = np.asarray(np.mean(shape.extent, axis=0, dtype=np.float64))
    corner = -np.array(cells) * edge / 2
    cloud = k.Cloud()
    cloud.radius, cloud.edge, cloud.corner = shape.radius, edge, wp.vec3(*corner)
    cloud.nearest = wp.full(cells, -1, dtype=int, device=device)
    middle, cloud.points = _occupied(shape.points, center, cloud, device)
    cloud.gap = wp.empty(cells, dtype=wp.uint8, device=device)
    for axis in (2, 1, 0):  # the last also says how far it is
        rows, columns = (n for other, n in enumerate(cells) if other != axis)
        inputs, outputs = [middle, cloud.corner, edge, axis], [cloud.nearest, cloud.gap]
        launch_rows(k.nearest_along, rows, (columns,), inputs, outputs, device, grain=8)
    return cloud


def _grid(shape: PointCloud) -> tuple[float, tuple[int, ...]]:
    """The edge of a cell [m], and how many there are along each axis."""
    lower, upper = (side.astype(np.float64) for side in shape.extent)
    size = upper - lower + 2 * ROUND
    most = min(max(CELLS_A_POINT * len(shape.points), FEWEST_CELLS), MOST_CELLS)
    edge = max(FINEST, float((np.prod(size) / most) ** (1 / 3)), float(size.max()) / (int(k.MAX_CELLS) - 2))
    return edge, tuple(int(n) + 1 for n in np.ceil(size / edge))


def _size(shape: PointCloud) -> int:
    return len(shape.points) + int(np.prod(_grid(shape)[1]))


def _occupied(points: NDArray[np.float32], center: Array, cloud: k.Cloud, device: str) -> tuple[Any, Any]:
    """The middle of what each occupied cell holds, (cells,), and its points, as `k.Cloud` wants them."""
    given: wp.array = wp.array(points, dtype=wp.vec3, device=device)
    cell, number = wp.empty(len(points), dtype=int, device=device), wp.zeros(1, dtype=int, device=device)
    corner = cloud.corner + wp.vec3(*center)
    wp.launch(k.number_cells, 1, [given, corner, cloud.edge], [cloud.nearest, cell, number], device=device)
    count = int(number.numpy()[0])
    middle = wp.zeros(count, dtype=wp.vec3, device=device)
    held = wp.zeros(count, dtype=int, device=device)
    lanes = wp.full((count, 3, 8), _NOWHERE, dtype=float, device=device)
    inputs = [given, cell, wp.vec3(*center), cloud.corner, cloud.edge]
    wp.launch(k.fill_cells, 1, inputs, [held, middle, lanes], device=device)
    return middle, wp.array(lanes.numpy().reshape(-1, 8), dtype=Lanes, device=device)
