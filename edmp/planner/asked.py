"""A motion as the caller asked for it: from the start as given, turns and all, where the planner's is from inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import both_kept
from edmp.planner.goals import Query
from edmp.result import Solution
from edmp.robots.parts import Limits
from edmp.timing import retime_waypoints
from edmp.trajectory import joined
from edmp.validate import Judge

Array = NDArray[np.float64]


def as_asked(solution: Solution, query: Query, judge: Judge, limits: Limits) -> Solution:
    """``solution``, from `Query.start`, as a motion from where the caller's start is.

    Where that is beyond a limit the arm goes inside first, timed within ``limits``, and rests there before it goes on.
    """
    timed, length, clearance = solution.trajectory, solution.length, solution.min_clearance
    kept = solution.kept
    if query.outside is not None:
        way = np.stack([query.outside, solution.path[0]])
        lead = retime_waypoints(way, limits, robot=judge.robot)
        timed, length = joined([lead, timed]), length + float(np.linalg.norm(way[1] - way[0]))
        verdict = judge.check_path(way)
        clearance, kept = min(clearance, verdict.min_clearance), both_kept(verdict.kept, kept)
    timed = replace(timed, positions=timed.positions + query.turns)
    return replace(
        solution,
        path=query.as_asked(solution.path),
        trajectory=timed,
        length=length,
        min_clearance=clearance,
        kept=kept,
    )
