"""What the planner is asked for, made exact: start and goal configurations that are known to be free, or the reason."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import bands_of
from edmp.geometry.tool_path import ToolPath
from edmp.planner.escape import retreat, too_much
from edmp.planner.posed import configurations_at
from edmp.problem import DEEPEST_ESCAPE, ESCAPE_DEPTH, Goal, GoalLike, PoseGoal, StartLike, goals_of
from edmp.result import Status
from edmp.robots.configuration import configuration
from edmp.robots.robot import Robot
from edmp.validate import Cause, Judge, Verdict

Array = NDArray[np.float64]

MAX_SOLUTIONS_PER_POSE = 6
SEEDS, MORE_SEEDS = 64, (256, 1024)
"""Seeds of inverse kinematics, and those where all that were found touch something: 10, 25 and 50 ms."""
_AT_ONCE = 8
"""Configurations that the judge looks at together."""
GOAL_TOLERANCE = 1e-6
"""A goal may be beyond a limit by this, and a start is where it should be within this [rad or m]."""
_TURN = 2 * np.pi


@dataclass(frozen=True)
class Query:
    """Start and goals that passed the judge, as the planner looks at them.

    Attributes:
        start: (dof,) within the limits, continuous joints within half a turn of zero.
        goals: (k, dof), k >= 1; continuous joints as they are nearest to ``start``.
        goal_index: (k,) which of the caller's goals each row answers.
        turns: (dof,) whole turns that the caller's continuous joints are ahead of ``start`` [rad].
        outside: (dof,) the caller's start, less the turns, where it is beyond a limit: the motion leads from there to
            ``start`` first. None if it is not.
        departure, arrivals: control points from where the motion really begins to ``start`` (m, dof), and from each
            of ``goals`` to where it really ends; see `edmp.planner.contacts` and `edmp.planner.escape`.
        departure_line, arrival_lines: what the tool has to keep to where the motion begins, and, for each of ``goals``,
            where it ends, those from the goal backwards.
    """

    start: Array
    goals: Array
    goal_index: tuple[int, ...]
    turns: Array | float = 0.0
    outside: Array | None = None
    departure: Array | None = None
    arrivals: tuple[Array, ...] | None = None
    departure_line: ToolPath | None = None
    arrival_lines: tuple[ToolPath | None, ...] = ()

    @property
    def standing(self) -> int | None:
        """The goal row where the arm is already, if there is one."""
        at = np.flatnonzero(np.abs(self.goals - self.start).max(axis=1) <= GOAL_TOLERANCE)
        return int(at[0]) if len(at) else None

    def between(self, departure: Array, rows: Sequence[int], arrivals: Sequence[Array]) -> Query:
        """The same question from where a departure (m, dof) ends to where the arrivals of the goals ``rows`` begin."""
        return dataclasses.replace(
            self,
            start=departure[-1],
            goals=np.array([arrival[0] for arrival in arrivals]),
            goal_index=tuple(self.goal_index[row] for row in rows),
            departure=departure,
            arrivals=tuple(arrivals),
        )

    def lines(self, goal: int) -> tuple[tuple[ToolPath, bool], ...]:
        """The lines of the tool on the way to a goal row, and whether each is followed from the motion's end back."""
        pairs = ((self.departure_line, False), (self.arrival_lines[goal] if self.arrival_lines else None, True))
        return tuple((line, back) for line, back in pairs if line is not None)

    def as_asked(self, path: Array) -> Array:
        """A path (n, dof) as one from where the caller's start is."""
        return (path if self.outside is None else np.vstack([self.outside, path])) + self.turns

    def whole(self, control_points: Array, goal: int) -> list[list[Array]]:
        """Control points of the whole motion, of which ``control_points`` lead from ``start`` to goal row ``goal``.

        Where there is a departure or an arrival, there are two ways to join them: smoothly, as one leg, and with a
        stop, as several.
        """
        if self.departure is None or self.arrivals is None:
            return [[control_points]]
        before, after = self.departure, self.arrivals[goal]
        legs = [leg for leg in (before, control_points, after) if np.abs(leg - leg[0]).max() > GOAL_TOLERANCE]
        for k, leg in enumerate(legs):
            if len(leg) < 4:  # which a spline needs
                share = np.linspace(0.0, len(leg) - 1.0, 3 * len(leg) - 2)
                legs[k] = np.stack([np.interp(share, np.arange(len(leg)), column) for column in leg.T], axis=1)
        return [[np.vstack([before[:-1], control_points, after[1:]])], legs or [control_points]]


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to plan."""

    status: Status
    message: str


def resolve(
    robot: Robot,
    judge: Judge,
    start: StartLike,
    goal: GoalLike | Sequence[GoalLike],
    *,
    seed: int,
    until: float = math.inf,
) -> Query | Refusal:
    """Check start and goals; turn poses into configurations.

    A start beyond its limits by at most the judge's ``start_tolerance`` is taken. A way out of contacts is looked for
    to the time ``until`` of `time.perf_counter` [s].

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
    """
    asked, goals = _asked(robot, start, goal, judge.start_tolerance)
    clear = asked.outside is None and bool(judge.clear(asked.start[None])[0])
    query = asked if clear else _led_out(asked, judge, until)
    if isinstance(query, Refusal):
        return query
    rows: list[Array] = []
    index: list[int] = []
    refusals: list[Refusal] = []
    for i, one in enumerate(goals):
        name = "goal" if len(goals) == 1 else f"goal {i}"
        if isinstance(one, PoseGoal):
            found = _from_pose(robot, judge, one, query.start, name, seed)
        else:
            found = _checked(judge, _nearest(robot, one, query.start), name)
        if isinstance(found, Refusal):
            refusals.append(found)
        else:
            rows.extend(found)
            index.extend([i] * len(found))
    if not rows:
        return Refusal(refusals[0].status, "; ".join(r.message for r in refusals))
    arrivals = None if query.departure is None else tuple(row[None] for row in rows)
    return replace(query, goals=np.array(rows), goal_index=tuple(index), arrivals=arrivals)


def resolve_start(robot: Robot, judge: Judge, start: StartLike) -> Query | Refusal:
    """As `resolve`, where the goal is a line of the tool: the query has no goals, and its start must be free."""
    query = _from_start(robot, configuration(robot, start, "start"), judge.start_tolerance)
    verdict = _start_verdict(query, judge)
    return query if verdict.valid else _refused_start(judge, verdict)


def _led_out(query: Query, judge: Judge, until: float) -> Query | Refusal:
    """The query, from where its start is free; a retreat leads there if the judge lets it."""
    verdict = _start_verdict(query, judge)
    if verdict.valid:
        return query
    if not judge.escape or verdict.limits:
        return _refused_start(judge, verdict)
    way = retreat(judge, query.start, query.outside, until=until)
    if way is None:
        return Refusal(Status.TIMEOUT, f"start: {verdict.message()}; time ran out while a way out of it was looked for")
    if isinstance(way, str):
        return Refusal(STATUS_OF["start", verdict.cause], f"start: {verdict.message()}; {way}")
    return replace(query, start=way[-1], departure=way)


def _start_verdict(query: Query, judge: Judge) -> Verdict:
    verdict = judge.check(query.start)
    if verdict.valid and query.outside is not None:
        verdict = judge.check_path(np.stack([query.outside, query.start]))
    return verdict


def _refused_start(judge: Judge, verdict: Verdict) -> Refusal:
    hint = ""
    if verdict.limits:
        hint = f"; joint values are in the order {', '.join(judge.robot.joint_names)}"
    elif judge.escape:
        hint = "; no escape leads out of it before a line of the tool"
    elif too_much(judge, verdict, ESCAPE_DEPTH) is None:
        hint = f"; escape=True (--escape) leads out of contacts up to {1e3 * ESCAPE_DEPTH:g} mm deep first"
    elif too_much(judge, verdict, DEEPEST_ESCAPE) is None:
        hint = f"; deeper than the {1e3 * ESCAPE_DEPTH:g} mm that escape=True leads out of: escape= takes a depth [m]"
    return Refusal(STATUS_OF["start", verdict.cause], f"start: {verdict.message()}{hint}")


def unjudged(robot: Robot, start: StartLike, goal: GoalLike | Sequence[GoalLike]) -> Query | None:
    """Start and goals as they are, for who has the whole path judged anyway.

    None if a goal is a pose, or the start is beyond its limits.

    Raises:
        InvalidInputError: wrong shapes, or numbers that are not finite.
    """
    query, goals = _asked(robot, start, goal, 0.0)
    rows = [_nearest(robot, one, query.start) for one in goals if not isinstance(one, PoseGoal)]
    if len(rows) < len(goals) or robot.beyond_limits(query.start[None]).any():
        return None
    return replace(query, goals=np.array(rows), goal_index=tuple(range(len(goals))))


def _asked(
    robot: Robot, start: StartLike, goal: GoalLike | Sequence[GoalLike], tolerance: float
) -> tuple[Query, list[Goal]]:
    """The start, led inside its limits if it is beyond them by at most ``tolerance``; and the goals, as given."""
    given = configuration(robot, start, "start")
    goals = goals_of(robot, goal)
    return _from_start(robot, given, tolerance), goals


def _from_start(robot: Robot, given: Array, tolerance: float) -> Query:
    turns = np.where(robot.continuous, _TURN * np.round(given / _TURN), 0.0)
    here = given - turns
    beyond = float(robot.beyond_limits(here[None]).max())
    inside = robot.clipped(here) if beyond <= max(tolerance, GOAL_TOLERANCE) else here
    outside = here if GOAL_TOLERANCE < beyond <= tolerance else None
    return Query(inside, np.empty((0, robot.dof)), (), turns, outside)


def turned(robot: Robot, path: Array, near: Array) -> Array:
    """A path (n, dof), its continuous joints by whole turns to where it begins nearest to ``near`` (dof,)."""
    return path + _TURN * np.where(robot.continuous, np.round((near - path[0]) / _TURN), 0.0)


def _nearest(robot: Robot, q: Array, start: Array) -> Array:
    """A goal (dof,), its continuous joints turned to where they are nearest to the start, and rounding clipped."""
    (q,) = turned(robot, q[None], start)
    return robot.clipped(q) if float(robot.beyond_limits(q[None]).max()) <= GOAL_TOLERANCE else q


STATUS_OF = {
    ("start", Cause.OUT_OF_LIMITS): Status.START_OUT_OF_LIMITS,
    ("start", Cause.COLLISION): Status.START_IN_COLLISION,
    ("start", Cause.SELF_COLLISION): Status.START_IN_SELF_COLLISION,
    ("start", Cause.CONSTRAINT): Status.START_BREAKS_CONSTRAINT,
    ("goal", Cause.OUT_OF_LIMITS): Status.GOAL_OUT_OF_LIMITS,
    ("goal", Cause.COLLISION): Status.GOAL_IN_COLLISION,
    ("goal", Cause.SELF_COLLISION): Status.GOAL_IN_SELF_COLLISION,
    ("goal", Cause.CONSTRAINT): Status.GOAL_BREAKS_CONSTRAINT,
}
"""What is said of a start, or a goal, that the judge refuses."""


def _checked(judge: Judge, q: Array, name: str) -> list[Array] | Refusal:
    if judge.clear(q[None])[0]:
        return [q]
    verdict = judge.check(q)
    return [q] if verdict.valid else Refusal(STATUS_OF["goal", verdict.cause], f"{name}: {verdict.message()}")


def _from_pose(robot: Robot, judge: Judge, goal: PoseGoal, start: Array, name: str, seed: int) -> list[Array] | Refusal:
    """Free configurations that put the tool at the pose, nearest to the start first.

    The start itself, and nothing else, if it does: its tool is there already.
    """
    import torch

    from edmp.robots.ik import reaches, solve_ik

    if reaches(robot, start, goal.X_WT):
        return [start]
    blocked: list[Verdict] = []
    for effort in (1, 10) if bands_of(robot, judge.constraints) else ():
        kept = configurations_at(robot, goal.X_WT, judge.constraints, near=start, seed=seed, effort=effort)
        if free := _clear(judge, kept):
            return free
        free, blocked = _judged(judge, kept)
        if free:
            return free
    num_found = len(blocked)
    if not blocked:
        # Nothing to keep to, or nothing keeps to it: then it is told what is in the way.
        generator = torch.Generator("cpu").manual_seed(seed)
        solution = solve_ik(robot, goal.X_WT, near=start, num_near=8, num_seeds=SEEDS, generator=generator)
        if not solution.reachable:
            return Refusal(Status.GOAL_UNREACHABLE, f"{name}: {solution.message}")
        if free := _clear(judge, solution.q):
            return free
        num_found = len(solution.q)
        if not judge.check(solution.q[0]).valid:
            # Few of many may be free. Not where the nearest touches what it may: what is held, put in its place.
            for num_seeds in MORE_SEEDS:
                more = solve_ik(robot, goal.X_WT, near=start, num_near=8, num_seeds=num_seeds, generator=generator)
                if free := _clear(judge, more.q):
                    return free
            num_found = len(more.q)
        free, blocked = _judged(judge, solution.q)
        if free:
            return free
    least = min(blocked, key=_hindrance)
    faults = ("collide", "break a constraint", "collide or break a constraint")
    fault = faults[all(v.broken for v in blocked) + 2 * (0 < sum(bool(v.broken) for v in blocked) < len(blocked))]
    message = f"{name}: all {num_found} configurations found for the pose {fault}; the best: {least.message()}"
    return Refusal(STATUS_OF["goal", least.cause], message)


def _clear(judge: Judge, rows: Array) -> list[Array]:
    """The first few of ``rows`` (n, dof) that are valid and touch nothing; of the others no reasons are asked for."""
    free: list[Array] = []
    for begin in range(0, len(rows), _AT_ONCE):
        some = rows[begin : begin + _AT_ONCE]
        free.extend(some[judge.clear(some)])
        if len(free) >= MAX_SOLUTIONS_PER_POSE:
            break
    return free[:MAX_SOLUTIONS_PER_POSE]


def _judged(judge: Judge, rows: Array) -> tuple[list[Array], list[Verdict]]:
    """The first few of ``rows`` (n, dof) that the judge finds valid, and what is wrong with others before them."""
    free: list[Array] = []
    blocked: list[Verdict] = []
    for begin in range(0, len(rows), _AT_ONCE):
        some = rows[begin : begin + _AT_ONCE]
        for q, clear in zip(some, judge.clear(some), strict=True):
            if clear or (verdict := judge.check(q)).valid:
                free.append(q)
            else:
                blocked.append(verdict)
            if len(free) == MAX_SOLUTIONS_PER_POSE:
                return free, blocked
    return free, blocked


def _hindrance(verdict: Verdict) -> tuple[bool, float]:
    """How far from valid a configuration is: what is free comes first."""
    if verdict.contacts or not verdict.broken:
        return True, max((contact.depth for contact in verdict.contacts), default=np.inf)
    return False, max(broken.excess for broken in verdict.broken)
