"""Drake's messages to and from arms, over LCM.

Two protocols, both with positions as commands: ``lcmt_panda_*`` as drake-franka-driver speaks them when it runs with
``--control_mode=position``, and ``lcmt_iiwa_*`` as drake-iiwa-driver does. What is said of them here is what
franka_driver.cc and kuka_driver.cc (github.com/RobotLocomotion) do. Messages name no joints: theirs is the arm's order,
base to flange.
"""

from __future__ import annotations

import itertools
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edmp.errors import MissingDependencyError
from edmp.execution.driver import ArmState, Command, DriverError

if TYPE_CHECKING:
    from pydrake.lcm import DrakeLcm

Array = NDArray[np.float64]

DEFAULT_URL = "udpm://239.255.76.67:7667?ttl=0"
"""LCM's own default, used where the environment variable LCM_DEFAULT_URL is not set."""

MULTICAST_HELP = (
    "LCM needs a multicast route; on a machine without a network: "
    "ip link set lo multicast on; ip route add 239.255.76.67/32 dev lo (as root; the address is that of the URL)"
)

_SELF_TEST = 1.0
"""A message to ourselves takes no longer than this [s]."""


@dataclass(frozen=True, eq=False)
class ArmStatus:
    """What a status message says.

    Attributes:
        stamp: when it was sent, on the system clock of the machine of the arm's driver [s since the epoch].
        state: with the arm's own time, from any zero.
        refusal: why the arm takes no commands now; None if it does.
    """

    stamp: float
    state: ArmState
    refusal: str | None = None


class Protocol(ABC):
    """How commands and statuses are put into messages.

    Attributes:
        name: what the setting ``protocol`` calls it.
        command_channel: default name of the channel with commands.
        status_channel: default name of the channel with statuses.
        driver: the program that speaks it to a real arm.
        period: between statuses of that program [s].
        command_period: between commands that suit it [s].
        guard: statuses that must have been heard before the first command [s].
        expires: whether that program drops commands whose time stamp is off its clock.
        reports_refusal: whether a status can say that the arm takes no commands; if not, that program ends.
    """

    name: ClassVar[str]
    command_channel: ClassVar[str]
    status_channel: ClassVar[str]
    driver: ClassVar[str]
    period: ClassVar[float]
    command_period: ClassVar[float]
    guard: ClassVar[float]
    expires: ClassVar[bool]
    reports_refusal: ClassVar[bool]

    def __init__(self) -> None:
        try:
            import drake
        except ImportError as error:
            raise MissingDependencyError(
                f"Drake's messages come with drake: pip install 'drake>=1.40' ({error})"
            ) from error
        self._types: Any = drake

    @abstractmethod
    def encode_command(self, positions: Array, stamp: float) -> bytes:
        """Be at ``positions`` (dof,) [rad]; sent at ``stamp`` [s since the epoch]."""

    @abstractmethod
    def decode_command(self, raw: bytes) -> tuple[float, Array]:
        """Time stamp [s since the epoch] and positions (dof,) [rad].

        Raises:
            DriverError: another type of message, or one that the arm's driver would not take.
        """

    @abstractmethod
    def encode_status(self, status: ArmStatus, reference: Command) -> bytes:
        """``status``, and the reference that the arm is following."""

    @abstractmethod
    def decode_status(self, raw: bytes) -> ArmStatus:
        """The reverse.

        Raises:
            DriverError: another type of message.
        """

    def _decode(self, kind: str, raw: bytes) -> Any:
        try:
            return getattr(self._types, kind).decode(raw)
        except Exception as error:  # ValueError for other types, struct.error for short ones
            raise DriverError(f"a message that is no {kind}: {error}") from error


class PandaProtocol(Protocol):
    """Commands with another control mode, or with velocities or torques, end the control loop of drake-franka-driver;
    those whose stamp is off by more than ``--expire_sec`` are dropped. It holds the last position it was told."""

    name: ClassVar[str] = "panda"
    command_channel: ClassVar[str] = "PANDA_COMMAND"
    status_channel: ClassVar[str] = "PANDA_STATUS"
    driver: ClassVar[str] = "drake-franka-driver"
    period: ClassVar[float] = 1e-3
    command_period: ClassVar[float] = 2e-3
    guard: ClassVar[float] = 0.0
    expires: ClassVar[bool] = True
    reports_refusal: ClassVar[bool] = True

    def encode_command(self, positions: Array, stamp: float) -> bytes:
        message = self._types.lcmt_panda_command()
        message.utime = _microseconds(stamp)
        message.num_joint_position, message.joint_position = len(positions), positions.tolist()
        message.control_mode_expected = self._types.lcmt_panda_status.CONTROL_MODE_POSITION
        return message.encode()

    def decode_command(self, raw: bytes) -> tuple[float, Array]:
        message = self._decode("lcmt_panda_command", raw)
        if message.control_mode_expected != self._types.lcmt_panda_status.CONTROL_MODE_POSITION:
            raise DriverError(f"a command for control mode {message.control_mode_expected}, not for positions")
        if message.num_joint_velocity or message.num_joint_torque:
            raise DriverError("a command with velocities or torques beside positions")
        return 1e-6 * message.utime, np.array(message.joint_position)

    def encode_status(self, status: ArmStatus, reference: Command) -> bytes:
        kind = self._types.lcmt_panda_status
        message, state = kind(), status.state
        message.utime, message.robot_utime = _microseconds(status.stamp), _microseconds(state.time)
        message.num_joints = len(state.positions)
        message.joint_position, message.joint_position_desired = state.positions.tolist(), reference.positions.tolist()
        message.joint_velocity, message.joint_velocity_desired = (
            state.velocities.tolist(),
            reference.velocities.tolist(),
        )
        message.joint_acceleration_desired = reference.accelerations.tolist()
        message.joint_torque = message.joint_torque_desired = state.torques.tolist()
        message.joint_torque_external = state.external_torques.tolist()
        message.control_command_success_rate = 1.0
        message.robot_mode = kind.kMove if status.refusal is None else kind.kReflex
        message.control_mode = kind.CONTROL_MODE_POSITION
        return message.encode()

    def decode_status(self, raw: bytes) -> ArmStatus:
        message = self._decode("lcmt_panda_status", raw)
        stamp = 1e-6 * message.utime
        state = ArmState(
            1e-6 * message.robot_utime if message.robot_utime > 0 else stamp,
            np.array(message.joint_position),
            np.array(message.joint_velocity),
            np.array(message.joint_torque),
            np.array(message.joint_torque_external),
        )
        return ArmStatus(stamp, state, self._refusal(message))

    def _refusal(self, message: Any) -> str | None:
        kind = self._types.lcmt_panda_status
        asleep = {
            kind.kIdle: "is idle: nothing controls it; start the driver with --control_mode=position",
            kind.kGuiding: "is being guided by hand",
            kind.kReflex: "stopped by a reflex; look what touched it, and start the driver again",
            kind.kUserStopped: "was stopped by its user: release the stop",
            kind.kAutomaticErrorRecovery: "is recovering from an error",
        }
        if message.robot_mode in asleep:
            return f"the arm {asleep[message.robot_mode]}"
        # drake-franka-driver leaves the control mode at 0; other programs of this protocol tell it.
        if message.control_mode and not message.control_mode & kind.CONTROL_MODE_POSITION:
            return (
                f"the arm's driver runs in control mode {message.control_mode}: start it with --control_mode=position"
            )
        return None


class IiwaProtocol(Protocol):
    """drake-iiwa-driver ends if a command comes within 0.25 s of its first status, and whenever external torques are
    too large. It holds the last position it was told, for ever."""

    name: ClassVar[str] = "iiwa"
    command_channel: ClassVar[str] = "IIWA_COMMAND"
    status_channel: ClassVar[str] = "IIWA_STATUS"
    driver: ClassVar[str] = "drake-iiwa-driver"
    period: ClassVar[float] = 5e-3
    command_period: ClassVar[float] = 5e-3
    guard: ClassVar[float] = 0.4
    expires: ClassVar[bool] = False
    reports_refusal: ClassVar[bool] = False

    def encode_command(self, positions: Array, stamp: float) -> bytes:
        message = self._types.lcmt_iiwa_command()
        message.utime = _microseconds(stamp)
        message.num_joints, message.joint_position = len(positions), positions.tolist()
        return message.encode()

    def decode_command(self, raw: bytes) -> tuple[float, Array]:
        message = self._decode("lcmt_iiwa_command", raw)
        if message.num_torques:
            raise DriverError("a command with torques: this arm is controlled by positions")
        return 1e-6 * message.utime, np.array(message.joint_position)

    def encode_status(self, status: ArmStatus, reference: Command) -> bytes:
        message, state = self._types.lcmt_iiwa_status(), status.state
        message.utime, message.num_joints = _microseconds(status.stamp), len(state.positions)
        message.joint_position_measured = state.positions.tolist()
        message.joint_velocity_estimated = state.velocities.tolist()
        message.joint_position_commanded = message.joint_position_ipo = reference.positions.tolist()
        message.joint_torque_measured = message.joint_torque_commanded = state.torques.tolist()
        message.joint_torque_external = state.external_torques.tolist()
        return message.encode()

    def decode_status(self, raw: bytes) -> ArmStatus:
        message = self._decode("lcmt_iiwa_status", raw)
        stamp = 1e-6 * message.utime
        state = ArmState(
            stamp,
            np.array(message.joint_position_measured),
            np.array(message.joint_velocity_estimated),
            np.array(message.joint_torque_measured),
            np.array(message.joint_torque_external),
        )
        return ArmStatus(stamp, state)


PROTOCOLS: Mapping[str, type[Protocol]] = {kind.name: kind for kind in (PandaProtocol, IiwaProtocol)}


class Mailbox:
    """The newest message of one channel. LCM keeps one message a channel, the oldest, until somebody looks."""

    def __init__(self, lcm: DrakeLcm, channel: str) -> None:
        self._lcm = lcm
        # Drake holds what it calls for ever: were that this object, neither would ever be freed.
        self._raw = raw = list[bytes]()
        lcm.Subscribe(channel, raw.append)

    def poll(self) -> bytes | None:
        """The newest message since the last look; None if there was none. Does not wait: pydrake waits with the
        interpreter locked, and nobody else would run."""
        while self._lcm.HandleSubscriptions(0) > 0:
            pass
        newest = self._raw[-1] if self._raw else None
        self._raw.clear()
        return newest


def open_lcm(url: str = "") -> DrakeLcm:
    """LCM at a URL, once a message to ourselves has come back: without a multicast route LCM itself says nothing.

    Args:
        url: empty for LCM_DEFAULT_URL, or else `DEFAULT_URL`.

    Raises:
        MissingDependencyError: Drake is not installed.
        DriverError: no message came back; the message says what to set.
    """
    try:
        from pydrake.lcm import DrakeLcm
    except ImportError as error:
        raise MissingDependencyError(f"LCM comes with drake: pip install 'drake>=1.40' ({error})") from error
    lcm, other = DrakeLcm(url), DrakeLcm(url)
    channel = f"EDMP_SELF_TEST_{os.getpid()}_{next(_TESTS)}"
    echo, end = Mailbox(lcm, channel), time.monotonic() + _SELF_TEST
    while echo.poll() is None:
        if time.monotonic() > end:
            raise DriverError(f"no message gets through LCM at {effective_url(url)}: {MULTICAST_HELP}")
        other.Publish(channel, b"edmp")
        time.sleep(0.01)
    return lcm


_TESTS = itertools.count()


def effective_url(url: str) -> str:
    """The URL in words, whatever it was taken from."""
    return url or os.environ.get("LCM_DEFAULT_URL") or DEFAULT_URL


def _microseconds(seconds: float) -> int:
    return round(1e6 * seconds)
