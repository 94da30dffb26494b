"""Straight lines of the tool, as a goal of `plan`."""

from __future__ import annotations

import time

from edmp.cartesian import follow
from edmp.goals import ToolGoal
from edmp.planner.asked import as_asked
from edmp.planner.certify import Docket
from edmp.planner.goals import Refusal, resolve_start
from edmp.planner.outcome import blocked, followed, refusal
from edmp.problem import Problem
from edmp.result import PlanResult, Solution
from edmp.threads import one_torch_thread
from edmp.validate import Judge


def plan_line(
    problem: Problem, goal: ToolGoal, judge: Judge, docket: Docket, *, begin: float, budget: float
) -> PlanResult:
    """The motion whose tool follows ``goal``, or how far it can; ``begin`` and ``budget`` as of the call of `plan`."""
    now = time.perf_counter()
    query = resolve_start(problem.robot, judge, problem.start)
    now = docket.spent("goals", now)
    if isinstance(query, Refusal):
        return refusal(query, docket, begin)
    limits = problem.timing_limits
    with one_torch_thread():
        found = follow(judge, query.start, goal, limits=limits, deadline=begin + budget)
    docket.spent("line", now)
    if isinstance(found, Solution):
        return followed(as_asked(found, query, judge, limits), docket, begin)
    partial = None if found.partial is None else as_asked(found.partial, query, judge, limits)
    return blocked(found, partial, docket, begin, late=time.perf_counter() > begin + budget)
