"""UFACTORY xArm and Lite 6, through the SDK of the manufacturer: joint servo mode (mode 1).

In this mode the controller goes to each target as it comes, without a plan of its own; between targets it filters.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edmp.errors import MissingDependencyError
from edmp.execution.driver import ArmState, Command, DriverError
from edmp.execution.drivers.streamed import StreamedArm, check_host
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

_STOPPED = 4
_READY = (0, 1, 2)
"""States of the controller (UFACTORY's developer manual): 1 moves, 2 is ready, 4 is stopped."""
_STARTING = 2.0
"""Longest time from enabling the motors to ready [s]."""


@dataclass(frozen=True)
class XArmSettings:
    """Settings of `XArm`.

    Attributes:
        host: address of the control box, in numbers.
        period: time between commands [s]; the controller takes up to 250 a second.
    """

    host: str
    period: float = 8e-3

    def __post_init__(self) -> None:
        check_host(self.host)
        check_fields(self, {"period": Range(4e-3, 0.1)})


class XArm(StreamedArm):
    """An xArm 5, 6 or 7, 850 or Lite 6, with firmware 1.9 or newer.

    The controller gives no times: states carry the time at which they were received. Torques are its estimate from
    motor currents; of external torques it says nothing, so contacts are left to its own collision detection.

    Args:
        robot: its description.
        settings: see `XArmSettings`.
    """

    name: ClassVar[str] = "xarm"
    evidence: ClassVar[str] = "tested against a local server that speaks the SDK's protocol; UNTESTED ON HARDWARE"
    polling: ClassVar[float] = 1.0  # a state is an answer to a question, so none comes by itself

    def __init__(self, robot: Robot, *, settings: XArmSettings) -> None:
        super().__init__(robot, period=settings.period)
        self.settings = settings
        self._api = _import_sdk()
        self._arm: Any = None

    def _reach(self) -> None:
        host = self.settings.host
        try:
            with contextlib.redirect_stdout(sys.stderr):  # the SDK introduces itself by print
                self._arm = arm = self._api(host, is_radian=True, enable_report=False)
        except Exception as error:  # the SDK raises plain ones
            raise DriverError(f"no xArm at {host}: {error}; is it on, and is this its address in numbers?") from error
        if arm.axis != self.robot.dof:
            raise DriverError(f"{host}: the arm has {arm.axis} joints, {self.robot.name} has {self.robot.dof}")
        code, faults = arm.get_err_warn_code()
        if code != 0 or faults[0] != 0:
            raise DriverError(f"{host}: the arm reports error {faults[0]} (code {code}); clear it in UFACTORY Studio")
        self._do("enabling the motors", arm.motion_enable(True))
        self._do("choosing servo mode", arm.set_mode(1))
        self._do("becoming ready", arm.set_state(0))
        begin = time.monotonic()
        while (answer := arm.get_state()) and (answer[0] != 0 or answer[1] not in _READY):
            if time.monotonic() - begin > _STARTING:
                raise DriverError(f"{host}: the arm did not become ready (state {answer[1]}, code {answer[0]})")
            time.sleep(0.02)

    def _measure(self) -> ArmState:
        arm, dof = self._arm, self.robot.dof
        code, answer = arm.get_joint_states(is_radian=True)
        if code != 0:
            raise DriverError(f"{self.settings.host}: no state of the arm, code {code}")
        if arm.has_err_warn:
            code, faults = arm.get_err_warn_code()
            if code == 0 and faults[0] != 0:
                raise DriverError(f"{self.settings.host}: the arm stopped by itself, error {faults[0]}")
        q, v, torque = (np.array(values[:dof], dtype=np.float64) for values in answer)
        return ArmState(time.monotonic(), q, v, torque, np.zeros(dof))

    def _send(self, command: Command) -> None:
        self._do("commanding", self._arm.set_servo_angle_j(command.positions.tolist(), is_radian=True))

    def _halt(self) -> None:
        """The controller's own stop; it takes no commands after it until it is made ready again."""
        if self._arm is not None:
            self._do("stopping", self._arm.set_state(_STOPPED))

    def _release(self) -> None:
        if self._arm is not None:
            self._arm.disconnect()
            self._arm = None

    def _do(self, what: str, code: int) -> None:
        if code != 0:
            raise DriverError(f"{self.settings.host}: {what} failed, code {code} (xarm_api_code.md of the SDK)")


def _import_sdk() -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            from xarm.core.utils.log import logger
            from xarm.wrapper import XArmAPI
    except ImportError as error:
        raise MissingDependencyError(f"driver xarm needs UFACTORY's SDK: pip install 'edmp[xarm]' ({error})") from error
    logger.setLevel(logging.ERROR)  # below, it reports every call, and on stdout
    logging.getLogger("origin.print").setLevel(logging.ERROR)
    return XArmAPI
