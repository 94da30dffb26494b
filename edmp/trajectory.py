"""`Trajectory`: a timed joint motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

Array = NDArray[np.float64]


@checked
@dataclass(frozen=True)
class Trajectory:
    """Joint motion over time, sampled.

    Attributes:
        joint_names: (dof) names, the column order of the arrays.
        times: (n,) strictly increasing, from 0 [s].
        positions: (n, dof) [rad or m].
        velocities: (n, dof) [rad/s or m/s].
        accelerations: (n, dof) [rad/s^2 or m/s^2].
    """

    joint_names: tuple[str, ...]
    times: Array
    positions: Array
    velocities: Array
    accelerations: Array

    @property
    def duration(self) -> float:
        """[s]"""
        return float(self.times[-1])

    @property
    def max_jerk(self) -> Array:
        """(dof,) largest jerk between samples: accelerations are taken to change linearly [rad/s^3 or m/s^3]."""
        return np.abs(np.diff(self.accelerations, axis=0) / np.diff(self.times)[:, None]).max(axis=0)

    def at(self, times: ArrayLike) -> Array:
        """Positions (..., dof) at ``times`` (...) [s]; see `sample`."""
        return self.sample(times)[0]

    @checked
    def sample(self, times: ArrayLike) -> tuple[Array, Array, Array]:
        """Positions, velocities and accelerations, each (..., dof), at ``times`` (...) [s].

        Between samples the motion is the quintic that meets their positions, velocities and accelerations; before and
        after it, it rests at its ends.
        """
        given = np.asarray(times, dtype=np.float64)
        if np.isnan(given).any():
            raise InvalidInputError("times must be numbers [s], got NaN")
        t = np.clip(given, self.times[0], self.times[-1])
        k = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        h = (self.times[k + 1] - self.times[k])[..., None]
        u = (t - self.times[k])[..., None] / h
        q0, v0, a0 = self.positions[k], self.velocities[k] * h, self.accelerations[k] * h**2
        q1, v1, a1 = self.positions[k + 1], self.velocities[k + 1] * h, self.accelerations[k + 1] * h**2
        # What is left for the cubic, quartic and quintic terms to do at u = 1.
        dq, dv, da = q1 - q0 - v0 - 0.5 * a0, v1 - v0 - a0, a1 - a0
        c3, c4, c5 = 10 * dq - 4 * dv + 0.5 * da, -15 * dq + 7 * dv - da, 6 * dq - 3 * dv + 0.5 * da
        q = q0 + u * (v0 + u * (0.5 * a0 + u * (c3 + u * (c4 + u * c5))))
        v = v0 + u * (a0 + u * (3 * c3 + u * (4 * c4 + u * 5 * c5)))
        a = a0 + u * (6 * c3 + u * (12 * c4 + u * 20 * c5))
        q = np.where(u == 1.0, q1, q)  # exactly, where rounding would leave something
        outside = (given != t)[..., None]
        return q, np.where(outside, 0.0, v / h), np.where(outside, 0.0, a / h**2)


def slowed(trajectory: Trajectory, share: float) -> Trajectory:
    """The same motion at a share of its speed, in (0, 1]."""
    return Trajectory(
        trajectory.joint_names,
        trajectory.times / share,
        trajectory.positions,
        trajectory.velocities * share,
        trajectory.accelerations * share**2,
    )


def joined(parts: Sequence[Trajectory]) -> Trajectory:
    """One motion after the other: each, of the same joints, begins at rest where the one before ended."""
    begins = np.cumsum([0.0, *(part.duration for part in parts)])
    kept = [slice(0 if k == 0 else 1, None) for k in range(len(parts))]
    return Trajectory(
        parts[0].joint_names,
        np.concatenate([part.times[keep] + begin for part, keep, begin in zip(parts, kept, begins, strict=False)]),
        *(
            np.concatenate([getattr(part, name)[keep] for part, keep in zip(parts, kept, strict=True)])
            for name in ("positions", "velocities", "accelerations")
        ),
    )


def path_length(path: Array) -> float:
    """Joint-space length of a polyline (n, dof): the sum of the Euclidean norms of its edges [rad]."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def clamped_spline(control_points: Array) -> BSpline:
    """Clamped uniform cubic B-spline on [0, 1] with control points (k, dof), or (k, ...) for several at once."""
    from scipy.interpolate import BSpline

    k = len(control_points)
    return BSpline(np.concatenate([[0.0] * 3, np.linspace(0.0, 1.0, k - 2), [1.0] * 3]), control_points, 3)
