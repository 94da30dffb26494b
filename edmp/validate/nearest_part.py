"""Which part of a crowd is nearest to a piece of the arm, or deepest in it, at one configuration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edmp.validate.crowds import CrowdView
from edmp.validate.part_tree import CELL, FINEST, GROUP

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BATCH = 64
"""So many boxes are opened at once at most."""
_SAME = 1e-7
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
    tree, box = view.tree, view.items(*np.array([[0], [0], [k]]), np.zeros(1))
    node, bound, n = np.zeros(1, dtype=np.int64), np.full(1, -np.inf), np.zeros((1, 3))
    best, most = np.zeros(3), np.inf
    while len(node):
        order = np.argsort(bound, kind="stable")
        node, bound, n = node[order], bound[order], n[order]
        inner = np.flatnonzero(_can_open(view, node[:_BATCH], bound[:_BATCH]))
        if len(inner) and inner[0] == 0:
            _, fresh = tree.children(node[inner])
            lower, along = view.fixed_bounds(box, k, fresh)
            node = np.concatenate([np.delete(node, inner), fresh])
            bound, n = np.concatenate([np.delete(bound, inner), lower]), np.concatenate([np.delete(n, inner, 0), along])
        else:
            direction, gap = ask(int(node[0]))
            if gap <= contact:
                direction, gap = n[0], min(gap, float(bound[0]))
            if gap < most:
                best, most = direction, gap
            node, bound, n = node[1:], bound[1:], n[1:]
            solid = np.flatnonzero(tree.kind[node] != GROUP)
            if gap > contact and len(solid):
                again = view.bounds(box, np.zeros_like(solid), node[solid], np.tile(direction, (len(solid), 1)))
                bound[solid] = np.maximum(bound[solid], again)
        near = bound < most - _SAME
        node, bound, n = node[near], bound[near], n[near]
    return best, most


def _can_open(view: CrowdView, node: Index, bound: Array) -> NDArray[np.bool_]:
    """Groups, and cells that are not small enough yet."""
    tree = view.tree
    edge = (tree.upper[node] - tree.lower[node]).max(axis=1)
    small = np.where(bound > 0.0, np.minimum(bound / _FINE_APART, _COARSEST), -bound / _FINE)
    return (tree.kind[node] == GROUP) | ((tree.kind[node] == CELL) & (edge > np.maximum(small, FINEST)))
