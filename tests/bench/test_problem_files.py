"""Problems of public data sets: layouts, frames, and that a pickle is read, never run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dataset_cases as cases
import numpy as np
import pytest
import torch

from edmp.bench import find_problems
from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.files.plain_pickle import load_plain
from edmp.geometry.poses import pose, quaternion_of, rotation_from_rpy
from edmp.problem import PoseGoal
from edmp.robots import load_robot, tool_pose
from edmp.scenes import Box, Cylinder, Sphere
from edmp.scenes.franka_tasks import tool_pose_of
from edmp.scenes.mpinets_hdf5 import read_expert_paths

# From the flange to the frame in which Motion Policy Networks' targets are given, as its URDF has it.
FLANGE_TO_RIGHT_GRIPPER = pose((0, 0, 0.1), rotation_from_rpy((0, 0, 2.35619449019)))


def pose_of(robot, q, frame: str) -> np.ndarray:
    return tool_pose(robot.with_tool(frame), torch.as_tensor(np.asarray(q, dtype=np.float64))).numpy()


def right_gripper(q) -> np.ndarray:
    return pose_of(load_robot("panda"), q, "panda_link8") @ FLANGE_TO_RIGHT_GRIPPER


@pytest.fixture
def robometrics(tmp_path: Path) -> Path:
    path = tmp_path / "set.yaml"
    path.write_text(cases.ROBOMETRICS)
    return path


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", ["panda_hand", "panda_link8", "right_gripper"])
@pytest.mark.parametrize("tool", ["panda_hand_tcp", "panda_hand", "panda_link8"])
def test_goals_in_other_frames_become_goals_of_the_tool(frame: str, tool: str) -> None:
    robot = load_robot("panda").with_tool(tool)
    q = np.random.default_rng(0).uniform(robot.limits.lower, robot.limits.upper)
    X_WF = right_gripper(q) if frame == "right_gripper" else pose_of(robot, q, frame)
    np.testing.assert_allclose(tool_pose_of(robot, X_WF, frame), pose_of(robot, q, tool), atol=1e-10)


def test_frames_that_are_not_known_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown frame of a Panda 'left_gripper'.*right_gripper"):
        tool_pose_of(load_robot("panda"), np.eye(4), "left_gripper")
    with pytest.raises(InvalidInputError, match="has no 'panda_hand'"):
        tool_pose_of(load_robot("ur5"), np.eye(4), "panda_hand")


# --- robometrics -----------------------------------------------------------------------------------------------------


def test_robometrics(robometrics: Path) -> None:
    first, second = find_problems(robometrics)
    assert (first.set, first.index, first.best_known) == ("bookshelf_small_panda", 1, None)
    problem = pickle.loads(pickle.dumps(first)).load("panda")
    np.testing.assert_array_equal(problem.start, cases.START)
    assert problem.name == "bookshelf_small_panda/1"
    assert problem.scene["shelf"].shape == Box((1.2, 1.0, 0.04))
    np.testing.assert_allclose(problem.scene["shelf"].X_WO[:3, 0], [0, 1, 0], atol=1e-12)
    assert problem.scene["can"].shape == Cylinder(0.01, 0.14)
    # The data set's own solution of the goal pose, which it got from another robot model, reaches our tool's goal.
    q = [-0.35806408524513245, 0.280899316072464, -1.0740009546279907, -2.2003324031829834, 2.744006633758545,
         2.2448089122772217, 1.3049980401992798]  # fmt: skip
    assert isinstance(problem.goal, PoseGoal)
    X = np.linalg.inv(problem.goal.X_WT) @ pose_of(problem.robot, q, "panda_hand_tcp")
    assert np.linalg.norm(X[:3, 3]) < 1e-5
    assert np.arccos(np.clip((np.trace(X[:3, :3]) - 1) / 2, -1, 1)) < 1e-5
    assert problem.robot.gripper.width == 0.08
    other = second.load("panda")
    assert isinstance(other.goal, tuple)
    np.testing.assert_array_equal(np.array(other.goal)[:, 0], [0.1, 0.2])
    assert other.robot.gripper.width == 0.05  # a set of Motion Policy Networks
    assert len(other.scene) == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("frame: panda_hand", "frame: panda_foot", r"set.yaml:8: .*unknown frame of a Panda 'panda_foot'"),
        ("world_frame: panda_link0", "world_frame: table", "expected panda_link0, got 'table'"),
        ("dims: [1.2, 1.0, 0.04]", "dims: [1.2, 1.0]", "expected 3 numbers"),
        ("    cylinder:\n", "    capsule:\n", "unknown key 'capsule'; valid: cuboid, cylinder"),
        ("pose: [0.5, -0.4, 0.3, 1.0,", "pose: [0.5, -0.4, 0.3, 2.0,", "obstacle 'can': .*unit length"),
        ("  start: [0.0, -0.785,", "  start: [", "expected 7 numbers"),
    ],
)
def test_robometrics_malformed(robometrics: Path, old: str, new: str, says: str) -> None:
    text = robometrics.read_text()
    assert old in text
    robometrics.write_text(text.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=says):
        find_problems(robometrics)


def test_a_robot_with_other_joints_is_refused(robometrics: Path) -> None:
    with pytest.raises(InvalidInputError, match="posed for a Panda with 7 joints; ur5 has 6"):
        find_problems(robometrics)[0].load("ur5")


def test_a_file_that_changed_is_read_again(robometrics: Path) -> None:
    assert len(find_problems(robometrics)) == 2
    robometrics.write_text(cases.ROBOMETRICS.split("dresser")[0])
    assert len(find_problems(robometrics)) == 1


# --- Motion Policy Networks: pickles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["old", "new"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_mpinets_pickle(tmp_path: Path, layout: str, protocol: int) -> None:
    q = cases.START + 0.1
    X = right_gripper(q)
    target = (X[:3, 3], np.roll(quaternion_of(X), 1))
    path = cases.write_mpinets_pickle(tmp_path / "p.pkl", target, layout=layout, protocol=protocol)
    entries = find_problems(path)
    assert [(e.set, e.index) for e in entries] == [
        ("tabletop_task_oriented", 1),
        ("tabletop_task_oriented", 2),
        ("cubby_neutral_start", 1),
    ]
    problem = entries[2].load("panda")
    np.testing.assert_allclose(problem.start, cases.START, atol=1e-6)
    assert isinstance(problem.goal, PoseGoal)
    np.testing.assert_allclose(problem.goal.X_WT, pose_of(problem.robot, q, "panda_hand_tcp"), atol=1e-8)
    assert problem.robot.gripper.width == 0.05
    assert problem.scene.names == ("cuboid0", "cylinder1", "sphere2")  # the box without volume is none
    box, cylinder, ball = problem.scene
    assert box.shape == Box((0.4, 1.0, 0.02))
    np.testing.assert_allclose(box.X_WO[:3, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(box.X_WO[:3, 3], [0.6, 0.1, 0.2])
    assert (cylinder.shape, ball.shape) == (Cylinder(0.05, 0.2), Sphere(0.07))


def test_mpinets_pickle_with_the_later_name_of_its_module(tmp_path: Path) -> None:
    path = cases.write_mpinets_pickle(
        tmp_path / "p.pkl", ((0.5, 0, 0.5), (0, 1, 0, 0)), types_module="mpinets.mpinets_types"
    )
    assert len(find_problems(path, sets=["cubby_neutral_start"])) == 1


class Trap:
    """What it stands for is called when it is unpickled the ordinary way."""

    def __init__(self, call: Any, *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.args


@pytest.mark.parametrize("where", ["alone", "inside"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_that_is_a_program_is_refused_and_not_run(tmp_path: Path, where: str, protocol: int) -> None:
    import os

    mark = tmp_path / "was_run"
    traps = {
        "posix.system": Trap(os.system, f"touch {mark}"),
        "builtins.eval": Trap(eval, f"open({str(mark)!r}, 'w')"),
        "builtins.getattr": Trap(getattr, "text", "upper"),
        "numpy.load": Trap(np.load, str(mark), None, True),
    }
    for trap in traps.values():
        content = trap if where == "alone" else {"tabletop": {"task-oriented": [trap]}}
        path = tmp_path / "p.pkl"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(FileFormatError, match=r"refused to load \S*(system|eval|getattr|load)"):
            find_problems(path)
        assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x04", "not a pickle of plain data"),
        (pickle.dumps([1, 2]), "expected a dict, got list"),
        (pickle.dumps({"a": {"b": 3}}), r"\['a'\]\['b'\]: expected a list of PlanningProblem, got int"),
        (pickle.dumps({"a": {"b": [3]}}), r"\['b'\]\[0\]: expected a PlanningProblem, got int"),
        (pickle.dumps(np.array([{"a": 1}], dtype=object)), "only numbers are read"),
        (pickle.dumps(np.zeros(1, [("a", float)])), "only numbers are read"),
    ],
)
def test_mpinets_pickle_malformed(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "p.pkl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=says):
        find_problems(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_pickles_give_back_containers_and_arrays(tmp_path: Path, protocol: int) -> None:
    arrays = [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.arange(3, dtype=">f4"),
        np.array(2.5, np.float32),
    ]
    content = {"arrays": arrays, "one": np.float32(1.5), "rest": ({1, 2}, frozenset("a"), b"xy", None, True)}
    path = tmp_path / "p.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_plain(path, ())
    assert read["one"] == 1.5
    assert read["rest"] == content["rest"]
    for array, plain in zip(arrays, read["arrays"], strict=True):
        np.testing.assert_array_equal(plain.values(), array)
        assert plain.values().dtype == array.dtype


# --- Motion Policy Networks: HDF5 ------------------------------------------------------------------------------------


def test_mpinets_hdf5(tmp_path: Path) -> None:
    path = cases.write_mpinets_hdf5(tmp_path / "train.hdf5")
    entries = find_problems(path)
    assert [(e.set, e.index) for e in entries] == [("global", 1), ("global", 2), ("global", 3), ("hybrid", 1),
                                                   ("hybrid", 3)]  # fmt: skip
    np.testing.assert_allclose([e.best_known for e in entries], [0.5, 1.5, 2.5, 0.5, 2.5], rtol=1e-5)
    problem = entries[4].load("panda")
    np.testing.assert_allclose(problem.start, cases.START, atol=1e-6)
    np.testing.assert_allclose(problem.goal, cases.START + np.array([2.5, 0, 0, 0, 0, 0, 0]), atol=1e-6)
    assert problem.scene.names == ("cuboid0", "cylinder3")
    assert problem.robot.gripper.width == 0.05
    np.testing.assert_allclose(problem.scene["cylinder3"].shape.length, 0.2, rtol=1e-6)
    paths, scenes = read_expert_paths(path, "hybrid")
    assert paths.shape == (2, 50, 7)
    assert [len(scene) for scene in scenes] == [1, 2]
    np.testing.assert_allclose(scenes[0]["cuboid0"].X_WO[:3, 0], [0, 1, 0], atol=1e-6)


def test_mpinets_hdf5_without_cylinders(tmp_path: Path) -> None:
    _, scenes = read_expert_paths(cases.write_mpinets_hdf5(tmp_path / "a.hdf5", cylinders=False), "global", [2, 0])
    assert [scene.names for scene in scenes] == [("cuboid0",)] * 2


def test_mpinets_hdf5_malformed(tmp_path: Path) -> None:
    import h5py

    path = cases.write_mpinets_hdf5(tmp_path / "a.hdf5")
    with pytest.raises(UnknownNameError, match="unknown expert 'best'; valid: global, hybrid"):
        read_expert_paths(path, "best")
    with pytest.raises(InvalidInputError, match="no row 3; it has rows 0 to 2"):
        read_expert_paths(path, "global", [3])
    with h5py.File(path, "a") as file:
        file["cuboid_quaternions"][1, 0] = (2, 0, 0, 0)
    with pytest.raises(FileFormatError, match=r"row 1: obstacle 'cuboid0': .*unit length"):
        read_expert_paths(path, "global", [1])
    with h5py.File(path, "a") as file:
        del file["cuboid_quaternions"]
    with pytest.raises(FileFormatError, match="has no cuboid_quaternions"):
        find_problems(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileFormatError, match="cannot be read as HDF5"):
        find_problems(path)


# --- the entry point -------------------------------------------------------------------------------------------------


def test_choice_of_sets_numbers_and_limit(tmp_path: Path) -> None:
    path = cases.write_mpinets_hdf5(tmp_path / "train.h5")
    names = [(e.set, e.index) for e in find_problems(path, sets=["hybrid"], numbers=range(2, 9))]
    assert names == [("hybrid", 3)]
    assert [(e.set, e.index) for e in find_problems(path, limit=3)] == [("global", 1), ("global", 2), ("hybrid", 1)]
    with pytest.raises(UnknownNameError, match="unknown problem set 'locl'; valid: global, hybrid"):
        find_problems(path, sets=["locl"])
    with pytest.raises(InvalidInputError, match="leaves none"):
        find_problems(path, numbers=[77])


def test_files_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no such folder or file"):
        find_problems(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="has no folder with files"):
        find_problems(tmp_path)
    path = tmp_path / "scene.yaml"
    path.write_text("edmp_scene: 1\nobstacles: {}\n")
    with pytest.raises(FileFormatError, match="not a file of many problems"):
        find_problems(path)
