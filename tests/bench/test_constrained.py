"""Problems with constraints: solvable, and not by the straight line; measured like the rest."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from command import run

from edmp.baselines import Claim
from edmp.baselines.projected import Projected, ProjectedSettings
from edmp.bench import constrained, find_problems
from edmp.bench.constrained import (
    LEAVES_BY,
    PLANE_TOLERANCE,
    TASKS,
    UPRIGHT_TOLERANCE,
    make_constrained,
    takes_any_line,
)
from edmp.bench.examine import examine
from edmp.bench.expert import WORTH_PLANNING
from edmp.bench.planners import PlannerSpec
from edmp.bench.records import Record, blank_record, read_records
from edmp.bench.suites import SUITES, MakeSettings, about_constraints, make, suite
from edmp.bench.table import CONSTRAINED_HEADINGS, constrained_markdown, constrained_rows
from edmp.constraints import OnPlane, Upright
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.files.json_lines import LineWriter
from edmp.problem import PoseGoal, Problem
from edmp.result import Status
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.scenes.generators import FAMILIES
from edmp.timing import retime_waypoints
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


@needs_ompl
def test_timing_rounds_corners_less_where_a_constraint_asks_for_it() -> None:
    """Half a millimetre: what timing does to a path otherwise breaks that."""
    plane = OnPlane((0.0, 0.0, 0.4868696), tolerance=0.0005)
    start, goal = PANDA.home.copy(), PANDA.home.copy()
    start[0], goal[0] = -0.8, 0.8
    post = Scene.of({"post": (Box((0.12, 0.04, 0.3)), (0.32, 0.0, 0.45))})
    problem = Problem(PANDA, post, start, goal, constraints=(plane,))
    path = Projected(ProjectedSettings(share=0.6, delta=0.02)).plan(problem, 0).path
    usual = retime_waypoints(path, PANDA.limits)
    assert dense_breaches(PANDA, post, (plane,), usual.positions)
    found = examine(problem, Claim(Status.SOLVED, path=path))
    assert found.refuted is None
    assert found.breaches == 0


@needs_ompl
def test_the_command_makes_problems_and_the_bench_judges_their_constraints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the straight line of a problem would be believed to be is found out."""
    out = tmp_path / "suite"
    make(out, MakeSettings({"shelf": 1}, seed=5, task="slide"))
    (entry,) = find_problems(out)
    problem = entry.load("panda")
    (constraint,) = problem.constraints
    assert isinstance(constraint, OnPlane)
    proof = json.loads((out / "shelf" / "expert0001.json").read_text())
    assert proof["line_excess"] >= LEAVES_BY * PLANE_TOLERANCE
    assert set(proof["experts"]) <= {"ompl", "connect"}
    assert proof["experts"]
    assert "breaks the constraint in 1 of 1; proved to be solvable: " in about_constraints(out)
    believed = dataclasses.replace(
        blank_record(entry, PlannerSpec("p", "p"), robot="panda", seed=0), claimed=True, solved=True, status="SOLVED"
    )
    good, line = np.array(proof["path"]), np.array(proof["path"])[[0, -1]]
    results = tmp_path / "results.jsonl"
    for path, code, broken in ((good, 0, 0), (line, 1, 1)):
        with LineWriter(results, append=False) as writer:
            writer.write(dataclasses.replace(believed, path=path.tolist()).to_line())
        assert run("bench", "judge", results, "--problems", out, "--workers", 1, "--step", 0.05) == code
        report = " ".join(capsys.readouterr().out.split())
        assert f"constraints broken, a look every 1 mrad: {broken}" in report
    assert "tool on a plane within 5 mm: out by" in report
    with pytest.raises(InvalidInputError, match="made with other settings"):
        make(out, MakeSettings({"shelf": 1}, seed=5, task="upright"))


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


def test_a_problem_of_which_a_planner_says_that_it_has_no_solution_counts() -> None:
    (row,) = constrained_rows([line(1, 0.1), dataclasses.replace(line(2, None), status="GOAL_IN_COLLISION")])
    assert row[2:6] == ("1/2", "50.0", "0.100", "never")


def test_motions_that_the_dumb_checker_finds_broken_are_counted() -> None:
    (row,) = constrained_rows([line(1, 0.1), line(2, 0.1, broken=7)])
    assert row[-1] == "1"


def test_problems_without_constraints_have_no_such_table() -> None:
    assert constrained_rows([dataclasses.replace(line(1, 0.1), num_constraints=0)]) == []


def test_results_on_disk_and_reports_tell_about_constraints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.jsonl"
    with LineWriter(out, append=False) as writer:
        for record in (line(1, 0.1), line(2, 0.3, broken=7)):
            writer.write(record.to_line())
    assert [(r.breaches, r.num_constraints) for r in read_records(out)] == [(0, 1), (7, 1)]
    assert run("bench", "report", out, "--markdown") == 0
    assert "| p | bin | 2/2 | 100.0 | 0.100 | 0.300 | 0 | 1 |" in capsys.readouterr().out
    assert run("bench", "report", out) == 0
    assert "a look every 1 mrad" in " ".join(capsys.readouterr().out.split())
    assert run("bench", "report", out, "--out", tmp_path / "report") == 0
    assert "## With constraints" in (tmp_path / "report" / "report.md").read_text()
