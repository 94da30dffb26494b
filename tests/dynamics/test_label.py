"""What a log lacks is added, and is as near to what was as its standard deviation says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command import run

from edmp.dynamics import ArmDynamics, Controller, identify, track
from edmp.dynamics.label import label_log
from edmp.dynamics.random_arms import random_arm
from edmp.dynamics.smoothing import smoothed
from edmp.errors import InvalidInputError
from edmp.recordings import Log, read_log, write_log
from edmp.robots import load_robot

ROBOT = load_robot("panda")
NOMINAL = ArmDynamics.of(ROBOT)
ARM = random_arm(NOMINAL, np.random.default_rng(3)).arm
PERIOD, COUNT = 1e-3, 1500
CONTROLLERS = {
    "inverse-dynamics": Controller(),
    "late": Controller(delay=0.02),
    "impedance": Controller(control="impedance"),
}


def moved(controller: Controller, *, noise: float = 0.0) -> Log:
    """What an arm unlike its description does under commands, every 5 ms; all that can be known of it."""
    times = PERIOD * np.arange(1, COUNT + 1)
    ramp = np.clip(times / 0.5, 0.0, 1.0)[:, None]
    q = np.array(ROBOT.home) + 0.25 * np.sin((2 + 0.3 * np.arange(7)) * times[:, None]) * ramp**2 * (3 - 2 * ramp)
    v = np.gradient(q, PERIOD, axis=0)
    a = np.gradient(v, PERIOD, axis=0)
    found = [one[0, 4::5] for one in track(ARM, NOMINAL, (q[None], v[None], a[None]), controller, PERIOD)]
    measured = found[0] + noise * np.random.default_rng(0).standard_normal(found[0].shape)
    return Log(ROBOT.joint_names, times[4::5], measured, found[1], found[2], q[4::5])


def bare(log: Log) -> Log:
    """Times and positions alone."""
    return Log(log.joint_names, log.times, log.positions)


def rms(values: np.ndarray) -> float:
    """Not at the ends, where a filter knows one side only."""
    return float(np.sqrt(np.mean(values[10:-10] ** 2)))


def test_noise_and_derivatives_come_from_positions_alone() -> None:
    rng = np.random.default_rng(1)
    times = np.sort(np.arange(400) * 0.01 + rng.uniform(-2e-3, 2e-3, 400))
    w = np.array([2.0, 3.0, 5.0])
    q, v, a = 0.3 * np.sin(w * times[:, None]), 0.3 * w * np.cos(w * times[:, None]), 0.0
    a = -(w**2) * q
    measured = q + 1e-4 * rng.standard_normal(q.shape)
    states = smoothed(times, measured)
    np.testing.assert_allclose(states.noise, 1e-4, rtol=0.25)
    for k, (found, truth) in enumerate(
        ((states.positions, q), (states.velocities, v), (states.accelerations, a)), start=0
    ):
        assert rms((found - truth) / states.deviation[:, :, k]) < 1.3
    assert rms(states.accelerations - a) < 0.05 * rms(a)
    better = smoothed(times, measured, v + 1e-4 * rng.standard_normal(v.shape))
    assert rms(better.accelerations - a) < 0.7 * rms(states.accelerations - a)
    assert better.deviation[:, :, 2].mean() < states.deviation[:, :, 2].mean()


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_the_arm_being_known_torques_and_commands_are_found(kind: str) -> None:
    controller, truth = CONTROLLERS[kind], moved(CONTROLLERS[kind])
    log = label_log(bare(truth), ROBOT, arms=[ARM, ARM], controller=controller)
    until = slice(0, -20)  # what was commanded at the very end has not been seen yet
    assert rms((log.torques - truth.torques)[until]) < 0.03 * rms(truth.torques)
    error = rms((log.commanded - truth.commanded)[until])
    tracking = rms((truth.positions - truth.commanded)[until])
    assert error < 0.3 * tracking
    assert rms(log.velocities - truth.velocities) < 2e-3  # the simulation's are those of half a step before


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_of_an_arm_that_is_not_known_errors_are_as_large_as_is_said(kind: str) -> None:
    controller, truth = CONTROLLERS[kind], moved(CONTROLLERS[kind], noise=1e-4)
    log = label_log(bare(truth), ROBOT, controller=controller)
    until = slice(0, -20)
    for name in ("torques", "commanded"):
        error = rms((getattr(log, name) - getattr(truth, name))[until])
        assert 0.5 * error < rms(log.spread[name][until]) < 2.5 * error, name


def test_what_was_measured_stays_and_tells_the_commands() -> None:
    truth = moved(CONTROLLERS["inverse-dynamics"])
    log = label_log(dataclasses.replace(truth, commanded=None), ROBOT)
    assert log.torques is truth.torques or np.array_equal(log.torques, truth.torques)
    assert set(log.spread) == {"commanded"}
    tracking = rms(truth.positions - truth.commanded)
    assert rms(log.commanded - truth.commanded) < 0.3 * tracking
    whole = label_log(truth, ROBOT)
    assert not whole.spread


def test_logs_that_say_too_little_are_refused() -> None:
    truth = moved(CONTROLLERS["inverse-dynamics"])
    with pytest.raises(InvalidInputError, match="4 rows; accelerations need 5 or more"):
        label_log(Log(truth.joint_names, truth.times[:4], truth.positions[:4]), ROBOT)
    with pytest.raises(InvalidInputError, match=r"joints panda_joint1, .* are not those of ur5"):
        label_log(truth, load_robot("ur5"))
    with pytest.raises(InvalidInputError, match="delays: expected 1 times from 0 on"):
        label_log(bare(truth), ROBOT, arms=[ARM], delays=[-1.0])


@pytest.mark.parametrize("suffix", [".csv", ".mcap", ".npz"])
def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    write_log(tmp_path / "log.csv", bare(moved(CONTROLLERS["inverse-dynamics"])))
    out = tmp_path / f"labelled{suffix}"
    assert run("logs", "label", tmp_path / "log.csv", "--robot", "panda", "--out", out, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    log = read_log(out, robot="panda")
    assert set(said["deviations"]) == set(log.spread) == {"velocities", "torques", "commanded"}
    np.testing.assert_allclose(said["deviations"]["torques"], np.sqrt((log.spread["torques"] ** 2).mean(axis=0)))
    assert log.torques is not None
    assert log.commanded is not None
    assert run("logs", "label", tmp_path / "log.csv", "--robot", "panda", "--out", tmp_path / "x.bin") == 2
    assert "--out" in capsys.readouterr().err
    assert run("logs", "label", tmp_path / "log.csv", "--robot", "panda", "--out", tmp_path / "log.csv") == 2
    assert "is the log itself, which stays as it is" in capsys.readouterr().err


def test_an_arm_that_was_identified_labels_its_other_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    truth = moved(CONTROLLERS["late"])
    identify(truth, robot=ROBOT).save("arm.safetensors")
    write_log("log.csv", bare(truth))
    label = ("logs", "label", "log.csv", "--robot", "panda", "--out")
    assert run(*label, "known.csv", "--model", "arm.safetensors") == 0
    assert run(*label, "described.csv") == 0
    capsys.readouterr()
    known, described = (read_log(name, robot="panda") for name in ("known.csv", "described.csv"))
    until = slice(0, -20)
    for name in ("torques", "commanded"):
        error, before = (rms((getattr(log, name) - getattr(truth, name))[until]) for log in (known, described))
        assert error < 0.6 * before, name
