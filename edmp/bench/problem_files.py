"""Files that hold many problems each: robometrics' YAML, and pickles and HDF5 of Motion Policy Networks.

A process parses a file once and keeps it, so that workers can be given paths and numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.yaml_nodes import read_yaml
from edmp.geometry.poses import quaternion_of
from edmp.problem import Goal, PoseGoal, Problem
from edmp.robots import load_robot
from edmp.scenes.franka_tasks import DOF, MPINETS_GRIPPER_WIDTH, FrankaTask, tool_pose_of
from edmp.scenes.mpinets_hdf5 import SOLUTIONS, read_expert_paths, solved_rows
from edmp.scenes.mpinets_pickle import load_mpinets
from edmp.scenes.robometrics import is_robometrics, parse_robometrics

Tasks = Mapping[str, Sequence[FrankaTask]]
"""Problems by set; problem number n is the n-th, counted from 1."""


def file_format(path: Path) -> str:
    """``hdf5``, ``pickle`` or ``yaml``, by the first bytes of the file.

    Raises:
        FileFormatError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    if head == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    # Protocol 2 and later begin so; 0 and 1 are text, and no file of problems is known to be.
    return "pickle" if head[:1] == b"\x80" else "yaml"


def numbers_of(path: Path) -> dict[str, Sequence[int]]:
    """The numbers of the problems in a file, by set, from 1; of HDF5 files number n is row n - 1."""
    if file_format(path) == "hdf5":
        return {expert: (rows + 1).tolist() for expert, rows in solved_rows(path).items() if len(rows)}
    return {name: range(1, len(tasks) + 1) for name, tasks in _tasks_of(path).items() if tasks}


def known_lengths(path: Path, name: str, numbers: Sequence[int]) -> list[float | None]:
    """Length of the path that a file has for each problem [rad], None where it has none; nobody has judged them."""
    if file_format(path) != "hdf5":
        return [None] * len(numbers)
    paths, _ = read_expert_paths(path, name, [number - 1 for number in numbers], scenes=False)
    return np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(axis=1).tolist()


def load_from_file(path: Path, name: str, number: int, robot: str) -> Problem:
    """One problem of a file, for a Panda or an arm with the same joints and hand."""
    if file_format(path) == "hdf5":
        task = _task_of_row(path, name, number - 1)
    else:
        tasks = _tasks_of(path)
        if not 1 <= number <= len(tasks.get(name, ())):
            raise InvalidInputError(f"{path}: no problem {number} in set {name!r}")
        task = tasks[name][number - 1]
    return _problem(task, robot, f"{name}/{number}")


def _task_of_row(path: Path, expert: str, row: int) -> FrankaTask:
    paths, scenes = read_expert_paths(path, expert, [row])
    return FrankaTask(scenes[0], paths[0, 0], None, "", paths[0, -1:], MPINETS_GRIPPER_WIDTH)


def _tasks_of(path: Path) -> Tasks:
    status = path.stat()
    return _parsed(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _parsed(path: str, _changed: int, _size: int) -> Tasks:
    """The whole file; the last two arguments tell a file that was written again from the one that is kept."""
    if file_format(Path(path)) == "pickle":
        return load_mpinets(path)
    root = read_yaml(path)
    if not is_robometrics(root):
        root.fail(
            "not a file of many problems: expected robometrics' YAML (sets, each a list of problems with start and "
            f"obstacles), a pickle of Motion Policy Networks, or HDF5 with {' or '.join(SOLUTIONS.values())}"
        )
    return parse_robometrics(root)


def _problem(task: FrankaTask, robot: str, name: str) -> Problem:
    arm = load_robot(robot)
    if arm.dof != DOF:
        raise InvalidInputError(f"these problems are posed for a Panda with {DOF} joints; {arm.name} has {arm.dof}")
    if task.gripper_width is not None and arm.gripper is not None:
        arm = load_robot(robot, gripper_width=task.gripper_width)
    goals: tuple[Goal, ...]
    if task.X_WF is not None:
        X_WT = tool_pose_of(arm, task.X_WF, task.frame)
        goals = (PoseGoal(X_WT[:3, 3], quaternion_of(X_WT)),)
    else:
        goals = tuple(task.goals)
    return Problem(arm, task.scene, task.start, goals[0] if len(goals) == 1 else goals, name)
