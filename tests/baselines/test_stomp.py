"""STOMP: its noise, its weights, its smoothing, and problems it solves or gives up for a stated reason."""

from __future__ import annotations

import numpy as np
import pytest
from waypoint_cases import GOAL, START, behind_a_wall, over_the_box, task

from edmp.baselines.stomp import Stomp, StompSettings, noise_factor, probabilities, smoothing_matrix
from edmp.baselines.waypoints import SmoothnessMetric
from edmp.errors import InvalidInputError
from edmp.problem import load_example
from edmp.result import Status
from edmp.validate import Judge

METRIC = SmoothnessMetric(30, 2)


def test_noise_has_the_covariance_that_was_promised() -> None:
    L = noise_factor(METRIC, 0.2)
    covariance = L @ L.T
    assert np.sqrt(covariance.diagonal().max()) == pytest.approx(0.2)
    # proportional to R^-1: whitened by R it is a multiple of the identity
    white = METRIC.A @ covariance
    np.testing.assert_allclose(white, white[0, 0] * np.eye(30), atol=1e-6 * white[0, 0])
    samples = L @ np.random.default_rng(0).standard_normal((30, 20000))
    np.testing.assert_allclose(np.cov(samples), covariance, atol=0.002)


def test_noise_leaves_and_arrives_at_rest() -> None:
    """Small next to the fixed ends, in position and in velocity, and largest in the middle."""
    deviation = np.sqrt(np.square(noise_factor(METRIC, 1.0)).sum(axis=1))
    assert deviation.argmax() in (14, 15)
    assert deviation[0] < 0.1
    assert deviation[0] / deviation[1] < 0.5  # with a velocity it would be more
    np.testing.assert_allclose(deviation, deviation[::-1], rtol=1e-6)


def test_smoothing_matrix_is_scaled_as_published() -> None:
    M = smoothing_matrix(METRIC)
    np.testing.assert_allclose(M.max(axis=0), 1 / 30)
    ratio = M / METRIC.A_inverse
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape))  # columns, not rows


def test_probabilities_favour_the_cheap_step_by_step() -> None:
    cost = np.array([[0.0, 3.0, 5.0], [1.0, 3.0, 1.0], [2.0, 3.0, 3.0]])
    P = probabilities(cost, 10.0)
    np.testing.assert_allclose(P.sum(axis=0), 1.0)
    np.testing.assert_allclose(P[:, 1], 1 / 3)
    np.testing.assert_allclose(P[1, 0] / P[0, 0], np.exp(-5))
    assert P[:, 2].argmax() == 1


def test_rollouts_keep_ends_and_limits() -> None:
    problem = task(over_the_box())
    stomp = Stomp(StompSettings(noise=3.0))
    theta = np.linspace(START, GOAL, 52)
    rollouts = stomp._rollouts(problem, theta, np.random.default_rng(0))
    assert rollouts.shape == (stomp.settings.num_rollouts, 52, 7)
    np.testing.assert_array_equal(rollouts[:, [0, -1]], np.broadcast_to(theta[[0, -1]], (len(rollouts), 2, 7)))
    limits = problem.robot.limits
    assert (rollouts >= limits.lower).all()
    assert (rollouts <= limits.upper).all()
    assert (rollouts == limits.upper).any()


def test_solves_a_box_in_the_way_and_the_judge_agrees() -> None:
    problem = over_the_box()
    claim = Stomp(StompSettings(time_budget=60.0)).plan(problem, 0)
    assert claim.status is Status.SOLVED
    assert claim.path is not None
    verdict = Judge(problem.robot, problem.scene).check_path(claim.path, start=START, goal=GOAL)
    assert verdict.valid, verdict.message()


def test_solves_the_shipped_table_the_same_way_twice() -> None:
    problem = load_example("table")
    first, second = (Stomp(StompSettings(time_budget=60.0)).plan(problem, 3) for _ in range(2))
    assert first.path is not None
    np.testing.assert_array_equal(first.path, second.path)
    assert Judge(problem.robot, problem.scene).check_path(first.path, start=problem.start, goal=problem.goal).valid


def test_gives_up_with_a_cause() -> None:
    claim = Stomp(StompSettings(max_iterations=20, time_budget=60.0)).plan(behind_a_wall(), 0)
    assert claim.status is Status.NO_PATH_FOUND
    assert claim.path is None
    assert "20 iterations in 1 run;" in claim.message
    assert 'inside "wall' in claim.message


def test_gives_up_in_time() -> None:
    claim = Stomp(StompSettings(max_iterations=10**6, time_budget=0.2)).search(task(behind_a_wall()))
    assert claim.status is Status.TIMEOUT
    assert 'inside "wall' in claim.message


@pytest.mark.parametrize("wrong", [{"num_rollouts": 1}, {"noise": 0.0}, {"sensitivity": -1.0}, {"num_reused": 0.5}])
def test_settings_refuse_nonsense(wrong: dict) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        StompSettings(**wrong)
