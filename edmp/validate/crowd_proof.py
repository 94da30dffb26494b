"""Proof of what `edmp.validate.proof` proves, of the pairs of one crowd: the same inequalities, part by part."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Crowd
from edmp.validate.crowds import CrowdView, Items
from edmp.validate.kinematic_tree import PieceMotion, Poses
from edmp.validate.part_tree import CELL, GROUP
from edmp.validate.path_table import Intervals, PathTable
from edmp.validate.probe import Direction

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_ROUNDS = 8
"""FCL is asked about so many parts near a piece, then the interval is halved."""


class CrowdProof:
    """One attempt to prove pieces of the arm free of a crowd, each on some intervals of a path.

    Boxes of parts, then parts, are tried with directions of the piece and of the obstacle. Of what is left, FCL is
    asked for a direction, which all parts near the same piece are tried with; then the interval is halved.

    Args:
        table: the path.
        crowd: the obstacle.
        pair: (n,) pairs to prove, by number.
        wanted: the bounds that pairs have to beat [m].
        ask: a direction that separates the piece of a pair from a part (configuration, pair, node), or None: a contact
            was found, which ends the attempt.

    Attributes:
        floor: (n,) proved distances, if no contact was found [m].
    """

    def __init__(
        self,
        table: PathTable,
        crowd: Crowd,
        pair: Index,
        wanted: Callable[[Index], Array],
        ask: Callable[[int, int, int], Direction | None],
    ) -> None:
        self._table, self._crowd, self._wanted, self._ask = table, crowd, wanted, ask
        self._pair = pair
        self.floor = np.full(len(pair), np.inf)

    def run(self, intervals: Intervals, motion: PieceMotion, interval: Index, piece: Index) -> bool:
        """Try pair k on interval ``interval[k]``; ``piece`` (n,) are the pieces. False if a contact was found."""
        if not len(interval):
            return True
        which = item = np.arange(len(interval))  # the pair of each item; the item of each triple
        node = np.zeros(len(item), dtype=np.int64)
        while True:
            items, view, probe = self._items(intervals, motion, interval, piece[which])
            floor = np.full(len(items), np.inf)
            stuck = self._at(items, view, probe, self._pair[which], item, node, floor)
            np.minimum.at(self.floor, which, floor)
            if stuck is None or not len(stuck[0]):
                return stuck is not None
            item, node = stuck
            few, item = np.unique(item, return_inverse=True)
            halved, index = np.unique(interval[few], return_inverse=True)
            intervals, _ = self._table.halve(intervals, halved)
            motion = self._table.motion(intervals)
            interval, which = np.concatenate([index, index + len(halved)]), np.tile(which[few], 2)
            item, node = np.concatenate([item, item + len(few)]), np.tile(node, 2)

    def apart(
        self, intervals: Intervals, motion: PieceMotion, interval: Index, piece: Index, least: Array
    ) -> NDArray[np.bool_]:
        """(n,) true where all parts are further than ``least`` (n,) by directions at hand, without asking FCL [m]."""
        items, view, _ = self._items(intervals, motion, interval, piece)
        every = np.arange(len(items))
        item, _, _ = view.doubtful(items, least, every, np.zeros_like(every), np.full(len(items), np.inf))
        return ~np.isin(every, item)

    def _items(
        self, intervals: Intervals, motion: PieceMotion, interval: Index, piece: Index
    ) -> tuple[Items, CrowdView, Index]:
        """Items, the view that has their configurations, and where in the table FCL is to be asked about each."""
        poses = self._table.poses
        ids, index = np.unique(np.stack([intervals.a[interval], intervals.b[interval]]), return_inverse=True)
        a, b = index.reshape(2, -1)
        view = CrowdView(self._table.arm, Poses(poses.R[ids], poses.p[ids]), self._crowd)
        return view.items(a, b, piece, motion.stray[interval, piece, 0]), view, intervals.probe[interval]

    def _at(
        self, items: Items, view: CrowdView, probe: Index, pair: Index, item: Index, node: Index, floor: Array
    ) -> tuple[Index, Index] | None:
        """Triples (item, node) that have to be halved; None if a contact was found."""
        tree = self._crowd.tree
        halve: list[tuple[Index, Index]] = []
        while len(item):
            item, node, bound = view.doubtful(items, self._wanted(pair), item, node, floor)
            shut = tree.kind[node] == GROUP  # smaller than the item strays
            halve.append((item[shut], node[shut]))
            item, node, bound = item[~shut], node[~shut], bound[~shut]
            edge = (tree.upper[node] - tree.lower[node]).max(axis=1)
            cut = (tree.kind[node] == CELL) & (edge > items.stray[item])
            stuck = self._settle(items, view, probe, pair, (item[~cut], node[~cut], bound[~cut]), floor)
            if stuck is None:
                return None
            halve.append(stuck)
            parent, node = tree.children(node[cut])
            item = item[cut][parent]
        if not halve:
            return item, node
        item, node = (np.concatenate(part) for part in zip(*halve, strict=True))
        return item, node

    def _settle(
        self,
        items: Items,
        view: CrowdView,
        probe: Index,
        pair: Index,
        triples: tuple[Index, Index, Array],
        floor: Array,
    ) -> tuple[Index, Index] | None:
        """Ask about the nearest part of each item, some times; returns what is not proved with these directions."""
        item, node, bound = triples
        stuck: list[tuple[Index, Index]] = []
        for _ in range(_ROUNDS):
            if not len(item):
                break
            order = np.lexsort((bound, item))
            item, node, bound = item[order], node[order], bound[order]
            first = np.flatnonzero(np.concatenate([[True], item[1:] != item[:-1]]))
            directions = np.zeros((len(items), 3))
            for t in first.tolist():
                i = int(item[t])
                answer = self._ask(int(probe[i]), int(pair[i]), int(node[t]))
                if answer is None:
                    return None
                directions[i] = answer.n @ self._crowd.R
            asked = np.zeros(len(item), dtype=bool)
            asked[first] = True
            bound = np.maximum(bound, view.bounds(items, item, node, directions[item]))
            open_ = bound <= self._wanted(pair)[item]
            np.minimum.at(floor, item[~open_], bound[~open_])
            hopeless = np.zeros(len(items), dtype=bool)
            hopeless[item[open_ & asked]] = True  # not even the part that was asked about: the interval is too long
            stuck.append((item[open_ & hopeless[item]], node[open_ & hopeless[item]]))
            left = open_ & ~hopeless[item]
            item, node, bound = item[left], node[left], bound[left]
        stuck.append((item, node))
        item, node = (np.concatenate(part) for part in zip(*stuck, strict=True))
        return item, node
