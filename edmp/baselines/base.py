"""What every planner under comparison answers with, and what a baseline is given to work on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edmp.cached import cached_property
from edmp.collision.free import relaxed_world
from edmp.collision.world import World
from edmp.constraints import Constraint
from edmp.goals import Line, Via
from edmp.planner.goals import Refusal, resolve
from edmp.problem import Problem
from edmp.result import Stage, Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory
from edmp.validate import Judge

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Claim:
    """What a planner says it found, before the judge has looked.

    Attributes:
        status: SOLVED if the planner itself believes its path free; else the cause.
        message: one sentence on a failure.
        path: (n, dof) waypoints with straight edges between them [rad or m]; None unless SOLVED.
        trajectory: the same motion timed, if the planner does that itself.
        stage: which stage of edmp solved it; None for others.
        timings: wall time by part [s].
        num_alternatives: other motions it found.
        first_s: when it had its first certified motion, which later ones may have replaced; None of others [s].
    """

    status: Status
    message: str = ""
    path: Array | None = None
    trajectory: Trajectory | None = None
    stage: Stage | None = None
    timings: dict[str, float] = field(default_factory=dict)
    num_alternatives: int = 0
    first_s: float | None = None


@dataclass(frozen=True)
class Task:
    """One problem, its start and goals resolved to configurations that are free.

    Attributes:
        robot: as the problem wants it.
        scene: the obstacles.
        start: (dof,) [rad or m].
        goals: (k, dof), k >= 1; reaching one is enough.
        seed: of every random number.
        constraints: what the motion has to keep to; only planners on constraint manifolds look at them.
    """

    robot: Robot
    scene: Scene
    start: Array
    goals: Array
    seed: int
    constraints: tuple[Constraint, ...] = ()

    @cached_property
    def world(self) -> World:
        """The scene for the compiled kernels, its spheres small enough to leave start and goals free."""
        return relaxed_world(self.robot, self.scene, np.vstack([self.start, self.goals]), slack=1e-3)


class Baseline(ABC):
    """A planner to compare with; it does not know the judge. Make it once and use it for many problems."""

    def plan(self, problem: Problem, seed: int) -> Claim:
        """Plan once. The caller takes the time, and the time of resolving start and goals counts for every planner."""
        if isinstance(problem.goal, Line | Via):
            return Claim(Status.NO_PATH_FOUND, "this planner follows no lines of the tool")
        judge = Judge(problem.robot, problem.scene, constraints=problem.constraints)
        query = resolve(problem.robot, judge, problem.start, problem.goal, seed=seed)
        if isinstance(query, Refusal):
            return Claim(query.status, query.message)
        claim = self.search(Task(problem.robot, problem.scene, query.start, query.goals, seed, problem.constraints))
        return claim if claim.path is None else replace(claim, path=query.as_asked(claim.path))

    @abstractmethod
    def search(self, task: Task) -> Claim:
        """A path from the start to one of the goals, or why there is none."""
