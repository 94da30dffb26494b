"""Arrays beside a text file: written with it or not at all, and noticed if they are lost, exchanged or damaged."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from plan_cases import solved

import edmp
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files import beside as module
from edmp.files.npz import read_npz, write_npz
from edmp.problem import load_example
from edmp.taskplan import Phase

RNG = np.random.default_rng(2)


def sensed(seed: int = 0) -> edmp.Scene:
    """One obstacle of each kind that is an array, and a box."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), axis=-1)
    return edmp.Scene.of(
        {
            "cloud": (edmp.PointCloud(rng.uniform(-0.2, 0.2, (500, 3)), 0.01), (0.9, 0.1, 0.2), (0, 0, 1, 0)),
            "cells": (edmp.Voxels(rng.random((4, 5, 6)) < 0.3, 0.05), (0.9, 0.4, 0.3)),
            "field": (edmp.DistanceField(np.linalg.norm(grid - 3.5, axis=-1) * 0.05 - 0.12, 0.05), (0.9, -0.4, 0.3)),
            "box": (edmp.Box((0.1, 0.1, 0.1)), (0.9, -0.9, 0.3)),
        }
    )


@pytest.fixture(scope="module")
def problem() -> edmp.Problem:
    return dataclasses.replace(load_example("bookshelf"), scene=sensed())


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def beside(path: Path) -> Path:
    """The one file of arrays."""
    (found,) = path.parent.glob(f"{path.name}.*.npz")
    return found


def test_what_is_saved_is_read_back_whatever_the_format(tmp_path: Path, problem: edmp.Problem) -> None:
    result = dataclasses.replace(solved(problem), problem=problem)
    result.save(tmp_path / "plan.json")
    assert edmp.load_result(tmp_path / "plan.json").problem.scene == problem.scene
    edmp.save_scene(tmp_path / "scene.yaml", problem.scene)
    assert edmp.load_scene(tmp_path / "scene.yaml") == problem.scene
    edmp.save_problem(tmp_path / "problem.yaml", problem)
    assert edmp.load_problem(tmp_path / "problem.yaml").scene == problem.scene
    assert len(files(tmp_path)) == 6
    for path in (tmp_path / "plan.json", tmp_path / "scene.yaml", tmp_path / "problem.yaml"):
        assert path.stat().st_size < 30_000  # nothing large is inline
        assert len(read_npz(beside(path), "file of arrays")) == 3


def test_a_task_keeps_what_its_scenes_share_once(tmp_path: Path, problem: edmp.Problem) -> None:
    robot, best = problem.robot, solved(problem).best
    later = problem.scene.without("box")
    phases = (
        Phase("go", robot, problem.scene, best.path[0], best, None, best.duration),
        Phase("close", robot, later, best.path[-1], None, 0.0, 0.4),
    )
    plan = edmp.TaskPlan(
        edmp.Status.SOLVED, "certified", robot, problem.scene, best.path[0], phases, solved(problem).stats
    )
    plan.save(tmp_path / "task.json")
    assert len(read_npz(beside(tmp_path / "task.json"), "file of arrays")) == 3
    read = edmp.load_task(tmp_path / "task.json")
    assert [phase.scene for phase in read.phases] == [problem.scene, later]
    assert read.phases[0].scene["cloud"].shape is read.phases[1].scene["cloud"].shape  # made once


def test_a_recording_and_a_trace_hold_theirs_inside(tmp_path: Path, problem: edmp.Problem) -> None:
    from edmp.execution import Recording
    from edmp.planfile import PlanFile
    from edmp.recordings.mcap_file import RecordingFile, load_recording, save_recording
    from edmp.trace import Trace, load_trace, save_trace

    plan = PlanFile(problem, solved(problem))
    names, n = problem.robot.joint_names, 4
    tables = [RNG.normal(size=(n, len(names))) for _ in range(6)]
    recording = Recording(names, np.arange(n) * 1e-3, np.arange(n) * 1e-3, *tables, ())
    save_recording(tmp_path / "run.mcap", RecordingFile(recording, plan, {}))
    save_trace(tmp_path / "trace.npz", Trace(plan, ()))
    assert files(tmp_path) == ["run.mcap", "trace.npz"]
    assert load_recording(tmp_path / "run.mcap").plan.problem.scene == problem.scene
    assert load_trace(tmp_path / "trace.npz").plan.problem.scene == problem.scene


def test_saving_over_a_file_takes_away_what_it_had_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "scene.yaml"
    edmp.save_scene(path, sensed(0))
    first = beside(path)
    edmp.save_scene(tmp_path / "other.yaml", sensed(0))
    edmp.save_scene(path, sensed(1))
    assert beside(path) != first
    assert edmp.load_scene(path) == sensed(1)
    assert edmp.load_scene(tmp_path / "other.yaml") == sensed(0)
    edmp.save_scene(path, sensed(1))  # the same again
    assert edmp.load_scene(path) == sensed(1)
    edmp.save_scene(path, sensed(1).without("cloud", "cells", "field"))
    assert not list(tmp_path.glob("scene.yaml.*"))


def test_a_copy_in_the_same_folder_keeps_its_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, copy = tmp_path / "scene.yaml", tmp_path / "copy of the scene"
    edmp.save_scene(path, sensed(0))
    copy.write_bytes(path.read_bytes())
    edmp.save_scene(path, sensed(1))
    assert edmp.load_scene(path) == sensed(1)
    copy.rename(tmp_path / "copy.yaml")
    assert edmp.load_scene(tmp_path / "copy.yaml") == sensed(0)
    (tmp_path / "copy.yaml").unlink()
    edmp.save_scene(path, sensed(2))
    assert len(list(tmp_path.glob("scene.yaml.*"))) == 2, "what nobody names any more is left alone"
    monkeypatch.setattr(module, "MOST_SEARCHED", 10)
    (tmp_path / "notes.txt").write_text("more than that")
    edmp.save_scene(path, sensed(3))
    assert len(list(tmp_path.glob("scene.yaml.*"))) == 3, "where it is not known, nothing goes"


@pytest.mark.parametrize("fails", ["write_npz", "text"])
def test_what_cannot_be_written_leaves_the_older_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "scene.yaml"
    edmp.save_scene(path, sensed(0))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    target = (module, "write_npz") if fails == "write_npz" else (Path, "write_text")
    monkeypatch.setattr(*target, full)
    with pytest.raises((OSError, InvalidInputError), match="No space left"):
        edmp.save_scene(path, sensed(1))
    monkeypatch.undo()
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    assert edmp.load_scene(path) == sensed(0)


def exchanged(path: Path, change: object) -> None:
    arrays = read_npz(path, "file of arrays")
    write_npz(path, {name: change(array) for name, array in arrays.items()})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file of arrays"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not a file of arrays, or damaged"),
        (lambda path: exchanged(path, lambda array: array.copy() * 0), "not the one that this was written with"),
        (lambda path: exchanged(path, lambda array: array[:-1]), "not the one that this was written with"),
        (lambda path: exchanged(path, lambda array: array.astype("f8")), "not the one that this was written with"),
        (lambda path: write_npz(path, {"a": np.zeros(3)}), "holds no array"),
        (lambda path: np.savez(path.open("wb"), a=np.array([{}], dtype=object)), "does not fit|not an array"),
    ],
)
def test_arrays_that_are_lost_exchanged_or_damaged_are_noticed(
    tmp_path: Path, problem: edmp.Problem, damage: object, message: str
) -> None:
    edmp.save_scene(tmp_path / "scene.yaml", problem.scene)
    dataclasses.replace(solved(problem), problem=problem).save(tmp_path / "plan.json")
    for path, load in ((tmp_path / "scene.yaml", edmp.load_scene), (tmp_path / "plan.json", edmp.load_plan)):
        damage(beside(path))
        with pytest.raises(FileFormatError, match=message) as refused:
            load(path)
        assert path.name in str(refused.value)


def test_a_bomb_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edmp.files import npz

    edmp.save_scene(tmp_path / "scene.yaml", sensed())
    monkeypatch.setattr(npz, "MAX_BYTES", 4000)
    with pytest.raises(FileFormatError, match="unpacked it has more than 4000 bytes"):
        edmp.load_scene(tmp_path / "scene.yaml")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0.0, 0.0, 0.0]], "large arrays lie beside this file|expected {array"),
        ({"array": "0" * 16, "file": "../other.npz"}, "lie beside this file"),
        ({"array": "0" * 16, "file": "/dev/zero"}, "lie beside this file"),
        ({"array": "0" * 16, "file": "gone.npz"}, "no such file of arrays"),
        ({"array": "0" * 16}, "missing key 'file'|holds no array"),
    ],
)
def test_what_a_text_may_say_of_its_arrays(tmp_path: Path, problem: edmp.Problem, value: object, message: str) -> None:
    edmp.save_scene(tmp_path / "scene.yaml", problem.scene)
    document = yaml.safe_load((tmp_path / "scene.yaml").read_text())
    document["obstacles"]["cloud"]["points"] = value
    (tmp_path / "scene.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(FileFormatError, match=r"scene.yaml:\d+: obstacles.cloud.points.*(" + message + ")"):
        edmp.load_scene(tmp_path / "scene.yaml")
    dataclasses.replace(solved(problem), problem=problem).save(tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["scene"][0]["points"] = value
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(FileFormatError, match=r"plan.json: scene\[0\].points: .*(" + message + ")"):
        edmp.load_plan(tmp_path / "plan.json")


def test_an_array_of_another_kind_is_refused(tmp_path: Path) -> None:
    edmp.save_scene(tmp_path / "scene.yaml", sensed())
    document = yaml.safe_load((tmp_path / "scene.yaml").read_text())
    obstacles = document["obstacles"]
    obstacles["cells"]["occupancy"], obstacles["field"]["distances"] = (
        obstacles["field"]["distances"],
        obstacles["cells"]["occupancy"],
    )
    (tmp_path / "scene.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(
        FileFormatError, match=r"cells.occupancy.*expected an array of bool \(any, any, any\), got float32"
    ):
        edmp.load_scene(tmp_path / "scene.yaml")


def test_a_scene_goes_to_a_worker_as_it_is(problem: edmp.Problem) -> None:
    """`edmp bench` and the planner's process send problems pickled; the arrays are locked there, too."""
    scene = pickle.loads(pickle.dumps(problem.scene))
    assert scene == problem.scene
    assert not scene["cloud"].shape.points.flags.writeable
