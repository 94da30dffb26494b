"""An arm behind Drake's arm drivers, over LCM: drake-franka-driver, drake-iiwa-driver, or ``edmp sim serve``.

Three clocks are at work. Ticks follow the arm's own. The time stamp of a status, on the system clock of the machine of
the arm's driver, is held against ours: one that is old when it comes is no news, so an arm whose statuses arrive late
is as stale as one that says nothing. Our commands are stamped with our system clock, which drake-franka-driver holds
against its own; on two machines the clocks must be kept together (chrony, ptp).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from edmp.errors import InvalidInputError, unknown_name
from edmp.execution.driver import ArmState, Command, DriverError
from edmp.execution.drivers.lcm_messages import (
    MULTICAST_HELP,
    PROTOCOLS,
    ArmStatus,
    Mailbox,
    Protocol,
    effective_url,
    open_lcm,
)
from edmp.execution.drivers.streamed import StreamedArm, slow_down
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

_SILENCE = 0.4
"""An arm that has said nothing new for this long is lost [s]."""
_HEARD = 9
"""So many statuses are heard before the arm is taken for reached."""
_OTHERS = 0.15
"""For so long we listen for commands of others before the first of ours [s]."""
_POLL = 5e-4
"""Between two looks while nothing has been heard yet [s]."""


@dataclass(frozen=True)
class DrakeLcmSettings:
    """Settings of `DrakeLcmArm`.

    Attributes:
        protocol: ``panda`` (lcmt_panda_command and lcmt_panda_status) or ``iiwa``.
        url: of LCM; empty for the environment variable LCM_DEFAULT_URL, or else LCM's default.
        command_channel: empty for the protocol's own, PANDA_COMMAND or IIWA_COMMAND.
        status_channel: empty for the protocol's own, PANDA_STATUS or IIWA_STATUS.
        period: time between commands [s]; None for what suits the protocol, 2 ms (panda) or 5 ms (iiwa).
        status_age: a status that is older than this when it comes, or from so far ahead, is no news [s].
            drake-franka-driver drops commands that are off its clock by 0.1 s if not told otherwise.
        timeout: for the first statuses [s].
    """

    protocol: str = "panda"
    url: str = ""
    command_channel: str = ""
    status_channel: str = ""
    period: float | None = None
    status_age: float = 0.05
    timeout: float = 3.0

    def __post_init__(self) -> None:
        check_protocol(self.protocol)
        check_names(self, ("url", "command_channel", "status_channel"))
        check_fields(self, {"status_age": Range(0, above=True), "timeout": Range(0, above=True)})
        if self.period is not None:
            check_fields(self, {"period": Range(1e-3, 2e-2)})


class DrakeLcmArm(StreamedArm):
    """An arm that takes positions over LCM. Whether a real or a simulated one is behind the channels, it cannot tell.

    Args:
        robot: its description; the messages name no joints, so the order must be the arm's.
        settings: see `DrakeLcmSettings`.
    """

    name: ClassVar[str] = "drake-lcm"
    evidence: ClassVar[str] = (
        "takes whatever is behind the channels for a real arm; tested against edmp sim serve; UNTESTED ON HARDWARE"
    )

    def __init__(self, robot: Robot, *, settings: DrakeLcmSettings | None = None) -> None:
        self.settings = settings = settings or DrakeLcmSettings()
        self._protocol: Protocol = PROTOCOLS[settings.protocol]()
        super().__init__(robot, period=settings.period or self._protocol.command_period)
        self._command_channel = settings.command_channel or self._protocol.command_channel
        self._status_channel = settings.status_channel or self._protocol.status_channel
        self._where = f"{self._status_channel} on {effective_url(settings.url)}"
        self._reference = Command.hold(robot.home)
        self._lcm: Any = None
        self._inbox: Any = None

    def _reach(self) -> None:
        self._lcm = open_lcm(self.settings.url)
        self._inbox = Mailbox(self._lcm, self._status_channel)
        self._newest_status: ArmStatus | None = None
        self._zero: float | None = None  # the arm's clock may count from 1970, and lose the microseconds
        self._stale = 0.0
        self._heard = self._looked = time.monotonic()
        # Apart, so that our own commands are not handed back to us later.
        others = Mailbox(open_lcm(self.settings.url), self._command_channel)
        begin, times = time.monotonic(), list[float]()
        listen = max(_OTHERS, self._protocol.guard)
        while len(times) < _HEARD or time.monotonic() - begin < listen:
            if others.poll() is not None:
                raise DriverError(
                    f"somebody else commands this arm on {self._command_channel}; end that process first, or use "
                    "another channel"
                )
            if time.monotonic() - begin > max(self.settings.timeout, listen):
                raise DriverError(self._nothing_heard())
            if self._look() and self._newest_status is not None:
                times.append(self._newest_status.state.time)
            time.sleep(_POLL)
        # Not the median: LCM drops some where we are slow to look. Not the least: a driver that was late catches up.
        interval = float(np.quantile(np.diff(times), 0.25))
        if interval > 1.5 * self.period:
            raise DriverError(
                f"{self._where}: statuses come every {interval * 1e3:.1f} ms, too rarely for commands every "
                f"{self.period * 1e3:.1f} ms: set period to {interval:.3g} or more"
            )
        self.slack = 0.5 * interval

    def _look(self) -> bool:
        """Take in what has come; was there something new?"""
        now = time.monotonic()
        if (pause := now - self._looked) > self.settings.status_age:  # it was we who did not listen
            self._heard += pause
        self._looked = now
        raw = self._inbox.poll()
        if raw is None:
            return False
        status = self._protocol.decode_status(raw)
        if status.stamp <= 0:  # drake-iiwa-driver, until it has told the arm's clock
            return False
        if len(status.state.positions) != self.robot.dof:
            raise DriverError(
                f"{self._where}: an arm of {len(status.state.positions)} joints; {self.robot.name} has {self.robot.dof}"
            )
        age = time.time() - status.stamp
        if abs(age) > self.settings.status_age:
            self._stale = age
            return False
        self._zero = status.state.time if self._zero is None else self._zero
        state = replace(status.state, time=status.state.time - self._zero)
        self._newest_status, self._heard, self._stale = replace(status, state=state), time.monotonic(), 0.0
        if status.refusal is not None:
            raise DriverError(f"{self._where}: {status.refusal}")
        return True

    def _nothing_heard(self) -> str:
        if self._stale:
            return (
                f"{self._where}: statuses are {abs(self._stale):.3g} s {'old' if self._stale > 0 else 'ahead'}, more "
                f"than {self.settings.status_age:g} s: the clocks of the two machines must be kept together (chrony)"
            )
        return (
            f"no {self._where}, or too few, for {self.settings.timeout:g} s. Is {self._protocol.driver} running, or "
            "edmp sim serve, with this URL (options url, status_channel)? Between machines the URL must end in ttl=1. "
            + MULTICAST_HELP
        )

    def _measure(self) -> ArmState:
        self._look()
        status = self._newest_status
        assert status is not None  # there is one before _reach returns
        silence = time.monotonic() - self._heard
        if silence > _SILENCE:
            late = f"; what comes is {self._stale:.3g} s old" if self._stale else ""
            raise DriverError(
                f"no news in {self._where} for {silence:.1f} s{late}: the process that drives the arm has ended or "
                "hangs, or the network is gone"
            )
        return status.state

    def _send(self, command: Command) -> None:
        self._lcm.Publish(self._command_channel, self._protocol.encode_command(command.positions, time.time()))

    def _halt(self) -> None:
        """Slow the reference down to rest; the arm's driver holds the last one."""
        while self._lcm is not None and self._reference.velocities.any():
            self._reference = slow_down(self._reference, self.robot.limits, self.period)
            self._send(self._reference)
            time.sleep(self.period)

    def _release(self) -> None:
        self._lcm = self._inbox = None


def check_protocol(name: str) -> None:
    """One that there is.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)


def check_names(settings: object, fields: tuple[str, ...]) -> None:
    """Texts.

    Raises:
        InvalidInputError: one is none.
    """
    for field in fields:
        if not isinstance(value := getattr(settings, field), str):
            raise InvalidInputError(f"{field}: expected text, got {value!r}")
