"""Straight ways of the tool to a place and from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.carry import carried_at_once
from edmp.cartesian.chain import ToolChain, size_of
from edmp.geometry.tool_path import ToolPath
from edmp.goals.kinds import ROTATION_TOLERANCE, TOLERANCE
from edmp.robots.robot import Robot
from edmp.trajectory import clamped_spline
from edmp.validate import Judge, Verdict
from edmp.validate.tasks import poses_at

Array = NDArray[np.float64]

STEP = 0.0125
"""Configurations on a straight way are no farther apart than this [m]."""
_LEAST = 3
"""Steps of a straight way at least."""
CORNER, _SHARE = 0.025, 1 / 3
"""Where a straight and a free motion are joined, the corner is rounded: over so much of the straight way at most [m],
and over no more than that share of it. A spline turns off its control points over the last step."""
_FINER = 3
"""Steps are halved so often at most, until a spline with such control points keeps to the line."""
_CLOSE = 3e-4
"""How near it is to keep to it [m]; 1 rad counts as 0.25 m."""
SHARES = (1.0, 0.5, 0.2)
"""Where there is no room for the whole of a straight way, a shorter one is taken."""
LIFT_SHARES = (*SHARES, 0.05)
"""Under a low board a few millimetres are enough to lift something, or to put it down."""
_INSIDE = 1e-3
"""Joints keep this from their limits, which a curve between configurations needs [rad or m]."""


def tool_at(robot: Robot, q: Array) -> Array:
    """(4, 4) pose of the tool in the world at ``q`` (dof,)."""
    return np.asarray(poses_at(robot, q)[robot.tool.body] @ robot.tool.X_BT)


def chain_of(robot: Robot) -> ToolChain:
    """The joints that move the tool, as straight ways use them."""
    return ToolChain(robot, inside=_INSIDE)


def straight(chain: ToolChain, q: Array, shift_W: Array) -> Array | None:
    """(n, dof) configurations from ``q`` on, of which the tool goes straight by ``shift_W`` (3,) and does not turn.

    A spline with these control points keeps to the line, too. ``q`` alone if there is nowhere to go; None where a
    limit, a singularity or the reach is in the way.
    """
    length = float(np.linalg.norm(shift_W))
    if length < 1e-4:
        return q[None]
    q0 = q[chain.columns]
    begin, points = chain.poses(q0[None]), q0[None]
    for finer in range(_FINER + 1):
        n = 2**finer * max(_LEAST, int(np.ceil(length / STEP)))
        X_WT = np.repeat(begin, n, axis=0)
        X_WT[:, :3, 3] += np.arange(1, n + 1)[:, None] / n * shift_W
        points = carried_at_once(chain.widened(q0), q0, X_WT)
        if len(points) <= n:
            return None
        if _off_line(chain, points, begin[0], shift_W) < _CLOSE:
            break
    whole = np.repeat(q[None], len(points), axis=0)
    whole[:, chain.columns] = points
    return whole


def _off_line(chain: ToolChain, points: Array, X_WT: Array, shift_W: Array) -> float:
    """How far from its line a spline with control points takes the tool at most, 1 rad counted as 0.25 m [m]."""
    X = chain.poses(clamped_spline(points)(np.linspace(0.0, 1.0, 3 * (len(points) - 3) + 1)))
    axis = shift_W / np.linalg.norm(shift_W)
    along = (X[:, :3, 3] - X_WT[:3, 3]) @ axis
    wanted = np.repeat(X_WT[None], len(X), axis=0)
    wanted[:, :3, 3] += along[:, None] * axis
    return float(size_of(chain.twist_to(X, wanted)).max())


def line_from(chain: ToolChain, q: Array, shift_W: Array) -> ToolPath | None:
    """What the tool keeps to where a motion begins at ``q`` (dof,) with `straight`: up to the corner that is rounded.

    None if it goes nowhere.
    """
    length = float(np.linalg.norm(shift_W))
    if length < 1e-4:
        return None
    begin = chain.poses(q[chain.columns][None])[0]
    end = begin.copy()
    end[:3, 3] += (1.0 - min(CORNER / length, _SHARE)) * shift_W
    return ToolPath(np.stack([begin, end]), np.zeros(0), TOLERANCE, ROTATION_TOLERANCE)


def longest_free(
    chain: ToolChain, judge: Judge, q: Array, shift_W: Array, shares: Sequence[float] = SHARES
) -> tuple[Array | None, str]:
    """The longest of a few ``shares`` of ``shift_W`` (3,) that the tool can go straight, and why no longer.

    Returns:
        The shift (3,), None if not even the shortest is free; and what is in the way of the last one that is not.
    """
    why = ""
    for share in shares:
        points = straight(chain, q, share * shift_W)
        if points is None:
            why = "a joint limit or the reach"
            continue
        there = judge.check(points[-1])
        verdict: Verdict = judge.check_path(points) if there.valid and not there.allowed else there
        if verdict.valid:
            return share * shift_W, why
        why = _in_the_way(verdict)
    return None, why


def _in_the_way(verdict: Verdict) -> str:
    """Few words, without numbers: what fails alike is counted together."""
    for contact in (*verdict.contacts, *verdict.allowed):
        return f"{contact.link} and {contact.other} meet" if contact.with_self else f'"{contact.other}" is in the way'
    return "a joint limit" if verdict.limits else verdict.message()
