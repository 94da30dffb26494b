"""Proof that bands hold on every edge of a path, or a configuration on it where one does not.

As for collisions the path is cut into intervals, on each of which a bound is known (`edmp.validate.band_motion`). Where
it does not suffice the interval is halved, until it does or a configuration is found that breaks the band. Bounds are
of second order: half the length makes them four times better. Values may pass a band by `ROUNDING` and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import Band, BandKind
from edmp.validate.band_motion import LONGEST, tracks
from edmp.validate.kinematic_tree import KinematicTree

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ROUNDING = 1e-9
"""A value may pass its band by this, which is rounding and no more [rad or m]."""
_TURN = 2.0 * np.pi
_MOST = 200_000
"""After so many configurations a proof is given up."""


@dataclass(frozen=True, eq=False)
class Extremes:
    """Values of B bands over a path: nowhere below ``lower``, nowhere above ``upper``.

    Attributes:
        lower, upper: (B,) proved, where ``proved``; else what was reached [rad or m].
        lower_edge, upper_edge: (B,) edges of the path where these are.
        broken: (B,) which bands are seen to be broken.
        lower_q, upper_q: (B, dof) configurations with the least and the greatest value that was seen.
        least, most: (B,) these values.
        least_edge, most_edge: (B,) edges of the path where they were seen.
        proved: every band holds on every edge.
    """

    lower: Array
    upper: Array
    lower_edge: Index
    upper_edge: Index
    broken: NDArray[np.bool_]
    lower_q: Array
    upper_q: Array
    least: Array
    most: Array
    least_edge: Index
    most_edge: Index
    proved: bool


class BandProof:
    """Of one robot and its bands; made once, asked about many paths."""

    def __init__(
        self, tree: KinematicTree, X_W0: Array, bands: Sequence[Band], *, continuous: NDArray[np.bool_]
    ) -> None:
        # Of joints that turn without end, a range is meant wherever whole turns put it; and so is the path.
        self._turning = {b.index: 0.5 * (b.lower + b.upper) for b in bands if b.kind is BandKind.JOINT}
        self._turning = {j: middle for j, middle in self._turning.items() if continuous[j]}
        self.tree, self.bands = tree, tuple(bands)
        self.tracks = tracks(tree, X_W0, bands)
        self.lower = np.array([band.lower for band in bands])
        self.upper = np.array([band.upper for band in bands])
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        with np.errstate(invalid="ignore"):
            one = np.where(np.isfinite(self.upper), np.abs(self.upper), np.abs(self.lower))
            self.half = np.where(both, 0.5 * (self.upper - self.lower), one)

    def run(self, path: Array, tightness: float | None = None) -> Extremes:
        """Look at a path (n, dof) of straight edges.

        Args:
            path: one configuration is a path, too [rad or m].
            tightness: if given, `Extremes.lower` and ``upper`` come as near to what was seen as this share of the
                band's half width; else they are whatever the proof needed.
        """
        turns = self._turns(path[:1])[0]
        path = path - turns if self._turning else path
        table = _Table(self)
        first, edge = _cut(path)
        ids = table.add(first, edge)
        a, b = ids[:-1], ids[1:]
        lower, upper = table.least.copy(), table.most.copy()
        lower_edge, upper_edge = edge[table.least_at], edge[table.most_at]
        while len(a) and not table.broken.any():
            low, high = self._bounds(table, a, b)
            open_ = (low < self.lower - ROUNDING) | (high > self.upper + ROUNDING)
            if tightness is not None:
                near = tightness * self.half + ROUNDING
                bounded = np.isfinite(self.lower), np.isfinite(self.upper)
                open_ |= (low < table.least - near) & bounded[0] | (high > table.most + near) & bounded[1]
            halve = open_.any(axis=1)
            given_up = bool(len(table.q) + halve.sum() > _MOST)
            settled = np.ones_like(halve) if given_up else ~halve
            if settled.any():
                at = table.edge[a[settled]]
                rows = low[settled].argmin(axis=0), high[settled].argmax(axis=0)
                least, most = low[settled].min(axis=0), high[settled].max(axis=0)
                lower_edge = np.where(least < lower, at[rows[0]], lower_edge)
                upper_edge = np.where(most > upper, at[rows[1]], upper_edge)
                lower, upper = np.minimum(lower, least), np.maximum(upper, most)
            a, b = a[halve], b[halve]
            if given_up:
                break
            if len(a):
                between = table.add(0.5 * (table.q[a] + table.q[b]), table.edge[a])
                a, b = np.concatenate([a, between]), np.concatenate([between, b])
        holds = (lower >= self.lower - ROUNDING) & (upper <= self.upper + ROUNDING)
        proved = bool(holds.all()) and not table.broken.any()
        return Extremes(
            *(lower, upper, lower_edge, upper_edge, table.broken),
            *(table.q[table.least_at] + turns, table.q[table.most_at] + turns, table.least, table.most),
            *(table.edge[table.least_at], table.edge[table.most_at], proved),
        )

    def holds(self, q: Array) -> NDArray[np.bool_]:
        """(n,) in which of the configurations ``q`` (n, dof), each for itself, all bands hold."""
        values = self._values(q - self._turns(q))[1]
        above, below = values - self.upper, self.lower - values
        return np.asarray((np.maximum(above, below) <= 0.5 * ROUNDING).all(axis=1))

    def _turns(self, q: Array) -> Array:
        """(n, dof) whole turns by which each of ``q`` (n, dof) is ahead of what the ranges of joints mean [rad]."""
        turns = np.zeros_like(q)
        for j, middle in self._turning.items():
            turns[:, j] = _TURN * np.round((q[:, j] - middle) / _TURN)
        return turns

    def _values(self, q: Array) -> tuple[list[Array], Array]:
        """What the tracks know of configurations (n, dof), and the values (n, B) of the bands there."""
        poses = self.tree.poses(q)
        known = [track.at(q, poses) for track in self.tracks]
        values = np.empty((len(q), len(self.bands)))
        for track, one in zip(self.tracks, known, strict=True):
            values[:, track.rows] = track.values(one)
        return known, values

    def _bounds(self, table: _Table, a: Index, b: Index) -> tuple[Array, Array]:
        low, high = np.empty((len(a), len(self.bands))), np.empty((len(a), len(self.bands)))
        width = np.abs(table.q[b] - table.q[a])
        for track, known in zip(self.tracks, table.known, strict=True):
            low[:, track.rows], high[:, track.rows] = track.bounds(known[a], known[b], width)
        return low, high


class _Table:
    """The configurations that were looked at, what the tracks know of them, and the extremes of the values."""

    def __init__(self, proof: BandProof) -> None:
        self._proof = proof
        self.q = np.empty((0, proof.tree.dof))
        self.edge = np.empty(0, dtype=np.int64)
        self.known: list[Array] = []
        count = len(proof.bands)
        self.least, self.most = np.full(count, np.inf), np.full(count, -np.inf)
        self.least_at, self.most_at = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)

    @property
    def broken(self) -> NDArray[np.bool_]:
        """(B,) half of the rounding is left to the bounds: so every interval ends up on one side or the other."""
        proof = self._proof
        return (self.least < proof.lower - 0.5 * ROUNDING) | (self.most > proof.upper + 0.5 * ROUNDING)

    def add(self, q: Array, edge: Index) -> Index:
        """Append configurations (k, dof) on the edges (k,); returns their numbers."""
        start = len(self.q)
        fresh, values = self._proof._values(q)
        low, high = values.argmin(axis=0), values.argmax(axis=0)
        columns = np.arange(values.shape[1])
        self.least_at = np.where(values[low, columns] < self.least, start + low, self.least_at)
        self.most_at = np.where(values[high, columns] > self.most, start + high, self.most_at)
        self.least, self.most = np.minimum(self.least, values.min(axis=0)), np.maximum(self.most, values.max(axis=0))
        self.known = [np.concatenate(pair) for pair in zip(self.known, fresh, strict=True)] if start else fresh
        self.q, self.edge = np.concatenate([self.q, q]), np.concatenate([self.edge, edge])
        return np.arange(start, len(self.q))


def _cut(path: Array) -> tuple[Array, Index]:
    """The waypoints (m, dof), and more between those that are far apart; each with the edge that begins there (m,)."""
    edges = len(path) - 1
    if edges <= 0:
        return path, np.zeros(len(path), dtype=np.int64)
    counts = np.maximum(1, np.ceil(np.abs(np.diff(path, axis=0)).sum(axis=1) / LONGEST)).astype(np.int64)
    edge = np.repeat(np.arange(edges), counts)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[edge]
    q = path[edge] + share[:, None] * (path[edge + 1] - path[edge])
    return np.concatenate([q, path[-1:]]), np.append(edge, edges - 1)
