"""Something that moves beside the arm, for viewers that know an arm and things that stand still."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.poses import apply
from edmp.robots.attachment import shape_points
from edmp.robots.parts import Joint, Limits, Link
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_TURNED = np.diag([1.0, -1.0, -1.0, 1.0])
"""Half a turn about x: what slid along z slides back along it."""


def with_mover(robot: Robot, obstacle: Obstacle, velocity: Array) -> Robot:
    """The arm behind two sliding joints: the first carries the obstacle along, the second takes the arm back again.

    So any viewer of arms shows both. For showing only: collisions of this robot mean nothing.

    Args:
        robot: the arm.
        obstacle: where it is at time 0.
        velocity: (3,) in the world [m/s].
    """
    X_0W = np.linalg.inv(robot.X_W0)
    X_0S = _along(X_0W[:3, :3] @ velocity)
    points_W = apply(obstacle.X_WO, shape_points(obstacle.shape, obstacle.name))
    hull_S = apply(np.linalg.inv(X_0S) @ X_0W, points_W)
    mover = Link(obstacle.name, 1, np.eye(4), (hull_S,), np.zeros((0, 4)), None, attached=True)
    out = Joint(f"{obstacle.name} there", "prismatic", X_0S)
    back = Joint(f"{obstacle.name} back", "prismatic", _TURNED)
    X_back = np.linalg.inv(X_0S @ _TURNED)  # of the base, on the second joint
    joints = [
        dataclasses.replace(joint, X_PJ=joint.X_PJ if parent else X_back @ joint.X_PJ, parent=parent + 2)
        for joint, parent in zip(robot.joints, robot.parents, strict=True)
    ]
    links = [dataclasses.replace(link, body=link.body + 2 if link.body else 0) for link in robot.links]
    return dataclasses.replace(
        robot,
        joints=(out, back, *joints),
        limits=_with_two(robot.limits),
        links=(*links, mover),
        collision_pairs=(),
        tool=dataclasses.replace(robot.tool, body=robot.tool.body + 2 if robot.tool.body else 0),
        tools=(),
        home=np.concatenate([[0.0, 0.0], robot.home]),
    )


def beside_mover(
    motion: Trajectory, speed: float, *, robot: Robot, begin: float = 0.0, until: float = math.inf
) -> Trajectory:
    """The motion of what `with_mover` made.

    Args:
        motion: of the arm.
        speed: of the obstacle [m/s].
        robot: that `with_mover` made.
        begin: time at which the motion begins, where the obstacle was at its place at time 0 [s].
        until: time at which the obstacle stops [s].
    """
    times = motion.times + begin
    way = speed * np.minimum(times, until)
    moving = np.where(times < until, speed, 0.0)
    arrays = (motion.positions, motion.velocities, motion.accelerations)
    q, v, a = (
        np.column_stack([own, own, array]) for own, array in zip((way, moving, np.zeros_like(way)), arrays, strict=True)
    )
    return Trajectory(robot.joint_names, motion.times, q, v, a)


def _along(direction: Array) -> Array:
    """(4, 4) frame at the origin whose z points along ``direction`` (3,)."""
    z = direction / max(float(np.linalg.norm(direction)), 1e-12) if direction.any() else np.array([0.0, 0.0, 1.0])
    x = np.cross(z, np.eye(3)[int(np.abs(z).argmin())])
    x /= np.linalg.norm(x)
    X = np.eye(4)
    X[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    return X


def _with_two(limits: Limits) -> Limits:
    """Limits with two joints in front that may do anything."""
    far = np.full(2, 1e3)
    names = [field.name for field in dataclasses.fields(limits) if field.name != "tool"]
    arrays: Any = {name: np.concatenate([far, getattr(limits, name)]) for name in names}
    arrays["lower"][:2] = -far
    return Limits(**arrays)
