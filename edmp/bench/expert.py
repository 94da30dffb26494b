"""Random problems that can be solved: an expert has found a path, and the judge has proved it.

One draw: a scene of a family, a start and a goal that the judge finds free and that no straight line connects, paths by
RRT-Connect with shortcutting from several seeds and to several configurations of the goal, the shortest certified one
kept. A draw from which nothing comes is redrawn with the next seed, so a problem depends on its number only, not on who
makes it or when.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import Constraint
from edmp.data.generate import BENCHMARK_SEED_BASE
from edmp.errors import EdmpError, InvalidInputError
from edmp.problem import Goal, PoseGoal
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import path_length
from edmp.validate import Judge

Array = NDArray[np.float64]

TASK, NEUTRAL = "task", "neutral"
"""Kinds of problems: from one task pose to another; from near the home configuration to a task pose."""

ATTEMPTS = 500
"""Draws after which a problem is given up: something is wrong with the family or the robot."""

END_CLEARANCE = 0.002
"""Start and goal keep this distance from obstacles, so that no rounding decides whether they are free [m]."""

WORTH_PLANNING = 1.0
"""The start is at least this far from every known configuration of the goal, in joint space [rad]."""

TARGETS = 12
RUNS = 24
GOAL_CONFIGURATIONS = 4
MAX_ITERATIONS = 4000
SHORTCUTS = 400

_NUMBERS, _ATTEMPTS, _FAMILIES, _SEEDS = 10**6, 10**3, 2**32, 2**24


@dataclass(frozen=True, eq=False)
class ExpertProblem:
    """A problem, and the proof that it can be solved.

    Attributes:
        scene: the obstacles.
        start: (dof,) [rad].
        goal: a configuration (dof,), or a pose of the tool.
        kind: `TASK` or `NEUTRAL`.
        path: (n, dof) from the start to the goal, certified [rad].
        attempt: draws that came to nothing before this one.
        scene_seed: of the random generator that all of it comes from.
        constraints: what the motion has to keep to.
        experts: names of those that found a path, of a problem with constraints.
        line_excess: how far the straight line in joint space leaves the constraints at its worst, 0 without [rad or m].
    """

    scene: Scene
    start: Array
    goal: Goal
    kind: str
    path: Array
    attempt: int
    scene_seed: int
    constraints: tuple[Constraint, ...] = ()
    line_excess: float = 0.0
    experts: tuple[str, ...] = ()

    @property
    def length(self) -> float:
        """Of the path [rad]."""
        return path_length(self.path)


def scene_seed(family: str, seed: int, number: int, attempt: int) -> int:
    """The seed of a draw: another one for each family, seed, number and attempt, never one of training data.

    Raises:
        InvalidInputError: a seed or number that is out of range.
    """
    for name, value, end in (("seed", seed, _SEEDS), ("number", number, _NUMBERS), ("attempt", attempt, _ATTEMPTS)):
        if not 0 <= value < end:
            raise InvalidInputError(f"{name} must be at least 0 and below {end}, got {value}")
    offset = seed
    for digit, base in ((zlib.crc32(family.encode()), _FAMILIES), (number, _NUMBERS), (attempt, _ATTEMPTS)):
        offset = offset * base + digit
    value = BENCHMARK_SEED_BASE + offset
    # NumPy seeds from the four lowest words alone: below 2**128 different seeds are different streams.
    assert BENCHMARK_SEED_BASE <= value < 2**128
    return value


def kind_of(number: int) -> str:
    """Odd numbers are task to task, even ones start near home."""
    return TASK if number % 2 else NEUTRAL


def make_problem(robot: Robot, family: str, *, seed: int, number: int, pose_goal: bool) -> ExpertProblem:
    """Problem ``number`` of a family: the same for the same arguments.

    Args:
        robot: the arm, which scenes are fitted to.
        family: of scenes, see `edmp.scenes.generators`.
        seed: of the suite.
        number: which problem, from 1; decides its kind too.
        pose_goal: the goal is a pose of the tool, else a configuration.

    Raises:
        UnknownNameError: no such family.
        EdmpError: no problem in `ATTEMPTS` draws.
    """
    for attempt in range(ATTEMPTS):
        drawn = _draw(robot, family, kind_of(number), scene_seed(family, seed, number, attempt), pose_goal, attempt)
        if drawn is not None:
            return drawn
    raise EdmpError(
        f"no problem of family {family!r} for {robot.name} in {ATTEMPTS} draws (seed {seed}, number {number}): "
        "can the arm reach the targets of this family?"
    )


def _draw(robot: Robot, family: str, kind: str, seed: int, pose_goal: bool, attempt: int) -> ExpertProblem | None:
    from edmp.data.task_poses import task_configurations
    from edmp.scenes.generators import generate

    rng = np.random.default_rng(seed)
    generated = generate(family, rng, robot)
    judge = Judge(robot, generated.scene)
    tasks = rng.permutation(task_configurations(robot, generated.targets(rng, TARGETS), rng))
    goal = next(free_ones(judge, tasks), None)
    if goal is None:
        return None
    starts = tasks if kind == TASK else _near_home(robot, rng)
    start = next(free_ones(judge, starts[np.linalg.norm(starts - goal, axis=1) >= WORTH_PLANNING]), None)
    if start is None:
        return None
    ends = same_pose(judge, goal, start, rng) if pose_goal else goal[None]
    if np.linalg.norm(ends - start, axis=1).min() < WORTH_PLANNING or _straight(judge, start, ends):
        return None
    path = _expert_path(judge, start, ends, int(rng.integers(2**30)))
    if path is None:
        return None
    wanted = tool_goal(robot, goal) if pose_goal else goal
    return ExpertProblem(generated.scene, start, wanted, kind, path, attempt, seed)


def free_ones(judge: Judge, configurations: Array) -> Iterator[Array]:
    """Those that the judge finds free, with room to spare, in order."""
    for q in configurations:
        verdict = judge.check(q)
        if verdict.valid and verdict.min_clearance >= END_CLEARANCE:
            yield q


def _near_home(robot: Robot, rng: np.random.Generator) -> Array:
    """(8, dof) configurations about home, each joint by 5 % of its range (one standard deviation)."""
    limits = robot.limits
    q = robot.home + rng.normal(size=(8, robot.dof)) * 0.05 * (limits.upper - limits.lower)
    return np.clip(q, limits.lower + 0.01, limits.upper - 0.01)


def tool_goal(robot: Robot, q: Array) -> PoseGoal:
    import torch

    from edmp.geometry.poses import quaternion_of
    from edmp.robots.kinematics import tool_pose

    X_WT = tool_pose(robot, torch.as_tensor(q)).numpy()
    return PoseGoal(X_WT[:3, 3], quaternion_of(X_WT))


def same_pose(judge: Judge, goal: Array, start: Array, rng: np.random.Generator) -> Array:
    """(k, dof) ``goal``, and free configurations with the tool in the same place, those near the start first."""
    from edmp.robots.ik import solve_ik

    found = solve_ik(judge.robot, tool_goal(judge.robot, goal).X_WT, near=start, seed=int(rng.integers(2**30)))
    others = found.q[np.abs(found.q - goal).max(axis=1, initial=0.0) > 0.1]
    free = [q for q, _ in zip(free_ones(judge, others), range(GOAL_CONFIGURATIONS - 1), strict=False)]
    return np.stack([goal, *free])


def _straight(judge: Judge, start: Array, ends: Array) -> bool:
    """Whether there is nothing to plan: a straight line in joint space is free."""
    return any(judge.check_path(np.stack([start, end])).valid for end in ends)


def _expert_path(judge: Judge, start: Array, ends: Array, seed: int) -> Array | None:
    """The shortest path that the judge certifies, of `RUNS` searches."""
    from edmp.collision.free import relaxed_world
    from edmp.connect import connect

    goals = ends[np.arange(RUNS) % len(ends)]
    world = relaxed_world(judge.robot, judge.scene, np.vstack([start, ends]))
    paths = connect(
        world,
        np.tile(start, (RUNS, 1)),
        goals,
        seed=seed,
        max_iterations=MAX_ITERATIONS,
        shortcuts=SHORTCUTS,
    )
    found = [(path_length(path), i, path) for i, path in enumerate(paths) if path is not None]
    for _, i, path in sorted(found, key=lambda entry: entry[:2]):
        if judge.check_path(path, start=start, goal=goals[i]).valid:
            return path
    return None
