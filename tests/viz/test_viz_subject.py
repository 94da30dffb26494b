"""What users have becomes a subject, and misuse says what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plan_cases import failed, solved

import edmp
from edmp.planfile import PlanFile, save_plan
from edmp.problem import load_example, save_problem
from edmp.result import Status
from edmp.scenes import Scene, save_scene
from edmp.viz import subject_of
from edmp.viz.subject import named_in


def test_a_plan_file_and_its_path_say_everything(tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    result = solved(problem)
    save_plan(tmp_path / "plan.json", problem, result)
    for source in (PlanFile(problem, result), tmp_path / "plan.json", str(tmp_path / "plan.json")):
        subject = subject_of(source)
        assert subject.robot.name == "panda"
        assert subject.status is Status.SOLVED
        assert len(subject.motions) == len(subject.solutions) == 2
        np.testing.assert_allclose(subject.start, problem.start)
        np.testing.assert_allclose(subject.goal, problem.goal)
        assert subject.faults == frozenset()


def test_scenes_and_problems_show_how_things_stand(tmp_path: Path) -> None:
    problem = load_example("table")
    save_problem(tmp_path / "problem.yaml", problem)
    save_scene(tmp_path / "scene.yaml", problem.scene)
    asked = subject_of(tmp_path / "problem.yaml")
    assert asked.goal is not None
    assert asked.status is None
    assert asked.message == ""
    standing = subject_of(tmp_path / "scene.yaml", robot="ur5", q="home")
    assert standing.robot.name == "ur5"
    assert standing.goal is None
    np.testing.assert_array_equal(standing.start, standing.robot.home)
    q = problem.robot.home + 0.1
    np.testing.assert_array_equal(subject_of(problem.scene, q=q).standing, q)
    assert subject_of("table").name == "table"
    assert len(subject_of(problem.robot).scene) == 0


def test_a_trajectory_can_be_shown_without_a_plan() -> None:
    problem = load_example("table")
    motion = solved(problem).best.trajectory
    subject = subject_of(motion, problem=problem)
    assert subject.motions == (motion,)
    assert subject.solutions == ()
    with pytest.raises(edmp.InvalidInputError, match="7 joints, ur5 has 6"):
        subject_of(motion, robot="ur5", scene=problem.scene)


def test_a_pose_goal_is_known_as_a_pose() -> None:
    problem = load_example("table")
    goal = edmp.PoseGoal((0.5, 0.0, 0.5), (1, 0, 0, 0))
    asked = edmp.Problem(problem.robot, problem.scene, problem.start, (goal, problem.goal))
    subject = subject_of(asked)
    assert subject.pose_goal is goal
    assert subject.goal is None


def test_alternatives_can_be_chosen() -> None:
    problem = load_example("table")
    subject = subject_of(solved(problem), problem=problem)
    other = subject.choosing(1)
    assert other.motions == subject.motions[::-1]
    assert other.solutions == subject.solutions[::-1]
    with pytest.raises(edmp.InvalidInputError, match="there are 2"):
        subject.choosing(2)


def test_faults_are_the_names_in_the_message() -> None:
    problem = load_example("bookshelf")
    result = failed(Status.GOAL_IN_COLLISION, 'panda_link4 is 12 mm inside "globe"')
    subject = subject_of(result, problem=problem)
    assert subject.faults == {"panda_link4", "globe"}
    assert dict(subject.at_fault) == {"start": False, "goal": True}
    names = ("link1", "link10", "shelf", "shelf (2)", "a.b")
    assert named_in('link10 is inside "shelf (2)"', names) == {"link10", "shelf (2)"}


def test_misuse_says_what_is_missing(tmp_path: Path) -> None:
    problem = load_example("table")
    with pytest.raises(edmp.InvalidInputError, match="give robot= and scene="):
        subject_of(solved(problem))
    with pytest.raises(edmp.InvalidInputError, match="cannot show a int"):
        subject_of(3)  # type: ignore[arg-type]
    with pytest.raises(edmp.FileFormatError, match="no such file"):
        subject_of(tmp_path / "missing.yaml")
    with pytest.raises(edmp.InvalidInputError, match="7 finite numbers"):
        subject_of(Scene(), q=[0.0, 1.0])
    with pytest.raises(edmp.InvalidInputError, match="'home'"):
        subject_of(Scene(), q="hme")
    with pytest.raises(edmp.UnknownNameError, match="bookshelf"):
        subject_of("bookshelv")
