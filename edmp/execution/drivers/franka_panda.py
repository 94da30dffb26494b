"""Franka Emika Panda (FER), through panda-py (libfranka 0.9): joint impedance at 1 kHz in panda-py's own thread.

    tau = K (q_d - q) + D (q_d' - q') + Coriolis

with panda-py's stiffness and damping. There is no term for accelerations, so the arm lags by about M q_d'' / K, some
20 mrad at the limits: begin with a low speed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.execution.driver import ArmState, Command, DriverError
from edmp.execution.drivers.franka_hand import franka_hand
from edmp.execution.drivers.streamed import StreamedArm, check_host, slow_down
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

STIFFNESS = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)
"""[Nm/rad]"""
DAMPING = (50.0, 50.0, 50.0, 20.0, 20.0, 20.0, 10.0)
"""[Nm s/rad], both panda-py's defaults."""


@dataclass(frozen=True)
class FrankaPandaSettings:
    """Settings of `FrankaPanda`.

    Attributes:
        host: name or address of the arm's control box.
        collision_torque: external torque on a joint at which the arm stops by itself [Nm].
        collision_force: external force at the hand at which the arm stops by itself [N].
        period: time between commands [s].
        hand: a Franka Hand is mounted, which tasks move.
        realtime: refuse to run on a kernel without real-time scheduling, as Franka asks.
    """

    host: str
    collision_torque: float = 20.0
    collision_force: float = 30.0
    period: float = 2e-3
    hand: bool = False
    realtime: bool = True

    def __post_init__(self) -> None:
        check_host(self.host)
        positive = Range(0, above=True)
        check_fields(self, dict.fromkeys(("collision_torque", "collision_force"), positive))
        check_fields(self, {"period": Range(1e-3, 2e-2)})


class FrankaPanda(StreamedArm):
    """A Panda (FER), system 4.2 or newer.

    Args:
        robot: ``panda``, or a description of the same arm within its limits.
        settings: see `FrankaPandaSettings`.
    """

    name: ClassVar[str] = "franka-panda"
    evidence: ClassVar[str] = "never run against a controller, real or simulated; UNTESTED ON HARDWARE"

    def __init__(self, robot: Robot, *, settings: FrankaPandaSettings) -> None:
        super().__init__(robot, period=settings.period, dof=7)
        _check_description(robot)
        self.settings = settings
        self._panda_py = _import_panda_py()
        self.has_gripper = settings.hand
        self._arm: Any = None
        self._controller: Any = None

    def _reach(self) -> None:
        settings, libfranka = self.settings, self._panda_py.libfranka
        realtime = libfranka.RealtimeConfig.kEnforce if settings.realtime else libfranka.RealtimeConfig.kIgnore
        with self._explained("cannot use the arm (is FCI activated in Desk?)"):
            self._arm = arm = self._panda_py.Panda(settings.host, realtime_config=realtime)
            mode = arm.get_state().robot_mode
            if mode != libfranka.RobotMode.kIdle:  # starting a controller would clear errors by itself
                raise DriverError(f"{settings.host}: the arm is not idle but {mode.name}; see Desk")
            torques, forces = [settings.collision_torque] * 7, [settings.collision_force] * 6
            arm.get_robot().set_collision_behavior(torques, torques, forces, forces)
            gains = {"stiffness": np.array(STIFFNESS), "damping": np.array(DAMPING)}
            controller = self._panda_py.controllers.JointPosition(**gains)
            arm.start_controller(controller)
            self._controller = controller
            if settings.hand:
                hand = libfranka.Gripper(settings.host)
                self.gripper = franka_hand(hand, lambda: float(hand.read_once().width))

    def _measure(self) -> ArmState:
        with self._explained("the arm stopped following"):
            self._arm.raise_error()
            state = self._arm.get_state()
            q, v, torque, external = (
                np.array(values, dtype=np.float64)
                for values in (state.q, state.dq, state.tau_J, state.tau_ext_hat_filtered)
            )
            return ArmState(state.time.to_sec(), q, v, torque, external)

    def _send(self, command: Command) -> None:
        with self._explained("command not taken"):
            self._controller.set_control(command.positions, command.velocities)

    def _halt(self) -> None:
        """Slow the reference down within the limits, then let the arm's own controller hold it."""
        if self._controller is None:
            return
        controller, self._controller = self._controller, None
        with self._explained("while stopping"):
            while self._reference.velocities.any():
                self._reference = slow_down(self._reference, self.robot.limits, self.period)
                controller.set_control(self._reference.positions, self._reference.velocities)
                time.sleep(self.period)
            self._arm.stop_controller()

    def _release(self) -> None:
        try:
            self._halt()
        finally:
            self._arm = None

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """panda-py raises libfranka's errors as RuntimeError, others as what they are."""
        try:
            yield
        except DriverError:
            raise
        except Exception as error:
            raise DriverError(f"{self.settings.host}: {what}: {error}") from error


def _check_description(robot: Robot) -> None:
    """Whether it is a Panda's, by joint frames and limits: panda-py cannot ask the arm.

    Raises:
        InvalidInputError: it is not.
    """
    own, given = load_robot("panda"), robot.limits
    same = all(np.allclose(a.X_PJ, b.X_PJ, atol=5e-3) for a, b in zip(robot.joints, own.joints, strict=True))
    within = (given.lower >= own.limits.lower) & (given.upper <= own.limits.upper)
    within &= (given.velocity <= own.limits.velocity) & (given.acceleration <= own.limits.acceleration)
    if not same or not within.all():
        j = int(within.argmin())
        why = f"the limits of {robot.joints[j].name} are beyond the Panda's" if same else "its joints are elsewhere"
        raise InvalidInputError(f"{robot.name} does not describe a Panda: {why}; plan with robot panda")


def _import_panda_py() -> Any:
    try:
        import panda_py
        import panda_py.controllers
        import panda_py.libfranka
    except ImportError as error:
        raise MissingDependencyError(
            f"driver franka-panda needs panda-py: pip install 'edmp[panda]' ({error})"
        ) from error
    return panda_py
