"""A planning problem: scene, robot, start and goal; and where it is read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.robots.errors import FileFormatError
from edmp.robots.robot import Robot
from edmp.scenes.moveit import MoveItRequest, load_moveit_request, load_moveit_scene
from edmp.scenes.poses import finite_vector, pose, pose_rpy, unit_quaternion
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]

MOVEIT_BASES: Mapping[str, Array] = {"ur5": pose_rpy((0.0, 0.0, 0.9144), (0.0, 0.0, 1.57))}
"""(4, 4) pose of the base in the world, by robot name, where MoveIt's files leave it to the robot's own URDF."""

PANDA_FINGER_JOINT = "panda_finger_joint1"


@dataclass(frozen=True, eq=False)
class PoseGoal:
    """A goal for the tool frame, in the world.

    Attributes:
        position: (3,) of the tool origin [m].
        quaternion: (4,) unit quaternion (x, y, z, w).
    """

    position: Array
    quaternion: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", finite_vector(self.position, 3, "goal position"))
        object.__setattr__(self, "quaternion", unit_quaternion(self.quaternion))

    @property
    def X_WT(self) -> Array:
        """(4, 4) the pose of the tool frame in the world."""
        return pose(self.position, self.quaternion)


Goal = Array | PoseGoal


@dataclass(frozen=True, eq=False)
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


def load_problem(scene_path: str | Path, request_path: str | Path, *, robot: str | Robot = "panda") -> Problem:
    """Read a problem from a MoveIt planning scene and the motion plan request that belongs to it.

    Args:
        scene_path: the planning scene, YAML.
        request_path: the motion plan request, YAML. Joints are matched by name.
        robot: name or URDF path, as `edmp.robots.load_robot` takes it; the gripper opens as the request says and the
            base stands where the files (or, for a UR5, its MoveIt model) put it. A `Robot` is taken as it is, except
            that it moves to a base pose that the files give.

    Raises:
        FileFormatError: with file and line, for files that are not such a pair.
    """
    moveit = load_moveit_scene(scene_path)
    request = load_moveit_request(request_path)
    arm = _robot_of(robot, request)
    X_WR = request.X_WR if request.X_WR is not None else moveit.X_WR
    if X_WR is not None:
        arm = arm.with_base(X_WR)
    elif isinstance(robot, str) and robot in MOVEIT_BASES:
        arm = arm.with_base(MOVEIT_BASES[robot])
    start = _by_name(request.start, arm, f"{request_path}: start_state")
    goals = tuple(_by_name(goal, arm, f"{request_path}: goal_constraints") for goal in request.goals)
    path = Path(scene_path)
    name = f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem
    return Problem(arm, moveit.scene, start, goals[0] if len(goals) == 1 else goals, name)


def _robot_of(robot: str | Robot, request: MoveItRequest) -> Robot:
    """The robot by name, its gripper opened as the request says."""
    if isinstance(robot, Robot):
        return robot
    from edmp.robots import load_robot

    finger = request.start.get(PANDA_FINGER_JOINT)
    # The joint value is the travel of one finger; the opening is the gap between both.
    return load_robot(robot) if finger is None else load_robot(robot, gripper_width=2.0 * finger)


def _by_name(values: Mapping[str, float], robot: Robot, where: str) -> Array:
    """(dof,) the values of the robot's joints, in its order; other joints (fingers) are left out."""
    missing = [name for name in robot.joint_names if name not in values]
    if missing:
        raise FileFormatError(
            f"{where}: no value for joint {', '.join(missing)} of robot {robot.name!r}; found: {', '.join(values)}"
        )
    return np.array([values[name] for name in robot.joint_names])
