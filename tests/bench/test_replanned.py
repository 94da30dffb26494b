"""Crossings as a benchmark: what is written, that it goes on where it was, and what is summed up."""

import json

import numpy as np
import pytest

from edmp.bench.crossings import CrossingRecord, read_crossings, summarise_replans
from edmp.bench.records import read_runs
from edmp.bench.replanned import ReplanBenchSettings, replan_crossings
from edmp.cli.main import main
from edmp.errors import FileFormatError, InvalidInputError
from edmp.execution.crossing import CrossingSettings, make_crossing
from edmp.robots import load_robot
from edmp.timing import retime_waypoints
from edmp.validate.spacetime import first_encounter

STOPPED = {
    "index": 0, "outcome": "STOPPED", "fault": "NO_WAY", "touched": "hand meets ball", "contacts": 0,
    "closest_m": None, "duration_s": 1.0, "replans": [], "queries": [],
}  # fmt: skip


def test_two_crossings_in_lock_step_and_one_more(tmp_path):
    out = tmp_path / "replan.jsonl"
    # What computing takes is not charged: the same on any machine, however busy.
    settings = ReplanBenchSettings(seed=3, driver="kinematic", options={"period": 5e-3}, slowdown=0.0)
    records = replan_crossings(out, settings, runs=1)
    assert [record.index for record in records] == [3]
    records = replan_crossings(out, settings, runs=2, resume=True)
    assert [record.index for record in records] == [3, 4]
    assert read_crossings(out) == records
    assert read_runs(out)[1].replan["driver"] == "kinematic"
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert ["run" in line for line in lines] == [True, False, True, False]
    assert lines[0]["run"]["replan"]["driver"] == "kinematic"
    assert list(lines[1]) == [
        "set", "index", "outcome", "fault", "message", "touched", "contacts", "closest_m", "duration_s", "replans",
        "run_s", "queries",
    ]  # fmt: skip
    for record in records:
        assert record.outcome == "REACHED", record.message
        assert record.touched is None
        assert record.closest_m > 0.0
        assert len(record.replans) > 1
        assert not record.replans[0].warm
        assert record.queries
        assert len(record.queries) == sum(one.warm for one in record.replans)
        assert all(query.warm_s > 0 and query.cold_s > 0 for query in record.queries)
    s = summarise_replans(records)
    assert (s.runs, s.reached, s.touched) == (2, 2, 0)
    assert s.closest == min(record.closest_m for record in records)


def test_a_summary_counts_what_touched_and_what_stopped():
    s = summarise_replans([CrossingRecord(**STOPPED)])
    assert (s.runs, s.reached, s.touched, s.faults) == (1, 0, 1, {"NO_WAY": 1})
    assert np.isnan(s.closest)
    assert np.isnan(s.warm)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"touched": 1}, "touched: expected text, got 1"),
        ({"replans": [{"accepted": True}, {}]}, r"replans\[1\]: missing key 'accepted'"),
        ({"queries": [{"warm_s": -1.0}]}, r"queries\[0\]: missing key 'warm_solved'"),
        ({"queries": 3}, "queries: expected a list, got 3"),
    ],
)
def test_lines_that_are_none_are_named(tmp_path, changes, says):
    path = tmp_path / "replan.jsonl"
    path.write_text(json.dumps({**STOPPED, **changes}) + "\n")
    with pytest.raises(FileFormatError, match=rf"replan\.jsonl:1: not a line of crossings: {says}"):
        read_crossings(path)


@pytest.mark.parametrize("seed", range(4))
def test_a_crossing_meets_the_straight_way_after_it_was_seen(seed):
    panda = load_robot("panda")
    crossing = make_crossing(panda, seed)
    way = retime_waypoints([crossing.start, crossing.goal], panda.limits, joint_names=panda.joint_names)
    met = first_encounter(panda, [crossing.mover], way, begin=0.15, end=0.15 + way.duration)
    low, high = CrossingSettings().notice
    assert low <= met.time - crossing.appears <= high
    again = make_crossing(panda, seed)
    np.testing.assert_array_equal(again.mover.obstacle.X_WO, crossing.mover.obstacle.X_WO)


def test_nonsense_is_refused():
    with pytest.raises(InvalidInputError, match="slowdown"):
        ReplanBenchSettings(slowdown=-1.0)


def test_the_demo_says_what_happened_and_writes_a_page(tmp_path, capsys):
    page = tmp_path / "page.html"
    arguments = ["demo", "replan", "--seed", "4", "--driver", "kinematic", "--option", "period=0.005"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--html", str(page)])
    out = capsys.readouterr().out
    assert ended.value.code == 0, out
    assert out.startswith("REACHED")
    assert "planned warm" in out
    assert "touched nothing" in out
    text = page.read_text(encoding="utf-8")
    assert '"mover"' in text
    assert '"mover there"' in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--headless", "--movie", "a.mp4"], "give one of"),
        (["--driver", "ur", "--option", "ip=10.0.0.1"], "ip"),
        (["--option", "delay"], "expected KEY=VALUE"),
    ],
)
def test_misuse_of_the_demo_is_one_line(capsys, more, message):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "replan", *more])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
