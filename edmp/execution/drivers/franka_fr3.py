"""Franka Research 3, through franky (libfranka): joint impedance at 1 kHz in franky's own thread, streamed from here.

    tau = K (q_d - q) + D (q_d' - q') + M(q) q_d'' + Coriolis, D = 2 sqrt(K)

franky cannot stream positions to the arm's internal controllers, only waypoints of a motion that it times itself; with
torques the motion stays the planned one. M(q) is libfranka's, of the arm as its controller knows it, so tell that the
payload (Desk, or franky's ``set_load``). The stiffness is that of libfranka's example of joint impedance control.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edmp.errors import MissingDependencyError
from edmp.execution.driver import ArmState, Command, DriverError
from edmp.execution.drivers.franka_hand import franka_hand
from edmp.execution.drivers.streamed import StreamedArm, check_host
from edmp.geometry.poses import rotation_from_rpy
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

STIFFNESS = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)
"""[Nm/rad], joint_impedance_control.cpp of libfranka."""

_SAME_KINEMATICS = 5e-3
"""An arm whose joint frames are further from the description's is another one; calibration does less [m, rad]."""


@dataclass(frozen=True)
class FrankaFR3Settings:
    """Settings of `FrankaFR3`.

    Attributes:
        host: name or address of the arm's control box.
        stiffness: multiple of `STIFFNESS` [1].
        collision_torque: external torque on a joint at which the arm stops by itself [Nm].
        collision_force: external force at the hand at which the arm stops by itself [N].
        period: time between commands [s].
        hand: a Franka Hand is mounted, which tasks move.
        realtime: refuse to run on a kernel without real-time scheduling, as Franka asks for a real arm; false for the
            simulated controller.
        external_torques: report the arm's estimate of external torques. franky-sim 1.0 reports the motors' torques in
            their place: false there.
    """

    host: str
    stiffness: float = 1.0
    collision_torque: float = 20.0
    collision_force: float = 30.0
    period: float = 2e-3
    hand: bool = False
    realtime: bool = True
    external_torques: bool = True

    def __post_init__(self) -> None:
        check_host(self.host)
        positive = Range(0, above=True)
        check_fields(self, dict.fromkeys(("collision_torque", "collision_force"), positive))
        check_fields(self, {"period": Range(1e-3, 2e-2), "stiffness": Range(0.1, 2.0)})


class FrankaFR3(StreamedArm):
    """A Franka Research 3, system 5.9 or newer.

    It is told by the arm's own URDF whether the description fits: joint frames, positions, and speeds, which the FR3
    allows depending on position.

    Args:
        robot: ``fr3``, or a description of the same arm within its limits.
        settings: see `FrankaFR3Settings`.
    """

    name: ClassVar[str] = "franka-fr3"
    evidence: ClassVar[str] = "tested against the simulated controller franky-sim; UNTESTED ON HARDWARE"

    def __init__(self, robot: Robot, *, settings: FrankaFR3Settings) -> None:
        super().__init__(robot, period=settings.period, dof=7)
        self.settings = settings
        self._franky = _import_franky()
        self.has_gripper = settings.hand
        self._arm: Any = None
        self._motion: Any = None

    def _reach(self) -> None:
        franky, settings = self._franky, self.settings
        realtime = franky.RealtimeConfig.Enforce if settings.realtime else franky.RealtimeConfig.Ignore
        try:
            self._arm = arm = franky.Robot(settings.host, realtime_config=realtime)
            if arm.has_errors:
                raise DriverError(f"{settings.host}: the arm reports an error ({self._errors()}); clear it in Desk")
            if (unlike := unlike_arm(self.robot, arm.model_urdf)) is not None:
                raise DriverError(f"{settings.host}: {unlike}")
            arm.set_collision_behavior(settings.collision_torque, settings.collision_force)
            motion = franky.JointImpedanceTrackingMotion(stiffness=settings.stiffness * np.array(STIFFNESS))
            motion.set_reference(franky.JointReference(q=arm.state.q))
            arm.move(motion, asynchronous=True)
            self._motion = motion
            if settings.hand:
                hand = franky.Gripper(settings.host)
                self.gripper = franka_hand(hand, lambda: float(hand.width))
        except DriverError:
            raise
        except Exception as error:  # libfranka's errors have no common root
            raise DriverError(_help(settings, error)) from error

    def _measure(self) -> ArmState:
        arm = self._arm
        try:
            state, following = arm.state, arm.is_in_control
        except Exception as error:
            raise DriverError(f"{self.settings.host}: no state: {error}") from error
        if self._motion is not None and not following:
            raise DriverError(f"{self.settings.host}: the arm stopped following: {self._errors()}")
        external = np.array(state.tau_ext_hat_filtered) if self.settings.external_torques else np.zeros(7)
        return ArmState(state.time.to_sec(), np.array(state.q), np.array(state.dq), np.array(state.tau_J), external)

    def _send(self, command: Command) -> None:
        arm, franky = self._arm, self._franky
        try:
            feedforward = arm.model.mass(arm.state) @ command.accelerations
            self._motion.set_reference(
                franky.JointReference(q=command.positions, dq=command.velocities, tau_ff=feedforward)
            )
        except Exception as error:
            raise DriverError(f"{self.settings.host}: command not taken: {error}") from error

    def _halt(self) -> None:
        """Let the torques fade into pure damping; then the arm's own controller holds it where it is."""
        if self._arm is None or self._motion is None:
            return
        self._motion = None
        try:
            if self._arm.is_in_control:
                self._arm.move(self._franky.TorqueStopMotion(), asynchronous=True)
            if not self._arm.join_motion(timeout=3.0):
                self._arm.stop()
        except Exception as error:
            raise DriverError(f"{self.settings.host}: while stopping: {error}") from error

    def _release(self) -> None:
        try:
            self._halt()
        finally:
            self._arm = None

    def _errors(self) -> str:
        try:
            self._arm.join_motion(timeout=0.1)
        except Exception as error:
            return str(error)
        state = self._arm.state
        return f"mode {state.robot_mode.name}, {state.last_motion_errors}"


def unlike_arm(robot: Robot, urdf: str) -> str | None:
    """What in ``robot`` does not fit the arm that sent this URDF; None if nothing.

    The FR3 allows joint j the speeds up to min(v, max(0, sqrt(2 d (upper - q)) - o)) upwards, and the same towards
    the lower end, with v, d and o in its URDF (``position_based_velocity_limits``; libfranka's
    joint_velocity_limits.h). As this falls towards the ends, the ends of the description's range are what to look at.
    """
    joints = {joint.get("name"): joint for joint in ElementTree.fromstring(urdf).iter("joint")}
    limits = robot.limits
    for j, described in enumerate(robot.joints):
        found = [joint for name, joint in joints.items() if name is not None and name.endswith(f"joint{j + 1}")]
        limit = found[0].find("limit") if found else None
        if limit is None:
            return f"the arm's URDF has no limits of a joint {j + 1}"
        if (off := _frame_distance(found[0], described.X_PJ)) > _SAME_KINEMATICS:
            return f"{described.name} is not where the arm has its joint {j + 1} ({off:.3f} m or rad off)"
        lower, upper, fastest = (float(limit.get(key, "nan")) for key in ("lower", "upper", "velocity"))
        if not (lower <= limits.lower[j] and limits.upper[j] <= upper):
            return (
                f"{robot.name} lets {described.name} go from {limits.lower[j]:.3f} to {limits.upper[j]:.3f} rad, "
                f"the arm from {lower:.3f} to {upper:.3f}: plan with robot fr3"
            )
        room = min(limits.lower[j] - lower, upper - limits.upper[j])
        if (by_position := found[0].find("position_based_velocity_limits")) is not None:
            slowing, offset = (float(by_position.get(k, "nan")) for k in ("deceleration_limit", "velocity_offset"))
            fastest = min(fastest, max(0.0, float(np.sqrt(2 * slowing * room)) - offset))
        if not limits.velocity[j] <= fastest:
            return (
                f"{robot.name} lets {described.name} move at {limits.velocity[j]:.3f} rad/s up to the end of its "
                f"range, the arm at {fastest:.3f} there: plan with robot fr3"
            )
    return None


def _frame_distance(joint: ElementTree.Element, X_PJ: Array) -> float:
    origin = joint.find("origin")
    given = {} if origin is None else origin.attrib
    p, rpy = (np.array([float(x) for x in given.get(key, "0 0 0").split()]) for key in ("xyz", "rpy"))
    return float(max(np.abs(X_PJ[:3, 3] - p).max(), np.abs(X_PJ[:3, :3] - rotation_from_rpy(rpy)).max()))


def _help(settings: FrankaFR3Settings, error: Exception) -> str:
    name, host = type(error).__name__, settings.host
    hints = {
        "RealtimeException": "a real arm wants a PREEMPT_RT kernel and the right to real-time priority; realtime=false "
        "goes without, for the simulated controller",
        "NetworkException": "is the arm on, and FCI activated in Desk?",
        "IncompatibleVersionException": "this franky speaks to other system versions",
    }
    return f"cannot use the arm at {host}: {error}" + (f"; {hints[name]}" if name in hints else "")


def _import_franky() -> ModuleType:
    try:
        import franky
    except ImportError as error:
        raise MissingDependencyError(f"driver franka-fr3 needs franky: pip install 'edmp[franka]' ({error})") from error
    return franky
