"""Motions under constraints through `edmp.plan`, held against a dumb checker."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

import edmp
from edmp.constraints import (
    Constraint,
    InBox,
    JointRange,
    KeepDistance,
    LookAt,
    OnLine,
    OnPlane,
    Oriented,
    Upright,
)
from edmp.geometry.kinds import as_mesh
from edmp.geometry.poses import apply, pose
from edmp.planner import Round
from edmp.planner.posed import configurations_at
from edmp.robots.ik import solve_ik
from edmp.robots.kinematics import tool_pose
from edmp.validate.dense_constraints import dense_breaches

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
    assert dense_breaches(arm, SCENE, constraints, result.path) == []
    assert dense_breaches(arm, SCENE, constraints, result.trajectory.positions) == []
    judge = edmp.Judge(arm, SCENE, constraints=constraints)
    assert judge.check_trajectory(result.trajectory).valid


@pytest.mark.parametrize("robot", ["panda", "ur5"])
def test_upright_over_a_wall(robot):
    start, goal = reach(robot, LEFT), reach(robot, RIGHT)
    spilled = edmp.plan(SCENE, start, goal, robot=robot)
    assert dense_breaches(edmp.load_robot(robot), SCENE, [CARRIED], spilled.path)
    result = edmp.plan(SCENE, start, goal, robot=robot, constraints=[CARRIED])
    check(robot, [CARRIED], result)


def test_on_a_plane_round_a_wall():
    constraint = OnPlane((0.5, 0.0, 0.2))
    result = edmp.plan(SCENE, reach("panda", LEFT), reach("panda", RIGHT), constraints=[constraint])
    check("panda", [constraint], result)


FLAT = np.diag([1.0, -1.0, -1.0])
KINDS = {
    "oriented": [Oriented(FLAT, (0.1, 0.1, np.inf))],
    "box": [InBox((0.3, np.inf, 0.5), edmp.PoseGoal((0.5, 0.0, 0.4), (0, 0, 0, 1)).X_WT)],
    "gaze": [LookAt((0.5, 0.0, -0.1), np.radians(52.0))],
    "upright on a plane": [CARRIED, OnPlane((0.5, 0.0, 0.2), tolerance=0.003)],
    "distance": [KeepDistance("wall", 0.05), CARRIED],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_sums(kind):
    result = edmp.plan(SCENE, reach("panda", LEFT), reach("panda", RIGHT), constraints=KINDS[kind])
    check("panda", KINDS[kind], result)


def test_a_distance_is_kept_from_a_mesh_that_is_not_convex():
    """A doorway on the way: between its posts and under its lintel there is room, in its hull there is none."""
    solids = [edmp.Box((0.06, 0.06, 0.6)), edmp.Box((0.06, 0.06, 0.6)), edmp.Box((0.06, 0.86, 0.06))]
    places = [pose((0.55, 0.4, 0.3)), pose((0.55, -0.4, 0.3)), pose((0.55, 0.0, 0.7))]
    scene = SCENE.without("wall").with_obstacle("doorway", mesh_of(solids, places))
    start, goal = reach("panda", (0.35, 0.2, 0.35)), reach("panda", (0.68, -0.2, 0.3))
    keep = KeepDistance("doorway", 0.05)
    free = edmp.plan(scene, start, goal)
    assert dense_breaches(edmp.load_robot("panda"), scene, [keep], free.path)
    result = edmp.plan(scene, start, goal, constraints=[keep])
    assert result.solved, result.message
    assert result.kept[0].worst >= 0.05
    for q in (result.path, result.trajectory.positions):
        assert dense_breaches(edmp.load_robot("panda"), scene, [keep], q, step=5e-3) == []


def mesh_of(solids, places):
    """One mesh of several solids that stand apart."""
    meshes = [as_mesh(solid) for solid in solids]
    before = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = [apply(X, mesh.vertices) for X, mesh in zip(places, meshes, strict=True)]
    faces = [mesh.faces + count for mesh, count in zip(meshes, before, strict=False)]
    return edmp.Mesh(np.concatenate(vertices), np.concatenate(faces))


def test_along_a_line():
    start, goal = reach("panda", (0.4, 0.35, 0.2)), reach("panda", (0.6, 0.35, 0.3))
    constraints = [OnLine((0.4, 0.35, 0.2), (2.0, 0.0, 1.0), tolerance=0.002), Upright(0.05, axis=(0.0, 0.0, -1.0))]
    check("panda", constraints, edmp.plan(SCENE, start, goal, constraints=constraints))


def test_a_goal_at_a_pose_keeps_the_range_of_a_joint():
    arm, start = edmp.load_robot("panda"), reach("panda", LEFT)
    goal = edmp.PoseGoal(RIGHT, DOWN)
    free = edmp.plan(SCENE, start, goal)
    joint = arm.joint_names[2]
    here = float(free.path[-1, 2])
    # Away from where it would have ended.
    lower, upper = (here + 0.3, 2.8) if start[2] > here else (-2.8, here - 0.3)
    lower, upper = min(lower, start[2] - 0.1), max(upper, start[2] + 0.1)
    constraint = JointRange(joint, lower, upper)
    result = edmp.plan(SCENE, start, goal, constraints=[constraint, CARRIED])
    check("panda", [constraint, CARRIED], result)
    X_WT = tool_pose(arm, torch.as_tensor(result.path[-1])).numpy()
    np.testing.assert_allclose(X_WT, goal.X_WT, atol=1e-3)


def test_one_seed_gives_one_motion_whatever_else_is_asked_for():
    start, goal = reach("panda", LEFT), reach("panda", RIGHT)
    first = edmp.plan(SCENE, start, goal, constraints=[CARRIED], seed=3)
    again = edmp.plan(SCENE, start, goal, constraints=[CARRIED], seed=3)
    np.testing.assert_array_equal(first.path, again.path)


def test_without_search_from_an_earlier_plan_with_costs_and_alternatives():
    start, goal = reach("panda", LEFT), reach("panda", RIGHT)
    without = edmp.plan(SCENE, start, goal, constraints=[CARRIED], fallback=False)
    check("panda", [CARRIED], without)
    assert without.stats.stage.value in ("sample", "repair")
    warm = edmp.Planner().plan(SCENE, start + 0.005, goal, constraints=[CARRIED], warm=without.path)
    check("panda", [CARRIED], warm)
    costly = edmp.plan(SCENE, start, goal, constraints=[CARRIED], costs=["joint_limits"])
    check("panda", [CARRIED], costly)
    assert set(costly.terms) == {"joint_limits"}
    settings = edmp.PlannerSettings(num_alternatives=2)
    several = edmp.Planner(settings=settings).plan(SCENE, start, goal, constraints=[CARRIED])
    for one in (several.best, *several.alternatives):
        assert dense_breaches(edmp.load_robot("panda"), SCENE, [CARRIED], one.path) == []


def test_search_where_splines_find_nothing():
    """A first look that is no help: what finds the way is the search on the constraint manifold."""
    start, goal = reach("panda", LEFT), reach("panda", RIGHT)
    settings = edmp.PlannerSettings(first_look=Round(num_seeds=1, repair_iterations=0, near=1.0))
    result = edmp.Planner(settings=settings).plan(SCENE, start, goal, constraints=[OnPlane((0.5, 0.0, 0.2))])
    check("panda", [OnPlane((0.5, 0.0, 0.2))], result)
    assert result.stats.stage.value == "fallback"


def test_what_cannot_be_is_a_value_with_a_reason():
    start, goal = reach("panda", LEFT), reach("panda", RIGHT)
    tight = [OnLine(LEFT, (0.0, 1.0, 0.0), tolerance=0.01)]
    across = SCENE.without("wall").with_obstacle("wall", edmp.Box((0.6, 0.04, 0.3)), (0.6, 0.0, 0.15))
    result = edmp.plan(across, start, goal, constraints=tight, time_budget=3.0)
    assert result.status in (edmp.Status.TIMEOUT, edmp.Status.NO_PATH_FOUND)
    assert "wall" in result.message or "line" in result.message


def test_a_goal_at_a_pose_whose_configurations_near_the_start_all_collide():
    """In the cage the elbow is in a bar wherever it is near the start: others of the self-motion are free."""
    problem = edmp.load_problem(Path(__file__).parent / "upright_in_cage.yaml")
    robot, constraints = problem.robot, problem.constraints
    judge = edmp.Judge(robot, problem.scene, constraints=constraints)
    found = configurations_at(robot, problem.goal.X_WT, constraints, near=problem.start, seed=0)
    clear = judge.clear(found)
    assert not clear[:3].any()
    assert clear.any()
    result = edmp.plan(
        problem.scene, problem.start, problem.goal, robot=robot, constraints=constraints, time_budget=60.0
    )
    assert result.solved, result.message
    assert judge.check_path(result.path).valid
