"""Starts and goals in every form a caller may have them in; anything else is refused with what was expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edmp
from edmp.errors import InvalidInputError
from edmp.geometry.poses import quaternion_of
from edmp.planner.goals import Query, resolve
from edmp.problem import PoseGoal
from edmp.robots import load_robot, solve_ik, tool_pose
from edmp.robots.configuration import configuration
from edmp.robots.ik import reaches
from edmp.robots.kinematics import body_poses
from edmp.scenes import Scene, Sphere
from edmp.validate import Judge

HOME = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
ASIDE = [1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5]
ROBOT = load_robot("panda")
X_WT = tool_pose(ROBOT, torch.tensor([HOME], dtype=torch.float64))[0].numpy()
POSE = PoseGoal(X_WT[:3, 3], quaternion_of(X_WT))


@pytest.fixture(scope="module")
def judge():
    return Judge(ROBOT, Scene())


@pytest.mark.parametrize(
    "goal",
    [
        ASIDE,
        tuple(ASIDE),
        np.array(ASIDE),
        np.array(ASIDE, dtype=np.float32),
        [np.float32(x) for x in ASIDE],
        [np.array(x) for x in ASIDE],
        torch.tensor(ASIDE),
        torch.tensor(ASIDE, requires_grad=True),
        torch.tensor([ASIDE]),
        [torch.tensor(ASIDE, requires_grad=True)],
        [ASIDE],
        np.array([ASIDE]),
    ],
)
def test_one_configuration_in_any_form(judge, goal):
    query = resolve(ROBOT, judge, torch.tensor(HOME), goal, seed=0)
    assert isinstance(query, Query)
    np.testing.assert_allclose(query.goals, [ASIDE], atol=1e-6)
    assert query.goal_index == (0,)


@pytest.mark.parametrize(
    ("goal", "index"),
    [
        ([HOME, ASIDE], (0, 1)),
        ((np.array(HOME), torch.tensor(ASIDE), HOME), (0, 1, 2)),
        (torch.tensor([HOME, ASIDE]), (0, 1)),
        (np.array([HOME, ASIDE]), (0, 1)),
    ],
)
def test_several_configurations(judge, goal, index):
    query = resolve(ROBOT, judge, HOME, goal, seed=0)
    assert isinstance(query, Query)
    assert query.goal_index == index


def test_configurations_and_poses_mix(judge):
    query = resolve(ROBOT, judge, HOME, [torch.tensor(ASIDE), POSE, HOME], seed=0)
    assert isinstance(query, Query)
    assert query.goal_index[0] == 0
    assert query.goal_index[-1] == 2
    assert set(query.goal_index) == {0, 1, 2}


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        (None, "goal must be 7 joint values of panda, a PoseGoal, or a list of either, got None"),
        (1.0, "a PoseGoal, or a list of either, got 1.0"),
        (np.array(1.0), "a PoseGoal, or a list of either"),
        (torch.tensor(1.0), "a PoseGoal, or a list of either"),
        ("home", "a PoseGoal, or a list of either, got 'home'"),
        ({"panda_joint1": 0.0}, "goal: no value for joint panda_joint2, .* panda_joint7 of panda"),
        (["a"] * 7, "a PoseGoal, or a list of either"),
        (np.zeros((1, 1, 7)), "a PoseGoal, or a list of either"),
        ([], "no goal given"),
        (np.zeros((0, 7)), "no goal given"),
        (torch.zeros(0), "no goal given"),
        ([0.0] * 6, r"goal must have shape \(7,\) for panda, got \(6,\)"),
        ([HOME, HOME[:6]], r"goal 1 must have shape \(7,\) for panda, got \(6,\)"),
        ([HOME, None], "goal 1 must be 7 joint values of panda, got None"),
        ([POSE, 1.0], "goal 1 must be 7 joint values of panda, got 1.0"),
        ([POSE, [np.nan] * 7], "goal 1 is not finite: panda_joint1 = nan"),
        (np.full((2, 7), np.inf), "goal 0 is not finite"),
    ],
)
def test_anything_else_is_refused(judge, goal, says):
    with pytest.raises(InvalidInputError, match=says):
        resolve(ROBOT, judge, HOME, goal, seed=0)


def test_a_malformed_goal_is_told_even_if_the_start_is_bad(judge):
    with pytest.raises(InvalidInputError, match="no goal given"):
        resolve(ROBOT, judge, np.full(7, 100.0), [], seed=0)


@pytest.mark.parametrize("start", [None, 1.0, np.array(1.0), "home", [HOME], []])
def test_a_start_is_one_configuration(start):
    with pytest.raises(InvalidInputError, match="start must"):
        configuration(ROBOT, start, "start")


def elbow(q: np.ndarray) -> np.ndarray:
    return body_poses(ROBOT, torch.as_tensor(q)[None])[0, 4, :3, 3].numpy()


def test_a_pose_is_reached_the_one_way_that_is_free():
    """Balls in the elbow of every configuration that a few seeds find: others that put the tool there are free."""
    few = solve_ik(ROBOT, X_WT, near=np.array(ASIDE), num_near=8, generator=torch.Generator().manual_seed(0)).q
    scene = Scene.of({f"ball{i}": (Sphere(0.02), elbow(q)) for i, q in enumerate(few)})
    assert not Judge(ROBOT, scene).clear(few).any()
    result = edmp.plan(scene, ASIDE, POSE, robot=ROBOT, seed=0)
    assert result.solved, result.message
    assert reaches(ROBOT, result.path[-1], X_WT)


def test_a_pose_that_nothing_leaves_free_is_refused_with_how_many_were_tried():
    scene = Scene.of({"ball": (Sphere(0.05), X_WT[:3, 3] - 0.1 * X_WT[:3, 2])})
    result = edmp.plan(scene, ASIDE, POSE, robot=ROBOT, seed=0)
    assert result.status is edmp.Status.GOAL_IN_COLLISION
    tried = int(result.message.split("all ")[1].split()[0])
    assert tried > 40, result.message
