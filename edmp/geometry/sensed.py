"""Obstacles as sensors see them: points, occupied cells, a field of distances. All lengths in [m].

Each is a `Shape` in a frame of its own, the obstacle's; the arrays cannot be written to, are kept in single precision,
and are hashed once.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import shown
from edmp.cached import cached_property
from edmp.errors import EdmpWarning, InvalidInputError
from edmp.geometry.poses import FARTHEST
from edmp.geometry.shapes import Shape, positive

WIDE = 100.0
"""A cloud that is wider than this is likely to be in millimetres [m]."""


MAX_CELLS = 1 << 27
"""Of a grid, and nodes: what is made of one takes some ten bytes for each."""


class _Sensed(Shape):
    """What shapes that are arrays share: equal if their content is, hashed by content, once."""

    def _content(self) -> tuple[NDArray[Any], float]:
        """The array, and the one length that belongs to it."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Sensed) or type(other) is not type(self):
            return NotImplemented
        mine, its = self._content(), other._content()
        return self is other or (mine[1] == its[1] and np.array_equal(mine[0], its[0]))

    def __hash__(self) -> int:
        return self._digest

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._content()[0].setflags(write=False)  # pickles forget it

    @cached_property
    def _digest(self) -> int:
        """The same in every process: it is pickled along. A sum of all words, ten times as quick as a hash, does:
        where two are the same by chance, equality decides."""
        array, length = self._content()
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        whole = raw[: len(raw) // 8 * 8].view(np.uint64)
        content = hashlib.blake2b(raw[len(whole) * 8 :].tobytes(), digest_size=8)
        content.update(repr((int(whole.sum()), array.shape, length)).encode())
        return int.from_bytes(content.digest(), "big", signed=True)


@dataclass(frozen=True, eq=False)
class PointCloud(_Sensed):
    """Balls of one ``radius`` round ``points`` (n, 3): what was seen of a surface, and what the sensor left open.

    Of points on a square grid with spacing s, balls of radius 0.71 s leave no gap. Points that are not finite are
    dropped and those that are there twice count once, with an `EdmpWarning` that says how many.
    """

    points: NDArray[np.float32]
    radius: float

    def __post_init__(self) -> None:
        positive(self, "radius")
        points = _array("PointCloud points", self.points, "fiu", 2)
        if points.shape[1] != 3:
            raise InvalidInputError(f"PointCloud points must be an array (n, 3) [m], got shape {points.shape}")
        told = []
        if not np.isfinite(points).all():
            finite = np.isfinite(points).all(axis=1)
            told.append(f"{len(points) - int(finite.sum())} of {len(points)} points are not finite and were dropped")
            points = points[finite]
        if len(points) == 0:
            raise InvalidInputError(
                "PointCloud has no points; leave an obstacle that nothing was seen of out of the scene"
            )
        _within(points, "PointCloud points")
        single = points.astype(np.float32) + np.float32(0.0)  # of -0.0 it makes 0.0, which it equals
        distinct = _distinct(single)
        if len(distinct) < len(single):
            told.append(f"{len(single) - len(distinct)} of {len(single)} points are there twice and count once")
        object.__setattr__(self, "points", _locked(distinct))
        wide = float((self.extent[1] - self.extent[0]).max())
        if wide > WIDE:
            told.append(f"the cloud extends over {wide:.4g} m; is it in millimetres?")
        for text in told:
            warnings.warn(f"PointCloud: {text}", EdmpWarning, stacklevel=3)

    @cached_property
    def extent(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The least and the largest coordinates of the points, (3,) each [m]."""
        columns = [self.points[:, axis] for axis in range(3)]  # one by one, which numpy does ten times as fast
        return np.array([column.min() for column in columns]), np.array([column.max() for column in columns])

    def _content(self) -> tuple[NDArray[Any], float]:
        return self.points, self.radius


@dataclass(frozen=True, eq=False)
class Voxels(_Sensed):
    """Occupied cells of a grid: ``occupancy`` (nx, ny, nz) of bool; ``resolution`` is the edge of a cell.

    Cell (i, j, k) is the box from (i, j, k) to (i + 1, j + 1, k + 1) times ``resolution``, in the obstacle's frame: so
    the pose of the obstacle is that of the grid's corner, X_WV.
    """

    occupancy: NDArray[np.bool_]
    resolution: float

    def __post_init__(self) -> None:
        positive(self, "resolution")
        occupancy = _array("Voxels occupancy", self.occupancy, "b", 3)
        _few_enough(occupancy, "Voxels")
        if not occupancy.any():
            raise InvalidInputError("Voxels: no cell is occupied; leave an obstacle without any out of the scene")
        _within(np.array(occupancy.shape) * self.resolution, "Voxels: the corner of the grid")
        object.__setattr__(self, "occupancy", _locked(np.array(occupancy)))

    def _content(self) -> tuple[NDArray[Any], float]:
        return self.occupancy, self.resolution


@dataclass(frozen=True, eq=False)
class DistanceField(_Sensed):
    """Signed distances at the nodes of a grid: ``distances`` (nx, ny, nz) [m], negative inside; ``resolution`` apart.

    Node (i, j, k) is at (i, j, k) times ``resolution`` in the obstacle's frame. The solid is where the trilinear
    interpolant of the nodes is not above 0; outside the grid nothing is known, and nothing is there. Where the numbers
    are no distances (truncated, or an ESDF's with holes) the solid is still that; only how soon it is felt changes.
    """

    distances: NDArray[np.float32]
    resolution: float

    def __post_init__(self) -> None:
        positive(self, "resolution")
        distances = _array("DistanceField distances", self.distances, "fiu", 3)
        _few_enough(distances, "DistanceField")
        if min(distances.shape) < 2:
            raise InvalidInputError(
                f"DistanceField distances need at least two nodes along each axis, got shape {distances.shape}"
            )
        if not np.isfinite(distances).all():
            node = tuple(int(i) for i in np.argwhere(~np.isfinite(distances))[0])
            raise InvalidInputError(f"DistanceField distances must be finite [m], but node {node} is {distances[node]}")
        _within(distances, "DistanceField distances")
        _within(np.array(distances.shape) * self.resolution, "DistanceField: the corner of the grid")
        if not (distances <= 0).any():
            raise InvalidInputError(
                "DistanceField: no distance is 0 or less, so nothing is there; leave it out of the scene"
            )
        object.__setattr__(self, "distances", _locked(distances.astype(np.float32)))

    def _content(self) -> tuple[NDArray[Any], float]:
        return self.distances, self.resolution


def _array(what: str, value: Any, kinds: str, ndim: int) -> NDArray[Any]:
    """A numpy array of numbers (or of bool) with that many axes."""
    named = "true and false" if kinds == "b" else "numbers"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{what} must be an array of {named}, got {shown(value)}") from None
    if array.dtype.kind not in kinds:
        raise InvalidInputError(f"{what} must be an array of {named}, got {shown(value)}")
    if array.ndim != ndim:
        raise InvalidInputError(f"{what} must have {ndim} axes, got shape {array.shape}")
    return array


def _few_enough(grid: NDArray[Any], what: str) -> None:
    if grid.size > MAX_CELLS:
        raise InvalidInputError(
            f"{what} of {' x '.join(map(str, grid.shape))} has more than {MAX_CELLS} cells; cut out what the arm can "
            "reach, or make it coarser"
        )


def _within(values: NDArray[Any], what: str) -> None:
    farthest = float(np.abs(values).max())
    if farthest > FARTHEST:
        raise InvalidInputError(f"{what} must be within {FARTHEST:.0e} m, got {farthest:.4g}")


def _distinct(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points without those that were there before, in their order.

    Only those are compared whose bits, mixed into one number, fall together: to sort a million points takes half a
    second, to sort a million numbers a hundredth.
    """
    bits = np.ascontiguousarray(points).view(np.uint32)
    mixed = bits[:, 0] * np.uint32(0x9E3779B1) + (bits[:, 1] ^ bits[:, 2] >> 15) * np.uint32(0x85EBCA77)
    mixed = (mixed ^ mixed >> 13) + bits[:, 2] * np.uint32(0xC2B2AE3D)
    mixed ^= mixed >> 16
    ordered = np.sort(mixed)
    several = np.zeros(1 << 16, dtype=np.bool_)
    several[ordered[1:][ordered[1:] == ordered[:-1]] >> 16] = True
    alike = np.flatnonzero(several[mixed >> 16])
    rows = np.ascontiguousarray(points[alike]).view(np.dtype((np.void, points.dtype.itemsize * 3))).ravel()
    first = np.unique(rows, return_index=True)[1]
    if len(first) == len(alike):
        return points
    kept = np.ones(len(points), dtype=np.bool_)
    kept[alike] = False
    kept[alike[first]] = True
    return points[kept]


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array
