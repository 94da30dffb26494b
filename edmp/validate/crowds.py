"""An obstacle of very many small convex parts, and the arm as seen from it.

Of a part, a box larger all round by a radius, the support function is ``n . centre + |n| . half + radius``; so is that
of any box of parts. The bounds of `edmp.validate.pieces` hold for both alike, for whatever direction: here they are
evaluated for many triples (item, box) at once, an item being a piece of the arm on an interval of its motion.
Directions are proposed by the axes of the obstacle, by the piece's own faces, and by whoever asks FCL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Crowd, extents
from edmp.validate.kinematic_tree import Poses
from edmp.validate.part_tree import CELL, GROUP, PART
from edmp.validate.separation import best_direction

Array = NDArray[np.float64]
Index = NDArray[np.int64]


AT_ONCE = 1 << 16
"""So many triples are looked at at once; a few hundred bytes each."""


@dataclass(frozen=True, eq=False)
class Items:
    """Pieces of the arm on intervals: from configuration ``a`` to ``b``, no point strays further than ``stray`` [m].

    ``low``, ``high`` (n, 3): boxes round them in the obstacle's frame [m].
    """

    a: Index
    b: Index
    piece: Index
    stray: Array
    low: Array
    high: Array

    def __len__(self) -> int:
        return len(self.a)


class CrowdView:
    """The arm at some configurations, in the frame of one crowd."""

    def __init__(self, arm: Arm, poses: Poses, crowd: Crowd) -> None:
        self.arm, self.crowd, self.tree = arm, crowd, crowd.tree
        self._R = np.einsum("ji,nbjk->nbik", crowd.R, poses.R)  # of the bodies, in the obstacle's frame
        self._p = (poses.p - crowd.p) @ crowd.R
        self._low, self._high = (ends.transpose(1, 2, 0) for ends in extents(arm, poses, crowd.R))
        self._shift = crowd.p @ crowd.R

    def items(self, a: Index, b: Index, piece: Index, stray: Array) -> Items:
        """Items with their boxes."""
        low = np.minimum(self._low[a, piece], self._low[b, piece]) - self._shift - stray[:, None]
        high = np.maximum(self._high[a, piece], self._high[b, piece]) - self._shift + stray[:, None]
        return Items(a, b, piece, stray, low, high)

    def doubtful(
        self, items: Items, wanted: Array, item: Index, node: Index, floor: Array
    ) -> tuple[Index, Index, Array]:
        """Triples (item, node) that may be nearer than ``wanted`` (items,): their items, nodes, and bounds [m].

        Groups are opened; but of very many triples, those that are smaller than their item strays are returned as they
        are, so that their number stays bounded. Of all that is not returned the bounds are noted in ``floor`` (items,),
        where they are less.
        """
        found: list[tuple[Index, Index, Array]] = []
        waiting, held = [(item, node)], 0
        while waiting:
            item, node = waiting.pop()
            if len(item) > AT_ONCE:
                waiting.append((item[AT_ONCE:], node[AT_ONCE:]))
                item, node = item[:AT_ONCE], node[:AT_ONCE]
            bound = self.box_bounds(items, item, node)
            item, node, bound = _above(bound, wanted, floor, item, node)
            if len(item):
                bound = np.maximum(bound, self.face_bounds(items, item, node))
                item, node, bound = _above(bound, wanted, floor, item, node)
            opened = self.tree.kind[node] == GROUP
            if held > AT_ONCE:  # parts of a group that is smaller than its item strays will all be in doubt
                opened &= (self.tree.upper[node] - self.tree.lower[node]).max(axis=1) > items.stray[item]
            found.append((item[~opened], node[~opened], bound[~opened]))
            held += len(found[-1][0])
            parent, node = self.tree.children(node[opened])
            if len(parent):
                waiting.append((item[opened][parent], node))
        item, node, bound = (np.concatenate(part) for part in zip(*found, strict=True))
        return item, node, bound

    def box_bounds(self, items: Items, item: Index, node: Index) -> Array:
        """(triples,) bounds along the axes of the obstacle [m]."""
        squared, worst = np.zeros(len(node)), np.full(len(node), -np.inf)
        for k in range(3):  # a column at a time: rows of three are slow
            gap = self.tree.lower[node, k] - items.high[item, k]
            np.maximum(gap, items.low[item, k] - self.tree.upper[node, k], out=gap)
            np.maximum(worst, gap, out=worst)
            np.maximum(gap, 0.0, out=gap)
            gap *= gap
            squared += gap
        return np.where(squared > 0.0, np.sqrt(squared), worst) - self.tree.radius

    def face_bounds(self, items: Items, item: Index, node: Index) -> Array:
        """(triples,) bounds along faces of the pieces, as they are turned at either end [m]."""
        lower, upper = self.tree.lower[node], self.tree.upper[node]
        best = np.full(len(item), -np.inf)
        for k, rows in self._by_piece(items, item):
            i, low, high = item[rows], lower[rows], upper[rows]
            a, b, body = items.a[i], items.b[i], self.arm.pieces[k].body
            R_a, R_b, p_a, p_b = self._R[a, body], self._R[b, body], self._p[a, body], self._p[b, body]
            for R, p in ((R_a, p_a), (R_b, p_b)):
                n = self._proposed(k, R, p, low, high)
                ends = self._spans(k, n, R_a, p_a), self._spans(k, n, R_b, p_b)
                gap = np.minimum(*ends) - _support(n, low, high) - items.stray[i]
                best[rows] = np.maximum(best[rows], gap)
                if (a == b).all():
                    break
        return best - self.tree.radius

    def bounds(self, items: Items, item: Index, node: Index, n: Array) -> Array:
        """(triples,) bounds along directions ``n`` (triples, 3) from part to piece, in the obstacle's frame [m]."""
        bound = np.empty(len(item))
        for k, rows in self._by_piece(items, item):
            i, body = item[rows], self.arm.pieces[k].body
            ends = [self._spans(k, n[rows], self._R[c, body], self._p[c, body]) for c in (items.a[i], items.b[i])]
            bound[rows] = np.minimum(*ends) - items.stray[i]
        return bound - _support(n, self.tree.lower[node], self.tree.upper[node]) - self.tree.radius

    def fixed_bounds(self, box: Items, k: int, node: Index) -> tuple[Array, Array]:
        """Of a piece at configuration 0: bounds (m,) along its faces and the obstacle's axes, and those (m, 3).

        ``box`` is that one item [m].
        """
        piece, tree = self.arm.pieces[k], self.tree
        lower, upper = tree.lower[node], tree.upper[node]
        N = piece.polytope.planes[:, :3] @ self._R[0, piece.body].T
        offset = piece.polytope.planes[:, 3] - N @ self._p[0, piece.body]
        gaps = 0.5 * (lower + upper) @ N.T + offset - 0.5 * (upper - lower) @ np.abs(N).T
        gaps = np.concatenate([gaps, lower - box.high[0], box.low[0] - upper], axis=1)
        along = np.concatenate([-N, -np.eye(3), np.eye(3)])
        which = gaps.argmax(axis=1)
        bound = gaps[np.arange(len(node)), which] - tree.radius
        return np.maximum(bound, self.box_bounds(box, np.zeros_like(node), node)), along[which]

    def _proposed(self, k: int, R: Array, p: Array, low: Array, high: Array) -> Array:
        """(m, 3) for boxes the outward face of a piece that the box's point nearest to it is farthest out of, turned
        round."""
        piece = self.arm.pieces[k]
        middle = p + R @ piece.convex.centre
        nearest = np.clip(middle, low, high) - p
        planes = piece.polytope.planes
        x = np.einsum("mji,mj->mi", R, nearest)
        out = x @ planes[:, :3].T
        out += planes[:, 3]
        return -np.einsum("mij,mj->mi", R, planes[out.argmax(axis=1), :3])

    def _spans(self, k: int, n: Array, R: Array, p: Array) -> Array:
        """(m,) least coordinate of a piece along directions ``n`` (m, 3)."""
        n_B = np.einsum("mji,mj->mi", R, n)
        return np.einsum("mi,mi->m", n, p) + (n_B @ self.arm.pieces[k].polytope.vertices.T).min(axis=1)

    def _by_piece(self, items: Items, item: Index) -> Iterator[tuple[int, Index]]:
        piece = items.piece[item]
        for k in np.unique(piece).tolist():
            yield k, np.flatnonzero(piece == k)


def _support(n: Array, low: Array, high: Array) -> Array:
    return np.einsum("mi,mi->m", n, np.where(n > 0.0, high, low))


def _above(bound: Array, wanted: Array, floor: Array, item: Index, node: Index) -> tuple[Index, Index, Array]:
    """Triples whose bound is not above what is wanted; of the others the bounds are noted."""
    open_ = bound <= wanted[item]
    if not open_.all():
        np.minimum.at(floor, item[~open_], bound[~open_])
    return item[open_], node[open_], bound[open_]


def depth_of_base(arm: Arm, k: int, crowd: Crowd, enough: float) -> float:
    """Depth of the part that is deepest in piece ``k`` of the fixed base; 0 if it is not over ``enough`` [m]."""
    piece, tree = arm.pieces[k], crowd.tree
    axes = crowd.R.T
    high, low = piece.polytope.support(axes), -piece.polytope.support(-axes)
    shift, zero = crowd.p @ crowd.R, np.zeros(1, dtype=np.int64)
    still = Items(zero, zero, np.array([k]), np.zeros(1), (low - shift)[None], (high - shift)[None])
    view = CrowdView(arm, arm.tree.poses(np.zeros((1, arm.tree.dof))), crowd)
    deepest, item, node = 0.0, zero, zero
    while len(node):
        item, node, bound = view.doubtful(still, np.array([-max(enough, deepest)]), item, node, np.full(1, np.inf))
        order = np.argsort(bound, kind="stable")
        order = order[tree.kind[node[order]] == PART]
        for one, least in zip(node[order].tolist(), bound[order].tolist(), strict=True):
            if -least <= max(enough, deepest):  # nor is any that comes after it deeper
                break
            part = crowd.part(one)
            p = -part.p @ part.R
            centre = piece.convex.centre @ part.R + p
            gap = best_direction(piece.polytope, part.R.T, p, part.convex, centre[None])[0]
            if -gap > max(enough, deepest):
                deepest = -gap
        _, node = tree.children(node[tree.kind[node] == CELL])
        item = np.zeros(len(node), dtype=np.int64)
    return deepest
