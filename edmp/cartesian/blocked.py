"""Where a tool can follow its line no further, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.chain import ToolChain
from edmp.geometry.tool_path import ToolPath
from edmp.result import BlockedBy
from edmp.robots.ik import solve_ik
from edmp.validate import Cause, Judge

Array = NDArray[np.float64]

_FINE = 0.002
"""Steps in which the end of what is feasible is looked for [m]."""
_AHEAD = 0.02
"""Where a pose this much further along cannot be reached at all, the reach of the arm is the reason [m]."""
_STEP = 0.3
"""No joint moves further in such a step [rad]."""
_THERE = 1e-6
_SINGULAR = 0.06
"""Where the least singular value of the Jacobian is below this, the arm has nearly lost a direction [m]."""


def crept(judge: Judge, chain: ToolChain, path: ToolPath, at: float, q: Array, end: float) -> tuple[Array, Array]:
    """How the arm can go on from ``q`` (dof,) at distance ``at`` along the path, in small steps, at most to ``end``.

    Returns:
        Distances (n,) and joint values (n, k) of ``chain``, those given first.
    """
    marks, found = [at], [q[chain.columns]]
    while marks[-1] + 1e-9 < end:
        ahead = min(end, marks[-1] + _FINE)
        step = chain.reach(found[-1][None], path.poses(np.array([ahead])), iterations=12)
        if step.error[0] > _THERE or np.abs(step.q[0] - found[-1]).max() > _STEP:
            break
        if not judge.check(_whole(q, chain, step.q[0])).valid:
            break
        marks.append(ahead)
        found.append(step.q[0])
    return np.array(marks), np.array(found)


def why_blocked(judge: Judge, chain: ToolChain, path: ToolPath, at: float, q: Array) -> tuple[BlockedBy, str]:
    """Why the arm cannot go on from ``q`` (dof,), with the tool at distance ``at`` along the path."""
    robot, here = judge.robot, q[chain.columns]
    ahead = path.poses(np.minimum(at + np.array([_FINE, _AHEAD]), path.length))
    found = chain.reach(here[None], ahead[:1], iterations=20)
    near = found.error[0] < _THERE and np.abs(found.q[0] - here).max() < _STEP
    if near and not (verdict := judge.check(_whole(q, chain, found.q[0]))).valid:
        by = BlockedBy.CONSTRAINT if verdict.cause is Cause.CONSTRAINT else BlockedBy.OBSTACLE
        return by, verdict.message()
    endless = chain.unbounded().reach(here[None], ahead[:1], iterations=20)
    if not near and endless.error[0] < _THERE and np.abs(endless.q[0] - here).max() < _STEP:
        beyond = np.maximum(chain.lower - endless.q[0], endless.q[0] - chain.upper)
        joint = robot.joint_names[int(chain.columns[int(beyond.argmax())])]
        return BlockedBy.LIMIT, f"joint {joint} comes to its limit"
    if not solve_ik(robot, ahead[1], near=q).reachable:
        return BlockedBy.REACH, f"beyond that {robot.tool.name} is out of the reach of {robot.name}"
    smallest = float(np.linalg.svd(chain.poses_and_jacobians(here[None])[1], compute_uv=False)[0, -1])
    if near and smallest > _SINGULAR and len(judge.scene):
        return BlockedBy.OBSTACLE, "none of the ways past the obstacles that were looked at leads on"
    return BlockedBy.SINGULARITY, "the arm comes to a singularity, where it would have to jump to another posture"


def _whole(q: Array, chain: ToolChain, moved: Array) -> Array:
    """``q`` (dof,) with the joints of ``chain`` as they are in ``moved``."""
    whole = q.copy()
    whole[chain.columns] = moved
    return whole
