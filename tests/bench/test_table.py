"""The table of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import run
from report_cases import line, read

from edmp.bench.table import markdown, seen_rows, summarise, within_headings, within_markdown, within_rows
from edmp.errors import InvalidInputError


def test_summary_counts(tmp_path: Path) -> None:
    records = read(
        tmp_path,
        line("p", 1, time_s=1.0, length_rad=3.0, best_known_rad=2.0, sparc=-1.5),
        line("p", 2, time_s=3.0, length_rad=5.0, best_known_rad=None, sparc=-2.5),
        line("p", 3, solved=False, time_s=8.0, coarse_solved=True, refuted="it touches", status="REFUTED"),
        line("p", 4, solved=False, time_s=0.0, status="START_IN_COLLISION"),
    )
    (row,) = summarise(records)
    assert (row.solved, row.valid, row.invalid, row.refuted) == (2, 3, 1, 1)
    assert row.success == pytest.approx(200 / 3)
    assert row.coarse == pytest.approx(100)
    assert row.interval == pytest.approx((20.77, 93.85), abs=0.01)
    assert (row.time_median, row.time_max, row.time_mean) == (3.0, 8.0, 4.0)
    assert (row.length, row.length_ratio, row.stages, row.sparc) == (4.0, 1.5, {"sample": 2}, -2.0)
    assert "2/3 (+1 invalid)" in markdown(records)


def test_the_same_problems_seen_otherwise(tmp_path: Path) -> None:
    """Beside what the same planner did of their shapes; what touches those is told."""
    cloudy = {"sight": "clouds", "solved": True}
    records = read(
        tmp_path,
        *(line("p:k=1", i, time_s=0.1) for i in (1, 2, 3)),
        line("p:k=1 as clouds", 1, time_s=0.1, sight="clouds"),
        line("p:k=1 as clouds", 2, time_s=0.3, sight="clouds", untrue="link 3 touches shelf"),
        line("p:k=1 as clouds", 3, time_s=0.2, sight="clouds", solved=False, status="START_IN_COLLISION"),
        line("p:k=1 as clouds", 4, time_s=9.0, **cloudy),  # not tried as shapes
        line("q", 1, sight="shapes"),
    )
    assert seen_rows(records) == [("p:k=1 as clouds", "shelf", "3/4", "75.0", "-", "1", "0.200", "0.100", "2.00")]
    blind = ({"sight": "cameras", "unseen_share": share} for share in (0.2, 0.3))
    (row,) = seen_rows(read(tmp_path, *(line("p as cameras", i, **one) for i, one in enumerate(blind))))
    assert row[4] == "25.0"
    assert seen_rows(read(tmp_path, line("p", 1))) == []


def test_a_problem_that_somebody_solves_is_valid_for_all(tmp_path: Path) -> None:
    says_no = line("a", 1, solved=False, status="GOAL_UNREACHABLE")
    (alone,) = summarise(read(tmp_path, says_no))
    assert (alone.valid, alone.invalid) == (0, 1)
    first, second = summarise(read(tmp_path, says_no, line("b", 1)))
    assert (first.solved, first.valid, second.solved, second.valid) == (0, 1, 1, 1)
    first, second = summarise(read(tmp_path, says_no, line("b", 1, solved=False, status="TIMEOUT")))
    assert (first.valid, second.valid) == (0, 0)


def test_a_problem_whose_solution_came_with_it_is_valid(tmp_path: Path) -> None:
    says_no = line("a", 1, solved=False, status="GOAL_IN_COLLISION", solvable=True)
    (row,) = summarise(read(tmp_path, says_no))
    assert (row.solved, row.valid, row.invalid) == (0, 1, 0)


def test_success_within_deadlines(tmp_path: Path) -> None:
    records = read(
        tmp_path,
        line("p", 1, time_s=0.04, ready_s=0.06),
        line("p", 2, time_s=0.05),  # of an older file
        line("p", 3, solved=False, time_s=0.01),
        line("p", 4, time_s=0.4, ready_s=0.4, of="cage"),
        line("p", 5, solved=False, time_s=0.0, status="START_IN_COLLISION", of="cage"),
    )
    assert within_headings() == ("planner", "set", "problems", "0.05 s", "0.1 s", "0.2 s", "0.5 s", "ever")
    assert within_rows(records) == [
        ("p", "cage", "1", "0.0", "0.0", "0.0", "100.0", "100.0"),
        ("p", "shelf", "3", "33.3", "66.7", "66.7", "66.7", "66.7"),
        ("p", "all", "4", "25.0", "50.0", "50.0", "75.0", "75.0"),
    ]
    assert within_rows(records, (0.3, 0.06))[1][3:] == ("66.7", "66.7", "66.7")
    assert within_markdown(records, [1.0]).splitlines()[0] == "| planner | set | problems | 1 s | ever |"
    for wrong in ((), (0.0,), (float("nan"),), (float("inf"),)):
        with pytest.raises(InvalidInputError, match="deadlines: "):
            within_rows(records, wrong)


def test_the_report_tells_deadlines_of_older_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps({"planner": "p", "set": "a", "index": 1, "solved": True, "time_s": 0.15}) + "\n")
    assert run("bench", "report", path, "--markdown", "--deadlines", "0.1,0.2") == 0
    assert "| p | a | 1 | 0.0 | 100.0 | 100.0 |" in capsys.readouterr().out
    assert run("bench", "report", path, "--deadlines", "soon") == 2
    assert "--deadlines: 'soon' is not a number" in capsys.readouterr().err
    assert run("bench", "report", path, "--out", tmp_path / "report") == 0
    assert "Success within a deadline" in (tmp_path / "report" / "report.md").read_text()


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
