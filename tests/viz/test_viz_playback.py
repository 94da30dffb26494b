"""The clock, the switches and the keys of a viewer, without a window."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from plan_cases import failed, solved

from edmp.errors import EdmpError, InvalidInputError, UnknownNameError
from edmp.problem import PoseGoal, Problem, load_example
from edmp.result import Status
from edmp.viz.playback import KEY_OF, SPEEDS, STEP, Playback
from edmp.viz.subject import Subject, subject_of
from edmp.viz.window import show


@pytest.fixture(scope="module")
def subject() -> Subject:
    """A motion and an alternative of another duration."""
    problem = load_example("bookshelf")
    result = solved(problem)
    farther = solved(dataclasses.replace(problem, goal=np.asarray(problem.goal) - 0.3)).best
    assert farther is not None
    return subject_of(dataclasses.replace(result, alternatives=(farther,)), problem=problem)


def failure(problem: Problem) -> Subject:
    return subject_of(failed(Status.GOAL_IN_COLLISION, 'panda_hand is 12 mm inside "board_middle"'), problem=problem)


def test_the_clock_runs_at_the_chosen_speed_and_begins_again(subject: Subject) -> None:
    playback = Playback(subject)
    assert playback.playing
    assert playback.speed == 1.0
    assert playback.advance(0.25)
    np.testing.assert_allclose(playback.configuration, subject.motions[0].at(0.25))
    playback.set_speed(0.5)
    playback.advance(0.2)
    assert playback.time == pytest.approx(0.35)
    playback.advance(1e3)
    assert playback.time == 0.0
    assert playback.playing


def test_without_repeat_it_stops_at_the_end_and_plays_from_the_beginning(subject: Subject) -> None:
    playback = Playback(subject)
    assert playback.press("l")
    assert not playback.repeat
    playback.advance(1e3)
    assert playback.time == playback.duration
    assert not playback.playing
    assert not playback.advance(1.0)
    assert playback.press("space")
    assert playback.playing
    assert playback.time == 0.0


def test_keys_scrub(subject: Subject) -> None:
    playback = Playback(subject)
    playback.press("end")
    assert playback.time == playback.duration
    assert not playback.playing
    playback.press("left")
    assert playback.time == pytest.approx(playback.duration - STEP)
    for key in ("right", "right"):
        playback.press(key)
    assert playback.time == playback.duration
    playback.press("home")
    playback.press("left")
    assert playback.time == 0.0
    for _ in SPEEDS:
        playback.press("minus")
    assert playback.speed == min(SPEEDS)
    for _ in SPEEDS:
        playback.press("plus")
    assert playback.speed == max(SPEEDS)


def test_alternatives_are_chosen_by_key(subject: Subject) -> None:
    playback = Playback(subject)
    playback.press("n")
    assert playback.motion == 1
    assert playback.duration == subject.motions[1].duration
    np.testing.assert_array_equal(playback.ends["goal"], subject.motions[1].positions[-1])
    playback.press("n")
    playback.press("p")
    assert playback.motion == 1
    playback.seek(1e3)
    playback.choose(0)
    assert playback.time <= subject.motions[0].duration
    with pytest.raises(InvalidInputError, match="no motion 2"):
        playback.choose(2)


def test_every_overlay_has_its_key_and_every_key_its_help(subject: Subject) -> None:
    assert set(Playback(subject).visible) == set(KEY_OF) - {"goal pose", "regions"}  # nobody asked for them
    asked = dataclasses.replace(subject, pose_goal=PoseGoal((0.4, 0.0, 0.5), (1.0, 0.0, 0.0, 0.0)))
    asked = dataclasses.replace(asked, scene=asked.scene.with_region("tray", (0.2, 0.2, 0.1)))
    playback = Playback(asked)
    assert set(playback.visible) == set(KEY_OF)
    assert len(set(KEY_OF.values())) == len(KEY_OF)
    for name, key in KEY_OF.items():
        before = playback.visible[name]
        assert playback.press(key)
        assert playback.visible[name] is not before
    helped = {key.lower() for keys, _ in playback.key_help for key in (keys, *keys.split())}
    assert {"space", "home", "end", "-", "+", "l", "n", "p", "h", "arrows"} <= helped
    assert not playback.press("x")
    with pytest.raises(UnknownNameError, match="swept volume"):
        playback.toggle("swept")


def test_what_has_no_motion_has_no_clock() -> None:
    problem = load_example("bookshelf")
    for subject in (failure(problem), subject_of(problem.scene)):
        playback = Playback(subject)
        assert not playback.playing
        assert not playback.advance(1.0)
        assert not playback.press("space")
        assert not {"tool path", "swept volume"} & set(playback.visible)
        np.testing.assert_array_equal(playback.configuration, subject.standing)
    assert set(Playback(failure(problem)).ends) == {"start", "goal"}
    assert "goal" not in Playback(subject_of(problem.scene)).visible


def test_without_a_screen_the_window_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EdmpError, match="no screen to open a window on"):
        show(load_example("bookshelf"))
