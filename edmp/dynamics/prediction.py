"""Motions predicted for arms that are only partly known: a closed loop for each arm that may be the real one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.dynamics.simulate import forward_dynamics, inverse_dynamics, track
from edmp.errors import InvalidInputError
from edmp.ranges import Range
from edmp.trajectory import Trajectory

if TYPE_CHECKING:
    from edmp.dynamics.model import ArmModel

Array = NDArray[np.float64]

STEP = 1e-3
"""Of the simulation, and of its controller [s]."""
_SETTLING = 0.2
"""That the arm is watched for after the end of the motion [s]."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of k arms at n times, on the executor's clock: the first command is sent at 0.

    Attributes:
        joint_names: (dof) column order.
        times: (n,) [s].
        due: (n, dof) what should be reached [rad or m].
        positions, velocities: (k, n, dof) what would be [rad or m].
        torques: (k, n, dof) of the motors [Nm or N].
        noise: (dof,) standard deviation that positions have besides: what the model leaves unexplained [rad or m].
        effort: (dof,) limits of the torques [Nm or N].
    """

    joint_names: tuple[str, ...]
    times: Array
    due: Array
    positions: Array
    velocities: Array
    torques: Array
    noise: Array
    effort: Array

    @property
    def errors(self) -> Array:
        """(k, n, dof) of the positions, as the monitor will see them [rad or m]."""
        return self.positions - self.due

    @checked
    def error_quantile(self, share: float) -> Array:
        """(n, dof) tracking error that this share of arms stays below [rad or m]; 0.5 is the median."""
        return _quantile(self.errors, share)

    @checked
    def torque_quantile(self, share: float) -> Array:
        """(n, dof) torque that this share of arms stays below [Nm or N]."""
        return _quantile(self.torques, share)

    @checked
    def peak_errors(self, share: float) -> Array:
        """(dof,) that the largest tracking error of this share of arms stays below, noise included [rad or m]."""
        from scipy.stats import norm

        peaks = np.abs(self.errors).max(axis=1)
        return _quantile(peaks, share) + norm.ppf(0.5 + 0.5 * share) * self.noise

    @checked
    def peak_torques(self, share: float) -> Array:
        """(dof,) that the largest share of its limit of each torque stays below, for this share of arms [1]."""
        return _quantile(np.abs(self.torques).max(axis=1) / self.effort, share)


def predict(
    model: ArmModel,
    trajectory: Trajectory,
    *,
    num_samples: int,
    speed: float,
    lead: float,
    feed_forward: bool,
    seed: int,
) -> Prediction:
    """See `ArmModel.predict`."""
    robot = model.robot
    arms, delays = model.draws(num_samples, seed=seed)
    end = trajectory.duration / speed + max(float(delays.max()), lead) + _SETTLING
    times = STEP * np.arange(1, round(end / STEP) + 1, dtype=np.float64)
    q, v, a = _played(trajectory, times, speed)
    if feed_forward:
        a = fed_forward(model, q, v, a)
    late = [np.stack([_shifted(values, times, delay) for delay in delays]) for values in (q, v)]
    late.append(np.stack([_shifted(a, times, delay, before=0.0) for delay in delays]))
    prompt = dataclasses.replace(
        model.controller, delay=0.0
    )  # the delays, of fractions of a step, are in the reference
    positions, velocities, torques = track(arms, model.nominal, (late[0], late[1], late[2]), prompt, STEP)
    due = _shifted(q, times, lead)
    return Prediction(
        robot.joint_names,
        times,
        due,
        positions,
        velocities,
        torques,
        model.tracking_residual,
        robot.limits.effort,
    )


def fed_forward(model: ArmModel, q: Array, v: Array, a: Array) -> Array:
    """(n, dof) accelerations for which a controller with the described arm's masses exerts the estimate's torques.

    M_0^-1 (tau(q, v, a) - C_0 v + tau_g0) with tau the estimate's, cut off at the effort limits.
    """
    effort = model.robot.limits.effort
    tau = np.clip(inverse_dynamics(model.arm, q, v, a), -effort, effort)
    return forward_dynamics(model.nominal, q, v, tau)


def _played(trajectory: Trajectory, times: Array, speed: float) -> tuple[Array, Array, Array]:
    """(n, dof) positions, velocities and accelerations at a share of the planned speed."""
    q, v, a = trajectory.sample(times * speed)
    return q, v * speed, a * speed**2


def _shifted(values: Array, times: Array, late: float, *, before: float | None = None) -> Array:
    """(n, dof) what values were ``late`` [s] ago; ``before`` the first they were this, or the first itself."""
    return np.stack([np.interp(times - late, times, column, left=before) for column in values.T], axis=1)


def _quantile(values: Array, share: float) -> Array:
    if not Range(0, 1).holds(share):
        raise InvalidInputError(f"share must be in [0, 1], got {share!r}")
    with np.errstate(invalid="ignore"):  # of two infinite values
        found = np.quantile(np.where(np.isnan(values), np.inf, values), share, axis=0)
    return np.where(np.isnan(found), np.inf, found)  # an arm that cannot be held ends beyond all numbers
