"""CHOMP: its update, its limits, its Monte Carlo, and problems it solves or gives up for a stated reason."""

from __future__ import annotations

import time

import numpy as np
import pytest
from waypoint_cases import GOAL, START, behind_a_wall, over_the_box, task

from edmp.baselines import Task
from edmp.baselines.chomp import Chomp, ChompSettings, project_on_limits
from edmp.baselines.waypoints import SmoothnessMetric, straight_line
from edmp.errors import InvalidInputError
from edmp.problem import load_example
from edmp.result import Status
from edmp.robots import load_robot
from edmp.scenes import Scene
from edmp.validate import Judge


def bent(metric: SmoothnessMetric, size: float) -> np.ndarray:
    line = straight_line(np.zeros(3), np.array([1.0, -1.0, 0.0]), metric.num_interior)
    t = np.linspace(0, 1, len(line))[:, None]
    return line + size * np.sin(np.pi * t) * [1.0, -1.0, 0.2]


@pytest.mark.parametrize("derivative", [1, 2, 3])
def test_limits_are_kept_smoothly(derivative: int) -> None:
    metric, lower, upper = SmoothnessMetric(40, derivative), np.full(3, -1.2), np.full(3, 1.2)
    q = bent(metric, 0.8)
    assert q.max() > 1.25
    inside = project_on_limits(q, lower, upper, metric)
    assert (inside <= upper).all()
    assert (inside >= lower).all()
    np.testing.assert_array_equal(inside[[0, -1]], q[[0, -1]])
    np.testing.assert_array_equal(inside[:, 2], q[:, 2])  # a joint within its limits is left alone
    clipped = np.concatenate([q[:1], q[1:-1].clip(lower, upper), q[-1:]])
    assert np.abs(np.diff(inside, n=2, axis=0)).max() < np.abs(np.diff(clipped, n=2, axis=0)).max()


def test_limits_leave_what_is_inside() -> None:
    metric = SmoothnessMetric(10, 1)
    q = bent(metric, 0.1)
    np.testing.assert_array_equal(project_on_limits(q, np.full(3, -2.0), np.full(3, 2.0), metric), q)


def test_without_obstacles_descent_goes_to_the_smoothest() -> None:
    robot = load_robot("panda")
    free = Task(robot, Scene.of({}), START, GOAL[None], 0)
    chomp = Chomp(ChompSettings(smoothness=0.5, min_iterations=60, extra_iterations=0))
    line = straight_line(START, GOAL, 50)
    t = np.linspace(0, 1, 52)[:, None]
    run = chomp._run(free, line + 0.1 * np.sin(np.pi * t), None, time.perf_counter() + 30)
    assert run.free is not None
    np.testing.assert_allclose(run.free, line, atol=1e-6)


def test_cold_monte_carlo_begins_like_descent() -> None:
    """From rest, one leapfrog step is one step of descent."""
    problem = task(over_the_box())
    chomp = Chomp(ChompSettings(max_iterations=1, hmc_temperature=0.0))
    line, forever = straight_line(START, GOAL, 50), np.inf
    down = chomp._run(problem, line, None, forever).last
    leap = chomp._run(problem, line, np.random.default_rng(0), forever).last
    assert np.abs(down - line).max() > 1e-4
    np.testing.assert_allclose(leap, down, atol=1e-12)


@pytest.mark.parametrize("hmc_first", [False, True])
def test_solves_a_box_in_the_way_and_the_judge_agrees(hmc_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = over_the_box()
    chomp = Chomp(ChompSettings(hmc_runs=3, time_budget=60.0))
    if hmc_first:
        run = chomp._run
        monkeypatch.setattr(chomp, "_run", lambda task, q, rng, end: run(task, q, np.random.default_rng(1), end))
    judge = Judge(problem.robot, problem.scene)
    assert not judge.check_path(np.stack([START, GOAL])).valid
    claim = chomp.plan(problem, 0)
    assert claim.status is Status.SOLVED
    assert claim.path is not None
    verdict = judge.check_path(claim.path, start=START, goal=GOAL)
    assert verdict.valid, verdict.message()


def test_solves_the_shipped_table_the_same_way_twice() -> None:
    problem = load_example("table")
    first, second = (Chomp(ChompSettings(time_budget=60.0)).plan(problem, 3) for _ in range(2))
    assert first.path is not None
    np.testing.assert_array_equal(first.path, second.path)
    assert Judge(problem.robot, problem.scene).check_path(first.path, start=problem.start, goal=problem.goal).valid


def test_gives_up_with_a_cause() -> None:
    claim = Chomp(ChompSettings(max_iterations=30, hmc_runs=2, time_budget=60.0)).plan(behind_a_wall(), 0)
    assert claim.status is Status.NO_PATH_FOUND
    assert claim.path is None
    assert "90 iterations in 3 runs" in claim.message
    assert 'inside "wall' in claim.message


def test_gives_up_in_time() -> None:
    settings = ChompSettings(max_iterations=10**6, time_budget=0.2)
    claim = Chomp(settings).search(task(behind_a_wall()))
    assert claim.status is Status.TIMEOUT
    assert 'inside "wall' in claim.message


def test_takes_another_goal_when_the_nearest_cannot_be_reached() -> None:
    problem = behind_a_wall()
    reachable = START + np.array([0.0, 0.0, 0.0, -0.2, 0.0, 0.1, 2.0])
    assert np.linalg.norm(reachable - START) > np.linalg.norm(START - GOAL)
    goals = np.stack([reachable, GOAL])
    claim = Chomp(ChompSettings(max_iterations=40)).search(Task(problem.robot, problem.scene, START, goals, 0))
    assert claim.path is not None
    np.testing.assert_array_equal(claim.path[-1], reachable)


@pytest.mark.parametrize("wrong", [{"derivative": 4}, {"eta": 0.0}, {"hmc_cooling": 1.5}, {"num_waypoints": 2}])
def test_settings_refuse_nonsense(wrong: dict) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        ChompSettings(**wrong)
