"""A result knows its problem: pictures, files and notebooks need nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plan_cases import failed

import edmp
from edmp.errors import FileFormatError, InvalidInputError
from edmp.viz import subject_of


@pytest.fixture(scope="module")
def problem() -> edmp.Problem:
    return edmp.load_example("table")


@pytest.fixture(scope="module")
def result(problem: edmp.Problem) -> edmp.PlanResult:
    return edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)


def test_the_problem_is_the_one_that_was_asked_for(problem: edmp.Problem, result: edmp.PlanResult) -> None:
    assert result.problem.robot is problem.robot
    assert result.problem.scene is problem.scene
    np.testing.assert_array_equal(result.problem.start, problem.start)
    assert result.best.stage is result.stats.stage


@pytest.mark.parametrize("time_budget", [1e-6, 10.0])
def test_failures_know_it_too(problem: edmp.Problem, time_budget: float) -> None:
    far = edmp.PoseGoal((5.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    goals = [problem.goal, far] if time_budget < 1 else far
    found = edmp.plan(problem.scene, problem.start, goals, robot=problem.robot, time_budget=time_budget)
    assert not found.solved
    assert found.problem.scene is problem.scene
    assert (found.problem.goal if time_budget > 1 else found.problem.goal[1]) is far


def test_saved_and_loaded(result: edmp.PlanResult, tmp_path: Path) -> None:
    result.save(tmp_path / "plan.json")
    again = edmp.load_result(tmp_path / "plan.json")
    np.testing.assert_array_equal(again.path, result.path)
    assert again.problem.robot.name == "panda"
    assert again.best.stage is result.best.stage
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "plan.json").read_text()
    with pytest.raises(FileFormatError):
        edmp.load_result(Path(__file__))


def test_a_picture_needs_nothing_else(result: edmp.PlanResult, tmp_path: Path) -> None:
    edmp.save_image(result, tmp_path / "plan.png", geometry="hulls", renderer="numpy", ghosts=1)
    assert (tmp_path / "plan.png").stat().st_size > 20_000
    assert subject_of(result).scene is result.problem.scene


def test_a_notebook_shows_the_picture_and_the_line(result: edmp.PlanResult) -> None:
    page = result._repr_html_()
    assert "SOLVED" in page
    assert result.message in page
    assert 'src="data:image/png;base64,iVBOR' in page


def test_a_notebook_shows_the_line_where_nothing_can_be_drawn(
    result: edmp.PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise InvalidInputError("no <paint>")

    monkeypatch.setattr(edmp, "save_image", broken)
    assert "no &lt;paint&gt;" in result._repr_html_()
    assert failed(message="a < b")._repr_html_() == "<p><b>NO_PATH_FOUND</b> a &lt; b</p>"


def test_who_put_it_together_by_hand_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="save_plan"):
        failed().save(tmp_path / "plan.json")


def test_the_old_calls_still_work_with_a_word(problem: edmp.Problem, result: edmp.PlanResult, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match=r"subject_of\(source, robot=..., scene=...\)"):
        edmp.save_image(
            result,
            tmp_path / "old.png",
            robot=problem.robot,
            scene=problem.scene,
            geometry="hulls",
            renderer="numpy",
            ghosts=0,
        )
    assert (tmp_path / "old.png").is_file()
