"""A heavy, late arm does what it is told once it has been recognised; from Python, the command line and benchmarks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from heavy_arm import HEAVY, heavy_model, plan_to, recorded

from edmp.cli import main
from edmp.dynamics import ArmModel, identify
from edmp.errors import InvalidInputError
from edmp.execution import AdaptSettings, ExecutionSettings, Outcome, execute, prepare
from edmp.execution.ahead import Ahead
from edmp.execution.driver import Command
from edmp.execution.kinematic import KinematicArm
from edmp.execution.monitor import Fault
from edmp.planfile import save_plan
from edmp.recordings import load_recording
from edmp.robots import load_robot


def off(done) -> float:
    """Largest tracking error [rad]."""
    return float(np.abs(done.recording.measured - done.recording.commanded).max())


def edmp(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(exit_.value.code or 0), printed.out, printed.err


def test_a_heavy_late_arm_stops_unless_the_motion_is_adapted_to_it():
    plan = plan_to()
    stopped = execute(plan, options=HEAVY)
    assert stopped.outcome is Outcome.STOPPED
    assert stopped.violation.fault is Fault.TRACKING
    done = execute(plan, adapt=heavy_model(), options=HEAVY)
    assert done.reached, done.message
    assert off(done) < 2e-3
    assert done.recording.lead == pytest.approx(0.02, abs=3e-4)


def test_lead_and_feed_forward_each_take_their_part_of_the_error():
    model, plan = heavy_model(), plan_to()
    without = execute(plan, adapt=model, adapting=AdaptSettings(feed_forward=False), options=HEAVY)
    both = execute(plan, adapt=model, options=HEAVY)
    assert without.reached
    assert off(both) < 0.8 * off(without)
    slow = execute(plan, adapt=model, adapting=AdaptSettings(lead=False), options=HEAVY)
    assert slow.reached
    assert 0.03 < off(slow) < 0.042  # as fast as 80 % of the limit allow
    assert slow.recording.times[-1] > 1.2 * both.recording.times[-1]


def test_under_impedance_control_a_payload_is_held_up_by_feed_forward():
    """It sags by its weight over the stiffness, and there is no integral to take that away."""
    plan, options = plan_to(), {"control": "impedance", "payload": 2.0}
    model = identify(recorded(**options), robot="panda")
    plain, adapted = execute(plan, options=options), execute(plan, adapt=model, options=options)
    assert adapted.reached
    assert off(adapted) < 0.35 * off(plain)


@pytest.mark.parametrize(
    "arm",
    [
        {"mass_error": 0.4, "delay": 0.06, "coulomb": 0.02, "viscous": 0.02},
        {"motor_error": 0.5, "delay": 0.03, "position_noise": 2e-4, "velocity_noise": 5e-3},
    ],
    ids=["heavier, later, with friction", "slower motors and noise"],
)
def test_other_arms_are_recognised_and_reach(arm):
    model = identify(recorded(0.3, **arm), robot="panda")
    assert model.delay == pytest.approx(arm["delay"], abs=1e-3)
    assert model.mass_factor[0] == pytest.approx(1.0 + arm.get("mass_error", 0.0), abs=0.05)
    friction = model.arm.coulomb / model.robot.limits.effort
    assert friction == pytest.approx(np.full(7, arm.get("coulomb", 0.0)), abs=4e-3)
    assert execute(plan_to(), options=arm).outcome is Outcome.STOPPED
    done = execute(plan_to(), adapt=model, options=arm)
    assert done.reached, done.message
    assert off(done) < 5e-3


def test_what_was_chosen_is_said(tmp_path):
    ready = prepare(plan_to(), adapt=heavy_model())
    chosen = ready.adaptation
    assert chosen is not None
    assert ready.settings.lead == chosen.lead == heavy_model().delay
    assert ready.settings.speed == chosen.speed
    assert ready.tube.settings.reaction == pytest.approx(0.03 + chosen.lead)
    assert "ms ahead" in chosen.message
    assert "% of mass" in chosen.message
    late = prepare(plan_to(), adapt=heavy_model(), adapting=AdaptSettings(lead=False)).adaptation
    assert 0.3 < late.speed < 0.9
    assert "mrad off its command, 40 are allowed" in late.message
    assert late.tracking_error <= 0.04


def test_a_motion_that_the_arm_can_run_at_no_speed_is_refused():
    model = heavy_model()
    heavier = dataclasses.replace(model, arm=model.arm.with_payload(12.0))
    done = execute(plan_to(), adapt=heavier, options=HEAVY)
    assert done.outcome is Outcome.REFUSED
    assert "even at 10% of the planned speed" in done.message
    assert len(done.recording.times) == 0


def test_models_of_other_robots_and_tasks_are_refused():
    ur5 = dataclasses.replace(load_robot("panda"), name="another")
    with pytest.raises(InvalidInputError, match="the model is of panda"):
        heavy_model().for_robot(ur5)


def test_nothing_is_fed_forward_to_a_driver_that_takes_no_accelerations():
    plan = plan_to()
    robot = plan.problem.robot
    arm = KinematicArm(robot, positions=plan.problem.start, real_time=False)
    refused = prepare(plan, adapt=heavy_model()).run(arm)
    assert refused.outcome is Outcome.REFUSED
    assert "takes no accelerations" in refused.message
    done = execute(plan, arm, adapt=heavy_model(), settings=ExecutionSettings())
    assert done.violation is None or done.violation.fault is Fault.TRACKING  # this one is not late: it is early


def test_what_is_due_was_sent_a_lead_ago():
    ahead = Ahead(0.0125, 0.005)
    due = [ahead.due(Command.hold(np.array([float(k)]))).positions[0] for k in range(6)]
    assert due == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.5, 2.5])
    prompt = Ahead(0.0, 0.005)
    assert [prompt.due(Command.hold(np.array([float(k)]))).positions[0] for k in range(3)] == [0.0, 1.0, 2.0]


def test_from_the_command_line_a_recording_makes_a_model_and_a_model_makes_it_reach(tmp_path, capsys):
    first, plan, run, model = (tmp_path / name for name in ("first.json", "plan.json", "run.mcap", "arm.safetensors"))
    one, other = plan_to(-0.7, 0.5, 0.6, -0.6, 0.8, 0.5, -0.9), plan_to()
    save_plan(first, one.problem, one.result)
    save_plan(plan, other.problem, other.result)
    heavy = [part for key, value in HEAVY.items() for part in ("--option", f"{key}={value}")]
    code, _, err = edmp(capsys, "execute", first, "--speed", "0.5", *heavy, "--record", run)
    assert code == 0, err
    code, out, err = edmp(capsys, "identify", run, "--out", model)
    assert code == 0, err
    assert "ms until commands take effect" in out
    code, out, _ = edmp(capsys, "identify", run, "--json")
    assert json.loads(out)["mass_factor"]["value"] == pytest.approx(1.2, abs=0.02)
    assert json.loads(out)["delay_s"]["value"] == pytest.approx(0.02, abs=3e-4)

    assert edmp(capsys, "execute", plan, *heavy)[0] == 1
    adapted = tmp_path / "adapted.mcap"
    code, out, err = edmp(capsys, "execute", plan, *heavy, "--adapt", model, "--record", adapted, "--json")
    assert code == 0, err
    assert "ms ahead" in err
    printed = json.loads(out)
    assert printed["adaptation"]["feed_forward"] is True
    assert printed["tracking_peak_mrad"] < 2.0
    file = load_recording(adapted)
    assert "ms ahead" in json.loads(file.about["adaptation"])["message"]
    assert file.recording.lead == pytest.approx(0.02, abs=3e-4)
    code, out, _ = edmp(capsys, "identify", adapted, "--json")  # of an arm that was led, its own delay all the same
    assert json.loads(out)["delay_s"]["value"] == pytest.approx(0.02, abs=5e-4)
    assert edmp(capsys, "execute", plan, *heavy, "--adapt", run)[0] == 0


def test_the_command_line_refuses_what_is_no_model(tmp_path, capsys):
    plan = tmp_path / "plan.json"
    save_plan(plan, plan_to().problem, plan_to().result)
    for name, content, why in (
        ("arm.safetensors", b"", "the file is empty"),
        ("run.mcap", b"nothing", "not a recording"),
        ("run.txt", b"nothing", "run.txt"),
    ):
        (tmp_path / name).write_bytes(content)
        code, _, err = edmp(capsys, "execute", plan, "--adapt", tmp_path / name)
        assert code == 2
        assert why in err
    model = heavy_model()
    other = dataclasses.replace(model.robot, name="another")
    path = tmp_path / "other.safetensors"
    ArmModel(**{**vars(model), "nominal": dataclasses.replace(model.nominal, robot=other), "arm": model.arm}).save(path)
    code, _, err = edmp(capsys, "execute", plan, "--adapt", path)
    assert code == 2
    assert "another" in err
