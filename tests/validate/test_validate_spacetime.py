"""The judge in space-time against dense sampling, and where the answer is known by hand."""

import numpy as np
import pytest

from edmp.errors import InvalidInputError
from edmp.robots import load_robot
from edmp.scenes import Box, Capsule, Cylinder, Scene, Sphere
from edmp.scenes.scene import Obstacle
from edmp.timing import retime_waypoints
from edmp.validate import Judge
from edmp.validate.spacetime import MovingObstacle, first_encounter


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def swing(panda):
    a, b = panda.home.copy(), panda.home.copy()
    a[0], b[0] = -1.0, 1.0
    return retime_waypoints([a, b], panda.limits, joint_names=panda.joint_names)


def ball(position, velocity, time=0.0):
    return MovingObstacle(Obstacle.at("ball", Sphere(0.05), position), np.array(velocity, dtype=float), time)


def sampled(robot, one, trajectory, end):
    """The first of many moments at which they touch."""
    for time in np.arange(0.0, end, 2e-3):
        verdict = Judge(robot, Scene((one.at(time),))).check(trajectory.at(time))
        if not verdict.valid:
            return time
    return None


def test_a_ball_that_crosses_the_swing_is_met_when_sampling_meets_it(panda, swing):
    one = ball((0.9, 0.0, 0.5), (-0.8, 0.0, 0.0))
    hit = first_encounter(panda, [one], swing, begin=0.0, end=swing.duration)
    when = sampled(panda, one, swing, swing.duration)
    assert when is not None
    assert hit.time == pytest.approx(when, abs=0.02)
    assert hit.time <= when + 1e-9, "never later than the touch"
    assert "ball" in hit.message


def test_the_same_ball_passes_if_the_arm_goes_later(panda, swing):
    one = ball((0.33, 0.0, 0.5), (0.0, 0.0, 1.5))
    assert first_encounter(panda, [one], swing, begin=0.0, end=swing.duration) is None
    assert sampled(panda, one, swing, swing.duration) is None
    still = ball((0.33, 0.0, 0.5), (0.0, 0.0, 0.0))
    assert first_encounter(panda, [still], swing, begin=0.0, end=swing.duration) is not None


def test_what_hits_the_resting_arm_after_the_motion_is_seen_too(panda, swing):
    one = ball((0.3, 2.45, 0.55), (0.0, -1.0, 0.0))
    assert first_encounter(panda, [one], swing, begin=0.0, end=swing.duration) is None
    late = first_encounter(panda, [one], swing, begin=0.0, end=4.0)
    assert late is not None
    assert late.time > swing.duration


def test_a_prediction_counts_from_when_it_was_seen(panda, swing):
    early, late = (ball((0.9, 0.0, 0.5), (-0.8, 0.0, 0.0), time) for time in (0.0, 10.0))
    first = first_encounter(panda, [early], swing, begin=0.0, end=1.0)
    second = first_encounter(panda, [late], swing, begin=10.0, end=11.0)
    assert second.time - 10.0 == pytest.approx(first.time, abs=1e-6)


def test_a_margin_makes_it_stricter(panda, swing):
    beside = ball((0.33, 0.0, 1.05), (0.0, 0.0, 0.0))
    assert first_encounter(panda, [beside], swing, begin=0.0, end=2.0) is None
    near = first_encounter(panda, [beside], swing, begin=0.0, end=2.0, margin=0.4)
    assert "within" in near.message


def test_nonsense_is_refused(panda, swing):
    with pytest.raises(InvalidInputError):
        first_encounter(panda, [], swing, begin=1.0, end=0.0)
    with pytest.raises(InvalidInputError, match="velocity of 'ball'"):
        ball((0, 0, 0), (np.nan, 0, 0))


@pytest.mark.parametrize("seed", range(6))
def test_anything_that_moves_is_met_when_sampling_meets_it_wherever_the_arm_stands(panda, swing, seed):
    rng = np.random.default_rng(seed)
    X_W0 = random_pose(rng)
    robot = panda.with_base(X_W0)
    shapes = (Box((0.1, 0.15, 0.2)), Sphere(0.07), Cylinder(0.05, 0.2), Capsule(0.04, 0.1))
    X_0O = random_pose(rng)
    X_0O[:3, 3] = np.array([0.5, 0.0, 0.5]) + rng.normal(scale=0.25, size=3)
    velocity = X_W0[:3, :3] @ rng.normal(scale=0.4, size=3)
    one = MovingObstacle(Obstacle("thing", shapes[seed % 4], X_W0 @ X_0O), velocity, 0.0)
    hit = first_encounter(robot, [one], swing, begin=0.0, end=swing.duration)
    when = sampled(robot, one, swing, swing.duration)
    assert (hit is None) == (when is None)
    if hit is not None:
        assert hit.time == pytest.approx(when, abs=0.02)


def random_pose(rng):
    Q, R = np.linalg.qr(rng.normal(size=(3, 3)))
    Q *= np.sign(np.diag(R))
    Q[:, 0] *= np.linalg.det(Q)
    X = np.eye(4)
    X[:3, :3], X[:3, 3] = Q, rng.normal(size=3)
    return X
