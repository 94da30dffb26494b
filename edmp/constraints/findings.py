"""What the judge found out about a constraint: the proved worst value of a motion, or where it is broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.constraints.base import Constraint
from edmp.constraints.kinds import KeepDistance

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Kept:
    """A constraint that a motion was proved to keep to.

    Attributes:
        constraint: which.
        worst: no value on the whole motion is beyond this, proved [rad or m]. Where a constraint is about several
            numbers, the sides of a box, say, it is of the one that comes nearest to its bound.
        bound: what that must not pass.
        unit: of both, ``rad`` or ``m``.
        single: ``worst`` says by itself how far off the motion is: there is one number, and it is best at zero.
        edge: number of the path's edge where it is, None if that is not known.
    """

    constraint: Constraint
    worst: float
    bound: float
    unit: str = "rad"
    single: bool = True
    edge: int | None = None

    @property
    def spare(self) -> float:
        """What is left until the bound [rad or m]; not negative, but for rounding."""
        keeps_away = isinstance(self.constraint, KeepDistance)
        return abs(self.worst) - self.bound if keeps_away else abs(self.bound - self.worst)

    def message(self) -> str:
        """One clause for a person, such as: tool upright within 5.73 deg: at most 4.21 deg."""
        if isinstance(self.constraint, KeepDistance):
            return f"{self.constraint}: at least {in_words(self.worst, self.unit)}"
        if self.single:
            return f"{self.constraint}: at most {in_words(abs(self.worst), self.unit)}"
        return f"{self.constraint}: {in_words(self.spare, self.unit)} to spare"


def both_kept(a: Sequence[Kept], b: Sequence[Kept]) -> tuple[Kept, ...]:
    """Of two motions with the same constraints, or two looks at one: for each constraint the one with less to spare."""
    return tuple(min(pair, key=lambda one: one.spare) for pair in zip(a, b, strict=True))


@dataclass(frozen=True, eq=False)
class Broken:
    """A constraint that does not hold at a configuration.

    Attributes:
        constraint: which.
        value: what is beyond its bound there [rad or m].
        bound: what it must not pass.
        q: (dof,) the configuration [rad or m].
        unit: of both, ``rad`` or ``m``.
        single: ``value`` says by itself how far off it is.
        edge: number of the path's edge, None for a single configuration.
        link: who is too near, for a distance.
        proved: False where nothing is wrong at ``q``, but the proof came to no end near it; ``value`` is what it cannot
            exclude.
    """

    constraint: Constraint
    value: float
    bound: float
    q: Array
    unit: str = "rad"
    single: bool = True
    edge: int | None = None
    link: str | None = None
    proved: bool = True

    @property
    def excess(self) -> float:
        """By how much the bound is passed [rad or m]."""
        return abs(self.value - self.bound)

    def message(self) -> str:
        """One clause for a person, such as: tool upright within 5.73 deg: it is 12.1 deg off, 6.4 deg too much."""
        excess = in_words(self.excess, self.unit)
        if not self.proved:
            return f"{self.constraint}: cannot be proved, it might be {excess} too much"
        if self.link is not None:
            where = "touches it" if self.value <= 0 else f"is {in_words(self.value, self.unit)} away"
            return f"{self.constraint}: {self.link} {where}, {excess} too near"
        if self.single:
            return f"{self.constraint}: it is {in_words(abs(self.value), self.unit)} off, {excess} too much"
        return f"{self.constraint}: it is {excess} outside"


def in_words(value: float, unit: str) -> str:
    """Angles in degrees, lengths in millimetres, as many digits as make sense."""
    shown, of = (math.degrees(value), "deg") if unit == "rad" else (1e3 * value, "mm")
    if 0 < abs(shown) < 0.01:
        return f"{shown:.2g} {of}"
    return f"{shown:.2f} {of}" if abs(shown) < 10 else f"{shown:.1f} {of}"
