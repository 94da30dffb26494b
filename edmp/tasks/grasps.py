"""Grasps: poses of the tool in the frame of the object, with the fingers on both sides of it.

The tool frame T looks forward along z, and the fingers close along y, as with a Panda's ``panda_hand_tcp``: its origin
lies between the finger tips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked, checked_but, numbers, shown
from edmp.errors import InvalidInputError
from edmp.geometry.poses import FARTHEST, pose, rigid
from edmp.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from edmp.ranges import Range, check_fields
from edmp.robots.parts import Gripper

Array = NDArray[np.float64]

CLEARANCE = 0.01
"""Room on both sides of the object on the way there, if the gripper opens so far [m]."""
LEAST_CLEARANCE = 0.002
"""Room on both sides that there must be [m]."""
DISTANCE = 0.1
"""Length of the straight way to the grasp [m]."""


@checked_but("X_OT", "opening")
@dataclass(frozen=True, eq=False)
class Grasps:
    """Where the tool may be to grasp an object, the better ones first.

    Attributes:
        X_OT: (n, 4, 4) poses of the tool in the frame of the object.
        opening: (n,) gap between the fingers on the way there [m]; one number for all. The gripper then closes until
            the fingers touch.
        distance: the last of the way is straight, along z of the tool, for so long [m].
    """

    X_OT: ArrayLike
    opening: ArrayLike
    distance: float = DISTANCE

    def __post_init__(self) -> None:
        check_fields(self, {"distance": Range(0, 10)})
        given = numbers(self.X_OT)
        if given is None or given.ndim not in (2, 3) or given.shape[-2:] != (4, 4):
            raise InvalidInputError(f"Grasps X_OT must be poses (n, 4, 4), got {shown(self.X_OT)}")
        poses = given.reshape(-1, 4, 4)
        X_OT = np.array([rigid(X, f"Grasps X_OT[{k}]") for k, X in enumerate(poses)]).reshape(-1, 4, 4)
        opening = numbers(self.opening)
        if opening is None or opening.ndim > 1 or (opening.ndim and len(opening) != len(X_OT)):
            raise InvalidInputError(
                f"Grasps opening must be a number [m], or one for each of {len(X_OT)} grasps, got {shown(self.opening)}"
            )
        opening = np.broadcast_to(opening, len(X_OT)).astype(np.float64)
        if not ((opening >= 0) & (opening <= FARTHEST)).all():
            raise InvalidInputError(f"Grasps opening must be finite and at least 0 [m], got {shown(self.opening)}")
        object.__setattr__(self, "X_OT", X_OT)
        object.__setattr__(self, "opening", opening)
        object.__setattr__(self, "distance", float(self.distance))

    def __len__(self) -> int:
        return len(np.asarray(self.X_OT))


@checked
def grasps_for(
    shape: Shape, gripper: Gripper, *, distance: float = DISTANCE, depth: float = 0.03, angles: int = 12
) -> Grasps:
    """Grasps of a box, cylinder, capsule or ball: antipodal ones, all round.

    The two faces, or the two points, that the fingers meet are opposite each other and square to the way they close.
    What the gripper does not open wide enough for is left out; there may be none.

    Args:
        shape: of the object.
        gripper: that is to take it.
        distance: length of the straight way to the grasp [m].
        depth: how far the tool's origin goes beneath the surface at most [m]; the palm must not hit the object.
        angles: directions that are tried in a full turn.

    Raises:
        InvalidInputError: a shape that this knows no grasps for.
    """
    check_fields(_Asked(depth, angles), {"depth": Range(0, 10, above=True), "angles": Range(1, 360, whole=True)})
    if type(shape) not in _GRASPS:
        known = ", ".join(kind.__name__ for kind in _GRASPS)
        raise InvalidInputError(
            f"shape: grasps_for knows {known}, not {type(shape).__name__}; give grasps of your own, "
            "Grasps(X_OT, opening)"
        )
    found = [
        (penalty, extent, _grasp(point, approach, closing))
        for penalty, extent, point, approach, closing in _GRASPS[type(shape)](shape, depth, angles)
        if extent + 2 * LEAST_CLEARANCE <= gripper.widest
    ]
    found.sort(key=lambda grasp: grasp[0])
    extents = np.array([extent for _, extent, _ in found])
    X_OT = np.array([X for _, _, X in found]).reshape(-1, 4, 4)
    return Grasps(X_OT, np.minimum(extents + 2 * CLEARANCE, gripper.widest), float(distance))


@dataclass(frozen=True)
class _Asked:
    depth: float
    angles: int


_Grasp = tuple[float, float, Array, Array, Array]
"""What speaks against it [1], extent between the fingers [m], where the tool is, how it looks, how it closes."""


def _grasp(point: Array, approach: Array, closing: Array) -> Array:
    return pose(point, np.column_stack([np.cross(closing, approach), closing, approach]))


def _box(shape: Box, depth: float, angles: int) -> Iterator[_Grasp]:
    """Between two faces, from any direction in the plane between them, aside from the middle as well."""
    half = np.array(shape.size) / 2
    for c in range(3):
        a, b = (c + 1) % 3, (c + 2) % 3
        e_a, e_b, closing = np.eye(3)[a], np.eye(3)[b], np.eye(3)[c]
        for angle in np.arange(angles) * 2 * math.pi / angles:
            d, across = np.cos(angle) * e_a + np.sin(angle) * e_b, np.cos(angle) * e_b - np.sin(angle) * e_a
            tilt = abs(math.sin(2 * angle))
            room = float(np.abs(across) @ half)
            for aside in (0.0, 0.5, -0.5) if room > 0.02 else (0.0,):
                middle = aside * room * across
                out = _way_out(middle, -d, half)
                if out <= 0:
                    continue
                for deep in sorted({min(out, depth), min(out, 0.4 * depth)}, reverse=True):
                    penalty = tilt + abs(aside) + 10 * (depth - deep)
                    for side in (closing, -closing):
                        yield penalty, 2 * half[c], middle - d * (out - deep), d, side


def _way_out(point: Array, direction: Array, half: Array) -> float:
    """How far it is from a point to the surface of a box of half extents ``half``; negative if it is outside [m]."""
    if (np.abs(point) > half).any():
        return -1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.where(np.abs(direction) > 1e-9, (half - np.sign(direction) * point) / np.abs(direction), np.inf)
    return float(ways.min())


def _cylinder(shape: Cylinder, depth: float, angles: int) -> Iterator[_Grasp]:
    """Across the axis from the side, level and tilted; across it from both ends; and by its ends if it is short."""
    r, half = shape.radius, shape.length / 2
    yield from _across_axis(r, half, angles)
    for up in (-1.0, 1.0):
        for deep in sorted({min(half, depth), min(half, 0.4 * depth)}, reverse=True):
            for angle in np.arange(angles) * 2 * math.pi / angles:
                closing = np.array([math.cos(angle), math.sin(angle), 0.0])
                point = np.array([0.0, 0.0, up * (half - deep)])
                yield 0.2 + 10 * (depth - deep), 2 * r, point, np.array([0.0, 0.0, -up]), closing
    yield from _by_the_ends(r, 2 * half, depth, angles)


def _capsule(shape: Capsule, depth: float, angles: int) -> Iterator[_Grasp]:
    r, half = shape.radius, shape.length / 2
    yield from _across_axis(r, half, angles)
    for up in (-1.0, 1.0):
        for angle in np.arange(angles) * 2 * math.pi / angles:
            closing = np.array([math.cos(angle), math.sin(angle), 0.0])
            yield 0.2, 2 * r, np.array([0.0, 0.0, up * half]), np.array([0.0, 0.0, -up]), closing


def _across_axis(r: float, half: float, angles: int) -> Iterator[_Grasp]:
    for aside in (0.0, 0.5, -0.5) if half > 0.02 else (0.0,):
        for tilt in (0.0, math.pi / 6, -math.pi / 6):
            for angle in np.arange(angles) * 2 * math.pi / angles:
                level = np.array([math.cos(angle), math.sin(angle), 0.0])
                d = math.cos(tilt) * level + math.sin(tilt) * np.array([0.0, 0.0, 1.0])
                closing = np.array([-level[1], level[0], 0.0])
                for side in (closing, -closing):
                    yield abs(tilt) + abs(aside), 2 * r, np.array([0.0, 0.0, aside * half]), d, side


def _by_the_ends(r: float, length: float, depth: float, angles: int) -> Iterator[_Grasp]:
    for angle in np.arange(angles) * 2 * math.pi / angles:
        d = np.array([math.cos(angle), math.sin(angle), 0.0])
        for side in (1.0, -1.0):
            yield 0.3, length, -d * (r - min(r, depth)), d, np.array([0.0, 0.0, side])


def _ball(shape: Sphere, depth: float, angles: int) -> Iterator[_Grasp]:
    """From directions spread evenly (Fibonacci's spiral), each with a few turns about it."""
    count, rolls = 3 * angles, max(2, angles // 2)
    for k in range(count):
        z = 1 - (2 * k + 1) / count
        azimuth = k * math.pi * (3 - math.sqrt(5))
        d = np.array([math.sqrt(1 - z * z) * math.cos(azimuth), math.sqrt(1 - z * z) * math.sin(azimuth), z])
        x = np.cross(d, np.eye(3)[np.abs(d).argmin()])
        x /= np.linalg.norm(x)
        y = np.cross(d, x)
        for roll in np.arange(rolls) * 2 * math.pi / rolls:
            yield 0.0, 2 * shape.radius, np.zeros(3), d, math.cos(roll) * x + math.sin(roll) * y


_GRASPS: Mapping[type, Callable[[Any, float, int], Iterator[_Grasp]]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: _ball,
}
