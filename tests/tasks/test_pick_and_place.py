"""Pick and place through the front door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from task_cases import START, THERE, object_at, table_with_block

import edmp
from edmp.validate import judge_task


@pytest.fixture(scope="module")
def moved() -> edmp.TaskPlan:
    return edmp.pick_and_place(table_with_block(), START, "block", THERE)


def test_a_block_is_picked_from_a_table_and_put_down_elsewhere(moved: edmp.TaskPlan) -> None:
    assert moved.solved, moved.message
    assert [phase.name for phase in moved.phases] == ["reach", "close", "carry", "let go", "retreat"]
    assert judge_task(moved).valid, judge_task(moved).message()
    np.testing.assert_allclose(moved.scene_after["block"].X_WO, THERE, atol=1e-4)
    assert not any(link.attached for link in moved.robot_after.links)


def test_the_object_never_jumps(moved: edmp.TaskPlan) -> None:
    times = np.linspace(0.0, moved.duration, 400)
    places = np.array([object_at(moved, t, "block")[:3, 3] for t in times])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1).max() / np.diff(times)[0]
    assert speed < 3.0  # [m/s]: a jump of the hand's size would be a hundred


def test_it_is_one_motion_with_stops_where_the_gripper_moves(moved: edmp.TaskPlan) -> None:
    whole = moved.trajectory
    assert whole is not None
    assert whole.duration == pytest.approx(moved.duration)
    assert (np.diff(whole.times) > 0).all()
    for begin, phase in zip(moved.begins, moved.phases, strict=False):
        if phase.solution is None:
            still = whole.at(begin + np.linspace(0.0, phase.duration, 5))
            np.testing.assert_allclose(still, np.tile(phase.start, (5, 1)), atol=1e-9)
            assert phase.width != phase.width_before


def test_it_is_saved_and_loaded(moved: edmp.TaskPlan, tmp_path: Path) -> None:
    moved.save(tmp_path / "task.json")
    again = edmp.load_task(tmp_path / "task.json")
    assert [phase.name for phase in again.phases] == [phase.name for phase in moved.phases]
    assert judge_task(again).valid, judge_task(again).message()
    assert again.trajectory is not None
    assert moved.trajectory is not None
    np.testing.assert_array_equal(again.trajectory.positions, moved.trajectory.positions)
