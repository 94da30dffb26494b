"""What the fingers do while the arm stands: how far they close, and what is held from then on."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.poses import inverse
from edmp.robots.parts import AllowedContact
from edmp.robots.robot import Robot
from edmp.robots.sliding import gripper_robot, sliding_robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.taskplan import Held
from edmp.validate import CONTACT_TOLERANCE, Judge
from edmp.validate.tasks import poses_at

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
"""Against gravity, in the world."""
SPEED = 0.1
"""How fast the gap between the fingers changes at most [m/s]."""
SETTLE = 0.1
"""Time for the fingers to take hold, or let go [s]."""
_PRECISION = 5e-6
"""Gaps are found to within this [m]."""
_PRESS = 4e-5
"""The gap in the end is smaller by this than where they touch: nothing to the finger, and surely a contact [m]."""
_STEPS, _NEARLY = 8, 2e-4
"""Steps towards the object at most, and where they end [m]."""
CENTRED = 2e-3
"""When the first finger touches, the others are no farther from the object than this [m]."""
SUPPORT = 2e-3
"""What an object is no deeper in than this, before it is lifted, it stands on [m]."""


def seconds(before: float, after: float) -> float:
    """How long it takes from one gap to another [s]; it starts and stops gently."""
    return 1.5 * abs(after - before) / SPEED + SETTLE


def fingers_of(robot: Robot) -> tuple[str, ...]:
    """Names of the links that slide."""
    return tuple(finger.link for finger in robot.gripper.fingers) if robot.gripper else ()


def may_touch(robot: Robot, name: str) -> Robot:
    """The same arm, of which the fingers, and nothing else, may touch an obstacle."""
    contacts = tuple(AllowedContact(finger, name) for finger in fingers_of(robot))
    return dataclasses.replace(robot, allowed_contacts=(*robot.allowed_contacts, *contacts))


@dataclass(frozen=True)
class Closing:
    """How far the fingers close: to a gap ``width`` [m], or ``fault`` says why they do not hold the object."""

    width: float
    fault: str = ""


@functools.lru_cache(maxsize=64)
def opened(robot: Robot, width: float) -> Robot:
    """`Robot.with_gripper`, the same object for the same gap: what is made for a robot is kept with it."""
    return robot.with_gripper(width)


def closing_width(robot: Robot, q: Array, obstacle: Obstacle) -> Closing:
    """The gap at which the fingers come to touch an object, the arm standing at ``q`` (dof,)."""
    return _closing_width(robot, q.tobytes(), obstacle)


@functools.lru_cache(maxsize=64)
def _closing_width(robot: Robot, at: bytes, obstacle: Obstacle) -> Closing:
    """`closing_width`; a grasp that was looked at is taken next."""
    assert robot.gripper is not None
    fingers = gripper_robot(robot, poses_at(robot, np.frombuffer(at)), obstacle.name)
    judge = Judge(fingers, Scene((obstacle,)))

    def touching(width: float) -> set[str]:
        verdict = judge.check(np.full(fingers.dof, width / 2))
        return {contact.link for contact in (*verdict.contacts, *verdict.allowed)}

    opening = robot.gripper.width
    if touching(opening):
        return Closing(opening, f'the open fingers touch "{obstacle.name}" already')
    if not touching(0.0):
        return Closing(0.0, "the fingers close on nothing")
    free, width = opening, 0.0
    for _ in range(_STEPS):  # what is free by so much may close by twice that, as every finger moves by half
        room = judge.check(np.full(fingers.dof, free / 2)).min_clearance - _PRECISION - CONTACT_TOLERANCE
        if room < _NEARLY:
            break
        free -= 2 * room
    if free > 5 * _NEARLY and touching(free - 5 * _NEARLY):
        width = free - 5 * _NEARLY
    while free - width > _PRECISION:
        middle = (free + width) / 2
        if touching(middle):
            width = middle
        else:
            free = middle
    alone = set(fingers.link_names) - touching(max(0.0, width - 2 * CENTRED))
    if alone:
        first = ", ".join(sorted(touching(width)))
        return Closing(
            width, f"{first} touches more than {1e3 * CENTRED:g} mm before {', '.join(sorted(alone))}: it is off centre"
        )
    return Closing(max(0.0, width - _PRESS))


def hold(robot: Robot, scene: Scene, q: Array, name: str) -> tuple[Robot, Scene, Held]:
    """The arm with an obstacle in its hand, at ``q`` (dof,); the scene without it; and what is held.

    What it stands on, or touches no deeper than `SUPPORT`, it may touch until it has parted from it.
    """
    return _hold(robot, scene, q.tobytes(), name)


@functools.lru_cache(maxsize=64)
def _hold(robot: Robot, scene: Scene, at: bytes, name: str) -> tuple[Robot, Scene, Held]:
    """`hold`: the same robot for the same grasp, as what is made for a robot is kept with it."""
    q = np.frombuffer(at)
    obstacle = scene[name]
    link = carrier(robot)
    i = robot.link_index(link)
    X_WL = poses_at(robot, q)[robot.links[i].body] @ robot.links[i].X_BL
    held = Held(name, obstacle.shape, link, inverse(X_WL) @ obstacle.X_WO)
    rest = scene.without(name)
    arm = robot.with_attachment(name, obstacle.shape, held.X_LA, link=link)
    touched = Judge(arm, rest).check(q)
    supports = {
        contact.other
        for contact in (*touched.contacts, *touched.allowed)
        if contact.link == name and not contact.with_self and contact.depth <= SUPPORT
    }
    return arm.with_allowed_contacts(*((name, other) for other in sorted(supports))), rest, held


def set_down(robot: Robot, scene: Scene, obstacle: Obstacle, X_WO: Array) -> tuple[Array, str]:
    """The pose (4, 4) at which an object is let go for it to stand at ``X_WO``: that, or less than `SUPPORT` above it.

    Round objects, and those that are set down a little deep, are held where their hull no more than rests on things.

    Returns:
        The pose; and what the object is in there, in words, if it does not fit.
    """
    link = robot.with_attachment(obstacle.name, obstacle.shape, np.eye(4), link=carrier(robot)).links[-1]
    judge = Judge(sliding_robot(obstacle.name, [link], [X_WO @ inverse(link.X_BL)], [UP], SUPPORT), scene)

    def fits(height: float) -> bool:
        return judge.check([height]).valid

    if fits(0.0):
        return X_WO, ""
    if not fits(SUPPORT):
        return X_WO, judge.check([0.0]).message()
    low, high = 0.0, SUPPORT
    while high - low > 2e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    raised = X_WO.copy()
    raised[2, 3] += high
    return raised, ""


def let_go(robot: Robot, scene: Scene, q: Array, held: Held) -> tuple[Robot, Scene]:
    """The arm without what it held, and the scene with it, at ``q`` (dof,)."""
    link = robot.links[robot.link_index(held.link)]
    X_WO = poses_at(robot, q)[link.body] @ link.X_BL @ held.X_LA
    there = dataclasses.replace(scene, obstacles=(*scene.obstacles, Obstacle(held.name, held.shape, X_WO)))
    return robot.without_attachment(held.name), there


def carrier(robot: Robot) -> str:
    """The link that carries what is held: one that the fingers slide along, else the tool's."""
    fingers = fingers_of(robot)
    body = robot.links[robot.link_index(fingers[0])].body if fingers else robot.tool.body
    beside = [link.name for link in robot.links if link.body == body and not link.attached]
    return next((name for name in beside if name not in fingers), beside[0])
