"""`edmp.plan`: one call, with a planner that is kept for the next."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edmp.arguments import checked_but
from edmp.constraints import Constraint
from edmp.costs import Cost, Ensemble, Term
from edmp.planner.planner import Planner
from edmp.planner.settings import PlannerSettings
from edmp.prior.base import Prior
from edmp.problem import GoalLike, StartLike
from edmp.result import PlanResult
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


def _planner(
    robot: Any, prior: Any, ensemble: Any, num_seeds: int | None, num_alternatives: int, device: str
) -> Planner:
    settings = PlannerSettings(num_alternatives=num_alternatives)
    if num_seeds is not None:
        settings = dataclasses.replace(settings, num_seeds=num_seeds)
    return Planner(robot, prior=prior, ensemble=ensemble, settings=settings, device=device)


_cached_planner = functools.lru_cache(maxsize=8)(_planner)


def kept_planner(robot: Robot | str | Path) -> Planner:
    """The planner that `plan` keeps for a robot, with nothing else asked for."""
    return _cached_planner(robot, None, "default", None, 0, "cpu")


@checked_but("start", "goal", "costs", "time_budget", "tool_speed", "tool_acceleration", "device")
def plan(
    scene: Scene,
    start: StartLike,
    goal: GoalLike | Sequence[GoalLike],
    *,
    robot: Robot | str | Path = "panda",
    prior: Prior | str | Path | None = None,
    ensemble: Ensemble | str = "default",
    num_seeds: int | None = None,
    num_alternatives: int = 0,
    seed: int = 0,
    time_budget: float = 10.0,
    fallback: bool = True,
    costs: Sequence[Cost | Term | str] = (),
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    constraints: Sequence[Constraint] = (),
    escape: bool | float = False,
    tool_speed: float | tuple[float, float] | None = None,
    tool_acceleration: float | tuple[float, float] | None = None,
    device: str = "cpu",
) -> PlanResult:
    """Plan a motion with a `Planner` that is kept for the next call.

    See `PlannerSettings` for ``num_seeds`` and ``num_alternatives``, `Planner` and `Planner.plan` for the rest.
    """
    try:
        planner = _cached_planner(robot, prior, ensemble, num_seeds, num_alternatives, device)
    except TypeError:  # something that cannot be a key, such as a dict: let the planner say what is wrong with it
        planner = _planner(robot, prior, ensemble, num_seeds, num_alternatives, device)
    return planner.plan(
        scene,
        start,
        goal,
        seed=seed,
        time_budget=time_budget,
        fallback=fallback,
        costs=costs,
        velocity_scale=velocity_scale,
        acceleration_scale=acceleration_scale,
        constraints=constraints,
        escape=escape,
        tool_speed=tool_speed,
        tool_acceleration=tool_acceleration,
    )
