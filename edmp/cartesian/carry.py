"""The arm carried along a tool path with least joint motion: the simplest way to follow it, and mostly enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.chain import ToolChain

Array = NDArray[np.float64]

JUMP = 0.35
"""No joint moves further than this from one pose to the next [rad or m]."""
_TOLERANCE, _THERE = 1e-7, 1e-6
"""Where the solver stops, and what is no farther from its pose than this is there [m]."""


def carried(chain: ToolChain, q: Array, X_WT: Array) -> Array:
    """Configurations that take the tool through poses, pose after pose, as far as that goes.

    Args:
        chain: the joints that move the tool.
        q: (k,) where it begins [rad or m].
        X_WT: (n, 4, 4) the poses to go through, close together.

    Returns:
        (m, k), m <= n + 1: ``q``, and one configuration for each pose up to the first that cannot be reached.
    """
    points = [q[None]]
    for X in X_WT:
        found = chain.reach(points[-1], X[None], tolerance=_TOLERANCE)
        if found.error[0] > _THERE or np.abs(found.q - points[-1]).max() > JUMP:
            break
        points.append(found.q)
    return np.concatenate(points)


def carried_at_once(chain: ToolChain, q: Array, X_WT: Array) -> Array:
    """`carried`, where the way is so short that every pose can be reached from where it begins: in a quarter of the
    time. Where one cannot, the arm is carried pose after pose."""
    found = chain.reach(np.repeat(q[None], len(X_WT), axis=0), X_WT, tolerance=_TOLERANCE)
    points = np.concatenate([q[None], found.q])
    smooth = (found.error <= _THERE).all() and np.abs(np.diff(points, axis=0)).max() <= JUMP
    return points if smooth else carried(chain, q, X_WT)
