"""Constraints through the front door: what is refused before planning, and what it says."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import edmp

PROBLEM = edmp.load_example("bookshelf")


def test_a_problem_keeps_its_constraints() -> None:
    wanted = (edmp.Upright(0.1), edmp.JointRange("panda_joint1", -1.0, 1.0))
    assert dataclasses.replace(PROBLEM, constraints=wanted).constraints == wanted
    assert PROBLEM.constraints == ()


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (edmp.Upright(0.1, frame="no_such"), "unknown tool frame 'no_such'; valid: .*panda_hand"),
        (edmp.JointRange("no_such", 0, 1), "unknown joint 'no_such'; valid: panda_joint1, panda_joint2"),
        (edmp.KeepDistance("no_such", 0.1), "unknown obstacle to keep a distance from: 'no_such'; valid: atlas, back"),
    ],
)
def test_names_that_there_are_not(constraint: edmp.Constraint, message: str) -> None:
    asked = PROBLEM.scene, PROBLEM.start, PROBLEM.goal
    with pytest.raises(edmp.UnknownNameError, match=message):
        edmp.plan(*asked, robot=PROBLEM.robot, constraints=[constraint])
    with pytest.raises(edmp.UnknownNameError, match=message):
        edmp.Judge(PROBLEM.robot, PROBLEM.scene, constraints=[constraint])
    with pytest.raises(edmp.UnknownNameError, match=message):
        dataclasses.replace(PROBLEM, constraints=(constraint,))


def test_what_is_no_constraint() -> None:
    with pytest.raises(edmp.InvalidInputError, match=r"constraints must be a list, each entry a Constraint, got \[0"):
        edmp.plan(PROBLEM.scene, PROBLEM.start, PROBLEM.goal, constraints=[0.1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: edmp.Upright(-0.1), "Upright tolerance must be above 0 and at most 3.14"),
        (lambda: edmp.Upright(0.1, axis=(0, 0, 0)), "Upright axis must have a direction"),
        (lambda: edmp.JointRange("panda_joint1", 1.0, 1.0), "lower 1 must be below upper 1"),
        (lambda: edmp.InBox((1, -1, 1), np.eye(4)), "InBox size must be three positive numbers"),
        (lambda: edmp.Oriented(2 * np.eye(3), (1, 1, 1)), "Oriented rotation"),
        (lambda: edmp.OnPlane((0, 0, np.nan)), "OnPlane point"),
    ],
)
def test_numbers_that_make_no_sense(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(edmp.InvalidInputError, match=message):
        make()


START = np.array([0, -0.785, 0, -2.356, 0, 1.571, 0.785])
"""The tool points straight down."""
DOWN = (0.0, 0.0, -1.0)


def test_a_start_that_breaks_a_constraint_is_told_before_planning() -> None:
    tilted = START + np.array([0, 0, 0, 0, 0, 0.2112, 0])
    result = edmp.plan(edmp.Scene(), tilted, START, constraints=[edmp.Upright(0.1, up=DOWN)])
    assert result.status is edmp.Status.START_BREAKS_CONSTRAINT
    assert result.message == "start: tool upright within 5.73 deg: it is 12.1 deg off, 6.37 deg too much"


def test_a_goal_that_breaks_a_constraint_is_told_and_others_count() -> None:
    tilted = START + np.array([0.1, 0, 0, 0, 0, 0.2112, 0])
    wanted = [edmp.Upright(0.1, up=DOWN)]
    result = edmp.plan(edmp.Scene(), START, tilted, constraints=wanted)
    assert result.status is edmp.Status.GOAL_BREAKS_CONSTRAINT
    assert result.message.startswith("goal: tool upright within 5.73 deg: it is 12.1 deg off, 6.37 deg too much")
    turned = START + np.array([0.1, 0, 0, 0, 0, 0, 0])
    result = edmp.plan(edmp.Scene(), START, [tilted, turned], constraints=wanted)
    assert result.solved
    assert result.best is not None
    assert result.best.goal_index == 1


def test_a_pose_goal_all_of_whose_configurations_break_a_constraint() -> None:
    pose = edmp.PoseGoal((0.4, 0.3, 0.4), (1, 0, 0, 0))
    wanted = [edmp.JointRange("panda_joint4", -0.5, -0.1), edmp.JointRange("panda_joint4", -3.0, -0.4)]
    start = START.copy()
    start[3] = -0.45
    result = edmp.plan(edmp.Scene(), start, pose, constraints=wanted)
    assert result.status is edmp.Status.GOAL_BREAKS_CONSTRAINT
    assert "configurations found for the pose break a constraint; the best: panda_joint4 in" in result.message


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (edmp.JointRange("panda_joint1", 0.1, 0.5), "start: panda_joint1 in 0.1 to 0.5: it is 5.73 deg outside"),
        (
            edmp.OnPlane((0, 0, 0.5), tolerance=0.01),
            "start: tool on a plane within 10 mm: it is .* mm off, .* too much",
        ),
        (edmp.InBox((2, 2, 0.1), np.eye(4)), "start: tool in a box of 2 x 2 x 0.1 m: it is .* mm outside"),
        (edmp.KeepDistance("wall", 0.5), "start: 0.5 m from wall: panda_.* is .* mm away, .* mm too near"),
    ],
)
def test_by_how_much(constraint: edmp.Constraint, message: str) -> None:
    scene = edmp.Scene.of({"wall": (edmp.Box((0.1, 4.0, 4.0)), (0.9, 0.0, 1.0))})
    result = edmp.plan(scene, START, START + 0.1, constraints=[constraint])
    assert result.status is edmp.Status.START_BREAKS_CONSTRAINT
    assert re.match(message, result.message), result.message


def test_a_line_of_the_tool_keeps_to_constraints_too() -> None:
    line, upright = edmp.Line.by((0, 0.3, 0)), edmp.Upright(0.1, up=DOWN)
    result = edmp.plan(edmp.Scene(), START, line, constraints=[upright, edmp.InBox((4, 0.3, 4), np.eye(4))])
    assert result.status is edmp.Status.LINE_BLOCKED
    assert result.blocked.by.value == "constraint"
    assert "tool in a box of 4 x 0.3 x 4 m: it is" in result.message
    result = edmp.plan(edmp.Scene(), START, line, constraints=[upright])
    assert result.solved
    assert result.kept[0].worst < 0.01


def test_a_solution_says_the_proved_worst_value_of_each_constraint() -> None:
    wanted = [edmp.Upright(0.5, up=DOWN), edmp.JointRange("panda_joint1", -0.5, 0.5)]
    result = edmp.plan(edmp.Scene(), START, START + np.array([0.3, 0, 0, 0, 0, 0.3, 0]), constraints=wanted)
    assert result.solved
    upright, joint = result.kept
    assert [one.constraint for one in result.kept] == wanted
    assert 0.3 - 1e-6 <= upright.worst <= 0.5
    assert upright.unit == "rad"
    assert joint.spare == pytest.approx(0.2, abs=1e-6)
    assert "tool upright within 28.6 deg: at most" in result.message
    assert "panda_joint1 in -0.5 to 0.5: 11.5 deg to spare" in result.message
