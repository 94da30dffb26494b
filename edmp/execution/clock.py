"""Time along a trajectory, which can be slowed and braked: the arm stays on the path, that is, where it is free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.execution.driver import Command
from edmp.ranges import Range
from edmp.robots.parts import Limits
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_SHARE = 0.95
"""Braking asks for this much of what the acceleration limits leave: ticks are not infinitely fine."""
_JERK_SHARE = 0.25
"""And of the jerk limits for each change of the deceleration."""
_REST = 1e-3
"""At this rate the motion has ended."""


class MotionClock:
    """Where on ``trajectory`` the arm is; moves on with `advance` and comes to rest with `brake`.

    With ``s(t)`` the time along the trajectory and ``r = ds/dt`` its rate, velocities are ``v(s) r`` and accelerations
    ``a(s) r^2 + v(s) dr/dt``. Braking takes the least ``dr/dt`` that keeps every joint within its acceleration limit,
    and changes it as fast as jerk limits allow. As the trajectory is within the limits at r = 1, ``dr/dt = 0`` always
    is among the choices; a motion that slows down at its limits already can end no sooner than it would have.

    Args:
        trajectory: within the limits, to rest.
        limits: of the joints.
        speed: share of the planned speed, in (0, 1].
    """

    def __init__(self, trajectory: Trajectory, limits: Limits, *, speed: float = 1.0) -> None:
        if not Range(0, 1, above=True).holds(speed):
            raise InvalidInputError(f"speed must be in (0, 1], got {speed!r}")
        self.trajectory, self.limits = trajectory, limits
        self.position = 0.0
        self.rate = speed
        self.braking = False
        self._slowing = 0.0

    @property
    def at_rest(self) -> bool:
        """Has the motion ended, at the trajectory's end or by braking?"""
        return self.rate == 0.0 or self.position >= self.trajectory.duration

    def brake(self) -> None:
        """From the next tick on, come to rest."""
        self.braking = True

    def advance(self, dt: float) -> Command:
        """Move on by ``dt`` [s]; where to be then."""
        before = self.rate
        if self.braking and self.rate > 0.0:
            self._slow_down(dt)
        self.position = min(self.position + 0.5 * (before + self.rate) * dt, self.trajectory.duration)
        q, v, a = self.trajectory.sample(self.position)
        return Command(q, v * self.rate, a * self.rate**2 + v * self._slowing)

    def _slow_down(self, dt: float) -> None:
        _, v, a = self.trajectory.sample(self.position)
        speed = np.maximum(np.abs(v), 1e-6)
        lowest = float(((-_SHARE * self.limits.acceleration - np.sign(v) * a * self.rate**2) / speed).max())
        change = _JERK_SHARE * float((self.limits.jerk / speed).min())
        ease = self._slowing**2 / (2.0 * change) >= self.rate  # now, or it would stop with a jolt
        wanted = 0.0 if ease else min(lowest, 0.0)
        self._slowing += float(np.clip(wanted - self._slowing, -change * dt, change * dt))
        self.rate += self._slowing * dt
        if self.rate < _REST or self._slowing > 0.0:
            self.rate = self._slowing = 0.0
