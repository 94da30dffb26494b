"""What the judge says."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import Broken, Kept

Array = NDArray[np.float64]


class Cause(enum.Enum):
    """Why a path or configuration is not valid."""

    NONE = "valid"
    NOT_FINITE = "not finite"
    OUT_OF_LIMITS = "out of limits"
    START_MISSED = "start missed"
    GOAL_MISSED = "goal missed"
    COLLISION = "collision"
    SELF_COLLISION = "self-collision"
    CONSTRAINT = "constraint"
    TIMING = "timing"


@dataclass(frozen=True, eq=False)
class Contact:
    """A link that touches an obstacle or another link.

    Attributes:
        link: name of the link.
        other: name of the obstacle, or of the other link.
        with_self: True if ``other`` is a link.
        depth: how far the two must move apart to be free [m]; 0 for a touch within the contact tolerance.
        q: (dof,) the configuration [rad or m].
        edge: index of the path's edge (between waypoints ``edge`` and ``edge + 1``), None for a single configuration.
        direction: (3,) unit vector in the world along which the link leaves the obstacle soonest; None if not known.
    """

    link: str
    other: str
    with_self: bool
    depth: float
    q: Array
    edge: int | None = None
    direction: Array | None = None

    def message(self) -> str:
        """One clause for a person, such as: panda_hand is 12.3 mm inside "shelf_bottom"."""
        millimetres = f"{1e3 * self.depth:.1f} mm" if self.depth < 0.1 else f"{1e3 * self.depth:.0f} mm"
        if self.depth < 5e-5:
            return f"{self.link} touches {self.other}" if self.with_self else f'{self.link} touches "{self.other}"'
        if self.with_self:
            return f"{self.link} and {self.other} overlap by {millimetres}"
        return f'{self.link} is {millimetres} inside "{self.other}"'


@dataclass(frozen=True)
class LimitViolation:
    """A joint beyond its position limit: ``value`` and the ``limit`` it passes [rad or m]."""

    joint: str
    value: float
    limit: float
    upper: bool
    waypoint: int | None = None

    def message(self) -> str:
        side, verb = ("upper", "exceeds") if self.upper else ("lower", "is below")
        # As many digits as it takes to tell the two numbers apart.
        digits = next((d for d in range(4, 13) if f"{self.value:.{d}g}" != f"{self.limit:.{d}g}"), 17)
        return f"joint {self.joint} at {self.value:.{digits}g} {verb} its {side} limit {self.limit:.{digits}g}"


@dataclass(frozen=True, eq=False)
class Verdict:
    """The judge's word on a configuration or a path.

    Attributes:
        valid: True only with a proof: every configuration on every edge is free, but for ``allowed`` contacts.
        cause: why not; NONE if valid.
        contacts: what touches. For a path: the contacts at one configuration where it fails, deepest first.
        limits: joints out of their limits (of a path: the worst of each joint and side).
        min_clearance: a distance that every moving link is proven to keep from every obstacle [m]; inf without
            obstacles, 0 if not valid, or if there are allowed contacts.
        edges: edges of the path that were looked at.
        distance_queries: FCL queries that it took.
        detail: further facts for the message (which end is missed, by how much).
        allowed: contacts that do not make it invalid, at the beginning and at the end: what rests within 0.1 mm, and
            what the robot names. See `edmp.validate.contacts` for what is proved of them.
        kept: of a valid path, the proved worst value of each constraint, in their order.
        broken: constraints that do not hold, worst first.
    """

    valid: bool
    cause: Cause = Cause.NONE
    contacts: tuple[Contact, ...] = ()
    limits: tuple[LimitViolation, ...] = ()
    min_clearance: float = 0.0
    edges: int = 0
    distance_queries: int = 0
    detail: str = ""
    allowed: tuple[Contact, ...] = ()
    kept: tuple[Kept, ...] = ()
    broken: tuple[Broken, ...] = ()

    def message(self) -> str:
        """One line for a person."""
        if self.valid:
            return "; ".join(["free", *(f"{contact.message()}, as allowed" for contact in self.allowed)])
        parts = [violation.message() for violation in self.limits] + [contact.message() for contact in self.contacts]
        parts += [broken.message() for broken in self.broken]
        return "; ".join(parts) or self.detail or self.cause.value
