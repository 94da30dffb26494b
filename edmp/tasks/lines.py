"""Straight ways of the tool to a place and from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.collision.reach import follow
from edmp.collision.world import World
from edmp.robots.robot import Robot
from edmp.validate import Judge, Verdict
from edmp.validate.tasks import poses_at

Array = NDArray[np.float64]

STEP = 0.0125
"""Configurations on a straight way are this far apart [m]."""
SHARES = (1.0, 0.5, 0.2)
"""Where there is no room for the whole of a straight way, a shorter one is taken."""
LIFT_SHARES = (*SHARES, 0.05)
"""Under a low board a few millimetres are enough to lift something, or to put it down."""


def tool_at(robot: Robot, q: Array) -> Array:
    """(4, 4) pose of the tool in the world at ``q`` (dof,)."""
    return np.asarray(poses_at(robot, q)[robot.tool.body] @ robot.tool.X_BT)


def straight(still: World, q: Array, shift_W: Array) -> Array | None:
    """(n, dof) configurations from ``q`` on, of which the tool goes straight by ``shift_W`` (3,) and does not turn.

    ``still`` is the arm among no obstacles; its fingers, and what it holds, do not matter here.
    ``q`` alone if there is nowhere to go; None where a limit, a singularity or the reach is in the way.
    """
    length = float(np.linalg.norm(shift_W))
    if length < 1e-4:
        return q[None]
    n = max(3, int(np.ceil(length / STEP)))
    X_WT = np.tile(tool_at(still.robot, q), (n, 1, 1))
    X_WT[:, :3, 3] += np.arange(1, n + 1)[:, None] / n * shift_W
    paths, good = follow(still, q[None], X_WT[None])
    return paths[0] if good[0] else None


def longest_free(
    still: World, judge: Judge, q: Array, shift_W: Array, shares: Sequence[float] = SHARES
) -> tuple[Array | None, str]:
    """The longest of a few ``shares`` of ``shift_W`` (3,) that the tool can go straight, and why no longer.

    Returns:
        The shift (3,), None if not even the shortest is free; and what is in the way of the last one that is not.
    """
    why = ""
    for share in shares:
        points = straight(still, q, share * shift_W)
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
