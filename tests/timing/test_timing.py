"""Timing: limits hold everywhere, the geometry stays, the ends are exact and at rest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BPoly

from edmp.errors import InvalidInputError
from edmp.robots import load_robot
from edmp.robots.parts import Limits
from edmp.timing import clamped_spline, retime_spline, retime_waypoints
from edmp.trajectory import Trajectory

LIMITS = Limits(
    lower=np.array([-2.9, -1.76, -2.9, -3.07, -2.9, -0.02, -2.9]),
    upper=np.array([2.9, 1.76, 2.9, -0.07, 2.9, 3.75, 2.9]),
    velocity=np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61]),
    acceleration=np.array([15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0]),
    jerk=np.array([7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0]),
)


def check_promises(
    trajectory: Trajectory, limits: Limits = LIMITS, velocity: float = 1, acceleration: float = 1
) -> None:
    t, h = trajectory.times, trajectory.times[1]
    assert t[0] == 0
    np.testing.assert_allclose(np.diff(t), h, rtol=1e-9)
    for values, most in (
        (trajectory.velocities, velocity * limits.velocity),
        (trajectory.accelerations, acceleration * limits.acceleration),
    ):
        assert (np.abs(values) <= most).all()
        assert not values[[0, -1]].any()
    # One curve: the quintic through the samples keeps the limits between them, and jerk stays within its own.
    joined = np.stack([trajectory.positions, trajectory.velocities, trajectory.accelerations], axis=1)
    curve = BPoly.from_derivatives(t, joined)
    fine = np.linspace(0, t[-1], 7 * len(t))
    assert (np.abs(curve.derivative(1)(fine)) <= 1.01 * velocity * limits.velocity).all()
    assert (np.abs(curve.derivative(2)(fine)) <= 1.03 * acceleration * limits.acceleration + 0.02).all()
    np.testing.assert_allclose(trajectory.at(fine), curve(fine), atol=1e-9)
    np.testing.assert_array_equal(trajectory.at([-1.0, t[-1] + 1.0]), trajectory.positions[[0, -1]])
    assert (trajectory.max_jerk <= limits.jerk).all()
    # Velocities and accelerations integrate to the positions.
    v, a = trajectory.velocities, trajectory.accelerations
    step = h / 2 * (v[:-1] + v[1:]) - h**2 / 12 * (a[1:] - a[:-1])
    np.testing.assert_allclose(np.diff(trajectory.positions, axis=0), step, atol=2e-4)


def random_spline(rng: np.random.Generator, bend: float) -> np.ndarray:
    ends = rng.uniform(LIMITS.lower, LIMITS.upper, (2, 7))
    points = ends[0] + np.linspace(0, 1, 16)[:, None] * (ends[1] - ends[0])
    points[1:-1] += bend * rng.normal(size=(14, 7))
    return np.clip(points, LIMITS.lower, LIMITS.upper)


@pytest.mark.parametrize("seed", range(15))
def test_random_splines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = random_spline(rng, [0.0, 0.02, 0.1][seed % 3])
    trajectory = retime_spline(points, LIMITS)
    check_promises(trajectory)
    np.testing.assert_array_equal(trajectory.positions[[0, -1]], points[[0, -1]])
    assert (trajectory.positions >= LIMITS.lower).all()
    assert (trajectory.positions <= LIMITS.upper).all()
    # Every sample lies on the curve.
    curve = clamped_spline(points)(np.linspace(0, 1, 20001))
    for q in trajectory.positions[::5]:
        assert np.linalg.norm(curve - q, axis=1).min() < 1e-3
    # It is not lazily slow: some limit is nearly reached, and half the limits take about twice the time.
    assert np.abs(trajectory.velocities / LIMITS.velocity).max() > 0.9 or (
        np.abs(trajectory.accelerations / LIMITS.acceleration).max() > 0.8
    )
    slow = retime_spline(points, LIMITS, velocity_scale=0.5, acceleration_scale=0.25)
    check_promises(slow, velocity=0.5, acceleration=0.25)
    assert slow.duration == pytest.approx(2 * trajectory.duration, rel=0.1)


@pytest.mark.parametrize("seed", range(12))
def test_polylines(seed: int) -> None:
    """Sparse with sharp corners, or dense: the corners are rounded by no more than stated, the rest is followed."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        path = clamped_spline(random_spline(rng, 0.05))(np.linspace(0, 1, [64, 200][seed % 4 // 2]))
    else:
        walk = np.cumsum(0.4 * rng.normal(size=(6, 7)), axis=0)
        path = walk + np.array([0, 0, 0, -1.5, 0, 1.5, 0])
    deviation = [2e-3, 5e-3, 2e-2][seed % 3]
    trajectory = retime_waypoints(path, LIMITS, deviation=deviation)
    check_promises(trajectory)
    np.testing.assert_array_equal(trajectory.positions[[0, -1]], path[[0, -1]])
    assert (trajectory.positions >= path.min(axis=0) - 1e-12).all()
    assert (trajectory.positions <= path.max(axis=0) + 1e-12).all()
    assert distance_to_polyline(trajectory.positions, path) <= deviation
    assert distance_to_polyline(path, trajectory.positions) <= deviation + 0.01  # the samples are some way apart


def distance_to_polyline(points: np.ndarray, path: np.ndarray) -> float:
    a, d = path[:-1], np.diff(path, axis=0)
    t = np.clip(np.sum((points[:, None] - a) * d, axis=2) / np.maximum(np.sum(d * d, axis=1), 1e-30), 0, 1)
    return float(np.linalg.norm(points[:, None] - a - t[..., None] * d, axis=2).min(axis=1).max())


def test_awkward_paths() -> None:
    a, b = np.zeros(7), 0.5 * np.ones(7)
    for path in (
        [a, b],  # one edge
        [a, a, b, b],  # repeated waypoints
        [a, b, a],  # turns back on itself
        [a, 1e-6 * b, b],  # a tiny edge
        [a, 1e-5 * b],  # hardly a motion
        [a, b, 2 * b],  # straight on
    ):
        trajectory = retime_waypoints(path, LIMITS)
        check_promises(trajectory)
        np.testing.assert_array_equal(trajectory.positions[[0, -1]], [path[0], path[-1]])
    stalls = np.concatenate([np.repeat([a], 6, axis=0), np.repeat([b], 10, axis=0)])
    check_promises(retime_spline(stalls, LIMITS))


@pytest.mark.parametrize("retime", [retime_spline, retime_waypoints])
def test_standing_still(retime) -> None:
    trajectory = retime(np.ones((16, 7)), LIMITS, joint_names=tuple("abcdefg"))
    assert trajectory.joint_names == tuple("abcdefg")
    np.testing.assert_array_equal(trajectory.positions, np.ones((2, 7)))
    assert not trajectory.velocities.any()
    assert 0 < trajectory.duration <= 0.02


def test_period_divides_the_duration() -> None:
    points = random_spline(np.random.default_rng(0), 0.05)
    for period in (0.002, 0.01, 0.05):
        times = retime_spline(points, LIMITS, period=period).times
        np.testing.assert_allclose(np.diff(times), times[-1] / (len(times) - 1), rtol=1e-9)
        assert period <= times[1] < 1.5 * period


def test_the_same_path_gives_the_same_times() -> None:
    points = random_spline(np.random.default_rng(1), 0.05)
    first, second = retime_spline(points, LIMITS), retime_spline(points, LIMITS)
    np.testing.assert_array_equal(first.times, second.times)
    np.testing.assert_array_equal(first.positions, second.positions)


def test_misuse_is_named() -> None:
    good = np.zeros((16, 7))
    for arguments, options in (
        ((good[:, :6], LIMITS), {}),
        ((good[:3], LIMITS), {}),
        ((good * np.nan, LIMITS), {}),
        ((good, LIMITS), {"velocity_scale": 1.1}),
        ((good, LIMITS), {"acceleration_scale": 0.0}),
        ((good, LIMITS), {"period": -1.0}),
    ):
        with pytest.raises(InvalidInputError):
            retime_spline(*arguments, **options)
    with pytest.raises(InvalidInputError):
        retime_waypoints(good, LIMITS, deviation=0.0)


@pytest.mark.parametrize("seed", [312, 317, 328, 340, 355])
def test_between_samples_a_motion_round_sharp_corners_keeps_the_limits(seed: int) -> None:
    rng, panda = np.random.default_rng(seed), load_robot("panda")
    count, size = int(rng.integers(3, 9)), 10 ** rng.uniform(-2, 0)
    steps = rng.normal(size=(count, 7)) * size * 10 ** rng.uniform(-1.5, 0, (count, 1))
    path = np.cumsum(steps, axis=0)
    motion = retime_waypoints(path - path[0] + panda.home, panda.limits, deviation=10 ** rng.uniform(-4, -2))
    _, v, acceleration = motion.sample(np.linspace(0.0, motion.duration, 4 * len(motion.times) + 1))
    assert (np.abs(v) <= 1.0021 * panda.limits.velocity).all()
    assert (np.abs(acceleration) <= 1.0021 * panda.limits.acceleration).all()
