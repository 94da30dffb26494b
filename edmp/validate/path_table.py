"""The configurations and intervals into which a proof cuts a path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm
from edmp.validate.kinematic_tree import MotionBound, PieceMotion

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MERGE, _CUT = 0.15, 0.3
"""Edges are merged into intervals up to the first, and cut above the second (sum of joint motions [rad])."""


class Intervals:
    """Pieces of the path between configurations ``a`` and ``b`` (indices into the table of configurations).

    ``first`` and ``last`` are the waypoints between which the interval lies; ``probe`` is the configuration to ask FCL
    about; ``deviation`` (n, dof) bounds how far the path strays from the straight line from a to b, joint by joint.
    """

    def __init__(self, a: Index, b: Index, first: Index, last: Index, probe: Index, deviation: Array) -> None:
        self.a, self.b, self.first, self.last, self.probe, self.deviation = a, b, first, last, probe, deviation

    def __len__(self) -> int:
        return len(self.a)

    def rows(self, which: Index) -> Intervals:
        """Some of them."""
        a, b, first, last, probe = (column[which] for column in (self.a, self.b, self.first, self.last, self.probe))
        return Intervals(a, b, first, last, probe, self.deviation[which])

    @classmethod
    def joined(cls, parts: Sequence[Intervals]) -> Intervals:
        """All of them, one after the other."""
        columns = ((one.a, one.b, one.first, one.last, one.probe, one.deviation) for one in parts)
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))


class PathTable:
    """A path (n, dof), the configurations that were looked at so far, and intervals between them.

    Attributes:
        q: (m, dof) the configurations; ``poses`` and ``rho`` are those of the arm's bodies and pieces there.
        moved: (n,) sum of all joint motion up to each waypoint.
    """

    def __init__(self, arm: Arm, bound: MotionBound, path: Array) -> None:
        self.arm, self.bound, self.path = arm, bound, path
        self.moved = np.concatenate([[0.0], np.abs(np.diff(path, axis=0)).sum(axis=1).cumsum()])
        self.q = np.empty((0, arm.tree.dof))
        self.poses = arm.tree.poses(self.q)
        self.rho = np.empty((0, arm.moving, arm.tree.dof))

    def add(self, q: Array) -> Index:
        """Append configurations (k, dof) to the table; returns their indices."""
        poses = self.arm.tree.poses(q)
        start = len(self.q)
        self.rho = np.concatenate([self.rho, self.bound.axis_distance(poses)])
        self.poses = self.poses.then(poses) if start else poses
        self.q = np.concatenate([self.q, q])
        return np.arange(start, len(self.q))

    def first_intervals(self) -> Intervals:
        """Merge short edges and cut long ones, so that each interval moves the joints by about 0.15 to 0.3 rad."""
        path, moved = self.path, self.moved
        q, first, last = [path[0]], [], []
        k, n = 0, len(path) - 1
        while k < n:
            end = max(k + 1, int(np.searchsorted(moved, moved[k] + _MERGE, side="right")) - 1)
            cuts = max(1, int(np.ceil((moved[end] - moved[k]) / _CUT))) if end == k + 1 else 1
            for c in range(1, cuts + 1):
                q.append(path[end] if c == cuts else path[k] + (path[end] - path[k]) * (c / cuts))
                first.append(k)
                last.append(end)
            k = end
        ids = self.add(np.array(q))
        if n == 0:
            ids = np.repeat(ids, 2)
            first, last = [0], [0]
        a, b = ids[:-1], ids[1:]
        return self._make(a, b, np.array(first), np.array(last), a)

    def _make(self, a: Index, b: Index, first: Index, last: Index, probe: Index) -> Intervals:
        deviation = np.zeros((len(a), self.q.shape[1]))
        several = np.flatnonzero(last - first > 1)
        if len(several):
            inner = last[several] - first[several] - 1  # waypoints left out
            group = np.repeat(several, inner)
            starts = np.cumsum(inner) - inner
            k = first[group] + 1 + np.arange(len(group)) - np.repeat(starts, inner)
            f, e = first[group], last[group]
            t = (self.moved[k] - self.moved[f]) / np.maximum(self.moved[e] - self.moved[f], 1e-300)
            chord = self.path[f] + t[:, None] * (self.path[e] - self.path[f])
            deviation[several] = np.maximum.reduceat(np.abs(self.path[k] - chord), starts)
        return Intervals(a, b, first, last, probe, deviation)

    def halve(self, intervals: Intervals, which: Index) -> tuple[Intervals, Index]:
        """Both halves of the chosen intervals (all left ones, then all right ones)."""
        a, b = intervals.a[which], intervals.b[which]
        first, last = intervals.first[which], intervals.last[which]
        several = last - first > 1
        middle = (first + last) // 2
        q = np.where(several[:, None], self.path[middle], 0.5 * (self.q[a] + self.q[b]))
        m = self.add(q)
        left_last, right_first = np.where(several, middle, last), np.where(several, middle, first)
        halves = self._make(
            np.concatenate([a, m]),
            np.concatenate([m, b]),
            np.concatenate([first, right_first]),
            np.concatenate([left_last, last]),
            np.concatenate([m, m]),
        )
        return halves, m

    def motion(self, intervals: Intervals) -> PieceMotion:
        a, b = intervals.a, intervals.b
        width = np.abs(self.q[b] - self.q[a])
        return self.bound.between(self.rho[a], self.rho[b], width, intervals.deviation)
