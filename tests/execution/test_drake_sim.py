"""An arm in Drake: follows, sags, is pushed, touches what it is told to touch, and rests when nobody commands."""

import time

import numpy as np
import pytest
import torch

from edmp.errors import EdmpError, InvalidInputError, UnknownNameError
from edmp.execution import DriverError, ExecutionSettings, Fault, Outcome, run, summarise
from edmp.execution.driver import Command
from edmp.execution.drivers import DRIVERS, driver_options, make_driver
from edmp.execution.drivers.drake_plant import make_model
from edmp.execution.drivers.drake_sim import DrakeArm, DrakeSimSettings
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Sphere
from edmp.robots import load_robot
from edmp.robots.inertia import link_inertia
from edmp.robots.kinematics import body_poses
from edmp.scenes.scene import Scene
from edmp.timing import retime_waypoints
from edmp.validate import Judge


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def motion(panda):
    there = panda.home + np.array([0.5, 0.2, 0.1, 0.3, -0.2, 0.2, 0.4])
    return retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)


def executed(panda, motion, *, scene=None, **settings):
    with DrakeArm(panda, motion.positions[0], scene=scene, settings=DrakeSimSettings(**settings)) as arm:
        return run(motion, arm)


def potential_gradient(robot, q, step=1e-6):
    """dV/dq of all links' weight, by central differences over our own kinematics: torques that hold the arm."""

    def potential(at):
        X_WB = body_poses(robot, torch.as_tensor(at)[None])[0].numpy()
        parts = [(link.body, link_inertia(link)) for link in robot.links]
        return sum(9.81 * i.mass * (X_WB[b] @ np.append(i.com_B, 1.0))[2] for b, i in parts if i is not None)

    return np.array([(potential(q + d) - potential(q - d)) / (2 * step) for d in step * np.eye(robot.dof)])


@pytest.mark.parametrize("name", ["panda", "ur5"])
def test_holding_still_takes_the_torques_that_potential_energy_says(name):
    robot = load_robot(name)
    with DrakeArm(robot, robot.home) as arm:
        for _ in range(5):
            state = arm.wait()
    np.testing.assert_allclose(state.torques, potential_gradient(robot, robot.home), atol=0.02)
    np.testing.assert_allclose(state.positions, robot.home, atol=1e-5)
    assert not state.external_torques.any()
    assert state.contact is None


@pytest.mark.parametrize("control", ["inverse-dynamics", "impedance"])
def test_follows_a_motion_closely(panda, motion, control):
    done = executed(panda, motion, control=control)
    assert done.outcome is Outcome.REACHED, done.message
    summary = summarise(done.recording)
    assert summary.tracking_peak < 1.0
    assert summary.num_contacts == 0
    assert (np.abs(done.recording.torques) <= panda.limits.effort).all()
    np.testing.assert_allclose(np.diff(done.recording.times), 1e-3, atol=1e-9)


def test_unknown_masses_show_as_sag_under_impedance_and_are_integrated_away_otherwise(panda, motion):
    sag = summarise(executed(panda, motion, control="impedance", mass_error=0.2, period=5e-3).recording)
    integrated = executed(panda, motion, payload=1.0, period=5e-3)
    assert 4.0 < sag.tracking_peak < 20.0
    assert summarise(integrated.recording).tracking_peak < sag.tracking_peak
    assert integrated.reached


def test_a_delay_is_the_delay(panda, motion):
    lag = {}
    for delay in (0.0, 0.02):
        arm = DrakeArm(panda, motion.positions[0], settings=DrakeSimSettings(delay=delay))
        with arm:
            moved = []
            for k in range(120):
                target = motion.sample((k + 1) * arm.period)
                arm.command(Command(*target))
                moved.append(arm.wait().positions)
        lag[delay] = np.array(moved)
    np.testing.assert_allclose(lag[0.02][20:], lag[0.0][:-20], atol=1e-6)


def test_torques_are_cut_off_at_the_effort_limits(panda, motion):
    with DrakeArm(panda, motion.positions[0]) as arm:
        arm.command(Command.hold(panda.home + 0.5))
        state = arm.wait()
        state = arm.wait()
    assert np.abs(state.torques).max() == pytest.approx(87.0)
    assert (np.abs(state.torques) <= panda.limits.effort).all()


def test_noise_is_seeded_and_on_the_measurement(panda, motion):
    first, again, other = (
        executed(panda, motion, position_noise=1e-4, velocity_noise=1e-3, seed=seed, period=5e-3) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.recording.measured, again.recording.measured)
    assert np.abs(first.recording.measured - other.recording.measured).max() > 1e-4
    assert first.reached


@pytest.mark.parametrize(
    "shape",
    [
        Box((0.1, 0.1, 0.1)),
        Cylinder(0.05, 0.1),
        Capsule(0.05, 0.1),
        Sphere(0.05),
        "convex mesh",
        "hollow mesh",
    ],
)
def test_touching_is_seen_named_felt_and_stops_the_motion(panda, motion, shape):
    """An obstacle in the way, at the tool; the judge says where."""
    import trimesh

    if shape == "convex mesh":
        made = trimesh.creation.icosphere(subdivisions=1, radius=0.06)
        shape = Mesh(made.vertices, made.faces)
    elif shape == "hollow mesh":
        made = trimesh.creation.annulus(r_min=0.02, r_max=0.06, height=0.1, sections=16)
        shape = Mesh(made.vertices, made.faces)
    X_WB = body_poses(panda, torch.as_tensor(motion.at(0.75 * motion.duration))[None])[0, -1].numpy()
    tip = (X_WB @ panda.tool.X_BT)[:3, 3]
    scene = Scene.of({"post": (shape, tip)})
    assert Judge(panda, scene).check(motion.positions[0]).valid
    assert not Judge(panda, scene).check_path(motion.positions).valid
    done = executed(panda, motion, scene=scene)
    assert done.outcome is Outcome.STOPPED
    assert done.violation.fault is Fault.CONTACT
    assert '"post"' in done.message or "post" in done.message
    assert np.abs(done.recording.external_torques).max() > 1.0
    assert np.abs(done.recording.measured_velocities[-1]).max() < ExecutionSettings().rest_velocity


def test_inside_a_hollow_mesh_there_is_room(panda):
    """Drake's point contact would take the convex hull."""
    import trimesh

    shell = trimesh.creation.annulus(r_min=1.5, r_max=1.6, height=4.0, sections=16)
    scene = Scene.of({"shell": (Mesh(shell.vertices, shell.faces), (0.0, 0.0, 0.0))})
    assert Judge(panda, scene).check(panda.home).valid
    with DrakeArm(panda, panda.home, scene=scene) as arm:
        assert arm.wait().contact is None
        assert arm.wait().contact is None


def test_links_that_collide_touch_and_those_that_always_overlap_do_not(panda):
    folded = np.array([0.0, 1.0, 0.0, -3.0, 0.0, 0.3, 0.0])
    verdict = Judge(panda, Scene()).check(folded)
    with DrakeArm(panda, folded) as arm:
        contact = arm.wait().contact
    assert (contact is not None) == (not verdict.valid)
    assert not verdict.valid, "the case is meant to collide"
    assert {tuple(sorted(contact))} <= {tuple(sorted((c.link, c.other))) for c in verdict.contacts}


def test_without_commands_the_arm_slows_down_within_limits_and_rests(panda, motion):
    with DrakeArm(panda, motion.positions[0]) as arm:
        states = []
        for k in range(600):
            if k < 200:
                arm.command(Command(*motion.sample((k + 1) * arm.period)))
            states.append(arm.wait())
        v = np.array([state.velocities for state in states])
        assert np.abs(v[199]).max() > 0.3
        assert np.abs(v[-1]).max() < 1e-3
        a = np.diff(v, axis=0)[198:] / arm.period
        assert (np.abs(a) <= 1.3 * panda.limits.acceleration).all()


def test_stop_brings_a_moving_arm_to_rest(panda, motion):
    with DrakeArm(panda, motion.positions[0]) as arm:
        for k in range(200):
            arm.command(Command(*motion.sample((k + 1) * arm.period)))
            arm.wait()
        arm.stop()
        arm.stop()
        assert np.abs(arm.wait().velocities).max() < 2e-3
    arm.stop()
    arm.close()
    with pytest.raises(DriverError, match="context manager"):
        arm.wait()


def test_real_time_takes_real_time(panda):
    with DrakeArm(panda, panda.home, settings=DrakeSimSettings(real_time=True, period=0.02, time_step=5e-3)) as arm:
        begin = time.monotonic()
        for _ in range(10):
            arm.wait()
        assert time.monotonic() - begin > 0.19


def test_the_model_of_the_controller_has_the_robots_kinematics(panda):
    model = make_model(panda.with_base(np.diag([-1.0, -1.0, 1.0, 1.0])), rotor_inertia=0.0)
    context = model.CreateDefaultContext()
    model.SetPositions(context, panda.home)
    ours = body_poses(panda, torch.as_tensor(panda.home)[None])[0].numpy()
    for body in range(panda.num_bodies):
        found = model.EvalBodyPoseInWorld(context, model.GetBodyByName(f"body{body}")).GetAsMatrix4()
        np.testing.assert_allclose(found, np.diag([-1.0, -1.0, 1.0, 1.0]) @ ours[body], atol=1e-9)


# -- the table of drivers ---------------------------------------------------------------------------------------------


def test_drivers_are_made_by_name_with_options_that_are_checked(panda):
    arm = make_driver("drake-sim", panda, positions=panda.home, scene=Scene(), options={"delay": 0.01})
    assert arm.settings.delay == 0.01
    assert make_driver("kinematic", panda, options={"delay": 0.01}).name == "kinematic"
    assert "mass_error" in driver_options("drake-sim")
    assert "delay" in driver_options("kinematic")
    with pytest.raises(UnknownNameError, match="drake-sim"):
        make_driver("drake", panda)
    with pytest.raises(UnknownNameError, match="mass_error"):
        make_driver("drake-sim", panda, options={"mass": 1.0})
    with pytest.raises(InvalidInputError, match="delay"):
        make_driver("drake-sim", panda, options={"delay": -1.0})


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_says_what_it_was_tested_against(name):
    from edmp.execution.drivers import driver_class

    try:
        cls = driver_class(name)
    except EdmpError as error:
        pytest.skip(str(error))
    assert cls.name == name
    assert cls.evidence


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("control", "magic", "impedance"),
        ("period", 1.5e-3, "multiple"),
        ("time_step", 0.01, "time_step"),
        ("mass_error", -1.0, "mass_error"),
        ("bandwidth", 0.0, "bandwidth"),
    ],
)
def test_settings_that_make_no_sense_are_named(field, value, says):
    with pytest.raises(EdmpError, match=says):
        DrakeSimSettings(**{field: value})
