"""What the planner is asked for, made exact: start and goal configurations that are known to be free, or the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.problem import Goal, PoseGoal
from edmp.result import Status
from edmp.robots.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.validate import Cause, Judge, Verdict

Array = NDArray[np.float64]

MAX_SOLUTIONS_PER_POSE = 6


@dataclass(frozen=True)
class Query:
    """Start and goals that passed the judge.

    Attributes:
        start: (dof,).
        goals: (k, dof), k >= 1.
        goal_index: (k,) which of the caller's goals each row answers.
    """

    start: Array
    goals: Array
    goal_index: tuple[int, ...]


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to plan."""

    status: Status
    message: str


def resolve(robot: Robot, judge: Judge, start: ArrayLike, goal: Goal | Sequence[Goal], *, seed: int) -> Query | Refusal:
    """Check start and goals; turn poses into configurations.

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
    """
    start = configuration(robot, start, "start")
    verdict = judge.check(start)
    if not verdict.valid:
        return Refusal(_STATUS["start", verdict.cause], f"start: {verdict.message()}")
    goals = _as_list(robot, goal)
    rows: list[Array] = []
    index: list[int] = []
    refusals: list[Refusal] = []
    for i, one in enumerate(goals):
        name = "goal" if len(goals) == 1 else f"goal {i}"
        if isinstance(one, PoseGoal):
            found = _from_pose(robot, judge, one, start, name, seed)
        else:
            found = _checked(judge, configuration(robot, one, name), name)
        if isinstance(found, Refusal):
            refusals.append(found)
        else:
            rows.extend(found)
            index.extend([i] * len(found))
    if not rows:
        return Refusal(refusals[0].status, "; ".join(r.message for r in refusals))
    return Query(start, np.array(rows), tuple(index))


def configuration(robot: Robot, q: ArrayLike, name: str) -> Array:
    """``q`` as (dof,) finite numbers, or `InvalidInputError`."""
    try:
        values = np.asarray(q, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be {robot.dof} joint values of {robot.name}, got {q!r}") from error
    if values.shape != (robot.dof,):
        raise InvalidInputError(f"{name} must have shape ({robot.dof},) for {robot.name}, got {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InvalidInputError(f"{name} is not finite: {robot.joint_names[bad]} = {values[bad]}")
    return values


_STATUS = {
    ("start", Cause.OUT_OF_LIMITS): Status.START_OUT_OF_LIMITS,
    ("start", Cause.COLLISION): Status.START_IN_COLLISION,
    ("start", Cause.SELF_COLLISION): Status.START_IN_SELF_COLLISION,
    ("goal", Cause.OUT_OF_LIMITS): Status.GOAL_OUT_OF_LIMITS,
    ("goal", Cause.COLLISION): Status.GOAL_IN_COLLISION,
    ("goal", Cause.SELF_COLLISION): Status.GOAL_IN_SELF_COLLISION,
}


def _as_list(robot: Robot, goal: Goal | Sequence[Goal]) -> list[Goal]:
    if isinstance(goal, PoseGoal):
        return [goal]
    if isinstance(goal, np.ndarray):
        return list(goal) if goal.ndim == 2 else [goal]
    goals = list(goal)
    if goals and all(isinstance(g, (int, float)) for g in goals):
        return [np.array(goals, dtype=np.float64)]
    if not goals:
        raise InvalidInputError("no goal given: pass a configuration, a PoseGoal, or a list of either")
    return goals


def _checked(judge: Judge, q: Array, name: str) -> list[Array] | Refusal:
    verdict = judge.check(q)
    return [q] if verdict.valid else Refusal(_STATUS["goal", verdict.cause], f"{name}: {verdict.message()}")


def _from_pose(robot: Robot, judge: Judge, goal: PoseGoal, start: Array, name: str, seed: int) -> list[Array] | Refusal:
    """Free configurations that put the tool at the pose, nearest to the start first."""
    import torch

    from edmp.robots.ik import solve_ik

    generator = torch.Generator().manual_seed(seed)
    solution = solve_ik(robot, goal.X_WT, num_seeds=64, generator=generator)
    if not solution.reachable:
        return Refusal(Status.GOAL_UNREACHABLE, f"{name}: {solution.message}")
    candidates = np.asarray(solution.q, dtype=np.float64)
    candidates = candidates[np.argsort(np.linalg.norm(candidates - start, axis=1))]
    free: list[Array] = []
    blocked: list[Verdict] = []
    for q in candidates:
        verdict = judge.check(q)
        if verdict.valid:
            free.append(q)
        else:
            blocked.append(verdict)
        if len(free) == MAX_SOLUTIONS_PER_POSE:
            break
    if free:
        return free
    least = min(blocked, key=lambda v: max((c.depth for c in v.contacts), default=np.inf))
    message = f"{name}: all {len(candidates)} configurations found for the pose collide; the best: {least.message()}"
    return Refusal(_STATUS["goal", least.cause], message)
