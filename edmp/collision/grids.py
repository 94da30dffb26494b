"""Occupied cells and fields of distances, packed for the kernels: once for each content."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.collision.kernels import grids as k
from edmp.collision.launch import launch_rows
from edmp.geometry import cells
from edmp.geometry.kinds import bounds
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.sensed import DistanceField, Voxels
from edmp.warp_start import wp

KEPT = 1 << 25
"""Nodes of grids that are kept though nobody else holds them, all together."""


MOST_CELLS = 1 << 26
"""Of a grid; of a larger one the cells are made wider."""


def pack_voxels(shapes: Sequence[Voxels], device: str) -> tuple[k.Voxels, tuple[Any, ...]]:
    """The table of `k.Obstacles`, and what must live as long as it."""
    made = tuple(_voxels_on_device(device)(shape) for shape in shapes)
    table = k.Voxels()
    table.grid = wp.array(made, dtype=k.VoxelGrid, device=device)
    return table, made


def pack_fields(shapes: Sequence[DistanceField], device: str) -> tuple[k.Fields, tuple[Any, ...]]:
    """The table of `k.Obstacles`, and what must live as long as it."""
    made = tuple(_field_on_device(device)(shape) for shape in shapes)
    table = k.Fields()
    table.grid = wp.array(made, dtype=k.FieldGrid, device=device)
    return table, made


@functools.cache
def _voxels_on_device(device: str) -> ShapeCache[Voxels, k.VoxelGrid]:
    return ShapeCache(lambda shape: packed_voxels(shape, device), size=lambda shape: shape.occupancy.size, most=KEPT)


@functools.cache
def _field_on_device(device: str) -> ShapeCache[DistanceField, k.FieldGrid]:
    return ShapeCache(lambda shape: packed_field(shape, device), size=lambda shape: shape.distances.size, most=KEPT)


def packed_voxels(shape: Voxels, device: str) -> k.VoxelGrid:
    """The occupied part of the cells, with one free cell on all sides, about the centre of its box.

    Of a grid that is too large, cells are as wide as two, or four, and occupied if a part of them is.
    """
    edge = shape.resolution
    lower, upper = np.rint(np.array(bounds(shape)) / edge).astype(np.int64)
    part = shape.occupancy[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    about = -(upper - lower) / 2 * edge
    while part.size > MOST_CELLS or max(part.shape) + 3 > k.MAX_NODES:
        part, edge = cells.coarser(part), 2 * edge
    grid = k.VoxelGrid()
    grid.features, grid.octants = _features(part, device)
    grid.corner = wp.vec3(*(about - edge))
    grid.edge = edge
    return grid


def _features(occupancy: NDArray[np.bool_], device: str) -> tuple[wp.array, wp.array]:
    """(nx + 3, ny + 3, nz + 3) features and octants of the nodes of cells (nx, ny, nz) with one free cell all round."""
    shape = tuple(extent + 3 for extent in occupancy.shape)
    cells: wp.array = wp.array(np.pad(occupancy, 2).view(np.uint8), dtype=wp.uint8, device=device)
    octants: wp.array = wp.empty(shape, dtype=wp.uint8, device=device)
    nearest: wp.array = wp.empty(shape, dtype=wp.int16, device=device)
    features: wp.array = wp.empty(shape, dtype=int, device=device)
    launch_rows(k.feature_z, shape[0], (shape[1],), [cells], [octants, nearest], device)
    launch_rows(k.feature_y, shape[0], (), [nearest], [features], device)
    launch_rows(k.feature_x, shape[1], (), [octants], [features], device)
    return features, octants


def packed_field(shape: DistanceField, device: str) -> k.FieldGrid:
    """The nodes about the centre of the box round what is solid, as `_soft` has them."""
    lower, upper = bounds(shape)
    grid = k.FieldGrid()
    grid.value = wp.array(_soft(shape.distances, shape.resolution), dtype=float, device=device)
    grid.corner = wp.vec3(*(-(lower + upper) / 2))
    grid.edge = shape.resolution
    return grid


_ROUNDING = 1e-3
"""Of slopes: measured distances are that exact at best [1]."""


def _soft(distances: NDArray[np.float32], edge: float) -> NDArray[np.float32]:
    """Distances at nodes as they are where they can be distances, else as an optimiser can use them.

    Where neighbours are farther apart than nodes are, as at a hole in what was seen, the larger one becomes less. And
    in a solid that is deep inside no deeper than at its rim, because values were cut off, they go on falling, by the
    number of steps to the nearest node outside; so the gradient leads out of everything.
    """
    steepest = max(float(np.abs(np.diff(distances, axis=axis)).max()) for axis in range(3))
    if steepest > edge * (1 + _ROUNDING):
        distances = _least_with_steps(distances, edge)
    inside = distances <= 0
    if _is_cut_off(distances):
        steps = _least_with_steps(np.where(inside, np.float32(sum(distances.shape)), np.float32(0)), 1.0)
        distances = np.where(inside, np.minimum(distances, (1 - steps) * np.float32(edge / np.sqrt(3))), distances)
    return distances


def _is_cut_off(distances: NDArray[np.float32]) -> bool:
    """Is there a block of eight nodes inside that all have the same value?"""
    first, (nx, ny, nz) = distances[:-1, :-1, :-1], distances.shape
    same = first <= 0
    for x, y, z in np.ndindex(2, 2, 2):
        same &= distances[x : nx - 1 + x, y : ny - 1 + y, z : nz - 1 + z] == first
    return bool(same.any())


def _least_with_steps(values: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """For each node the least of all values, with ``step`` for each edge of the grid on the way to it."""
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = -1
        ramp = (np.arange(values.shape[axis], dtype=np.float32) * np.float32(step)).reshape(shape)
        values = np.minimum.accumulate(values - ramp, axis=axis) + ramp
        back = np.flip(values + ramp, axis)
        values = np.flip(np.minimum.accumulate(back, axis=axis), axis) - ramp
    return values
