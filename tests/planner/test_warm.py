"""Replanning from an earlier plan."""

import dataclasses

import numpy as np
import pytest

import edmp
from edmp.errors import InvalidInputError
from edmp.planner import WARM_START, Planner, PlannerSettings
from edmp.result import Status
from edmp.scenes import Box, Scene
from edmp.scenes.scene import Obstacle
from edmp.validate import Judge


@pytest.fixture(scope="module")
def problem():
    return edmp.load_example("table")


@pytest.fixture(scope="module")
def planner(problem):
    return Planner(problem.robot)


@pytest.fixture(scope="module")
def path(planner, problem):
    return planner.plan(problem.scene, problem.start, problem.goal).path


def test_a_plan_that_still_holds_is_kept_and_judged_anew(planner, problem, path):
    again = planner.plan(problem.scene, path[20], problem.goal, warm=path[20:])
    assert again.solved
    assert again.stats.num_seeds == planner.settings.warm.num_seeds, "no plan from scratch was needed"
    assert Judge(problem.robot, problem.scene).check_path(again.path, start=path[20], goal=path[-1]).valid


def test_an_obstacle_on_the_path_is_gone_round(planner, problem, path):
    from edmp.viz.surfaces import tool_positions

    middle = tool_positions(problem.robot, path)[len(path) // 2]
    scene = Scene((*problem.scene.obstacles, Obstacle.at("new", Box((0.06, 0.06, 0.06)), middle)))
    assert not Judge(problem.robot, scene).check_path(path).valid
    found = planner.plan(scene, path[0], problem.goal, warm=path)
    assert found.solved, found.message
    assert Judge(problem.robot, scene).check_path(found.path, start=path[0], goal=path[-1]).valid


def test_a_useless_warm_start_ends_in_a_plan_from_scratch(problem, path):
    settings = PlannerSettings(
        warm=dataclasses.replace(WARM_START, num_seeds=1, sigma=0.02, repair_iterations=0, polish_iterations=0)
    )
    planner = Planner(problem.robot, settings=settings)
    low, high = problem.robot.limits.lower, problem.robot.limits.upper
    wild = np.linspace(low + 0.01, high - 0.01, 20)
    found = planner.plan(problem.scene, problem.start, problem.goal, warm=wild)
    assert found.solved
    assert found.stats.num_seeds > 1


def test_the_way_back_may_be_a_view_of_the_way_there(planner, problem, path):
    goal = path[0]
    back = planner.plan(problem.scene, path[-1], goal, warm=path[::-1])
    assert back.solved
    assert Judge(problem.robot, problem.scene).check_path(back.path, start=path[-1], goal=goal).valid
    np.testing.assert_array_equal(back.path, back.trajectory.positions)


def test_what_is_wrong_with_start_or_goal_is_said_with_a_warm_start_too(planner, problem, path):
    from edmp.viz.surfaces import tool_positions

    hand = tool_positions(problem.robot, path[:1])[0]
    scene = Scene((*problem.scene.obstacles, Obstacle.at("new", Box((0.15, 0.15, 0.15)), hand)))
    assert planner.plan(scene, path[0], path[-1], warm=path).status is Status.START_IN_COLLISION
    assert planner.plan(scene, path[-1], path[0], warm=path[::-1]).status is Status.GOAL_IN_COLLISION
    beyond = path[0] + 10.0
    assert planner.plan(problem.scene, beyond, path[-1], warm=path).status is Status.START_OUT_OF_LIMITS


@pytest.mark.parametrize("bad", [np.zeros(7), np.zeros((1, 7)), np.zeros((5, 6)), np.full((5, 7), np.nan)])
def test_what_is_no_path_is_refused(planner, problem, bad):
    with pytest.raises(InvalidInputError, match="warm must be a path"):
        planner.plan(problem.scene, problem.start, problem.goal, warm=bad)


def test_settings_are_checked():
    with pytest.raises(InvalidInputError, match="num_seeds"):
        dataclasses.replace(WARM_START, num_seeds=0)
    with pytest.raises(InvalidInputError, match="sigma"):
        dataclasses.replace(WARM_START, sigma=0.0)
    with pytest.raises(InvalidInputError, match="warm"):
        PlannerSettings(warm={"num_seeds": 3})
