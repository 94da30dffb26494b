"""Arms recognised by a network: from the command line, with the one that ships and with one that was trained here."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from heavy_arm import HEAVY, LOOSE, cut, plan_to, recorded

from edmp.cli import main
from edmp.dynamics import ArmDynamics, identify
from edmp.dynamics.learned.recogniser import load_recogniser, shipped
from edmp.dynamics.least_squares import Evidence, PriorSettings, fit_torques
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError, UnknownNameError
from edmp.execution import execute
from edmp.recordings import Log, write_log
from edmp.robots import load_robot

HEAVY_MASS = 1.2


def edmp(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(exit_.value.code or 0), printed.out, printed.err


def without_torques(**options) -> Log:
    return dataclasses.replace(Log.of(recorded(**options)), torques=None)


def mass(model) -> float:
    """Of the whole arm, as a share of what is described."""
    return float(model.arm.mass.sum() / model.nominal.mass.sum())


def off(done) -> float:
    """Largest tracking error [rad]."""
    return float(np.abs(done.recording.measured - done.recording.commanded).max())


def test_without_torques_masses_are_told_by_commands_and_positions(tmp_path, capsys):
    write_log(tmp_path / "log.csv", without_torques())
    arguments = ("identify", tmp_path / "log.csv", "--robot", "panda", "--out", tmp_path / "arm.safetensors", "--json")
    code, out, err = edmp(capsys, *arguments, "--method", "learned")
    assert code == 0, err
    found = json.loads(out)
    assert found["method"] == "learned"
    assert found["mass_factor"]["value"] + found["payload_kg"]["value"] / 18.0 == pytest.approx(1.2, abs=0.05)
    assert found["delay_s"]["value"] == pytest.approx(0.02, abs=1e-4)
    assert "told by commands and positions alone" in found["unidentified"][0]
    code, out, _ = edmp(capsys, *arguments)  # by least squares, which sees nothing of it
    assert json.loads(out)["mass_factor"]["value"] == 1.0


def test_mass_is_told_from_gain_without_torques_and_friction():
    """A network alone says 1.5, and a stiffer controller to match: the closed loop knows better."""
    log = without_torques()
    noisy = log.positions + 1e-4 * np.random.default_rng(0).standard_normal(log.positions.shape)
    with pytest.warns(EdmpWarning, match="no torques"):
        model = identify(dataclasses.replace(log, positions=noisy), robot="panda", method="both")
    assert mass(model) == pytest.approx(HEAVY_MASS, abs=0.1)
    assert model.controller.bandwidth == pytest.approx(30.0, abs=2.0)
    assert model.delay == pytest.approx(0.02, abs=1e-4)


def test_an_arm_unlike_those_of_the_training_is_said_to_be():
    odd = {"payload": 4.0, "viscous": 0.1, "coulomb": 0.05, "delay": 0.055, "mass_error": 0.3, "bandwidth": 14.0}
    model = identify(recorded(**odd), robot="panda", method="learned")
    assert any("unlike those that the network was trained on" in sentence for sentence in model.unidentified)
    assert mass(model) - 1.3 == pytest.approx(4.0 / model.nominal.mass.sum(), abs=0.1)


def test_what_is_recognised_without_torques_makes_a_motion_reach():
    with pytest.warns(EdmpWarning, match="no torques"):
        model = identify(without_torques(), robot="panda", method="learned")
    done = execute(plan_to(), options=HEAVY, adapt=model)
    assert done.reached, done.message
    assert off(done) < 0.01  # as described it stops


def test_a_payload_that_no_torque_tells_of_is_held_up():
    """Impedance control has no integral: by least squares, which sees no torques, the arm sags."""
    options = {"control": "impedance", "payload": 2.0}
    log = without_torques(**options)
    ends = []
    for method in ("least-squares", "learned"):
        with pytest.warns(EdmpWarning, match="no torques"):
            model = identify(log, robot="panda", method=method)
        ends.append(off(execute(plan_to(), options=options, adapt=model, settings=LOOSE, tube=None)))
    assert ends[1] < 0.6 * ends[0]


def test_with_torques_both_are_as_good_as_least_squares():
    log = Log.of(recorded())
    plain, both = (identify(log, robot="panda", method=method) for method in ("least-squares", "both"))
    assert mass(both) == pytest.approx(HEAVY_MASS, abs=0.03)
    assert both.payload[1] < plain.payload[1]  # commands tell something, too
    learned = identify(log, robot="panda", method="learned")
    assert mass(learned) == pytest.approx(HEAVY_MASS, abs=0.1)


def test_what_is_recognised_follows_the_recording():
    with pytest.warns(EdmpWarning, match="no torques"):
        model = identify(without_torques(payload=2.0, delay=0.005), robot="panda", method="learned")
    assert model.payload[0] > 1.0
    assert model.delay == pytest.approx(0.005, abs=2e-3)


def test_evidence_that_says_nothing_changes_nothing_and_no_prior_counts_twice(panda):
    nominal, d = ArmDynamics.of(panda), 13 * panda.dof
    prior = PriorSettings(bodies=(0.15,))
    nothing = Evidence(np.zeros((d, d)), np.zeros(d), 0.0, 1.0)
    before = fit_torques(nominal, None, 8.0, prior)
    assert np.allclose(fit_torques(nominal, None, 8.0, prior, nothing).covariance, before.covariance)
    told = np.zeros((d, d))
    told[0, 0] = 1.0 / before.covariance[0, 0]  # as sure of the first body's mass as one was before
    once = fit_torques(nominal, None, 8.0, prior, Evidence(told, np.zeros(d), 0.0, 1.0))
    assert once.covariance[0, 0] == pytest.approx(before.covariance[0, 0] / 2.0)
    twice = fit_torques(nominal, None, 8.0, prior, Evidence(2.0 * told, np.zeros(d), 0.0, 1.0))
    assert twice.covariance[0, 0] == pytest.approx(before.covariance[0, 0] / 3.0)


def test_a_wider_prior_is_wider_in_everything_but_noise():
    prior = PriorSettings()
    wide = prior.widened(4.0)
    assert (wide.mass_factor, wide.friction, wide.noise) == (2 * prior.mass_factor, 2 * prior.friction, prior.noise)
    assert wide.bodies == tuple(2 * scale for scale in prior.bodies)


def test_what_is_missing_is_named(tmp_path, capsys):
    log = without_torques()
    with pytest.raises(UnknownNameError, match="unknown method 'guess'"):
        identify(log, robot="panda", method="guess")
    with pytest.raises(InvalidInputError, match="neither commands nor torques"):
        identify(dataclasses.replace(log, commanded=None, commanded_velocities=None), robot="panda", method="learned")
    with pytest.raises(InvalidInputError, match="network: only for method learned or both"):
        identify(log, robot="panda", network=shipped(load_robot("panda")))
    with pytest.raises(InvalidInputError, match=r"ships for ur5, only for panda"):
        shipped(load_robot("ur5"))
    other = dataclasses.replace(load_robot("panda"), name="another")
    with pytest.raises(InvalidInputError, match="the network is of panda with 7 joints, not of another"):
        identify(log, robot=other, method="learned", network=shipped(load_robot("panda")))
    slow = dataclasses.replace(
        log, **{name: getattr(log, name)[::50] for name in ("times", "positions", "velocities", "commanded")},
        commanded_velocities=None,
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="has 20 rows a second, the network was trained with 50"):
        identify(slow, robot="panda", method="learned")
    write_log(tmp_path / "log.csv", log)
    (tmp_path / "network.safetensors").write_bytes(b"")
    code, _, err = edmp(
        capsys, "identify", tmp_path / "log.csv", "--robot", "panda", "--method", "both", "--network",
        tmp_path / "network.safetensors",
    )  # fmt: skip
    assert code == 2
    assert "network.safetensors" in err


def test_a_network_is_trained_from_the_command_line_and_its_run_goes_on(tmp_path, capsys):
    motions, run = tmp_path / "motions", tmp_path / "run"
    generate = ("dynamics", "generate", "--excitation", "motions", "--distribution", "wide", "--pool", 1)
    code, _, err = edmp(capsys, *generate, "--out", motions, "--count", 24, "--shard", 24, "--workers", 1)
    assert code == 0, err
    train = ("dynamics", "train", "--model", "recogniser", "--data", motions, "--out", run, "--config", "directions=6")
    sizes = ("--config", "width=16", "--config", "hidden=16", "--batch-size", 8, "--threads", 1)
    for steps in (2, 4):
        code, out, err = edmp(capsys, *train, *sizes, "--max-steps", steps)
        assert code == 0, err
    assert "steps: 4" in out
    network = load_recogniser(run / "recogniser.safetensors")
    assert network.network.config.directions == 6
    model = identify(recorded(), robot="panda", method="learned", network=network)
    assert model.method == "learned"
    with pytest.raises(FileFormatError, match="'recogniser', not"):
        network_of_another_kind(run / "recogniser.safetensors")
    code, _, err = edmp(capsys, *train, *sizes, "--max-steps", 4, "--robot", "ur5")
    assert code == 2
    assert "of 'panda', not of 'ur5'" in err


def network_of_another_kind(path):
    from edmp.dynamics.learned.inverse import load_inverse

    load_inverse(path)


def test_cut_recordings_are_refused_as_ever():
    with pytest.raises(InvalidInputError, match="too short"):
        identify(cut(recorded(), slice(0, 300)), robot="panda", method="learned")
