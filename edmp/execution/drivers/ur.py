"""Universal Robots, CB3 and e-Series, through ur_rtde: URScript's ``servoj``, one target a period.

``servoj`` smooths over `URSettings.lookahead`, so the arm is late by about that much, and a fast motion may be as far
off its command as `MonitorSettings.tracking_error` allows: begin with a low speed.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edmp.errors import MissingDependencyError
from edmp.execution.driver import ArmState, Command, DriverError
from edmp.execution.drivers.streamed import StreamedArm, check_host
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

_PORTS = {"dashboard": 29999, "scripts": 30003, "RTDE": 30004}
_VARIABLES = ("timestamp", "actual_q", "actual_qd", "target_moment", "robot_mode", "safety_mode", "runtime_state")
_STATUS = ("safety_status_bits", "robot_status_bits")
_RUNNING, _PLAYING = 7, 2
"""robot_mode of an arm whose brakes are off; runtime_state while a program runs (RTDE guide)."""
_PROBE = 2.0
"""Longest wait for each service of the controller [s]."""
_STARTING = 2.0
"""Longest time from the start of the program on the controller to states that say so [s]."""


@dataclass(frozen=True)
class URSettings:
    """Settings of `URArm`.

    Attributes:
        host: name or address of the controller.
        period: time between commands [s]; CB3 takes 125 a second, e-Series 500.
        lookahead: of ``servoj``, which smooths over it, in [0.03, 0.2] [s].
        gain: of ``servoj``, in [100, 2000].
        deceleration: with which ``stop`` ends a motion [rad/s^2].
    """

    host: str
    period: float = 8e-3
    lookahead: float = 0.03
    gain: float = 300.0
    deceleration: float = 10.0

    def __post_init__(self) -> None:
        check_host(self.host)
        check_fields(self, {"period": Range(2e-3, 0.1), "lookahead": Range(0.03, 0.2), "gain": Range(100, 2000)})
        check_fields(self, {"deceleration": Range(0, 40, above=True)})


class URArm(StreamedArm):
    """A UR3, UR5, UR10, UR16 or their e-Series.

    Torques are the controller's targets (``target_moment``): it measures currents only. Of external torques it says
    nothing here, so contacts are left to its safety system.

    Args:
        robot: its description.
        settings: see `URSettings`.
    """

    name: ClassVar[str] = "ur"
    evidence: ClassVar[str] = "tested against a local server that speaks RTDE; UNTESTED ON HARDWARE"

    def __init__(self, robot: Robot, *, settings: URSettings) -> None:
        super().__init__(robot, period=settings.period, dof=6)
        self.settings = settings
        self._control_type, self._receive_type = _import_ur_rtde()
        self._control: Any = None
        self._receive: Any = None

    def _reach(self) -> None:
        host, rate = self.settings.host, 1.0 / self.settings.period
        for service, port in _PORTS.items():  # ur_rtde waits without end for some of them
            try:
                socket.create_connection((host, port), timeout=_PROBE).close()
            except OSError as error:
                raise DriverError(f"{host}: no {service} service on port {port}: {error}; is the arm on?") from error
        with self._explained("no states"):
            self._receive = self._receive_type(host, rate, [*_VARIABLES, *_STATUS])
            if (fault := self._fault()) is not None:
                raise DriverError(f"{host}: {fault}")
        with self._explained("no control; is the pendant set to remote control?"):
            self._control = self._control_type(host, rate)
        begin = time.monotonic()
        while (fault := self._fault()) is not None:  # what is received is a little behind
            if time.monotonic() - begin > _STARTING:
                raise DriverError(f"{host}: {fault}")
            time.sleep(0.01)

    def _measure(self) -> ArmState:
        receive = self._receive
        with self._explained("no state"):
            if (fault := self._fault()) is not None:
                raise DriverError(f"{self.settings.host}: {fault}")
            q, v, torque = (
                np.array(values, dtype=np.float64)
                for values in (receive.getActualQ(), receive.getActualQd(), receive.getTargetMoment())
            )
            return ArmState(float(receive.getTimestamp()), q, v, torque, np.zeros(6))

    def _send(self, command: Command) -> None:
        s = self.settings
        if not (self._control.isConnected() and self._receive.isConnected()):
            raise DriverError(f"{s.host}: the connection is gone")  # ur_rtde would begin anew and command again
        with self._explained("command not taken"):
            if not self._control.servoJ(command.positions.tolist(), 0.5, 0.5, s.period, s.lookahead, s.gain):
                raise DriverError(f"{s.host}: servoj was refused; does the program on the controller still run?")

    def _halt(self) -> None:
        """``servoStop``; a controller that has stopped the arm by itself refuses it, and the arm is at rest."""
        if self._control is not None and self._control.isConnected():
            with self._explained("while stopping"):
                self._control.servoStop(self.settings.deceleration)

    def _release(self) -> None:
        """End the program on the controller, too."""
        control, receive = self._control, self._receive
        self._control = self._receive = None
        with self._explained("while disconnecting"):
            if control is not None:
                if control.isConnected():
                    control.servoStop(self.settings.deceleration)
                    control.stopScript()
                control.disconnect()
            if receive is not None:
                receive.disconnect()

    def _fault(self) -> str | None:
        receive = self._receive
        troubles: tuple[tuple[Callable[[], bool], str], ...] = (
            (receive.isEmergencyStopped, "the emergency stop is pressed"),
            (receive.isProtectiveStopped, "protective stop: find out why, then unlock it on the pendant"),
            (lambda: receive.getRobotMode() != _RUNNING, "the arm is not running: switch it on and release the brakes"),
            (
                lambda: self._control is not None and receive.getRuntimeState() != _PLAYING,
                "the program on the controller has ended",
            ),
        )
        return next((words for happens, words in troubles if happens()), None)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """ur_rtde raises what the C++ library and its network code happen to throw."""
        try:
            yield
        except DriverError:
            raise
        except Exception as error:
            raise DriverError(f"{self.settings.host}: {what}: {error}") from error


def _import_ur_rtde() -> tuple[Any, Any]:
    try:
        from rtde_control import RTDEControlInterface
        from rtde_receive import RTDEReceiveInterface
    except ImportError as error:
        raise MissingDependencyError(f"driver ur needs ur_rtde: pip install 'edmp[ur]' ({error})") from error
    return RTDEControlInterface, RTDEReceiveInterface
