"""Motions are slowed down until the motors have something left."""

import dataclasses

import numpy as np
import pytest

from edmp.errors import InvalidInputError
from edmp.execution import ExecutionSettings, run, summarise
from edmp.execution.drivers.drake_sim import DrakeArm
from edmp.execution.effort import effort_limit
from edmp.robots import load_robot
from edmp.timing import retime_waypoints


@pytest.fixture(scope="module")
def panda():
    return load_robot("panda")


@pytest.fixture(scope="module")
def motion(panda):
    there = panda.home + np.array([0.5, 0.9, 0.1, 0.8, -0.2, 0.2, 0.4])
    return retime_waypoints([panda.home, there], panda.limits, joint_names=panda.joint_names)


def test_the_share_is_what_the_simulation_measures(panda, motion):
    limit = effort_limit(panda, motion, share=1.0)
    with DrakeArm(panda, motion.positions[0]) as arm:
        done = run(motion, arm, settings=ExecutionSettings(speed=limit.speed))
    measured = summarise(done.recording, robot=panda).torque_share
    assert measured == pytest.approx(limit.share, abs=0.03)


def test_at_the_speed_that_it_allows_the_share_is_used_up(panda, motion):
    share = 0.8 * effort_limit(panda, motion, share=1.0).share
    limit = effort_limit(panda, motion, share=share)
    assert 0.2 < limit.speed < 1.0
    slower = dataclasses.replace(
        motion,
        times=motion.times / limit.speed,
        velocities=motion.velocities * limit.speed,
        accelerations=motion.accelerations * limit.speed**2,
    )
    assert effort_limit(panda, slower, share=1.0).share == pytest.approx(share, rel=1e-6)


def test_an_arm_that_is_too_heavy_is_named(panda, motion):
    with pytest.raises(InvalidInputError, match=r"panda_joint2 needs .* to hold the arm still"):
        effort_limit(panda, motion, share=0.05)
    with pytest.raises(InvalidInputError, match="share of the effort limits"):
        effort_limit(panda, motion, share=1.5)
