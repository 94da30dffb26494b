"""`Motion`: trajectories whose forward kinematics has been computed, once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from edmp.arguments import checked
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot


@dataclass(frozen=True)
class Motion:
    """A batch of joint trajectories together with the poses of every body along them.

    Holding one proves that forward kinematics ran: build it with `Motion.of`.

    Attributes:
        robot: the arm.
        q: (batch, waypoint, dof) configurations [rad or m].
        X_WB: (batch, waypoint, dof + 1, 4, 4) body poses in the world.
    """

    robot: Robot
    q: Tensor
    X_WB: Tensor

    @classmethod
    @checked
    def of(cls, robot: Robot, q: Tensor) -> Motion:
        return cls(robot, q, body_poses(robot, q))
