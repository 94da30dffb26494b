"""How smooth a timed motion is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

SAMPLE_PERIOD = 0.01
"""The speed profile is sampled about this often [s]."""


def joint_speed(trajectory: Trajectory, *, period: float = SAMPLE_PERIOD) -> tuple[Array, float]:
    """Speed in joint space |dq/dt| (n,) [rad/s], evenly sampled from rest to rest, and its sample period [s]."""
    intervals = max(1, round(trajectory.duration / period))
    _, velocities, _ = trajectory.sample(np.linspace(0.0, trajectory.duration, intervals + 1))
    return np.linalg.norm(velocities, axis=1), trajectory.duration / intervals


def spectral_arc_length(
    speed: Array, period: float, *, max_frequency: float = 10.0, threshold: float = 0.05, padding: int = 4
) -> float:
    """SPARC: the negative arc length of the normalised amplitude spectrum of a speed profile; 0 at best, dimensionless.

    Balasubramanian et al. 2012 (IEEE Trans. Biomed. Eng. 59(8)), with the adaptive cut-off of Balasubramanian et al.
    2015 (J. NeuroEng. Rehab. 12:112): with V^(w) = |V(w)| / V(0),

        SPARC = -int_0^{w_c} sqrt((1 / w_c)^2 + (dV^/dw)^2) dw,

    w_c the highest frequency up to ``max_frequency`` at which V^ reaches ``threshold``.

    Args:
        speed: (n,), not negative, evenly sampled.
        period: between samples [s].
        max_frequency: [Hz].
        threshold: of the normalised amplitude, in (0, 1).
        padding: zeros fill the profile up to 2^padding times the next power of two, so that the spectrum is fine.

    Returns:
        NaN for a profile that never leaves zero.
    """
    count = 2 ** (math.ceil(math.log2(len(speed))) + padding)
    amplitude = np.abs(np.fft.rfft(speed, count))
    if not amplitude[0] > 0:
        return math.nan
    amplitude /= amplitude[0]  # a speed is never negative, so nothing exceeds the mean
    below = amplitude[np.fft.rfftfreq(count, period) <= max_frequency]
    last = int(np.flatnonzero(below >= threshold)[-1])
    if last == 0:
        return math.nan
    rise = np.diff(below[: last + 1])
    return -float(np.sqrt((1.0 / last) ** 2 + rise**2).sum())


def sparc(trajectory: Trajectory) -> float | None:
    """`spectral_arc_length` of the joint-space speed; None for a motion that stands still."""
    if not trajectory.duration > 0:
        return None
    value = spectral_arc_length(*joint_speed(trajectory))
    return value if math.isfinite(value) else None


def rms_jerk(trajectory: Trajectory) -> float:
    """Root of the mean over time of the squared joint-space jerk |d^3q/dt^3|^2 [rad/s^3].

    Accelerations are taken to change linearly between samples, as in `Trajectory.max_jerk`.
    """
    step = np.diff(trajectory.times)
    jerk = np.diff(trajectory.accelerations, axis=0) / step[:, None]
    return float(np.sqrt((np.square(jerk).sum(axis=1) * step).sum() / step.sum()))
