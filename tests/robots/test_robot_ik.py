"""Inverse kinematics: reaches what can be reached, says how near it came otherwise."""

import numpy as np
import pytest
import torch
from robot_cases import random_configurations

from edmp.errors import InvalidInputError
from edmp.geometry.poses import pose
from edmp.robots import load_robot, solve_ik, tool_pose


@pytest.mark.parametrize(("name", "count"), [("panda", 100), ("ur5", 30)])
def test_reaches_poses_of_random_configurations(name, count):
    robot = load_robot(name)
    q = random_configurations(robot, count, seed=1)
    goals = tool_pose(robot, torch.as_tensor(q)).numpy()
    results = [solve_ik(robot, X_WT) for X_WT in goals]
    assert sum(result.reachable for result in results) >= 0.99 * count
    for X_WT, result in zip(goals, results, strict=True):
        assert (result.q >= robot.limits.lower).all()
        assert (result.q <= robot.limits.upper).all()
        X = tool_pose(robot, torch.as_tensor(result.q)).numpy()
        assert np.linalg.norm(X[:, :3, 3] - X_WT[:3, 3], axis=1).max(initial=0) <= 1e-4
        assert np.abs(X[:, :3, :3] - X_WT[:3, :3]).max(initial=0) <= 1e-3


def test_solutions_differ_and_the_nearest_comes_first(panda):
    q = random_configurations(panda, 1, seed=5)[0]
    X_WT = tool_pose(panda, torch.as_tensor(q)).numpy()
    result = solve_ik(panda, X_WT, near=q)
    assert len(result.q) > 3
    np.testing.assert_allclose(result.q[0], q, atol=1e-6)
    distance = np.linalg.norm(result.q - q, axis=1)
    assert (np.diff(distance) >= 0).all()
    apart = np.abs(result.q[:, None] - result.q[None]).max(axis=2) + np.eye(len(result.q))
    assert apart.min() > 0.1


def test_same_seed_same_answer(panda):
    X_WT = tool_pose(panda, torch.as_tensor(panda.home)).numpy()
    first, second = solve_ik(panda, X_WT, seed=3), solve_ik(panda, X_WT, seed=3)
    np.testing.assert_array_equal(first.q, second.q)


def test_base_and_tool_are_respected(panda):
    robot = panda.with_base(pose([0.5, 0.1, 0.9])).with_tool("panda_hand")
    X_WT = tool_pose(robot, torch.as_tensor(panda.home)).numpy()
    result = solve_ik(robot, X_WT)
    np.testing.assert_allclose(tool_pose(robot, torch.as_tensor(result.q[0])).numpy(), X_WT, atol=1e-3)


def test_out_of_reach_says_how_near_it_came(panda):
    X_WT = tool_pose(panda, torch.as_tensor(panda.home)).numpy()
    X_WT[:3, 3] = [2.0, 0.0, 0.5]
    result = solve_ik(panda, X_WT)
    assert not result.reachable
    assert result.q.shape == (0, 7)
    assert " mm and " in result.message
    assert "panda_hand_tcp" in result.message


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), np.eye(3), 2 * np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0])])
def test_bad_poses_are_refused(panda, bad):
    with pytest.raises(InvalidInputError, match="X_WT"):
        solve_ik(panda, bad)
