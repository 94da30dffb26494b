"""Constraints and regions in problem files, plan files and on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command import run

import edmp
from edmp.constraints import Constraint
from edmp.constraints.documents import document_of
from edmp.geometry.poses import pose_rpy

START = np.array([0, -0.785, 0, -2.356, 0, 1.571, 0.785])
DOWN = (0.0, 0.0, -1.0)
SCENE = edmp.Scene.of({"wall": (edmp.Box((0.1, 0.2, 0.4)), (1.2, 0.0, 0.3))}).with_region(
    "tray", (1.0, 1.5, 1.2), (0.5, 0.1, 0.5), (0, 0, 0.6, 0.8)
)
EVERY: tuple[Constraint, ...] = (
    edmp.Upright(1.0, axis=(0, 0, 2), up=DOWN, frame="panda_hand"),
    edmp.Oriented(pose_rpy((0, 0, 0), (np.pi, 0.1, 0.2))[:3, :3], (1.0, 1.5, np.inf)),
    edmp.InBox((2.0, np.inf, 3.0), pose_rpy((0.1, 0.2, 0.3), (0, 0, 0.4)), frame="panda_link5"),
    edmp.InRegion("tray", offset=(0, 0, 0.05)),
    edmp.InSphere(1.0, (0.3, 0.1, 0.4), frame="panda_link6", offset=(0.1, 0, 0)),
    edmp.OnPlane((0, 0, 0.5), (0.1, 0, 1), 0.4),
    edmp.OnLine((0.3, 0, 0.5), (0, 1, 0.1), 0.4),
    edmp.LookAt((0.4, 0, 0), 1.0),
    edmp.JointRange("panda_joint4", -2.6, -1.5),
    edmp.KeepDistance("wall", 0.05),
)


def problem(*constraints: Constraint) -> edmp.Problem:
    goal = START + np.array([0.3, 0.1, 0, 0, 0, 0, 0])
    return edmp.Problem(edmp.load_robot("panda"), SCENE, START, goal, "kept", constraints=constraints)


def test_a_problem_file_holds_every_kind(tmp_path: Path) -> None:
    edmp.save_problem(tmp_path / "problem.yaml", problem(*EVERY))
    read = edmp.load_problem(tmp_path / "problem.yaml")
    assert [str(one) for one in read.constraints] == [str(one) for one in EVERY]
    assert_same(read.constraints)
    assert read.scene.obstacles == SCENE.obstacles
    (tray,) = read.scene.regions
    assert tray.size.tolist() == SCENE.region("tray").size.tolist()
    assert np.allclose(tray.X_WR, SCENE.region("tray").X_WR, atol=1e-15)


def assert_same(read: tuple[Constraint, ...]) -> None:
    for one, other in zip(read, EVERY, strict=True):
        a, b = document_of(one), document_of(other)
        assert a.keys() == b.keys()
        for key, value in a.items():
            if isinstance(value, list):
                assert [x is None for x in value] == [x is None for x in b[key]]
                assert [x for x in value if x is not None] == pytest.approx([x for x in b[key] if x is not None])
            else:
                assert value == b[key]


def test_a_plan_file_holds_every_kind_and_what_was_proved(tmp_path: Path) -> None:
    asked = problem(*EVERY)
    result = edmp.plan(asked.scene, asked.start, asked.goal, robot=asked.robot, constraints=asked.constraints)
    assert result.solved, result.message
    result.save(tmp_path / "plan.json")
    read = edmp.load_result(tmp_path / "plan.json")
    assert read.problem is not None
    assert_same(read.problem.constraints)
    assert read.problem.scene == SCENE
    assert [one.message() for one in read.kept] == [one.message() for one in result.kept]
    assert all(a.constraint is b for a, b in zip(read.kept, read.problem.constraints, strict=True))
    judge = edmp.Judge(asked.robot, asked.scene, constraints=read.problem.constraints)
    assert judge.check_path(read.path).valid
    assert json.loads((tmp_path / "plan.json").read_text())["edmp_plan"] == 2


def test_a_plan_file_without_constraints_is_one_that_older_versions_read(tmp_path: Path) -> None:
    asked = dataclasses.replace(problem(), scene=edmp.Scene(SCENE.obstacles))
    result = edmp.plan(asked.scene, asked.start, asked.goal, robot=asked.robot)
    result.save(tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text())["edmp_plan"] == 1


NATIVE = """edmp_scene: 1
start: [0, -0.785, 0, -2.356, 0, 1.571, 0.785]
goal: [0.3, -0.785, 0, -2.356, 0, 1.571, 0.785]
regions:
  tray: {size: [1, 1, 1], position: [0.5, 0, 0.5]}
constraints:
  - {type: upright, tolerance: 0.1, up: [0, 0, -1]}
  - LINE
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{type: up, tolerance: 0.1}", "unknown type of constraint 'up'; valid: upright, oriented"),
        ("{type: upright}", "missing key 'tolerance' of upright"),
        ("{type: upright, tolerance: 4}", "Upright tolerance must be above 0 and at most 3.142, got 4"),
        ("{type: upright, tolerance: 1, tol: 2}", "unknown key 'tol' of upright; valid: tolerance, axis, up, frame"),
        ("{type: upright, tolerance: 1, frame: hand}", "unknown tool frame 'hand'; valid: .*panda_hand"),
        ("{type: in_region, region: tary}", "unknown region 'tary'; valid: tray. Did you mean 'tray'"),
        ("{type: keep_distance, obstacle: a, distance: 1}", "unknown obstacle to keep a distance from: 'a'"),
        ("{type: joint_range, joint: j, lower: 0, upper: 1}", "unknown joint 'j'; valid: panda_joint1"),
        (
            "{type: oriented, tolerance: [1, 1, 1], rpy: [0, 0, 0], quaternion: [0, 0, 0, 1]}",
            "give either quaternion or",
        ),
        ("[1, 2]", "expected a mapping with the key type"),
    ],
)
def test_what_is_wrong_in_a_problem_file_is_told_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "problem.yaml"
    path.write_text(NATIVE.replace("LINE", line))
    with pytest.raises(edmp.FileFormatError, match=rf"problem.yaml:8: constraints\[1\]: .*{message}"):
        edmp.load_problem(path)


def test_the_command_keeps_to_what_file_and_options_say(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "problem.yaml", tmp_path / "plan.json"
    path.write_text(NATIVE.replace("LINE", "{type: in_region, region: tray}"))
    options = ("--keep-upright", "0.2", "--joint-range", "panda_joint4 -2.5 -2", "--in-region", "tray", "--out", out)
    assert run("plan", "--scene", path, *options) == 0
    report = capfd.readouterr().out
    assert "tool upright within 5.73 deg: at most" in report
    assert "tool upright within 11.5 deg: at most" in report
    assert "panda_joint4 in -2.5 to -2: 8.25 deg to spare" in report
    assert "tool in region tray" in report
    read = edmp.load_plan(out).problem
    assert len(read.constraints) == 5
    assert len(edmp.load_result(out).kept) == 5
    upright = read.constraints[2]
    assert isinstance(upright, edmp.Upright)
    assert upright.axis.tolist() == [0, 0, -1]  # the tool points down: its -z is up

    ends = ("--start", "0 -0.785 0 -2.356 0 1.571 0.785", "--goal", "0 -0.785 0 -2.356 0 1.871 0.785")
    assert run("plan", "--scene", path, *ends) == 1  # the file's own constraints hold for other ends, too
    assert "GOAL_BREAKS_CONSTRAINT goal: tool upright within 5.73 deg: it is" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--keep-upright", "4"), "Upright tolerance"),
        (("--keep-distance", "wall"), "--keep-distance: expected a name and 1 number, got 'wall'"),
        (("--joint-range", "panda_joint4 -2"), "--joint-range: expected a name and 2 numbers"),
        (("--in-region", "nowhere"), "unknown region 'nowhere'"),
        (("--keep-distance", "nothing 0.1"), "unknown obstacle to keep a distance from: 'nothing'"),
    ],
)
def test_what_is_wrong_with_an_option(option: tuple[str, str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--scene", "bookshelf", *option) == 2
    assert message in capfd.readouterr().err


def test_a_motion_is_judged_with_its_constraints_before_it_is_executed(tmp_path: Path) -> None:
    from edmp.execution import prepare

    asked = problem(edmp.Upright(0.1, up=DOWN))
    result = edmp.plan(asked.scene, START, START + np.array([0.3, 0, 0, 0, 0, 0, 0]), constraints=asked.constraints)
    assert prepare(result).refusal is None
    tighter = dataclasses.replace(
        result, problem=dataclasses.replace(asked, constraints=(edmp.JointRange("panda_joint1", -0.1, 0.2),))
    )
    refusal = prepare(tighter).refusal
    assert refusal is not None
    assert "panda_joint1 in -0.1 to 0.2: it is 5.73 deg outside" in refusal
