"""``edmp pick`` and the suite of tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import run

import edmp
from edmp.bench import handled
from edmp.tasks import load_pick
from edmp.validate import judge_task

FILE = """edmp_scene: 1
name: desk
start: [0, -0.785, 0, -2.356, 0, 1.571, 0.785]
pick: {object: block, at: {position: [0.5, -0.25, 0.25], quaternion: [0, 0, 0, 1]}}
constraints: [{type: upright, tolerance: 0.3, frame: block}]
obstacles:
  table: {type: box, size: [0.8, 1.2, 0.05], position: [0.6, 0, 0.175]}
  block: {type: box, size: [0.04, 0.06, 0.1], position: [0.5, 0.2, 0.25]}
"""


def test_a_task_file_becomes_a_task_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk.yaml").write_text(FILE)
    out = tmp_path / "task.json"
    assert run("pick", "--scene", tmp_path / "desk.yaml", "--out", out) == 0
    told = capsys.readouterr().out
    assert "certified motion in 5 phases" in told
    assert "holds block" in told
    assert "proved: carry: " in told
    assert "upright within 17.2 deg: at most" in told
    assert "of its straight lines" in told
    plan = edmp.load_task(out)
    assert plan.name == "desk"
    assert judge_task(plan).valid
    carry = next(phase for phase in plan.phases if phase.name == "carry")
    assert [type(constraint).__name__ for constraint in carry.constraints] == ["Upright"]
    ((phase, kept),) = plan.kept
    assert phase == "carry"
    assert kept.worst < kept.bound == 0.3
    assert judge_task(plan).phases[plan.phases.index(carry)].kept[0].worst <= kept.worst + 1e-3


def test_no_task_plan_is_exit_code_1_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk.yaml").write_text(FILE.replace("[0.5, 0.2, 0.25]", "[1.5, 0.2, 0.25]"))
    assert run("pick", "--scene", tmp_path / "desk.yaml", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "GOAL_UNREACHABLE"
    assert "unreachable" in told["message"]


def test_a_shipped_scene_goes_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pick", "--scene", "bookshelf", "--object", "can") == 2
    assert "unknown obstacle 'can'" in capsys.readouterr().err
    assert run("pick", "--scene", "bookshlef", "--object", "tin") == 2
    assert "Did you mean 'bookshelf'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--object", "jar"], "jar"),
        (["--at", "1 2 3"], "--at"),
        (["--start", "0 0"], "--start"),
        (["--out", "task.txt"], "--out"),
    ],
)
def test_misuse_is_told(options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk.yaml").write_text(FILE)
    assert run("pick", "--scene", tmp_path / "desk.yaml", *options) == 2
    assert named in capsys.readouterr().err


def test_a_file_that_names_no_such_object_is_told(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(FILE.replace("object: block", "object: jar"))
    with pytest.raises(edmp.FileFormatError, match=r"no obstacle 'jar'; there are table, block"):
        load_pick(tmp_path / "desk.yaml")


def test_the_suite_is_the_same_for_everybody_and_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "make", "--suite", "pick-place", "--count", "1", "--out", tmp_path / "suite") == 0
    (file,) = handled.tasks_in(tmp_path / "suite")
    loaded, drawn = load_pick(file), handled.task("table", 1)
    assert loaded.scene.names == drawn.scene.names
    np.testing.assert_allclose(loaded.start, drawn.start, atol=1e-12)
    np.testing.assert_allclose(loaded.at[0], drawn.at[0], atol=1e-12)
    arguments = ("--problems", tmp_path / "suite", "--out", tmp_path / "rows.jsonl", "--plans", tmp_path / "plans")
    assert run("bench", "pick", *arguments) == 0, capsys.readouterr().out
    (row,) = (json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines())
    assert row["certified"]
    assert len(list((tmp_path / "plans").glob("*.json"))) == 1
