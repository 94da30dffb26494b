"""Recordings survive the disk to the last bit, stand alone, and damaged ones are named."""

import dataclasses
import json

import numpy as np
import pytest

import edmp
from edmp.errors import FileFormatError, InvalidInputError
from edmp.execution import Recording, summarise
from edmp.execution.driver import Command
from edmp.execution.kinematic import KinematicArm
from edmp.execution.recorder import Recorder
from edmp.geometry.poses import pose
from edmp.recordings.mcap_file import RecordingFile, load_recording, save_recording
from edmp.recordings.recording import Handled, measured_motion

NAMES = ("one", "two")


def recording(n=40):
    rng = np.random.default_rng(3)
    tables = [rng.normal(size=(n, 2)) for _ in range(6)]
    times = 0.1 + 1e-3 * np.arange(n)
    contacts = ((3, "hand", "shelf"), (7, "hand", "naïve “name”")) if n else ()
    return Recording(NAMES, times, times + 1e-4, *tables, contacts)


def same(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


def test_every_bit_survives_numbers_that_are_none_included(tmp_path):
    given = recording()
    given.measured[5] = np.nan, np.inf
    given.torques[6, 1] = -np.inf
    X_WO = np.stack([pose((0.1 * k, 0.0, 0.3), (0.0, 0.0, 0.6, 0.8)) for k in range(3)])
    looks = Handled(np.array([0, 4, 39]), np.array([0.08, np.nan, 0.03]), {"can": X_WO, "naïve “name”": X_WO[::-1]})
    given = dataclasses.replace(given, handled=looks)
    save_recording(tmp_path / "run.mcap", RecordingFile(given, about={"driver": "kinematic"}))
    again = load_recording(tmp_path / "run.mcap")
    same(dataclasses.replace(given, handled=None), dataclasses.replace(again.recording, handled=None))
    assert again.recording.handled is not None
    np.testing.assert_array_equal(again.recording.handled.ticks, looks.ticks)
    np.testing.assert_array_equal(again.recording.handled.widths, looks.widths)
    assert list(again.recording.handled.objects) == list(looks.objects)
    for name, poses in looks.objects.items():
        np.testing.assert_array_equal(again.recording.handled.objects[name], poses)
    assert again.about == {"driver": "kinematic"}
    assert again.plan is None
    assert [p.name for p in tmp_path.iterdir()] == ["run.mcap"]


def test_an_empty_recording_is_one(tmp_path):
    save_recording(tmp_path / "run.mcap", RecordingFile(recording(0)))
    again = load_recording(tmp_path / "run.mcap").recording
    assert again.measured.shape == (0, 2)
    assert summarise(again).duration == 0.0
    with pytest.raises(InvalidInputError, match="no motion"):
        measured_motion(again)


def test_how_near_it_came_is_told_of_whatever_clock_and_length():
    """Where the last tick is a whole number of hundredths after the first, rounding once led past the end."""
    robot, far = edmp.load_robot("panda"), edmp.Scene.of({"ball": (edmp.Sphere(0.1), (2.0, 0.0, 0.5))})
    for begin, ticks in ((1.0, 31), (8759.560312379654, 2761)):
        recorder, state = Recorder(robot), KinematicArm(robot, robot.home)
        times = begin + np.arange(ticks) * (0.01 if ticks == 31 else 1e-3)
        assert np.arange(times[0], times[-1], 0.01)[-1] >= times[-1]
        with state as arm:
            here = arm.wait()
        for time in times:
            recorder.add(dataclasses.replace(here, time=time), Command.hold(robot.home), time)
        summary = summarise(recorder.recording(), robot=robot, scene=far)
        assert summary.min_clearance is not None
        assert summary.min_clearance > 0.5


def test_any_reader_of_mcap_takes_it(tmp_path):
    from mcap.reader import make_reader

    save_recording(tmp_path / "run.mcap", RecordingFile(recording()))
    with (tmp_path / "run.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        topics = [(channel.topic, json.loads(m.data)) for _, channel, m in reader.iter_messages()]
    assert {topic for topic, _ in topics} == {"/commanded", "/measured", "/contact"}
    first = next(row for topic, row in topics if topic == "/measured")
    assert set(first) == {"stamp", "seen", "position", "velocity", "effort", "external_effort"}


def test_the_measured_motion_leaves_out_what_says_nothing(tmp_path):
    given = recording()
    given.times[9] = given.times[8]
    given.measured[4] = np.nan
    motion = measured_motion(given)
    assert len(motion.times) == 38
    assert (np.diff(motion.times) > 0).all()
    assert motion.times[0] == 0.0


def test_what_is_no_recording_is_named(tmp_path):
    path = tmp_path / "run.mcap"
    with pytest.raises(FileFormatError, match="no such recording"):
        load_recording(path)
    path.write_bytes(b"no container")
    with pytest.raises(FileFormatError, match="not a recording"):
        load_recording(path)
    save_recording(path, RecordingFile(recording()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileFormatError, match="not a recording"):
        load_recording(path)
    with pytest.raises(InvalidInputError, match="cannot write"):
        save_recording(tmp_path / "nowhere" / "run.mcap", RecordingFile(recording()))
