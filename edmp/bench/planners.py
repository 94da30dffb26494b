"""The planners that can be compared, by name. A planner is one class with ``plan(problem, seed) -> PlanResult``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edmp.problem import Problem
from edmp.result import PlanResult
from edmp.robots.errors import InvalidInputError, unknown_name


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
        """Those that were chosen, and `fallback`; written into every record."""
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

        _check(options)
        self._plan = edmp.plan
        self._options = options.given()

    def plan(self, problem: Problem, seed: int) -> PlanResult:
        return self._plan(problem.scene, problem.start, problem.goal, robot=problem.robot, seed=seed, **self._options)


def _check(options: PlannerOptions) -> None:
    """Misuse must end the run before its first line, not stand in every line of it."""
    from edmp.costs import ensemble_by_name
    from edmp.planner import PlannerSettings
    from edmp.prior.checkpoint import prior_info

    if options.time_budget is not None and not options.time_budget > 0:
        raise InvalidInputError(f"time_budget must be positive, got {options.time_budget}")
    if options.num_seeds is not None:
        PlannerSettings(num_seeds=options.num_seeds)
    if options.ensemble is not None:
        ensemble_by_name(options.ensemble)
    if options.prior is not None and options.prior != "process":
        prior_info(options.prior)


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
