"""What MoveIt's files say of a robot, applied to it: frames by name, held objects, allowed contacts, poses of links."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.geometry.poses import inverse, quaternion_of
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot
from edmp.scenes.moveit import MoveItScene
from edmp.scenes.moveit_request import LinkPose

Array = NDArray[np.float64]


def body_frames(robot: Robot) -> dict[str, tuple[int, Array]]:
    """Links and tools by name: the body that each is fixed to, and its pose ``X_BF`` (4, 4) in the body's frame."""
    tools = {tool.name: (tool.body, tool.X_BT) for tool in robot.tools}
    return {**tools, **{link.name: (link.body, link.X_BL) for link in robot.links}}


def frames_of(robot: Robot, joints: Mapping[str, float], *, X_WR: Array | None = None) -> dict[str, Array]:
    """(4, 4) poses in the world of links and tools by name: those of the base, and all if ``joints`` gives all values.

    ``X_WR`` is where the base stands if not at the robot's own place.
    """
    X_WB = {0: robot.X_W0}
    if all(name in joints for name in robot.joint_names):
        q = torch.tensor([joints[name] for name in robot.joint_names], dtype=torch.float64)
        X_WB = dict(enumerate(body_poses(robot, q).numpy()))
    shift = np.eye(4) if X_WR is None else X_WR @ inverse(robot.X_W0)
    frames = body_frames(robot)
    return {name: shift @ X_WB[body] @ X_BF for name, (body, X_BF) in frames.items() if body in X_WB}


def fixed_frames(robot: Robot) -> dict[str, Array]:
    """(4, 4) poses in the world, by name, of the frames that do not move: the world and what is fixed to the base."""
    return {"": np.eye(4), "world": np.eye(4), **frames_of(robot, {})}


def pose_of_tool(robot: Robot, goal: LinkPose) -> tuple[Array, Array]:
    """Position (3,) and quaternion (4,) of the tool in the world where a link is as wanted.

    Raises:
        FileFormatError: with file and line, for a frame that is not known, or a link that the tool is not fixed to.
    """
    frames = fixed_frames(robot)
    if goal.frame not in frames:
        goal.node.fail(f"unknown frame {goal.frame!r} of the goal; known: {', '.join(filter(None, frames))}")
    tool, fixed = robot.tool, body_frames(robot)
    rigid = [name for name, (body, _) in fixed.items() if body == tool.body]
    if goal.link not in rigid:
        goal.node.fail(f"a goal for link {goal.link!r} is not supported; expected one of {', '.join(rigid)}")
    X_WT = frames[goal.frame] @ goal.X_FL @ inverse(fixed[goal.link][1]) @ tool.X_BT
    return X_WT[:3, 3], quaternion_of(X_WT)


def equipped(robot: Robot, content: MoveItScene, path: Path) -> Robot:
    """The robot holding the scene's attached objects, and with the contacts that its matrix allows."""
    fixed = body_frames(robot)
    pieces = dict(content.pieces)
    for held in content.held:
        if held.link not in fixed:
            raise FileFormatError(f"{path}: object {held.object!r} is attached to an unknown link {held.link!r}")
        body, X_BF = fixed[held.link]
        carrier = next((link for link in robot.links if link.body == body and link.name == held.link), None)
        carrier = carrier or next((link for link in robot.links if link.body == body), None)
        if carrier is None:
            raise FileFormatError(f"{path}: object {held.object!r}: nothing with geometry moves with {held.link!r}")
        touching = [name for name in held.touch_links if name in robot.link_names]
        X_LA = inverse(carrier.X_BL) @ X_BF @ held.X_LA
        try:
            robot = robot.with_attachment(held.name, held.shape, X_LA, link=carrier.name, allowed_contacts=touching)
        except InvalidInputError as error:
            raise FileFormatError(f"{path}: {error}") from None
    owner = {held.name: held.object for held in content.held}
    pairs = [
        (link, name)
        for link in robot.link_names
        for one, names in pieces.items()
        for name in names
        if content.allowed.allow(owner.get(link, link), one)
    ]
    if not pairs:
        return robot
    told = ", ".join(f"{link} and {name}" for link, name in pairs[:4]) + (", ..." if len(pairs) > 4 else "")
    warnings.warn(
        f"{path}: allowed_collision_matrix: {told} may touch where a motion begins, until they have parted, and "
        "where it ends, which is less than MoveIt allows",
        EdmpWarning,
        stacklevel=4,
    )
    return robot.with_allowed_contacts(*pairs)
