"""What must hold while an arm moves: tracking, limits, contact, fresh and finite states."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.execution.driver import ArmState, Command
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


class Fault(enum.Enum):
    """What can go wrong in a motion."""

    TRACKING = "TRACKING"
    POSITION_LIMIT = "POSITION_LIMIT"
    VELOCITY_LIMIT = "VELOCITY_LIMIT"
    OFF_PATH = "OFF_PATH"
    EXTERNAL_TORQUE = "EXTERNAL_TORQUE"
    CONTACT = "CONTACT"
    NOT_FINITE = "NOT_FINITE"
    STALE_STATE = "STALE_STATE"
    LATE = "LATE"
    DRIVER = "DRIVER"
    INTERRUPTED = "INTERRUPTED"
    SCENE_STALE = "SCENE_STALE"
    NO_WAY = "NO_WAY"
    GUARD = "GUARD"
    GRIPPER = "GRIPPER"


@dataclass(frozen=True)
class Violation:
    """One fault: what, when and how far off.

    Attributes:
        fault: what.
        time: when, on the driver's clock [s].
        message: a sentence with joint, value and limit.
    """

    fault: Fault
    time: float
    message: str


@dataclass(frozen=True)
class MonitorSettings:
    """When a motion is stopped.

    Attributes:
        tracking_error: largest distance of a joint from its command [rad or m].
        position_slack: how far a joint may be measured beyond its position limit [rad or m].
        velocity_slack: how far a joint's speed may be measured beyond its limit, as a share of it [1].
        external_torque: largest external torque on a joint [Nm or N].
        state_age: longest time for which no newer state may come [s].
        lateness: longest time that a tick may take beyond the driver's period [s].
    """

    tracking_error: float = 0.05
    position_slack: float = 0.01
    velocity_slack: float = 0.1
    external_torque: float = 25.0
    state_age: float = 0.05
    lateness: float = 0.05

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(vars(self), Range(0, above=True)))


class Monitor:
    """Looks at every tick. It only speaks: the executor decides what to do."""

    def __init__(self, robot: Robot, period: float, settings: MonitorSettings | None = None) -> None:
        self._robot, self._period = robot, period
        self.settings = settings or MonitorSettings()
        self._last: ArmState | None = None
        self._fresh = 0.0

    def check(self, state: ArmState, command: Command, now: float) -> Violation | None:
        """What is wrong at this tick, the worst first; None if nothing is.

        Args:
            state: just measured.
            command: that was to be reached by now.
            now: time of the executor, in step with the driver's clock [s].
        """
        last, self._last = self._last, state
        found = (
            self._finite(state)
            or self._stale(state, last, now)
            or self._contact(state)
            or self._tracking(state, command)
            or self._limits(state)
            or self._torque(state)
        )
        return Violation(found[0], state.time, found[1]) if found else None

    @staticmethod
    def _finite(state: ArmState) -> tuple[Fault, str] | None:
        for name in ("positions", "velocities", "torques", "external_torques"):
            values = getattr(state, name)
            if not np.isfinite(values).all():
                return Fault.NOT_FINITE, f"the arm reports {name} {np.array2string(values, precision=3)}"
        return None

    def _stale(self, state: ArmState, last: ArmState | None, now: float) -> tuple[Fault, str] | None:
        if last is None or state.time > last.time:
            late = now - self._fresh - self._period if last is not None else 0.0
            self._fresh = now
            if late > self.settings.lateness:
                return Fault.LATE, f"a control tick came {late * 1e3:.0f} ms late"
            return None
        age = now - self._fresh
        if age > self.settings.state_age:
            return Fault.STALE_STATE, f"no new state of the arm for {age * 1e3:.0f} ms"
        return None

    @staticmethod
    def _contact(state: ArmState) -> tuple[Fault, str] | None:
        return (Fault.CONTACT, f"{state.contact[0]} touches {state.contact[1]}") if state.contact else None

    def _tracking(self, state: ArmState, command: Command) -> tuple[Fault, str] | None:
        error = np.abs(state.positions - command.positions)
        j = int(error.argmax())
        if error[j] <= self.settings.tracking_error:
            return None
        name, limit = self._robot.joint_names[j], self.settings.tracking_error
        return Fault.TRACKING, f"{name} is {error[j] * 1e3:.1f} mrad off its command, more than {limit * 1e3:.1f}"

    def _limits(self, state: ArmState) -> tuple[Fault, str] | None:
        limits, slack = self._robot.limits, self.settings.position_slack
        beyond = self._robot.beyond_limits(state.positions[None])[0]
        j = int(beyond.argmax())
        if beyond[j] > slack:
            return Fault.POSITION_LIMIT, f"{self._robot.joint_names[j]} is {beyond[j]:.3f} rad beyond its limit"
        share = np.abs(state.velocities) / limits.velocity
        j = int(share.argmax())
        if share[j] > 1.0 + self.settings.velocity_slack:
            return Fault.VELOCITY_LIMIT, f"{self._robot.joint_names[j]} moves at {share[j]:.0%} of its speed limit"
        return None

    def _torque(self, state: ArmState) -> tuple[Fault, str] | None:
        torque = np.abs(state.external_torques)
        j = int(torque.argmax())
        if torque[j] <= self.settings.external_torque:
            return None
        name = self._robot.joint_names[j]
        return Fault.EXTERNAL_TORQUE, f"{torque[j]:.1f} Nm from outside on {name}: something is in the way"
