"""Benchmarks: lines as they come, going on, reports, and the second opinion."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from plan_cases import failed, solved, write_problems
from test_cli import run

from edmp.bench import PLANNERS, find_problems, read_records
from edmp.bench.planners import BenchPlanner, PlannerOptions
from edmp.bench.rejudge import rejudge, with_mesh_hulls
from edmp.bench.table import markdown, summarise
from edmp.problem import Problem
from edmp.result import PlanResult, Status
from edmp.robots import load_robot
from edmp.robots.errors import MissingDependencyError

ALL = [("shelf", 1), ("shelf", 2), ("shelf", 3), ("table", 1), ("table", 2)]


class FakePlanner(BenchPlanner):
    """Goes straight at everything; does what ``script`` says at a given call (the warm-up is call 0)."""

    script: ClassVar[dict[int, BaseException | PlanResult]] = {}
    calls: ClassVar[list[int]] = []

    def __init__(self, options: PlannerOptions) -> None:
        self.options = options

    def plan(self, problem: Problem, seed: int) -> PlanResult:
        step = self.script.get(len(self.calls))
        self.calls.append(seed)
        if isinstance(step, BaseException):
            raise step
        return step or solved(problem)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePlanner]:
    class Fresh(FakePlanner):
        script: ClassVar = {}
        calls: ClassVar = []

    monkeypatch.setitem(PLANNERS, "fake", Fresh)
    return Fresh


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems", {"shelf": 3, "table": 2})


def bench(problems: Path, out: Path, *options: object) -> int:
    return run("bench", "run", "--problems", problems, "--planners", "fake", "--out", out, *options)


def test_one_line_a_problem_with_all_that_is_promised(
    fake: type[FakePlanner], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (problems / "best_known_lengths.json").write_text(json.dumps({"sets": {"shelf": {"2": 2.0}}}))
    out = tmp_path / "results.jsonl"
    fake.script[2] = failed(Status.GOAL_OUT_OF_LIMITS, "joint 4 at 1 rad exceeds its limit")
    fake.script[5] = ValueError("broken planner")
    assert bench(problems, out, "--seed", 3) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(r["set"], r["index"]) for r in records] == ALL
    assert fake.calls == [3] * 6  # one warm-up
    promised = {
        "set", "index", "planner", "solved", "status", "message", "stage", "time_s", "path", "times", "length_rad",
        "duration_s", "min_clearance_m", "peak_rss_mb", "timings", "seed", "version",
    }  # fmt: skip
    assert promised <= set(records[0])
    assert np.array(records[0]["path"]).shape == (3, 7)
    assert records[0]["stage"] == "repair"
    assert records[0]["peak_rss_mb"] > 20
    assert records[1]["status"] == "GOAL_OUT_OF_LIMITS"
    assert records[1]["path"] is None
    assert records[4]["status"] == "ERROR"
    assert "broken planner" in records[4]["message"]
    captured = capsys.readouterr()
    assert "first plan, imports and kernels included" in captured.err
    assert "2/2 (+1 invalid)" in captured.out
    assert "3/4 (+1 invalid)" in captured.out
    assert "shelf/2: GOAL_OUT_OF_LIMITS" in captured.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--planners", "ompl"), "unknown planner 'ompl'; valid: edmp"),
        (("--planners", ","), "name at least one"),
        (("--robot", "pandaa"), "unknown robot 'pandaa'"),
        (("--ensemble", "edmp13"), "unknown ensemble 'edmp13'; valid: default, edmp12"),
        (("--prior", "nosuch"), "unknown prior 'nosuch'"),
        (("--prior", "nosuch.safetensors"), "no such file"),
        (("--num-seeds", 0), "num_seeds must be at least 1"),
        (("--time-budget", -1), "time_budget must be positive"),
        (("--numbers", "7-3"), "runs backwards"),
        (("--sets", "shelv"), "unknown problem set 'shelv'; valid: shelf, table"),
    ],
)
def test_misuse_ends_the_run_before_its_first_line(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], says: str
) -> None:
    out = tmp_path / "results.jsonl"
    assert run("bench", "run", "--problems", problems, "--out", out, *options) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_a_file_without_results_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.jsonl").write_text('{"set": "shelf"')
    assert run("bench", "report", tmp_path / "r.jsonl") == 2
    assert "no whole line" in capsys.readouterr().err


def test_ctrl_c_keeps_the_lines_and_resume_goes_on(
    fake: type[FakePlanner], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    fake.script[3] = KeyboardInterrupt()
    assert bench(problems, out) == 130
    assert [r["index"] for r in read_records(out)] == [1, 2]
    captured = capsys.readouterr()
    assert "--resume" in captured.err
    assert "2/2" in captured.out
    with out.open("a") as file:
        file.write('{"set": "shelf", "index": 3, "plan')  # a line cut off by a crash

    assert bench(problems, out) == 2
    assert "go on with --resume or overwrite it with --force" in capsys.readouterr().err
    before = out.read_bytes()
    assert bench(problems, out, "--resume", "--seed", 9) == 2
    assert "was made with seed 0, now 9" in capsys.readouterr().err
    assert bench(problems, out, "--resume", "--robot", "ur5") == 2
    assert "made with robot panda, now ur5" in capsys.readouterr().err
    assert bench(problems, out, "--resume", "--no-fallback") == 2
    assert out.read_bytes() == before

    fake.script.clear()
    fake.calls.clear()
    assert bench(problems, out, "--resume") == 0
    assert len(fake.calls) == 4  # warm-up and the three that were missing
    records = read_records(out)
    assert [(r["set"], r["index"]) for r in records] == ALL
    fake.calls.clear()
    assert bench(problems, out, "--resume") == 0
    assert not fake.calls
    assert bench(problems, out, "--force", "--limit", 1) == 0
    assert len(read_records(out)) == 1


def test_choosing_problems(problems: Path) -> None:
    def chosen(**options) -> list[tuple[str, int]]:
        return [(p.set, p.index) for p in find_problems(problems, **options)]

    assert chosen(limit=3) == [("shelf", 1), ("shelf", 2), ("table", 1)]
    assert chosen(sets=["table"]) == [("table", 1), ("table", 2)]
    assert chosen(numbers={2, 3}) == [("shelf", 2), ("shelf", 3), ("table", 2)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--sets", "shelv"), "unknown problem set 'shelv'; valid: shelf, table. Did you mean 'shelf'?"),
        (("--numbers", "1-x"), "neither a number nor a range"),
        (("--numbers", "5-1"), "runs backwards"),
        (("--numbers", "99"), "leaves none"),
        (("--planners", "edmpp"), "unknown planner 'edmpp'; valid: "),
        (("--resume", "--force"), "choose one"),
        (("--out", "/proc/x.jsonl"), "cannot write"),
        (("--problems", "/nowhere"), "no such folder"),
    ],
)
def test_misuse(
    fake: type[FakePlanner],
    problems: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    out = tmp_path / "results.jsonl"
    assert bench(problems, out, *options) == 2
    assert says in capsys.readouterr().err
    assert not fake.calls
    assert not out.exists()


def test_report_prints_the_same_table(
    fake: type[FakePlanner], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    bench(problems, out)
    table = capsys.readouterr().out
    assert run("bench", "report", out) == 0
    assert capsys.readouterr().out == table
    assert run("bench", "report", out, "--markdown") == 0
    assert capsys.readouterr().out.startswith("| planner | set |")
    assert run("bench", "report", tmp_path / "none.jsonl") == 2
    (tmp_path / "bad.jsonl").write_text('{"set": 1}\n')
    assert run("bench", "report", tmp_path / "bad.jsonl") == 2
    assert "bad.jsonl:1: not a line of bench results" in capsys.readouterr().err


def test_summary_counts() -> None:
    common = {"planner": "p", "peak_rss_mb": 1.0, "duration_s": 2.0, "min_clearance_m": 0.01, "stage": "sample"}
    good = {**common, "set": "a", "solved": True, "status": "SOLVED", "time_s": 1.0, "length_rad": 3.0}
    records = [
        {**good, "index": 1, "best_known_rad": 2.0},
        {**good, "index": 2, "best_known_rad": None, "time_s": 3.0, "length_rad": 5.0},
        {**good, "index": 3, "solved": False, "status": "NO_PATH_FOUND", "time_s": 8.0},
        {**good, "index": 4, "solved": False, "status": "START_IN_COLLISION", "time_s": 0.0},
    ]
    (row,) = summarise(records)
    assert (row.solved, row.valid, row.invalid) == (2, 3, 1)
    assert row.success == pytest.approx(200 / 3)
    assert (row.time_median, row.time_max, row.time_mean) == (3.0, 8.0, 4.0)
    assert (row.length, row.length_ratio, row.stages) == (4.0, 1.5, {"sample": 2})
    assert "2/3 (+1 invalid)" in markdown(records)


def test_the_second_opinion_finds_what_a_planner_hides(
    fake: type[FakePlanner], problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The straight line of the fake planner goes through the shelf."""
    out = tmp_path / "results.jsonl"
    bench(problems, out, "--sets", "table", "--limit", 1)
    (opinion,) = rejudge(read_records(out), find_problems(problems), workers=1)
    assert opinion.hulls
    assert not opinion.ends
    assert not opinion.clean
    capsys.readouterr()
    assert run("bench", "judge", out, "--problems", problems, "--workers", 1) == 1
    report = capsys.readouterr().out
    assert "1 of 1 paths called solved were judged, every 5 mrad" in report

    record = read_records(out)[0]
    record["path"][0][0] += 0.01
    record["path"][-1][3] = 1.0
    (opinion,) = rejudge([record], find_problems(problems), workers=1)
    assert opinion.ends == ("limits broken", "start missed", "goal missed")


def test_mesh_hulls_replace_the_fitted_ones() -> None:
    robot = load_robot("panda", gripper_width=0.06)
    try:
        original = with_mesh_hulls(robot)
    except MissingDependencyError as missing:
        pytest.skip(str(missing))
    for fitted, mesh in zip(robot.links, original.links, strict=True):
        if fitted.hulls_B:
            low, high = (np.concatenate(mesh.hulls_B).min(axis=0), np.concatenate(mesh.hulls_B).max(axis=0))
            points = np.concatenate(fitted.hulls_B)
            np.testing.assert_allclose(points.min(axis=0), low, atol=0.01)
            np.testing.assert_allclose(points.max(axis=0), high, atol=0.01)
    other = dataclasses.replace(robot, name="mine")
    with pytest.raises(MissingDependencyError):
        with_mesh_hulls(other)
