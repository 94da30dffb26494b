"""How much later than commanded an arm does what it is told: the shift at which commanded and measured motion agree.

What the arm is off its late command by is a matter of masses and friction, not of time: it is left to the noise, whose
correlation in time is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.signals import columns_at
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

LONGEST = 0.3
"""Delays up to this are looked for [s]."""
_STEP = 2e-3
"""Between shifts that are tried before the best is refined [s]."""
_LEAST_SPEED = 0.02
"""Joints that were never commanded faster tell no delay [rad/s or m/s]."""


@dataclass(frozen=True)
class Delay:
    """Of the commands.

    Attributes:
        delay: [s]
        deviation: standard deviation of it [s].
        off: (dof,) standard deviation of the measured positions from the late commands [rad or m].
    """

    delay: float
    deviation: float
    off: tuple[float, ...]


def find_delay(times: Array, commanded: Array, measured: Array, *, earliest: float = 0.0) -> Delay:
    """Of one recording, to a fraction of a tick.

    Minimises the sum of (measured(t) - commanded(t - delay) - offset)^2 over all joints, each weighted by what is left,
    on a grid, and then by Gauss-Newton.

    Args:
        times: (n,) [s].
        commanded, measured: (n, dof) positions [rad or m].
        earliest: delay that is looked for from here on; below zero where commands were sent ahead [s].

    Raises:
        InvalidInputError: nothing was commanded to move.
    """
    speed = np.abs(np.gradient(commanded, times, axis=0)).max(axis=0)
    if speed.max() < _LEAST_SPEED:
        raise InvalidInputError("no joint was commanded to move: the delay of the commands cannot be told")
    weights = np.where(speed >= _LEAST_SPEED, 1.0, 0.0)
    shifts = np.arange(earliest, LONGEST + 1e-9, _STEP)
    rows = slice(None, None, max(1, len(times) // 1000))
    cost = [np.sum(weights * _left(times, commanded, measured, s)[0][rows] ** 2) for s in shifts]
    delay = float(shifts[int(np.argmin(cost))])
    for _ in range(10):
        left, slope = _left(times, commanded, measured, delay)
        variance = np.maximum(left.var(axis=0), 1e-12)
        w = weights / variance
        step = float(np.sum(w * slope * left) / np.sum(w * slope**2))
        delay = float(np.clip(delay - step, earliest, LONGEST))
        if abs(step) < 1e-7:
            break
    left, slope = _left(times, commanded, measured, delay)
    w = weights / np.maximum(left.var(axis=0), 1e-12)
    information = np.sum(w * slope**2) / correlated(left[:, weights > 0.0])
    return Delay(delay, float(1.0 / np.sqrt(information)), tuple(left.std(axis=0).tolist()))


def _left(times: Array, commanded: Array, measured: Array, delay: float) -> tuple[Array, Array]:
    """(n, dof) what is left of the measured positions, its mean taken off, and its derivative by the delay."""
    late = columns_at(times - delay, times, commanded)
    slope = np.gradient(late, times, axis=0)  # d(measured - late)/d(delay) = +velocity
    left = measured - late
    return left - left.mean(axis=0), slope - slope.mean(axis=0)


def correlated(left: Array) -> float:
    """How many rows in a row say the same: the integrated autocorrelation, up to where it first falls to zero."""
    n = len(left)
    most = 1.0
    for column in left.T:
        spectrum = np.abs(np.fft.rfft(column, 2 * n)) ** 2
        correlation = np.fft.irfft(spectrum)[:n]
        if correlation[0] <= 0.0:
            continue
        correlation /= correlation[0]
        below = np.flatnonzero(correlation <= 0.0)
        most = max(most, 1.0 + 2.0 * float(correlation[1 : below[0] if len(below) else n].sum()))
    return most
