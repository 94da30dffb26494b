"""Things that slide, as robots of their own: the fingers while the arm stands, an object that is set down."""

from __future__ import annotations

import dataclasses

import numpy as np

from edmp.geometry.poses import apply, inverse, pose, rotation_to_z
from edmp.robots.parts import AllowedContact, Array, Joint, Limits, Link, ToolFrame
from edmp.robots.robot import Robot


def sliding_robot(name: str, links: list[Link], poses: list[Array], axes_W: list[Array], travel: float) -> Robot:
    """A robot each of whose joints slides one link along an axis of its own.

    Args:
        name: of the robot.
        links: with their geometry in the frame of their body.
        poses: pose X_WB (4, 4) of that body in the world where the joint is at 0.
        axes_W: (3,) unit direction of each.
        travel: joints go from 0 to this [m].
    """
    joints, moved = [], []
    for k, (link, X_WB, axis) in enumerate(zip(links, poses, axes_W, strict=True)):
        X_WJ = pose(X_WB[:3, 3], rotation_to_z(axis))
        X_JB = inverse(X_WJ) @ X_WB
        joints.append(Joint(f"{link.name}_slide", "prismatic", X_WJ, parent=0))
        hulls = tuple(apply(X_JB, hull) for hull in link.hulls_B)
        moved.append(Link(link.name, k + 1, X_JB @ link.X_BL, hulls, np.empty((0, 4)), None))
    n = len(joints)
    one = np.ones(n)
    limits = Limits(0 * one, travel * one, one, one, one)
    frame = ToolFrame("base", 0, np.eye(4))
    return Robot(name, tuple(joints), limits, tuple(moved), (), frame, np.zeros(n), np.eye(4))


def gripper_robot(robot: Robot, X_WB: Array, touching: str | None = None) -> Robot:
    """The fingers alone, while the arm stands: each joint is half of the gap between them [m].

    Args:
        robot: an arm with a gripper.
        X_WB: (bodies, 4, 4) where its bodies are in the world.
        touching: name of an obstacle that the fingers may touch.
    """
    assert robot.gripper is not None
    closed = robot.with_gripper(0.0)
    links = [closed.links[closed.link_index(finger.link)] for finger in robot.gripper.fingers]
    bodies = [X_WB[link.body] for link in links]
    axes = [
        X[:3, :3] @ link.X_BL[:3, :3] @ finger.axis
        for X, link, finger in zip(bodies, links, robot.gripper.fingers, strict=True)
    ]
    fingers = sliding_robot(f"gripper of {robot.name}", links, bodies, axes, robot.gripper.max_width / 2)
    if touching is None:
        return fingers
    contacts = tuple(AllowedContact(link.name, touching) for link in links)
    return dataclasses.replace(fingers, allowed_contacts=contacts)
