"""`edmp bench carry`: what is said of executed tasks; how they run: tests/execution/test_executed_tasks.py."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import edmp
from edmp.bench.carried import CarriedRow, summary, task_files
from edmp.cli.main import app


def row(**changes: object) -> CarriedRow:
    given = CarriedRow("a", "REACHED", "retreat", "", "", 1e-3, 0.01, None, 4.0, 20.0)
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


def test_what_counts_as_good():
    assert row().good
    assert not row(error_m=6e-3).good
    assert not row(touched=("thing", "board")).good
    assert not row(outcome="STOPPED").good
    assert not row(error_m=None).good


def test_summary():
    rows = [
        row(),
        row(error_m=3e-3),
        row(outcome="STOPPED", phase="close", fault="GRIPPER"),
        row(outcome="NOT_PLANNED"),
    ]
    lines = summary(rows)
    assert lines[0] == "2 of 3 tasks: the object within 5 mm of its place, nothing else touched"
    assert "median 2.0 mm" in lines[1]
    assert "largest 3.0 mm" in lines[1]
    assert "1 x STOPPED close GRIPPER" in lines
    assert lines[-1] == "0 touched what they should not"


def test_a_task_that_was_not_planned_is_no_failure_of_the_arm(tmp_path: Path):
    scene = edmp.Scene.of({"block": (edmp.Box((0.04, 0.04, 0.04)), (3.0, 0.0, 0.2))})
    place = np.eye(4)
    home = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]
    edmp.pick_and_place(scene, home, "block", place, time_budget=2.0).save(tmp_path / "task.json")
    told = CliRunner().invoke(app, ["bench", "carry", "--tasks", str(tmp_path), "--out", str(tmp_path / "rows.jsonl")])
    assert told.exit_code == 0, told.output
    assert "0 of 0 tasks" in told.output
    assert json.loads((tmp_path / "rows.jsonl").read_text())["outcome"] == "NOT_PLANNED"
    with pytest.raises(edmp.InvalidInputError, match="no task files"):
        task_files(tmp_path / "nowhere")
