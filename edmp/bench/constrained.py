"""Random problems whose motion keeps to a constraint all the way: a cup stays upright, a tool slides on a plane.

As in `edmp.bench.expert`, one draw is a scene of a family, a start and a goal that the judge finds free and within the
constraint, and that the straight line in joint space does not connect. Two experts look for paths, OMPL's RRT-Connect
on the constraint manifold (`edmp.baselines.projected`) and edmp's own compiled CBiRRT (`edmp.connect`), and the judge
certifies them; a draw for which neither finds one is redrawn with the next seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edmp.baselines.base import Task
from edmp.bench.expert import (
    ATTEMPTS,
    NEUTRAL,
    TASK,
    WORTH_PLANNING,
    ExpertProblem,
    free_ones,
    kind_of,
    same_pose,
    scene_seed,
    tool_goal,
)
from edmp.constraints import OnPlane, Upright, bands_of
from edmp.errors import EdmpError
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot
from edmp.trajectory import path_length
from edmp.validate import Judge
from edmp.validate.dense_constraints import dense_breaches

Array = NDArray[np.float64]

UPRIGHT_TOLERANCE = math.radians(10.0)
PLANE_TOLERANCE = 0.005
"""Of the two suites [rad], [m]."""

TILT = math.radians(5.0)
"""Starts and goals lean by up to this: inside the cone, and not on its axis [rad]."""

STEEPEST_TURN = math.radians(30.0)
"""A target is levelled by no more than this, or it is another task [rad]."""

CUP_AXES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, -1.0]])
"""What may point up in the tool's frame: a cup is held from its side, the fingers level or one above the other, or from
above. Its third axis, along which the hand comes in, never points up itself: that is a hand below a table."""

LEAVES_BY = 0.1
"""In three of four problems the straight line leaves the constraint by this share of its tolerance or more; every
fourth, `takes_any_line`, may be one where obstacles alone are in the way."""

TARGETS = 40
RUNS, MAX_LAUNCHES = 3, 100_000
"""Searches of OMPL, and the looks at a configuration that each may take."""
TREES, MAX_ITERATIONS, SHORTCUTS = 16, 6000, 200
"""Searches of edmp's, the samples of each, and the attempts to shorten what each finds."""
UP = np.array([0.0, 0.0, 1.0])

Ends = tuple[Array, Array, Upright | OnPlane]
"""Start (dof,) and goal (dof,) configurations, and what holds at both."""


def make_constrained(robot: Robot, family: str, task: str, *, seed: int, number: int, pose_goal: bool) -> ExpertProblem:
    """Problem ``number`` of a family for a task of `TASKS`: the same for the same arguments. As `make_problem`."""
    for attempt in range(ATTEMPTS):
        drawn = _draw(robot, family, task, number, scene_seed(family, seed, number, attempt), pose_goal, attempt)
        if drawn is not None:
            return drawn
    raise EdmpError(
        f"no problem of family {family!r} with task {task!r} for {robot.name} in {ATTEMPTS} draws (seed {seed}, number "
        f"{number}): can the arm reach the targets of this family?"
    )


def takes_any_line(number: int) -> bool:
    """Whether the straight line of this problem may keep to the constraint."""
    return number % 4 == 0


def _draw(
    robot: Robot, family: str, task: str, number: int, seed: int, pose_goal: bool, attempt: int
) -> ExpertProblem | None:
    from edmp.scenes.generators import generate

    kind = kind_of(number)
    rng = np.random.default_rng(seed)
    generated = generate(family, rng)
    ends = TASKS[task](Judge(robot, generated.scene), generated.targets(rng, TARGETS), kind, rng)
    if ends is None:
        return None
    start, goal, constraint = ends
    judge = Judge(robot, generated.scene, constraints=(constraint,))
    if not (_holds(judge, start[None]) and _holds(judge, goal[None])):
        return None
    goals = same_pose(judge, goal, start, rng) if pose_goal else goal[None]
    goals = goals[np.argsort(np.linalg.norm(goals - start, axis=1), kind="stable")]
    lines = [np.stack([start, q]) for q in goals]
    if path_length(lines[0]) < WORTH_PLANNING or any(_holds(judge, line) for line in lines):
        return None
    breaches = dense_breaches(robot, generated.scene, (constraint,), lines[0])
    line_excess = max((breach.excess for breach in breaches), default=0.0)
    if line_excess < LEAVES_BY * constraint.tolerance and not takes_any_line(number):
        return None
    paths = _expert_paths(judge, start, goals, int(rng.integers(2**30)))
    if not paths:
        return None
    path = min(paths.values(), key=path_length)
    wanted = tool_goal(robot, goal) if pose_goal else goal
    return ExpertProblem(
        generated.scene,
        start,
        wanted,
        kind,
        path,
        attempt,
        seed,
        constraints=(constraint,),
        line_excess=line_excess,
        experts=tuple(paths),
    )


# --- upright ---------------------------------------------------------------------------------------------------------


def _upright(judge: Judge, targets: Array, kind: str, rng: np.random.Generator) -> Ends | None:
    """Two targets, levelled, whose tool has the same axis up; or a levelled pose near home and such a target."""
    from edmp.data.task_poses import task_configurations

    robot = judge.robot
    ups = targets[:, 2, :3]  # the world's z axis in each tool's frame
    nearest = (ups @ CUP_AXES.T).argmax(axis=1)
    usable = (ups * CUP_AXES[nearest]).sum(axis=1) >= math.cos(STEEPEST_TURN)
    if not usable.any():
        return None
    axis = CUP_AXES[rng.choice(nearest[usable])]
    chosen = targets[usable & (CUP_AXES[nearest] == axis).all(axis=1)]
    tasks = rng.permutation(task_configurations(robot, np.stack([_levelled(X, axis, rng) for X in chosen]), rng))
    goal = next(free_ones(judge, tasks), None)
    if goal is None:
        return None
    starts = tasks
    if kind == NEUTRAL:
        near = np.stack([_levelled(_with_axis_up(X, axis), axis, rng) for X in _home_poses(robot, rng)])
        starts = _nearest_first(task_configurations(robot, near, rng), robot.home)
    start = _far_one(judge, starts, goal)
    return None if start is None else (start, goal, Upright(UPRIGHT_TOLERANCE, axis=axis))


def _levelled(X: Array, axis: Array, rng: np.random.Generator) -> Array:
    """The pose, turned the shortest way until ``axis`` of the tool leans at most `TILT` from up."""
    azimuth, lean = rng.uniform(-math.pi, math.pi), TILT * math.sqrt(rng.uniform())
    wanted = np.array([math.sin(lean) * math.cos(azimuth), math.sin(lean) * math.sin(azimuth), math.cos(lean)])
    Y = X.copy()
    Y[:3, :3] = _shortest_turn(X[:3, :3] @ axis, wanted) @ X[:3, :3]
    return Y


def _shortest_turn(a: Array, b: Array) -> Array:
    """(3, 3) the rotation about a x b that takes unit vector ``a`` to ``b``."""
    from scipy.spatial.transform import Rotation

    across = np.cross(a, b)
    sine = float(np.linalg.norm(across))
    angle = math.atan2(sine, float(a @ b))
    return Rotation.from_rotvec(across * (angle / max(sine, 1e-12))).as_matrix()


def _with_axis_up(X: Array, axis: Array) -> Array:
    """The pose with ``axis`` of the tool up: from a tool that points down, forwards for the axes across it."""
    if axis[2]:
        return X
    forwards = np.array([*X[:2, 3], 0.0]) / np.linalg.norm(X[:2, 3])
    tool = np.column_stack([axis, [0, 0, 1], np.cross(axis, [0, 0, 1])])
    world = np.column_stack([UP, forwards, np.cross(UP, forwards)])
    Y = X.copy()
    Y[:3, :3] = world @ tool.T
    return Y


# --- slide -----------------------------------------------------------------------------------------------------------


def _slide(judge: Judge, targets: Array, kind: str, rng: np.random.Generator) -> Ends | None:
    """Two poses on a plane: level, at the height of the goal, or upright, through both."""
    from edmp.data.task_poses import task_configurations

    robot = judge.robot
    tasks = rng.permutation(task_configurations(robot, targets, rng))
    goal = next(free_ones(judge, tasks), None)
    if goal is None:
        return None
    p = _position(robot, goal)
    level = rng.random() < 0.5
    poses = targets if kind == TASK else _home_poses(robot, rng)
    if level:
        poses = poses.copy()
        poses[:, 2, 3] = p[2]
    found = task_configurations(robot, poses, rng)
    starts = rng.permutation(found) if kind == TASK else _nearest_first(found, robot.home)
    start = _far_one(judge, starts, goal)
    if start is None:
        return None
    if level:
        return start, goal, OnPlane(p, UP, PLANE_TOLERANCE)
    along = (p - _position(robot, start)) * [1, 1, 0]
    if np.linalg.norm(along) < 0.1:
        return None
    return start, goal, OnPlane(p, np.cross(along, UP) / np.linalg.norm(along), PLANE_TOLERANCE)


# --- both ------------------------------------------------------------------------------------------------------------

TASKS: dict[str, Callable[[Judge, Array, str, np.random.Generator], Ends | None]] = {
    "upright": _upright,
    "slide": _slide,
}
"""Tasks by name: start, goal and constraint from a judge, task poses (n, 4, 4) and a kind of problem."""


def _home_poses(robot: Robot, rng: np.random.Generator) -> Array:
    """(8, 4, 4) poses of the tool about where it is at home."""
    import torch

    X = np.tile(tool_pose(robot, torch.as_tensor(robot.home)).numpy(), (8, 1, 1))
    X[:, :3, 3] += rng.normal(size=(8, 3)) * 0.08
    return X


def _position(robot: Robot, q: Array) -> Array:
    import torch

    return tool_pose(robot, torch.as_tensor(q)).numpy()[:3, 3]


def _nearest_first(q: Array, to: Array) -> Array:
    return q[np.argsort(np.linalg.norm(q - to, axis=1), kind="stable")]


def _far_one(judge: Judge, starts: Array, goal: Array) -> Array | None:
    """The first free one that is not near the goal."""
    return next(free_ones(judge, starts[np.linalg.norm(starts - goal, axis=1) >= WORTH_PLANNING]), None)


def _expert_paths(judge: Judge, start: Array, goals: Array, seed: int) -> dict[str, Array]:
    """The shortest path that the judge certifies, of each expert of `EXPERTS` that finds one."""
    task = Task(judge.robot, judge.scene, start, goals, seed, judge.constraints)
    holding = {name: [path for path in search(task) if _holds(judge, path)] for name, search in EXPERTS.items()}
    return {name: min(paths, key=path_length) for name, paths in holding.items() if paths}


def _by_ompl(task: Task) -> list[Array]:
    """OMPL's RRT-Connect on the constraint manifold; further searches shorten what the first has found."""
    from edmp.baselines.projected import Projected, ProjectedSettings

    expert = Projected(ProjectedSettings(max_launches=MAX_LAUNCHES, time_budget=1e6))
    paths: list[Array] = []
    for run in range(RUNS):
        path = expert.search(dataclasses.replace(task, seed=task.seed + run)).path
        if path is None:
            break
        paths.append(path)
    return paths


def _by_connect(task: Task) -> list[Array]:
    """CBiRRT, compiled: the search that edmp falls back on."""
    from edmp.collision.bands import PackedBands
    from edmp.connect import connect

    ends = task.goals[np.arange(TREES) % len(task.goals)]
    bands = PackedBands.of(task.world, bands_of(task.robot, task.constraints))
    starts = np.tile(task.start, (TREES, 1))
    paths = connect(
        task.world, starts, ends, seed=task.seed, max_iterations=MAX_ITERATIONS, shortcuts=SHORTCUTS, bands=bands
    )
    return [path for path in paths if path is not None]


EXPERTS: dict[str, Callable[[Task], list[Array]]] = {"ompl": _by_ompl, "connect": _by_connect}
"""Either may prove that a problem can be solved, so that neither decides which problems there are."""


def _holds(judge: Judge, path: Array) -> bool:
    """Whether the judge certifies a path (n, dof), and the dumb checker finds nothing against it."""
    if not judge.check_path(path).valid:
        return False
    return not dense_breaches(judge.robot, judge.scene, judge.constraints, path)
