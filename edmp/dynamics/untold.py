"""What a recording did not tell of an arm, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.least_squares import Fit
from edmp.dynamics.regressor import inertial_regressor
from edmp.recordings.log import Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_STILL = 0.05
"""A joint that moves less tells nothing of its own motor and friction [rad or m]."""
_KNOWN = 0.7
"""A parameter whose spread shrank to less than this share has been told."""
_ALONE = 0.5
"""A mass of which less than this share is told is told only together with others."""
_STATES = 60
"""Random states, in which every combination of parameters that torques can depend on shows."""


def untold(nominal: ArmDynamics, log: Log, fit: Fit) -> tuple[str, ...]:
    """Sentences: joints that were too still, friction and motors, and how many combinations of masses are known."""
    robot, dof = nominal.robot, nominal.dof
    moved = np.ptp(log.positions, axis=0)
    still = [j for j in range(dof) if moved[j] < _STILL]
    sentences = [
        f"the recording is too still for {robot.joint_names[j]}, which moved by {moved[j]:.3f} rad: its friction and "
        "motor inertia, and the inertia of what it carries about its axis, are as described"
        for j in still
    ]
    spread = fit.spread[10 * dof :].reshape(3, dof)
    for what, row in zip(("motor inertia", "viscous friction", "Coulomb friction"), spread, strict=True):
        names = [robot.joint_names[j] for j in range(dof) if j not in still and row[j] > _KNOWN]
        if names:
            sentences.append(f"{what} of {_listed(names)} cannot be told: it is as described, with its spread")
    return (*sentences, *_masses(nominal, fit))


def _masses(nominal: ArmDynamics, fit: Fit) -> list[str]:
    possible = base_parameters(nominal.robot)
    told = min(fit.told, possible)
    sentences = []
    if told < possible:
        sentences.append(
            f"{told} of the {possible} combinations of masses, centres of mass and inertias that torques can depend on "
            "are told; in the others bodies are taken to differ from the description alike"
        )
    if names := [_link(nominal.robot, body) for body in range(nominal.dof) if fit.alone[body] < _ALONE]:
        sentences.append(f"the mass of {_listed(names)} cannot be told alone, only together with what is beside it")
    return sentences


def _link(robot: Robot, body: int) -> str:
    """The name of the first link that joint ``body`` moves."""
    return next((link.name for link in robot.links if link.body == body + 1), f"what {robot.joint_names[body]} moves")


def base_parameters(robot: Robot) -> int:
    """How many combinations of inertial parameters torques can depend on at all: the rank of the columns."""
    rng = np.random.default_rng(0)
    low, high = np.maximum(robot.limits.lower, -3.0), np.minimum(robot.limits.upper, 3.0)
    q = rng.uniform(low, high, (_STATES, robot.dof))
    v, a = rng.normal(size=(2, _STATES, robot.dof))
    Y = inertial_regressor(robot, q, v, a).reshape(_STATES * robot.dof, -1)
    return int(np.linalg.matrix_rank(Y, tol=1e-8 * np.linalg.norm(Y, 2)))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
