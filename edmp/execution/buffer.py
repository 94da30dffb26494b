"""What the arm will do: the only thing that those who plan and the control loop share."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.execution.clock import MotionClock
from edmp.execution.driver import Command
from edmp.robots.robot import Limits
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_JUMP = 1e-6
"""A motion that begins this far from where the arm will be is no continuation [rad, rad/s]."""


@dataclass(frozen=True)
class Buffered:
    """A look at the buffer.

    Attributes:
        trajectory: the motion under way; it ends at rest.
        position: time along it [s].
        version: changes with every motion that takes over.
        braking: whether it is being braked.
        at_rest: whether it has ended.
        pending: whether another motion waits to take over.
    """

    trajectory: Trajectory
    position: float
    version: int
    braking: bool
    at_rest: bool
    pending: bool


@dataclass(frozen=True)
class _Offer:
    trajectory: Trajectory
    at: float


class CommandBuffer:
    """A motion that ends at rest, and at most one that will take over from it.

    Where one motion takes over from the other is a time along the first, not a time of the clock: a control loop that
    is late is late on the path, too, and nothing jumps.

    Args:
        trajectory: to begin with.
        limits: of the joints.
        speed: share of the planned speed, in (0, 1].
    """

    def __init__(self, trajectory: Trajectory, limits: Limits, *, speed: float = 1.0) -> None:
        self._limits, self._speed = limits, speed
        self._lock = threading.Lock()
        self._clock = MotionClock(trajectory, limits, speed=speed)
        self._offer: _Offer | None = None
        self._version = 0

    # -- the control loop ---------------------------------------------------------------------------------------

    def advance(self, dt: float) -> Command:
        """Move on by ``dt`` [s]; where to be then."""
        with self._lock:
            offer = self._offer
            if offer is None or self._clock.position + self._clock.rate * dt < offer.at:
                return self._clock.advance(dt)
            left = (offer.at - self._clock.position) / self._clock.rate
            self._take_over(offer.trajectory)
            return self._clock.advance(max(dt - left, 0.0))

    def brake(self) -> None:
        """Come to rest; a motion that waits to take over is dropped."""
        with self._lock:
            self._offer = None
            self._clock.brake()

    # -- those who plan -----------------------------------------------------------------------------------------

    def snapshot(self) -> Buffered:
        with self._lock:
            clock = self._clock
            return Buffered(
                clock.trajectory, clock.position, self._version, clock.braking, clock.at_rest, self._offer is not None
            )

    def offer(self, trajectory: Trajectory, *, version: int, at: float) -> bool:
        """Let a motion take over from the one of ``version`` at time ``at`` along it; False if that is too late.

        It is too late if another motion has taken over, if the arm is past that point, or if it brakes and has not come
        to rest. A motion offered earlier and still waiting is replaced. An arm at rest takes over at once.
        """
        with self._lock:
            clock = self._clock
            if version != self._version:
                return False
            if clock.at_rest:
                here = clock.trajectory.at(clock.position)
                if np.abs(here - trajectory.positions[0]).max() > _JUMP:
                    return False
                self._take_over(trajectory)
                return True
            if clock.braking or at < clock.position:
                return False
            q, v, _ = clock.trajectory.sample(at)
            jump = max(np.abs(q - trajectory.positions[0]).max(), np.abs(v - trajectory.velocities[0]).max())
            if jump > _JUMP:
                return False
            self._offer = _Offer(trajectory, at)
            return True

    def after_braking(self, *, step: float = 5e-3) -> Trajectory:
        """The motion that would be left if the arm braked now; it begins now."""
        with self._lock:
            clock = copy.copy(self._clock)
        q, v, a = clock.trajectory.sample(clock.position)
        rows = [Command(q, v * clock.rate, a * clock.rate**2)]
        clock.brake()
        while not clock.at_rest:
            rows.append(clock.advance(step))
        if len(rows) == 1:
            rows.append(Command.hold(q))
        return Trajectory(
            clock.trajectory.joint_names,
            step * np.arange(len(rows), dtype=np.float64),
            np.array([row.positions for row in rows]),
            np.array([row.velocities for row in rows]),
            np.array([row.accelerations for row in rows]),
        )

    def _take_over(self, trajectory: Trajectory) -> None:
        self._clock = MotionClock(trajectory, self._limits, speed=self._speed)
        self._offer = None
        self._version += 1
