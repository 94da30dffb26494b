"""Why a tool can follow its line no further."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.chain import ToolChain
from edmp.result import BlockedBy
from edmp.robots.ik import solve_ik
from edmp.validate import Cause, Judge

Array = NDArray[np.float64]


def why_blocked(judge: Judge, chain: ToolChain, q: Array, X_WT: Array) -> tuple[BlockedBy, str]:
    """Why the arm cannot go on from ``q`` (dof,) to where its tool is at ``X_WT`` (4, 4), which is near."""
    found = chain.reach(q[None, chain.columns], X_WT[None], iterations=20)
    if found.error[0] < 1e-6 and np.abs(found.q[0] - q[chain.columns]).max() < 0.6:
        whole = q.copy()
        whole[chain.columns] = found.q[0]
        verdict = judge.check(whole)
        if verdict.cause is Cause.CONSTRAINT:
            return BlockedBy.CONSTRAINT, verdict.message()
        return BlockedBy.OBSTACLE, (verdict.message() if not verdict.valid else "no way past the obstacles was found")
    robot = judge.robot
    endless = chain.unbounded().reach(q[None, chain.columns], X_WT[None], iterations=20)
    if endless.error[0] < 1e-6 and np.abs(endless.q[0] - q[chain.columns]).max() < 0.6:
        beyond = np.maximum(chain.lower - endless.q[0], endless.q[0] - chain.upper)
        joint = int(chain.columns[int(beyond.argmax())])
        return BlockedBy.LIMIT, f"joint {robot.joint_names[joint]} comes to its limit"
    if not solve_ik(robot, X_WT, near=q).reachable:
        return BlockedBy.REACH, f"beyond that {robot.tool.name} is out of the reach of {robot.name}"
    return BlockedBy.SINGULARITY, "the arm comes to a singularity, where it would have to jump to another posture"
