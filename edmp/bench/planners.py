"""The planners that can be compared, by name. A planner is one class with ``plan(problem, seed) -> PlanResult``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edmp.problem import Problem
from edmp.result import PlanResult
from edmp.robots.errors import unknown_name


@dataclass(frozen=True)
class PlannerOptions:
    """What ``edmp bench run`` lets one choose; None leaves the planner's own default.

    Attributes:
        fallback: whether searching is allowed where optimisation fails.
        time_budget: for one plan [s].
        num_seeds: trajectories denoised at once.
        ensemble: name of the ensemble of costs.
        prior: name or path of the prior.
    """

    fallback: bool = True
    time_budget: float | None = None
    num_seeds: int | None = None
    ensemble: str | None = None
    prior: str | None = None

    def given(self) -> dict[str, Any]:
        """Those that differ from their defaults; written into every record."""
        return {name: value for name, value in vars(self).items() if value is not None}


class BenchPlanner(ABC):
    """A planner under test."""

    @abstractmethod
    def plan(self, problem: Problem, seed: int) -> PlanResult:
        """Plan once. The caller takes the time."""


class EdmpPlanner(BenchPlanner):
    """`edmp.plan`."""

    def __init__(self, options: PlannerOptions) -> None:
        import edmp

        self._plan = edmp.plan
        self._options = options.given()

    def plan(self, problem: Problem, seed: int) -> PlanResult:
        return self._plan(problem.scene, problem.start, problem.goal, robot=problem.robot, seed=seed, **self._options)


PLANNERS: dict[str, Callable[[PlannerOptions], BenchPlanner]] = {"edmp": EdmpPlanner}
"""Planners by name; add a row to add one."""


def make_planner(name: str, options: PlannerOptions) -> BenchPlanner:
    """The planner called ``name``.

    Raises:
        UnknownNameError: lists those there are.
    """
    if name not in PLANNERS:
        raise unknown_name("planner", name, PLANNERS)
    return PLANNERS[name](options)
