"""``edmp execute`` before a real arm would move: dry runs, the confirmation, what is refused."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from edmp.cli import execute as command
from edmp.cli import main
from edmp.execution.drivers import DRIVERS, driver_class
from edmp.planfile import save_plan
from edmp.problem import Problem
from edmp.result import PlanResult, Solution, Stats, Status
from edmp.robots import load_robot
from edmp.scenes import Scene
from edmp.timing import retime_waypoints

ARMS = {
    "franka-fr3": ("fr3", "franky"),
    "franka-panda": ("panda", "panda_py"),
    "ur": ("ur5", "rtde_control"),
    "xarm": ("panda", "xarm"),
}
"""A robot that the driver takes, and the package behind it."""


@pytest.fixture
def execute(capsys, tmp_path):
    """Run ``edmp execute`` on a plan for a robot: exit code, stdout, stderr."""

    def run(robot_name, *arguments):
        robot = load_robot(robot_name)
        there = robot.home + 0.2
        trajectory = retime_waypoints([robot.home, there], robot.limits, joint_names=robot.joint_names)
        best = Solution(np.array([robot.home, there]), trajectory, 0.5, np.inf)
        result = PlanResult(Status.SOLVED, "", best, (), Stats(None, 0.0))
        path = tmp_path / "plan.json"
        save_plan(path, Problem(robot, Scene(), robot.home, there), result)
        with pytest.raises(SystemExit) as stop:
            main(["execute", str(path), *arguments])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


def options(driver):
    return ("--driver", driver, "--option", "host=127.255.255.1")


def test_every_real_arm_is_here():
    assert {name for name in DRIVERS if driver_class(name).hardware} >= set(ARMS)


@pytest.mark.parametrize("driver", ARMS)
def test_dry_run_says_what_is_untested_and_touches_nothing(driver, execute):
    robot, package = ARMS[driver]
    if importlib.util.find_spec(package) is None:  # without importing it: that is for the command to do
        pytest.skip(f"{package} is not installed")
    code, out, err = execute(robot, *options(driver), "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["outcome"] == "READY"
    assert "a REAL arm" in err
    assert "UNTESTED ON HARDWARE" in err


@pytest.mark.parametrize("driver", ARMS)
def test_without_the_package(driver, execute, monkeypatch):
    robot, package = ARMS[driver]
    monkeypatch.setitem(sys.modules, "xarm.wrapper" if package == "xarm" else package, None)
    code, _, err = execute(robot, *options(driver), "--dry-run")
    assert code == 2
    assert "pip install 'edmp[" in err


def test_nobody_there_to_confirm(execute, monkeypatch):
    pytest.importorskip("franky")
    monkeypatch.setattr(command.sys.stdin, "isatty", lambda: False, raising=False)
    code, _, err = execute("fr3", *options("franka-fr3"))
    assert code == 2
    assert "--yes" in err


@pytest.mark.parametrize(("typed", "moves"), [("franka-fr3", True), ("yes", False), ("", False)])
def test_a_person_types_the_drivers_name(typed, moves, execute, monkeypatch):
    pytest.importorskip("franky")
    monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(command.typer, "prompt", lambda *_, **__: typed)
    code, _, err = execute("fr3", *options("franka-fr3"))
    if moves:
        assert "FCI activated in Desk" in err  # it went on to connect, and nobody is at this address
    else:
        assert code == 1
        assert "nothing moved" in err
        assert "FCI" not in err


def test_a_plan_for_another_arm(execute):
    pytest.importorskip("panda_py")
    code, _, err = execute("fr3", *options("franka-panda"), "--dry-run")
    assert code == 2
    assert "plan with robot panda" in err
