"""A log says what it holds, and refuses what no arm can have done."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edmp.errors import InvalidInputError, UnknownNameError
from edmp.recordings import Log, Recording
from edmp.robots import load_robot

NAMES = ("one", "two")


def recorded(n: int = 6) -> Recording:
    rng, times = np.random.default_rng(0), 0.01 * np.arange(n)
    return Recording(NAMES, times, times, *(rng.normal(size=(n, 2)) for _ in range(6)))


def test_the_log_of_a_recording_is_what_was_measured() -> None:
    recording = recorded()
    log = Log.of(recording)
    np.testing.assert_array_equal(log.positions, recording.measured)
    np.testing.assert_array_equal(log.commanded, recording.commanded)
    assert log.joint_names == NAMES
    assert log.duration == pytest.approx(0.05)
    assert log.period == pytest.approx(0.01)


def test_ticks_without_news_are_left_out_and_what_a_driver_does_not_know_is_none() -> None:
    recording = recorded()
    times = recording.times.copy()
    times[3] = times[2]
    recording = dataclasses.replace(
        recording, times=times, torques=np.zeros((6, 2)), measured_velocities=np.full((6, 2), np.nan)
    )
    log = Log.of(recording)
    assert len(log.times) == 5
    assert log.torques is None
    assert log.velocities is None


def test_a_clock_that_runs_backwards_is_told_with_its_row() -> None:
    with pytest.raises(InvalidInputError, match=r"arm 7: the clock runs backwards at row 2: 0\.5 s after 1 s"):
        Log(NAMES, np.array([0.0, 1.0, 0.5]), np.zeros((3, 2)), source="arm 7")
    with pytest.raises(InvalidInputError, match="stands still at row 1"):
        Log(NAMES, np.array([0.0, 0.0, 0.5]), np.zeros((3, 2)))


def test_what_is_not_finite_is_told_with_row_and_joint() -> None:
    positions = np.zeros((3, 2))
    positions[1, 1] = np.nan
    with pytest.raises(InvalidInputError, match="positions: row 1, joint two is nan"):
        Log(NAMES, np.arange(3.0), positions)
    with pytest.raises(InvalidInputError, match="times: row 2 is inf"):
        Log(NAMES, np.array([0, 1, np.inf]), np.zeros((3, 2)))
    with pytest.raises(InvalidInputError, match=r"torques: expected shape \(3, 2\), got \(3, 1\)"):
        Log(NAMES, np.arange(3.0), np.zeros((3, 2)), torques=np.zeros((3, 1)))
    with pytest.raises(InvalidInputError, match="holds no motion"):
        Log.of(recorded(1))


def test_gaps_are_found() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.7, 0.8])
    (gap,) = Log(NAMES, times, np.zeros((5, 2))).gaps()
    assert (gap.row, gap.time, gap.duration) == (2, 0.2, pytest.approx(0.5))


def test_joints_are_put_in_order_by_their_names() -> None:
    robot = load_robot("panda")
    order = robot.joint_names[::-1]
    positions = np.arange(14.0).reshape(2, 7)
    log = Log(order, np.arange(2.0), positions, spread={"positions": 0.1 * positions})
    turned = log.for_robot(robot)
    np.testing.assert_array_equal(turned.positions, positions[:, ::-1])
    np.testing.assert_array_equal(turned.spread["positions"], 0.1 * positions[:, ::-1])
    with pytest.raises(UnknownNameError, match="joint in log 'panda_joint1'; valid: one, two"):
        Log(NAMES, np.arange(2.0), np.zeros((2, 2))).for_robot(robot)
