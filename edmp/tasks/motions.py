"""One motion of a task: straight away, freely, and straight to where it ends; judged and timed as a whole."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.cartesian import follow
from edmp.cartesian.chain import ToolChain
from edmp.constraints import Constraint
from edmp.geometry.poses import quaternion_of
from edmp.goals import Line, PoseGoal
from edmp.planner.certify import Docket
from edmp.planner.contacts import check_names, leave_contacts
from edmp.planner.goals import STATUS_OF, Query, Refusal, resolve
from edmp.planner.outcome import no_path, success
from edmp.planner.planner import Planner
from edmp.planner.search import search
from edmp.problem import as_problem
from edmp.result import Blocked, Solution, Status
from edmp.robots.parts import Limits
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Part
from edmp.tasks.lines import line_from, straight, tool_at
from edmp.threads import one_torch_thread
from edmp.validate import Judge
from edmp.validate.tool_path import follows_at_first

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trip:
    """What a motion is to be; the fields are those of `edmp.tasks.Move`."""

    goal: Any
    depart: Array
    arrive: Array
    constraints: tuple[Constraint, ...]
    parts: tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class Travelled:
    """A motion, or why there is none."""

    status: Status
    message: str
    solution: Solution | None = None
    parts: tuple[Part, ...] = ()


def travel(
    planner: Planner,
    chain: ToolChain,
    scene: Scene,
    q: Array,
    trip: Trip,
    *,
    seed: int,
    budget: float,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
) -> Travelled:
    """Plan one motion from ``q`` (dof,) within ``budget`` [s]; ``chain`` is of the joints that move the arm's tool."""
    begin = time.perf_counter()
    robot = planner.robot
    check_names(robot, scene)
    limits = robot.limits.scaled(velocity=velocity_scale, acceleration=acceleration_scale)
    judge = Judge(robot, scene, constraints=trip.constraints)
    here = judge.check(q)
    if not here.valid:
        return Travelled(STATUS_OF["start", here.cause], f"start: {here.message()}")
    if trip.goal is None:
        return _only_straight(judge, q, trip, limits, begin + budget)
    departure = straight(chain, q, trip.depart)
    if departure is None:
        return Travelled(Status.GOAL_UNREACHABLE, _too_far(trip.parts[0], trip.depart))
    problem = as_problem(robot, scene, q, trip.goal, constraints=trip.constraints)
    docket = Docket()
    with torch.inference_mode(), one_torch_thread():
        query = resolve(robot, judge, problem.start, problem.goal, seed=seed)
        if isinstance(query, Query):
            query = _with_lines(query, chain, judge, departure, trip)
        if isinstance(query, Refusal):
            return Travelled(query.status, query.message)
        call = planner.prepare(query, judge, docket=docket, seed=seed, limits=limits, begin=begin, budget=budget)
        if call.late:
            return Travelled(Status.TIMEOUT, "time ran out")
        tried = search(call, fallback=True, earlier=None)
        result = success(call, tried, begin) if call.solved else no_path(call, tried, begin)
    if result.best is None:
        return Travelled(result.status, result.message)
    return Travelled(result.status, result.message, result.best, _parts(robot, result.best, query, trip))


def _with_lines(query: Query, chain: ToolChain, judge: Judge, departure: Array, trip: Trip) -> Query | Refusal:
    """The query between the straight ways from the start and to each goal; goals that have none are left out."""
    if len(departure) == 1 and not trip.arrive.any():
        return query if query.standing is not None else leave_contacts(query, judge)
    keep: list[int] = []
    arrivals: list[Array] = []
    for row, goal in enumerate(query.goals):
        points = straight(chain, goal, -trip.arrive)
        if points is not None and (len(points) == 1 or judge.check(points[-1]).valid):
            keep.append(row)
            arrivals.append(points[::-1])
    if not keep:
        return Refusal(Status.GOAL_UNREACHABLE, _too_far(trip.parts[2], trip.arrive))
    there = judge.check(departure[-1])
    if not there.valid:
        return Refusal(Status.START_IN_COLLISION, f"{trip.parts[0]}: at its end {there.message()}")
    ends = tuple(line_from(chain, query.goals[row], -trip.arrive) for row in keep)
    begin = line_from(chain, departure[0], trip.depart)
    return replace(query.between(departure, keep, arrivals), departure_line=begin, arrival_lines=ends)


def _only_straight(judge: Judge, q: Array, trip: Trip, limits: Limits, deadline: float) -> Travelled:
    """The motion along nothing but a line, past obstacles and limits as redundancy allows."""
    here = tool_at(judge.robot, q)
    there = PoseGoal(here[:3, 3] + trip.depart, quaternion_of(here))
    found = follow(judge, q, Line(there), limits=limits, deadline=deadline)
    if isinstance(found, Blocked):
        return Travelled(Status.LINE_BLOCKED, f"{trip.parts[0]}: {found.message}")
    line = Line(there).path_from(here)
    parts = (Part(trip.parts[0], found.duration, line),) if line.length > 1e-6 else ()
    return Travelled(Status.SOLVED, "straight", found, parts)


def _parts(robot: Robot, solution: Solution, query: Query, trip: Trip) -> tuple[Part, ...]:
    """The stretches on which the tool goes straight, as was proved, and what is between."""
    q, times = solution.trajectory.positions, solution.trajectory.times
    first, last, free_until = [], [], solution.duration
    for line, back in query.lines(_row_of(query, q[-1])):
        place = follows_at_first(robot, q[::-1] if back else q, line)[1]
        at = len(q) - 1 - place if back else place
        when = float(np.interp(at, np.arange(len(q)), times))
        if back:
            backwards = replace(line, X_WT=line.X_WT[::-1])
            last, free_until = [Part(trip.parts[2], solution.duration, backwards)], when
        else:
            first = [Part(trip.parts[0], when, line)]
    return (*first, Part(trip.parts[1], free_until), *last)


def _row_of(query: Query, end: Array) -> int:
    """The goal row at which a motion ends."""
    ends = query.goals if query.arrivals is None else np.array([arrival[-1] for arrival in query.arrivals])
    return int(np.abs(ends - end).max(axis=1).argmin())


def _too_far(part: str, shift: Array) -> str:
    return (
        f"{part}: no straight way of {1e3 * float(np.linalg.norm(shift)):.0f} mm within the joint limits and the reach"
    )
