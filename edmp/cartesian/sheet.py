"""`Sheet`: the configurations that an arm can take along a tool path, layer by layer, and the best way through them.

A layer holds configurations, with the tool at one pose of the path, that are about evenly spread over the arm's
self-motion there. The first grows from the start, each next one from the one before: all are carried on to the next
pose with least joint motion, held at their limits where they meet them, thinned where they crowd, and grown where they
leave room. An arm without redundancy has one configuration in each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from edmp.cartesian.carry import JUMP
from edmp.cartesian.chain import ToolChain

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP = 0.2
"""Configurations of a layer are about this far apart [rad]."""
_REACHED = 1e-6
"""Nearer to its pose than this a tool is there [m]."""
_NEAR_LIMIT = 0.15
"""A joint nearer to a limit than this is to move away [rad]."""


@dataclass
class Sheet:
    """Attributes:
    chain: the joints that move the tool.
    at: (n,) distances along the tool path of the layers [m].
    X_WT: (n, 4, 4) poses of the tool there.
    step: configurations of a layer are about this far apart [rad].
    most: configurations in a layer.
    rounds: of growth of the first layer.
    layers: (m, k) configurations of each layer as far as they were grown; empty where none is left.
    """

    chain: ToolChain
    at: Array
    X_WT: Array
    step: float = STEP
    most: int = 120
    rounds: int = 60
    layers: list[Array] = field(default_factory=list)

    def grow_first(self, start: Array) -> None:
        """The first layer: ``start`` (k,), and what self-motion leads to from there."""
        nodes = start[None]
        fresh = nodes
        for _ in range(self.rounds if self.chain.redundancy else 0):
            fresh = self._spread(fresh, nodes, self.X_WT[0])
            nodes = np.concatenate([nodes, fresh])[: self.most]
            if not len(fresh) or len(nodes) == self.most:
                break
        self.layers = [nodes]

    def grow(self) -> Array:
        """The next layer."""
        nodes, X = self.layers[-1], self.X_WT[len(self.layers)]
        if len(nodes):
            nodes = _apart(self._at(nodes, X), np.empty((0, nodes.shape[1])), 0.4 * self.step)
            if self.chain.redundancy and len(nodes):
                nodes = np.concatenate([nodes, self._spread(nodes, nodes, X)])[: self.most]
        self.layers.append(nodes)
        return nodes

    def _at(self, q: Array, X: Array) -> Array:
        found = self.chain.reach(q, np.broadcast_to(X, (len(q), 4, 4)), iterations=6)
        there = (found.error < _REACHED) & (np.abs(found.q - q).max(axis=1) < JUMP)
        return found.q[there]

    def _spread(self, q: Array, nodes: Array, X: Array) -> Array:
        """Configurations one step of self-motion away from ``q``, where there is none of ``nodes`` yet."""
        _, J = self.chain.poses_and_jacobians(q)
        ways = np.swapaxes(self.chain.null_spaces(J), 1, 2)  # (n, d, k)
        tried = (q[:, None, None] + self.step * ways[:, :, None] * np.array([1.0, -1.0])[:, None]).reshape(
            -1, q.shape[1]
        )
        return _apart(self._at(tried, X), nodes, 0.7 * self.step)


def _apart(q: Array, others: Array, distance: float) -> Array:
    """The rows of ``q`` that are this far from ``others`` and from the rows kept before them."""
    if len(others) and len(q):
        q = q[(np.linalg.norm(q[:, None] - others[None], axis=2) > distance).all(axis=1)]
    near = np.linalg.norm(q[:, None] - q[None], axis=2) <= distance
    kept = np.zeros(len(q), dtype=bool)
    for k in range(len(q)):
        kept[k] = not near[k, :k][kept[:k]].any()
    return q[kept]


@dataclass(frozen=True)
class Way:
    """A way through a sheet.

    Attributes:
        q: (n, k) one configuration of each layer, from the first.
        lead: (m, k) configurations of the first layer from the start to that in ``q``; the start alone if it is that.
    """

    q: Array
    lead: Array


def best_way(sheet: Sheet, cost_of: Callable[[int, Array], Array], *, lead: bool = False) -> Way:
    """The way with the least cost that leads furthest, by dynamic programming; the sheet is grown as far as it leads.

    The cost is the sum of squared joint motions over the length of the layers, and what ``cost_of(layer, q)`` (m,) says
    of configurations, infinite where they are blocked.

    Args:
        sheet: whose first layer is grown.
        cost_of: see above.
        lead: may self-motion, with the tool at rest, come first?
    """
    first = sheet.layers[0]
    total, back = np.full(len(first), np.inf), np.full(len(first), -1)
    total[0] = 0.0
    if lead:
        total, back = _from_start(first, cost_of(0, first), sheet.step)
    came: list[NDArray[np.int64]] = []
    for k in range(1, len(sheet.at)):
        before = sheet.layers[k - 1]
        nodes = sheet.layers[k] if k < len(sheet.layers) else sheet.grow()
        if not len(nodes):
            break
        alive = np.flatnonzero(np.isfinite(total))
        moved = nodes[None] - before[alive][:, None]
        cost = np.sum(moved * moved, axis=2) / max(sheet.at[k] - sheet.at[k - 1], 1e-4)
        cost[np.abs(moved).max(axis=2) > JUMP] = np.inf
        cost += total[alive][:, None]
        following = cost.min(axis=0) + cost_of(k, nodes)
        if not np.isfinite(following).any():
            break
        came.append(alive[cost.argmin(axis=0)])
        total = following
    chosen = [int(total.argmin())]
    for parents in reversed(came):
        chosen.append(int(parents[chosen[-1]]))
    q = np.stack([sheet.layers[k][i] for k, i in enumerate(reversed(chosen))])
    leads = [chosen[-1]]
    while leads[-1] > 0:
        leads.append(int(back[leads[-1]]))
    return Way(q, first[leads[::-1]])


def _from_start(nodes: Array, cost: Array, step: float) -> tuple[Array, NDArray[np.int64]]:
    """What it costs (m,) to come from the first of ``nodes`` (m, k) to each by self-motion, and over which (m,)."""
    apart = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    free = np.isfinite(cost)
    free[0] = True
    joined = (apart > 0) & (apart < 1.7 * step) & free[:, None] & free
    total, back = dijkstra(np.where(joined, apart, 0.0), indices=0, return_predecessors=True)
    # A stop more is worth avoiding; each costs about as much as a layer's worth of motion.
    return np.where(total > 0, 1.0 + 4.0 * total, total) + np.where(total > 0, cost, 0.0), back


def posture_cost(chain: ToolChain, q: Array) -> Array:
    """(n,) what it costs to be near limits, and near where the arm loses a direction."""
    room = np.minimum(q - chain.lower, chain.upper - q)
    close = np.maximum(0.0, 1.0 - room / _NEAR_LIMIT)
    _, J = chain.poses_and_jacobians(q)
    smallest = np.linalg.svd(J, compute_uv=False)[:, -1]
    return np.sum(close * close, axis=1) + 0.5 * np.maximum(0.0, 1.0 - smallest / 0.05) ** 2


def smoothed(chain: ToolChain, q: Array, at: Array, X_WT: Array, free: Callable[[Array], Mask]) -> Array:
    """A way (n, k) along the same poses, drawn taut by self-motion where that stays free; its start stays."""
    if not chain.redundancy or len(q) < 3:
        return q
    for _ in range(4):
        _, J = chain.poses_and_jacobians(q)
        ways = chain.null_spaces(J)
        step = _taut(q, ways, np.diff(at))
        for share in (1.0, 0.5, 0.2):
            tried = q + share * np.clip(step, -0.3, 0.3)
            found = chain.reach(tried, X_WT, iterations=5)
            good = (found.error < _REACHED).all() and (np.abs(np.diff(found.q, axis=0)).max() < JUMP)
            if good and free(found.q).all():
                break
        else:
            return q
        moved = float(np.abs(found.q - q).max())
        q = found.q
        if moved < 0.01:
            break
    return q


def _taut(q: Array, ways: Array, gaps: Array) -> Array:
    """(n, k) the self-motion that makes a way shortest and smoothest, to first order."""
    n, k, d = ways.shape
    weight = np.sqrt(gaps.mean() / np.maximum(gaps, 1e-6))[:, None]
    first = np.zeros((n - 1, n))
    first[range(n - 1), range(n - 1)], first[range(n - 1), range(1, n)] = -1.0, 1.0
    second = np.diff(first, axis=0)
    operator = np.concatenate([weight * first, 2.0 * second])
    rows = np.einsum("rn,nkd->rknd", operator, ways).reshape(-1, n * d)
    wanted = -(operator @ q).reshape(-1)
    alpha = np.linalg.lstsq(rows[:, d:], wanted, rcond=None)[0]
    step = np.zeros((n, k))
    step[1:] = np.einsum("nkd,nd->nk", ways[1:], alpha.reshape(n - 1, d))
    return step
