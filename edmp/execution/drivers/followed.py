"""What a simulated arm follows: the commands that are due, and without any a reference that comes to rest by itself."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edmp.execution.driver import Command
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

PATIENCE = 0.05
"""A moving arm that has had no command for this long brakes to rest and takes none any more [s]."""


class Followed:
    """The reference of an arm, tick by tick.

    Args:
        robot: whose limits it brakes by.
        start: (dof,) where it rests at first [rad or m].
        period: of a tick [s].
        delay: commands take effect this much later [s].

    Attributes:
        now: the reference at this tick.
        failure: why no command is taken any more; empty while they are.
    """

    def __init__(self, robot: Robot, start: Array, *, period: float, delay: float = 0.0) -> None:
        self.now, self.failure = Command.hold(start), ""
        self._limits, self._period = robot.limits, period
        self._line: deque[tuple[int, Command]] = deque()
        self._lag, self._tick, self._without = round(delay / period), 0, 0
        self._slowing = np.zeros(robot.dof)

    def take(self, command: Command) -> None:
        """Where to be at the next tick, or later by the delay."""
        self._line.append((self._tick + self._lag, command))

    def stop(self, at: Command | None = None) -> None:
        """Take no commands any more, and come to rest from where the reference is, or from ``at``."""
        self._line.clear()
        self.failure = self.failure or "the arm was stopped"
        if at is not None:
            self.now, self._slowing = at, np.zeros_like(at.velocities)

    def due(self) -> Command:
        """The reference at the next tick; `advance` makes it that of this one."""
        due = [self._line.popleft()[1] for _ in range(sum(tick <= self._tick for tick, _ in self._line))]
        if due:
            self._slowing, self._without = np.zeros_like(self._slowing), 0
            return due[-1]
        before = self.now
        target = self._without_command()
        if before.velocities.any() or self._without:
            self._without += 1
            if self._without * self._period >= PATIENCE and not self.failure:
                self.failure = f"no command for {PATIENCE * 1e3:.0f} ms while moving: the arm braked"
                self._line.clear()
        return target

    def advance(self, target: Command) -> None:
        """A tick has passed, and ``target`` was to be reached in it."""
        self.now = target
        self._tick += 1

    def _without_command(self) -> Command:
        """The reference slows down as fast as the acceleration limits allow, all joints together."""
        v, dt = self.now.velocities, self._period
        if not v.any():
            return Command.hold(self.now.positions)
        if not self._slowing.any():
            self._slowing = v / max(float((np.abs(v) / self._limits.acceleration).max()), dt)
        after = np.where(np.abs(v) > np.abs(self._slowing) * dt, v - self._slowing * dt, 0.0)
        return Command(self.now.positions + 0.5 * (v + after) * dt, after, (after - v) / dt)
