"""Who forecasts: each takes a test set and gives samples (k, n, T - m, dof) of what comes after the context [rad or m].

What needs equations of motion rolls out the closed loop that the arms were in: gravity compensation of the described
arm, the spring and the excitation. None is told anything of an arm but its context; the anchor of the spring, too, is
read off the context's torques.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edmp.bench.dynamics.test_sets import TestSet
from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.learned import Ablation, LearnedDynamics, forecast
from edmp.dynamics.least_squares import PriorSettings, arm_of, fit_torques, parameters_of
from edmp.dynamics.signals import Signals
from edmp.dynamics.simulate import DAMPER, SPRING, excited, inverse_dynamics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Forecaster:
    """One row of the table.

    Attributes:
        name: of the row.
        run: ``run(test) -> (k, n, T - m, dof)``.
        plain: what it is, in a few words.
    """

    name: str
    run: Callable[[TestSet], Array]
    plain: str


def hold(test: TestSet) -> Array:
    """The last position stays."""
    return np.repeat(test.positions[:, test.context - 1 : test.context], test.truth.shape[1], axis=1)[None]


def nominal_rollout(test: TestSet, nominal: ArmDynamics) -> Array:
    """The described arm goes on from the last state."""
    return _rolled(test, nominal, [nominal] * len(test.positions))[None]


def least_squares(test: TestSet, nominal: ArmDynamics, *, samples: int, seed: int = 0) -> Array:
    """Inertia, motors and friction from the context's torques, rolled out; samples are arms of the posterior.

    Acceleration over a row is exactly the difference of its velocities, and torques are means of the row: nothing has
    to be smoothed, and no row is late.
    """
    dt, m, rng = test.dt, test.context, np.random.default_rng(seed)
    drawn: list[list[ArmDynamics]] = []
    for q, v, tau in zip(test.positions[:, :m], test.velocities[:, :m], test.torques[:, :m], strict=True):
        middle, speed, a = (q[1:] + q[:-1]) / 2, (q[1:] - q[:-1]) / dt, (v[1:] - v[:-1]) / dt
        signals = Signals(dt * np.arange(1.0, m), middle, speed, a, tau[1:])
        fit = fit_torques(nominal, signals, 0.45 / dt, PriorSettings())
        mean = parameters_of(fit.arm)
        values, vectors = np.linalg.eigh(fit.covariance)
        spread = vectors * np.sqrt(np.maximum(values, 0.0))
        noise = rng.standard_normal((samples - 1, len(mean)))
        drawn.append([fit.arm, *(arm_of(nominal, mean + spread @ z) for z in noise)])
    return np.stack([_rolled(test, nominal, [arms[k] for arms in drawn]) for k in range(samples)])


def _rolled(test: TestSet, nominal: ArmDynamics, arms: list[ArmDynamics]) -> Array:
    """(n, T - m, dof): a closed loop a window, from the last state of the context."""
    m, scale = test.context, effort_scale(nominal.robot)
    q, v = test.positions[:, m - 1], test.velocities[:, m - 1]
    # `excited` anchors its spring where it begins: what the true anchor adds is a constant torque.
    pull = SPRING * scale * (_anchor(test, nominal) - q)
    return excited(arms, nominal, q, v, test.excitation[:, m:] + pull[:, None], test.dt)[0]


def _anchor(test: TestSet, nominal: ArmDynamics) -> Array:
    """(n, dof) where the spring is fixed, from what the context's torques have beside excitation and gravity."""
    m, scale = test.context, effort_scale(nominal.robot)
    q = (test.positions[:, 1:m] + test.positions[:, : m - 1]) / 2
    v = (test.positions[:, 1:m] - test.positions[:, : m - 1]) / test.dt
    still = np.zeros((q.shape[0] * q.shape[1], q.shape[2]))
    rigid = nominal.with_parameters(  # no friction: gravity alone
        nominal.inertial_parameters(), armature=nominal.armature, viscous=0 * scale, coulomb=0 * scale
    )
    gravity = inverse_dynamics(rigid, q.reshape(still.shape), still, still).reshape(q.shape)
    spring = test.torques[:, 1:m] - gravity - test.excitation[:, 1:m] + DAMPER * scale * v
    return np.median(q + spring / (SPRING * scale), axis=1)


def classical(nominal: ArmDynamics, *, samples: int) -> list[Forecaster]:
    """The baselines that learn nothing."""
    return [
        Forecaster("hold", hold, "the last position stays"),
        Forecaster("described arm", lambda test: nominal_rollout(test, nominal), "the described arm, rolled out"),
        Forecaster(
            "least squares",
            lambda test: least_squares(test, nominal, samples=samples),
            "inertia, motors and friction from the context, rolled out",
        ),
    ]


def learned(models: Mapping[str, LearnedDynamics], *, samples: int) -> list[Forecaster]:
    """Trained networks: from noise, and from a warm start; without context, and with that of another arm.

    Warm starts go on from the deterministic network's forecast if it is among the models, else from the last position.
    """
    guessing = next((model for model in models.values() if model.deterministic), None)

    def guess(test: TestSet) -> Array:
        return hold(test)[0] if guessing is None else _asked(test, guessing, samples)[0]

    rows = []
    for name, model in models.items():
        rows.append(Forecaster(name, partial(_asked, model=model, samples=samples), "full sampling"))
        if not model.deterministic:
            warm = partial(_asked, model=model, samples=samples, guess=guess)
            said = "the last position" if guessing is None else "the deterministic forecast"
            rows.append(Forecaster(f"{name}, 5 warm steps", warm, f"from {said}"))
        for ablation, said in ((Ablation("none"), "no context"), (Ablation("other"), "another arm's context")):
            without = partial(_asked, model=model, samples=samples, ablation=ablation)
            rows.append(Forecaster(f"{name}, {said}", without, "ablation"))
    return rows


def _asked(
    test: TestSet,
    model: LearnedDynamics,
    samples: int,
    *,
    guess: Callable[[TestSet], Array] | None = None,
    ablation: Ablation | None = None,
) -> Array:
    """What a network says; ``guess`` is where it starts from."""
    drive = test.excitation if model.config.drive == "excitation" else test.torques
    start = None if guess is None else guess(test)
    return forecast(model, drive, test.known, num_samples=samples, warm_start=start, ablation=ablation)
