"""Smoothness: the spectral arc length against its integral, and what it is invariant to; jerk of known motions."""

from __future__ import annotations

import numpy as np
import pytest

from edmp.bench.metrics import joint_speed, rms_jerk, sparc, spectral_arc_length
from edmp.trajectory import Trajectory


def minimum_jerk_speed(duration: float, period: float = 0.01) -> np.ndarray:
    """Speed of the quintic from rest to rest over a distance of 1."""
    t = np.linspace(0.0, 1.0, round(duration / period) + 1)
    return 30 * t**2 * (1 - t) ** 2 / duration


def quintic(distance: np.ndarray, duration: float, period: float = 0.01) -> Trajectory:
    """The same motion as a trajectory; a joint goes ``distance`` (dof,) [rad]."""
    t = np.linspace(0.0, 1.0, round(duration / period) + 1)[:, None]
    return Trajectory(
        tuple(f"joint{j}" for j in range(len(distance))),
        t[:, 0] * duration,
        distance * (10 * t**3 - 15 * t**4 + 6 * t**5),
        distance * 30 * t**2 * (1 - t) ** 2 / duration,
        distance * (60 * t - 180 * t**2 + 120 * t**3) / duration**2,
    )


def test_spectral_arc_length_is_the_integral_of_its_definition() -> None:
    """Amplitudes from the Fourier integral itself, on a fine grid of frequencies, for a profile with side lobes."""
    t = np.arange(0, 2.0, 0.01)
    speed = np.where(t < 1, np.sin(np.pi * t) ** 2, 0.6 * np.sin(np.pi * t) ** 2)
    frequency = np.linspace(0.0, 10.0, 20_001)
    amplitude = np.abs(np.exp(-2j * np.pi * frequency[:, None] * t) @ speed)
    amplitude /= amplitude[0]
    last = np.flatnonzero(amplitude >= 0.05)[-1]
    slope = np.diff(amplitude[: last + 1]) * last  # with frequency scaled so that the cut-off is 1
    wanted = -np.sqrt(1 + slope**2).mean()
    assert spectral_arc_length(speed, 0.01, padding=8) == pytest.approx(wanted, rel=5e-4)
    assert spectral_arc_length(speed, 0.01) == pytest.approx(wanted, rel=5e-3)  # the cut-off falls between frequencies


def test_what_spectral_arc_length_does_not_see() -> None:
    speed = minimum_jerk_speed(1.0)
    smooth = spectral_arc_length(speed, 0.01)
    assert -1.5 < smooth < -1.35  # Balasubramanian et al. 2015: about -1.4 for a single smooth movement
    assert spectral_arc_length(7.0 * speed, 0.01) == pytest.approx(smooth, abs=1e-12)
    assert spectral_arc_length(minimum_jerk_speed(3.0), 0.01) == pytest.approx(smooth, abs=0.02)
    assert spectral_arc_length(minimum_jerk_speed(1.0, 0.005), 0.005) == pytest.approx(smooth, abs=0.01)


def test_stopping_on_the_way_is_less_smooth() -> None:
    whole, half = minimum_jerk_speed(1.0), minimum_jerk_speed(0.5)
    values = [spectral_arc_length(np.concatenate([half] * n), 0.01) for n in (1, 2, 3)]
    assert values == sorted(values, reverse=True)
    assert spectral_arc_length(np.concatenate([half, np.zeros(20), half]), 0.01) < values[1]
    assert values[1] < spectral_arc_length(whole, 0.01) - 0.5


def test_speed_is_that_of_all_joints_together() -> None:
    motion = quintic(np.array([0.3, -0.4]), 1.2)
    speed, period = joint_speed(motion, period=0.02)
    assert period == pytest.approx(0.02)
    np.testing.assert_allclose(speed, 0.5 * minimum_jerk_speed(1.2, 0.02), atol=1e-9)
    assert sparc(motion) == pytest.approx(spectral_arc_length(minimum_jerk_speed(1.2), 0.01), abs=1e-6)


def test_a_motion_that_stands_still_has_no_smoothness() -> None:
    assert sparc(quintic(np.zeros(2), 1.0)) is None


def test_rms_jerk_of_a_quintic() -> None:
    """The minimum-jerk motion over a distance d in time T has a mean squared jerk of 720 d^2 / T^6."""
    motion = quintic(np.array([0.3, -0.4]), 2.0, 0.002)
    assert rms_jerk(motion) == pytest.approx(np.sqrt(720.0) * 0.5 / 2.0**3, rel=1e-4)
