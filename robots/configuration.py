"""Configurations in every form a caller may have them in: a list, an array, a tensor, or a dictionary by joint name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from edmp.arguments import numbers, shown
from edmp.errors import InvalidInputError
from edmp.robots.parts import Array
from edmp.robots.robot import Robot

MAX_ANGLE = 1e6
"""A continuous joint that reports more than this has turned 160,000 times, or is broken [rad]."""


def configuration(robot: Robot, q: Any, name: str) -> Array:
    """``q`` as (dof,) finite numbers in the robot's joint order.

    Args:
        robot: the arm.
        q: (dof,) values in any form, or ``{joint name: value}`` in any order.
        name: what it is, for messages.

    Raises:
        InvalidInputError: it is no configuration of this robot; the message says what would be.
    """
    values = _by_name(robot, q, name) if isinstance(q, Mapping) else numbers(q)
    if values is None or values.ndim == 0:
        raise InvalidInputError(f"{name} must be {robot.dof} joint values of {robot.name}, got {shown(q)}")
    if values.shape != (robot.dof,):
        raise InvalidInputError(
            f"{name} must have shape ({robot.dof},) for {robot.name}, got {values.shape}: the values of "
            f"{', '.join(robot.joint_names)}, in this order, without fingers; or a dictionary {{joint: value}}"
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InvalidInputError(f"{name} is not finite: {robot.joint_names[bad[0]]} = {values[bad[0]]}")
    far = np.flatnonzero(robot.continuous & (np.abs(values) > MAX_ANGLE))
    if len(far):
        raise InvalidInputError(
            f"{name}: {robot.joint_names[far[0]]} = {values[far[0]]:g} rad; at most {MAX_ANGLE:g} can be told apart"
        )
    return values


def one_turn(robot: Robot) -> tuple[Array, Array]:
    """(dof,), (dof,) position limits, of joints that turn further than once only one turn: about zero, where it fits.

    To draw configurations from: those a turn apart put the arm in the same place, and a motion between them is no
    motion worth planning.
    """
    lower, upper = robot.limits.lower.copy(), robot.limits.upper.copy()
    revolute = np.array([joint.kind == "revolute" for joint in robot.joints])
    wide = revolute & (upper - lower > 2 * np.pi + 1e-6)
    middle = np.clip(0.0, lower[wide] + np.pi, upper[wide] - np.pi)
    lower[wide], upper[wide] = middle - np.pi, middle + np.pi
    return lower, upper


def _by_name(robot: Robot, q: Mapping[Any, Any], name: str) -> Array:
    known = robot.joint_names
    if missing := [joint for joint in known if joint not in q]:
        others = [str(joint) for joint in q if joint not in known]
        near = difflib.get_close_matches(missing[0], others, n=1)
        hint = f" (did you mean it by {near[0]!r}?)" if near else ""
        raise InvalidInputError(f"{name}: no value for joint {', '.join(missing)} of {robot.name}{hint}")
    if beside := [str(joint) for joint in q if joint not in known]:
        raise InvalidInputError(
            f"{name}: {', '.join(beside)} {'is no joint' if len(beside) == 1 else 'are no joints'} of {robot.name}'s "
            f"arm, which has {', '.join(known)}"
        )
    for joint in known:
        value = numbers(q[joint])
        if value is None or value.ndim != 0:
            raise InvalidInputError(f"{name}: {joint} must be a number [rad or m], got {shown(q[joint])}")
    return np.array([float(numbers(q[joint])) for joint in known])  # type: ignore[arg-type]
