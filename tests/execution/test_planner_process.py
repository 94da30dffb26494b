"""A planner in another process: it plans, it hands errors on, and one that hangs or dies is replaced."""

import os
import signal
import time

import numpy as np
import pytest

from edmp.errors import EdmpError, InvalidInputError
from edmp.execution.planner_process import PlannerProcess
from edmp.result import Status
from edmp.scenes import Box, Scene


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_life_of_a_planner_process():
    scene = Scene.of({"table": (Box((0.8, 1.2, 0.05)), (0.6, 0.0, 0.0))})
    start = np.array([-0.5, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
    goal = start + np.array([1.0, 0, 0, 0, 0, 0, 0])
    with PlannerProcess("panda", grace=0.2) as planner:
        first = planner.pid
        assert planner.plan(scene, start, goal).solved
        with pytest.raises(InvalidInputError, match="start"):
            planner.plan(scene, start[:3], goal)

        os.kill(first, signal.SIGSTOP)  # hangs
        begin = time.monotonic()
        hung = planner.plan(scene, start, goal, time_budget=0.3)
        assert hung.status is Status.TIMEOUT
        assert "did not answer within 0.50 s" in hung.message
        assert time.monotonic() - begin < 5.0
        assert gone(first)

        soon = planner.plan(scene, start, goal, time_budget=0.05)
        assert soon.status is Status.TIMEOUT
        assert "being started again" in soon.message

        second = planner.pid
        os.kill(second, signal.SIGKILL)  # dies
        dead = planner.plan(scene, start, goal, time_budget=5.0)
        assert dead.status is Status.NO_PATH_FOUND
        assert "was killed by SIGKILL" in dead.message

        third = planner.pid
        assert len({first, second, third}) == 3
    assert gone(third), "nothing is left running"
    with pytest.raises(EdmpError, match="closed"):
        planner.plan(scene, start, goal)


def test_a_planner_that_cannot_be_made_says_so():
    with pytest.raises(EdmpError, match="no_such_robot"):
        PlannerProcess("no_such_robot")


def test_nonsense_is_refused():
    with pytest.raises(InvalidInputError, match="grace"):
        PlannerProcess("panda", grace=-1.0)
