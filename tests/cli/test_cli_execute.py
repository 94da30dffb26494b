"""``edmp execute`` and ``edmp replay`` on an arm in Drake: exit codes, Ctrl-C, what is recorded."""

import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import edmp.execution.prepared as prepared
from edmp.cli import main
from edmp.errors import InvalidInputError
from edmp.execution import Outcome, execute, prepare
from edmp.planfile import load_plan, load_result, save_plan
from edmp.problem import Problem
from edmp.recordings.mcap_file import load_recording
from edmp.result import PlanResult, Solution, Stage, Stats, Status
from edmp.robots import load_robot
from edmp.robots.kinematics import body_poses
from edmp.scenes import Box, Scene
from edmp.timing import retime_waypoints

FAR = Scene.of({"box": (Box((0.1, 0.1, 0.1)), (1.5, 0.0, 0.5))})


def edmp(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(exit_.value.code or 0), printed.out, printed.err


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    panda = load_robot("panda")
    there = panda.home + np.array([0.9, 0.2, 0.1, 0.3, -0.2, 0.2, 0.4])
    trajectory = retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    solution = Solution(np.stack([panda.home, there]), trajectory, 1.2, 0.3)
    result = PlanResult(Status.SOLVED, "certified", solution, (), Stats(Stage.SAMPLE, 0.1))
    save_plan(path, Problem(panda, FAR, panda.home, there), result)
    return path


def test_runs_records_and_is_replayed(plan, tmp_path, capsys):
    record = tmp_path / "run.mcap"
    code, out, err = edmp(capsys, "execute", plan, "--record", record, "--speed", "0.5", "--json")
    assert code == 0, err
    printed = json.loads(out)
    assert printed["outcome"] == "REACHED"
    assert printed["contacts"] == 0
    assert printed["tracking_peak_mrad"] < 1.0
    file = load_recording(record)
    assert file.plan is not None
    assert file.about["speed"] == "0.5"
    code, out, err = edmp(capsys, "replay", record, "--summary", "--json")
    assert code == 0, err
    assert json.loads(out)["duration_s"] == pytest.approx(printed["duration_s"])


def test_a_dry_run_moves_nothing(plan, tmp_path, capsys):
    code, out, _ = edmp(capsys, "execute", plan, "--dry-run", "--record", tmp_path / "run.mcap")
    assert code == 0
    assert "READY" in out
    assert not (tmp_path / "run.mcap").exists()


def test_a_stop_is_recorded_whole(plan, tmp_path, capsys):
    record = tmp_path / "run.mcap"
    code, out, _ = edmp(capsys, "execute", plan, "--option", "delay=0.2", "--record", record, "--json")
    assert code == 1
    assert json.loads(out)["fault"] == "TRACKING"
    file = load_recording(record)
    assert file.about["outcome"] == "STOPPED"
    assert np.abs(file.recording.measured_velocities[-1]).max() < 0.02


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_controlled_stop(plan, tmp_path, number):
    record = tmp_path / "run.mcap"
    begin = "import edmp.cli.execute as e, os, threading\nrun = e._run\n"
    # The signal comes half a second after the motion begins, however long loading takes.
    begin += f"e._run = lambda *a: (threading.Timer(0.5, os.kill, (os.getpid(), {int(number)})).start(), run(*a))[1]\n"
    arguments = ["execute", str(plan), "--speed", "0.01", "--record", str(record)]
    code = f"{begin}from edmp.cli import main\nmain({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    file = load_recording(record)
    assert file.about["outcome"] == "INTERRUPTED"
    assert np.abs(file.recording.measured_velocities[-1]).max() < 0.02


def test_what_was_recorded_survives_an_error(plan, tmp_path, monkeypatch):
    record, whole = tmp_path / "run.mcap", prepared.run

    def broken(*arguments, on_tick, **options):
        ticks = itertools.count()

        def fail(*_) -> None:
            if next(ticks) == 100:
                raise RuntimeError("the unexpected")

        return whole(*arguments, on_tick=fail, **options)

    monkeypatch.setattr(prepared, "run", broken)
    with pytest.raises(RuntimeError, match="the unexpected"):
        main(["execute", str(plan), "--record", str(record)])
    file = load_recording(record)
    assert file.about["outcome"] == "CUT_SHORT"
    assert "the unexpected" in file.about["message"]
    assert len(file.recording.seen) >= 100


def test_a_killed_process_leaves_no_half_recording(plan, tmp_path):
    record = tmp_path / "run.mcap"
    arguments = ["execute", str(plan), "--speed", "0.01", "--record", str(record)]
    process = subprocess.Popen([sys.executable, "-m", "edmp", *arguments], stderr=subprocess.DEVNULL)
    time.sleep(4.0)
    process.kill()
    process.wait(timeout=10)
    assert not record.exists()


def test_a_plan_that_touches_is_refused(plan, tmp_path, capsys):
    file = load_plan(plan)
    where = body_poses(file.problem.robot, torch.as_tensor(file.result.best.trajectory.at(0.5))[None])[0, -1, :3, 3]
    blocked = Scene.of({"box": (Box((0.1, 0.1, 0.1)), where.numpy())})
    save_plan(tmp_path / "blocked.json", dataclasses.replace(file.problem, scene=blocked), file.result)
    code, out, err = edmp(capsys, "execute", tmp_path / "blocked.json")
    assert code == 1, err
    assert "REFUSED the motion is not free" in out
    from_python = execute(load_plan(tmp_path / "blocked.json"))
    assert from_python.outcome is Outcome.REFUSED
    assert f"REFUSED {from_python.message}" in out
    assert not len(from_python.recording.seen)
    loaded = load_result(tmp_path / "blocked.json")
    assert execute(loaded, driver="kinematic").message == from_python.message


def test_limits_are_looked_at_alike_by_the_command_and_from_python(plan, tmp_path, capsys):
    file = load_plan(plan)
    best = file.result.best
    fast = dataclasses.replace(best.trajectory, velocities=3.0 * best.trajectory.velocities)
    result = dataclasses.replace(file.result, best=dataclasses.replace(best, trajectory=fast))
    save_plan(tmp_path / "fast.json", file.problem, result)
    code, out, err = edmp(capsys, "execute", tmp_path / "fast.json")
    assert code == 1, err
    refused = execute(load_plan(tmp_path / "fast.json"))
    assert refused.outcome is Outcome.REFUSED
    assert f"REFUSED {refused.message}" in out


def test_python_slows_down_and_stops_as_the_command_does(plan, capsys):
    _, _, err = edmp(capsys, "execute", plan, "--dry-run", "--effort", "0.27")
    ready = prepare(load_plan(plan), effort=0.27)
    assert f"slowed down to {ready.settings.speed:.0%}" in err
    assert ready.tube is not None
    done = execute(load_plan(plan), options={"delay": 0.2})
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault.value == "TRACKING"
    with pytest.raises(InvalidInputError, match="numbered from 0"):
        execute(load_plan(plan), motion=1)
    with pytest.raises(InvalidInputError, match="does not know its problem"):
        execute(dataclasses.replace(load_plan(plan).result, problem=None))
    with pytest.raises(InvalidInputError, match="speed"):
        execute(load_plan(plan), speed=0.0)


def test_it_says_when_it_slows_down(plan, capsys):
    code, _, err = edmp(capsys, "execute", plan, "--dry-run", "--effort", "0.27")
    assert code == 0
    assert "slowed down to" in err
    assert "of its torque" in err
