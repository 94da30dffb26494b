"""The FR3 driver against franky-sim, which speaks the protocol of the arm's controller and simulates the arm."""

import itertools
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from edmp.errors import InvalidInputError, MissingDependencyError, UnknownNameError
from edmp.execution import DriverError, ExecutionSettings, Fault, MonitorSettings, Outcome, run, summarise
from edmp.execution.driver import Command
from edmp.execution.drivers import driver_class, driver_options, make_driver
from edmp.execution.drivers.franka_fr3 import unlike_arm
from edmp.robots import load_robot
from edmp.timing import retime_waypoints

SERVER = """
import sys
from franky_sim import SimulationServer
from franky_sim.mujoco_simulator import MujocoSimulator

with MujocoSimulator() as simulator:
    arm = simulator.add_robot(initial_q=[float(q) for q in sys.argv[2:]])
    with SimulationServer(simulator, hostname_candidates=[sys.argv[1]]) as server:
        print("ready", flush=True)
        server.run_forever()
"""

_hosts = (f"127.0.{os.getpid() % 250 + 2}.{k}" for k in itertools.count(1))


@pytest.fixture(autouse=True)
def _shared_machine(monkeypatch):
    """The tests, and what plays the arm, may wait for the processor longer than a machine that drives a real one."""
    monkeypatch.setattr("edmp.execution.drivers.streamed._LATE", 0.3)
    monkeypatch.setattr("edmp.execution.drivers.streamed._NO_STATE", 3.0)


@pytest.fixture(scope="module")
def fr3():
    return load_robot("fr3")


@pytest.fixture
def server(fr3):
    """A simulated controller in a process of its own: its address, and the process."""
    pytest.importorskip("franky")
    pytest.importorskip("franky_sim")
    host = next(_hosts)
    command = [sys.executable, "-c", SERVER, host, *map(str, fr3.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert select.select([process.stdout], [], [], 60)[0], "franky-sim did not start"
            assert process.stdout.readline() == b"ready\n"
            yield host, process
        finally:
            process.kill()


def connect_to(host, fr3):
    return make_driver("franka-fr3", fr3, options={"host": host, "realtime": False, "external_torques": False})


def away(fr3, arm):
    """From where the arm is, rested, to somewhere else."""
    there = fr3.home + np.array([0.6, 0.4, -0.4, 0.3, 0.3, 0.3, 0.3])
    return retime_waypoints([arm.wait().positions, there], fr3.limits, joint_names=fr3.joint_names)


PATIENT = ExecutionSettings(speed=0.5, monitor=MonitorSettings(lateness=5.0, state_age=5.0, tracking_error=0.2))
"""The simulator shares the processor with the tests: how late it is says nothing, and where franky's loop has to wait
for the processor the arm strays."""


def test_follows_a_motion_end_to_end(fr3, server, caplog):
    with connect_to(server[0], fr3) as arm:
        assert "UNTESTED ON HARDWARE" in caplog.text
        done = run(away(fr3, arm), arm, settings=PATIENT)
        assert done.reached, done.message
    summary = summarise(done.recording, robot=fr3)
    assert summary.tracking_rms < 30.0
    assert 0.0 < summary.torque_share < 1.0


def test_interrupt_brakes_on_the_path(fr3, server):
    stop = threading.Event()
    with connect_to(server[0], fr3) as arm:
        trajectory = away(fr3, arm)

        def press(state, command):
            if np.abs(command.velocities).max() > 0.3:
                stop.set()

        done = run(trajectory, arm, settings=PATIENT, interrupt=stop, on_tick=press)
        assert done.outcome is Outcome.INTERRUPTED
        assert np.abs(arm.wait().velocities).max() < 0.05
    assert np.abs(done.recording.commanded[-1] - trajectory.positions[-1]).max() > 0.05


def test_brakes_by_itself_when_commands_stop_and_takes_no_more(fr3, server):
    with connect_to(server[0], fr3) as arm:
        trajectory, state = away(fr3, arm), arm.wait()
        for t in np.arange(0.0, 0.25, arm.period):
            arm.command(Command(*trajectory.sample(t)))
            state = arm.wait()
        assert np.abs(state.velocities).max() > 0.3
        time.sleep(1.5)  # whoever commands hangs
        rest = arm.wait()
        assert np.abs(rest.velocities).max() < 0.05
        assert np.abs(rest.positions - state.positions).max() > 1e-3, "it braked, it did not stop dead"
        with pytest.raises(DriverError, match="no command for"):
            arm.command(Command.hold(rest.positions))


def test_a_controller_that_dies_is_a_lost_arm(fr3, server):
    host, process = server
    with connect_to(host, fr3) as arm:
        ticks = itertools.count()

        def kill(*_):
            if next(ticks) == 50:
                process.send_signal(signal.SIGKILL)

        done = run(away(fr3, arm), arm, settings=PATIENT, on_tick=kill)
    assert done.outcome is Outcome.LOST
    assert done.violation.fault is Fault.DRIVER


def test_stop_is_allowed_twice_and_ends_the_session(fr3, server):
    with connect_to(server[0], fr3) as arm:
        arm.stop()
        arm.stop()
        assert np.abs(arm.wait().velocities).max() < 0.05
        with pytest.raises(DriverError, match="stopped"):
            arm.command(Command.hold(fr3.home))
    with pytest.raises(DriverError, match="not connected"):
        arm.wait()


def test_an_arm_that_is_not_the_described_one_is_refused(server):
    panda = load_robot("panda")
    with pytest.raises(DriverError, match="plan with robot fr3"), connect_to(server[0], panda):
        pass


def test_nobody_there(fr3):
    pytest.importorskip("franky")
    with pytest.raises(DriverError, match=r"FCI activated in Desk"), connect_to("127.255.0.1", fr3):
        pass


# -- without a server -------------------------------------------------------------------------------------------------


def libfranka_upper(j, q):
    """rate_limiting.h of libfranka for the FR3: the fastest that joint j may turn upwards at q [rad/s]."""
    v = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)[j]
    offset = (0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35)[j]
    slope = (12.0, 5.17, 7.0, 8.0, 34.0, 11.0, 34.0)[j]
    end = (2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196)[j]
    return min(v, max(0.0, math.sqrt(max(0.0, slope * (end - q))) - offset))


def libfranka_lower(j, q):
    offset = (0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35)[j]
    slope = (12.0, 5.17, 7.0, 8.0, 34.0, 11.0, 34.0)[j]
    end = (-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196)[j]
    return max(0.0, math.sqrt(max(0.0, slope * (q - end))) - offset)


def test_the_limits_are_allowed_at_every_position(fr3):
    limits = fr3.limits
    for j in range(7):
        for q in np.linspace(limits.lower[j], limits.upper[j], 101):
            assert limits.velocity[j] <= min(libfranka_upper(j, q), libfranka_lower(j, q)), (j, q)
    np.testing.assert_array_equal(limits.acceleration, 10.0)
    np.testing.assert_array_equal(limits.jerk, 5000.0)
    np.testing.assert_array_equal(limits.effort, [87.0] * 4 + [12.0] * 3)


def arm_urdf(robot, *, widen=0.5, velocity=9.0, moved=0.0, by_position=""):
    """A URDF as an arm sends it, with the joints of a description."""
    rows = []
    for j, joint in enumerate(robot.joints):
        p, R = joint.X_PJ[:3, 3], joint.X_PJ[:3, :3]
        rpy = math.atan2(R[2, 1], R[2, 2]), -math.asin(R[2, 0]), math.atan2(R[1, 0], R[0, 0])
        low, high = robot.limits.lower[j] - widen, robot.limits.upper[j] + widen
        rows.append(
            f'<joint name="joint{j + 1}"><origin xyz="{p[0] + moved} {p[1]} {p[2]}" rpy="{rpy[0]} {rpy[1]} {rpy[2]}"/>'
            f'<limit lower="{low}" upper="{high}" velocity="{velocity}"/>{by_position}</joint>'
        )
    return f"<robot>{''.join(rows)}</robot>"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, None),
        ({"widen": -0.01}, "lets fr3_joint1 go from"),
        ({"velocity": 1.2}, "fr3_joint1 move at 2.000 rad/s"),
        ({"moved": 0.01}, "is not where the arm has its joint 1"),
        ({"by_position": '<position_based_velocity_limits deceleration_limit="50" velocity_offset="0.5"/>'}, None),
        (
            {"by_position": '<position_based_velocity_limits deceleration_limit="1" velocity_offset="0.5"/>'},
            "the arm at 0.500 there",
        ),
    ],
)
def test_description_against_what_the_arm_says(fr3, change, complaint):
    found = unlike_arm(fr3, arm_urdf(fr3, **change))
    assert found is None if complaint is None else complaint in found


def test_the_hand_is_an_option(fr3):
    franky = pytest.importorskip("franky")
    for name in ("move", "grasp", "width"):
        assert hasattr(franky.Gripper, name), name
    assert not make_driver("franka-fr3", fr3, options={"host": "arm"}).has_gripper
    assert make_driver("franka-fr3", fr3, options={"host": "arm", "hand": True}).has_gripper


def test_options_and_what_is_missing(fr3, monkeypatch):
    assert driver_class("franka-fr3").hardware
    assert "UNTESTED" in driver_class("franka-fr3").evidence
    assert "host" in driver_options("franka-fr3")
    with pytest.raises(InvalidInputError, match="needs the option host"):
        make_driver("franka-fr3", fr3)
    with pytest.raises(UnknownNameError, match="hsot"):
        make_driver("franka-fr3", fr3, options={"hsot": "1.2.3.4"})
    with pytest.raises(InvalidInputError, match="period"):
        make_driver("franka-fr3", fr3, options={"host": "1.2.3.4", "period": 0.5})
    with pytest.raises(InvalidInputError, match="7 joints"):
        make_driver("franka-fr3", load_robot("ur5"), options={"host": "1.2.3.4"})
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(MissingDependencyError, match=r"edmp\[franka\]"):
        make_driver("franka-fr3", fr3, options={"host": "1.2.3.4"})
