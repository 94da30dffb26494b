"""The arm as data: a tree of joints, limits and collision geometry, all immutable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked, checked_but
from edmp.cached import cached_property
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.poses import rigid
from edmp.robots.parts import AllowedContact, Array, Gripper, Joint, Limits, Link, ToolFrame


@checked
@dataclass(frozen=True, eq=False)
class Robot:
    """An arm, or a tree of them. Frozen: `with_base`, `with_tool`, `with_gripper`, `with_attachment` make copies.

    Compared and hashed by identity: loaders cache, so that the same description is the same object.

    Attributes:
        name: robot name; a trained prior is looked up by it.
        joints: the moving joints, base to tip (dof of them); joint i moves body i + 1 and all that it carries.
        limits: joint limits.
        links: rigid pieces with geometry, including those fixed to one another.
        collision_pairs: pairs (i, j), i < j, of link indices that can collide with each other and must not.
        tool: frame of pose goals.
        home: (dof,) a comfortable configuration [rad or m].
        X_W0: (4, 4) pose of the base body in the world.
        tools: the named frames that `with_tool` can choose, `tool` among them.
        gripper: the gripper's opening, None for an arm without one.
        allowed_contacts: see `with_allowed_contacts`.
    """

    name: str
    joints: tuple[Joint, ...]
    limits: Limits
    links: tuple[Link, ...]
    collision_pairs: tuple[tuple[int, int], ...]
    tool: ToolFrame
    home: Array
    X_W0: Array
    tools: tuple[ToolFrame, ...] = ()
    gripper: Gripper | None = None
    allowed_contacts: tuple[AllowedContact, ...] = ()

    def __post_init__(self) -> None:
        for i, parent in enumerate(self.parents):
            if not 0 <= parent <= i:
                raise InvalidInputError(
                    f"{self.name}: joint {self.joints[i].name} is carried by body {parent}, but it comes before that: "
                    "the joints of a tree are listed from the base outwards"
                )

    @property
    def dof(self) -> int:
        return len(self.joints)

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def continuous(self) -> NDArray[np.bool_]:
        """(dof,) which joints turn without end."""
        return np.array([joint.continuous for joint in self.joints])

    @checked
    def beyond_limits(self, path: Array, *, lead: float = 0.0) -> Array:
        """How far each joint of each waypoint of ``path`` (n, dof) is beyond its position limits (n, dof) [rad or m].

        0 within them, and for continuous joints everywhere. A path may begin up to ``lead`` beyond a limit if it comes
        closer from there until it is inside: that counts as within.
        """
        beyond = np.maximum(np.maximum(self.limits.lower - path, path - self.limits.upper), 0.0)
        beyond[:, self.continuous] = 0.0
        if lead and beyond[0].any():
            nearer = np.logical_and.accumulate(np.diff(beyond, axis=0, prepend=beyond[:1]) <= 1e-12, axis=0)
            beyond = np.where(nearer & (beyond[0] <= lead) & (beyond[-1] <= 1e-9), 0.0, beyond)
        return beyond

    @checked
    def clipped(self, q: Array) -> Array:
        """``q`` (..., dof) within the position limits; continuous joints as they are."""
        return np.where(self.continuous, q, np.clip(q, self.limits.lower, self.limits.upper))

    @property
    def link_names(self) -> tuple[str, ...]:
        return tuple(link.name for link in self.links)

    @property
    def num_bodies(self) -> int:
        """Number of rigid bodies, the fixed base included: dof + 1."""
        return len(self.joints) + 1

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """(dof,) the body that carries each joint."""
        return tuple(i if joint.parent is None else joint.parent for i, joint in enumerate(self.joints))

    @cached_property
    def moves(self) -> NDArray[np.bool_]:
        """(dof, num_bodies) whether joint i moves body b."""
        moves = np.zeros((self.dof, self.num_bodies), dtype=bool)
        for i, parent in enumerate(self.parents):
            moves[:, i + 1] = moves[:, parent]
            moves[i, i + 1] = True
        return moves

    @checked
    def common_body(self, a: int, b: int) -> int:
        """The last body that moves both bodies ``a`` and ``b``, or one of them if it moves the other."""
        both = np.flatnonzero(self.moves[:, a] & self.moves[:, b])
        return int(both[-1]) + 1 if len(both) else 0

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

    @checked
    def link_index(self, name: str) -> int:
        if name not in self.link_names:
            raise unknown_name("link", name, self.link_names)
        return self.link_names.index(name)

    @checked_but("X_W0")
    def with_base(self, X_W0: Array) -> Robot:
        """The same arm standing at ``X_W0`` (4, 4) in the world.

        Raises:
            InvalidInputError: ``X_W0`` is not a finite, rigid pose.
        """
        return dataclasses.replace(self, X_W0=rigid(X_W0, f"base pose of {self.name}: X_W0"))

    @checked
    def with_tool(self, name: str) -> Robot:
        """The same arm with another of its `tools` as the frame of pose goals; link names stand for link frames."""
        frames = {link.name: ToolFrame(link.name, link.body, link.X_BL) for link in self.links}
        frames |= {tool.name: tool for tool in self.tools}
        if name not in frames:
            raise unknown_name("tool frame", name, frames)
        return dataclasses.replace(self, tool=frames[name])

    @checked
    def with_gripper(self, width: float) -> Robot:
        """The same arm with its fingers ``width`` [m] apart.

        Raises:
            InvalidInputError: there is no gripper, or the width is outside 0 to `Gripper.max_width`.
        """
        if self.gripper is None:
            raise InvalidInputError(f"{self.name} has no gripper: a gripper width means nothing")
        if not 0 <= width <= self.gripper.max_width:
            raise InvalidInputError(f"gripper width {width} m: {self.name} opens 0 to {self.gripper.max_width} m")
        slide = (width - self.gripper.width) / 2
        links = list(self.links)
        for finger in self.gripper.fingers:
            i = self.link_index(finger.link)
            links[i] = _shifted(links[i], links[i].X_BL[:3, :3] @ finger.axis * slide)
        gripper = dataclasses.replace(self.gripper, width=float(width))
        return dataclasses.replace(self, links=tuple(links), gripper=gripper)

    @checked_but("name", "shape", "X_LA")
    def with_attachment(
        self, name: str, shape: object, X_LA: Array, *, link: str, allowed_contacts: Sequence[str] = ()
    ) -> Robot:
        """The same arm holding an object, which counts as a link from now on.

        Args:
            name: the object's name; it becomes a link name.
            shape: a Box, Cylinder, Capsule, Sphere or Mesh of `edmp.scenes`, a trimesh, or vertices (n, 3); its convex
                hull counts [m].
            X_LA: (4, 4) pose of the object in the frame of the link that carries it.
            link: name of that link.
            allowed_contacts: names of further links that may touch the object at any time (the carrying link, the
                fingers, and whatever is rigidly joined to them may anyway), and of obstacles that it may touch until
                the two have parted, see `with_allowed_contacts`.

        Raises:
            InvalidInputError: an empty or taken name, a pose that is not rigid, or a shape that is none.
            UnknownNameError: no such link.
        """
        from edmp.robots.attachment import attach

        return attach(self, name, shape, X_LA, link=link, allowed_contacts=allowed_contacts)

    def with_allowed_contacts(self, *contacts: tuple[str, str]) -> Robot:
        """The same arm, of which some links may touch some obstacles until they have parted.

        What touches where a motion begins, say a held block its table, may do so until the two are more than 0.1 mm
        apart, and never again. Meanwhile they may not come deeper into each other than they were at the beginning
        (within 0.1 mm). What touches where the motion ends may do so from when it last comes near. What touches no
        deeper than 0.1 mm at the beginning or end need not be named: that is resting, not penetration.

        Args:
            contacts: pairs (link, obstacle) of names. The obstacle must be in the scenes that are planned in.

        Raises:
            InvalidInputError: not pairs of names.
            UnknownNameError: no such link.
        """
        from edmp.robots.attachment import allowed

        return dataclasses.replace(self, allowed_contacts=(*self.allowed_contacts, *allowed(self, contacts)))

    @checked
    def without_attachment(self, name: str) -> Robot:
        """The same arm after letting go of the object ``name``."""
        from edmp.robots.attachment import detach

        return detach(self, name)


def _shifted(link: Link, offset_B: Array) -> Link:
    """The link moved by ``offset_B`` (3,) within its body."""
    X_shift = np.eye(4)
    X_shift[:3, 3] = offset_B
    return dataclasses.replace(
        link,
        X_BL=X_shift @ link.X_BL,
        hulls_B=tuple(hull + offset_B for hull in link.hulls_B),
        spheres_B=link.spheres_B + np.append(offset_B, 0.0),
        box=link.box and dataclasses.replace(link.box, X_BX=X_shift @ link.box.X_BX),
        com_B=None if link.com_B is None else link.com_B + offset_B,
    )
