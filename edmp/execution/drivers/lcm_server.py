"""An arm, usually a simulated one, put behind Drake's arm protocol over LCM, as its drivers put a real one there.

Commands are positions. One is approached over the time between two statuses, as a controller that computes faster than
it is told interpolates. Then, as in drake-franka-driver, they are low-passed, and the velocities and accelerations that
the arm's controller wants too come from differences, low-passed again. What would make the real thing give up makes
this one give up: a command of another control mode, or with numbers missing or not finite, a jump, and torques from
outside that are too large. A Franka then reports the mode "reflex", drake-iiwa-driver ends.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.drivers.drake_lcm import check_names, check_protocol
from edmp.execution.drivers.lcm_messages import PROTOCOLS, ArmStatus, Mailbox, Protocol, effective_url, open_lcm
from edmp.ranges import Range, check_fields

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_JUMP = 1.5
"""A reference that is faster than the speed limit by this factor comes from a jump of the commands."""
_BEHIND = 0.05
"""Ticks late by up to this are made up for [s]; beyond, the served arm's time slips."""
_LISTEN = 0.2
"""For so long we listen for another arm on the channel [s]."""


@dataclass(frozen=True)
class ServeSettings:
    """Settings of `ArmServer`.

    Attributes:
        protocol: ``panda`` or ``iiwa``.
        url: of LCM; empty for the environment variable LCM_DEFAULT_URL, or else LCM's default.
        command_channel: empty for the protocol's own.
        status_channel: empty for the protocol's own.
        expire: commands whose time stamp is off our clock by more are dropped, where the protocol says so [s]; the
            default of drake-franka-driver.
        low_pass: cutoff of the filters of the reference [Hz]; the default of drake-franka-driver.
        external_torque: on a joint, at which the arm gives up [Nm]; the default of drake-franka-driver.
    """

    protocol: str = "panda"
    url: str = ""
    command_channel: str = ""
    status_channel: str = ""
    expire: float = 0.1
    low_pass: float = 30.0
    external_torque: float = 100.0

    def __post_init__(self) -> None:
        check_protocol(self.protocol)
        check_names(self, ("url", "command_channel", "status_channel"))
        check_fields(self, dict.fromkeys(("expire", "low_pass", "external_torque"), Range(0, above=True)))


@dataclass
class Served:
    """What came of it.

    Attributes:
        seconds: of the arm's time.
        commands: taken.
        expired: commands dropped because of their time stamp.
        slipped: time by which the arm fell behind the clock on the wall [s].
        contacts: ticks in which something touched.
        gave_up: why the arm took no commands any more; None if it always did.
    """

    seconds: float = 0.0
    commands: int = 0
    expired: int = 0
    slipped: float = 0.0
    contacts: int = 0
    gave_up: str | None = None


class ArmServer:
    """Serves one arm, in real time.

    Args:
        arm: connected, at its own pace (``real_time`` false): the pace is kept here. Its period is that of the control;
            statuses are sent at the protocol's.
        settings: see `ServeSettings`.

    Attributes:
        where: status channel and URL.
    """

    def __init__(self, arm: ArmDriver, *, settings: ServeSettings | None = None) -> None:
        self._arm, self._settings = arm, settings or ServeSettings()
        self._protocol: Protocol = PROTOCOLS[self._settings.protocol]()
        self._command_channel = self._settings.command_channel or self._protocol.command_channel
        self._status_channel = self._settings.status_channel or self._protocol.status_channel
        self._every = max(1, round(self._protocol.period / arm.period))
        self.where = f"{self._status_channel} on {effective_url(self._settings.url)}"

    def serve(self, ending: threading.Event, *, ready: Callable[[], None] = lambda: None) -> Served:
        """Until ``ending`` is set.

        Args:
            ending: set it, from a signal handler or another thread, to end.
            ready: called once statuses are sent.

        Raises:
            DriverError: no LCM, another arm on the channel, or, of protocols that do not tell, the arm gave up.
        """
        arm, period = self._arm, self._arm.period
        self._lcm = open_lcm(self._settings.url)
        self._refuse_twins()
        inbox, done = Mailbox(self._lcm, self._command_channel), Served()
        state = arm.wait()
        highest = arm.robot.limits.acceleration
        self._reference = Reference(state.positions, period, cutoff=self._settings.low_pass, highest=highest)
        self._target = self._approached = state.positions
        self._left = 1
        self._publish(state, done)
        ready()
        due, ticks = time.monotonic(), 0
        while not ending.is_set():
            self._take(inbox.poll(), done)
            if done.gave_up is None:  # otherwise the arm brakes by itself
                self._move(done)
            state = arm.wait()
            self._watch(state, done)
            ticks += 1
            if ticks % self._every == 0:
                self._publish(state, done)
            due += period
            done.seconds += period
            if (late := time.monotonic() - due) > _BEHIND:
                done.slipped += late
                due += late
            elif late < 0:
                time.sleep(-late)
        return done

    def _refuse_twins(self) -> None:
        inbox, end = Mailbox(self._lcm, self._status_channel), time.monotonic() + _LISTEN
        while time.monotonic() < end:
            if inbox.poll() is not None:
                raise DriverError(f"another arm reports already as {self.where}: end it, or use another URL or channel")
            time.sleep(1e-3)

    def _take(self, raw: bytes | None, done: Served) -> None:
        if raw is None or done.gave_up is not None:
            return
        try:
            stamp, positions = self._protocol.decode_command(raw)
        except DriverError as error:
            return self._give_up(str(error), done)
        if positions.shape != self._target.shape or not np.isfinite(positions).all():
            return self._give_up(f"a command of positions {np.array2string(positions, precision=3)}", done)
        off = time.time() - stamp
        if self._protocol.expires and abs(off) > self._settings.expire:
            if not done.expired:
                log.warning("a command stamped %.3g s off our clock was dropped; the arm holds the last one", off)
            done.expired += 1
            return None
        self._target, self._left = positions, self._every
        done.commands += 1
        return None

    def _move(self, done: Served) -> None:
        self._approached = self._approached + (self._target - self._approached) / self._left
        self._left = max(1, self._left - 1)
        command = self._reference.advance(self._approached)
        share = np.abs(command.velocities) / self._arm.robot.limits.velocity
        j = int(share.argmax())
        if share[j] > _JUMP:
            return self._give_up(f"the commands for {self._arm.robot.joint_names[j]} jump", done)
        self._arm.command(command)
        return None

    def _watch(self, state: ArmState, done: Served) -> None:
        if state.contact is not None:
            if not done.contacts:
                log.warning("%s touches %s", *state.contact)
            done.contacts += 1
        torque = np.abs(state.external_torques)
        j = int(torque.argmax())
        if torque[j] > self._settings.external_torque:
            self._give_up(f"{torque[j]:.0f} Nm from outside on {self._arm.robot.joint_names[j]}", done)

    def _give_up(self, why: str, done: Served) -> None:
        if done.gave_up is not None:
            return
        done.gave_up = why
        log.error("%s: takes no commands any more; it brakes", why)
        if not self._protocol.reports_refusal:
            raise DriverError(f"{why}: {self._protocol.driver} ends then")

    def _publish(self, state: ArmState, done: Served) -> None:
        status = ArmStatus(time.time(), state, done.gave_up)
        self._lcm.Publish(self._status_channel, self._protocol.encode_status(status, self._reference.command))


class Reference:
    """Positions, velocities and accelerations from commanded positions, as drake-franka-driver makes them.

    q_k = q_(k-1) + g (c - q_(k-1)) with g = dt / (dt + 1 / (2 pi f)), v the same filter over (q_k - q_(k-1)) / dt, a
    over the differences of v. What the arm may not accelerate is jitter of the commands, and not told its controller.

    Args:
        positions: (dof,) at first, at rest [rad].
        dt: between calls [s].
        cutoff: f [Hz].
        highest: (dof,) acceleration of the arm [rad/s^2].

    Attributes:
        command: the present one.
    """

    def __init__(self, positions: Array, dt: float, *, cutoff: float, highest: Array) -> None:
        self._dt, self._gain, self._highest = dt, dt / (dt + 1.0 / (2.0 * math.pi * cutoff)), highest
        self.command = Command.hold(positions)

    def advance(self, target: Array) -> Command:
        """One ``dt`` on, towards ``target`` (dof,) [rad]."""
        q, v, a = self.command.positions, self.command.velocities, self.command.accelerations
        step = self._gain * (target - q)
        faster = self._gain * (step / self._dt - v)
        a = np.clip(a + self._gain * (faster / self._dt - a), -self._highest, self._highest)
        self.command = Command(q + step, v + faster, a)
        return self.command
