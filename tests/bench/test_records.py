"""Files of results: what older ones leave out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edmp.bench import Record, parse_specs, read_records, read_runs
from edmp.bench.runner import refuse_mixture
from edmp.robots.errors import FileFormatError, InvalidInputError

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
    assert read_runs(path) == [{"seed": 0}, {"seed": 1}]


def test_what_is_no_results_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"r.jsonl:2: missing key 'index'"):
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
