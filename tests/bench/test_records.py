"""Files of results: what older ones leave out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edmp.bench import Record, parse_specs, read_records, read_runs
from edmp.bench.provenance import RunDescription
from edmp.bench.report.build import write_report
from edmp.bench.report.sources import load
from edmp.bench.runner import refuse_mixture
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.files.json_lines import LineWriter

OLD = {
    "set": "a", "index": 1, "planner": "edmp", "robot": "panda", "seed": 0, "version": "0.1.0", "solved": True,
    "status": "SOLVED", "message": "", "time_s": 0.1, "options": {"fallback": True}, "path": [[0.0]],
}  # fmt: skip


def write(path: Path, *lines: dict) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_older_files_still_load(tmp_path: Path) -> None:
    (record,) = read_records(write(tmp_path / "r.jsonl", OLD))
    assert record.claimed
    assert record.refuted is None
    assert record.coarse_solved is None
    assert record.sparc is None
    assert {key: getattr(record, key) for key in OLD} == OLD
    assert read_runs(tmp_path / "r.jsonl") == []


def test_runs_are_no_records(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"run": {"seed": 0}}, OLD, {"run": {"seed": 1}})
    assert [record.index for record in read_records(path)] == [1]
    assert read_runs(path) == [RunDescription(seed=0), RunDescription(seed=1)]
    assert [run.to_line() for run in read_runs(path)] == [
        {"run": {"versions": {}, "options": {}, "seed": seed}} for seed in (0, 1)
    ]
    with pytest.raises(FileFormatError, match=r"r.jsonl:1: not a line of bench results: run.cores: expected a whole"):
        read_runs(write(tmp_path / "r.jsonl", {"run": {"cores": "two"}}))


def test_what_is_no_results_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"r.jsonl:2: not a line of bench results: missing key 'index'"):
        read_records(write(tmp_path / "r.jsonl", OLD, {"set": 1}))
    with pytest.raises(InvalidInputError, match="no such file"):
        read_records(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("spec", "seed", "changes", "says"),
    [
        ("edmp", 0, {}, None),
        ("edmp", 0, {"options": {}}, None),
        ("chomp", 0, {"version": "0.0.1"}, None),  # another planner's version does not matter
        ("chomp", 1, {}, "made with seed 0, now 1"),
        ("chomp", 0, {"robot": "ur5"}, "made with robot ur5, now panda"),
        ("edmp", 0, {"version": "0.0.1"}, "made with version 0.0.1, now "),
        ("edmp", 0, {"options": {"fallback": False}}, "made with fallback False, now True"),
        ("edmp", 0, {"options": {"fallback": True, "num_seeds": 7}}, "made with num_seeds 7, now 48"),
    ],
)
def test_a_file_holds_one_robot_one_seed_and_each_planner_as_it_is(
    spec: str, seed: int, changes: dict, says: str | None
) -> None:
    def check() -> None:
        specs = parse_specs([spec], {})
        refuse_mixture([Record(**{**OLD, **changes})], specs, robot="panda", seed=seed, path=Path("r.jsonl"))

    if says is None:
        check()
        return
    with pytest.raises(InvalidInputError, match=says):
        check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"solved": "yes"}, "solved: expected true or false, got 'yes'"),
        ({"set": None}, "set: expected text, got None"),
        ({"index": 1.5}, "index: expected a whole number, got 1.5"),
        ({"time_s": -1.0}, r"time_s: expected a number from 0 to 1e\+07, got -1.0"),
        ({"length_rad": 1e308}, r"length_rad: expected a number from 0 to 1e\+09, got 1e\+308"),
        ({"options": [1]}, "options: expected an object with keys, got a list of 1"),
        ({"path": [[0.0], [0.0, 1.0]]}, r"path: expected numbers \(any, any\), got rows of different lengths"),
        ({"sparc": "a"}, "sparc: expected a number, got 'a'"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(FileFormatError, match=f"r.jsonl:2: not a line of bench results: {says}"):
        read_records(write(tmp_path / "r.jsonl", OLD, {**OLD, **changes}))


def test_keys_of_a_newer_edmp_are_left_out_with_a_word(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", OLD, {**OLD, "joules": 3.0})
    with pytest.warns(EdmpWarning, match="keys of a newer edmp are left out: 'joules'"):
        assert len(read_records(path)) == 2


def test_a_line_is_written_as_it_is_read(tmp_path: Path) -> None:
    with LineWriter(tmp_path / "w.jsonl", append=False) as writer:
        record = Record(**OLD, claimed=True, timings={"judge": 0.1}, coarse_solved=True)
        writer.write(record.to_line())
    assert read_records(tmp_path / "w.jsonl") == [record]


def test_committed_baselines_are_read() -> None:
    for path in (Path(__file__).parents[2] / "benchmarks").glob("*.jsonl"):
        assert any(record.solved and record.length_rad for record in read_records(path))


def test_names_are_no_markup_and_no_mathematics(tmp_path: Path) -> None:
    records = [{**OLD, "planner": planner, "set": "$a_{", "length_rad": 1.0} for planner in ("[/b]", "$x_{", "c")]
    path = write(tmp_path / "r.jsonl", *records)
    write_report(load([path]), tmp_path / "report")
    assert "$x_{" in (tmp_path / "report" / "index.html").read_text()
