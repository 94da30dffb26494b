"""Lower bounds of distances from boxes and balls alone: they settle most of a path at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Environment, extents
from edmp.validate.kinematic_tree import PieceMotion, Poses
from edmp.validate.path_table import Intervals

Array = NDArray[np.float64]


def box_bounds(arm: Arm, environment: Environment, poses: Poses, intervals: Intervals, motion: PieceMotion) -> Array:
    """(intervals, moving pieces, obstacles): lower bounds of the distance from boxes round the swept pieces [m]."""
    out = np.empty((len(intervals), arm.moving, len(environment)))
    stray = motion.stray[:, :, 0]
    for g, R_0G in enumerate(environment.frames):
        members = np.flatnonzero(environment.frame_of == g)
        if not len(members):
            continue
        lower, upper = extents(arm, poses, R_0G)
        a, b = intervals.a, intervals.b
        low = np.minimum(lower[:, a], lower[:, b]) - stray
        high = np.maximum(upper[:, a], upper[:, b]) + stray
        worst = np.full((len(intervals), arm.moving, len(members)), -np.inf)
        squared = np.zeros_like(worst)
        for k in range(3):
            bottom, top = environment.lower[members, k], environment.upper[members, k]
            gap = np.maximum(low[k][:, :, None] - top, bottom - high[k][:, :, None])
            np.maximum(worst, gap, out=worst)
            np.maximum(gap, 0.0, out=gap)
            squared += gap * gap
        out[:, :, members] = np.where(squared > 0.0, np.sqrt(squared), worst)
    return out


def ball_bounds(arm: Arm, poses: Poses, intervals: Intervals, motion: PieceMotion) -> Array:
    """(intervals, self pairs): lower bounds of the distance from bounding spheres [m]."""
    m, f = arm.self_moving, arm.self_fixed
    if not len(m):
        return np.empty((len(intervals), 0))
    bodies = np.array([piece.body for piece in arm.pieces])
    R, p = poses.R, poses.p
    c_m = p[:, bodies[m]] + np.einsum("npij,pj->npi", R[:, bodies[m]], arm.centres[m])
    c = np.einsum("npji,npj->npi", R[:, bodies[f]], c_m - p[:, bodies[f]]) - arm.centres[f]
    ca, cb = c[intervals.a], c[intervals.b]
    middle = np.linalg.norm(0.5 * (ca + cb), axis=2) - 0.5 * np.linalg.norm(cb - ca, axis=2)
    stray = motion.stray[:, m, bodies[f]]
    return middle - arm.radii[m] - arm.radii[f] - stray


def may_be_nearest(arm: Arm, environment: Environment, poses: Poses, motion: PieceMotion) -> NDArray[np.bool_]:
    """(obstacles,) False for those that are certainly not the nearest on the way: they decide nothing.

    Some point of the arm where the path begins is within ``near`` of some obstacle, so that the clearance is no
    more than that. Obstacles whose boxes keep further away from the boxes of the whole way cannot matter.
    """
    R, p = poses.R[0, arm.bodies], poses.p[0, arm.bodies]
    points = p + np.einsum("mij,mj->mi", R, [piece.polytope.vertices[0] for piece in arm.pieces[: arm.moving]])
    near = min((float(np.linalg.norm(environment.points - point, axis=1).min()) for point in points), default=0.0)
    stray = motion.stray[:, :, 0].max(axis=0)
    apart = np.full(len(environment), np.inf)
    for g, R_0G in enumerate(environment.frames):
        members = np.flatnonzero(environment.frame_of == g)
        lower, upper = extents(arm, poses, R_0G)
        lower, upper = lower.min(axis=1) - stray, upper.max(axis=1) + stray  # (3, moving pieces)
        for low, high in zip(lower.T, upper.T, strict=True):
            gap = np.maximum(np.maximum(low - environment.upper[members], environment.lower[members] - high), 0.0)
            apart[members] = np.minimum(apart[members], np.linalg.norm(gap, axis=1))
    return apart <= near
