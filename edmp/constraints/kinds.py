"""The kinds of constraints. All are data: what they mean for one robot is said by `Constraint.bands`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked, numbers, shown
from edmp.constraints.bands import Band, BandKind
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import FARTHEST, finite_vector, pose, rigid
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


def distances_of(constraints: Sequence[Constraint]) -> dict[str, float]:
    """How far to keep from obstacles, by name: the largest that is asked for each [m]."""
    distances: dict[str, float] = {}
    for one in constraints:
        if isinstance(one, KeepDistance):
            distances[one.obstacle] = max(one.distance, distances.get(one.obstacle, 0.0))
    return distances


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
        object.__setattr__(self, "tolerance", _number(self, "tolerance", above=0.0, most=math.pi))
        object.__setattr__(self, "axis", _unit(self, "axis"))
        object.__setattr__(self, "up", _unit(self, "up"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return (Band(BandKind.ANGLE, -math.inf, self.tolerance, body, X_BF, axis=self.axis, direction=self.up),)

    def __str__(self) -> str:
        return f"{_named(self.frame)} upright within {math.degrees(self.tolerance):.3g} deg"


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
        object.__setattr__(self, "tolerance", _positive_three(self, "tolerance"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return tuple(
            Band(BandKind.ROTATION, -tolerance, tolerance, body, X_BF, rotation=self.rotation, index=k)
            for k, tolerance in enumerate(self.tolerance)
            if math.isfinite(tolerance)
        )

    def __str__(self) -> str:
        words = " x ".join(f"{math.degrees(tolerance):.3g}" for tolerance in self.tolerance)
        return f"orientation of {_named(self.frame)} within {words} deg"


@checked
@dataclass(frozen=True, eq=False)
class InBox(Constraint):
    """The origin of a frame stays in a box.

    Attributes:
        size: (3,) full extents [m]; infinite where there is no bound.
        X_WO: (4, 4) pose of the middle of the box in the world.
        frame: name of the frame.
    """

    size: Any
    X_WO: Any
    frame: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _positive_three(self, "size"))
        object.__setattr__(self, "X_WO", rigid(self.X_WO, "InBox X_WO"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        R, p = self.X_WO[:3, :3], self.X_WO[:3, 3]
        return tuple(
            Band(BandKind.COORDINATE, -size / 2, size / 2, body, X_BF, direction=R[:, k], point=p)
            for k, size in enumerate(self.size)
            if math.isfinite(size)
        )

    def __str__(self) -> str:
        return f"{_named(self.frame)} in a box of {' x '.join(f'{size:.3g}' for size in self.size)} m"


@checked
@dataclass(frozen=True, eq=False)
class InRegion(Constraint):
    """The origin of a frame stays in a region of the scene.

    Attributes:
        region: its name, see `edmp.Scene.with_region`.
        frame: name of the frame.
        box: what it is in a scene; filled in by `in_scene`.
    """

    region: str
    frame: str | None = None
    box: InBox | None = None

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        if self.box is None:
            raise InvalidInputError(f"where region {self.region!r} is depends on the scene: see InRegion.in_scene")
        return self.box.bands(robot)

    def in_scene(self, scene: Scene) -> InRegion:
        region = scene.region(self.region)
        return replace(self, box=InBox(region.size, region.X_WR, self.frame))

    def __str__(self) -> str:
        return f"{_named(self.frame)} in region {self.region}"


@checked
@dataclass(frozen=True, eq=False)
class OnPlane(Constraint):
    """The origin of a frame stays on a plane.

    Attributes:
        point: (3,) of the plane, in the world [m].
        normal: (3,) of the plane, in the world.
        tolerance: to either side [m].
        frame: name of the frame.
    """

    point: Any
    normal: Any = (0.0, 0.0, 1.0)
    tolerance: float = 0.005
    frame: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", _point(self))
        object.__setattr__(self, "normal", _unit(self, "normal"))
        object.__setattr__(self, "tolerance", _number(self, "tolerance", above=0.0))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        t = self.tolerance
        return (Band(BandKind.COORDINATE, -t, t, body, X_BF, direction=self.normal, point=self.point),)

    def __str__(self) -> str:
        return f"{_named(self.frame)} on a plane within {1e3 * self.tolerance:.3g} mm"


@checked
@dataclass(frozen=True, eq=False)
class OnLine(Constraint):
    """The origin of a frame stays on a line.

    Attributes:
        point: (3,) of the line, in the world [m].
        direction: (3,) of the line, in the world.
        tolerance: distance from it [m].
        frame: name of the frame.
    """

    point: Any
    direction: Any
    tolerance: float = 0.005
    frame: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", _point(self))
        object.__setattr__(self, "direction", _unit(self, "direction"))
        object.__setattr__(self, "tolerance", _number(self, "tolerance", above=0.0))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        t = self.tolerance
        return (Band(BandKind.OFFSET, -math.inf, t, body, X_BF, direction=self.direction, point=self.point),)

    def __str__(self) -> str:
        return f"{_named(self.frame)} on a line within {1e3 * self.tolerance:.3g} mm"


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
        object.__setattr__(self, "point", _point(self))
        object.__setattr__(self, "tolerance", _number(self, "tolerance", above=0.0, most=math.pi))
        object.__setattr__(self, "axis", _unit(self, "axis"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = frame_of(robot, self.frame)
        return (Band(BandKind.GAZE, -math.inf, self.tolerance, body, X_BF, axis=self.axis, point=self.point),)

    def __str__(self) -> str:
        words = ", ".join(f"{x:.3g}" for x in self.point)
        return f"{_named(self.frame)} looks at ({words}) m within {math.degrees(self.tolerance):.3g} deg"


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
        lower, upper = _number(self, "lower"), _number(self, "upper")
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
        object.__setattr__(self, "distance", _number(self, "distance", above=0.0))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        return ()

    def in_scene(self, scene: Scene) -> KeepDistance:
        if self.obstacle not in scene:
            raise unknown_name("obstacle to keep a distance from:", self.obstacle, scene.names)
        return self

    def __str__(self) -> str:
        return f"{self.distance:.3g} m from {self.obstacle}"


def frame_of(robot: Robot, name: str | None) -> tuple[int, Array]:
    """Index of the body that carries a frame, and the pose X_BF of the frame in it."""
    tool = robot.tool if name is None else robot.with_tool(name).tool
    return tool.body, tool.X_BT


def _named(frame: str | None) -> str:
    return "tool" if frame is None else frame


def _number(constraint: Any, field: str, *, above: float = -math.inf, most: float = math.inf) -> float:
    given = numbers(getattr(constraint, field))
    what = f"{type(constraint).__name__} {field}"
    if given is None or given.ndim or not math.isfinite(float(given)):
        raise InvalidInputError(f"{what} must be a finite number, got {shown(getattr(constraint, field))}")
    number = float(given)
    if not above < number <= most:
        bounds = f"above {above:g}" + (f" and at most {most:.4g}" if math.isfinite(most) else "")
        raise InvalidInputError(f"{what} must be {bounds}, got {number:g}")
    return number


def _point(constraint: Any) -> Array:
    what = f"{type(constraint).__name__} point"
    point = finite_vector(constraint.point, 3, what)
    if np.abs(point).max() > FARTHEST:
        raise InvalidInputError(f"{what} must be within {FARTHEST:.0e} m of the origin, got {point.tolist()}")
    return point


def _unit(constraint: Any, field: str) -> Array:
    what = f"{type(constraint).__name__} {field}"
    vector = finite_vector(getattr(constraint, field), 3, what)
    length = float(np.linalg.norm(vector))
    if not 1e-9 < length < math.inf:
        raise InvalidInputError(f"{what} must have a direction, got {vector.tolist()}")
    return np.asarray(vector / length)


def _positive_three(constraint: Any, field: str) -> Array:
    """(3,) positive numbers, infinite where there is no bound."""
    what = f"{type(constraint).__name__} {field}"
    given = numbers(getattr(constraint, field))
    if given is None or given.shape != (3,) or not (given > 0).all() or not np.isfinite(given).any():
        raise InvalidInputError(
            f"{what} must be three positive numbers (inf: no bound), one finite at least, "
            f"got {shown(getattr(constraint, field))}"
        )
    return np.asarray(given, dtype=np.float64)
