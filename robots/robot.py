"""The arm as data: kinematic chain, limits and collision geometry, all immutable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """One moving joint of a serial chain.

    Attributes:
        name: joint name, as in the URDF.
        kind: ``"revolute"`` or ``"prismatic"``.
        X_PJ: (4, 4) pose of the joint frame J in the parent body frame P at zero position. The joint turns about,
            or slides along, the z axis of J (loaders align the frame so), and the body it moves takes J as its frame.
    """

    name: str
    kind: str
    X_PJ: Array


@dataclass(frozen=True)
class Limits:
    """Joint limits, each array (dof,): position [rad or m], then its first three time derivatives."""

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array


@dataclass(frozen=True)
class LinkBox:
    """The oriented bounding box of a link.

    Attributes:
        X_BX: (4, 4) pose of the box centre in the body frame.
        size: (3,) full extents [m].
    """

    X_BX: Array
    size: Array


@dataclass(frozen=True)
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
    """

    name: str
    body: int
    X_BL: Array
    hulls_B: tuple[Array, ...]
    spheres_B: Array
    box: LinkBox | None
    attached: bool = False


@dataclass(frozen=True)
class ToolFrame:
    """The frame that pose goals speak of: ``X_BT`` (4, 4) is its pose in the frame of body ``body``."""

    name: str
    body: int
    X_BT: Array


@dataclass(frozen=True)
class Robot:
    """A serial arm. Frozen: `with_base`, `with_tool` and `with_attachment` return changed copies.

    Attributes:
        name: robot name; a trained prior is looked up by it.
        joints: the moving joints, base to tip (dof of them).
        limits: joint limits.
        links: rigid pieces with geometry, including those fixed to one another.
        collision_pairs: pairs (i, j), i < j, of link indices that can collide with each other and must not.
        tool: frame of pose goals.
        home: (dof,) a comfortable configuration [rad or m].
        X_W0: (4, 4) pose of the base body in the world.
    """

    name: str
    joints: tuple[Joint, ...]
    limits: Limits
    links: tuple[Link, ...]
    collision_pairs: tuple[tuple[int, int], ...]
    tool: ToolFrame
    home: Array
    X_W0: Array

    @property
    def dof(self) -> int:
        return len(self.joints)

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def link_names(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    @property
    def num_bodies(self) -> int:
        """Number of rigid bodies, the fixed base included: dof + 1."""
        return len(self.joints) + 1

    @cached_property
    def spheres(self) -> Array:
        """(S, 4) every sphere of every link, in link order, centre in its body frame and radius [m]."""
        return np.concatenate([link.spheres_B for link in self.links])

    @cached_property
    def sphere_link(self) -> NDArray[np.int32]:
        """(S,) link index of each row of `spheres`."""
        return np.repeat(np.arange(len(self.links)), [len(link.spheres_B) for link in self.links]).astype(np.int32)

    @cached_property
    def sphere_body(self) -> NDArray[np.int32]:
        """(S,) body index of each row of `spheres`."""
        return np.array([link.body for link in self.links], dtype=np.int32)[self.sphere_link]

    def link_index(self, name: str) -> int:
        from edmp.robots.errors import unknown_name

        if name not in self.link_names:
            raise unknown_name("link", name, self.link_names)
        return self.link_names.index(name)

    def with_base(self, X_W0: Array) -> Robot:
        """The same arm standing at ``X_W0`` (4, 4) in the world."""
        return dataclasses.replace(self, X_W0=np.asarray(X_W0, dtype=np.float64))
