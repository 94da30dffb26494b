"""Arms that are imagined: as they were identified, or by a world model that was trained on many.

Both are closed loops in edmp's own simulation, which follow commands tick by tick. A world model adds what it draws,
frame by frame, of how far the arm is from that. A frame is drawn when all its commands are known, which is at its end;
until then it is drawn from the commands as they go on, with the same noise, and the arm goes there along the cubic that
has the positions and velocities of both ends. So nothing is late, nothing jumps, and no error is kept.

Neither knows of things around the arm: contacts are not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.dynamics.controlled_arm import ControlledArm
from edmp.dynamics.learned.world_model import Imagined, NominalArm, load_world
from edmp.dynamics.model import ArmModel
from edmp.errors import InvalidInputError
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.drivers.followed import Followed
from edmp.ranges import Range, check_fields
from edmp.recordings import read_log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_STEP = 1e-3
"""Longest step of the simulation and its controller [s]."""


@dataclass(frozen=True)
class IdentifiedSettings:
    """Settings of `IdentifiedArm`.

    Attributes:
        arm_model: file of `edmp identify`.
        period: time between commands [s].
    """

    arm_model: str
    period: float = 1e-3

    def __post_init__(self) -> None:
        _check_files(self, "arm_model")
        check_fields(self, {"period": Range(0, 0.1, above=True)})


@dataclass(frozen=True)
class LearnedSettings:
    """Settings of `LearnedArm`.

    Attributes:
        model: file of ``edmp dynamics train --model world``.
        recording: what the arm to be imagined did once, in a file that `edmp.recordings.read_log` reads, with commands;
            None imagines some arm of those that the model was trained on.
        arm_model: file of `edmp identify`, for a world model that was trained beside identified arms.
        seed: of what is drawn; another seed is another run.
        period: time between commands [s]; frames of the model are a multiple of it.
    """

    model: str
    recording: str | None = None
    arm_model: str | None = None
    seed: int = 0
    period: float = 1e-3

    def __post_init__(self) -> None:
        _check_files(self, "model", "recording", "arm_model")
        check_fields(self, {"period": Range(0, 0.1, above=True), "seed": Range(0, whole=True)})


def _check_files(settings: Any, *names: str) -> None:
    for name in names:
        if not isinstance(value := getattr(settings, name), str | Path | None):
            raise InvalidInputError(f"{name} must be the name of a file, got {value!r}")


class IdentifiedArm(ArmDriver):
    """The arm of an `edmp.dynamics.ArmModel` in edmp's own simulation, under the controller that was found with it.

    Args:
        robot: the arm.
        positions: (dof,) where it is when connected, at rest [rad or m].
        settings: see `IdentifiedSettings`.

    Raises:
        FileFormatError, InvalidInputError: the model is none, or of another robot.
    """

    name: ClassVar[str] = "identified"
    evidence: ClassVar[str] = "an identified arm in edmp's own simulation; contacts are not simulated"
    real_time = False
    sees_contacts: ClassVar[bool] = False

    def __init__(self, robot: Robot, positions: ArrayLike, *, settings: IdentifiedSettings) -> None:
        nominal = NominalArm.of(robot, ArmModel.load(settings.arm_model, robot=robot))
        self._begin(robot, positions, nominal, settings.period)

    def _begin(self, robot: Robot, positions: ArrayLike, nominal: NominalArm, period: float) -> None:
        self.robot, self.period, self._nominal = robot, period, nominal
        self._start = np.array(positions, dtype=np.float64)
        if self._start.shape != (robot.dof,) or not np.isfinite(self._start).all():
            raise InvalidInputError(f"positions: expected {robot.dof} finite joint values, got {positions!r}")
        self._loop: ControlledArm | None = None
        self._tick = 0

    def now(self) -> float:
        return self._tick * self.period

    def connect(self) -> None:
        nominal, substeps = self._nominal, max(1, round(self.period / _STEP))
        self._loop = ControlledArm(
            nominal.arm, nominal.described, nominal.controller, self._start, self.period, substeps=substeps
        )
        self._followed, self._tick = Followed(self.robot, self._start, period=self.period), 0

    def wait(self) -> ArmState:
        loop, followed = self._connected(), self._followed
        deviation = self._deviation()
        target = followed.due()
        q, v, torques = loop.advance(target.positions, target.velocities, target.accelerations)
        followed.advance(target)
        self._tick += 1
        return ArmState(
            self.now(), q + deviation[0], v + deviation[1], self._torques(torques), np.zeros(self.robot.dof)
        )

    def command(self, command: Command) -> None:
        self._connected()
        if self._followed.failure:
            raise DriverError(self._followed.failure)
        self._followed.take(command)

    def stop(self) -> None:
        """Brake along the reference as fast as the acceleration limits allow; until the arm rests, or for a second."""
        if self._loop is None:
            return
        self._followed.stop()
        for _ in range(round(1.0 / self.period)):
            state = self.wait()
            if not self._followed.now.velocities.any() and np.abs(state.velocities).max() < 1e-3:
                break

    def close(self) -> None:
        self._loop = None

    def _connected(self) -> ControlledArm:
        if self._loop is None:
            raise DriverError("the arm is not connected: use the driver as a context manager")
        return self._loop

    def _deviation(self) -> tuple[Array, Array]:
        """(dof,) by which positions and velocities at the next tick are others than those of the simulation."""
        still = np.zeros(self.robot.dof)
        return still, still

    def _torques(self, nominal: Array) -> Array:
        return nominal


class LearnedArm(IdentifiedArm):
    """An arm that a world model imagines. Torques are not known: zeros.

    Args:
        robot: the arm.
        positions: (dof,) where it is when connected, at rest [rad or m].
        settings: see `LearnedSettings`.

    Raises:
        FileFormatError, InvalidInputError: a file is not what it should be, or of another robot; the recording does not
            tell an arm.
    """

    name: ClassVar[str] = "learned"
    evidence: ClassVar[str] = "imagined by a world model; contacts are not simulated, torques not known"

    def __init__(self, robot: Robot, positions: ArrayLike, *, settings: LearnedSettings) -> None:
        self._model, self._seed = load_world(settings.model), settings.seed
        found = None if settings.arm_model is None else ArmModel.load(settings.arm_model, robot=robot)
        nominal = self._model.nominal(robot, found)
        frame, period = self._model.config.dt, settings.period
        self._ticks = round(frame / period)
        if self._ticks < 1 or abs(self._ticks * period - frame) > 1e-9:
            raise InvalidInputError(f"period {period:g} s: frames of the model, {frame:g} s, are no multiple of it")
        self._arm = self._model.untold()
        if settings.recording is not None:
            self._arm = self._model.context(read_log(settings.recording, robot=robot), nominal)
        self._begin(robot, positions, nominal, period)

    def connect(self) -> None:
        super().connect()
        self._imagined = Imagined(self._model, self._arm, self._start[None], seed=self._seed)
        still = np.zeros(self.robot.dof)
        self._shown = self._aim = (still, still)

    def _deviation(self) -> tuple[Array, Array]:
        dt, k = self._model.config.dt, self._tick % self._ticks
        if k == 0:
            now = self._followed.now
            q, v, a = (part[None] for part in (now.positions, now.velocities, now.accelerations))
            if self._tick:
                self._shown = self._aim
                self._imagined.after(q, v, a)
            ahead, ahead_v = self._imagined.outlook(q + dt * v + 0.5 * dt**2 * a, v + dt * a, a)
            self._aim = (ahead[0], ahead_v[0])
        return _cubic(self._shown, self._aim, share=(k + 1) / self._ticks, span=dt)

    def _torques(self, nominal: Array) -> Array:
        return np.zeros_like(nominal)


def _cubic(
    before: tuple[Array, Array], after: tuple[Array, Array], *, share: float, span: float
) -> tuple[Array, Array]:
    """Value and derivative of the cubic with these at its ends, at a share of its span (Hermite)."""
    s, (q0, v0), (q1, v1) = share, before, after
    rise, m0, m1 = q1 - q0, span * v0, span * v1
    q = q0 + m0 * s + (3.0 * rise - 2.0 * m0 - m1) * s**2 + (m0 + m1 - 2.0 * rise) * s**3
    v = m0 + 2.0 * (3.0 * rise - 2.0 * m0 - m1) * s + 3.0 * (m0 + m1 - 2.0 * rise) * s**2
    return q, v / span
