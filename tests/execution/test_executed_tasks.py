"""Tasks in Drake: an object that is held by the fingers' pressure and friction alone."""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from heavy_arm import heavy_model
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.execution import ExecutionSettings, Fault, Outcome, execute, prepare_task
from edmp.execution.drivers.drake_sim import DrakeArm
from edmp.execution.gripper import BlockingGripper
from edmp.geometry.poses import pose
from edmp.recordings.mcap_file import load_recording
from edmp.taskplan import TaskPlan

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
PLACE = np.array([[1, 0, 0, 0.55], [0, 1, 0, -0.2], [0, 0, 1, 0.24], [0, 0, 0, 1]], dtype=np.float64)


def scene(block: tuple[float, float, float] = (0.5, 0.05, 0.24)) -> edmp.Scene:
    return edmp.Scene.of(
        {
            "table": (edmp.Box((0.6, 1.0, 0.2)), (0.55, 0.0, 0.1)),
            "wall": (edmp.Box((0.3, 0.02, 0.12)), (0.55, -0.08, 0.26)),
            "block": (edmp.Box((0.05, 0.04, 0.08)), block),
        }
    )


@functools.cache
def task() -> TaskPlan:
    plan = edmp.pick_and_place(scene(), HOME, "block", PLACE, lift=0.05, lower=0.03, retreat=0.05, time_budget=60.0)
    assert plan.solved, plan.message
    return plan


def test_the_object_ends_at_its_place():
    done = execute(task())
    assert done.outcome is Outcome.REACHED, done.message
    (block,) = done.objects
    assert block.name == "block"
    assert block.error < 5e-3
    assert block.turned < 0.1
    assert f"block {1e3 * block.error:.1f} mm from its place" in done.message
    assert np.allclose(block.X_WO[:3, 3], PLACE[:3, 3], atol=5e-3)  # as it was asked for, not only as it was planned
    assert not done.recording.contacts
    assert done.phase == "retreat"


def test_a_task_is_recorded_with_gripper_and_object(tmp_path: Path):
    task().save(tmp_path / "task.json")
    record, page = tmp_path / "run.mcap", tmp_path / "run.html"
    done = CliRunner().invoke(app, ["execute", str(tmp_path / "task.json"), "--record", str(record)])
    assert done.exit_code == 0, done.output
    file = load_recording(record)
    assert file.task is not None
    assert file.plan is None
    assert [phase.name for phase in file.task.phases] == [phase.name for phase in task().phases]
    assert file.about["outcome"] == "REACHED"
    handled = file.recording.handled
    assert handled is not None
    assert np.diff(file.recording.times[handled.ticks]).max() < 0.02
    assert handled.widths[0] == pytest.approx(0.08, abs=1e-3)
    assert handled.widths.min() == pytest.approx(0.04, abs=1e-3)
    block = handled.objects["block"]
    assert np.allclose(block[0, :3, 3], (0.5, 0.05, 0.24), atol=1e-3)
    assert np.allclose(block[-1, :3, 3], PLACE[:3, 3], atol=5e-3)
    assert block[:, 2, 3].max() > 0.28  # it was lifted
    told = CliRunner().invoke(app, ["replay", str(record), "--html", str(page)])
    assert told.exit_code == 0, told.output
    assert "not measured: robot and scene change from phase to phase" in told.output
    assert page.stat().st_size > 100_000


def test_fingers_that_close_on_nothing_stop_the_task():
    elsewhere = scene((0.75, 0.3, 0.24))
    ready = prepare_task(task(), tube=None)
    arm = DrakeArm(ready.robot, ready.begin, scene=elsewhere, movable=["block"])
    done = ready.run(arm)
    assert done.outcome is Outcome.STOPPED
    assert done.violation is not None
    assert done.violation.fault is Fault.GRIPPER
    assert done.phase == "close"
    assert "close: the fingers closed to 0." in done.message
    assert "what they should hold is 40.3 mm wide" in done.message
    assert np.allclose(done.objects[0].X_WO[:3, 3], (0.75, 0.3, 0.24), atol=1e-3)


def test_a_thin_can_is_round():
    """Made of large triangles it is a hexagon, and fingers that meet two of its flats close 5 mm further."""
    can = (edmp.Cylinder(0.0184, 0.12), (0.5, 0.05, 0.26))
    standing = edmp.Scene.of({"table": (edmp.Box((0.6, 1.0, 0.2)), (0.55, 0.0, 0.1)), "can": can})
    above = edmp.Grasps(pose((0.0, 0.0, 0.03), np.diag([1.0, -1.0, -1.0])), 0.06)
    plan = edmp.pick(standing, HOME, "can", above, lift=0.02)
    assert plan.solved, plan.message
    done = execute(plan)
    assert done.outcome is Outcome.REACHED, done.message


def test_what_is_pressed_too_little_is_dropped_and_told():
    ready = prepare_task(task(), tube=None, settings=ExecutionSettings(grip_force=0.2))
    done = ready.run(DrakeArm(ready.robot, ready.begin, scene=ready.scene, movable=ready.movable))
    assert done.outcome is Outcome.STOPPED
    assert done.violation is not None
    assert (done.phase, done.violation.fault) in {("carry", Fault.GRIPPER), ("close", Fault.GRIPPER)}
    assert np.linalg.norm(done.objects[0].X_WO[:2, 3] - PLACE[:2, 3]) > 0.05


def test_a_driver_without_a_gripper_is_refused_before_anything_moves(tmp_path: Path):
    with pytest.raises(edmp.InvalidInputError, match="driver kinematic moves no gripper"):
        execute(task(), "kinematic")
    task().save(tmp_path / "task.json")
    told = CliRunner().invoke(app, ["execute", str(tmp_path / "task.json"), "--driver", "kinematic"])
    assert isinstance(told.exception, edmp.InvalidInputError)


def test_a_task_file_is_judged_again(tmp_path: Path):
    path = tmp_path / "task.json"
    task().save(path)
    dry = CliRunner().invoke(app, ["execute", str(path), "--dry-run", "--json"])
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout.strip().splitlines()[-1])["outcome"] == "READY"
    document = json.loads(path.read_text())
    for obstacles in document["scenes"]:
        for obstacle in obstacles:
            if obstacle["name"] == "wall":
                obstacle["size"][2] = 0.6
    path.write_text(json.dumps(document))
    refused = CliRunner().invoke(app, ["execute", str(path), "--json"])
    assert refused.exit_code == 1
    said = json.loads(refused.stdout.strip().splitlines()[-1])
    assert said["outcome"] == "REFUSED"
    assert "the task is not free" in said["message"]
    assert "wall" in said["message"]


def test_motions_through_narrow_places_are_slower():
    ready = prepare_task(task())
    moving = [one for one in ready.phases if one.tube is not None]
    assert {one.phase.name for one in moving} == {"reach", "carry", "retreat"}
    for one in moving:
        assert one.settings.speed <= max(0.25, one.tube.narrowest / 6e-3) + 1e-9
    quick = prepare_task(task(), tube=None)
    assert all(one.settings.speed > 0.5 for one in quick.phases)
    assert min(one.settings.speed for one in ready.phases) <= min(one.settings.speed for one in quick.phases)


def test_a_gripper_that_is_not_as_planned_is_refused():
    ready = prepare_task(task(), tube=None)
    arm = DrakeArm(ready.robot.with_gripper(0.02), ready.begin, scene=ready.scene, movable=ready.movable)
    done = ready.run(arm)
    assert done.outcome is Outcome.REFUSED
    assert "the gripper is 20.0 mm open, the task begins with 80.0 mm" in done.message


def test_calls_that_block_run_beside_the_arm():
    told, release = [], threading.Event()

    def grasp(width: float, force: float) -> bool:
        release.wait(5.0)
        told.append((width, force))
        return width > 0.01

    gripper = BlockingGripper(lambda width: told.append(width), grasp, lambda: 0.03)
    gripper.grasp(0.02, 30.0)
    assert gripper.state().moving
    assert not gripper.state().holding
    release.set()
    gripper.join()
    assert gripper.state() == type(gripper.state())(0.03, False, True)
    gripper.move(0.05)
    gripper.join()
    assert not gripper.state().holding
    assert told == [(0.02, 30.0), 0.05]
    gripper.grasp(0.0, 30.0)
    gripper.join()
    assert not gripper.state().holding

    def broken(width: float) -> None:
        raise RuntimeError("no air")

    gripper = BlockingGripper(broken, grasp, lambda: 0.03)
    gripper.move(0.05)
    gripper.join()
    with pytest.raises(edmp.execution.DriverError, match="no air"):
        gripper.state()


def test_a_task_is_adapted_to_an_arm_that_is_heavy_and_late(tmp_path: Path):
    """Late as it is, it stops on the way; recognised, it puts the block where it belongs."""
    late = {"mass_error": 0.2, "delay": 0.03}
    model = dataclasses.replace(heavy_model(), controller=dataclasses.replace(heavy_model().controller, delay=0.03))
    stopped = execute(task(), options=late, tube=None)
    assert stopped.outcome is Outcome.STOPPED
    assert stopped.violation is not None
    assert stopped.violation.fault is Fault.TRACKING
    done = execute(task(), options=late, adapt=model)
    assert done.outcome is Outcome.REACHED, done.message
    assert done.objects[0].error < 5e-3
    assert np.abs(done.recording.measured - done.recording.commanded).max() < 5e-3
    task().save(tmp_path / "task.json")
    model.save(tmp_path / "arm.safetensors")
    files = [str(tmp_path / "task.json"), "--adapt", str(tmp_path / "arm.safetensors")]
    dry = CliRunner().invoke(app, ["execute", *files, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "30.0 ms ahead" in dry.output
