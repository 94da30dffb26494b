"""What the options of ``edmp plan`` describe: the problem, the line, the constraints."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edmp.cli.arguments import numbers, scene_file
from edmp.cli.clouds import CloudOptions
from edmp.errors import InvalidInputError

if TYPE_CHECKING:
    from edmp.constraints import Constraint
    from edmp.goals import ToolGoal
    from edmp.problem import Goal, Problem

NO_CLOUDS = CloudOptions()


def read_problem(
    scene: str | None,
    *,
    request: Path | None = None,
    start: str | None = None,
    goals: list[str] | None = None,
    goal_poses: list[str] | None = None,
    line: ToolGoal | None = None,
    robot: str | None = None,
    clouds: CloudOptions = NO_CLOUDS,
) -> Problem:
    """The problem that the options of ``edmp plan`` describe.

    Raises:
        EdmpError: names the option or file at fault.
    """
    if request is not None and (start or goals or goal_poses):
        raise InvalidInputError("--request gives start and goal already: leave out --start, --goal and --goal-pose")
    if line is not None and (goals or goal_poses):
        raise InvalidInputError("a line stands alone: leave out --goal and --goal-pose")
    with _scene_file(scene, clouds) as path:
        problem = _problem_of(path, request, start, goals or [], goal_poses or [], line, robot)
    return dataclasses.replace(problem, scene=clouds.added_to(problem)) if clouds.clouds else problem


def _scene_file(scene: str | None, clouds: CloudOptions) -> contextlib.AbstractContextManager[Path | None]:
    """The file of a scene; None if there are clouds alone."""
    if scene is not None:
        return scene_file(scene)
    if not clouds.clouds:
        raise InvalidInputError("give --scene, a file or a shipped example, or --cloud, what a sensor saw")
    return contextlib.nullcontext()


def _problem_of(
    path: Path | None,
    request: Path | None,
    start: str | None,
    goals: list[str],
    goal_poses: list[str],
    line: ToolGoal | None,
    robot: str | None,
) -> Problem:
    from edmp.problem import Problem, load_problem, load_scene_constraints, load_setting

    if path is None:
        if request is not None or start is None or not (goals or goal_poses or line):
            raise InvalidInputError("--cloud without --scene needs --start, and --goal, --goal-pose or a line")
        problem = _alone(robot)
    elif start is None or not (goals or goal_poses or line):
        problem = load_problem(path, request, robot=robot)
    else:
        arm, scene = load_setting(path, robot=robot)
        kept = load_scene_constraints(path, arm)
        problem = Problem(arm, scene, arm.home, arm.home, path.stem, constraints=kept)
    dof = problem.robot.dof
    if start is not None:
        problem = dataclasses.replace(problem, start=_configuration(start, dof, "--start"))
    if line is not None:
        problem = dataclasses.replace(problem, goal=line)
    elif goals or goal_poses:
        problem = dataclasses.replace(problem, goal=_goals(goals, goal_poses, dof))
    return problem


def _alone(robot: str | None) -> Problem:
    """A robot that stands in an empty scene."""
    from edmp.problem import Problem
    from edmp.robots import load_robot
    from edmp.scenes.scene import Scene

    arm = load_robot(robot or "panda")
    return Problem(arm, Scene(), arm.home, arm.home, "cloud")


def one_or_two(text: str | None, what: str) -> float | tuple[float, ...] | None:
    """A limit of the tool: of its origin, or of its rotation, too."""
    if text is None:
        return None
    return tuple(numbers(text, 2, what)) if len(text.split()) > 1 else numbers(text, 1, what)[0]


def line_asked(line_to: list[str], line_by: str | None, blend: float | None) -> ToolGoal | None:
    """The line that the options describe, None if they describe none."""
    from edmp.goals import Line, PoseGoal, Via

    if line_by is not None and line_to:
        raise InvalidInputError("give either --line-to or --line-by, not both")
    if blend is not None and len(line_to) < 2:
        raise InvalidInputError("--blend rounds corners: give --line-to at least twice")
    if line_by is not None:
        return Line.by(numbers(line_by, 3, "--line-by"))
    rows = (numbers(text, 7, "--line-to") for text in line_to)
    poses = [PoseGoal(values[:3], values[3:]) for values in rows]  # type: ignore[arg-type]
    if len(poses) > 1:
        return Via(tuple(poses), blend or 0.0)
    return Line(poses[0]) if poses else None


def constraints_asked(
    problem: Problem, keep_upright: float | None, distances: list[str], ranges: list[str], regions: list[str]
) -> list[Constraint]:
    """What the options say that the motion must keep to.

    Raises:
        InvalidInputError: names the option at fault.
    """
    from edmp.constraints import InRegion, JointRange, KeepDistance

    found: list[Constraint] = [] if keep_upright is None else [_upright(problem, keep_upright)]
    for text in distances:
        name, (distance,) = _named_numbers(text, 1, "--keep-distance")
        found.append(KeepDistance(name, distance))
    for text in ranges:
        name, (lower, upper) = _named_numbers(text, 2, "--joint-range")
        found.append(JointRange(name, lower, upper))
    return found + [InRegion(name) for name in regions]


def _upright(problem: Problem, tolerance: float) -> Constraint:
    """The axis of the tool frame, x, y, z or minus one of them, that is nearest to up at the start stays up."""
    import numpy as np
    import torch

    from edmp.constraints import Upright
    from edmp.robots import tool_pose

    R_WT = tool_pose(problem.robot, torch.as_tensor(np.array(problem.start))).numpy()[:3, :3]
    axis = np.zeros(3)
    k = int(np.abs(R_WT[2]).argmax())
    axis[k] = np.sign(R_WT[2, k])
    return Upright(tolerance, axis=axis)


def _named_numbers(text: str, count: int, what: str) -> tuple[str, list[float]]:
    """A name, which may have spaces, and numbers behind it."""
    name, *rest = text.rsplit(maxsplit=count)
    if len(rest) < count:
        raise InvalidInputError(f"{what}: expected a name and {count} number{'s' * (count > 1)}, got {text!r}")
    return name, numbers(" ".join(rest), count, what)


def _configuration(text: str, dof: int, what: str) -> Any:
    import numpy as np

    return np.array(numbers(text, dof, what))


def _goals(goals: list[str], poses: list[str], dof: int) -> Goal | tuple[Goal, ...]:
    from edmp.problem import PoseGoal

    chosen: list[Goal] = [_configuration(text, dof, "--goal") for text in goals]
    for text in poses:
        values = numbers(text, 7, "--goal-pose")
        chosen.append(PoseGoal(values[:3], values[3:]))  # type: ignore[arg-type]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)
