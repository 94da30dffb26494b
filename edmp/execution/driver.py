"""`ArmDriver`: an arm that can be asked where it is and told where to be, simulated or real.

Every executor works in ticks: `ArmDriver.wait` returns at the next control tick with a measured state, and
`ArmDriver.command` says where the arm shall be until the one after. A simulated arm moves its own time on in `wait`, as
fast as it can or at the pace of the clock on the wall; a real arm's `wait` sleeps until its next state comes in.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edmp.execution.gripper import DriverError, Gripper
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

__all__ = ["ArmDriver", "ArmState", "Command", "DriverError"]


@dataclass(frozen=True, eq=False)
class ArmState:
    """What was measured at one tick, columns in the order of ``robot.joint_names``.

    Attributes:
        time: when, on the driver's clock [s].
        positions: (dof,) [rad or m].
        velocities: (dof,) [rad/s or m/s].
        torques: (dof,) that the motors exert [Nm or N]; zeros if the arm does not say.
        external_torques: (dof,) estimate of what pushes from outside, gravity taken off [Nm or N]; zeros if not told.
        contact: names of two things that touch, where the driver can know it (a simulator).
    """

    time: float
    positions: Array
    velocities: Array
    torques: Array
    external_torques: Array
    contact: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Command:
    """Where the arm shall be at the next tick.

    Attributes:
        positions: (dof,) [rad or m].
        velocities: (dof,) [rad/s or m/s].
        accelerations: (dof,) [rad/s^2 or m/s^2].
    """

    positions: Array
    velocities: Array
    accelerations: Array

    @classmethod
    def hold(cls, positions: Array) -> Command:
        """Stay at ``positions`` (dof,)."""
        still = np.zeros_like(positions)
        return cls(np.array(positions, dtype=np.float64), still, still)


class ArmDriver(ABC):
    """An arm. Use it as a context manager: connected inside, at rest and disconnected after.

    Attributes:
        robot: its description; commands and states have its joints, in its order.
        period: time between ticks [s].
        name: what ``--driver`` calls it.
        hardware: whether it moves a real arm, so that a person must confirm.
        evidence: what it was tested against, in words; shown before a real arm moves.
        real_time: whether its clock runs with that on the wall; otherwise its time passes with its ticks.
        takes_accelerations: whether what it does with commands follows their accelerations, so that torques can be fed
            forward.
        sees_contacts: whether its states would tell of a touch; a simulation without one does not.
        has_gripper: whether it moves a gripper, too.
        gripper: its fingers, once it is connected; None if it has none that this driver moves.
        expected: pairs of links and things that may touch now, so that no state tells of it.
    """

    name: ClassVar[str]
    hardware: ClassVar[bool] = False
    evidence: ClassVar[str] = ""
    takes_accelerations: ClassVar[bool] = False
    sees_contacts: ClassVar[bool] = True
    real_time: bool = True
    has_gripper: bool = False

    robot: Robot
    period: float
    gripper: Gripper | None = None
    expected: Collection[frozenset[str]] = frozenset()

    def now(self) -> float:
        """The time by which lateness is told [s]; a simulation that runs at its own pace gives its own time."""
        return time.monotonic()

    @abstractmethod
    def connect(self) -> None:
        """Reach the arm and hold it where it is.

        Raises:
            DriverError: it cannot be reached, or its joints are not those of ``robot``.
        """

    @abstractmethod
    def wait(self) -> ArmState:
        """The state at the next tick; blocks until then.

        Raises:
            DriverError: no state came in time.
        """

    @abstractmethod
    def command(self, command: Command) -> None:
        """Where to be at the next tick. Without a new command within a few ticks the arm must stop by itself.

        Raises:
            DriverError: the arm does not take it, or not any more: it was late by so much that the arm has braked.
        """

    def objects(self) -> Mapping[str, Array]:
        """Poses X_WO (4, 4) of the things that can be moved, where the driver knows them (a simulator)."""
        return {}

    @abstractmethod
    def stop(self) -> None:
        """Bring the arm to rest by its own means, whatever it is doing; safe to call at any time, twice, or late."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the arm; it stays at rest where it is. Safe to call twice."""

    def __enter__(self) -> ArmDriver:
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is not None:
                self.stop()
        finally:
            self.close()
