"""What the planner is asked for, made exact: start and goal configurations that are known to be free, or the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.problem import Goal, PoseGoal, Problem
from edmp.result import Status
from edmp.robots.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
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
        departure, arrivals: control points from where the motion really begins to ``start`` (m, dof), and from each
            of ``goals`` to where it really ends; see `edmp.planner.contacts`.
    """

    start: Array
    goals: Array
    goal_index: tuple[int, ...]
    departure: Array | None = None
    arrivals: tuple[Array, ...] | None = None

    def whole(self, control_points: Array, goal: int) -> list[Array]:
        """Control points of the whole motion, of which ``control_points`` lead from ``start`` to goal row ``goal``.

        Where there is a departure or an arrival, there are two ways to join them: smoothly, and with a stop.
        """
        if self.departure is None or self.arrivals is None:
            return [control_points]
        before, after = self.departure[:-1], self.arrivals[goal][1:]
        stop, go = np.repeat(control_points[:1], 2, axis=0), np.repeat(control_points[-1:], 2, axis=0)
        smooth = np.vstack([before, control_points, after])
        stops = [stop[: 2 * bool(len(before))], control_points, go[: 2 * bool(len(after))]]
        return [smooth, np.vstack([before, *stops, after])]


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
    goals = _as_list(robot, goal)
    verdict = judge.check(start)
    if not verdict.valid:
        return Refusal(_STATUS["start", verdict.cause], f"start: {verdict.message()}")
    rows: list[Array] = []
    index: list[int] = []
    refusals: list[Refusal] = []
    for i, one in enumerate(goals):
        name = "goal" if len(goals) == 1 else f"goal {i}"
        if isinstance(one, PoseGoal):
            found = _from_pose(robot, judge, one, start, name, seed)
        else:
            found = _checked(judge, one, name)
        if isinstance(found, Refusal):
            refusals.append(found)
        else:
            rows.extend(found)
            index.extend([i] * len(found))
    if not rows:
        return Refusal(refusals[0].status, "; ".join(r.message for r in refusals))
    return Query(start, np.array(rows), tuple(index))


def unjudged(robot: Robot, start: ArrayLike, goal: Goal | Sequence[Goal]) -> Query | None:
    """Start and goals as they are, for who has the whole path judged anyway; None if a goal is a pose.

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
    """
    start = configuration(robot, start, "start")
    goals = _as_list(robot, goal)
    if any(isinstance(one, PoseGoal) for one in goals):
        return None
    return Query(start, np.array(goals), tuple(range(len(goals))))


def configuration(robot: Robot, q: ArrayLike, name: str) -> Array:
    """``q`` as (dof,) finite numbers, or `InvalidInputError`."""
    values = _numbers(q)
    if values is None or values.ndim == 0:
        raise InvalidInputError(f"{name} must be {robot.dof} joint values of {robot.name}, got {q!r}")
    if values.shape != (robot.dof,):
        raise InvalidInputError(f"{name} must have shape ({robot.dof},) for {robot.name}, got {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InvalidInputError(f"{name} is not finite: {robot.joint_names[bad]} = {values[bad]}")
    return values


def _numbers(values: Any) -> Array | None:
    """A float array of any shape, from lists, arrays or torch tensors; None if these are not numbers of one shape."""
    if hasattr(values, "detach"):  # numpy takes no tensor that is on a GPU or requires a gradient
        values = values.detach().cpu()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None


_STATUS = {
    ("start", Cause.OUT_OF_LIMITS): Status.START_OUT_OF_LIMITS,
    ("start", Cause.COLLISION): Status.START_IN_COLLISION,
    ("start", Cause.SELF_COLLISION): Status.START_IN_SELF_COLLISION,
    ("goal", Cause.OUT_OF_LIMITS): Status.GOAL_OUT_OF_LIMITS,
    ("goal", Cause.COLLISION): Status.GOAL_IN_COLLISION,
    ("goal", Cause.SELF_COLLISION): Status.GOAL_IN_SELF_COLLISION,
}


def as_problem(robot: Robot, scene: Scene, start: ArrayLike, goal: Goal | Sequence[Goal]) -> Problem:
    """What was asked for, as a problem.

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
    """
    goals = _as_list(robot, goal)
    return Problem(robot, scene, configuration(robot, start, "start"), goals[0] if len(goals) == 1 else tuple(goals))


def _as_list(robot: Robot, goal: Goal | Sequence[Goal]) -> list[Goal]:
    """The goals, each a `PoseGoal` or a configuration (dof,) of finite numbers.

    Raises:
        InvalidInputError: that is not what they are, or there is none.
    """
    goals = _split(robot, goal)
    if not goals:
        raise InvalidInputError("no goal given: pass a configuration, a PoseGoal, or a list of either")
    names = ["goal"] if len(goals) == 1 else [f"goal {i}" for i in range(len(goals))]
    return [
        one if isinstance(one, PoseGoal) else configuration(robot, one, name)
        for one, name in zip(goals, names, strict=True)
    ]


def _split(robot: Robot, goal: Any) -> list[Any]:
    """One entry a goal, unchecked."""
    if isinstance(goal, PoseGoal):
        return [goal]
    if isinstance(goal, list | tuple) and any(isinstance(one, PoseGoal) for one in goal):
        return list(goal)
    values = _numbers(goal)
    if values is None and isinstance(goal, list | tuple) and not all(np.isscalar(one) for one in goal):
        return list(goal)  # not numbers of one shape: the check of each says which is wrong
    if values is None or values.ndim not in (1, 2):
        raise InvalidInputError(
            f"goal must be {robot.dof} joint values of {robot.name}, a PoseGoal, or a list of either, got {goal!r}"
        )
    return list(values) if values.ndim == 2 else [values] * bool(values.size)


def _checked(judge: Judge, q: Array, name: str) -> list[Array] | Refusal:
    verdict = judge.check(q)
    return [q] if verdict.valid else Refusal(_STATUS["goal", verdict.cause], f"{name}: {verdict.message()}")


def _from_pose(robot: Robot, judge: Judge, goal: PoseGoal, start: Array, name: str, seed: int) -> list[Array] | Refusal:
    """Free configurations that put the tool at the pose, nearest to the start first."""
    import torch

    from edmp.robots.ik import solve_ik

    generator = torch.Generator("cpu").manual_seed(seed)
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
