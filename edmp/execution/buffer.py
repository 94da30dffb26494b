"""What the arm will do: the only thing that those who plan and the control loop share."""

from __future__ import annotations

import copy
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.execution.clock import MotionClock
from edmp.execution.driver import Command
from edmp.execution.monitor import Violation
from edmp.robots.parts import Limits
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_JUMP = 1e-6
"""A motion that begins this far from where the arm will be is no continuation [rad, rad/s]."""
_TRAIL_STEP = 0.01
"""Joints move this far between two points of the trail [rad or m]."""


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
        final: whether the motion under way, or the one that waits, leads to where the arm is to go.
        over: whether the arm is at rest for good: at the end of a final motion, or after `CommandBuffer.close`.
    """

    trajectory: Trajectory
    position: float
    version: int
    braking: bool
    at_rest: bool
    pending: bool
    final: bool
    over: bool


@dataclass(frozen=True)
class _Offer:
    trajectory: Trajectory
    at: float
    final: bool


class _Line:
    """The motion under way and the one that waits; without a lock, so that it can be tried out on a copy."""

    def __init__(self, trajectory: Trajectory, limits: Limits, speed: float, final: bool) -> None:
        self.limits, self.speed, self.final = limits, speed, final
        self.clock = MotionClock(trajectory, limits, speed=speed)
        self.offer: _Offer | None = None
        self.version = 0

    def copy(self) -> _Line:
        other = copy.copy(self)
        other.clock = copy.copy(self.clock)
        return other

    def advance(self, dt: float) -> Command:
        offer = self.offer
        if offer is None or self.clock.position + self.clock.rate * dt < offer.at:
            return self.clock.advance(dt)
        left = (offer.at - self.clock.position) / self.clock.rate
        self.take_over(offer)
        return self.clock.advance(max(dt - left, 0.0))

    def brake(self) -> None:
        self.offer = None
        self.clock.brake()

    def take_over(self, offer: _Offer) -> None:
        self.clock = MotionClock(offer.trajectory, self.limits, speed=self.speed)
        self.final, self.offer = offer.final, None
        self.version += 1

    def now(self) -> Command:
        """Where the arm is on its way."""
        clock = self.clock
        q, v, a = clock.trajectory.sample(clock.position)
        return Command(q, v * clock.rate, a * clock.rate**2)


class CommandBuffer:
    """A motion that ends at rest, and at most one that will take over from it.

    Where one motion takes over from the other is a time along the first, not a time of the clock: a control loop that
    is late is late on the path, too, and nothing jumps.

    Args:
        trajectory: to begin with.
        limits: of the joints.
        speed: share of the planned speed, in (0, 1].
        final: whether the first motion leads to where the arm is to go.
        lock: that those who share it take; a `threading.Lock` if not given.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        limits: Limits,
        *,
        speed: float = 1.0,
        final: bool = True,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._lock = lock or threading.Lock()
        self._line = _Line(trajectory, limits, speed, final)
        self._trail = [trajectory.positions[0]]
        self._closed = False
        self._cause: Violation | None = None

    # -- the control loop ---------------------------------------------------------------------------------------

    def advance(self, dt: float) -> Command:
        """Move on by ``dt`` [s]; where to be then."""
        with self._lock:
            command = self._line.advance(dt)
            if np.abs(command.positions - self._trail[-1]).max() > _TRAIL_STEP:
                self._trail.append(command.positions)
            return command

    def brake(self) -> None:
        """Come to rest; a motion that waits to take over is dropped."""
        with self._lock:
            self._line.brake()

    def close(self, cause: Violation | None = None) -> None:
        """Come to rest for good: no motion is taken any more. The first cause is kept."""
        with self._lock:
            self._line.brake()
            self._closed = True
            self._cause = self._cause or cause

    @property
    def cause(self) -> Violation | None:
        """Why it was closed."""
        return self._cause

    # -- those who plan -----------------------------------------------------------------------------------------

    def snapshot(self) -> Buffered:
        with self._lock:
            clock, offer = self._line.clock, self._line.offer
            ended = clock.position >= clock.trajectory.duration and offer is None
            return Buffered(
                trajectory=clock.trajectory,
                position=clock.position,
                version=self._line.version,
                braking=clock.braking,
                at_rest=clock.at_rest,
                pending=offer is not None,
                final=offer.final if offer else self._line.final,
                over=clock.at_rest and (self._closed or (ended and self._line.final)),
            )

    def offer(self, trajectory: Trajectory, *, version: int, at: float, final: bool = True) -> bool:
        """Let a motion take over from the one of ``version`` at time ``at`` along it; False if that is too late.

        It is too late if another motion has taken over, if the arm is past that point, or if it brakes and has not come
        to rest. A motion offered earlier and still waiting is replaced. An arm at rest takes over at once.
        """
        with self._lock:
            line, clock = self._line, self._line.clock
            if version != line.version or self._closed:
                return False
            if clock.at_rest:
                here = clock.trajectory.at(clock.position)
                if np.abs(here - trajectory.positions[0]).max() > _JUMP:
                    return False
                line.take_over(_Offer(trajectory, clock.position, final))
                return True
            if clock.braking or at < clock.position:
                return False
            q, v, _ = clock.trajectory.sample(at)
            jump = max(np.abs(q - trajectory.positions[0]).max(), np.abs(v - trajectory.velocities[0]).max())
            if jump > _JUMP:
                return False
            line.offer = _Offer(trajectory, at, final)
            return True

    def ahead(self) -> Trajectory:
        """All that is buffered, from now to rest, the motion that waits included."""
        with self._lock:
            line = self._line.copy()
        if line.clock.braking or line.clock.rate != 1.0:
            return _played(line, brake=False)
        first = _part(line.clock.trajectory, line.clock.position, line.offer.at if line.offer else None)
        return first if line.offer is None else _joined(first, line.offer.trajectory)

    def after_braking(self, *, delay: float = 0.0, step: float = 5e-3) -> Trajectory:
        """The motion that would be left if the arm braked ``delay`` [s] from now; it begins now."""
        with self._lock:
            line = self._line.copy()
        return _played(line, brake=True, delay=delay, step=step)

    def trail(self) -> Array:
        """(n, dof) where the arm has been told to be since the beginning; the last point is where it is now."""
        with self._lock:
            return np.array([*self._trail, self._line.now().positions])


def _played(line: _Line, *, brake: bool, delay: float = 0.0, step: float = 5e-3) -> Trajectory:
    """What a line of motions does from now on, played to its end in steps."""
    rows = [line.now()]
    while not line.clock.at_rest or line.offer is not None:
        if brake and (len(rows) - 1) * step >= delay - 1e-9:
            line.brake()
        rows.append(line.advance(step))
    if len(rows) == 1:
        rows.append(Command.hold(rows[0].positions))
    return Trajectory(
        line.clock.trajectory.joint_names,
        step * np.arange(len(rows), dtype=np.float64),
        np.array([row.positions for row in rows]),
        np.array([row.velocities for row in rows]),
        np.array([row.accelerations for row in rows]),
    )


def _part(trajectory: Trajectory, begin: float, end: float | None = None) -> Trajectory:
    """A trajectory from one time along it to another, or to its end."""
    end = trajectory.duration if end is None else min(end, trajectory.duration)
    begin = min(begin, end - 1e-3)  # it needs two samples; before its beginning a motion rests
    inner = trajectory.times[(trajectory.times > begin + 1e-6) & (trajectory.times < end - 1e-6)]
    times = np.concatenate([[begin], inner, [end]])
    return Trajectory(trajectory.joint_names, times - begin, *trajectory.sample(times))


def _joined(first: Trajectory, second: Trajectory) -> Trajectory:
    """One after the other."""
    arrays = ((one.positions, one.velocities, one.accelerations) for one in (first, second))
    q, v, a = (np.concatenate([x[:-1], y]) for x, y in zip(*arrays, strict=True))
    return Trajectory(first.joint_names, np.concatenate([first.times[:-1], first.duration + second.times]), q, v, a)
