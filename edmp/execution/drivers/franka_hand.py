"""The Franka Hand, for the drivers of Franka's arms: libfranka's gripper, whichever package brings it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edmp.execution.gripper import GRASP_TOLERANCE, BlockingGripper

_SPEED = 0.1
"""Of the gap [m/s]."""


def franka_hand(hand: Any, width: Callable[[], float]) -> BlockingGripper:
    """A `Gripper` of a connected hand.

    Args:
        hand: with libfranka's ``move(width, speed)`` and ``grasp(width, speed, force, epsilon_inner, epsilon_outer)``,
            which return when it is done.
        width: the gap now [m].
    """
    return BlockingGripper(
        lambda gap: hand.move(gap, _SPEED),
        lambda gap, force: bool(hand.grasp(gap, _SPEED, force, GRASP_TOLERANCE, GRASP_TOLERANCE)),
        width,
    )
