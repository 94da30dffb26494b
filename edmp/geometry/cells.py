"""Sets of grid cells: as a closed surface to look at, and as few boxes that fill exactly them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.primitives import Triangles

Cells = NDArray[np.bool_]
Index = NDArray[np.int64]

_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


def surface(occupancy: Cells, resolution: float) -> Triangles:
    """Vertices (V, 3) [m] and outward faces (F, 3) of the boundary of cells (nx, ny, nz); see `sensed.Voxels`.

    Two cells that meet at an edge only share that edge: such a surface encloses its volume, but is no manifold there.
    """
    padded = np.pad(occupancy, 1)
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = np.take(padded, range(padded.shape[axis] - 1), axis)
        high = np.take(padded, range(1, padded.shape[axis]), axis)
        for wall, outward in ((low & ~high, 1), (high & ~low, -1)):
            cell = np.argwhere(wall) - 1  # of the lower of the two, in the grid's own numbers
            corners = np.repeat(cell[:, None], 4, axis=1)
            corners[..., axis] += 1
            corners[..., [u, v]] += _CORNERS[::outward]
            quads.append(corners)
    corners = np.concatenate(quads)
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    a, b, c, d = index.reshape(-1, 4).T
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return vertices.astype(np.float64) * float(resolution), faces.astype(np.int64)


def boxes(occupancy: Cells) -> tuple[Index, Index]:
    """First and last-but-one corner (n, 3), in cells, of boxes that do not overlap and fill exactly the occupied cells.

    Runs along z are joined along y where they are equal, and what comes of that along x: linear in the number of cells.
    """
    low, high = _runs(occupancy)
    for axis in (1, 0):
        low, high = _joined(low, high, axis)
    return low, high


def extent(occupancy: Cells, resolution: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper corner (3,) of the box round the occupied cells [m]."""
    # Whole planes at a time: three reductions over two axes take six times as long.
    plane: Cells = np.asarray(occupancy.any(axis=0))
    taken = occupancy.reshape(len(occupancy), -1).any(axis=1), plane.any(axis=1), plane.any(axis=0)
    ends = [np.flatnonzero(along)[[0, -1]] + (0, 1) for along in taken]
    low, high = np.array(ends, dtype=np.float64).T * resolution
    return low, high


def coarser(occupancy: Cells) -> Cells:
    """Cells of twice the edge, with the same first corner, occupied where one of their eight is."""
    even = np.pad(occupancy, [(0, extent % 2) for extent in occupancy.shape])
    x, y, z = (extent // 2 for extent in even.shape)
    return np.asarray(even.reshape(x, 2, y, 2, z, 2).any(axis=(1, 3, 5)))


def _runs(occupancy: Cells) -> tuple[Index, Index]:
    padded = np.pad(occupancy, ((0, 0), (0, 0), (1, 1))).astype(np.int8)
    step = np.diff(padded, axis=2)
    low, end = np.argwhere(step == 1), np.argwhere(step == -1)
    return low, end + np.array([1, 1, 0])


def _joined(low: Index, high: Index, axis: int) -> tuple[Index, Index]:
    """Boxes that follow each other along an axis, and are alike across it, made one."""
    if not len(low):
        return low, high
    across = [other for other in range(3) if other != axis]
    keys = (low[:, axis], *(side[:, other] for other in across for side in (low, high)))
    order = np.lexsort(keys)
    low, high = low[order], high[order]
    alike = (low[1:, across] == low[:-1, across]).all(axis=1) & (high[1:, across] == high[:-1, across]).all(axis=1)
    first = np.concatenate([[True], ~(alike & (low[1:, axis] == high[:-1, axis]))])
    last = np.concatenate([first[1:], [True]])
    joined = high[last].copy()
    return low[first], joined


# --- other shapes as cells that contain them --------------------------------------------------------------------------

_MOST = 1 << 24
"""Cells of a grid round a cloud: a finer one is not made."""


def of_cloud(points: NDArray[np.float32], radius: float) -> tuple[Cells, float, NDArray[np.float64]]:
    """Cells that balls round ``points`` (n, 3) reach into, their edge [m], and where the first corner is (3,) [m].

    Cells are as wide as the balls, or wider if the grid would have too many.
    """
    low = points.min(axis=0).astype(np.float64) - radius
    extent = points.max(axis=0) - low + radius
    edge = max(2.0 * radius, float((np.prod(extent) / _MOST) ** (1 / 3)))
    shape = np.maximum(np.ceil(extent / edge * (1 + 1e-9)).astype(np.int64), 1)
    occupancy = np.zeros(shape, dtype=np.bool_)
    first, last = (((points - low + side * radius) / edge).astype(np.int64) for side in (-1, 1))
    for corner in np.ndindex(2, 2, 2):  # a ball is no wider than a cell: it reaches into two along each axis
        i, j, k = np.minimum(np.where(corner, last, first), shape - 1).T
        occupancy[i, j, k] = True
    return occupancy, edge, low


def of_field(distances: NDArray[np.float32]) -> Cells:
    """(nx - 1, ny - 1, nz - 1) cells between nodes in which the trilinear interpolant may be 0 or less."""
    inside = distances <= 0
    for axis in range(3):
        inside = np.take(inside, range(inside.shape[axis] - 1), axis) | np.take(
            inside, range(1, inside.shape[axis]), axis
        )
    return inside
