"""Executed plans: one problem end to end, the lines of a file, and what is counted."""

import json
import math

import numpy as np
import pytest

import edmp
from edmp.bench.executed import (
    NO_PLAN,
    ExecutedRecord,
    ExecuteSettings,
    Measured,
    execute_problem,
    parse_executed,
    read_executed,
    summarise_executed,
)
from edmp.dynamics import ArmDynamics, ArmModel, Controller
from edmp.errors import EdmpWarning, FileFormatError
from edmp.files.json_lines import LineWriter
from edmp.files.json_nodes import JsonNode
from edmp.problem import load_example

NUMBERS = {
    "fault": None, "contacts": 0, "duration_s": 2.0, "tracking_rms_mrad": 0.1, "tracking_peak_mrad": 0.5,
    "peak_torque_share": 0.6, "planned_clearance_m": 0.02, "measured_clearance_m": 0.019,
}  # fmt: skip
OLD = {"set": "a", "index": 1, "status": "SOLVED", "outcome": "REACHED", "message": "", **NUMBERS}
"""A line of an older version, which timed less."""


def record(name, outcome="REACHED", **measured):
    return ExecutedRecord(set=name, index=1, outcome=outcome, measured=Measured(**{**NUMBERS, **measured}))


def test_a_plan_is_executed_and_measured():
    problem = load_example("bookshelf")
    record = execute_problem(problem, edmp.Planner(problem.robot), ExecuteSettings(), key=("examples", 1))
    measured = record.measured
    assert record.outcome == "REACHED", record
    assert measured.contacts == 0
    assert measured.tracking_peak_mrad < 10.0
    assert abs(measured.planned_clearance_m - measured.measured_clearance_m) < 3e-3
    assert measured.peak_torque_share < 0.8
    line = json.loads(json.dumps(record.to_line(), allow_nan=False))
    assert list(line) == [
        "set", "index", "status", "outcome", "message", "plan_s", "prepare_s", "execute_s", "fault", "contacts",
        "touched", "speed", "adaptation", "planned_duration_s", "duration_s", "tracking_rms_mrad", "tracking_peak_mrad",
        "peak_torque_share", "planned_clearance_m", "measured_clearance_m",
    ]  # fmt: skip
    assert parse_executed(JsonNode(line, "line")) == record


def test_a_motion_that_the_arm_must_not_run_is_counted_as_stopped_before_it_began():
    problem = load_example("bookshelf")
    nominal, none = ArmDynamics.of(problem.robot), np.zeros(problem.robot.dof)
    heavy = nominal.with_payload(15.0)
    model = ArmModel(nominal, heavy, 1e-9 * np.eye(91), Controller(), 0.0, none, none, (1.0, 0.1), (15.0, 0.1))
    key = ("examples", 1)
    record = execute_problem(problem, edmp.Planner(problem.robot), ExecuteSettings(), key=key, model=model)
    assert record.outcome == "REFUSED"
    assert "must not run this motion" in record.message
    assert parse_executed(JsonNode(json.loads(json.dumps(record.to_line())), "line")) == record
    (one, _) = summarise_executed([record])
    assert (one.stopped, one.touched, one.faults) == (1, 0, {"REFUSED": 1})


def test_what_was_not_planned_is_not_counted_and_what_touched_is():
    stopped = record("b", "STOPPED", fault="TRACKING", contacts=3, measured_clearance_m=0.0)
    unsolved = ExecutedRecord(set="a", index=2, outcome=NO_PLAN)
    one, other, both = summarise_executed([record("a"), unsolved, stopped])
    assert (one.set, one.executed, one.reached, one.touched) == ("a", 1, 1, 0)
    assert one.clearance_loss == pytest.approx(1e-3)
    assert (other.stopped, other.touched, other.faults) == (1, 1, {"TRACKING": 1})
    assert math.isnan(other.clearance_loss), "a motion that was stopped went elsewhere"
    assert (both.set, both.executed, both.touched) == ("all", 2, 1)


def test_lines_of_older_versions_are_read_and_unfinished_ones_left_out(tmp_path):
    path = tmp_path / "executed.jsonl"
    unsolved = {"set": "a", "index": 2, "status": "TIMEOUT", "outcome": NO_PLAN, "message": "slow", "plan_s": 9.0}
    lines = [json.dumps(line) for line in ({"run": {}}, OLD, unsolved, {**OLD, "touched": ["hand", "shelf"]})]
    path.write_text("\n".join(lines) + '\n{"set": "a", "ind')
    first, second, third = records = read_executed(path)
    assert first.measured.speed is None
    assert first.measured.tracking_peak_mrad == 0.5
    assert second.measured is None
    assert second.to_line() == unsolved
    assert third.measured.touched == ("hand", "shelf")
    with LineWriter(path, append=True) as writer:
        writer.write(third.to_line())
    assert read_executed(path) == [*records, third]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({}, "missing key 'set'"),
        ({key: OLD[key] for key in OLD if key != "contacts"}, "missing key 'contacts'"),
        ({key: OLD[key] for key in OLD if key != "fault"}, "missing key 'fault'"),
        ({**OLD, "tracking_peak_mrad": None}, "tracking_peak_mrad: expected a number, got None"),
        ({**OLD, "touched": [1, 2]}, r"touched\[0\]: expected text, got 1"),
        ({**OLD, "speed": 2.0}, "speed: expected a number from 0 to 1, got 2.0"),
    ],
)
def test_lines_that_are_none_are_named(tmp_path, line, says):
    path = tmp_path / "executed.jsonl"
    path.write_text(json.dumps({"run": {}}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(FileFormatError, match=rf"executed\.jsonl:2: not a line of executed plans: {says}"):
        read_executed(path)


def test_keys_of_a_newer_edmp_are_left_out_with_a_word(tmp_path):
    path = tmp_path / "executed.jsonl"
    path.write_text(json.dumps({**OLD, "joules": 3.0}) + "\n")
    with pytest.warns(EdmpWarning, match="keys of a newer edmp are left out: 'joules'") as told:
        assert len(read_executed(path)) == 1
    assert told[0].filename == __file__
