"""Frames that a world model learns from: windows of commanded motions of random arms, beside a nominal arm."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from edmp.data.generate import shard_files
from edmp.data.training_set import is_validation
from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.closed_loop import CANDIDATES, reference_at
from edmp.dynamics.learned.world import WorldConfig
from edmp.dynamics.least_squares import arm_of, parameters_of
from edmp.dynamics.signals import columns_at
from edmp.dynamics.simulate import CONTROLS, Controller, track
from edmp.errors import EdmpError, EdmpWarning, FileFormatError, InvalidInputError
from edmp.learning.tensors import read_tensors
from edmp.recordings.log import Log
from edmp.robots.robot import Robot

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

STEP = 2e-3
"""Of the nominal arm beside windows [s]."""
_PARTS = ("positions", "velocities", "commanded", "commanded_velocities", "commanded_accelerations")
STRAYED = 0.15
"""Windows in which an arm is further than this from the nominal one are left out: any monitor stops it before [rad]."""
_KNOWN = (0.7, 1.0)
"""Share of what an arm differs from the description by that identification is taken to find."""
_DELAY = 1e-3
"""Standard deviation of the delay that it finds [s]."""
_STILL = 0.1
"""A stretch of motion whose joints' speeds stay below this tells nothing [rad/s]."""


def frames_of(states: tuple[Array, Array], nominal: tuple[Array, Array], commands: tuple[Array, Array, Array]) -> Array:
    """(..., 5 dof) what `WorldNetwork` sees, of positions and velocities and of what is commanded, all (..., dof)."""
    return np.concatenate([states[0] - nominal[0], states[1] - nominal[1], *commands], axis=-1)


def at_rest(frames: Array, count: int) -> Array:
    """``frames`` (n, T, 5 dof) of arms that begin at rest where they are told to be, with ``count`` before."""
    dof = frames.shape[-1] // 5
    before = np.zeros((len(frames), count, 5 * dof))
    before[..., 2 * dof : 3 * dof] = frames[:, :1, 2 * dof : 3 * dof]
    return np.concatenate([before, frames], axis=1)


def frames_of_log(
    log: Log, arm: ArmDynamics, nominal: ArmDynamics, controller: Controller, config: WorldConfig
) -> Tensor:
    """(1, m, 5 dof) the liveliest stretch of a log, as a context; the arm begins at rest, and was at rest before.

    Of a log with gaps what is before the first of them, with a warning: nobody knows where the arm was in between.

    Args:
        log: of this arm.
        arm, nominal, controller: the arm that runs beside, and what it is told by.
        config: of the model.

    Raises:
        InvalidInputError: it, or what is before its first gap, is too short; it is too still, or does not say what was
            commanded.
    """
    least = 0.5 * config.context * config.dt
    if log.commanded is None:
        raise InvalidInputError(f"{log.source}: holds no commands: a world model is told an arm by how it follows them")
    if log.duration < least:
        raise InvalidInputError(
            f"{log.source}: is {log.duration:.2f} s long, too short to tell an arm: {least:g} s are needed"
        )
    if gaps := log.gaps():
        log, message = (
            log.piece(0, gaps[0].row + 1),
            f"has a gap of {gaps[0].duration:.3g} s after {gaps[0].time:.3f} s",
        )
        if len(log.times) < 2 or log.duration < least:
            raise InvalidInputError(f"{log.source}: {message}, too little to tell an arm: {least:g} s are needed")
        warnings.warn(f"{log.source}: {message}; what is before it is used", EdmpWarning, stacklevel=2)
    clock = log.times - log.times[0]
    fine = round(config.dt / STEP)
    count = int(log.duration / config.dt)
    times = STEP * np.arange(1, count * fine + 1, dtype=np.float64)
    reference = reference_at(log, times)
    one = tuple(part[None] for part in reference)
    q, v, _ = track(arm, nominal, (one[0], one[1], one[2]), controller, STEP, every=fine)
    ends = times[fine - 1 :: fine]
    velocities = log.velocities if log.velocities is not None else np.gradient(log.positions, clock, axis=0)
    states = (columns_at(ends, clock, log.positions)[None], columns_at(ends, clock, velocities)[None])
    q_c, v_c, a_c = (part[:, fine - 1 :: fine] for part in one)
    frames = at_rest(frames_of(states, (q, v), (q_c, v_c, a_c)), max(0, config.context - count))
    v_c = frames[..., 3 * log.dof : 4 * log.dof]
    lively = np.convolve(np.square(v_c[0]).mean(axis=1), np.ones(config.context), mode="valid")
    begin = int(lively.argmax())
    fastest = float(np.abs(v_c[0, begin : begin + config.context]).max())
    if fastest < _STILL:
        raise InvalidInputError(f"{log.source}: is too still: no joint is told to move faster than {fastest:.2g} rad/s")
    return torch.from_numpy(frames[:, begin : begin + config.context]).float()


class WorldWindows:
    """All shards of motions in a folder as frames, split by arm: `edmp.learning.training.Examples`.

    Args:
        data_dir: that `edmp dynamics generate --excitation motions` filled, or is still filling.
        robot: whose relatives moved.
        config: of the model; windows must hold two contexts.
        validation_fraction: share of arms held out.

    Attributes:
        train, validation: (n, T, 5 dof).

    Raises:
        InvalidInputError: there are none, or too short ones, or those of another robot.
        FileFormatError: a shard that is none, or holds no commanded motions.
    """

    def __init__(self, data_dir: str | Path, robot: Robot, config: WorldConfig, *, validation_fraction: float) -> None:
        self.data_dir, self._robot, self._config = Path(data_dir), robot, config
        self._fraction = validation_fraction
        self._seen: set[str] = set()
        self._strayed = 0
        self.train = self.validation = torch.empty(0)
        if not self.rescan(strict=True):
            raise InvalidInputError(
                f"{data_dir}: no shard-*.safetensors in it; edmp dynamics generate --excitation motions makes them"
            )
        if len(self.train) == 0:
            raise InvalidInputError(f"{data_dir}: all of its windows are held out: more arms are needed")

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def description(self) -> dict[str, Any]:
        """What was read: for a model card."""
        about = {"robot": self._robot.name, "dt": self._config.dt, "nominal": self._config.nominal}
        return {**about, "shards_read": len(self._seen), "windows_read": len(self), "strayed": self._strayed}

    def rescan(self, *, strict: bool = False) -> int:
        """Load shards that are new; returns their number. A bad one raises if ``strict``, else it is left for later."""
        train, validation = ([t] if len(t) else [] for t in (self.train, self.validation))
        count = 0
        for path in shard_files(self.data_dir):
            if path.name in self._seen:
                continue
            try:
                frames, arms = self._read(path)
            except EdmpError as error:
                if strict:
                    raise
                log.warning("skipped for now: %s", error)
                continue
            held_out = is_validation(arms, self._fraction)
            train.append(frames[~held_out])
            validation.append(frames[held_out])
            self._seen.add(path.name)
            count += 1
        if count:
            self.train, self.validation = torch.cat(train), torch.cat(validation)
        return count

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, T, 5 dof) drawn with replacement."""
        return self.train[torch.randint(len(self.train), (size,), generator=generator)]

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        """Frames (n, T, 5 dof) of a shard, and the number of each window's arm."""
        robot, config, dof = self._robot, self._config, self._robot.dof
        tensors, header = read_tensors(path)
        if missing := {*_PARTS, "parameters", "arm"} - set(tensors):
            raise FileFormatError(
                f"{path}: has no tensor {', '.join(sorted(missing))}; a world model learns from edmp dynamics generate "
                "--excitation motions"
            )
        shapes = {name: tuple(tensors[name].shape) for name in _PARTS}
        n = shapes["positions"][0]
        if len(set(shapes.values())) > 1 or len(shapes["positions"]) != 3 or tensors["arm"].shape != (n,):
            raise FileFormatError(f"{path}: {', '.join(_PARTS)} should be (n, T, dof) alike, arm (n,), got {shapes}")
        if not all(bool(torch.isfinite(tensors[name]).all()) for name in (*_PARTS, "parameters")):
            raise FileFormatError(f"{path}: has numbers that are not finite")
        if header["robot"].text() != robot.name or shapes["positions"][2] != dof:
            raise InvalidInputError(
                f"{path}: holds windows of {header['robot'].text()!r} with {shapes['positions'][2]} joints, not of "
                f"{robot.name!r} with {dof}"
            )
        if abs(header["dt"].number() - config.dt) > 1e-9:
            raise FileFormatError(f"{path}: rows are {header['dt'].number():g} s apart, frames {config.dt:g} s")
        if shapes["positions"][1] + config.history < 2 * max(config.context, config.history + config.horizon):
            raise InvalidInputError(
                f"{path}: windows of {shapes['positions'][1]} rows are too short for two contexts of {config.context}"
            )
        q, v, *commands = (tensors[name].double().numpy() for name in _PARTS)
        nominal = self._beside(tensors["parameters"].double().numpy(), path, commands)
        frames = frames_of((q, v), nominal, (commands[0], commands[1], commands[2]))
        near = np.abs(frames[..., :dof]).max(axis=(1, 2)) < STRAYED
        self._strayed += int((~near).sum())
        return torch.from_numpy(at_rest(frames[near], config.history)).float(), tensors["arm"].long()[near]

    def _beside(self, parameters: Array, path: Path, commands: list[Array]) -> tuple[Array, Array]:
        """Positions and velocities (n, T, dof) of the nominal arm of each window."""
        config, described = self._config, ArmDynamics.of(self._robot)
        arms: ArmDynamics | list[ArmDynamics] = described
        controllers: Controller | list[Controller] = Controller()
        if config.nominal == "identified":
            number = int("0" + "".join(c for c in path.stem if c.isdigit()))
            rng = np.random.default_rng((7, number))
            found = [_as_identified(described, row, rng) for row in parameters]
            arms, controllers = [one[0] for one in found], [one[1] for one in found]
        fine = round(config.dt / STEP)
        q, v, _ = track(arms, described, _between(commands, config.dt, fine), controllers, STEP, every=fine)
        return q, v


def _as_identified(
    described: ArmDynamics, parameters: Array, rng: np.random.Generator
) -> tuple[ArmDynamics, Controller]:
    """A random arm as `edmp identify` may find it: most of what it differs by, and the nearest controller it tries.

    Args:
        described: the arm.
        parameters: (P,) of `edmp.dynamics.random_arms.parameter_names`.
        rng: of what it misses.
    """
    own, d = parameters_of(described), 13 * described.dof
    share = rng.uniform(*_KNOWN)
    arm = arm_of(described, own + share * (parameters[:d] - own))
    bandwidth, stiffness, _, delay, kind = parameters[d + 1 : d + 6]
    name = CONTROLS[round(kind)]
    same = [one for one in CANDIDATES if one.control == name]
    if name == "impedance":
        nearest = min(same, key=lambda one: abs(np.log(one.stiffness / stiffness)))
    else:
        nearest = min(same, key=lambda one: abs(np.log(one.bandwidth / bandwidth)))
    late = max(0.0, delay + _DELAY * rng.standard_normal())
    return arm, Controller(name, nearest.bandwidth, nearest.stiffness, nearest.damping, late)


def _between(commands: list[Array], dt: float, fine: int) -> tuple[Array, Array, Array]:
    """Commands (n, T, dof) ``dt`` apart, at ``fine`` rows each; the first row is a step after rest at their first."""
    q, v, a = (
        np.concatenate([part[:, :1] * scale, part], axis=1) for part, scale in zip(commands, (1, 0, 0), strict=True)
    )
    knots = dt * np.arange(q.shape[1], dtype=np.float64)
    times = dt / fine * np.arange(1, fine * (q.shape[1] - 1) + 1, dtype=np.float64)
    positions, velocities = (
        CubicHermiteSpline(knots, q, v, axis=1)(times),
        CubicHermiteSpline(knots, v, a, axis=1)(times),
    )
    share = (np.arange(len(times)) % fine + 1) / fine
    before, after = np.repeat(a[:, :-1], fine, axis=1), np.repeat(a[:, 1:], fine, axis=1)
    return positions, velocities, before + share[:, None] * (after - before)
