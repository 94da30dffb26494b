"""Constraints on where a frame points, on joints, and on distances; `edmp.constraints.places` has those on places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edmp.arguments import checked, numbers, shown
from edmp.constraints.bands import Band, BandKind
from edmp.constraints.base import Constraint, frame_of, named
from edmp.constraints.fields import number, point, positive_three, unit
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import pose, rigid
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


@checked
@dataclass(frozen=True, eq=False)
class Upright(Constraint):
    """An axis of a frame stays within a cone: a cup is kept upright.

    Attributes:
        tolerance: half angle of the cone [rad].
        axis: (3,) in the frame; the one that stays up.
        up: (3,) direction in the world about which the cone lies.
        frame: name of the frame.
    """

    tolerance: float
    axis: Any = (0.0, 0.0, 1.0)
    up: Any = (0.0, 0.0, 1.0)
    frame: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", number(self, "tolerance", above=0.0, most=math.pi))
        object.__setattr__(self, "axis", unit(self, "axis"))
        object.__setattr__(self, "up", unit(self, "up"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return (Band(BandKind.ANGLE, -math.inf, self.tolerance, body, X_BF, axis=self.axis, direction=self.up),)

    def __str__(self) -> str:
        return f"{named(self.frame)} upright within {math.degrees(self.tolerance):.3g} deg"


@checked
@dataclass(frozen=True, eq=False)
class Oriented(Constraint):
    """The orientation of a frame stays near one, each component of the rotation vector within a tolerance of its own.

    Attributes:
        rotation: (3, 3) R_WT wanted in the world, or a unit quaternion (x, y, z, w).
        tolerance: (3,) about the axes x, y, z of that orientation [rad]; infinite where it does not matter.
        frame: name of the frame.
    """

    rotation: Any
    tolerance: Any
    frame: str | None = None

    def __post_init__(self) -> None:
        given = numbers(self.rotation)
        if given is None or given.shape not in ((3, 3), (4,)):
            raise InvalidInputError(
                "Oriented rotation must be a rotation matrix (3, 3) or a unit quaternion (x, y, z, w), "
                f"got {shown(self.rotation)}"
            )
        U, _, Vt = np.linalg.svd(rigid(pose((0, 0, 0), given), "Oriented rotation")[:3, :3])
        object.__setattr__(self, "rotation", U @ Vt)  # which may be off by rounding of somebody else's
        object.__setattr__(self, "tolerance", positive_three(self, "tolerance"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return tuple(
            Band(BandKind.ROTATION, -tolerance, tolerance, body, X_BF, rotation=self.rotation, index=k)
            for k, tolerance in enumerate(self.tolerance)
            if math.isfinite(tolerance)
        )

    def __str__(self) -> str:
        words = " x ".join(f"{math.degrees(tolerance):.3g}" for tolerance in self.tolerance)
        return f"orientation of {named(self.frame)} within {words} deg"


@checked
@dataclass(frozen=True, eq=False)
class LookAt(Constraint):
    """An axis of a frame points at something: a camera keeps it in view.

    Attributes:
        point: (3,) what is looked at, in the world [m].
        tolerance: angle between the axis and the way to the point [rad].
        axis: (3,) in the frame.
        frame: name of the frame.
    """

    point: Any
    tolerance: float
    axis: Any = (0.0, 0.0, 1.0)
    frame: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", point(self, "point"))
        object.__setattr__(self, "tolerance", number(self, "tolerance", above=0.0, most=math.pi))
        object.__setattr__(self, "axis", unit(self, "axis"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return (Band(BandKind.GAZE, -math.inf, self.tolerance, body, X_BF, axis=self.axis, point=self.point),)

    def __str__(self) -> str:
        words = ", ".join(f"{x:.3g}" for x in self.point)
        return f"{named(self.frame)} looks at ({words}) m within {math.degrees(self.tolerance):.3g} deg"


@checked
@dataclass(frozen=True, eq=False)
class JointRange(Constraint):
    """A joint stays in a range of its own.

    Attributes:
        joint: its name.
        lower, upper: ends of the range [rad or m].
    """

    joint: str
    lower: float
    upper: float

    def __post_init__(self) -> None:
        lower, upper = number(self, "lower"), number(self, "upper")
        if not lower < upper:
            raise InvalidInputError(f"JointRange of {self.joint!r}: lower {lower:g} must be below upper {upper:g}")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        if self.joint not in robot.joint_names:
            raise unknown_name("joint", self.joint, robot.joint_names)
        index = robot.joint_names.index(self.joint)
        middle = 0.5 * (self.lower + self.upper)
        # Of a joint that turns without end, whole turns do not count.
        turns = 2 * math.pi * round(middle / (2 * math.pi)) if robot.continuous[index] else 0.0
        return (Band(BandKind.JOINT, self.lower - turns, self.upper - turns, index=index),)

    def __str__(self) -> str:
        return f"{self.joint} in {self.lower:.4g} to {self.upper:.4g}"


@checked
@dataclass(frozen=True, eq=False)
class KeepDistance(Constraint):
    """Every moving part of the robot keeps a distance from a named obstacle of the scene.

    It has no bands: the collision engine and the judge take the obstacle for bigger by that much.

    Attributes:
        obstacle: its name.
        distance: [m].
    """

    obstacle: str
    distance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", number(self, "distance", above=0.0))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        return ()

    def in_scene(self, scene: Scene) -> KeepDistance:
        if self.obstacle not in scene:
            raise unknown_name("obstacle to keep a distance from:", self.obstacle, scene.names)
        return self

    def __str__(self) -> str:
        return f"{self.distance:.3g} m from {self.obstacle}"


def distances_of(constraints: Sequence[Constraint]) -> dict[str, float]:
    """How far to keep from obstacles, by name: the largest that is asked for each [m]."""
    distances: dict[str, float] = {}
    for one in constraints:
        if isinstance(one, KeepDistance):
            distances[one.obstacle] = max(one.distance, distances.get(one.obstacle, 0.0))
    return distances
