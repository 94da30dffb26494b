"""The loop over a map: what is put down in the way is seen, braked for, planned round; judged on the truth."""

from __future__ import annotations

import numpy as np
import pytest

import edmp
from edmp.execution.sensed import SensedWorld, make_cell, run_cell
from edmp.planner import PlannerSettings
from edmp.validate import Judge

ROBOT = edmp.load_robot("panda")


def test_cells_are_drawn_so_that_what_is_put_down_is_in_the_way_and_not_on_the_arm() -> None:
    cell = make_cell(ROBOT, 0)
    judge = Judge(ROBOT, cell.after)
    assert not judge.check_path(np.array([cell.start, cell.goal])).valid
    assert Judge(ROBOT, cell.before).check_path(np.array([cell.start, cell.goal])).valid
    assert judge.check(cell.start).valid
    assert judge.check(cell.goal).valid
    assert np.array_equal(make_cell(ROBOT, 0).goal, cell.goal)


@pytest.mark.filterwarnings("ignore")
def test_the_arm_arrives_by_what_the_map_says_and_touches_nothing() -> None:
    cell = make_cell(ROBOT, 0)
    planner = edmp.Planner("panda", settings=PlannerSettings(num_alternatives=2))
    run = run_cell(cell, planner, driver="kinematic", slowdown=0.0)  # however slow this machine is
    assert run.done.reached, run.done.message
    assert run.touched is None
    assert sum(replan.accepted for replan in run.done.replans) >= 2  # once at the beginning, once for the post
    post = cell.after["post"].X_WO[:3, 3]
    at = tuple(np.floor((post - run.world.map.corner) / run.world.map.resolution).astype(int))
    width = 5
    near = run.world.map.occupied[at[0] - width : at[0] + width, at[1] - width : at[1] + width, at[2]]
    assert near.any(), "the post is in the map"


def test_noise_makes_no_new_scene() -> None:
    class Clock:
        def now(self) -> float:
            return 0.0

    world = SensedWorld(make_cell(ROBOT, 1), Clock())  # type: ignore[arg-type]
    first = world().scene
    scenes = [world().scene for _ in range(9)]
    assert sum(scene is not first for scene in scenes) <= 3
