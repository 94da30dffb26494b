"""The Panda driver. libfranka 0.9 downloads its model from the arm, so there is no server to run it against: what is
tested is how it uses panda-py, on a stand-in for that package whose arm is where it was told to be."""

import enum
import sys
import types

import numpy as np
import pytest

from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.execution import DriverError, ExecutionSettings, MonitorSettings, Outcome, run
from edmp.execution.driver import Command
from edmp.execution.drivers import driver_class, make_driver
from edmp.robots import load_robot
from edmp.timing import retime_waypoints

PATIENT = ExecutionSettings(monitor=MonitorSettings(lateness=5.0, state_age=5.0))


class Mode(enum.Enum):
    kIdle = 1
    kReflex = 4


class StandInArm:
    mode = Mode.kIdle
    latest = None

    def __init__(self, host, realtime_config):
        if host == "nobody":
            raise RuntimeError("libfranka: Connection to FCI refused.")
        StandInArm.latest = self
        self.q, self.v = load_robot("panda").home.copy(), np.zeros(7)
        self.ticks, self.error, self.calls, self.realtime, self.controller = 0, None, [], realtime_config, None

    def get_robot(self):
        return types.SimpleNamespace(set_collision_behavior=lambda *values: self.calls.append(("collision", values)))

    def start_controller(self, controller):
        self.calls.append("start")
        self.controller = controller
        controller.arm = self

    def stop_controller(self):
        self.calls.append(("stop", float(np.abs(self.v).max())))
        self.controller = None

    def raise_error(self):
        if self.error:
            raise RuntimeError(self.error)

    def get_state(self):
        self.ticks += 1
        zeros = [0.0] * 7
        clock = types.SimpleNamespace(to_sec=lambda ticks=self.ticks: 1e-3 * ticks)
        return types.SimpleNamespace(
            q=list(self.q), dq=list(self.v), tau_J=zeros, tau_ext_hat_filtered=zeros, time=clock, robot_mode=self.mode
        )


class StandInController:
    def __init__(self, stiffness, damping):
        assert np.shape(stiffness) == np.shape(damping) == (7,)

    def set_control(self, positions, velocities):
        self.arm.q, self.arm.v = np.array(positions), np.array(velocities)


class StandInHand:
    calls = ()

    def __init__(self, host):
        StandInHand.calls = [host]

    def move(self, width, speed):
        self.calls.append(("move", width))
        return True

    def grasp(self, width, speed, force, inner, outer):
        self.calls.append(("grasp", width, force))
        return width > 0.01

    def read_once(self):
        return types.SimpleNamespace(width=0.04)


@pytest.fixture
def panda(monkeypatch):
    package = types.ModuleType("panda_py")
    package.Panda = StandInArm
    package.controllers = types.ModuleType("panda_py.controllers")
    package.controllers.JointPosition = StandInController
    package.libfranka = types.ModuleType("panda_py.libfranka")
    package.libfranka.RealtimeConfig = types.SimpleNamespace(kEnforce="enforce", kIgnore="ignore")
    package.libfranka.RobotMode = Mode
    package.libfranka.Gripper = StandInHand
    for module in (package, package.controllers, package.libfranka):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(StandInArm, "mode", Mode.kIdle)
    return load_robot("panda")


def connect(robot, **options):
    return make_driver("franka-panda", robot, options={"host": "arm", **options})


def motion(robot):
    return retime_waypoints([robot.home, robot.home + 0.4], robot.limits, joint_names=robot.joint_names)


def test_follows_a_motion(panda, caplog):
    with connect(panda, collision_torque=15.0) as arm:
        assert "never run against a controller" in caplog.text
        done = run(motion(panda), arm, settings=PATIENT)
        assert done.reached, done.message
        stand_in = StandInArm.latest
    assert stand_in.realtime == "enforce"
    assert stand_in.calls[0] == ("collision", ([15.0] * 7, [15.0] * 7, [30.0] * 6, [30.0] * 6))
    assert stand_in.calls[1:] == ["start", ("stop", 0.0)]


def test_the_hand_is_there_if_it_is_said_to_be(panda):
    with connect(panda) as arm:
        assert not arm.has_gripper
        assert arm.gripper is None
    with connect(panda, hand=True) as arm:
        assert arm.has_gripper
        arm.gripper.grasp(0.03, 20.0)
        arm.gripper.join()
        assert arm.gripper.state().holding
        assert arm.gripper.state().width == 0.04
        arm.gripper.move(0.06)
        arm.gripper.join()
    assert StandInHand.calls == ["arm", ("grasp", 0.03, 20.0), ("move", 0.06)]


def test_stop_slows_down_before_it_lets_go(panda):
    trajectory = motion(panda)
    with connect(panda) as arm:
        t = 0.4 * trajectory.duration
        arm.command(Command(*trajectory.sample(t)))
        begin = StandInArm.latest.q.copy()
        arm.stop()
        assert StandInArm.latest.calls[-1] == ("stop", 0.0)
        assert (StandInArm.latest.q - begin > 1e-3).all()


def test_a_reflex_is_a_lost_arm(panda):
    with connect(panda) as arm:

        def collide(_, command):
            if np.abs(command.velocities).max() > 0.3:
                StandInArm.latest.error = "cartesian_reflex"

        done = run(motion(panda), arm, settings=PATIENT, on_tick=collide)
        assert done.outcome is Outcome.LOST
        assert "cartesian_reflex" in done.message


def test_what_it_refuses(panda, monkeypatch):
    with pytest.raises(DriverError, match="FCI activated"), connect(panda, host="nobody"):
        pass
    with pytest.raises(InvalidInputError, match="fr3 does not describe a Panda"):
        connect(load_robot("fr3"))
    monkeypatch.setattr(StandInArm, "mode", Mode.kReflex)
    with pytest.raises(DriverError, match="not idle but kReflex"), connect(panda):
        pass
    assert StandInArm.latest.calls == []


def test_the_real_package_has_what_is_used():
    panda_py = pytest.importorskip("panda_py")
    controller = pytest.importorskip("panda_py.controllers").JointPosition
    assert hasattr(controller, "set_control")
    for name in ("get_state", "get_robot", "raise_error", "start_controller", "stop_controller"):
        assert hasattr(panda_py.Panda, name), name
    for name in ("q", "dq", "tau_J", "tau_ext_hat_filtered", "time", "robot_mode"):
        assert hasattr(panda_py.libfranka.RobotState, name), name
    for name in ("move", "grasp", "read_once"):
        assert hasattr(panda_py.libfranka.Gripper, name), name
    assert hasattr(panda_py.libfranka.RobotMode, "kIdle")
    assert hasattr(panda_py.libfranka.Duration, "to_sec")
    with pytest.raises(DriverError, match="FCI"), connect(load_robot("panda"), host="127.255.0.3"):
        pass


def test_without_the_package(monkeypatch):
    assert driver_class("franka-panda").hardware
    monkeypatch.setitem(sys.modules, "panda_py", None)
    with pytest.raises(MissingDependencyError, match=r"edmp\[panda\]"):
        connect(load_robot("panda"))
