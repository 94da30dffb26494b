"""The UR driver through ur_rtde, against a small controller that speaks RTDE (ur_controller.py)."""

import sys
import time

import numpy as np
import pytest
from ur_controller import SERVO_STOP, SERVOJ, STOP_SCRIPT, ControllerProcess

from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.execution import DriverError, ExecutionSettings, MonitorSettings, Outcome, run
from edmp.execution.driver import Command
from edmp.execution.drivers import driver_class, make_driver
from edmp.robots import load_robot
from edmp.timing import retime_waypoints

PATIENT = ExecutionSettings(monitor=MonitorSettings(lateness=5.0, state_age=5.0, tracking_error=0.3))
START = np.array([0.0, -1.5, 1.5, -1.5, -1.5, 0.0])


@pytest.fixture(autouse=True)
def _shared_machine(monkeypatch):
    """The tests, and what plays the arm, may wait for the processor longer than a machine that drives a real one."""
    monkeypatch.setattr("edmp.execution.drivers.streamed._LATE", 0.3)
    monkeypatch.setattr("edmp.execution.drivers.streamed._NO_STATE", 3.0)


@pytest.fixture(scope="module")
def ur5():
    return load_robot("ur5")


@pytest.fixture
def controller():
    pytest.importorskip("rtde_control")
    controller = ControllerProcess(START)
    yield controller
    controller.kill()


def connect(ur5, host):
    return make_driver("ur", ur5, options={"host": host})


def motion(robot, start):
    there = start + np.array([0.5, -0.3, 0.3, 0.3, 0.3, 0.3])
    return retime_waypoints([start, there], robot.limits, joint_names=robot.joint_names)


def test_follows_a_motion_and_leaves_no_program_behind(ur5, controller, caplog):
    with connect(ur5, controller.host) as arm:
        assert "UNTESTED ON HARDWARE" in caplog.text
        np.testing.assert_allclose(arm.wait().positions, START, atol=1e-9)
        trajectory = motion(ur5, START)
        done = run(trajectory, arm, settings=PATIENT)
        assert done.reached, done.message
    np.testing.assert_allclose(controller.ask("positions"), trajectory.positions[-1], atol=1e-4)
    commands = controller.ask("commands")
    assert SERVOJ in commands
    assert commands.index(SERVO_STOP) < commands.index(STOP_SCRIPT)


def test_a_protective_stop_is_a_lost_arm(ur5, controller):
    with connect(ur5, controller.host) as arm:

        def collide(_, command):
            if np.abs(command.velocities).max() > 0.3:
                controller.ask("protective_stop", True)

        done = run(motion(ur5, START), arm, settings=PATIENT, on_tick=collide)
        assert done.outcome is Outcome.LOST
        assert "protective stop" in done.message
    assert 0.0 < controller.ask("positions")[0] < 0.3


def test_stop_is_servo_stop(ur5, controller):
    with connect(ur5, controller.host) as arm:
        arm.command(Command.hold(START))
        arm.stop()
        arm.stop()
        assert SERVO_STOP in controller.ask("commands")
        with pytest.raises(DriverError, match="stopped"):
            arm.command(Command.hold(START))


def test_brakes_when_commands_stop(ur5, controller):
    with connect(ur5, controller.host) as arm:
        trajectory = motion(ur5, START)
        for t in np.arange(0.0, 0.2, arm.period):
            arm.command(Command(*trajectory.sample(t)))
            state = arm.wait()
        time.sleep(1.5)
        rest = arm.wait()
        assert np.abs(rest.velocities).max() < 1e-6
        assert 1e-3 < (rest.positions - state.positions)[0] < 0.4
        with pytest.raises(DriverError, match="no command for"):
            arm.command(Command.hold(rest.positions))


def test_a_controller_that_dies_is_a_lost_arm(ur5, controller):
    with connect(ur5, controller.host) as arm:

        def kill(_, command):
            if np.abs(command.velocities).max() > 0.3:
                controller.kill()

        done = run(motion(ur5, START), arm, settings=PATIENT, on_tick=kill)
        assert done.outcome is Outcome.LOST


def test_the_pendant_keeps_control(ur5, controller):
    controller.ask("remote", 0)
    with pytest.raises(DriverError, match="remote control"), connect(ur5, controller.host):
        pass


def test_nobody_there(ur5):
    pytest.importorskip("rtde_control")
    with pytest.raises(DriverError, match="no dashboard service on port 29999"), connect(ur5, "127.255.0.2"):
        pass


def test_options_and_what_is_missing(ur5, monkeypatch):
    assert driver_class("ur").hardware
    for options, complaint in (({}, "host"), ({"host": "a", "lookahead": 1.0}, "lookahead"), ({"host": ""}, "host")):
        with pytest.raises(InvalidInputError, match=complaint):
            make_driver("ur", ur5, options=options)
    with pytest.raises(InvalidInputError, match="6 joints"):
        make_driver("ur", load_robot("panda"), options={"host": "a"})
    monkeypatch.setitem(sys.modules, "rtde_control", None)
    with pytest.raises(MissingDependencyError, match=r"edmp\[ur\]"):
        make_driver("ur", ur5, options={"host": "a"})
