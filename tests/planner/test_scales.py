"""Shares of the speed and acceleration limits: honoured by the timing, the same way, from every front door."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import edmp
from edmp.cli import main
from edmp.errors import FileFormatError, InvalidInputError
from edmp.planner import Planner, record_plan
from edmp.problem import load_problem, save_problem
from edmp.robots import load_robot
from edmp.scenes.moveit_request import MoveItRequest
from edmp.scenes.moveit_write import save_moveit_request, save_moveit_scene

PANDA = load_robot("panda")
BALL = edmp.Scene.of({"ball": (edmp.Sphere(0.05), (0.5, 0.0, 0.9))})
START = PANDA.home
GOAL = START + np.array([0.8, 0.1, 0.0, 0.1, 0.0, 0.0, 0.3])
JOINTS = PANDA.joint_names


def shares(trajectory: edmp.Trajectory) -> tuple[float, float]:
    """The largest shares of the velocity and the acceleration limits that a motion uses."""
    limits = PANDA.limits
    velocity = (np.abs(trajectory.velocities) / limits.velocity).max()
    return float(velocity), float((np.abs(trajectory.accelerations) / limits.acceleration).max())


def write_moveit(folder: Path, **scales: float) -> tuple[Path, Path]:
    save_moveit_scene(folder / "scene.yaml", BALL)
    start, goal = (dict(zip(JOINTS, map(float, q), strict=True)) for q in (START, GOAL))
    save_moveit_request(folder / "request.yaml", MoveItRequest(start, (goal,), **scales))
    return folder / "scene.yaml", folder / "request.yaml"


def test_motions_keep_to_shares_of_the_limits() -> None:
    full = edmp.plan(BALL, START, GOAL)
    slow = edmp.plan(BALL, START, GOAL, velocity_scale=0.1, acceleration_scale=0.2)
    assert full.best
    assert slow.best
    np.testing.assert_array_equal(full.path, slow.path)
    velocity, acceleration = shares(slow.best.trajectory)
    assert 0.09 < velocity <= 0.1
    assert acceleration <= 0.2
    assert slow.best.duration > 5 * full.best.duration
    weak = edmp.plan(BALL, START, GOAL, acceleration_scale=0.05)
    assert weak.best
    assert 0.04 < shares(weak.best.trajectory)[1] <= 0.05
    assert weak.problem
    assert (weak.problem.velocity_scale, weak.problem.acceleration_scale) == (1.0, 0.05)


def test_alternatives_leads_from_outside_and_records_are_slow_as_well() -> None:
    start = START.copy()
    start[0] = PANDA.limits.upper[0] + 5e-4
    result = edmp.plan(BALL, start, START, velocity_scale=0.1, acceleration_scale=0.1, num_alternatives=2)
    assert result.best
    for one in (result.best, *result.alternatives):
        assert max(shares(one.trajectory)) <= 0.1 + 1e-12
    trace = record_plan(Planner("panda"), BALL, START, GOAL, velocity_scale=0.1, name="slow")
    assert trace.plan.result.best
    assert shares(trace.plan.result.best.trajectory)[0] <= 0.1
    assert trace.plan.problem.velocity_scale == 0.1


def test_a_moveit_request_and_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, request = write_moveit(tmp_path, velocity_scale=0.1, acceleration_scale=0.5)
    problem = load_problem(scene, request)
    assert (problem.velocity_scale, problem.acceleration_scale) == (0.1, 0.5)
    out = tmp_path / "plan.json"

    def planned(*options: str) -> tuple[edmp.PlanFile, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["plan", "--scene", str(scene), "--request", str(request), "--out", str(out), *options])
        assert not exit_.value.code
        return edmp.load_plan(out), capsys.readouterr().out

    plan, report = planned()
    assert plan.result.best
    assert 0.09 < shares(plan.result.best.trajectory)[0] <= 0.1
    assert "0.1 of the velocity limits, 0.5 of the acceleration limits" in report
    assert (plan.problem.velocity_scale, plan.problem.acceleration_scale) == (0.1, 0.5)
    assert json.loads(out.read_text())["velocity_scale"] == 0.1
    plan, report = planned("--velocity-scale", "1", "--acceleration-scale", "1")
    assert plan.result.best
    assert shares(plan.result.best.trajectory)[0] > 0.5
    assert "limits" not in report


def test_a_factor_of_zero_is_one_that_is_not_set(tmp_path: Path) -> None:
    scene, request = write_moveit(tmp_path)
    text = request.read_text().replace("max_velocity_scaling_factor: 1", "max_velocity_scaling_factor: 0")
    assert "factor: 0" in text
    request.write_text(text)
    assert load_problem(scene, request).velocity_scale == 1.0
    request.write_text(text.replace("max_velocity_scaling_factor: 0", "max_velocity_scaling_factor: 1.5 #"))
    with pytest.raises(FileFormatError, match=r"request.yaml:\d+: max_velocity_scaling_factor: .*got 1.5"):
        load_problem(scene, request)


def test_problem_and_plan_files_keep_them(tmp_path: Path) -> None:
    problem = edmp.Problem(PANDA, BALL, START, GOAL, velocity_scale=0.25)
    save_problem(tmp_path / "a.yaml", problem)
    back = load_problem(tmp_path / "a.yaml")
    assert (back.velocity_scale, back.acceleration_scale) == (0.25, 1.0)
    (tmp_path / "b.yaml").write_text((tmp_path / "a.yaml").read_text().replace("0.25", "2.5"))
    with pytest.raises(FileFormatError, match=r"b.yaml:\d+: velocity_scale: .*in \(0, 1\], got 2.5"):
        load_problem(tmp_path / "b.yaml")
    result = edmp.plan(BALL, START, GOAL)
    result.save(tmp_path / "plan.json")
    document = json.loads((tmp_path / "plan.json").read_text())
    del document["velocity_scale"], document["acceleration_scale"]  # as older files are
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert edmp.load_plan(tmp_path / "old.json").problem.velocity_scale == 1.0


@pytest.mark.parametrize("scale", [0, -1, 1.0001, math.nan, math.inf, "slow", None, [0.5]])
@pytest.mark.parametrize("name", ["velocity_scale", "acceleration_scale"])
def test_what_is_no_share_is_refused_by_name(name: str, scale: object) -> None:
    with pytest.raises(InvalidInputError, match=rf"{name} must be (in \(0, 1\]|a number), got "):
        edmp.plan(BALL, START, GOAL, **{name: scale})  # type: ignore[arg-type]
