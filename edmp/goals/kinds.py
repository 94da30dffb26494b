"""What a motion is to reach, as data: a pose of the tool, a straight line to one, a way over several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked_but, numbers, shown
from edmp.errors import InvalidInputError
from edmp.geometry.poses import finite_vector, pose, rigid, unit_quaternion
from edmp.geometry.tool_path import ToolPath
from edmp.ranges import Range, check_fields

Array = NDArray[np.float64]

TOLERANCE, ROTATION_TOLERANCE = 1e-3, math.radians(0.5)
"""How far from its line a tool may be, unless told otherwise [m], [rad]."""

_TOLERANCES = {
    "tolerance": Range(1e-6, 1.0),
    "rotation_tolerance": Range(1e-6, math.pi / 2),
}
_FRAMES = ("world", "tool")


@dataclass(frozen=True, eq=False)
class PoseGoal:
    """A goal for the tool frame, in the world.

    Attributes:
        position: (3,) of the tool origin [m].
        quaternion: (4,) unit quaternion (x, y, z, w).
    """

    position: Array
    quaternion: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", finite_vector(self.position, 3, "goal position"))
        object.__setattr__(self, "quaternion", unit_quaternion(self.quaternion))

    @property
    def X_WT(self) -> Array:
        """(4, 4) the pose of the tool frame in the world."""
        return pose(self.position, self.quaternion)


@dataclass(frozen=True, eq=False)
class Line:
    """A straight line of the tool: from its pose at the start to a pose, or by an offset (`Line.by`).

    The position goes straight and the orientation turns about one fixed axis, in proportion. From start to goal there
    is a point of the line, which only moves on, that the tool stays within the tolerances of.

    Attributes:
        pose: where the line ends; None if it is given by its offset.
        tolerance: distance of the tool from its line [m].
        rotation_tolerance: angle between the tool and its orientation on the line [rad].
        offset: (3,) [m], instead of ``pose``: the orientation stays.
        frame: the axes that the offset is along: of the ``"world"``, or of the ``"tool"`` at the start.
    """

    pose: PoseGoal | None = None
    tolerance: float = TOLERANCE
    rotation_tolerance: float = ROTATION_TOLERANCE
    offset: Any = None
    frame: str = "world"

    def __post_init__(self) -> None:
        check_fields(self, _TOLERANCES)
        if (self.pose is None) == (self.offset is None):
            raise InvalidInputError("a Line has either a pose or an offset: edmp.Line(pose) or edmp.Line.by(offset)")
        if self.pose is not None and not isinstance(self.pose, PoseGoal):
            raise InvalidInputError(f"pose of a Line must be a PoseGoal, got {shown(self.pose)}")
        if self.frame not in _FRAMES:
            raise InvalidInputError(f"frame of a Line must be 'world' or 'tool', got {shown(self.frame)}")
        if self.offset is not None:
            offset = finite_vector(self.offset, 3, "offset of a Line")
            if not np.linalg.norm(offset) > 1e-9:
                raise InvalidInputError(f"offset of a Line must have a length, got {offset.tolist()}")
            object.__setattr__(self, "offset", offset)

    @classmethod
    @checked_but("offset")
    def by(
        cls,
        offset: ArrayLike,
        *,
        frame: str = "world",
        tolerance: float = TOLERANCE,
        rotation_tolerance: float = ROTATION_TOLERANCE,
    ) -> Line:
        """A line from where the tool is, by ``offset`` (3,) [m] along the axes of the world or of the tool."""
        return cls(None, tolerance, rotation_tolerance, offset, frame)

    def path_from(self, X_WT: ArrayLike) -> ToolPath:
        """Where the tool goes from the pose ``X_WT`` (4, 4).

        Raises:
            InvalidInputError: the tool would have to turn by half a turn.
        """
        X_WT = rigid(X_WT, "X_WT")
        end = np.array(X_WT)
        if self.pose is not None:
            end = self.pose.X_WT
        elif self.frame == "world":
            end[:3, 3] += self.offset
        else:
            end[:3, 3] += X_WT[:3, :3] @ self.offset
        return ToolPath(
            np.stack([X_WT, end]), np.zeros(0), self.tolerance, self.rotation_tolerance, ("the start", "the goal")
        )


@dataclass(frozen=True, eq=False)
class Via:
    """Straight lines of the tool over several poses, the last of which is the goal.

    Corners are rounded within their radius: further than that from each pose in between, what a `Line` promises holds
    of the segments; nearer, of a curve that stays within the radius of the pose (`edmp.geometry.tool_path`), in place
    of the pose itself. Where the radius is 0 the tool goes through the pose, and the arm stops there.

    Attributes:
        poses: the poses to pass, in order.
        blend: radius of the corners [m]: one number, or one for each pose but the last.
        tolerance, rotation_tolerance: as of a `Line`.
    """

    poses: tuple[PoseGoal, ...]
    blend: Any = 0.0
    tolerance: float = TOLERANCE
    rotation_tolerance: float = ROTATION_TOLERANCE

    def __post_init__(self) -> None:
        check_fields(self, _TOLERANCES)
        poses = tuple(self.poses) if isinstance(self.poses, Sequence) else ()
        if not poses or not all(isinstance(one, PoseGoal) for one in poses):
            raise InvalidInputError(
                f"poses of a Via must be a list of PoseGoals, one at least, got {shown(self.poses)}"
            )
        object.__setattr__(self, "poses", poses)
        corners = len(poses) - 1
        radii = numbers(self.blend)
        if radii is not None and radii.ndim == 0:
            radii = np.repeat(_not_negative(finite_vector([self.blend], 1, "blend")), corners)
        what = "blend (one radius, or one for each pose but the last)"
        blend = finite_vector(self.blend if radii is None else radii, corners, what)
        object.__setattr__(self, "blend", _not_negative(blend))

    def path_from(self, X_WT: ArrayLike) -> ToolPath:
        """Where the tool goes from the pose ``X_WT`` (4, 4).

        Raises:
            InvalidInputError: two poses in a row are the same, or half a turn apart; a blend is longer than a segment.
        """
        X = np.stack([rigid(X_WT, "X_WT"), *(one.X_WT for one in self.poses)])
        names = ("the start", *(f"pose {k}" for k in range(len(self.poses))))
        return ToolPath(X, self.blend, self.tolerance, self.rotation_tolerance, names)


def _not_negative(blend: Array) -> Array:
    if (blend < 0).any():
        raise InvalidInputError(f"blend must not be negative, got {blend.tolist()} m")
    return blend


ToolGoal = Line | Via
