"""Why a tool can follow its line no further."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.chain import ToolChain
from edmp.result import Solution
from edmp.robots.ik import solve_ik
from edmp.validate import Judge

Array = NDArray[np.float64]


class Reason(enum.Enum):
    """What ends a line early."""

    LIMIT = "limit"
    OBSTACLE = "obstacle"
    SINGULARITY = "singularity"
    REACH = "reach"


@dataclass(frozen=True)
class Blocked:
    """A line that cannot be followed to its end.

    Attributes:
        fraction: share of the way that can, from 0 to 1.
        reason: why no more.
        message: one sentence for a person.
        partial: the certified motion along that share; None if there is none.
    """

    fraction: float
    reason: Reason
    message: str
    partial: Solution | None


def why_blocked(judge: Judge, chain: ToolChain, q: Array, X_WT: Array) -> tuple[Reason, str]:
    """Why the arm cannot go on from ``q`` (dof,) to where its tool is at ``X_WT`` (4, 4), which is near."""
    found = chain.reach(q[None, chain.columns], X_WT[None], iterations=20)
    if found.error[0] < 1e-6 and np.abs(found.q[0] - q[chain.columns]).max() < 0.6:
        whole = q.copy()
        whole[chain.columns] = found.q[0]
        verdict = judge.check(whole)
        return Reason.OBSTACLE, (verdict.message() if not verdict.valid else "no way past the obstacles was found")
    robot = judge.robot
    endless = chain.unbounded().reach(q[None, chain.columns], X_WT[None], iterations=20)
    if endless.error[0] < 1e-6 and np.abs(endless.q[0] - q[chain.columns]).max() < 0.6:
        beyond = np.maximum(chain.lower - endless.q[0], endless.q[0] - chain.upper)
        joint = int(chain.columns[int(beyond.argmax())])
        return Reason.LIMIT, f"joint {robot.joint_names[joint]} comes to its limit"
    if not solve_ik(robot, X_WT, near=q).reachable:
        return Reason.REACH, f"beyond that {robot.tool.name} is out of the reach of {robot.name}"
    return Reason.SINGULARITY, "the arm comes to a singularity, where it would have to jump to another posture"
