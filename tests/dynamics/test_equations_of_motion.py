"""Our equations of motion against Drake's, against energy, and against the law of friction."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edmp.dynamics.arm import FRICTION_SPEED, ArmDynamics
from edmp.dynamics.simulate import GRAVITY, forward_dynamics, inverse_dynamics, rollout
from edmp.errors import InvalidInputError
from edmp.robots import Robot
from edmp.robots.kinematics import body_poses

Array = NDArray[np.float64]


def states(robot: Robot, count: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Positions within the limits, velocities, and torques within the limits, or accelerations (count, dof)."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(robot.limits.lower, robot.limits.upper, (count, robot.dof))
    most = np.minimum(robot.limits.effort, 20.0)  # Drake cuts torques off at the limits, too
    return q, rng.normal(size=q.shape), most * rng.uniform(-1.0, 1.0, q.shape)


def relative(ours: Array, theirs: Array) -> float:
    """The largest difference in a row, against the largest number of the row."""
    return float((np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)).max())


def test_both_directions_agree_with_drake(any_robot: Robot) -> None:
    drake = pytest.importorskip("edmp.execution.drivers.drake_plant")
    from pydrake.multibody.tree import MultibodyForces

    model: Any = drake.make_model(any_robot, rotor_inertia=0.007)
    context, arm = model.CreateDefaultContext(), ArmDynamics.of(any_robot)
    q, v, a = states(any_robot, 1000)
    forces, torques, accelerations = MultibodyForces(model), [], []
    for i in range(len(q)):
        model.SetPositions(context, q[i])
        model.SetVelocities(context, v[i])
        model.CalcForceElementsContribution(context, forces)
        torques.append(model.CalcInverseDynamics(context, a[i], forces))
        model.get_actuation_input_port().FixValue(context, a[i])  # the same numbers as torques
        accelerations.append(model.get_generalized_acceleration_output_port().Eval(context))
    assert relative(inverse_dynamics(arm, q, v, a), np.array(torques)) < 1e-6
    assert relative(forward_dynamics(arm, q, v, a), np.array(accelerations)) < 1e-6


def test_a_payload_is_what_drake_makes_of_it(panda: Robot) -> None:
    drake = pytest.importorskip("edmp.execution.drivers.drake_plant")
    inertia = drake._body_inertia(panda, panda.tool.body, 1.0, 1.5, ())
    heavy, again = ArmDynamics.of(panda, payload=1.5), ArmDynamics.of(panda).with_payload(1.5)
    tip = panda.tool.body - 1
    assert heavy.mass[tip] == pytest.approx(inertia.get_mass())
    np.testing.assert_allclose(heavy.com_B[tip], inertia.get_com(), atol=1e-12)
    about_centre = inertia.Shift(inertia.get_com()).CalcRotationalInertia().CopyToFullMatrix3()
    np.testing.assert_allclose(heavy.I_C_B[tip], about_centre, atol=1e-12)
    np.testing.assert_allclose(again.inertial_parameters(), heavy.inertial_parameters(), atol=1e-12)


def with_friction(arm: ArmDynamics) -> ArmDynamics:
    return dataclasses.replace(arm, viscous=np.linspace(0.1, 2.0, arm.dof), coulomb=np.linspace(0.2, 1.0, arm.dof))


def test_directions_are_inverse_with_friction_and_an_arm_a_row(any_robot: Robot) -> None:
    arm = ArmDynamics.of(any_robot)
    arms = [with_friction(arm), arm, dataclasses.replace(arm, mass=1.2 * arm.mass, armature=0.5 * arm.armature)]
    q, v, tau = states(any_robot, 3)
    a = forward_dynamics(arms, q, v, tau)
    np.testing.assert_allclose(inverse_dynamics(arms, q, v, a), tau, atol=1e-9)
    for i, one in enumerate(arms):
        np.testing.assert_array_equal(forward_dynamics(one, q[i : i + 1], v[i : i + 1], tau[i : i + 1]), a[i : i + 1])


def test_the_law_of_friction(panda: Robot) -> None:
    smooth = ArmDynamics.of(panda)
    rough = with_friction(smooth)
    q, v, a = states(panda, 50)
    v[0] = 0.0
    v[1] = 0.3 * FRICTION_SPEED
    torque = inverse_dynamics(rough, q, v, a) - inverse_dynamics(smooth, q, v, a)
    np.testing.assert_allclose(torque, rough.viscous * v + rough.coulomb * np.tanh(v / FRICTION_SPEED), atol=1e-10)


def energy(arm: ArmDynamics, q: Array, v: Array) -> Array:
    """(n,) kinetic, from the torques that accelerate the arm, and potential, from where its masses are [J]."""
    X_WB = body_poses(arm.robot, torch.as_tensor(q)).numpy()[:, 1:]
    height = (X_WB[..., :3, :3] @ arm.com_B[..., None])[..., 2, 0] + X_WB[..., 2, 3]
    still = np.zeros_like(q)
    momentum = inverse_dynamics(arm, q, still, v) - inverse_dynamics(arm, q, still, still)
    return 0.5 * (v * momentum).sum(1) + GRAVITY * height @ arm.mass


def test_energy_is_conserved_without_friction_and_lost_with_it(any_robot: Robot) -> None:
    arm = ArmDynamics.of(any_robot)
    q0, v0, _ = states(any_robot, 4, seed=1)
    still = np.zeros((4, 500, any_robot.dof))
    for one, conserved in ((arm, True), (with_friction(arm), False)):
        q, v = rollout(one, q0, v0, still, 1e-3, substeps=20)
        before = energy(one, q0, v0)
        kinetic = (energy(one, q[:, -1], v[:, -1]) - energy(one, q[:, -1], 0 * v[:, -1])).max()
        change = np.array([energy(one, q[:, t], v[:, t]) for t in range(0, 500, 50)]) - before
        if conserved:
            assert np.abs(change).max() < 1e-3 * kinetic
        else:
            assert (np.diff(change, axis=0) < 1e-3).all()
            assert (change[-1] < -0.1).all()


def test_friction_stops_a_joint_and_does_not_turn_it_round(panda: Robot) -> None:
    """However strong it is for the step: explicit steps would shake."""
    arm = dataclasses.replace(ArmDynamics.of(panda), coulomb=np.full(7, 50.0))
    q0 = panda.home[None]
    hold = inverse_dynamics(arm, q0, 0 * q0, 0 * q0)
    q, v = rollout(arm, q0, np.full((1, 7), 0.5), np.repeat(hold[:, None], 400, axis=1), 5e-3)
    assert np.abs(v[0, -1]).max() < 1e-3
    assert np.abs(np.diff(q[0, -50:], axis=0)).max() < 1e-5


def test_parameters_go_there_and_back(any_robot: Robot) -> None:
    arm = ArmDynamics.of(any_robot)
    again = arm.with_parameters(arm.inertial_parameters(), viscous=1.0, coulomb=np.arange(any_robot.dof))
    np.testing.assert_allclose(again.com_B, arm.com_B, atol=1e-12)
    np.testing.assert_allclose(again.I_C_B, arm.I_C_B, atol=1e-12)
    np.testing.assert_array_equal(again.coulomb, np.arange(any_robot.dof))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": np.ones(3)}, "mass: expected"),
        ({"coulomb": np.full(7, np.nan)}, "coulomb: expected finite"),
        ({"armature": -np.ones(7)}, "armature: that of panda_joint1 is -1, below zero"),
    ],
)
def test_arms_that_cannot_be(panda: Robot, change: dict[str, Array], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        dataclasses.replace(ArmDynamics.of(panda), **change)


def test_batches_that_do_not_go_together(panda: Robot) -> None:
    arm = ArmDynamics.of(panda)
    q = np.zeros((2, 7))
    with pytest.raises(InvalidInputError, match=r"v: expected shape \(2, 7\)"):
        forward_dynamics(arm, q, q[:, :6], q)
    with pytest.raises(InvalidInputError, match="expected 1 or 2"):
        forward_dynamics([arm] * 3, q, q, q)
    with pytest.raises(InvalidInputError, match="same robot"):
        forward_dynamics([arm, ArmDynamics.of(panda.with_gripper(0.02))], q, q, q)
    with pytest.raises(InvalidInputError, match="dt must be above 0"):
        rollout(arm, q, q, np.zeros((2, 5, 7)), 0.0)
