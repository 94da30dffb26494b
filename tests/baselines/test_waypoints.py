"""The smoothness metric against differences and against what is known of it; what a path collides with, in words."""

from __future__ import annotations

import numpy as np
import pytest
from waypoint_cases import GOAL, START, over_the_box, task

from edmp.baselines.waypoints import SmoothnessMetric, path_free, straight_line, worst_contact


@pytest.mark.parametrize("order", [1, 2, 3])
def test_smoothness_gradient_meets_differences(order: int) -> None:
    rng = np.random.default_rng(order)
    metric, q = SmoothnessMetric(12, order), rng.normal(size=(14, 3))
    gradient = metric.gradient(q)
    for _ in range(5):
        direction = np.pad(rng.normal(size=(12, 3)), ((1, 1), (0, 0)))
        h = 1e-4
        expected = (metric.cost(q + h * direction) - metric.cost(q - h * direction)) / (2 * h)
        assert (gradient * direction[1:-1]).sum() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_metric_is_the_hessian(order: int) -> None:
    rng = np.random.default_rng(order)
    metric, q = SmoothnessMetric(9, order), rng.normal(size=(11, 2))
    move = rng.normal(size=(9, 2))
    moved = q + np.pad(move, ((1, 1), (0, 0)))
    np.testing.assert_allclose(metric.gradient(moved) - metric.gradient(q), metric.A @ move, rtol=1e-6, atol=1e-6)


def test_velocities_cost_what_the_formula_says() -> None:
    """A straight line of length 2 in one unit of time: 1/2 of the squared velocity. It is the minimum."""
    metric = SmoothnessMetric(20, 1)
    q = straight_line(np.zeros(1), np.array([2.0]), 20)
    assert metric.cost(q) == pytest.approx(2.0)
    np.testing.assert_allclose(metric.gradient(q), 0.0, atol=1e-9)
    t = np.linspace(0, 1, 22)[1:-1]
    np.testing.assert_allclose(metric.A_inverse, np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t)), atol=1e-12)


def test_acceleration_matrix_is_that_of_stomp() -> None:
    K = SmoothnessMetric(4, 2).differences[:, 1:-1] / 25
    expected = [[1, 0, 0, 0], [-2, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -2], [0, 0, 0, 1]]
    np.testing.assert_allclose(K, expected)


def test_what_is_in_the_way_has_a_name() -> None:
    problem = task(over_the_box())
    line = straight_line(START, GOAL, 20)
    assert not path_free(problem.world, line)
    message = worst_contact(problem, line)
    assert message.startswith("panda_")
    assert message.endswith('inside "box"')


def test_links_in_each_other_have_names() -> None:
    """Folded together, the hand goes into the arm."""
    problem = task(over_the_box())
    folded = START.copy()
    folded[[3, 5]] = problem.robot.limits.lower[3], problem.robot.limits.lower[5]
    message = worst_contact(problem, straight_line(START, folded, 20))
    assert "overlap by" in message
