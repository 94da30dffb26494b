"""Problems with constraints: solvable, and not by the straight line; measured like the rest."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from command import run

from edmp.bench import constrained
from edmp.bench.constrained import (
    LEAVES_BY,
    PLANE_TOLERANCE,
    TASKS,
    UPRIGHT_TOLERANCE,
    make_constrained,
    takes_any_line,
)
from edmp.bench.expert import WORTH_PLANNING
from edmp.bench.records import Record, Writer, read_records
from edmp.bench.suites import SUITES, MakeSettings, suite
from edmp.bench.table import CONSTRAINED_HEADINGS, constrained_markdown, constrained_rows
from edmp.constraints import OnPlane, Upright
from edmp.errors import UnknownNameError
from edmp.problem import PoseGoal
from edmp.robots import load_robot
from edmp.scenes.generators import FAMILIES
from edmp.trajectory import path_length
from edmp.validate import Judge
from edmp.validate.dense_constraints import dense_breaches

needs_ompl = pytest.mark.skipif(importlib.util.find_spec("ompl") is None, reason="OMPL is not installed")
PANDA = load_robot("panda")


@pytest.fixture(autouse=True)
def short_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hard is drawn again: other problems than those of the suites, but sooner."""
    monkeypatch.setattr(constrained, "MAX_LAUNCHES", 5_000)
    monkeypatch.setattr(constrained, "RUNS", 1)


@needs_ompl
@pytest.mark.parametrize(("task", "family"), [("upright", "tabletop"), ("upright", "shelf"), ("slide", "clutter")])
def test_problems_are_solvable_and_not_by_the_straight_line(task: str, family: str) -> None:
    problem = make_constrained(PANDA, family, task, seed=5, number=2, pose_goal=True)
    (constraint,) = problem.constraints
    judge = Judge(PANDA, problem.scene, constraints=problem.constraints)
    assert judge.check_path(problem.path, start=problem.start).valid
    assert dense_breaches(PANDA, problem.scene, problem.constraints, problem.path) == []
    assert path_length(problem.path[[0, -1]]) >= WORTH_PLANNING
    assert isinstance(problem.goal, PoseGoal)
    (breach,) = dense_breaches(PANDA, problem.scene, problem.constraints, problem.path[[0, -1]])
    assert breach.excess >= LEAVES_BY * constraint.tolerance
    assert problem.line_excess >= LEAVES_BY * constraint.tolerance
    if task == "upright":
        assert isinstance(constraint, Upright)
        assert constraint.tolerance == UPRIGHT_TOLERANCE == math.radians(10)
        assert np.abs(constraint.axis).max() == 1.0
    else:
        assert isinstance(constraint, OnPlane)
        assert constraint.tolerance == PLANE_TOLERANCE == 0.005
        assert abs(constraint.normal[2]) in (0.0, 1.0)


@needs_ompl
def test_the_same_number_is_the_same_problem() -> None:
    a, b = (make_constrained(PANDA, "shelf", "slide", seed=5, number=2, pose_goal=False) for _ in range(2))
    assert np.array_equal(a.path, b.path)
    assert np.array_equal(a.goal, a.path[-1])


def test_suites_of_constraints() -> None:
    for name in TASKS:
        whole = suite(name)
        assert whole.task == name
        assert whole.counts == dict.fromkeys(FAMILIES, 20)
        assert whole.identity()["task"] == name
        assert suite(name, count=20).counts == dict.fromkeys(FAMILIES, 2)
    assert "task" not in SUITES["mpinets-like"].identity()  # folders that were made before stay what they are
    assert sum(not takes_any_line(number) for number in range(1, 21)) == 15
    with pytest.raises(UnknownNameError, match="slide, upright"):
        MakeSettings({"bin": 1}, task="pour")


# --- in tables -------------------------------------------------------------------------------------------------------


def line(index: int, ready: float | None, *, broken: int | None = 0) -> Record:
    solved = ready is not None
    return Record(
        set="bin",
        index=index,
        planner="p",
        claimed=solved,
        solved=solved,
        status="SOLVED" if solved else "TIMEOUT",
        time_s=ready or 10.0,
        ready_s=ready,
        breaches=broken if solved else None,
        num_constraints=1,
    )


def test_what_is_not_solved_counts_as_never_ready() -> None:
    records = [line(i, 0.1 * i) for i in range(1, 20)] + [line(20, None)]
    (row,) = constrained_rows(records)
    assert dict(zip(CONSTRAINED_HEADINGS, row, strict=True)) == {
        "planner": "p",
        "set": "bin",
        "solved": "19/20",
        "%": "95.0",
        "ready median [s]": "1.000",
        "ready p95 [s]": "1.900",
        "refuted": "0",
        "broken": "0",
    }
    (row,) = constrained_rows([*records, line(21, None)])
    assert row[5] == "never"
    assert "| never | 0 | 0 |" in constrained_markdown([*records, line(21, None)])


def test_motions_that_the_dumb_checker_finds_broken_are_counted() -> None:
    (row,) = constrained_rows([line(1, 0.1), line(2, 0.1, broken=7)])
    assert row[-1] == "1"


def test_problems_without_constraints_have_no_such_table() -> None:
    assert constrained_rows([dataclasses.replace(line(1, 0.1), num_constraints=0)]) == []


def test_results_on_disk_and_reports_tell_about_constraints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.jsonl"
    with Writer(out, append=False) as writer:
        for record in (line(1, 0.1), line(2, 0.3, broken=7)):
            writer.write(record)
    assert [(r.breaches, r.num_constraints) for r in read_records(out)] == [(0, 1), (7, 1)]
    assert run("bench", "report", out, "--markdown") == 0
    assert "| p | bin | 2/2 | 100.0 | 0.100 | 0.300 | 0 | 1 |" in capsys.readouterr().out
    assert run("bench", "report", out) == 0
    assert "a look every 1 mrad" in " ".join(capsys.readouterr().out.split())
    assert run("bench", "report", out, "--out", tmp_path / "report") == 0
    assert "## With constraints" in (tmp_path / "report" / "report.md").read_text()
