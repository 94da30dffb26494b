"""Cutting a concave mesh into slabs whose convex hulls follow it more closely than one hull does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from edmp.robots.parts import Array

_CUTS = 16
"""Cuts are tried at this many even steps along each axis."""


def convex_pieces(points: Array, triangles: NDArray[np.int64], *, max_pieces: int, gain: float = 0.12) -> list[Array]:
    """Point sets whose convex hulls together contain a triangle mesh.

    The mesh is cut across one of its frame's axes, where the hulls of the slabs have the least volume together
    (dynamic programming over the places of the cuts). Another piece must take away at least the share ``gain`` of the
    volume: a convex mesh is left whole.

    Args:
        points: (n, 3) vertices [m].
        triangles: (F, 3) rows of ``points``.
        max_pieces: at most so many.
        gain: what one more piece must be worth.
    """
    best = _Partition(_volume(points), [points])
    if max_pieces < 2:
        return best.pieces
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    slabs = [_Slabs.across(points, edges, axis) for axis in range(3)]
    for count in range(2, max_pieces + 1):
        candidates = [axis_slabs.partition(count) for axis_slabs in slabs]
        (volume, chosen), of = min(zip(candidates, slabs, strict=True), key=lambda item: item[0][0])
        if volume > (1 - gain) ** (count - len(best.pieces)) * best.volume:
            continue
        best = _Partition(volume, [_slab(points, edges, of.axis, of.places[i], of.places[j]) for i, j in chosen])
    return best.pieces


@dataclass(frozen=True)
class _Partition:
    """Total volume of the hulls [m^3], and the point sets."""

    volume: float
    pieces: list[Array]


@dataclass(frozen=True)
class _Slabs:
    """The mesh between any two of the places where it may be cut.

    Attributes:
        axis: that the cuts are square to.
        places: (_CUTS + 1,) heights of the cuts [m].
        volume: of the hull of the mesh between places i and j, by (i, j) [m^3].
    """

    axis: int
    places: Array
    volume: dict[tuple[int, int], float]

    @classmethod
    def across(cls, points: Array, edges: NDArray[np.int64], axis: int) -> _Slabs:
        places = np.linspace(points[:, axis].min(), points[:, axis].max(), _CUTS + 1)
        # The hull of several thin slabs is that of their hulls' corners, which are few.
        thin = [_corners(_slab(points, edges, axis, places[i], places[i + 1])) for i in range(_CUTS)]
        volume = {}
        for i in range(_CUTS):
            corners = thin[i]
            for j in range(i + 1, _CUTS + 1):
                corners = corners if j == i + 1 else _corners(np.concatenate([corners, thin[j - 1]]))
                volume[i, j] = _volume(corners)
        return cls(axis, places, volume)

    def partition(self, count: int) -> tuple[float, list[tuple[int, int]]]:
        """The least volume of ``count`` slabs, and between which places they lie."""
        volume = self.volume
        # cost[j]: least volume of k slabs from the first place to place j, with the slabs that reach it.
        cost: dict[int, tuple[float, list[tuple[int, int]]]] = {
            j: (volume[0, j], [(0, j)]) for j in range(1, _CUTS + 1)
        }
        for _ in range(count - 1):
            cost = {
                j: min((cost[i][0] + volume[i, j], [*cost[i][1], (i, j)]) for i in range(1, j) if i in cost)
                for j in range(2, _CUTS + 1)
                if any(i in cost for i in range(1, j))
            }
        return cost[_CUTS]


def _slab(points: Array, edges: NDArray[np.int64], axis: int, low: float, high: float) -> Array:
    """Points whose hull is that of the mesh between two planes: vertices there, and where edges cross the planes."""
    height = points[:, axis]
    kept = [points[(height >= low) & (height <= high)]]
    for place in (low, high):
        a, b = height[edges[:, 0]] - place, height[edges[:, 1]] - place
        crossing = a * b < 0
        share = (a[crossing] / (a[crossing] - b[crossing]))[:, None]
        first, second = points[edges[crossing, 0]], points[edges[crossing, 1]]
        kept.append(first + share * (second - first))
    return np.concatenate(kept)


def _corners(points: Array) -> Array:
    """The corners of the convex hull; all points if they are flat."""
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # flat, or nothing at all
        return points


def _volume(points: Array) -> float:
    try:
        return float(ConvexHull(points).volume)
    except (QhullError, ValueError):  # flat: as good as nothing, but no piece to keep
        return np.inf
