"""What drivers of real arms share: the pace of the arm's own clock, and a reference that brakes when nobody commands.

Between two commands that come late the reference goes on and slows down as fast as the acceleration limits allow, sent
by a thread of its own; so a hiccup of a few milliseconds does not show, and a planner that hangs leaves an arm at rest.
If the whole process dies, only the arm's controller is left: docs/hardware.md says what each does then.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from edmp.errors import InvalidInputError
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot

log = logging.getLogger(__name__)

_PATIENCE = 0.015
"""After this long without a command, or three periods, the reference goes on by itself [s]."""
_LATE = 0.05
"""Ticks late by up to this are made up for. After more the arm is brought to rest for good [s]."""
_NO_STATE = 0.5
"""An arm that has said nothing new for this long, while we waited for it, is lost [s]."""


class StreamedArm(ArmDriver):
    """A real arm to which a reference is streamed. Subclasses say how, in the five methods at the end.

    Attributes:
        polling: longest sleep between two looks at the arm's clock [s].
        slack: a state that is so much older than a tick asks for will do [s]; for arms whose time stamps are uneven.

    Args:
        robot: its description.
        period: between commands [s].
        dof: of the arm behind the driver; None takes any.
    """

    hardware: ClassVar[bool] = True
    polling: ClassVar[float] = 1e-3
    slack: float = 1e-6

    def __init__(self, robot: Robot, *, period: float, dof: int | None = None) -> None:
        if dof is not None and robot.dof != dof:
            raise InvalidInputError(f"{self.name} has {dof} joints, the description {robot.name} has {robot.dof}")
        self.robot, self.period = robot, period
        self._lock = threading.Lock()  # of the reference and of what sends it
        self._ending = threading.Event()
        self._keeper: threading.Thread | None = None
        self._open = False
        self._failure: str | None = None
        self._braked = False
        self._reference = Command.hold(robot.home)

    def connect(self) -> None:
        log.warning("%s: %s", self.name, self.evidence)
        self._ending.clear()
        self._failure, self._braked = None, False
        self._open = True  # from here on there may be something to close
        with self._lock:
            self._reach()
            state = self._measure()
            self._reference = Command.hold(state.positions)
            self._sent = self._moved = self._seen = self._left = time.monotonic()
        self._due = self._newest = state.time
        self._keeper = threading.Thread(target=self._keep, name=f"{self.name} reference", daemon=True)
        self._keeper.start()

    def wait(self) -> ArmState:
        """The first state that is a period newer than the last tick by the arm's clock.

        If none comes within some periods the old one is returned again, for the monitor to judge.
        """
        self._check()
        due, begin = self._due + self.period, time.monotonic()
        patience = max(5 * self.period, 0.02)
        self._seen += begin - self._left  # nobody was looking
        while True:
            state, now = self._measure(), time.monotonic()
            self._left = now
            if state.time > self._newest:
                self._newest, self._seen = state.time, now
            elif now - self._seen > _NO_STATE:
                raise DriverError(f"{self.name}: no new state for {now - self._seen:.1f} s")
            if state.time >= due - self.slack:
                self._due = due if state.time - due < _LATE else state.time
                return state
            if now - begin > patience:
                return state
            time.sleep(min(max(due - state.time, 1e-4), self.polling))

    def command(self, command: Command) -> None:
        self._check()
        with self._lock:
            if self._failure is not None:
                raise DriverError(f"{self.name}: {self._failure}")
            if self._braked and self._newest - self._due > self.period and command.velocities.any():
                return  # late, and behind where the reference has gone by itself; the next ones come at once
            self._send(command)
            self._reference, self._braked = command, False
            self._sent = self._moved = time.monotonic()

    def stop(self) -> None:
        self._end_keeper()
        if self._open:
            with self._lock:
                self._failure = "the arm was stopped"
                self._halt()

    def close(self) -> None:
        self._end_keeper()
        if self._open:
            self._open = False
            self._release()

    def _check(self) -> None:
        if not self._open:
            raise DriverError("the arm is not connected: use the driver as a context manager")

    def _end_keeper(self) -> None:
        self._ending.set()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join()
            self._keeper = None

    def _keep(self) -> None:
        """Where commands are missing, let the reference go on and slow down."""
        patience = max(_PATIENCE, 3 * self.period)
        while not self._ending.wait(self.period):
            with self._lock:
                now = time.monotonic()
                gap = now - self._sent
                if gap < patience:
                    continue
                if self._braked and gap > patience + _LATE and self._failure is None:
                    self._failure = f"no command for {gap * 1e3:.0f} ms while moving: the arm was braked"
                    log.error("%s: %s", self.name, self._failure)
                if self._reference.velocities.any():
                    self._braked = True
                    self._reference = slow_down(self._reference, self.robot.limits, now - self._moved)
                    self._moved = now
                    try:
                        self._send(self._reference)
                    except DriverError as error:
                        self._failure = str(error)
                        return

    @abstractmethod
    def _reach(self) -> None:
        """Reach the arm, make sure that it is the one described, and begin to hold it where it is."""

    @abstractmethod
    def _measure(self) -> ArmState:
        """The newest state, without waiting for one; a `DriverError` if the arm does not follow any more, and why."""

    @abstractmethod
    def _send(self, command: Command) -> None:
        """Make ``command`` the reference. Called with the lock held."""

    @abstractmethod
    def _halt(self) -> None:
        """Bring the arm to rest by its own means."""

    @abstractmethod
    def _release(self) -> None:
        """End the session, whatever came of `_reach`."""


def slow_down(reference: Command, limits: Limits, dt: float) -> Command:
    """The reference ``dt`` [s] later if all joints slow down together, the hardest at its acceleration limit."""
    v = reference.velocities
    moving = np.abs(v) > 0
    if not moving.any():
        return Command.hold(reference.positions)
    rest = 1.0 / float((limits.acceleration[moving] / np.abs(v[moving])).min())  # until then
    if dt >= rest:
        return Command.hold(reference.positions + 0.5 * v * rest)
    after = (1.0 - dt / rest) * v
    return Command(reference.positions + 0.5 * (v + after) * dt, after, -v / rest)


def check_host(host: object) -> None:
    """A name or address.

    Raises:
        InvalidInputError: it is none.
    """
    if not isinstance(host, str) or not host.strip():
        raise InvalidInputError(f"host: expected a name or address, got {host!r}")
