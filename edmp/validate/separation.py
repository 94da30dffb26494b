"""The best separating direction of two convex bodies, or how deep they overlap.

FCL's own depths (EPA) are rough. Here every direction yields a bound, ``g(n)`` of `edmp.validate.pieces`: positive, it
proves the bodies apart by at least that; negative, moving one by ``-g`` along ``n`` frees them. The best direction of
two polytopes is a face normal of one, or across an edge of each (separating axis theorem, Gottschalk et al. 1996),
unless they are apart corner to corner; all of those are tried where their number permits, then the best is polished.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.validate.pieces import Convex, Polytope

Array = NDArray[np.float64]

_MAX_EDGE_PAIRS = 4000
_POLISH = np.random.default_rng(0).normal(size=(48, 3))


def best_direction(A: Polytope, R: Array, p: Array, B: Convex, hints: Array) -> tuple[float, Array]:
    """The direction that separates A from B best.

    Args:
        A, R, p: a polytope and its pose (3, 3), (3,) in the frame of B.
        B: a convex body.
        hints: (k, 3) further directions to try, from B to A, in the frame of B.

    Returns:
        ``(g, n)``: a signed distance [m] (exactly minus the penetration depth for polytopes with few edges) and
        the unit direction (3,) from B to A, in the frame of B.
    """
    candidates = [-A.normals @ R.T, B.normals, hints]
    if B.axis is not None:
        vertices = A.vertices @ R.T + p
        height = np.clip(vertices[:, 2], -B.axis, B.axis)
        candidates.append(vertices - np.stack([0 * height, 0 * height, height], axis=1))
    edges = A.edges
    if len(edges) * len(B.edges) <= _MAX_EDGE_PAIRS:
        across = np.cross((edges @ R.T)[:, None], B.edges).reshape(-1, 3)
        candidates += [across, -across]
    n = np.concatenate(candidates)
    length = np.linalg.norm(n, axis=1)
    n = n[length > 1e-9] / length[length > 1e-9, None]

    def g(n: Array) -> Array:
        return -A.support(-n @ R) + n @ p - B.support(n)

    values = g(n)
    best = int(values.argmax())
    value, direction = float(values[best]), n[best]
    for scale in 0.1 * 0.5 ** np.arange(14):
        trial = direction + scale * _POLISH
        trial /= np.linalg.norm(trial, axis=1, keepdims=True)
        values = g(trial)
        best = int(values.argmax())
        if values[best] > value:
            value, direction = float(values[best]), trial[best]
    return value, direction
