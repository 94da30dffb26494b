"""What a robot is made of, as data: joints, limits, links, tool frames, grippers; all immutable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

START_TOLERANCE = 1e-3
"""A path may begin beyond a limit by this, as encoders and single precision have it, if it leads inside [rad or m]."""


@checked
@dataclass(frozen=True, eq=False)
class Joint:
    """One moving joint of an arm, or of a tree of arms.

    Attributes:
        name: joint name, as in the URDF.
        kind: ``"revolute"`` or ``"prismatic"``.
        X_PJ: (4, 4) pose of the joint frame J in the parent body frame P at zero position. The joint turns about,
            or slides along, the z axis of J (loaders align the frame so), and the body it moves takes J as its frame.
        continuous: a revolute joint that turns without end: positions a whole turn apart are the same, and any number
            of turns is allowed. Its `Limits` are only the range that motions are looked for in, at least -2 pi to 2 pi.
        parent: index of the body P that carries the joint; None is the body that the joint before it moves. So a robot
            may branch: two arms on a torso are two chains that begin at the same body.
    """

    name: str
    kind: str
    X_PJ: Array
    continuous: bool = False
    parent: int | None = None


@checked
@dataclass(frozen=True, eq=False)
class ToolLimits:
    """How fast the tool may go, in the world; infinite where there is no limit.

    Attributes:
        speed: of its origin [m/s], and of its rotation [rad/s].
        acceleration: of its origin [m/s^2], and of its rotation [rad/s^2].
    """

    speed: tuple[float, float] = (np.inf, np.inf)
    acceleration: tuple[float, float] = (np.inf, np.inf)

    def __post_init__(self) -> None:
        for name in ("speed", "acceleration"):
            if not min(getattr(self, name)) > 0.0:
                raise InvalidInputError(f"tool {name} must be positive, got {getattr(self, name)}")


@checked
@dataclass(frozen=True, eq=False)
class Limits:
    """Joint limits, each array (dof,): position [rad or m], then its first three time derivatives.

    ``effort`` is the largest torque or force of each joint's motor [Nm or N]; infinite where nothing says. ``tool``
    limits the tool as well, None if nothing does.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array
    effort: Array = None  # type: ignore[assignment]  # an array once made
    tool: ToolLimits | None = None

    def __post_init__(self) -> None:
        if self.effort is None:
            object.__setattr__(self, "effort", np.full(len(self.velocity), np.inf))

    @checked
    def scaled(self, *, velocity: float, acceleration: float) -> Limits:
        """Limits with these shares of velocity and acceleration; jerk and all else stay."""
        return dataclasses.replace(
            self, velocity=velocity * self.velocity, acceleration=acceleration * self.acceleration
        )


@checked
@dataclass(frozen=True, eq=False)
class LinkBox:
    """The oriented bounding box of a link.

    Attributes:
        X_BX: (4, 4) pose of the box centre in the body frame.
        size: (3,) full extents [m].
    """

    X_BX: Array
    size: Array


@checked
@dataclass(frozen=True, eq=False)
class Link:
    """A named rigid piece of the arm with its collision geometry, everything expressed in the frame of its body.

    Attributes:
        name: link name, as in the URDF.
        body: index of the rigid body that carries it: 0 is the fixed base, i + 1 is moved by joint i.
        X_BL: (4, 4) pose of the link frame in the body frame.
        hulls_B: convex pieces, each an array (V, 3) of vertices [m] whose convex hull contains the link's geometry.
            The judge uses these.
        spheres_B: (S, 4) centres and radii [m]; their union contains the link's geometry. The optimiser uses these.
        box: bounding box for the volume costs, or None for a link without geometry.
        attached: True for an object added by `Robot.with_attachment`.
        mass: [kg]; None if nothing says.
        com_B: (3,) centre of mass [m]; None if nothing says. `edmp.robots.inertia` fills in what is missing.
    """

    name: str
    body: int
    X_BL: Array
    hulls_B: tuple[Array, ...]
    spheres_B: Array
    box: LinkBox | None
    attached: bool = False
    mass: float | None = None
    com_B: Array | None = None

    def __post_init__(self) -> None:
        for hull in self.hulls_B:
            if np.shape(hull)[1:] != (3,):
                raise InvalidInputError(f"link {self.name}: each of hulls_B must be (V, 3), got {np.shape(hull)}")


@checked
@dataclass(frozen=True, eq=False)
class ToolFrame:
    """The frame that pose goals speak of: ``X_BT`` (4, 4) is its pose in the frame of body ``body``."""

    name: str
    body: int
    X_BT: Array


@checked
@dataclass(frozen=True, eq=False)
class Finger:
    """One finger: ``link`` slides along ``axis`` (3,), unit, in its own frame, by half of the gripper's width."""

    link: str
    axis: Array


@checked
@dataclass(frozen=True, eq=False)
class Gripper:
    """A parallel gripper, held at one opening while the arm moves.

    Attributes:
        width: gap between the fingers now [m].
        max_width: the widest gap that `Robot.with_gripper` accepts [m].
        fingers: the links that slide, each by ``width / 2``.
        stroke: how far the real gripper opens, where files are read that open it wider; None is ``max_width`` [m].
    """

    width: float
    max_width: float
    fingers: tuple[Finger, ...]
    stroke: float | None = None

    @property
    def widest(self) -> float:
        """The widest gap that the real gripper opens to [m]."""
        return self.max_width if self.stroke is None else min(self.stroke, self.max_width)


@dataclass(frozen=True)
class AllowedContact:
    """A link that may touch an obstacle of that name until the two have parted, see `Robot.with_allowed_contacts`."""

    link: str
    obstacle: str
