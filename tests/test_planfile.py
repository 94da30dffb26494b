"""Plan files: what is written is read back."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from plan_cases import every_shape, failed, solved

import edmp
from edmp.planfile import load_plan, save_plan
from edmp.problem import PoseGoal, load_example
from edmp.result import PlanResult, Status
from edmp.scenes import Box


def assert_same(a: PlanResult, b: PlanResult) -> None:
    assert (a.status, a.message, a.stats) == (b.status, b.message, b.stats)
    assert len(a.alternatives) == len(b.alternatives)
    pairs = list(zip(a.alternatives, b.alternatives, strict=True)) + ([(a.best, b.best)] if a.best else [])
    for left, right in pairs:
        np.testing.assert_array_equal(left.path, right.path)
        assert (left.length, left.min_clearance, left.goal_index) == (
            right.length,
            right.min_clearance,
            right.goal_index,
        )
        for name in ("times", "positions", "velocities", "accelerations"):
            np.testing.assert_array_equal(getattr(left.trajectory, name), getattr(right.trajectory, name))
        assert left.trajectory.joint_names == right.trajectory.joint_names


def test_round_trip(tmp_path: Path) -> None:
    problem = dataclasses.replace(load_example("bookshelf"), scene=every_shape())
    save_plan(tmp_path / "plan.json", problem, solved(problem))
    plan = load_plan(tmp_path / "plan.json")
    assert_same(plan.result, solved(problem))
    assert plan.problem.scene == problem.scene
    assert plan.problem.robot.name == problem.robot.name
    assert plan.problem.robot.gripper.width == problem.robot.gripper.width
    np.testing.assert_array_equal(plan.problem.start, problem.start)
    np.testing.assert_array_equal(plan.problem.goal, problem.goal)
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_failure_goals_base_and_infinity(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    X_W0 = np.eye(4)
    X_W0[:3, 3] = (0.1, 0.2, 0.3)
    goals = (problem.goal, PoseGoal(np.array([0.4, 0.1, 0.5]), np.array([1.0, 0, 0, 0])))
    moved = dataclasses.replace(problem, robot=problem.robot.with_base(X_W0), goal=goals)
    save_plan(tmp_path / "failed.json", moved, failed(Status.GOAL_UNREACHABLE))
    plan = load_plan(tmp_path / "failed.json")
    assert plan.result.status is Status.GOAL_UNREACHABLE
    assert plan.result.best is None
    np.testing.assert_array_equal(plan.problem.robot.X_W0, X_W0)
    np.testing.assert_array_equal(plan.problem.goal[1].quaternion, goals[1].quaternion)

    result = solved(problem)
    free = dataclasses.replace(result, best=dataclasses.replace(result.best, min_clearance=math.inf))
    save_plan(tmp_path / "free.json", problem, free)
    assert load_plan(tmp_path / "free.json").result.best.min_clearance == math.inf


def test_a_robot_of_ones_own_is_written_out(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    own = dataclasses.replace(problem.robot, name="mine")
    save_plan(tmp_path / "plan.json", dataclasses.replace(problem, robot=own), solved(problem))
    robot = load_plan(tmp_path / "plan.json").problem.robot
    assert robot.name == "mine"
    assert robot.link_names == own.link_names
    for a, b in zip(robot.links, own.links, strict=True):
        np.testing.assert_allclose(a.spheres_B, b.spheres_B, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda arm: arm.with_attachment("mug", Box((0.04, 0.05, 0.1)), np.eye(4), link="panda_hand"),
        lambda arm: arm.with_tool("panda_link3"),
        lambda arm: dataclasses.replace(arm, limits=dataclasses.replace(arm.limits, velocity=arm.limits.velocity / 2)),
    ],
)
def test_a_changed_robot_comes_back_as_it_was(tmp_path: Path, change) -> None:
    problem = load_example("bookshelf")
    own = change(problem.robot)
    save_plan(tmp_path / "plan.json", dataclasses.replace(problem, robot=own), solved(problem))
    robot = load_plan(tmp_path / "plan.json").problem.robot
    assert robot.tool.name == own.tool.name
    assert robot.link_names == own.link_names
    assert sorted(robot.collision_pairs) == sorted(own.collision_pairs)
    np.testing.assert_allclose(robot.limits.velocity, own.limits.velocity)
    for a, b in zip(robot.links, own.links, strict=True):
        assert a.attached == b.attached
        np.testing.assert_allclose(a.X_BL, b.X_BL, atol=1e-9)
        for ours, theirs in zip(a.hulls_B, b.hulls_B, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)
    if own.link_names[-1] == "mug":
        assert robot.without_attachment("mug").link_names == problem.robot.link_names


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"edmp_plan": 1,\n "name": }', r"bad.json:2: malformed JSON"),
        ("[1, 2]", "not a plan file"),
        ('{"edmp_plan": 99}', "plan format 99; this edmp reads versions 1 and 2"),
        ('{"edmp_plan": 1}', "missing key 'robot'"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(edmp.FileFormatError, match=says):
        load_plan(path)
    with pytest.raises(edmp.FileFormatError, match="no such plan file"):
        load_plan(tmp_path / "none.json")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    with pytest.raises(edmp.InvalidInputError, match="cannot write"):
        save_plan(tmp_path / "no" / "plan.json", problem, solved(problem))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    save_plan(tmp_path / "plan.json", problem, solved(problem))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads((tmp_path / "plan.json").read_text(), parse_constant=refuse)
    assert document["result"]["best"]["length_rad"] > 0


def set_at(document: dict, place: str, value: object) -> None:
    """Put a value under keys joined by dots."""
    *way, last = (int(key) if key.isdigit() else key for key in place.split("."))
    for key in way:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("start", [0.0] * 6, r"start: expected numbers \(7,\), got numbers \(6,\)"),
        ("start.2", 10**400, r"start: expected numbers \(7,\), got something that is no number"),
        ("start.2", 1e300, r"start: expected numbers of magnitude 1e\+06 at most, got 1e\+300"),
        ("goals", [], "goals: expected a list of at least 1, got 0"),
        ("goals.0.configuration", [[0.0], []], "goals.0..configuration: expected .*, got rows of different"),
        ("robot", "panda", "robot: expected an object with keys, got 'panda'"),
        ("robot.name", "pandda", r"robot: unknown robot 'pandda'.*Did you mean 'panda'"),
        ("robot.base", [[1.0] * 4] * 4, r"robot: base pose of panda: X_W0 is not rigid"),
        ("scene.0.size", [1.0, 2.0], r"scene\[0\].size: expected numbers \(3,\), got numbers \(2,\)"),
        ("scene.1.name", "board_bottom", "scene: two obstacles are named 'board_bottom'"),
        ("result.status", "SOLVD", "result.status: expected one of SOLVED, "),
        ("result.status", "TIMEOUT", "result: status TIMEOUT with a best motion"),
        ("result.best", None, "result: status SOLVED without a best motion"),
        ("result.best.goal_index", 1, "result.best.goal_index: expected a whole number from 0 to 0, got 1"),
        ("result.best.path", [], "result.best.path: a motion has one waypoint at least"),
        ("result.best.length_rad", "4", "result.best.length_rad: expected a number, got '4'"),
        (
            "result.best.trajectory.times.3",
            0.0,
            "result.best.trajectory.times: expected two times at",
        ),
        (
            "result.best.trajectory.joint_names.0",
            "j1",
            "trajectory.joint_names: expected those of panda",
        ),
        ("result.message", "\ud800", "result.message: expected text, got half of a surrogate pair"),
    ],
)
def test_a_plan_that_does_not_fit_together_is_refused_with_the_place(
    tmp_path: Path, place: str, value: object, says: str
) -> None:
    problem, path = load_example("bookshelf"), tmp_path / "plan.json"
    save_plan(path, problem, solved(problem))
    document = json.loads(path.read_text())
    set_at(document, place, value)
    path.write_text(json.dumps(document))
    with pytest.raises(edmp.FileFormatError, match=rf"plan\.json: .*{says}"):
        load_plan(path)


def test_things_that_are_hardly_there_can_be_viewed(tmp_path: Path) -> None:
    from edmp.viz.staging import Staging
    from edmp.viz.subject import subject_of
    from edmp.viz.web_scene import scene_document

    problem = load_example("bookshelf")
    tiny = problem.scene.with_obstacle("mote", Box((1e-18, 1e-12, 1e-18)), (0.5, 0, 0.5))
    save_plan(tmp_path / "plan.json", dataclasses.replace(problem, scene=tiny), solved(problem))
    assert "mote" in json.dumps(scene_document(Staging(subject_of(tmp_path / "plan.json"), "hulls")))
