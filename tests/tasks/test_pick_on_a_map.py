"""Picking and placing on a map: what is known is released from it, what only cameras saw is kept clear of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from task_cases import START, THERE, table_with_block

import edmp
from edmp.execution import prepare_task
from edmp.execution.drivers import make_driver
from edmp.sensing import DepthCamera, Map, SensorFaults, SimulatedCameras
from edmp.taskplan import Phase
from edmp.validate import judge_task
from edmp.validate.tasks import judge_phase

EYES = ((1.3, 0.9, 1.1), (1.3, -0.9, 1.1), (-0.3, 0.0, 1.5))
TURNS = (-1.2, 0.0, 1.2)
"""Of the first joint, while the cameras look [rad]."""


@pytest.fixture(scope="module")
def seen() -> Map:
    """A table, a block and a wall, as three cameras with noise see them."""
    cameras = [
        DepthCamera.looking(eye, (0.5, 0.0, 0.25), width=320, height=240, angle=1.2, far_is_free=True) for eye in EYES
    ]
    simulated = SimulatedCameras(cameras, table_with_block(), robot="panda", faults=SensorFaults(), seed=3)
    found = Map(((-0.5, -0.8, 0.0), (1.1, 0.8, 1.3)), 0.0125, robot="panda")
    for turn in TURNS:
        q = np.array(START) + turn * np.eye(7)[0]
        for camera, depth in zip(cameras, simulated.look(q), strict=True):
            found.integrate(depth, camera, q)
    simulated.close()
    return found


def task(scene: edmp.Scene, time_budget: float = 30.0) -> edmp.TaskPlan:
    return edmp.pick_and_place(scene, START, "block", THERE, seed=1, time_budget=time_budget)


KNOWN = table_with_block().without("wall")


@pytest.fixture(scope="module")
def planned(seen: Map) -> edmp.TaskPlan:
    """What is known, table and block, is released from the map by name."""
    scene = seen.scene(unseen="free", base_scene=KNOWN, released=["table", "block"], margin=0.02)
    assert scene.names == ("table", "block", "map")
    return task(scene)


def test_the_cells_of_what_is_grasped_do_not_block_the_grasp(seen: Map, planned: edmp.TaskPlan) -> None:
    blocked = task(seen.scene(unseen="free", base_scene=KNOWN, released=["table"], margin=0.02), time_budget=3.0)
    assert not blocked.solved
    assert 'in collision with "map"' in blocked.message
    assert planned.solved, planned.message
    assert all(phase.scene.unseen == planned.scene.unseen for phase in planned.phases)
    assert judge_task(planned).valid
    for phase in planned.phases:
        truly = judge_phase(truth_of(phase))
        assert truly.valid, f"{phase.name}: {truly.message()}"


def test_it_is_done_in_drake_among_what_is_really_there(planned: edmp.TaskPlan) -> None:
    ready = prepare_task(planned)
    assert ready.refusal is None
    truth = table_with_block()
    arm = make_driver("drake-sim", ready.robot, positions=ready.begin, scene=truth, movable=ready.movable)
    done = ready.run(arm)
    assert done.reached, done.message
    (block,) = done.objects
    assert block.error < 5e-3
    assert not done.recording.contacts  # neither the wall, of which only cameras knew, nor anything else


def truth_of(phase: Phase) -> Phase:
    """The same with the wall, of which only the map knew, in the place of the map."""
    wall = table_with_block()["wall"]
    obstacles = (*(one for one in phase.scene if one.name != "map"), wall)
    return dataclasses.replace(phase, scene=edmp.Scene(obstacles, phase.scene.regions))
