"""`record_plan`: a plan with the batches of candidates that led to it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

from edmp.arguments import checked_but
from edmp.constraints import Constraint
from edmp.planfile import PlanFile
from edmp.planner.planner import Planner
from edmp.problem import GoalLike, StartLike
from edmp.scenes.scene import Scene
from edmp.trace import Batch, Trace


@checked_but("start", "goal", "time_budget", "tool_speed", "tool_acceleration")
def record_plan(
    planner: Planner,
    scene: Scene,
    start: StartLike,
    goal: GoalLike | Sequence[GoalLike],
    *,
    seed: int = 0,
    time_budget: float = 10.0,
    fallback: bool = True,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    tool_speed: float | tuple[float, float] | None = None,
    tool_acceleration: float | tuple[float, float] | None = None,
    constraints: Sequence[Constraint] = (),
    escape: bool | float = False,
    name: str = "",
) -> Trace:
    """Plan, and keep what `Planner.plan` tells its observer. Arguments as there; ``name`` is the problem's.

    There is no first look, so that there is a whole round to be seen; the motion may be another than `Planner.plan`'s.
    """
    batches: list[Batch] = []
    thorough = copy.copy(planner)
    thorough.settings = dataclasses.replace(planner.settings, first_look=None)
    result = thorough.plan(
        scene,
        start,
        goal,
        seed=seed,
        time_budget=time_budget,
        fallback=fallback,
        velocity_scale=velocity_scale,
        acceleration_scale=acceleration_scale,
        tool_speed=tool_speed,
        tool_acceleration=tool_acceleration,
        constraints=constraints,
        escape=escape,
        on_batch=batches.append,
    )
    assert result.problem is not None
    problem = dataclasses.replace(result.problem, name=name)
    return Trace(PlanFile(problem, dataclasses.replace(result, problem=problem)), tuple(batches))
