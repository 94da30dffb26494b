"""A dumb checker of lines: the tool every milliradian, by other kinematics, held against other formulas of the line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

import edmp
from edmp.geometry.poses import quaternion_of
from edmp.validate.dense import _body_poses, dense_samples

Array = NDArray[np.float64]


def tool_poses(robot: edmp.Robot, path: Array) -> Array:
    """(n, 4, 4) poses of the tool in the world, one joint at a time."""
    tool = robot.tool
    return np.array([_body_poses(robot, q)[tool.body] @ tool.X_BT for q in path])


def pose_goal(X: Array) -> edmp.PoseGoal:
    return edmp.PoseGoal(X[:3, 3], quaternion_of(X))


def deviation(
    robot: edmp.Robot, path: Array, begin: Array, end: Array, step: float = 1e-3
) -> tuple[float, float, float]:
    """How far the tool leaves the line between two poses (4, 4) [m], turns from it [rad], and ever goes back [m].

    The joints are looked at every ``step`` [rad].
    """
    X = tool_poses(robot, dense_samples(path, step)[0])
    way = end[:3, 3] - begin[:3, 3]
    length = float(np.linalg.norm(way))
    share = np.clip((X[:, :3, 3] - begin[:3, 3]) @ way / length**2, 0.0, 1.0)
    off = np.linalg.norm(X[:, :3, 3] - begin[:3, 3] - share[:, None] * way, axis=1)
    wanted = Slerp([0.0, 1.0], Rotation.from_matrix(np.array([begin[:3, :3], end[:3, :3]])))(share)
    angle = (wanted.inv() * Rotation.from_matrix(X[:, :3, :3])).magnitude()
    back = length * float((np.maximum.accumulate(share) - share).max())
    return float(off.max()), float(angle.max()), back


def tool_motion(
    robot: edmp.Robot, trajectory: edmp.Trajectory, step: float = 5e-4
) -> tuple[Array, Array, Array, Array]:
    """Speed and acceleration of the tool [m/s, m/s^2], and of its rotation: differences over ``step`` [s]."""
    times = np.arange(0.0, trajectory.duration, step)
    X = tool_poses(robot, trajectory.at(times))
    velocity = np.diff(X[:, :3, 3], axis=0) / step
    turn = Rotation.from_matrix(X[1:, :3, :3]) * Rotation.from_matrix(X[:-1, :3, :3]).inv()
    spin = turn.as_rotvec() / step
    changes = (np.diff(values, axis=0) / step for values in (velocity, spin))
    acceleration, angular = (np.linalg.norm(change, axis=1) for change in changes)
    return np.linalg.norm(velocity, axis=1), acceleration, np.linalg.norm(spin, axis=1), angular
