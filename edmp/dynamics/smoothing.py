"""Positions, velocities and accelerations that measured positions speak of, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RATIOS = 10.0 ** np.arange(-12.0, 7.0)
"""Variances of the jerk that are tried, for a median period as the unit of time and the noise as that of positions."""
_TRIED_ROWS = 1000
_UNKNOWN = 1e8
"""Variance of the state before the first row, around the difference of the first two, in the same units."""
_LEAST_NOISE = 1e-9
"""Standard deviation below which positions have none [rad or m]."""


@dataclass(frozen=True, eq=False)
class States:
    """What the joints did at each row.

    Attributes:
        positions, velocities, accelerations: (n, dof) [rad or m].
        deviation: (n, dof, 3) standard deviations of these three.
        noise: (dof,) standard deviation of the measured positions, from what smoothing leaves of them [rad or m].
    """

    positions: Array
    velocities: Array
    accelerations: Array
    deviation: Array
    noise: Array


def smoothed(times: Array, positions: Array, velocities: Array | None = None) -> States:
    """The most likely motion if the jerk is white noise: a quintic smoothing spline through rows at any times.

    How strong the jerk is, and the noise of the positions, are those under which the positions are most likely (Wecker
    and Ansley 1983, The signal extraction approach to nonlinear regression and spline smoothing), joint by joint.
    Kalman filter forwards, Bryson and Frazier's smoother backwards. Measured velocities count as much as they agree
    with what the positions say.

    Args:
        times: (n,) increasing [s].
        positions: (n, dof) measured [rad or m].
        velocities: (n, dof) measured [rad/s or m/s]; None for none.
    """
    period = float(np.median(np.diff(times)))
    steps = np.diff(times) / period
    ratio = _best_ratio(steps[: _TRIED_ROWS - 1], positions[:_TRIED_ROWS])
    x, P, noise = _smooth(steps, positions, ratio)
    if velocities is not None:
        measured = velocities * period
        # In units of the noise of positions; their error is no less than the disagreement on average.
        disagreement = np.maximum(np.mean((measured - x[:, :, 1]) ** 2, axis=0), (1e-3 * noise) ** 2) / noise**2
        x, P, noise = _smooth(steps, positions, ratio, measured, disagreement)
    scale = period ** -np.arange(3.0)
    # What rounding leaves of a variance next to nothing may be below nothing.
    variance = np.maximum(np.diagonal(P, axis1=2, axis2=3), 0.0)
    deviation = noise[:, None] * np.sqrt(variance) * scale
    return States(x[:, :, 0], x[:, :, 1] / period, x[:, :, 2] / period**2, deviation, noise)


def _best_ratio(steps: Array, z: Array) -> Array:
    """(dof,) of `_RATIOS`, by their likelihood, the noise being concentrated out."""
    n, dof = z.shape
    filtered = _Filter(np.repeat(z, len(_RATIOS), axis=1), np.tile(_RATIOS, dof))
    filtered.run(steps)
    likelihood = -0.5 * (n * np.log(filtered.noise() ** 2) + filtered.log_variance)
    return _RATIOS[likelihood.reshape(dof, -1).argmax(axis=1)]


def _smooth(
    steps: Array, z: Array, ratio: Array, z_v: Array | None = None, variance_v: Array | None = None
) -> tuple[Array, Array, Array]:
    """States (n, dof, 3), their covariances in units of the noise (n, dof, 3, 3), the noise (dof,)."""
    filtered = _Filter(z, ratio, z_v, variance_v)
    filtered.run(steps)
    return *filtered.back(steps), filtered.noise()


class _Filter:
    """Kalman filters side by side, one a column of ``z`` (n, m); position, velocity, acceleration are the state."""

    def __init__(self, z: Array, ratio: Array, z_v: Array | None = None, variance_v: Array | None = None) -> None:
        n, m = z.shape
        self.measured = [(0, z, np.ones(m))]
        if z_v is not None and variance_v is not None:
            self.measured.append((1, z_v, variance_v))
        self.ratio = ratio
        self.x, self.P = np.zeros((n, m, 3)), np.zeros((n, m, 3, 3))
        self.innovations: list[list[tuple[Array, Array, Array]]] = []
        self.log_variance, self._sum = np.zeros(m), np.zeros(m)

    def run(self, steps: Array) -> None:
        n, m, _ = self.x.shape
        x = np.zeros((m, 3))
        first = self.measured[0][1]
        x[:, 0], x[:, 1] = first[0], (first[1] - first[0]) / steps[0]
        P = np.zeros((m, 3, 3))
        P[:] = _UNKNOWN * np.eye(3)
        for k in range(n):
            if k:
                F = _transition(steps[k - 1])
                x, P = x @ F.T, F @ P @ F.T + self.ratio[:, None, None] * _process(steps[k - 1])
            used = []
            for entry, z, variance in self.measured:
                S = P[:, entry, entry] + variance
                nu, K = z[k] - x[:, entry], P[:, :, entry] / S[:, None]
                x = x + K * nu[:, None]
                # Joseph's form, which stays positive
                A = np.zeros((m, 3, 3)) + np.eye(3)
                A[:, :, entry] -= K
                P = A @ P @ A.transpose(0, 2, 1) + variance[:, None, None] * K[:, :, None] * K[:, None, :]
                used.append((nu, S, A))
                if entry == 0 and k > 2:  # the first three say where it begins
                    self.log_variance += np.log(S)
                    self._sum += nu**2 / S
            self.x[k], self.P[k] = x, P
            self.innovations.append(used)

    def noise(self) -> Array:
        """(m,) standard deviation of positions."""
        return np.maximum(np.sqrt(self._sum / max(len(self.x) - 3, 1)), _LEAST_NOISE)

    def back(self, steps: Array) -> tuple[Array, Array]:
        """States and covariances given all rows (Bierman 1973, Fixed interval smoothing with discrete measurements)."""
        n, m, _ = self.x.shape
        x, P = self.x.copy(), self.P.copy()
        adjoint, information = np.zeros((m, 3)), np.zeros((m, 3, 3))
        for k in range(n - 1, -1, -1):
            if k < n - 1:
                F = _transition(steps[k])
                adjoint, information = adjoint @ F, F.T @ information @ F
            x[k] -= (P[k] @ adjoint[:, :, None])[:, :, 0]
            P[k] -= P[k] @ information @ P[k]
            for (entry, _, _), (nu, S, A) in zip(reversed(self.measured), reversed(self.innovations[k]), strict=True):
                adjoint = (A.transpose(0, 2, 1) @ adjoint[:, :, None])[:, :, 0]
                adjoint[:, entry] -= nu / S
                information = A.transpose(0, 2, 1) @ information @ A
                information[:, entry, entry] += 1.0 / S
        return x, P


def _transition(h: float) -> Array:
    return np.array([[1.0, h, 0.5 * h * h], [0.0, 1.0, h], [0.0, 0.0, 1.0]])


def _process(h: float) -> Array:
    """Covariance that a white jerk of unit strength adds in a time h."""
    return np.array([[h**5 / 20, h**4 / 8, h**3 / 6], [h**4 / 8, h**3 / 3, h**2 / 2], [h**3 / 6, h**2 / 2, h]])
