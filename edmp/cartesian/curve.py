"""From configurations along a tool path to a joint-space curve whose tool follows it, and its timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline

from edmp.cartesian.chain import ToolChain
from edmp.geometry.tool_path import ToolPath
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot
from edmp.timing import retime_curve
from edmp.trajectory import Trajectory, joined

Array = NDArray[np.float64]

_FINE = 0.004
"""Spacing of the configurations that a curve goes through [m]."""
_EDGE = 0.02
"""No joint moves further along an edge of the path [rad]."""
_EXACT = 1e-7
"""How near its pose each of them has the tool [m]."""


@dataclass(frozen=True)
class Curve:
    """A motion along a tool path: legs from stop to stop.

    Attributes:
        legs: twice differentiable curves on [0, 1], (dof,) [rad or m].
        bends: whether the tool's path does, so that its waypoints must lie close together.
    """

    legs: tuple[BSpline, ...]
    bends: bool = False

    def polyline(self) -> Array:
        """(n, dof) waypoints with edges so short that the tool hardly leaves its path between them."""
        parts = [self.legs[0](np.zeros(1))]
        for leg in self.legs:
            rough = leg(np.linspace(0.0, 1.0, 64))
            count = max(4, int(np.ceil(np.abs(np.diff(rough, axis=0)).sum(axis=0).max() / _EDGE)))
            count = max(count, len(leg.c)) if self.bends else count
            parts.append(leg(np.linspace(0.0, 1.0, count + 1)[1:]))
        return np.concatenate(parts)

    def timed(self, limits: Limits, robot: Robot, *, period: float) -> Trajectory:
        """The motion as fast as the limits allow, at rest at the end of each leg."""
        return joined([retime_curve(leg, limits, robot=robot, period=period) for leg in self.legs])


def curve_through(chain: ToolChain, path: ToolPath, at: Array, q: Array, rest: Array) -> Curve | None:
    """The curve near configurations ``q`` (n, k), n >= 2, at distances ``at`` (n,) along the path.

    Configurations in between are put exactly at their poses; None if one cannot be.

    Args:
        chain: the joints that move the tool.
        path: of the tool.
        at, q: see above.
        rest: (dof,) a configuration of the robot: the joints that do not move the tool stay as they are there.
    """
    stops = [stop for stop in path.stops if at[0] + 1e-9 < stop < at[-1] - 1e-9]
    legs = []
    for begin, end in zip([at[0], *stops], [*stops, at[-1]], strict=True):
        rows = (at >= begin - 1e-9) & (at <= end + 1e-9)
        leg = _leg(chain, path, at[rows], q[rows], rest)
        if leg is None:
            return None
        legs.append(leg)
    return Curve(tuple(legs), bends=bool(path.blends.any()))


def self_motion(chain: ToolChain, X_WT: Array, q: Array, rest: Array) -> BSpline | None:
    """The curve that stays at one pose of the tool, near configurations ``q`` (n, k); None if there is none."""
    arc = _arc(q)
    fine = np.linspace(0.0, 1.0, max(8, int(arc[-1] / 0.03)))
    rough = np.stack([np.interp(fine * arc[-1], arc, column) for column in q.T], axis=1)
    found = chain.reach(rough, np.broadcast_to(X_WT, (len(fine), 4, 4)), iterations=10)
    found.q[0], found.q[-1] = q[0], q[-1]
    return _spline(found.q, chain, rest) if (found.error < _EXACT).all() else None


def _leg(chain: ToolChain, path: ToolPath, at: Array, q: Array, rest: Array) -> BSpline | None:
    count = max(8, int(np.ceil((at[-1] - at[0]) / _FINE)))
    fine = np.linspace(at[0], at[-1], count + 1)
    rough = CubicSpline(at, q)(fine) if len(at) > 3 else np.stack([np.interp(fine, at, x) for x in q.T], axis=1)
    found = chain.reach(rough, path.poses(fine), iterations=10)
    if not (found.error < _EXACT).all():
        return None
    found.q[0], found.q[-1] = q[0], q[-1]
    return _spline(found.q, chain, rest)


def _spline(q: Array, chain: ToolChain, rest: Array) -> BSpline:
    whole = np.repeat(rest[None], len(q), axis=0)
    whole[:, chain.columns] = q
    arc = _arc(q)
    spline = make_interp_spline(arc / arc[-1], whole, k=3)
    spline.c[0], spline.c[-1] = whole[0], whole[-1]
    return spline


def _arc(q: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.maximum(np.linalg.norm(np.diff(q, axis=0), axis=1), 1e-9))])
