"""The closed loop in one launch against the arm in Drake on the same commands."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

import edmp
from edmp.dynamics import ArmDynamics, Controller, track
from edmp.errors import EdmpError, InvalidInputError
from edmp.execution import Command

sim = pytest.importorskip("edmp.execution.drivers.drake_sim")

Array = NDArray[np.float64]
FAULTS = {"mass_error": 0.2, "payload": 1.0, "motor_error": -0.3, "viscous": 0.02, "coulomb": 0.01, "delay": 0.02}


@pytest.fixture(scope="module")
def motion() -> edmp.Trajectory:
    problem = edmp.load_example("bookshelf")
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    assert result.best is not None
    return result.best.trajectory


def commands(motion: edmp.Trajectory, dt: float, rest: float = 0.2) -> tuple[Array, Array, Array]:
    """Positions, velocities, accelerations (1, T, dof) of a motion and the rest after it."""
    q, v, a = motion.sample(np.arange(0.0, motion.duration + rest, dt))
    return q[None], v[None], a[None]


def in_drake(robot: edmp.Robot, reference: tuple[Array, Array, Array], settings: sim.DrakeSimSettings) -> Array:
    """(3, T, dof) positions, velocities, torques."""
    q, v, a = (part[0] for part in reference)
    answers = []
    with sim.DrakeArm(robot, q[0], settings=settings) as arm:
        for row in range(len(q)):
            arm.command(Command(q[row], v[row], a[row]))
            state = arm.wait()
            answers.append((state.positions, state.velocities, state.torques))
    return np.array(answers).transpose(1, 0, 2)


def truth(robot: edmp.Robot, settings: sim.DrakeSimSettings) -> ArmDynamics:
    return ArmDynamics.of(
        robot,
        rotor_inertia=settings.rotor_inertia * (1.0 + settings.motor_error),
        mass_error=settings.mass_error,
        payload=settings.payload,
        viscous=settings.viscous,
        coulomb=settings.coulomb,
    )


@pytest.mark.parametrize("control", ["inverse-dynamics", "impedance"])
def test_a_planned_motion_goes_as_in_drake(panda: edmp.Robot, motion: edmp.Trajectory, control: str) -> None:
    settings = sim.DrakeSimSettings(control=control, **FAULTS)
    controller = Controller(control=control, delay=settings.delay)
    reference = commands(motion, settings.period)
    ours = np.array(track(truth(panda, settings), ArmDynamics.of(panda), reference, controller, settings.period))[:, 0]
    drake = in_drake(panda, reference, settings)
    assert np.abs(drake[0] - reference[0]).max() > 0.02  # these faults show
    assert np.abs(ours[0] - drake[0]).max() < 1e-4
    assert np.abs(ours[1] - drake[1]).max() < 2e-3


def test_substeps_are_those_of_drake(panda: edmp.Robot, motion: edmp.Trajectory) -> None:
    settings = sim.DrakeSimSettings(period=4e-3, coulomb=0.01)
    q, v, a = commands(motion, settings.period)
    reference = (q[:, :150], v[:, :150], a[:, :150])
    given = (truth(panda, settings), ArmDynamics.of(panda), reference, Controller(), settings.period)
    ours = track(*given, substeps=4)
    drake = in_drake(panda, reference, settings)
    assert np.abs(ours[0][0] - drake[0]).max() < 1e-4
    sparse = track(*given, substeps=4, every=10)
    np.testing.assert_allclose(sparse[0], ours[0][:, 9::10])
    assert sparse[2].shape == (1, 15, 7)


def test_rows_have_arms_and_controllers_of_their_own(panda: edmp.Robot, motion: edmp.Trajectory) -> None:
    nominal = ArmDynamics.of(panda)
    arms = [nominal.with_payload(mass) for mass in (0.0, 1.0, 2.0)]
    controllers = [Controller(control="impedance"), Controller(), Controller(delay=0.01)]
    reference = commands(motion, 2e-3)
    q, _, tau = track(arms, nominal, reference, controllers, 2e-3)
    for i in range(3):
        alone = track(arms[i], nominal, reference, controllers[i], 2e-3)
        np.testing.assert_array_equal(alone[0][0], q[i])
        np.testing.assert_array_equal(alone[2][0], tau[i])
    off = np.abs(q - reference[0]).max(axis=(1, 2))
    assert off[0] < 1e-2 < off[2]


def test_a_motor_that_is_too_weak_gives_all_it_has(panda: edmp.Robot, motion: edmp.Trajectory) -> None:
    weak = dataclasses.replace(panda, limits=dataclasses.replace(panda.limits, effort=0.6 * panda.limits.effort))
    settings = sim.DrakeSimSettings(rotor_inertia=0.05)
    reference = commands(motion, 1e-3, rest=0.0)
    ours = track(truth(weak, settings), truth(weak, settings), reference, Controller(), 1e-3)
    drake = in_drake(weak, reference, settings)
    assert (np.abs(ours[2]) <= weak.limits.effort + 1e-12).all()
    assert (np.abs(ours[2]) >= weak.limits.effort - 1e-12).sum() > 10
    assert np.abs(ours[0][0] - drake[0]).max() < 1e-4


def test_friction_in_drake_is_a_number_or_one_for_each_joint(panda: edmp.Robot) -> None:
    """At rest it holds an arm up whose gravity nobody compensates for; without it the arm falls."""
    shares = np.array([0.02] * 7)
    for coulomb in (0.02, tuple(shares * panda.limits.effort)):
        viscous, sticks = sim.friction_of(sim.DrakeSimSettings(coulomb=coulomb), panda)
        np.testing.assert_allclose(sticks, shares * panda.limits.effort)
        assert not viscous.any()
    with pytest.raises(EdmpError, match="coulomb: panda has 7 joints, got 2 numbers"):
        sim.DrakeArm(panda, panda.home, settings=sim.DrakeSimSettings(coulomb=(0.1, 0.2)))
    for wrong in (-0.1, "much", float("nan"), (0.1, -0.2)):
        with pytest.raises(EdmpError, match="viscous must be a number of at least 0"):
            sim.DrakeSimSettings(viscous=wrong)


def test_friction_shows_as_error_and_a_controller_that_knows_it_has_less(
    panda: edmp.Robot, motion: edmp.Trajectory
) -> None:
    reference = commands(motion, 1e-3)
    rough = ArmDynamics.of(panda, viscous=0.02, coulomb=0.01)
    error = [
        np.abs(track(rough, believed, reference, Controller(), 1e-3)[0] - reference[0]).max()
        for believed in (ArmDynamics.of(panda), rough)
    ]
    assert error[1] < 0.5 * error[0]


def test_closed_loops_that_make_no_sense(panda: edmp.Robot) -> None:
    arm, still = ArmDynamics.of(panda), np.zeros((2, 5, 7))
    with pytest.raises(InvalidInputError, match=r"reference: expected velocities \(n, T, 7\)"):
        track(arm, arm, (still, still[:, :4], still), Controller(), 1e-3)
    with pytest.raises(InvalidInputError, match="arms: expected 1 or 3, one a row, got 2"):
        track([arm, arm], [arm] * 3, (still[:1], still[:1], still[:1]), Controller(), 1e-3)
    with pytest.raises(InvalidInputError, match="every must be at least 1"):
        track(arm, arm, (still, still, still), Controller(), 1e-3, every=0)
    with pytest.raises(EdmpError, match="control"):
        Controller(control="pid")
