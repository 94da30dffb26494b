"""The table of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import run

from edmp.bench.table import markdown, summarise


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


def test_report_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.jsonl"
    common = {"planner": "p", "set": "a", "seed": 0, "peak_rss_mb": 1.0, "time_s": 1.0, "stage": None, "message": "oh"}
    motion = {"length_rad": 3.0, "duration_s": 2.0, "min_clearance_m": None}
    good = {**common, **motion, "index": 1, "solved": True, "status": "SOLVED"}
    crashed = {**common, "index": 2, "solved": False, "status": "CRASHED", "peak_rss_mb": None}
    out.write_text("".join(json.dumps(line) + "\n" for line in (good, crashed)))
    assert run("bench", "report", out) == 0
    report = capsys.readouterr().out
    assert "1/2" in report
    assert "p a/2: CRASHED: oh" in report
    assert run("bench", "report", out, "--markdown") == 0
    assert capsys.readouterr().out.startswith("| planner | set |")


def test_what_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "report", tmp_path / "none.jsonl") == 2
    (tmp_path / "bad.jsonl").write_text('{"set": 1}\n')
    assert run("bench", "report", tmp_path / "bad.jsonl") == 2
    assert "bad.jsonl:1: not a line of bench results" in capsys.readouterr().err
    (tmp_path / "r.jsonl").write_text('{"set": "shelf"')
    assert run("bench", "report", tmp_path / "r.jsonl") == 2
    assert "no whole line" in capsys.readouterr().err
