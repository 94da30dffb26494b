"""The xArm driver through UFACTORY's SDK, against a small controller that speaks its protocol (xarm_controller.py)."""

import sys
import time

import numpy as np
import pytest
from xarm_controller import XArmController

from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.execution import DriverError, ExecutionSettings, MonitorSettings, Outcome, run
from edmp.execution.driver import Command
from edmp.execution.drivers import driver_class, make_driver
from edmp.robots import load_robot
from edmp.timing import retime_waypoints

START = np.array([0.0, -0.785, 0.0, -0.10, 0.0, 1.571, 0.785])
"""Within the range of both arms: the SDK knows that of the xArm 7, the robot here is a Panda, which the driver does not
mind: it moves joints."""
PATIENT = ExecutionSettings(monitor=MonitorSettings(lateness=5.0, state_age=5.0, tracking_error=0.2))


@pytest.fixture(autouse=True)
def _shared_machine(monkeypatch):
    """The tests, and what plays the arm, may wait for the processor longer than a machine that drives a real one."""
    monkeypatch.setattr("edmp.execution.drivers.streamed._LATE", 0.3)
    monkeypatch.setattr("edmp.execution.drivers.streamed._NO_STATE", 3.0)


@pytest.fixture(scope="module")
def robot():
    return load_robot("panda")


@pytest.fixture
def controller(monkeypatch):
    config = pytest.importorskip("xarm.core.config.x_config").XCONF
    with XArmController(START) as controller:
        monkeypatch.setattr(config.SocketConf, "TCP_CONTROL_PORT", controller.port)
        yield controller


def connect(robot):
    return make_driver("xarm", robot, options={"host": "127.0.0.1"})


def motion(robot, start):
    there = start + np.array([0.4, 0.3, -0.3, 0.0, 0.3, 0.3, 0.3])
    return retime_waypoints([start, there], robot.limits, joint_names=robot.joint_names)


def test_follows_a_motion(robot, controller, caplog):
    with connect(robot) as arm:
        assert "UNTESTED ON HARDWARE" in caplog.text
        assert (controller.enabled, controller.mode) == (True, 1)
        np.testing.assert_allclose(arm.wait().positions, START, atol=1e-6)
        trajectory = motion(robot, arm.wait().positions)
        done = run(trajectory, arm, settings=PATIENT)
    assert done.reached, done.message
    np.testing.assert_allclose(controller.positions, trajectory.positions[-1], atol=1e-3)


def test_an_error_of_the_controller_is_a_lost_arm(robot, controller):
    with connect(robot) as arm:
        trajectory = motion(robot, arm.wait().positions)

        def collide(_, command):
            if np.abs(command.velocities).max() > 0.3:
                controller.error = 31  # collision caused abnormal current

        done = run(trajectory, arm, settings=PATIENT, on_tick=collide)
    assert done.outcome is Outcome.LOST
    assert "error 31" in done.message or "code 1" in done.message
    assert np.abs(controller.positions - trajectory.positions[-1]).max() > 0.02


def test_stop_is_the_controllers_own_and_final(robot, controller):
    with connect(robot) as arm:
        arm.stop()
        arm.stop()
        assert controller.state == 4
        with pytest.raises(DriverError, match="stopped"):
            arm.command(Command.hold(START))
        assert np.abs(arm.wait().positions - START).max() < 1e-6
    assert controller.refused == 0


def test_brakes_when_commands_stop(robot, controller):
    with connect(robot) as arm:
        trajectory = motion(robot, arm.wait().positions)
        for t in np.arange(0.0, 0.24, arm.period):
            arm.command(Command(*trajectory.sample(t)))
            state = arm.wait()
        time.sleep(1.0)
        rest = arm.wait()
        assert np.abs(rest.velocities).max() < 1e-3
        beyond = (rest.positions - state.positions)[0]
        assert 1e-3 < beyond < 0.2
        with pytest.raises(DriverError, match="no command for"):
            arm.command(Command.hold(rest.positions))


def test_what_it_refuses(robot, controller):
    with pytest.raises(DriverError, match="has 7 joints, ur5 has 6"), connect(load_robot("ur5")):
        pass
    controller.error = 2
    with pytest.raises(DriverError, match=r"error 2.*clear it"), connect(robot):
        pass
    assert not controller.enabled


def test_nobody_there(robot, monkeypatch):
    config = pytest.importorskip("xarm.core.config.x_config").XCONF
    monkeypatch.setattr(config.SocketConf, "TCP_CONTROL_PORT", 9)
    with pytest.raises(DriverError, match=r"no xArm at 127\.0\.0\.1"), connect(robot):
        pass


def test_without_the_sdk(robot, monkeypatch):
    assert driver_class("xarm").hardware
    with pytest.raises(InvalidInputError, match="host"):
        make_driver("xarm", robot)
    with pytest.raises(InvalidInputError, match="host"):
        make_driver("xarm", robot, options={"host": " "})
    monkeypatch.setitem(sys.modules, "xarm.wrapper", None)
    with pytest.raises(MissingDependencyError, match=r"edmp\[xarm\]"):
        make_driver("xarm", robot, options={"host": "127.0.0.1"})
