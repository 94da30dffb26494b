"""`Constraint`: what all kinds have in common, and frames by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import shown
from edmp.constraints.bands import Band
from edmp.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


class Constraint(ABC):
    """What a motion must keep to, from start to goal.

    Frames go by name: a tool frame or a link of the robot, None the robot's present tool.
    """

    @abstractmethod
    def bands(self, robot: Robot) -> tuple[Band, ...]:
        """What it means for ``robot``.

        Raises:
            UnknownNameError: it names a frame or a joint that the robot does not have.
        """

    def in_scene(self, scene: Scene) -> Constraint:
        """The same, with what it takes from ``scene`` by name.

        Raises:
            UnknownNameError: the scene has nothing of that name.
        """
        return self

    @abstractmethod
    def __str__(self) -> str:
        """A few words for messages, such as ``tool upright within 5.7 deg``."""


def bands_of(robot: Robot, constraints: Sequence[Constraint]) -> tuple[Band, ...]:
    """The bands of all constraints, in their order."""
    return tuple(band for constraint in constraints for band in constraint.bands(robot))


def settled(robot: Robot, scene: Scene, constraints: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """The constraints, all of whose names are known to mean something for ``robot`` in ``scene``.

    Raises:
        InvalidInputError: one is no `Constraint`.
        UnknownNameError: one names a frame, a joint or an obstacle that there is not; it says which there are.
    """
    found = []
    for constraint in constraints:
        if not isinstance(constraint, Constraint):
            raise InvalidInputError(f"constraints must be a list, each entry a Constraint, got {shown(constraint)}")
        constraint = constraint.in_scene(scene)
        constraint.bands(robot)
        found.append(constraint)
    return tuple(found)


def frame_of(robot: Robot, name: str | None) -> tuple[int, Array]:
    """Index of the body that carries a frame, and the pose X_BF of the frame in it."""
    tool = robot.tool if name is None else robot.with_tool(name).tool
    return tool.body, tool.X_BT


def named(frame: str | None) -> str:
    return "tool" if frame is None else frame
