"""Logs that hold states only: velocities, torques and commands that explain them, and how sure they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.signal import cont2discrete, lfilter

from edmp.arguments import checked
from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.random_arms import random_arm
from edmp.dynamics.signals import columns_at
from edmp.dynamics.simulate import Controller, forward_dynamics, inverse_dynamics
from edmp.dynamics.smoothing import States, smoothed
from edmp.errors import InvalidInputError
from edmp.ranges import Range, check_fields
from edmp.recordings import Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_STEP = 2e-3
"""The longest step of an impedance controller's error [s]."""


@dataclass(frozen=True)
class LabelSettings:
    """How many draws say how sure labels are.

    Attributes:
        arms: that the arm might be.
        states: that the measured states might be.
        seed: of the draws.
    """

    arms: int = 24
    states: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, {"arms": Range(2, 1e4, whole=True), "states": Range(2, 1e4, whole=True)})
        check_fields(self, {"seed": Range(0, whole=True)})


class Leftover(Protocol):
    """What is added to recursive Newton-Euler, such as `edmp.dynamics.learned.inverse` learns."""

    def check(self, robot: Robot) -> None:
        """`InvalidInputError` if it is of another robot."""

    def of(self, times: Array, positions: Array, velocities: Array) -> tuple[Array, Array, Array, Array]:
        """(n, dof) torques left over, how far commands are ahead of positions, each followed by its deviation."""


@checked
def label_log(
    log: Log,
    robot: Robot,
    *,
    arms: Sequence[ArmDynamics] | None = None,
    controller: Controller | None = None,
    delays: Sequence[float] | None = None,
    leftover: Leftover | None = None,
    settings: LabelSettings | None = None,
) -> Log:
    """The same log with what it lacks of velocities, torques and commands; what it has stays as it is.

    - Velocities and accelerations: `edmp.dynamics.smoothing.smoothed`.
    - Torques: recursive Newton-Euler. Their spread has two parts: that of the smoothed states, and that of the arm.
    - Commands: the reference under which the controller, which knows the arm as described, exerts these torques.

    ``log.spread`` says the standard deviation of each number that was added.

    Args:
        log: with the joints of the robot.
        robot: the arm as described, which is what its controller knows.
        arms: the arm as it is thought to be, then others that it might be, such as `ArmModel.draws` gives. None: as
            described, and others that differ from it as `edmp.dynamics.random_arms` says, which no single log can tell.
        controller: that the arm followed its commands with; None is inverse dynamics control without delay.
        delays: of the commands, one for each of ``arms``; None is that of the controller for all [s].
        leftover: learned, in the place of ``arms``, ``controller`` and ``delays``: what it says is added to torques and
            positions of the arm as described, and its deviation is what they have.
        settings: see `LabelSettings`.

    Raises:
        InvalidInputError: the log is of other joints; too short; arms of another robot; numbers that do not fit.
    """
    settings, controller = settings or LabelSettings(), controller or Controller()
    if log.joint_names != robot.joint_names:
        raise InvalidInputError(
            f"{log.source}: joints {', '.join(log.joint_names)} are not those of {robot.name}: read it for this robot"
        )
    if len(log.times) < 5:
        raise InvalidInputError(f"{log.source}: {len(log.times)} rows; accelerations need 5 or more")
    nominal = ArmDynamics.of(robot)
    every = _arms(nominal, arms, settings)
    late = [controller.delay] * len(every) if delays is None else [*delays]
    if len(late) != len(every) or not all(Range(0.0, 1e3).holds(delay) for delay in late):
        raise InvalidInputError(f"delays: expected {len(every)} times from 0 on, one an arm, got {late[:5]}")
    states = smoothed(log.times, log.positions, log.velocities)
    added: dict[str, Any] = {}
    spread = dict(log.spread)
    if log.velocities is None:
        added["velocities"], spread["velocities"] = states.velocities, states.deviation[:, :, 1]
    if leftover is not None:
        leftover.check(robot)
        found = leftover.of(log.times, states.positions, states.velocities)
        by_states = _from_states(nominal, states, settings)
        for name, base, k, other in (
            ("torques", _torques(nominal, states), 0, by_states),
            ("commanded", states.positions, 2, states.deviation[:, :, 0]),
        ):
            if getattr(log, name) is None:
                added[name], spread[name] = base + found[k], np.hypot(found[k + 1], other)
        return dataclasses.replace(log, spread=spread, **added)
    torques = [_torques(arm, states) for arm in every]
    if log.torques is None:
        by_arm = _deviation(torques)
        added["torques"] = torques[0]
        spread["torques"] = np.sqrt(by_arm**2 + _from_states(every[0], states, settings) ** 2)
    else:
        torques = [log.torques]
    if log.commanded is None:
        errors = _errors(log.times, states, torques, nominal, controller)
        errors = errors * (len(every) // len(errors))  # where torques were measured, only the delay is in doubt
        commands = [_ahead(log.times, states.positions + e, delay) for e, delay in zip(errors, late, strict=True)]
        added["commanded"] = commands[0]
        spread["commanded"] = np.sqrt(_deviation(commands) ** 2 + states.deviation[:, :, 0] ** 2)
    return dataclasses.replace(log, spread=spread, **added)


def _arms(nominal: ArmDynamics, arms: Sequence[ArmDynamics] | None, settings: LabelSettings) -> list[ArmDynamics]:
    """The most likely one first."""
    if arms is None:
        rng = np.random.default_rng(settings.seed)
        return [nominal, *(random_arm(nominal, rng).arm for _ in range(settings.arms))]
    if not arms or any(arm.robot.joint_names != nominal.robot.joint_names for arm in arms):
        raise InvalidInputError(f"arms: expected one or more of {nominal.robot.name}")
    return [*arms]


def _torques(arm: ArmDynamics, states: States) -> Array:
    return inverse_dynamics(arm, states.positions, states.velocities, states.accelerations)


def _from_states(arm: ArmDynamics, states: States, settings: LabelSettings) -> Array:
    """Standard deviation (n, dof) of torques by that of the states."""
    rng = np.random.default_rng(settings.seed + 1)
    found = [_torques(arm, states)]
    for _ in range(settings.states):
        moved = states.deviation * rng.standard_normal(states.deviation.shape)
        q, v, a = (
            x + moved[:, :, k] for k, x in enumerate((states.positions, states.velocities, states.accelerations))
        )
        found.append(inverse_dynamics(arm, q, v, a))
    return _deviation(found)


def _deviation(values: Sequence[Array]) -> Array:
    """Of all others from the first, which need not be their mean."""
    others = [(value - values[0]) ** 2 for value in values[1:]]
    return np.sqrt(np.mean(others, axis=0)) if others else np.zeros_like(values[0])


def _errors(
    times: Array, states: States, torques: Sequence[Array], nominal: ArmDynamics, controller: Controller
) -> list[Array]:
    """(n, dof) how far the reference is ahead of the joints when a controller exerts torques; in balance before."""
    period = float(np.median(np.diff(times)))
    q, v, a = states.positions, states.velocities, states.accelerations
    even = np.arange(times[0], times[-1] + 0.5 * period, period)
    if controller.control == "inverse-dynamics":
        # e'' + 3 w e' + 3 w^2 e + w^3 (integral of e) = what the model would accelerate with, less what the arm did;
        # the integral takes away what is there from the beginning
        w = controller.bandwidth
        surplus = [columns_at(even, times, forward_dynamics(nominal, q, v, tau) - a) for tau in torques]
        numerator, denominator, _ = cont2discrete(([1.0, 0.0], [1.0, 3 * w, 3 * w * w, w**3]), period, "foh")
        errors = [lfilter(numerator.ravel(), denominator, one - one[:1], axis=0) for one in surplus]
    else:
        # M e'' + D e' + K e = what is exerted, less what the model asks for
        asked = inverse_dynamics(nominal, q, v, a)
        forces = np.stack([columns_at(even, times, tau - asked) for tau in torques])
        errors = [*_spring(period, columns_at(even, times, q), forces, nominal, controller)]
    return [columns_at(times, even, e) for e in errors]


def _spring(period: float, q: Array, forces: Array, nominal: ArmDynamics, controller: Controller) -> Array:
    """Errors (k, n, dof) of an impedance controller under forces (k, n, dof), from balance on; implicit Euler."""
    stiffness = controller.stiffness * effort_scale(nominal.robot)
    count = max(1, int(np.ceil(period / _STEP)))
    h = period / count
    e, de = forces[:, 0] / stiffness, np.zeros_like(forces[:, 0])
    found = np.empty_like(forces)
    for k, M in enumerate(_mass_matrices(nominal, q)):
        values, X = eigh(np.diag(stiffness), M)  # as in the simulation's controller
        Q = M @ X
        D = 2.0 * controller.damping * (Q * np.sqrt(values)) @ Q.T
        inverse = np.linalg.inv(M + h * D + h * h * np.diag(stiffness))
        for _ in range(count):
            de = (de @ M.T + h * (forces[:, k] - stiffness * e)) @ inverse.T
            e = e + h * de
        found[:, k] = e
    return found


def _mass_matrices(arm: ArmDynamics, q: Array) -> Array:
    """(n, dof, dof), column by column."""
    zero, dof = np.zeros_like(q), q.shape[1]
    gravity = inverse_dynamics(arm, q, zero, zero)
    columns = [inverse_dynamics(arm, q, zero, np.eye(dof)[j] + zero) - gravity for j in range(dof)]
    M = np.stack(columns, axis=2)
    return 0.5 * (M + M.transpose(0, 2, 1))


def _ahead(times: Array, values: Array, delay: float) -> Array:
    """What is given now takes effect ``delay`` later; the last is held."""
    return values if delay == 0.0 else columns_at(times + delay, times, values)
