"""One motion of a task: straight away, freely, and straight to where it ends; judged and timed as a whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.collision.world import World
from edmp.constraints import Constraint
from edmp.planner.certify import Docket
from edmp.planner.contacts import check_names, leave_contacts
from edmp.planner.goals import Query, Refusal, resolve
from edmp.planner.outcome import no_path, success
from edmp.planner.planner import Planner
from edmp.planner.search import search
from edmp.problem import as_problem
from edmp.result import Solution, Status
from edmp.scenes.scene import Scene
from edmp.taskplan import Part
from edmp.tasks.lines import straight
from edmp.threads import one_torch_thread
from edmp.timing import retime_waypoints
from edmp.trajectory import path_length
from edmp.validate import Judge

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
    still: World,
    scene: Scene,
    q: Array,
    trip: Trip,
    *,
    seed: int,
    budget: float,
    velocity_scale: float = 1.0,
    acceleration_scale: float = 1.0,
) -> Travelled:
    """Plan one motion from ``q`` (dof,) within ``budget`` [s]; ``still`` is the same arm among no obstacles."""
    begin = time.perf_counter()
    robot = planner.robot
    check_names(robot, scene)
    limits = robot.limits.scaled(velocity=velocity_scale, acceleration=acceleration_scale)
    judge = Judge(robot, scene, constraints=trip.constraints)
    here = judge.check(q)
    if not here.valid:
        return Travelled(Status.START_IN_COLLISION, f"start: {here.message()}")
    departure = straight(still, q, trip.depart)
    if departure is None:
        return Travelled(Status.GOAL_UNREACHABLE, _too_far(trip.parts[0], trip.depart))
    if trip.goal is None:
        return _only_straight(departure, judge, limits, trip)
    problem = as_problem(robot, scene, q, trip.goal, constraints=trip.constraints)
    docket = Docket()
    with torch.inference_mode(), one_torch_thread():
        query = resolve(robot, judge, problem.start, problem.goal, seed=seed)
        if isinstance(query, Query):
            query = _with_lines(query, still, judge, departure, trip)
        if isinstance(query, Refusal):
            return Travelled(query.status, query.message)
        call = planner.prepare(query, judge, docket=docket, seed=seed, limits=limits, begin=begin, budget=budget)
        if call.late:
            return Travelled(Status.TIMEOUT, "time ran out")
        tried = search(call, fallback=True, earlier=None)
        result = success(call, tried, begin) if call.solved else no_path(call, tried, begin)
    if result.best is None:
        return Travelled(result.status, result.message)
    return Travelled(result.status, result.message, result.best, _parts(result.best, query, trip))


def _with_lines(query: Query, still: World, judge: Judge, departure: Array, trip: Trip) -> Query | Refusal:
    """The query between the straight ways from the start and to each goal; goals that have none are left out."""
    if len(departure) == 1 and not trip.arrive.any():
        return query if query.standing is not None else leave_contacts(query, judge)
    keep: list[int] = []
    arrivals: list[Array] = []
    for row, goal in enumerate(query.goals):
        points = straight(still, goal, -trip.arrive)
        if points is not None and (len(points) == 1 or judge.check(points[-1]).valid):
            keep.append(row)
            arrivals.append(points[::-1])
    if not keep:
        return Refusal(Status.GOAL_UNREACHABLE, _too_far(trip.parts[2], trip.arrive))
    there = judge.check(departure[-1])
    if not there.valid:
        return Refusal(Status.START_IN_COLLISION, f"{trip.parts[0]}: at its end {there.message()}")
    return query.between(departure, keep, arrivals)


def _only_straight(points: Array, judge: Judge, limits: Any, trip: Trip) -> Travelled:
    trajectory = retime_waypoints(points, limits, joint_names=judge.robot.joint_names)
    verdict = judge.check_trajectory(trajectory, start=points[0], goal=points[-1])
    if not verdict.valid:
        return Travelled(Status.NO_PATH_FOUND, f"{trip.parts[0]}: {verdict.message()}")
    solution = Solution(points, trajectory, path_length(points), verdict.min_clearance, kept=verdict.kept)
    return Travelled(Status.SOLVED, "straight", solution)


def _parts(solution: Solution, query: Query, trip: Trip) -> tuple[Part, ...]:
    """When the straight way from the start ends, and when that to the goal begins: where the motion is nearest."""
    q, times = solution.trajectory.positions, solution.trajectory.times
    first = last = None
    if query.departure is not None and len(query.departure) > 1:
        first = float(times[np.linalg.norm(q - query.departure[-1], axis=1).argmin()])
    if query.arrivals is not None:
        arrival = min(query.arrivals, key=lambda points: float(np.abs(points[-1] - q[-1]).max()))
        if len(arrival) > 1:
            last = float(times[np.linalg.norm(q - arrival[0], axis=1).argmin()])
    ends = [(trip.parts[0], first), (trip.parts[1], last or solution.duration)]
    if last is not None:
        ends.append((trip.parts[2], solution.duration))
    return tuple(Part(name, until) for name, until in ends if until is not None)


def _too_far(part: str, shift: Array) -> str:
    return (
        f"{part}: no straight way of {1e3 * float(np.linalg.norm(shift)):.0f} mm within the joint limits and the reach"
    )
