"""How what sensors saw is drawn: points as small balls, cells and fields as surfaces; large ones thinned, and told.

Also where it hides something, and how far it is from points, for plots.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning
from edmp.geometry import cells
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Shape

Array = NDArray[np.float64]
Corners = tuple[Array, NDArray[np.int64], Array]
"""Vertices (V, 3), faces (F, 3), and normals (F, 3, 3) at the corners of the faces."""

MOST_POINTS = 30_000
"""Points that are drawn of all clouds of a scene; of more, the middle of those in each cell of a grid."""
MOST_CELLS = 1 << 21
"""Cells of a grid whose surface is drawn; finer ones are joined, eight at a time."""
BLOCKERS = 10
"""Cells along the longest side, where it is asked what hides what."""

_BALL = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
_FACES = np.array(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]], dtype=np.int64
)
_BALL_VOLUME = 1.2
"""An octahedron with corners this far out is about as large as its ball."""


def is_sensed(shape: Shape) -> bool:
    """Whether a shape is drawn here."""
    return isinstance(shape, PointCloud | Voxels | DistanceField)


def points_drawn(shapes: Sequence[Shape]) -> list[int]:
    """How many points of each shape are drawn where all are: all, or as many as it has in proportion; 0 of no cloud."""
    counts = [len(shape.points) if isinstance(shape, PointCloud) else 0 for shape in shapes]
    share = min(1.0, MOST_POINTS / max(sum(counts), 1))
    if share < 1.0:
        warnings.warn(
            f"clouds of {sum(counts)} points are drawn as some {MOST_POINTS} balls, larger than the points are",
            EdmpWarning,
            stacklevel=3,
        )
    return [count and max(int(share * count), min(count, 100)) for count in counts]


def drawn(shape: Shape, name: str, most: int) -> Corners:
    """The surface of a sensed shape in its own frame.

    Args:
        shape: what was seen.
        name: of the obstacle, for what is told of a grid.
        most: points that are drawn of a cloud.
    """
    if isinstance(shape, PointCloud):
        return _balls(*_thinned(shape, most))
    if isinstance(shape, DistanceField):
        return _level(shape, name)
    assert isinstance(shape, Voxels)
    occupancy, resolution = _joined(shape.occupancy, shape.resolution, name)
    return _flat(*cells.surface(occupancy, resolution))


# --- points ----------------------------------------------------------------------------------------------------------


def _thinned(cloud: PointCloud, most: int) -> tuple[Array, float]:
    """Points (n, 3) to draw, and the radius to draw them with [m]."""
    points = cloud.points.astype(np.float64)
    if len(points) <= most:
        return points, cloud.radius
    low, edge = points.min(axis=0), max(cloud.radius, float(np.ptp(points, axis=0).max()) / most**0.5)
    while True:
        index = ((points - low) / edge).astype(np.int64)
        _, cell, count = np.unique(
            (index[:, 0] << 42) | (index[:, 1] << 21) | index[:, 2], return_inverse=True, return_counts=True
        )
        if len(count) <= most:
            break
        edge *= max(1.1, (len(count) / most) ** 0.5)  # cells of a surface
    middle = np.stack([np.bincount(cell, column) / count for column in points.T], axis=1)
    return middle, max(cloud.radius, 0.6 * edge)


def _balls(points: Array, radius: float) -> Corners:
    """An octahedron at each point, with the normals of a ball."""
    vertices = (points[:, None] + _BALL_VOLUME * radius * _BALL).reshape(-1, 3)
    faces = (len(_BALL) * np.arange(len(points))[:, None, None] + _FACES).reshape(-1, 3)
    return vertices, faces, np.tile(_BALL[_FACES], (len(points), 1, 1))


# --- cells -----------------------------------------------------------------------------------------------------------


def _joined(occupancy: NDArray[np.bool_], resolution: float, name: str) -> tuple[NDArray[np.bool_], float]:
    """Cells to draw: as they are, or eight made one, which is occupied if any of them is."""
    factor = 1
    while occupancy.size > MOST_CELLS:
        occupancy, factor = cells.coarser(occupancy), 2 * factor
    if factor > 1:
        warnings.warn(
            f"of {name!r} {factor} x {factor} x {factor} cells are drawn as one, occupied if any is",
            EdmpWarning,
            stacklevel=5,
        )
    return occupancy, resolution * factor


def _flat(vertices: Array, faces: NDArray[np.int64]) -> Corners:
    """Each face with its own normal at all its corners."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-15)
    return vertices, faces, np.repeat(normal[:, None], 3, axis=1)


# --- fields ----------------------------------------------------------------------------------------------------------


def _level(field: DistanceField, name: str) -> Corners:
    """Where the distance is 0, by surface nets (Gibson, MERL TR99-24): a vertex in each cell that it goes through, at
    the mean of where it crosses the cell's edges; a square round each edge that it crosses.

    Where the solid meets the end of the grid it is closed there.
    """
    values, resolution = field.distances, field.resolution
    while values.size > MOST_CELLS:
        values, resolution = values[::2, ::2, ::2], 2 * resolution
    if resolution > field.resolution:
        factor = round(resolution / field.resolution)
        warnings.warn(f"of {name!r} every {factor}th node along each axis is drawn", EdmpWarning, stacklevel=5)
    outside = float(np.abs(values).max()) or 1.0
    d = np.pad(values.astype(np.float64), 1, constant_values=outside)
    crossed, total, count = _crossings(d)
    through = count > 0
    number = np.full(count.shape, -1, dtype=np.int64)
    number[through] = np.arange(int(through.sum()))
    vertices = (total[through] / count[through][:, None] - 1.0) * resolution
    quads = []
    for axis, (at, rising) in enumerate(crossed):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        around = []
        for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0)):
            cell = at.copy()
            cell[:, u] -= du
            cell[:, v] -= dv
            around.append(number[tuple(cell.T)])
        square = np.stack(around, axis=1)
        quads.append(np.where(rising[:, None], square, square[:, ::-1]))
    a, b, c, e = np.concatenate(quads).T
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, e], axis=1)])
    slope = np.stack(list(np.gradient(d)), axis=-1)
    nearest = np.clip(np.round(vertices / resolution + 1.0).astype(int), 0, np.array(d.shape) - 1)
    normal = slope[tuple(nearest.T)]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-15)
    return vertices, faces, normal[faces]


def _crossings(
    d: Array,
) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.bool_]]], Array, NDArray[np.int64]]:
    """Edges along each axis that the level crosses, (n, 3) where they begin and whether distances rise along them; and
    for each cell the sum (..., 3) of the places where its edges are crossed, in cells, and their number."""
    shape = tuple(side - 1 for side in d.shape)
    total, count = np.zeros((*shape, 3)), np.zeros(shape, dtype=np.int64)
    crossed = []
    for axis in range(3):
        first, then = np.take(d, range(shape[axis]), axis), np.take(d, range(1, d.shape[axis]), axis)
        at = np.argwhere((first <= 0) != (then <= 0))
        low, high = first[tuple(at.T)], then[tuple(at.T)]
        place = at.astype(np.float64)
        place[:, axis] += low / (low - high)
        for du in (0, 1):
            for dv in (0, 1):
                cell = at.copy()
                cell[:, (axis + 1) % 3] -= du
                cell[:, (axis + 2) % 3] -= dv
                np.add.at(total, tuple(cell.T), place)
                np.add.at(count, tuple(cell.T), 1)
        crossed.append((at, high > low))
    return crossed, total, count


# --- what hides, what is near ----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def blockers(shape: Shape) -> tuple[tuple[Array, Array], ...]:
    """Lower and upper corners of a few boxes in the frame of a sensed shape that hide about what it hides."""
    p = _occupied(shape)
    low, edge = p.min(axis=0), max(float(np.ptp(p, axis=0).max()), 1e-6) / BLOCKERS
    index = ((p - low) / edge).astype(np.int64)
    grid = np.zeros(index.max(axis=0) + 1, dtype=np.bool_)
    grid[tuple(index.T)] = True
    first, last = cells.boxes(grid)
    return tuple((low + edge * a, low + edge * b) for a, b in zip(first, last, strict=True))


def distances(shape: Shape, p_O: Array) -> Array:
    """Distances (n,) [m] of points (n, 3) in the frame of a sensed shape; of cells and fields those of occupied cells.

    For plots: cells are looked for by their middles, eight at a time.
    """
    tree = _tree(shape)
    if isinstance(shape, PointCloud):
        return np.asarray(tree.query(p_O)[0] - shape.radius)
    assert isinstance(shape, Voxels | DistanceField)
    near = tree.query(p_O, k=min(8, tree.n))[1].reshape(len(p_O), -1)
    outside = np.maximum(np.abs(p_O[:, None] - tree.data[near]) - 0.5 * shape.resolution, 0.0)
    return np.asarray(np.linalg.norm(outside, axis=-1).min(axis=1))


@lru_cache(maxsize=16)
def _tree(shape: Shape) -> Any:
    from scipy.spatial import cKDTree

    return cKDTree(_occupied(shape))


def _occupied(shape: Shape) -> Array:
    """(n, 3) points, or middles of occupied cells [m]."""
    if isinstance(shape, PointCloud):
        return shape.points.astype(np.float64)
    if isinstance(shape, Voxels):
        return np.asarray((np.argwhere(shape.occupancy) + 0.5) * shape.resolution, dtype=np.float64)
    assert isinstance(shape, DistanceField)
    return np.asarray((np.argwhere(cells.of_field(shape.distances)) + 0.5) * shape.resolution, dtype=np.float64)
