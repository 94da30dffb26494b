"""The second opinion."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command import run
from plan_cases import straight, write_problems

from edmp.bench import find_problems
from edmp.bench.planners import PlannerSpec
from edmp.bench.records import Record, blank_record
from edmp.bench.rejudge import rejudge, with_mesh_hulls
from edmp.errors import MissingDependencyError
from edmp.files.json_lines import LineWriter
from edmp.problem import load_example
from edmp.robots import load_robot


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems", {"table": 1})


def believed(problems: Path, planner: str, path: np.ndarray | None = None) -> Record:
    """The line of a planner that was believed, straight through the shelf if nothing else is given."""
    (entry,) = find_problems(problems)
    record = blank_record(entry, PlannerSpec(planner, planner), robot="panda", seed=0)
    path = straight(load_example("bookshelf")).path if path is None else path
    return dataclasses.replace(record, claimed=True, solved=True, status="SOLVED", path=path.tolist(), length_rad=1.0)


def test_the_second_opinion_finds_what_was_overlooked(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every planner in the file; claims that were refuted need no second opinion."""
    records = [believed(problems, "edmp"), believed(problems, "chomp:time_budget=5")]
    refuted = dataclasses.replace(believed(problems, "stomp"), solved=False, status="REFUTED", refuted="collides")
    opinions = rejudge([*records, refuted], find_problems(problems), workers=1)
    assert [opinion.planner for opinion in opinions] == ["edmp", "chomp:time_budget=5"]
    for opinion in opinions:
        assert opinion.hulls
        assert not opinion.ends
        assert not opinion.clean
    out = tmp_path / "results.jsonl"
    with LineWriter(out, append=False) as writer:
        for line in ({"run": {"command": "edmp bench run"}}, *(each.to_line() for each in [*records, refuted])):
            writer.write(line)
    assert run("bench", "judge", out, "--problems", problems, "--workers", 1) == 1
    report = capsys.readouterr().out
    assert "2 of 2 paths called solved were judged, every 5 mrad" in report
    assert "chomp:time_budget=5 table/1: hulls: " in report


def test_missed_ends_and_limits(problems: Path) -> None:
    path = straight(load_example("bookshelf")).path.copy()
    path[0][0] += 0.01
    path[-1][3] = 1.0
    (opinion,) = rejudge([believed(problems, "edmp", path)], find_problems(problems), workers=1)
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
