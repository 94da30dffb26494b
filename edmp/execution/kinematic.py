"""An arm without dynamics: it is where it was told to be, a little late if asked. For rehearsals and tests."""

from __future__ import annotations

import time
from collections import deque
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.errors import InvalidInputError
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.ranges import Range
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


class KinematicArm(ArmDriver):
    """Follows every command exactly.

    Args:
        robot: whose joints.
        positions: where it is at first (dof,) [rad or m].
        period: between ticks [s].
        delay: commands take effect this much later [s].
        real_time: sleep so that a second of motion takes a second; otherwise as fast as possible. A tick that is missed
            is not made up for: the arm waits where it is.
        pace: with ``real_time``, seconds of the arm's time in a second on the wall; below 1, slow motion, in which
            whoever plans has more time than on a real arm.
    """

    name: ClassVar[str] = "kinematic"
    evidence: ClassVar[str] = "no dynamics: shows the motion, proves nothing about an arm"
    sees_contacts: ClassVar[bool] = False

    def __init__(
        self,
        robot: Robot,
        positions: ArrayLike,
        *,
        period: float = 1e-3,
        delay: float = 0.0,
        real_time: bool = False,
        pace: float = 1.0,
    ) -> None:
        if not Range(0, above=True).holds(period) or not Range(0, above=True).holds(pace) or not Range(0).holds(delay):
            raise InvalidInputError(f"needs period > 0, pace > 0, delay >= 0; got {period!r}, {pace!r}, {delay!r}")
        self.robot, self.period = robot, period
        self._lag = 1 + round(delay / period)
        self._line = deque([Command.hold(np.asarray(positions, dtype=np.float64))] * self._lag)
        self._time = 0.0
        self.real_time, self._pace, self._begin = real_time, pace, time.monotonic()
        self._connected = False

    def now(self) -> float:
        return (time.monotonic() - self._begin) * self._pace if self.real_time else self._time

    def connect(self) -> None:
        self._connected, self._begin, self._time = True, time.monotonic(), 0.0

    def wait(self) -> ArmState:
        self._check()
        due = self._time + self.period
        if self.real_time:
            time.sleep(max(0.0, due - self.now()) / self._pace)
            late = self.now()
            due = late if late > due + self.period else due
        self._time = due
        if len(self._line) > self._lag:
            self._line.popleft()
        reached, nothing = self._line[0], np.zeros(self.robot.dof)
        return ArmState(self._time, reached.positions.copy(), reached.velocities.copy(), nothing, nothing)

    def command(self, command: Command) -> None:
        self._check()
        self._line.append(command)

    def stop(self) -> None:
        self._line = deque([Command.hold(self._line[0].positions)] * self._lag)

    def close(self) -> None:
        self._connected = False

    def _check(self) -> None:
        if not self._connected:
            raise DriverError("the arm is not connected: use the driver as a context manager")
