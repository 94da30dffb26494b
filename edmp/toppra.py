"""How fast a path may be run: TOPP-RA, time-optimal path parameterisation by reachability analysis.

After Pham and Pham, "A New Approach to Time-Optimal Path Parameterization Based on Reachability Analysis", 2018.
Between two grid points of the path p(s) the acceleration s'' is constant. With x and y, the squares of s' at the two,
every limit is a line in (x, y):

    |p' s'' + p'' s'^2| <= a   is   |alpha y + beta x| <= 1,      s'' = (y - x) / (2 ds)

Backwards over the grid, the largest x is found from which the end can be reached at rest; forwards, the largest y.
General solvers of linear programs fail here on short motions and on joints that hardly move, whose rows hold numbers
of very different size. These programs have two variables and the solution x = y = 0, so y is eliminated in closed form
(Fourier and Motzkin), without a division by what may vanish: a timing is always found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

Array = NDArray[np.float64]

_STILL = 1e-9
"""Where p' is smaller than this part of its maximum, s' is limited as if it were that [-]."""


@dataclass(frozen=True)
class PathTiming:
    """``s(t)`` in pieces of constant acceleration.

    Attributes:
        s: (n + 1,) grid points, from 0 to 1.
        t: (n + 1,) when they are passed [s].
        rate: (n + 1,) ``s'`` there [1/s].
    """

    s: Array
    t: Array
    rate: Array

    @property
    def duration(self) -> float:
        """[s]."""
        return float(self.t[-1])

    def __call__(self, t: Array) -> Array:
        """``s`` at these times."""
        k = np.clip(np.searchsorted(self.t, t, side="right") - 1, 0, len(self.t) - 2)
        width = self.t[k + 1] - self.t[k]
        u = t - self.t[k]
        return self.s[k] + self.rate[k] * u + 0.5 * (self.rate[k + 1] - self.rate[k]) / width * u**2


class MoreLimits(Protocol):
    """Limits of what depends on a path in other ways than its joints do, as shares of what is allowed."""

    def shares(self, s: Array) -> Array:
        """(n, m) shares of limits of velocity for s' = 1."""

    def rows(self, s: Array) -> tuple[Array, Array]:
        """(n, r) each: shares of limits of acceleration by s'' and by s'^2."""


def time_path(
    path: BSpline, velocity: Array, acceleration: Array, grid: Array, more: MoreLimits | None = None
) -> PathTiming:
    """The fastest run along ``path`` from rest to rest.

    Args:
        path: p(s) for s in [0, 1], (dof,), twice differentiable.
        velocity, acceleration: (dof,) limits [rad/s or m/s, rad/s^2 or m/s^2]; the latter hold on both sides of each
            grid point.
        grid: (n + 1,) growing from 0 to 1.
        more: further limits.
    """
    first, second = path.derivative(1)(grid), path.derivative(2)(grid)
    relative = np.abs(first / velocity).max(axis=1)
    first, second = first / acceleration, second / acceleration
    if more is not None:
        relative = np.maximum(relative, more.shares(grid).max(axis=1))
        first, second = (np.hstack(pair) for pair in zip((first, second), more.rows(grid), strict=True))
    alpha, beta = _rows(first, second, np.diff(grid))
    fastest = 1.0 / np.maximum(relative, _STILL * relative.max()) ** 2
    fastest[:-1] = np.minimum(fastest[:-1], _compatible(alpha, beta))

    n = len(grid) - 1
    reachable = np.zeros(n + 1)  # the largest x from which the end can be reached
    for i in range(n - 1, -1, -1):
        a, b = alpha[i], beta[i]
        braking = b < 0.0  # rows that y <= reachable holds back
        bound = ((1.0 + a[braking] * reachable[i + 1]) / -b[braking]).min(initial=np.inf)
        reachable[i] = min(fastest[i], bound)
    x = np.zeros(n + 1)
    for i in range(n):
        a, b = alpha[i], beta[i]
        some = a > 0.0
        a, b = a[some], b[some] * x[i]
        highest, lowest = ((1.0 - b) / a).min(initial=np.inf), ((-1.0 - b) / a).max(initial=0.0)
        x[i + 1] = min(max(highest, lowest), reachable[i + 1])  # at a corner rounding may exchange the two
    rate = np.sqrt(x)
    t = np.concatenate([[0.0], np.cumsum(2.0 * np.diff(grid) / (rate[:-1] + rate[1:]))])
    return PathTiming(grid, t, rate)


def _rows(first: Array, second: Array, step: Array) -> tuple[Array, Array]:
    """``alpha >= 0`` and ``beta``, (n, 2 dof) each: limits at the beginning and at the end of each interval."""
    half = 0.5 / step[:, None]
    begin, end = half * first[:-1], half * first[1:]
    alpha = np.concatenate([begin, end + second[1:]], axis=1)
    beta = np.concatenate([second[:-1] - begin, -end], axis=1)
    sign = np.where(alpha < 0.0, -1.0, 1.0)
    return sign * alpha, sign * beta


def _compatible(alpha: Array, beta: Array) -> Array:
    """(n,) the largest x for which some y >= 0 satisfies all rows.

    A row bounds y from above, (1 - beta x) / alpha, and from below, (-1 - beta x) / alpha: no lower bound may exceed
    an upper one.
    """
    upper_a, upper_b = alpha[:, :, None], beta[:, :, None]
    lower_a, lower_b = alpha[:, None, :], beta[:, None, :]
    slope = lower_a * upper_b - upper_a * lower_b
    with np.errstate(divide="ignore", invalid="ignore"):
        by_pairs = np.where(slope > 0.0, (upper_a + lower_a) / slope, np.inf).min(axis=(1, 2))
        by_zero = np.where(beta > 0.0, 1.0 / beta, np.inf).min(axis=1)
    return np.minimum(by_pairs, by_zero)
