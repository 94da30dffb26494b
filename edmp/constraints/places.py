"""Constraints on where a point of the robot is: in a box, a sphere, a named region, on a plane, on a line."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edmp.arguments import checked
from edmp.constraints.bands import Band, BandKind
from edmp.constraints.base import Array, Constraint, frame_of, named
from edmp.constraints.fields import number, point, positive_three, unit
from edmp.errors import InvalidInputError
from edmp.geometry.poses import rigid
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


@checked
@dataclass(frozen=True, eq=False)
class InBox(Constraint):
    """A point of a frame, its origin if not another, stays in a box.

    Attributes:
        size: (3,) full extents [m]; infinite where there is no bound.
        X_WO: (4, 4) pose of the middle of the box in the world.
        frame: name of the frame.
        offset: (3,) the point of the frame that is meant, its origin if not given [m].
    """

    size: Any
    X_WO: Any
    frame: str | None = None
    offset: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive_three(self, "size"))
        object.__setattr__(self, "X_WO", rigid(self.X_WO, "InBox X_WO"))
        object.__setattr__(self, "offset", point(self, "offset"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = point_of(robot, self.frame, self.offset)
        R, p = self.X_WO[:3, :3], self.X_WO[:3, 3]
        return tuple(
            Band(BandKind.COORDINATE, -size / 2, size / 2, body, X_BF, direction=R[:, k], point=p)
            for k, size in enumerate(self.size)
            if math.isfinite(size)
        )

    def __str__(self) -> str:
        return f"{named(self.frame)} in a box of {' x '.join(f'{size:.3g}' for size in self.size)} m"


@checked
@dataclass(frozen=True, eq=False)
class InSphere(Constraint):
    """A point of a frame, its origin if not another, stays in a sphere.

    Attributes:
        radius: [m].
        point: (3,) the middle of the sphere, in the world [m].
        frame: name of the frame.
        offset: (3,) the point of the frame that is meant, its origin if not given [m].
    """

    radius: float
    point: Any
    frame: str | None = None
    offset: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", number(self, "radius", above=0.0))
        object.__setattr__(self, "point", point(self, "point"))
        object.__setattr__(self, "offset", point(self, "offset"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = point_of(robot, self.frame, self.offset)
        return (Band(BandKind.OFFSET, -math.inf, self.radius, body, X_BF, point=self.point),)

    def __str__(self) -> str:
        return f"{named(self.frame)} in a sphere of {self.radius:.3g} m"


@checked
@dataclass(frozen=True, eq=False)
class InRegion(Constraint):
    """A point of a frame, its origin if not another, stays in a region of the scene.

    Attributes:
        region: its name, see `edmp.Scene.with_region`.
        frame: name of the frame.
        offset: (3,) the point of the frame that is meant, its origin if not given [m].
        box: what it is in a scene; filled in by `in_scene`.
    """

    region: str
    frame: str | None = None
    offset: Any = (0.0, 0.0, 0.0)
    box: InBox | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", point(self, "offset"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        if self.box is None:
            raise InvalidInputError(f"where region {self.region!r} is depends on the scene: see InRegion.in_scene")
        return self.box.bands(robot)

    def in_scene(self, scene: Scene) -> InRegion:
        region = scene.region(self.region)
        return replace(self, box=InBox(region.size, region.X_WR, self.frame, self.offset))

    def __str__(self) -> str:
        return f"{named(self.frame)} in region {self.region}"


@checked
@dataclass(frozen=True, eq=False)
class OnPlane(Constraint):
    """A point of a frame, its origin if not another, stays on a plane.

    Attributes:
        point: (3,) of the plane, in the world [m].
        normal: (3,) of the plane, in the world.
        tolerance: to either side [m].
        frame: name of the frame.
        offset: (3,) the point of the frame that is meant, its origin if not given [m].
    """

    point: Any
    normal: Any = (0.0, 0.0, 1.0)
    tolerance: float = 0.005
    frame: str | None = None
    offset: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", point(self, "point"))
        object.__setattr__(self, "normal", unit(self, "normal"))
        object.__setattr__(self, "tolerance", number(self, "tolerance", above=0.0))
        object.__setattr__(self, "offset", point(self, "offset"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = point_of(robot, self.frame, self.offset)
        t = self.tolerance
        return (Band(BandKind.COORDINATE, -t, t, body, X_BF, direction=self.normal, point=self.point),)

    def __str__(self) -> str:
        return f"{named(self.frame)} on a plane within {1e3 * self.tolerance:.3g} mm"


@checked
@dataclass(frozen=True, eq=False)
class OnLine(Constraint):
    """A point of a frame, its origin if not another, stays on a line.

    Attributes:
        point: (3,) of the line, in the world [m].
        direction: (3,) of the line, in the world.
        tolerance: distance from it [m].
        frame: name of the frame.
        offset: (3,) the point of the frame that is meant, its origin if not given [m].
    """

    point: Any
    direction: Any
    tolerance: float = 0.005
    frame: str | None = None
    offset: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", point(self, "point"))
        object.__setattr__(self, "direction", unit(self, "direction"))
        object.__setattr__(self, "tolerance", number(self, "tolerance", above=0.0))
        object.__setattr__(self, "offset", point(self, "offset"))

    def bands(self, robot: Robot) -> tuple[Band, ...]:
        body, X_BF = point_of(robot, self.frame, self.offset)
        t = self.tolerance
        return (Band(BandKind.OFFSET, -math.inf, t, body, X_BF, direction=self.direction, point=self.point),)

    def __str__(self) -> str:
        return f"{named(self.frame)} on a line within {1e3 * self.tolerance:.3g} mm"


def point_of(robot: Robot, frame: str | None, offset: Array) -> tuple[int, Array]:
    """As `frame_of`, of the frame moved by ``offset`` (3,), given in it [m]."""
    body, X_BF = frame_of(robot, frame)
    X_FP = np.eye(4)
    X_FP[:3, 3] = offset
    return body, X_BF @ X_FP
