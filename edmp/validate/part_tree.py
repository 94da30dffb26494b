"""Very many small convex parts, in boxes within boxes that are opened where somebody looks.

A point cloud, the occupied cells of a grid and what is solid in a field of distances are all of this kind: parts are
boxes (of a cloud: points), made larger all round by one radius. Nothing is sorted beyond a coarse grid until a question
comes near, so that a map of a million points is ready at once, and only what the arm passes is ever looked at closely.
Boxes and parts are in the obstacle's frame, in [m].
"""

from __future__ import annotations

import os
import threading

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.cells import boxes, extent
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Shape

Array = NDArray[np.float64]
Index = NDArray[np.int64]

GROUP, PART, CELL = 0, 1, 2
"""A node holds others; or is solid and whole; or contains something solid, and can be looked at more closely."""
FINEST = 1e-4
"""Cells of a field of distances are cut down to this edge where that decides something [m]."""
_FEW = 12
"""A group of so many parts or fewer is opened into parts."""
_SPLIT = 2
"""Other groups are opened into this many cells, along the longest side."""
_COARSE, _BLOCK = 32, 4
"""Cells along each side of the grid over a large cloud, and of a block of them."""
_BEAM = 2
"""So many nodes are followed down to a part near a point."""
_ALL = 1 << 17
"""Of clouds of so many points, or fewer, all are looked at for one near a point, if they are not sorted yet."""
_LARGE = 1 << 10
"""Clouds with more points than this get such a grid."""


class PartTree:
    """Nodes are numbered; 0 holds all. Children of a node follow each other.

    Args:
        lower, upper: (n, 3) corners of the parts; the same array if they are points.
        radius: by which all parts are larger.
        box: (3,), (3,) that round the parts, if it is known.

    Attributes:
        lower, upper: (N, 3) corners of the nodes' boxes, without the radius; of a part these are the part's.
        kind: (N,) `GROUP`, `PART` or `CELL`.
    """

    def __init__(
        self,
        lower: NDArray[np.floating],
        upper: NDArray[np.floating],
        radius: float,
        *,
        box: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    ) -> None:
        low, high = box or (lower.min(axis=0), upper.max(axis=0))
        self._plant(low.astype(np.float64), high.astype(np.float64), radius)
        self._take(lower, upper)

    def _plant(self, low: Array, high: Array, radius: float) -> None:
        """The root alone: a box (3,), (3,) round the parts, which need not be known yet."""
        self.radius = radius
        self._low: NDArray[np.floating] = np.empty((0, 3))
        self._high: NDArray[np.floating] = self._low
        self._size = 0
        self.lower, self.upper, self.kind = np.empty((0, 3)), np.empty((0, 3)), np.empty(0, dtype=np.int8)
        self._first = self._count = self._begin = self._end = np.empty(0, dtype=np.int64)
        self._append(low[None], high[None], np.array([GROUP]), np.array([0]), np.array([0]))

    def _take(self, lower: NDArray[np.floating], upper: NDArray[np.floating]) -> None:
        """The parts (n, 3), (n, 3) that the root holds."""
        self._low, self._high = lower, upper
        self._end[0] = len(lower)

    def _load(self) -> None:
        """Called before the root is opened."""
        self._order = np.arange(self._end[0])

    @property
    def point(self) -> Array:
        """(3,) a point of a part."""
        return 0.5 * (self._low[0].astype(np.float64) + self._high[0])

    def children(self, nodes: Index) -> tuple[Index, Index]:
        """Of groups and cells ``nodes`` (n,): index of the parent in ``nodes`` (m,), and children (m,)."""
        with _lock:
            shut = nodes[self._first[nodes] < 0]
            if not len(shut):
                return _ranges(self._first[nodes], self._count[nodes])
            shut = np.unique(shut)
            if shut[0] == 0:
                self._load()
                if self._end[0] > _LARGE and self._low is self._high:
                    self._grid()
                    shut = shut[1:]
            groups = self.kind[shut] == GROUP
            if groups.any():
                self._open(shut[groups])
            if not groups.all():
                self._cut(shut[~groups])
            return _ranges(self._first[nodes], self._count[nodes])

    def near(self, x: Array) -> int:
        """A part, or a cell, that is near to the point ``x`` (3,), if not the nearest: a few steps down."""
        if self._first[0] < 0 and 0 < self._end[0] <= _ALL and self._low is self._high:  # not worth sorting them
            return self._nearest_point(x)
        node = np.zeros(1, dtype=np.int64)
        while True:
            gap = np.maximum(np.maximum(self.lower[node] - x, x - self.upper[node]), 0.0)
            node = node[np.argsort(np.einsum("mi,mi->m", gap, gap), kind="stable")[:_BEAM]]
            group = self.kind[node] == GROUP
            if not group[0]:
                return int(node[0])
            node = np.concatenate([node[~group], self.children(node[group])[1]])

    def _nearest_point(self, x: Array) -> int:
        """Of a cloud; as a node that no other holds."""
        squared = np.zeros(len(self._low), dtype=np.float32)
        for k in range(3):  # a column at a time: rows of three are slow
            column = self._low[:, k] - np.float32(x[k])
            column *= column
            squared += column
        found = np.array([squared.argmin()])
        point = self._low[found].astype(np.float64)
        with _lock:
            return self._append(point, point, self._part_kinds(found), found, found + 1)

    def _append(self, lower: Array, upper: Array, kind: Index, begin: Index, end: Index) -> int:
        """New nodes; the number of the first."""
        start, size = self._size, self._size + len(lower)
        if size > len(self.kind):
            room = max(2 * size, 256) - start
            for name, dtype in (("lower", np.float64), ("upper", np.float64), ("kind", np.int8)):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old[:start], np.empty((room, *old.shape[1:]), dtype=dtype)]))
            for name in ("_first", "_count", "_begin", "_end"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old[:start], np.empty(room, dtype=np.int64)]))
        new = slice(start, size)
        self.lower[new], self.upper[new], self.kind[new] = lower, upper, kind
        self._first[new], self._count[new], self._begin[new], self._end[new] = -1, 0, begin, end
        self._size = size
        return start

    def _adopt(self, parents: Index, count: Index, first: int) -> None:
        self._first[parents] = first + np.cumsum(count) - count
        self._count[parents] = count

    def _open(self, nodes: Index) -> None:
        """Groups into parts, or into smaller groups."""
        begin, end = self._begin[nodes], self._end[nodes]
        few = end - begin <= _FEW
        for some, split in ((few, False), (~few, True)):
            if not some.any():
                continue
            group, place = _ranges(begin[some], (end - begin)[some])
            parts = self._order[place]
            lower, upper = self._low[parts].astype(np.float64), self._high[parts].astype(np.float64)
            if split:
                key = _cell_keys(0.5 * (lower + upper), group)
                sorting = np.argsort(key, kind="stable")
                self._order[place] = parts[sorting]
                key, lower, upper = key[sorting], lower[sorting], upper[sorting]
            else:
                key = np.arange(len(group))
            starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
            lower, upper = np.minimum.reduceat(lower, starts), np.maximum.reduceat(upper, starts)
            sizes = np.diff(np.append(starts, len(key)))
            kind = np.where(sizes == 1, self._part_kinds(self._order[place[starts]]), GROUP)
            first = self._append(lower, upper, kind, place[starts], place[starts] + sizes)
            self._adopt(nodes[some], np.bincount(group[starts], minlength=int(some.sum())), first)

    def _part_kinds(self, parts: Index) -> Index:
        return np.full(len(parts), PART)

    def _cut(self, nodes: Index) -> None:
        """Cells into smaller ones."""
        raise NotImplementedError

    def _grid(self) -> None:
        """Sort points into the cells of a coarse grid, cells into blocks: the root's children, and theirs."""
        low, width = self.lower[0], float((self.upper[0] - self.lower[0]).max()) + 1e-9
        edge = width * (1 + 1e-6) / _COARSE
        key = np.zeros(len(self._low), dtype=np.uint16)
        for k in range(3):  # a column at a time: rows of three are slow
            q = self._low[:, k] - np.float32(low[k])
            q *= np.float32(1.0 / edge)
            at = np.minimum(q, _COARSE - 1, out=q).astype(np.uint16)
            key |= ((at >> 2) << (6 + 3 * k)) | ((at & 3) << (2 * k))  # the block, then the cell in it
        self._order = np.argsort(key, kind="stable")  # a radix sort for numbers this short
        size = np.bincount(key, minlength=1 << 15)
        cell = np.flatnonzero(size)
        end = np.cumsum(size)[cell]
        column = [((cell >> (6 + 3 * k)) & 7) * _BLOCK + ((cell >> (2 * k)) & 3) for k in range(3)]
        pad = 1e-5 * width + 1e-9  # single precision, generously
        lower = low + np.stack(column, axis=1) * edge - pad
        upper = lower + edge + 2 * pad
        starts = np.flatnonzero(np.concatenate([[True], cell[1:] >> 6 != cell[:-1] >> 6]))
        blocks = np.minimum.reduceat(lower, starts), np.maximum.reduceat(upper, starts)
        begin = end - size[cell]
        count = np.diff(np.append(starts, len(cell)))
        first = self._append(*blocks, np.full(len(starts), GROUP), begin[starts], end[starts + count - 1])
        self._adopt(np.array([0]), np.array([len(starts)]), first)
        inner = self._append(lower, upper, np.full(len(cell), GROUP), begin, end)
        self._adopt(first + np.arange(len(starts)), count, inner)


class _CellTree(PartTree):
    """The occupied cells of a grid, joined to boxes when somebody looks."""

    def __init__(self, grid: Voxels) -> None:
        cells, edge = grid.occupancy, grid.resolution
        self._cells: NDArray[np.bool_] | None = cells
        self._edge = edge
        first = np.array(np.unravel_index(cells.argmax(), cells.shape), dtype=np.float64)
        self._point: Array = (first + 0.5) * edge
        self._plant(*extent(cells, edge), 0.0)

    @property
    def point(self) -> Array:
        """(3,) a point of the solid."""
        return self._point

    def _load(self) -> None:
        assert self._cells is not None
        low, high = boxes(self._cells)
        self._cells = None
        self._take(low * self._edge, high * self._edge)
        super()._load()


class _FieldTree(PartTree):
    """What is solid in a field of distances: whole cells, and cells of which a part is.

    The trilinear interpolant over any box is nowhere below the least of its values at the corners, nor above the
    largest: a box whose corners are all positive holds nothing, one that has none is solid throughout. All others are
    cut in eight, down to `FINEST`.
    """

    def __init__(self, field: DistanceField) -> None:
        d, side = field.distances, [slice(0, -1), slice(1, None)]
        corner = [d[side[i], side[j], side[k]] for i, j, k in np.ndindex(2, 2, 2)]
        inside = [values <= 0.0 for values in corner]
        solid = np.logical_and.reduce(inside)
        cell = np.argwhere(np.logical_or.reduce(inside) & ~solid)
        first, end = boxes(solid)
        self._whole = len(first)
        self._values = np.stack([values[tuple(cell.T)] for values in corner], axis=-1).astype(np.float64)
        lower = np.concatenate([first, cell]) * field.resolution
        upper = np.concatenate([end, cell + 1]) * field.resolution
        super().__init__(lower, upper, 0.0)
        self._point = np.argwhere(field.distances <= 0.0)[0] * field.resolution

    @property
    def point(self) -> Array:
        """(3,) a point of the solid."""
        return self._point

    def _part_kinds(self, parts: Index) -> Index:
        return np.where(parts < self._whole, PART, CELL)

    def _cut(self, nodes: Index) -> None:
        # Cells of the grid know their values by their part, smaller ones by a row of their own, counted from -1 down.
        begin = self._begin[nodes]
        part = self._order[np.maximum(begin, 0)]
        row = np.where(begin >= 0, part - self._whole, -1 - begin)
        nodal = _halved(self._values[row])  # (n, 3, 3, 3)
        lower, half = self.lower[nodes], 0.5 * (self.upper[nodes] - self.lower[nodes])
        corner = np.array(list(np.ndindex(2, 2, 2)))
        values = np.stack([nodal[:, i : i + 2, j : j + 2, k : k + 2].reshape(-1, 8) for i, j, k in corner], axis=1)
        kept = (values <= 0.0).any(axis=2)
        lower = (lower[:, None] + corner * half[:, None])[kept]
        upper = lower + np.repeat(half, kept.sum(axis=1), axis=0)
        values = values[kept]
        whole = (values <= 0.0).all(axis=1) | ((upper - lower).max(axis=1) <= FINEST)
        rows = len(self._values) + np.arange(len(values))
        self._values = np.concatenate([self._values, values])
        first = self._append(lower, upper, np.where(whole, PART, CELL), -1 - rows, -1 - rows)
        self._adopt(nodes, kept.sum(axis=1), first)


def _halved(values: Array) -> Array:
    """(n, 3, 3, 3) the trilinear interpolant of corner values (n, 8) at corners and half way between."""
    v = values.reshape(-1, 2, 2, 2)
    for axis in (1, 2, 3):
        a, b = np.take(v, [0], axis), np.take(v, [1], axis)
        v = np.concatenate([a, 0.5 * (a + b), b], axis=axis)
    return v


def _ranges(first: Index, count: Index) -> tuple[Index, Index]:
    """Which range, and the number, of all numbers in ranges from ``first`` on."""
    which = np.repeat(np.arange(len(first)), count)
    return which, first[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)


def _cell_keys(centres: Array, group: Index) -> Index:
    """(n,) numbers that increase with ``group``; alike in the same cell of a grid over the group's centres (n, 3)."""
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    low, high = np.minimum.reduceat(centres, starts), np.maximum.reduceat(centres, starts)
    scale = _SPLIT / np.maximum((high - low).max(axis=1) * (1 + 1e-9), 1e-300)
    at = np.minimum(((centres - low[group]) * scale[group, None]).astype(np.int64), _SPLIT - 1)
    return ((group * _SPLIT + at[:, 0]) * _SPLIT + at[:, 1]) * _SPLIT + at[:, 2]


def _make(shape: Shape) -> PartTree:
    if isinstance(shape, PointCloud):
        return PartTree(shape.points, shape.points, shape.radius, box=shape.extent)
    if isinstance(shape, Voxels):
        return _CellTree(shape)
    assert isinstance(shape, DistanceField)
    return _FieldTree(shape)


SENSED = (PointCloud, Voxels, DistanceField)
"""Kinds of shapes that are many parts."""
_KEPT = 4
_lock = threading.RLock()  # of opening nodes; a child forked while another thread is in here would wait for ever
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

part_tree: ShapeCache[Shape, PartTree] = ShapeCache(_make, size=lambda shape: 1, most=_KEPT)
"""The parts of a shape; made once for each content, kept as long as the shape lives, and the latest beyond that."""
