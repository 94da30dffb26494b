"""What public data sets for the Panda ask, whatever file they come in: a scene, a start, and a goal in a named frame.

The frames are those of the data sets' own robot descriptions (robofin, which Motion Policy Networks and robometrics
share). They hang on the flange ``panda_link8``; here they are given relative to ``panda_hand``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import finite_vector, inverse, pose, pose_rpy
from edmp.geometry.shapes import Box, Cylinder, Shape, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene

Array = NDArray[np.float64]

HAND = "panda_hand"
DOF = 7

X_HF: Mapping[str, Array] = {
    HAND: np.eye(4),
    "panda_link8": pose_rpy((0.0, 0.0, 0.0), (0.0, 0.0, math.pi / 4)),
    "panda_grasptarget": pose_rpy((0.0, 0.0, 0.105), (0.0, 0.0, 0.0)),
    # 0.1 m ahead of the flange and turned by 3/4 pi about its z axis, where the hand is turned by -1/4 pi.
    "right_gripper": pose_rpy((0.0, 0.0, 0.1), (0.0, 0.0, math.pi)),
}
"""(4, 4) pose of each frame F that goals are given in, in the frame H of ``panda_hand``."""

EMPTY = 1e-7
"""A shape with an extent up to this has no volume and is no obstacle, as in Motion Policy Networks' own code [m]."""

MPINETS_GRIPPER_WIDTH = 0.05
"""Gap between the fingers in everything that comes from Motion Policy Networks, 0.025 m for each finger [m]."""


@dataclass(frozen=True, eq=False)
class FrankaTask:
    """One problem of such a file.

    Attributes:
        scene: the obstacles, in the frame of the robot's base ``panda_link0``.
        start: (7,) joints 1 to 7 [rad].
        X_WF: (4, 4) where the frame ``frame`` shall go, None if the goal is a configuration.
        frame: a key of `X_HF`.
        goals: (k, 7) configurations, k = 0 if there are none: the goal, or solutions of ``X_WF`` known to the file.
        gripper_width: gap between the fingers [m], None if the data set does not say.
    """

    scene: Scene
    start: Array
    X_WF: Array | None
    frame: str
    goals: Array
    gripper_width: float | None = None


def frame_pose(frame: str) -> Array:
    """(4, 4) ``X_HF``.

    Raises:
        UnknownNameError: lists the frames there are.
    """
    if frame not in X_HF:
        raise unknown_name("frame of a Panda", frame, X_HF)
    return X_HF[frame]


def tool_pose_of(robot: Robot, X_WF: Array, frame: str) -> Array:
    """(4, 4) pose of the robot's own tool frame that puts the frame ``frame`` at ``X_WF``.

    Raises:
        InvalidInputError: the robot has no ``panda_hand``.
        UnknownNameError: no such frame.
    """
    if HAND not in {*robot.link_names, *(tool.name for tool in robot.tools)}:
        raise InvalidInputError(f"these problems are posed for a Panda with its hand; {robot.name} has no {HAND!r}")
    hand = robot.with_tool(HAND).tool
    if hand.body != robot.tool.body:
        raise InvalidInputError(f"tool {robot.tool.name!r} of {robot.name} does not move with {HAND!r}")
    X_HT = inverse(hand.X_BT) @ robot.tool.X_BT
    return X_WF @ inverse(frame_pose(frame)) @ X_HT


def pose_wxyz(position: ArrayLike, quaternion: ArrayLike) -> Array:
    """(4, 4) from a position [m] and a unit quaternion (w, x, y, z), the order in all these files.

    Raises:
        InvalidInputError: not finite, or not a unit quaternion.
    """
    w, x, y, z = finite_vector(quaternion, 4, "quaternion (w, x, y, z)")
    return pose(position, (x, y, z, w))


def box(size: Iterable[float]) -> Box | None:
    """A box of full extents ``size`` (3,) [m], None if it has no volume."""
    x, y, z = (float(extent) for extent in size)
    return Box((x, y, z)) if min(abs(x), abs(y), abs(z)) > EMPTY else None


def cylinder(radius: float, height: float) -> Cylinder | None:
    """A cylinder along z [m], None if it has no volume."""
    return Cylinder(radius, height) if min(abs(radius), abs(height)) > EMPTY else None


def sphere(radius: float) -> Sphere | None:
    """A ball [m], None if it has no volume."""
    return Sphere(radius) if abs(radius) > EMPTY else None


def scene_of(shapes: Iterable[tuple[str, Shape | None, ArrayLike, ArrayLike]]) -> Scene:
    """A scene from (name, shape, position, quaternion (w, x, y, z)); a shape None stands for one without volume.

    Raises:
        InvalidInputError: names the obstacle.
    """
    obstacles = []
    for name, shape, position, quaternion in shapes:
        if shape is None:
            continue
        try:
            X_WO = pose_wxyz(position, quaternion)
        except InvalidInputError as error:
            raise InvalidInputError(f"obstacle {name!r}: {error}") from None
        obstacles.append(Obstacle(name, shape, X_WO))
    return Scene(tuple(obstacles))
