"""Which part of a crowd is nearest to a piece of the arm, or deepest in it, at one configuration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edmp.validate.crowds import CrowdView
from edmp.validate.part_tree import CELL, FINEST, GROUP

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_FIRST, _BATCH = 4, 32
"""So many boxes are opened at once at most: before a part was asked about, and later."""
SAME = 1e-7
"""Parts that are nearer than the nearest by less than this are not looked at [m]."""
_FINE = 8
"""Cells of a field are cut until they are so many times smaller than they are deep in the piece."""
_FINE_APART, _COARSEST = 64, 5e-4
"""Where they are apart from it, so many times smaller than the distance, and down to this at least [m]."""


def nearest_part(
    view: CrowdView, k: int, ask: Callable[[int], tuple[Array, float]], contact: float
) -> tuple[Array, float]:
    """The direction from part to piece, (3,) in the obstacle's frame, and the distance [m]; minus the depth in contact.

    Best first: boxes of parts are opened while they may hold one that is nearer. The depth of a part is that along the
    best of the piece's faces and the obstacle's axes: between edges it may be a little less.

    Args:
        view: the arm at that configuration, and the crowd.
        k: the piece.
        ask: direction and gap of a part by its number, both exact.
        contact: what is nearer than this touches [m].
    """
    zero = np.zeros(1, dtype=np.int64)
    tree, box = view.tree, view.items(zero, zero, np.array([k]), np.zeros(1))
    node, bound, n, tried = zero, np.full(1, -np.inf), np.zeros((1, 3)), np.ones(1, dtype=bool)
    best, most = np.zeros(3), np.inf
    while len(node):
        order = np.argsort(bound, kind="stable")
        node, bound, n, tried = node[order], bound[order], n[order], tried[order]
        few = _BATCH if np.isfinite(most) else _FIRST  # a first part, soon: it rules most others out
        fresh = np.flatnonzero(~tried[:few])
        inner = np.flatnonzero(_can_open(view, node[:few], bound[:few]) & tried[:few])
        if len(fresh) and fresh[0] == 0:  # known by its box only
            lower, n[fresh] = view.fixed_bounds(box, k, node[fresh])
            bound[fresh], tried[fresh] = np.maximum(bound[fresh], lower), True
        elif len(inner) and inner[0] == 0:
            _, new = tree.children(node[inner])
            lower = view.box_bounds(box, np.zeros_like(new), new)
            node, bound = (np.concatenate([np.delete(old, inner), more]) for old, more in ((node, new), (bound, lower)))
            n = np.concatenate([np.delete(n, inner, 0), np.zeros((len(new), 3))])
            tried = np.concatenate([np.delete(tried, inner), np.zeros(len(new), dtype=bool)])
        else:
            direction, gap = ask(int(node[0]))
            if gap <= contact:
                direction, gap = n[0], min(gap, float(bound[0]))
            if gap < most:
                best, most = direction, gap
            node, bound, n, tried = node[1:], bound[1:], n[1:], tried[1:]
            solid = np.flatnonzero((tree.kind[node] != GROUP) & (bound < most))
            if gap > contact and len(solid):
                again = view.bounds(box, np.zeros_like(solid), node[solid], np.tile(direction, (len(solid), 1)))
                bound[solid] = np.maximum(bound[solid], again)
        near = bound < most - SAME
        node, bound, n, tried = node[near], bound[near], n[near], tried[near]
    return best, most


def likely_part(view: CrowdView, k: int) -> int:
    """A part that is near to piece ``k`` at that configuration, if not the nearest: a few steps down, by bounds alone.

    A cell of a field that is small enough for `nearest_part` is not cut further.
    """
    zero = np.zeros(1, dtype=np.int64)
    box, node = view.items(zero, zero, np.array([k]), np.zeros(1)), zero
    while True:
        bound, _ = view.fixed_bounds(box, k, node)
        order = np.argsort(bound, kind="stable")[:_FIRST]
        node, bound = node[order], bound[order]
        inner = _can_open(view, node, bound)
        if not inner[0]:
            return int(node[0])
        node = np.concatenate([node[~inner], view.tree.children(node[inner])[1]])


def _can_open(view: CrowdView, node: Index, bound: Array) -> NDArray[np.bool_]:
    """Groups, and cells that are not small enough yet."""
    tree = view.tree
    edge = (tree.upper[node] - tree.lower[node]).max(axis=1)
    small = np.where(bound > 0.0, np.minimum(bound / _FINE_APART, _COARSEST), -bound / _FINE)
    return (tree.kind[node] == GROUP) | ((tree.kind[node] == CELL) & (edge > np.maximum(small, FINEST)))
