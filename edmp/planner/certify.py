"""From free candidates to certified motions: shorten, rank, judge, time, judge again."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.constraints import both_kept
from edmp.descent import Descent
from edmp.geometry.tool_path import ToolPath
from edmp.planner.candidates import Candidates
from edmp.planner.goals import GOAL_TOLERANCE, Query
from edmp.planner.settings import PlannerSettings, Round
from edmp.result import Solution
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot
from edmp.timing import retime_spline
from edmp.trajectory import Trajectory, clamped_spline, joined, path_length
from edmp.validate import Judge, Verdict
from edmp.validate.judge import LIMIT_ROUNDING
from edmp.validate.tool_path import follows_at_first, worst

Array = NDArray[np.float64]

_PERIOD = 0.01
"""Sample period of timed motions [s]."""
_FULL_SPEED_EDGE = 0.03
"""How far an arm at full speed moves in that, about [rad]."""
_QUICK_GRID = 32
"""Intervals of the timing where it must be quick: it takes half as long, and motions are 0.5 % slower."""


@dataclass
class Docket:
    """What has come before the judge in one call of plan.

    Attributes:
        solutions: certified motions, best first.
        edges_checked: edges the judge looked at.
        first: when the first of them was certified, on the clock of `time.perf_counter` [s].
        seconds: wall time by part [s].
    """

    solutions: list[Solution] = field(default_factory=list)
    edges_checked: int = 0
    first: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def spent(self, part: str, since: float) -> float:
        """Book the time since ``since`` to ``part``; returns now."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - since
        return now


def polish(
    candidates: Candidates, descent: Descent, *, round_: Round, settings: PlannerSettings, margin: float
) -> Candidates:
    """Shorten the best few of ``candidates`` by the objective; those that are free with ``margin`` [m], best first."""
    order = torch.argsort(descent.value(candidates.control_points), stable=True)
    best = candidates.rows(order[: round_.polish_candidates])
    control_points, value = descent.shorten(
        best.control_points,
        clearance=settings.polish_clearance,
        iterations=round_.polish_iterations,
        step=settings.edge_step,
        margin=margin,
    )
    keep = value.isfinite()
    taut = Candidates(control_points, best.goal, keep, best.stage)
    order = torch.argsort(value, stable=True)
    return taut.rows(order[: int(keep.sum())])


def certify(
    candidates: Candidates,
    *,
    query: Query,
    judge: Judge,
    descent: Descent,
    settings: PlannerSettings,
    docket: Docket,
    limits: Limits,
    wanted: int,
    quick: bool = False,
) -> None:
    """Put candidates before the judge, in order, until ``wanted`` different ones are certified.

    With ``quick`` only the timed motion is judged, whose samples then are the path, too; its clearance is what the
    proof happened to show. ``descent`` is that of the candidates, and knows the objective;
    ``limits`` are what motions are timed within.
    """
    for row in range(len(candidates)):
        if len(docket.solutions) >= wanted:
            return
        goal = int(candidates.goal[row])
        lower, upper = judge.robot.limits.lower, judge.robot.limits.upper
        control_points = candidates.control_points[row].cpu().numpy().astype(np.float64)
        control_points = control_points.clip(lower, upper)  # single precision may have rounded a joint beyond its limit
        control_points[0], control_points[-1] = query.start, query.goals[goal]
        lines = query.lines(goal)
        for legs in query.whole(control_points, goal):
            edge = np.inf if descent.bands is None else descent.bands.edge  # what is narrow asks for short edges
            period = _PERIOD * min(1.0, edge / _FULL_SPEED_EDGE)
            fewest = [settings.path_waypoints if leg is max(legs, key=path_length) else 2 for leg in legs]
            parts = [
                _waypoints(leg, least, edge, judge.robot, knots=bool(lines) or len(legs) > 1)
                for leg, least in zip(legs, fewest, strict=True)
            ]
            path = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
            if np.abs(legs[0] - legs[0][0]).max() <= GOAL_TOLERANCE:  # what moves is rounding: the arm stays
                legs = [np.repeat(legs[0][:1], len(legs[0]), axis=0)]
                path[:] = legs[0][0]
            if any(not differ(path, other.path, settings.distinct) for other in docket.solutions):
                break
            make = _certified_quickly if quick else _certified
            solution = make(legs, path, query.goal_index[goal], judge, limits, docket, period)
            if solution is not None:
                solution = _along_lines(solution, judge.robot, lines, docket)
            if solution is not None:
                solution = replace(solution, stage=candidates.stage[row])
                docket.solutions.append(_weighed(solution, candidates.control_points[row], descent))
                docket.first = docket.first or time.perf_counter()
                break


def _waypoints(leg: Array, fewest: int, edge: float, robot: Robot, *, knots: bool) -> Array:
    """(n, dof) waypoints on the spline of a leg: so many at least, with edges of about ``edge`` [rad] at most.

    With ``knots`` they take in where its pieces meet, three to each: only there does it turn off a straight way.
    """
    count, pieces = max(fewest, 1 + int(path_length(leg) / edge)), len(leg) - 3
    if knots:
        count = 1 + pieces * max(3, math.ceil((count - 1) / pieces))
    path = without_rounding(robot, clamped_spline(leg)(np.linspace(0.0, 1.0, count)))
    path[0], path[-1] = leg[0], leg[-1]
    return path


def _weighed(solution: Solution, control_points: Tensor, descent: Descent) -> Solution:
    """The solution with the values of the objective's terms, if there are any."""
    objective = descent.objective
    if not objective.terms:
        return solution
    values = descent.terms(control_points[None])[0]
    terms = dict(zip(objective.names, values.tolist(), strict=True))
    return replace(solution, terms=terms, weighted_terms=float(objective.weighted(values)))


def _certified(
    legs: Sequence[Array], path: Array, goal_index: int, judge: Judge, limits: Limits, docket: Docket, period: float
) -> Solution | None:
    verdict = _judged(path, path, judge, docket, tightness=1e-3)
    if verdict is None:
        return None
    trajectory = _timed(legs, judge.robot, limits, docket, period=period)
    timed = _judged(trajectory.positions, path, judge, docket)
    if timed is None:
        return None
    kept = both_kept(verdict.kept, timed.kept)
    return Solution(path, trajectory, path_length(path), verdict.min_clearance, goal_index, kept=kept)


def _certified_quickly(
    legs: Sequence[Array], path: Array, goal_index: int, judge: Judge, limits: Limits, docket: Docket, period: float
) -> Solution | None:
    trajectory = _timed(legs, judge.robot, limits, docket, period=period, grid=_QUICK_GRID)
    positions = trajectory.positions
    verdict = _judged(positions, path, judge, docket)
    if verdict is None:
        return None
    length, clearance = path_length(positions), verdict.min_clearance
    return Solution(positions, trajectory, length, clearance, goal_index, kept=verdict.kept)


def _along_lines(
    solution: Solution, robot: Robot, lines: Sequence[tuple[ToolPath, bool]], docket: Docket
) -> Solution | None:
    """The solution with what its tool was proved to keep to its lines within, before and after timing; None if it does
    not."""
    begin, proofs = time.perf_counter(), []
    for line, back in lines:
        for positions in (solution.path, solution.trajectory.positions):
            proof = follows_at_first(robot, positions[::-1] if back else positions, line)[0]
            if not proof.valid:
                return None
            proofs.append(proof)
    docket.spent("judge", begin)
    return replace(solution, tool_deviation=worst(*proofs)) if proofs else solution


def _timed(legs: Sequence[Array], robot: Robot, limits: Limits, docket: Docket, **options: Any) -> Trajectory:
    begin = time.perf_counter()
    trajectory = joined([retime_spline(leg, limits, robot=robot, **options) for leg in legs])
    docket.spent("timing", begin)
    return replace(trajectory, positions=without_rounding(robot, trajectory.positions))


def without_rounding(robot: Robot, q: Array) -> Array:
    """``q`` (n, dof) without what the evaluation of a spline along a limit adds to it by rounding."""
    inside = robot.clipped(q)
    return np.where(np.abs(q - inside) < LIMIT_ROUNDING, inside, q)


def _judged(positions: Array, path: Array, judge: Judge, docket: Docket, **options: float) -> Verdict | None:
    """The verdict on ``positions``, which must begin and end as ``path`` does; None if they are not free."""
    begin = time.perf_counter()
    verdict = judge.check_path(positions, start=path[0], goal=path[-1], **options)
    docket.edges_checked += verdict.edges
    docket.spent("judge", begin)
    return verdict if verdict.valid else None


def differ(a: Array, b: Array, distance: float) -> bool:
    """Are two paths (n, dof), (m, dof) somewhere ``distance`` [rad] apart, at equal shares of their lengths?"""
    share = np.linspace(0.0, 1.0, 33)
    return bool(np.linalg.norm(_at(a, share) - _at(b, share), axis=1).max() >= distance)


def _at(path: Array, share: Array) -> Array:
    arc = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    return np.stack([np.interp(share * arc[-1], arc, column) for column in path.T], axis=1)
