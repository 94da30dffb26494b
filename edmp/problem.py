"""A planning problem: scene, robot, start and goal; and where it is read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PoseGoal:
    """A goal for the tool frame, in the world.

    Attributes:
        position: (3,) of the tool origin [m].
        quaternion: (4,) unit quaternion (x, y, z, w).
    """

    position: Array
    quaternion: Array


Goal = Array | PoseGoal


@dataclass(frozen=True)
class Problem:
    """Attributes:
    robot: the arm as the problem wants it (gripper opening, base pose).
    scene: the obstacles.
    start: (dof,) [rad or m].
    goal: a configuration (dof,), a `PoseGoal`, or a tuple of several of either: reaching one of them is enough.
    name: for reports.
    """

    robot: Robot
    scene: Scene
    start: Array
    goal: Goal | tuple[Goal, ...]
    name: str = ""
