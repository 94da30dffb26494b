"""An arm with dynamics whose commands are late or missing, or whose joints are in the wrong order: it ends at rest."""

import dataclasses
import time

import numpy as np
import pytest

from edmp.execution import Fault, Outcome, Tube, run
from edmp.execution.drivers.drake_sim import DrakeArm, DrakeSimSettings
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.timing import retime_waypoints


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def motion(panda):
    there = panda.home + np.array([1.5, 0.2, 0.1, 0.3, -0.2, 0.2, 0.4])
    return retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.5])
def test_commands_that_take_effect_late_end_at_rest(panda, motion, delay):
    with DrakeArm(panda, panda.home, settings=DrakeSimSettings(delay=delay)) as arm:
        done = run(motion, arm)
        assert done.outcome is Outcome.STOPPED
        assert done.violation.fault is Fault.TRACKING
        after = [arm.wait() for _ in range(600)]  # nothing is on its way any more
    assert np.abs(after[-1].positions - done.recording.measured[-1]).max() < 5e-3
    assert np.abs(after[-1].velocities).max() < 1e-3


@pytest.mark.parametrize("stall", [0.07, 0.5])
def test_an_executor_that_stalls_leaves_the_arm_at_rest(panda, motion, stall):
    stalled = []

    def hang(state, _):
        if state.time > 0.2 and not stalled:
            stalled.append(True)
            time.sleep(stall)

    with DrakeArm(panda, panda.home, settings=DrakeSimSettings(real_time=True, period=4e-3)) as arm:
        done = run(motion, arm, on_tick=hang)
        rest = arm.wait()
    assert done.outcome in (Outcome.LOST, Outcome.STOPPED)
    assert done.violation.fault in (Fault.DRIVER, Fault.LATE, Fault.TRACKING)
    assert np.abs(rest.velocities).max() < 0.02


def test_states_in_another_order_of_joints_are_not_the_start(panda, motion):
    class Permuted(DrakeArm):
        def wait(self):
            state = super().wait()
            return dataclasses.replace(state, positions=state.positions[::-1])

    with Permuted(panda, panda.home) as arm:
        done = run(motion, arm)
    assert done.outcome is Outcome.REFUSED
    assert "not at the start" in done.message


def test_the_tube_leaves_an_arm_alone_that_bends_with_its_path_and_stops_one_that_is_pushed_off(panda):
    corner = panda.home + np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    there = corner + np.array([0.0, 0.4, 0.0, 0.3, 0.0, 0.0, 0.0])
    motion = retime_waypoints([panda.home, corner, there], panda.limits, joint_names=panda.joint_names)
    scene = Scene.of({"near": (Box((0.1, 0.1, 0.1)), (0.75, 0.0, 0.3))})
    tube = Tube(panda, scene, motion)
    with DrakeArm(panda, panda.home, scene=scene) as arm:
        assert run(motion, arm, tube=tube).reached
        state = arm.wait()
    assert Tube(panda, scene, motion).check(dataclasses.replace(state, positions=motion.positions[0] + 0.2)) is not None
