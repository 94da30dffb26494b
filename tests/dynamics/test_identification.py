"""An arm is recognised from a recording in Drake; and recordings that tell nothing are refused in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from heavy_arm import HEAVY, cut, heavy_model, plan_to, recorded

from edmp.dynamics import ArmDynamics, ArmModel, Controller, identify, inverse_dynamics, track
from edmp.dynamics.delay import find_delay
from edmp.dynamics.least_squares import PriorSettings, arm_of, fit_torques, parameters_of
from edmp.dynamics.regressor import friction_columns, inertial_regressor
from edmp.dynamics.signals import Signals
from edmp.dynamics.untold import base_parameters
from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.execution import execute
from edmp.recordings import Log
from edmp.robots import Robot, load_robot


def random_states(robot: Robot, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low, high = np.maximum(robot.limits.lower, -3.0), np.minimum(robot.limits.upper, 3.0)
    q = rng.uniform(low, high, (rows, robot.dof))
    return q, rng.normal(size=q.shape), rng.normal(size=q.shape)


def test_torques_are_linear_in_the_parameters(any_robot):
    rng = np.random.default_rng(1)
    arm = ArmDynamics.of(any_robot)
    arm = arm.with_parameters(viscous=rng.uniform(0, 2, arm.dof), coulomb=rng.uniform(0, 2, arm.dof))
    q, v, a = random_states(any_robot, 20)
    viscous, coulomb = friction_columns(v)
    linear = inertial_regressor(any_robot, q, v, a) @ arm.inertial_parameters().ravel()
    linear += arm.armature * a + arm.viscous * viscous + arm.coulomb * coulomb
    assert np.abs(linear - inverse_dynamics(arm, q, v, a)).max() < 1e-9


def test_a_panda_has_43_base_parameters(panda):
    assert base_parameters(panda) == 43  # Gaz et al. 2019


def test_masses_friction_and_motors_are_found_from_torques(panda):
    rng = np.random.default_rng(2)
    nominal = ArmDynamics.of(panda)
    mass = nominal.inertial_parameters() * rng.uniform(0.8, 1.3, (panda.dof, 1))
    real = nominal.with_parameters(
        mass, armature=1.2 * nominal.armature, viscous=rng.uniform(0.2, 1, 7), coulomb=rng.uniform(0.2, 1, 7)
    )
    t = np.arange(0.0, 20.0, 0.01)[:, None]
    rates, phases = rng.uniform(0.5, 4.0, panda.dof), rng.uniform(0, 6, panda.dof)
    q = panda.home + 0.4 * np.sin(rates * t + phases)
    v, a = 0.4 * rates * np.cos(rates * t + phases), -0.4 * rates**2 * np.sin(rates * t + phases)
    tau = inverse_dynamics(real, q, v, a) + rng.normal(scale=0.02, size=q.shape)
    fit = fit_torques(nominal, Signals(t[:, 0], q, v, a, tau), 8.0, PriorSettings())
    assert np.abs(fit.arm.viscous - real.viscous).max() < 0.05
    assert np.abs(fit.arm.coulomb - real.coulomb).max() < 0.1  # its edge is smoothed away by the filter
    q, v, a = panda.home + 0.3 * rng.normal(size=(50, 7)), rng.normal(size=(50, 7)), rng.normal(size=(50, 7))
    before, after = (np.abs(inverse_dynamics(x, q, v, a) - inverse_dynamics(real, q, v, a)) for x in (nominal, fit.arm))
    assert after.max() < 0.1 * before.max()
    columns = np.concatenate([inertial_regressor(panda, q, v, a), np.zeros((50, 7, 21))], axis=2)
    for k, values in enumerate((a, *friction_columns(v))):
        columns[:, range(7), range(70 + 7 * k, 77 + 7 * k)] = values
    said = np.sqrt(np.einsum("nji,ik,njk->nj", columns, fit.covariance, columns))
    assert np.mean(after < 2.0 * said) > 0.9  # as sure as it says
    assert np.mean(after > 0.1 * said) > 0.5  # and no less


def test_bodies_that_cannot_exist_are_made_so_that_they_can(panda):
    nominal = ArmDynamics.of(panda)
    parameters = parameters_of(nominal)
    parameters[40:44] = 0.5, 0.0, 0.0, 0.4  # mass 0.5 kg, its centre 0.8 m away: more inertia than there is
    parameters[70] = -0.1
    arm = arm_of(nominal, parameters)
    assert arm.armature[0] == 0.0
    for k in range(panda.dof):
        moments = np.linalg.eigvalsh(arm.I_C_B[k])
        assert arm.mass[k] > 0.0
        assert moments[0] > 0.0
        assert moments[0] + moments[1] >= moments[2]  # no three axes turn like this otherwise


def test_a_delay_is_found_to_a_fraction_of_a_tick(panda):
    times = np.arange(0.0, 2.0, 4e-3)
    trajectory = plan_to().result.best.trajectory
    measured = trajectory.at(times - 0.0173) + np.random.default_rng(0).normal(scale=1e-4, size=(len(times), 7))
    found = find_delay(times, trajectory.at(times), measured)
    assert found.delay == pytest.approx(0.0173, abs=1e-4)
    assert found.deviation < 2e-4


def test_a_heavy_late_arm_is_recognised_from_one_slow_motion():
    model = heavy_model()
    assert model.mass_factor[0] == pytest.approx(1.2, abs=0.02)
    assert model.payload[0] == pytest.approx(0.0, abs=0.03)
    assert model.delay == pytest.approx(0.02, abs=3e-4)
    assert (model.controller.control, model.controller.bandwidth) == ("inverse-dynamics", 30.0)
    assert model.arm.mass.sum() / model.nominal.mass.sum() == pytest.approx(1.2, abs=0.02)
    assert (model.arm.coulomb < 3e-3 * model.robot.limits.effort).all()  # there is none


def test_a_payload_is_told_from_a_heavy_arm_and_the_controller_from_how_it_gives_way():
    model = identify(recorded(payload=1.0, control="impedance"), robot="panda")
    assert model.mass_factor[0] == pytest.approx(1.0, abs=0.02)
    assert model.payload[0] == pytest.approx(1.0, abs=0.03)
    assert model.controller.control == "impedance"
    assert model.controller.stiffness == 7.0
    assert model.delay < 2e-4  # what sags and rubs is not late


def test_what_is_predicted_is_what_drake_does():
    model, plan = heavy_model(), plan_to()
    trajectory = plan.result.best.trajectory
    from heavy_arm import LOOSE

    done = execute(plan, options=HEAVY, settings=LOOSE, tube=None)
    with pytest.raises(InvalidInputError, match=r"must end in \.safetensors"):
        model.save("arm.mcap")  # which would be read as a recording
    predicted = model.predict(trajectory, num_samples=16)
    measured = np.abs(done.recording.measured - done.recording.commanded).max(axis=0)
    assert measured.max() > 0.05
    assert np.abs(predicted.peak_errors(0.5) - measured).max() < 2e-3
    assert (measured < predicted.peak_errors(0.99) + 2e-4).all()
    peak = np.abs(done.recording.torques / model.robot.limits.effort).max(axis=0)
    assert np.abs(predicted.peak_torques(0.5) - peak).max() < 0.03
    band = predicted.error_quantile(0.9) - predicted.error_quantile(0.1)
    assert band.shape == predicted.due.shape
    assert (band >= 0.0).all()


def test_samples_are_reproducible_and_the_first_is_the_estimate():
    model = heavy_model()
    arms, delays = model.draws(3, seed=5)
    assert arms[0] is model.arm
    assert delays[0] == model.delay
    again, _ = model.draws(3, seed=5)
    other, _ = model.draws(3, seed=6)
    assert (parameters_of(arms[2]) == parameters_of(again[2])).all()
    assert (parameters_of(arms[2]) != parameters_of(other[2])).any()


def test_a_model_is_saved_and_read_and_of_one_robot(tmp_path):
    model, path = heavy_model(), tmp_path / "arm.safetensors"
    model.save(path)
    read = ArmModel.load(path)
    assert (parameters_of(read.arm) == parameters_of(model.arm)).all()
    assert (read.covariance == model.covariance).all()
    assert read.controller == model.controller
    assert read.unidentified == model.unidentified
    with pytest.raises(InvalidInputError, match="is a model of panda"):
        ArmModel.load(path, robot=load_robot("ur5"))
    with pytest.raises(InvalidInputError, match="the model is of panda"):
        model.for_robot(load_robot("ur5"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError):
        ArmModel.load(path)


def test_a_log_without_torques_tells_the_delay_alone():
    recording = recorded()
    with pytest.warns(EdmpWarning, match="no torques"):
        model = identify(cut(recording, slice(None), torques=np.zeros_like(recording.torques)), robot="panda")
    assert model.delay == pytest.approx(0.02, abs=3e-4)
    assert (parameters_of(model.arm) == parameters_of(model.nominal)).all()
    assert "no torques" in model.unidentified[0]


def test_joints_in_another_order_are_put_in_order_by_their_names():
    recording = recorded()
    log = Log.of(recording)
    order = [3, 1, 0, 2, 6, 5, 4]
    model = identify(log.with_joints([recording.joint_names[k] for k in order]), robot="panda")
    assert model.mass_factor[0] == pytest.approx(1.2, abs=0.02)


def test_columns_of_other_joints_are_noticed():
    recording, order = recorded(), [3, 1, 0, 2, 6, 5, 4]
    with pytest.raises(InvalidInputError, match="no arm like panda explains these torques"):
        identify(cut(recording, slice(None), torques=recording.torques[:, order]), robot="panda")


def test_what_no_arm_like_this_one_could_have_done_is_refused_or_warned_of():
    log = Log.of(recorded())
    weightless = 1e3 * np.diff(log.velocities, axis=0, prepend=log.velocities[:1])
    jumping = np.where(np.arange(len(log.times))[:, None] == 1000, 1e4, log.torques)
    blind = {"commanded": None, "commanded_velocities": None, "torques": None}
    for changed, why in (
        ({"torques": weightless}, "the likeliest one weighs 0.0. of what is described.* without gravity"),
        ({"times": 1e3 * log.times}, "has 1 rows a second, too few.*are its times seconds"),
        (blind, "neither commands nor torques"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            identify(dataclasses.replace(log, **changed), robot="panda")
    with pytest.warns(EdmpWarning, match="reach 1e\\+04, beyond its effort limit"):
        identify(dataclasses.replace(log, torques=jumping), robot="panda")


def test_a_log_of_20_rows_a_second_will_do():
    log = Log.of(recorded())
    tables = ("times", "positions", "velocities", "torques", "commanded", "commanded_velocities")
    slow = dataclasses.replace(log, **{name: getattr(log, name)[::50] for name in tables})
    model = identify(slow, robot="panda")
    assert model.mass_factor[0] == pytest.approx(1.2, abs=0.03)
    assert model.delay == pytest.approx(0.02, abs=1e-3)


def test_recordings_that_tell_nothing_are_refused():
    whole = recorded()
    for recording, why in (
        (cut(whole, slice(0, 300)), "too short"),
        (cut(whole, slice(None), measured=whole.measured[:1] + 0 * whole.measured), "too still"),
        (cut(whole, np.r_[0:200, 400:600, 800:1100]), "gaps, the longest"),
        (cut(whole, np.r_[0:500, 400:900]), "runs backwards"),
        (_with_nan(whole), "panda_joint3"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            identify(recording, robot="panda")
    with pytest.raises(InvalidInputError, match="does not say which arm"):
        identify(whole)
    with pytest.raises(InvalidInputError, match="ur5"):
        identify(whole, robot="ur5")


def _with_nan(recording):
    measured = recording.measured.copy()
    measured[17, 2] = np.nan
    return dataclasses.replace(recording, measured=measured)


def test_a_gap_leaves_the_longest_piece():
    whole = recorded()
    with pytest.warns(EdmpWarning, match="1 gaps, the longest"):
        model = identify(cut(whole, np.r_[0:100, 400 : len(whole.times)]), robot="panda")
    assert model.mass_factor[0] == pytest.approx(1.2, abs=0.02)


def test_what_a_joint_that_stands_still_does_not_tell_is_named():
    done = execute(plan_to(0.5, 0.3, 0.0, 0.3, 0.4, 0.3, 0.4), options=HEAVY, speed=0.5)
    model = identify(done.recording, robot="panda")
    assert any("too still for panda_joint3" in sentence for sentence in model.unidentified)
    assert not any("too still for panda_joint2" in sentence for sentence in model.unidentified)


def test_the_closed_loop_that_is_identified_is_that_which_was_simulated(panda):
    """Recordings of our own closed loop, with friction and a slow controller, so that nothing of Drake's is needed."""
    nominal = ArmDynamics.of(panda)
    real = nominal.with_payload(0.8).with_parameters(viscous=np.full(7, 0.8))
    trajectory = plan_to().result.best.trajectory
    times = 1e-3 * np.arange(1, 4000)
    reference = tuple(
        part * scale for part, scale in zip(trajectory.sample(times * 0.5), (1.0, 0.5, 0.25), strict=True)
    )
    q, v, tau = track(
        real, nominal, tuple(part[None] for part in reference), Controller(bandwidth=20.0, delay=0.03), 1e-3
    )
    log = Log(panda.joint_names, times, q[0], v[0], tau[0], reference[0], reference[1])
    model = identify(log, robot=panda)
    assert model.delay == pytest.approx(0.03, abs=2e-3)
    assert model.controller.bandwidth == 20.0
    assert model.payload[0] == pytest.approx(0.8, abs=0.05)
    assert np.abs(model.arm.viscous - 0.8).max() < 0.2
