"""Motions under constraints through `edmp.plan`, held against a dumb checker."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import edmp
from edmp.constraints import Constraint, OnPlane, Upright
from edmp.robots.ik import solve_ik
from tests.dumb_constraints import worst_violation

DOWN = (1.0, 0.0, 0.0, 0.0)
"""Quaternion of a tool that points down."""
SCENE = edmp.Scene.of(
    {
        "table": (edmp.Box((1.0, 1.6, 0.04)), (0.6, 0.0, -0.03)),
        "wall": (edmp.Box((0.3, 0.04, 0.3)), (0.65, 0.0, 0.15)),
    }
)
LEFT, RIGHT = (0.5, 0.35, 0.2), (0.5, -0.35, 0.2)
CARRIED = Upright(np.radians(8.0), axis=(0.0, 0.0, -1.0))


@functools.cache
def reach(robot: str, place: tuple[float, float, float]) -> np.ndarray:
    arm = edmp.load_robot(robot)
    judge = edmp.Judge(arm, SCENE)
    found = solve_ik(arm, edmp.PoseGoal(place, DOWN).X_WT, num_seeds=100, enough=1.0)  # all that there are
    return next(q for q in found.q if judge.check(q).valid)


def check(robot: str, constraints: list[Constraint], result: edmp.PlanResult) -> None:
    """Both the path and the timed motion keep to the constraints, and to what the judge says."""
    assert result.solved, result.message
    arm = edmp.load_robot(robot)
    assert worst_violation(arm, constraints, result.path) <= 0.0
    assert worst_violation(arm, constraints, result.trajectory.positions) <= 0.0
    judge = edmp.Judge(arm, SCENE, constraints=constraints)
    assert judge.check_trajectory(result.trajectory).valid


@pytest.mark.parametrize("robot", ["panda", "ur5"])
def test_upright_over_a_wall(robot):
    start, goal = reach(robot, LEFT), reach(robot, RIGHT)
    assert worst_violation(edmp.load_robot(robot), [CARRIED], edmp.plan(SCENE, start, goal, robot=robot).path) > 0.0
    result = edmp.plan(SCENE, start, goal, robot=robot, constraints=[CARRIED])
    check(robot, [CARRIED], result)


def test_on_a_plane_round_a_wall():
    constraint = OnPlane((0.5, 0.0, 0.2))
    result = edmp.plan(SCENE, reach("panda", LEFT), reach("panda", RIGHT), constraints=[constraint])
    check("panda", [constraint], result)
