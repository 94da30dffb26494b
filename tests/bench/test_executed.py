"""Executed plans: one problem end to end, the lines of a file, and what is counted."""

import json
import math

import pytest

import edmp
from edmp.bench.executed import NO_PLAN, ExecuteSettings, execute_problem, read_rows, summarise_rows
from edmp.errors import FileFormatError
from edmp.problem import load_example


def row(name, outcome="REACHED", **other):
    numbers = {"tracking_peak_mrad": 0.5, "tracking_rms_mrad": 0.1, "peak_torque_share": 0.6}
    clearances = {"planned_clearance_m": 0.02, "measured_clearance_m": 0.019}
    return {"set": name, "index": 1, "outcome": outcome, "fault": None, "contacts": 0, **numbers, **clearances, **other}


def test_a_plan_is_executed_and_measured():
    problem = load_example("bookshelf")
    measured = execute_problem(problem, edmp.Planner(problem.robot), ExecuteSettings())
    assert measured["outcome"] == "REACHED", measured
    assert measured["contacts"] == 0
    assert measured["tracking_peak_mrad"] < 10.0
    assert abs(measured["planned_clearance_m"] - measured["measured_clearance_m"]) < 3e-3
    assert measured["peak_torque_share"] < 0.8
    json.dumps(measured, allow_nan=False)


def test_what_was_not_planned_is_not_counted_and_what_touched_is():
    stopped = row("b", "STOPPED", fault="TRACKING", contacts=3, measured_clearance_m=0.0)
    one, other, both = summarise_rows([row("a"), row("a", NO_PLAN), stopped])
    assert (one.set, one.executed, one.reached, one.touched) == ("a", 1, 1, 0)
    assert one.clearance_loss == pytest.approx(1e-3)
    assert (other.stopped, other.touched, other.faults) == (1, 1, {"TRACKING": 1})
    assert math.isnan(other.clearance_loss), "a motion that was stopped went elsewhere"
    assert (both.set, both.executed, both.touched) == ("all", 2, 1)


def test_lines_that_are_none_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"run": {}}) + "\n" + json.dumps(row("a")) + "\n")
    assert len(read_rows(path)) == 1
    path.write_text(json.dumps({"run": {}}) + "\n{}\n")
    with pytest.raises(FileFormatError, match=r"rows\.jsonl:2"):
        read_rows(path)
