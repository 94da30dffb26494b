"""Splices are continuous and within limits; the buffer takes them over at the right place, or not at all."""

import numpy as np
import pytest

from edmp.execution.buffer import CommandBuffer
from edmp.execution.splice import splices
from edmp.robots import load_robot
from edmp.timing import retime_waypoints


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


def motion(panda, *waypoints):
    """With something left for splices: a motion at its limits can hardly be changed."""
    names, share = panda.joint_names, 0.9
    points = np.array(waypoints)
    return retime_waypoints(points, panda.limits, joint_names=names, velocity_scale=share, acceleration_scale=share)


@pytest.fixture(scope="module")
def there(panda):
    return panda.home + np.array([1.2, 0.3, 0.2, 0.4, -0.3, 0.3, 0.2])


@pytest.fixture(scope="module")
def elsewhere(panda):
    return panda.home + np.array([0.9, -0.4, 0.5, 0.1, 0.5, 0.2, -0.4])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.7, 1.0])
def test_splices_are_continuous_within_limits_and_arrive(panda, there, elsewhere, share):
    old = motion(panda, panda.home, there)
    at = share * old.duration
    new = motion(panda, old.at(at), elsewhere)
    found = list(splices(old, at, new, panda.limits))
    assert found
    q, v, a = old.sample(at)
    durations = [joined.duration for joined in found]
    assert durations == sorted(durations)
    for joined in found[:3]:
        np.testing.assert_allclose(joined.positions[0], q, atol=1e-9)
        np.testing.assert_allclose(joined.velocities[0], v, atol=1e-9)
        np.testing.assert_allclose(joined.accelerations[0], a, atol=1e-6)
        np.testing.assert_allclose(joined.positions[-1], elsewhere, atol=1e-9)
        fine = np.linspace(0.0, joined.duration, 2000)
        _, v_fine, a_fine = joined.sample(fine)
        assert (np.abs(v_fine) <= 1.01 * panda.limits.velocity).all()
        assert (np.abs(a_fine) <= 1.03 * panda.limits.acceleration).all()
        assert np.abs(joined.velocities[-1]).max() < 1e-9


def test_the_buffer_takes_over_at_the_splice_point_without_a_jump(panda, there, elsewhere):
    old = motion(panda, panda.home, there)
    buffer = CommandBuffer(old, panda.limits)
    rows = [buffer.advance(1e-3) for _ in range(100)]
    at = 0.3 * old.duration + 0.0004  # between two ticks
    joined = next(splices(old, at, motion(panda, old.at(at), elsewhere), panda.limits))
    assert buffer.offer(joined, version=0, at=at)
    assert buffer.snapshot().pending
    while not buffer.snapshot().at_rest:
        rows.append(buffer.advance(1e-3))
    q = np.array([row.positions for row in rows])
    v = np.diff(q, axis=0) / 1e-3
    assert (np.abs(v) <= 1.01 * panda.limits.velocity).all()
    assert (np.abs(np.diff(v, axis=0)) / 1e-3 <= 1.1 * panda.limits.acceleration).all()
    np.testing.assert_allclose(q[-1], elsewhere, atol=1e-9)
    assert buffer.snapshot().version == 1


def test_what_comes_too_late_or_does_not_fit_is_refused(panda, there, elsewhere):
    old = motion(panda, panda.home, there)
    buffer = CommandBuffer(old, panda.limits)
    for _ in range(200):
        buffer.advance(1e-3)
    late = next(splices(old, 0.1, motion(panda, old.at(0.1), elsewhere), panda.limits))
    assert not buffer.offer(late, version=0, at=0.1)
    fitting = next(splices(old, 0.3, motion(panda, old.at(0.3), elsewhere), panda.limits))
    assert not buffer.offer(fitting, version=1, at=0.3), "made for a motion that never was"
    assert not buffer.offer(motion(panda, old.at(0.3), elsewhere), version=0, at=0.3), "begins at rest: a jump"
    assert buffer.offer(fitting, version=0, at=0.3)
    buffer.brake()
    assert not buffer.snapshot().pending
    assert not buffer.offer(fitting, version=0, at=0.3), "it brakes"
    while not buffer.snapshot().at_rest:
        buffer.advance(1e-3)
    here = buffer.advance(1e-3).positions
    assert buffer.offer(motion(panda, here, elsewhere), version=0, at=0.0), "at rest anything that begins here will do"


def test_the_preview_of_braking_is_what_braking_does(panda, there):
    buffer = CommandBuffer(motion(panda, panda.home, there), panda.limits)
    for _ in range(150):
        buffer.advance(1e-3)
    preview = buffer.after_braking(step=1e-3)
    buffer.brake()
    rows = []
    while not buffer.snapshot().at_rest:
        rows.append(buffer.advance(1e-3).positions)
    np.testing.assert_allclose(preview.positions[1:], rows, atol=1e-9)
    assert not preview.velocities[-1].any()
