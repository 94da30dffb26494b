"""Constraints through the front door: what is refused before planning, and what it says."""

from __future__ import annotations

import dataclasses

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
