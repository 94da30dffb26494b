"""What a planner's claim is worth: judged, timed and measured outside the clock, alike for every planner."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.baselines.base import Claim
from edmp.bench.metrics import rms_jerk, sparc
from edmp.errors import InvalidInputError
from edmp.geometry.poses import quaternion_of
from edmp.goals import Line, Via
from edmp.problem import Goal, PoseGoal, Problem
from edmp.result import Status
from edmp.robots.robot import Robot
from edmp.timing import retime_waypoints
from edmp.trajectory import Trajectory, path_length
from edmp.validate import Judge, Verdict
from edmp.validate.dense_constraints import dense_breaches
from edmp.validate.tool_path import follows

Array = NDArray[np.float64]

END_TOLERANCE = 1e-6
"""A path begins at the start and ends at a goal configuration within this, joint by joint [rad or m]."""

POSITION_TOLERANCE, ANGLE_TOLERANCE = 1e-3, 1e-2
"""A path ends with the tool at a pose goal within this [m], [rad]."""

COARSE_POSITION, COARSE_ANGLE = 0.01, np.radians(15.0)
"""What Motion Policy Networks ask of the tool at the goal [m], [rad]."""

DEVIATIONS = (5e-3, 1e-3, 2e-4)
"""By how much timing may round the corners of a path that came untimed; the first that the judge certifies [rad]."""

CLEARANCE_TIGHTNESS = 1e-3
"""The recorded clearance is within this of the true one [m]."""


@dataclass(frozen=True)
class Examination:
    """Everything that is found about one claim; None where there is nothing to find it from.

    Attributes:
        refuted: what is wrong with the claimed motion; None if nothing is, or nothing was claimed.
        judge_s: wall time of judging [s].
        timing_s: wall time of timing the path here [s]; None if the claim came with a timed motion, or was refuted.
        trajectory: the motion, timed: the claim's own, else its path timed here. Only of motions that are not refuted.
        duration: of the motion, by its times [s].
        length: joint-space length of the claimed path [rad].
        min_clearance: proved distance to every obstacle all along the path, within `CLEARANCE_TIGHTNESS` [m].
        sparc: smoothness of the joint-space speed, see `edmp.bench.metrics`; 0 at best.
        rms_jerk: of the joint-space jerk [rad/s^3].
        max_jerk: largest jerk of any joint [rad/s^3 or m/s^3].
        breaches: samples of the path and of the timed motion at which a dumb checker finds a constraint broken, no
            joint moving more than 1 mrad between two; None without constraints.
        untrue: what is wrong with the motion among the true shapes, if the planner saw others; None if nothing is.
        coarse_solved: success as Motion Policy Networks count it: the tool within 1 cm and 15 degrees of the goal, no
            collision, limits kept. Edges are judged here, which is stricter than waypoints.
    """

    refuted: str | None = None
    judge_s: float = 0.0
    timing_s: float | None = None
    trajectory: Trajectory | None = None
    duration: float | None = None
    length: float | None = None
    min_clearance: float | None = None
    sparc: float | None = None
    rms_jerk: float | None = None
    max_jerk: float | None = None
    breaches: int | None = None
    untrue: str | None = None
    coarse_solved: bool = False


def examine(problem: Problem, claim: Claim, *, true: Problem | None = None) -> Examination:
    """Judge, time and measure what a planner claims for a problem.

    Args:
        problem: as the planner saw it.
        claim: what it says.
        true: the problem as it is, if that may be another.
    """
    if claim.status is not Status.SOLVED:
        return Examination()
    begin = time.perf_counter()
    judge = Judge(problem.robot, problem.scene, constraints=problem.constraints)
    path = np.asarray(claim.path, dtype=np.float64) if claim.path is not None else np.empty(0)
    try:
        verdict = judge.check_path(path, tightness=CLEARANCE_TIGHTNESS)
    except InvalidInputError as error:  # no path, or one of another shape
        return Examination(refuted=str(error), judge_s=time.perf_counter() - begin)
    refuted = _refutation(problem, judge, verdict, path, claim.trajectory)
    at_start = _distance(path[0], problem.start) <= END_TOLERANCE
    coarse = verdict.valid and at_start and any(nearly_reaches(problem.robot, path[-1], g) for g in goals_of(problem))
    judge_s = time.perf_counter() - begin
    length = path_length(path) if np.isfinite(path).all() else None
    if refuted is not None:
        return Examination(refuted, judge_s, length=length, coarse_solved=coarse)
    trajectory, timing_s = claim.trajectory, None
    if trajectory is None:
        begin = time.perf_counter()
        trajectory, refuted = _timed_here(problem, judge, path)
        timing_s = time.perf_counter() - begin
        if refuted is not None:
            return Examination(refuted, judge_s, length=length, coarse_solved=coarse)
    return Examination(
        judge_s=judge_s,
        timing_s=timing_s,
        trajectory=trajectory,
        duration=float(trajectory.times[-1] - trajectory.times[0]),
        length=length,
        min_clearance=verdict.min_clearance,
        sparc=sparc(trajectory),
        rms_jerk=rms_jerk(trajectory),
        max_jerk=float(trajectory.max_jerk.max()),
        breaches=_breaches(problem, path, trajectory),
        untrue=None if true is None or true.scene == problem.scene else _untrue(true, path, claim.trajectory),
        coarse_solved=coarse,
    )


def _untrue(true: Problem, path: Array, trajectory: Trajectory | None) -> str | None:
    """What the judge finds wrong with a motion among the true shapes."""
    judge = Judge(true.robot, true.scene, constraints=true.constraints)
    return _refutation(true, judge, judge.check_path(path), path, trajectory)


def _timed_here(problem: Problem, judge: Judge, path: Array) -> tuple[Trajectory, str | None]:
    """A judged path, timed for a planner that does not do so itself, and what is wrong with that.

    Timing rounds corners, which obstacles hardly notice and narrow constraints do. So with constraints the timed motion
    is judged, and its corners rounded less until it holds.
    """
    robot = problem.robot
    for deviation in DEVIATIONS if problem.constraints else DEVIATIONS[:1]:
        trajectory = retime_waypoints(path, robot.limits, deviation=deviation, joint_names=robot.joint_names)
        if not problem.constraints:
            return trajectory, None
        verdict = judge.check_trajectory(trajectory, start=path[0], goal=path[-1])
        if verdict.valid:
            return trajectory, None
    return trajectory, f"timed here: {verdict.message()}"


def _breaches(problem: Problem, path: Array, trajectory: Trajectory) -> int | None:
    """Samples of the path and of the timed motion at which the dumb checker finds a constraint broken."""
    if not problem.constraints:
        return None
    dense = trajectory.at(np.linspace(0.0, trajectory.duration, 4 * len(trajectory.times) - 3))
    checks = [dense_breaches(problem.robot, problem.scene, problem.constraints, q) for q in (path, dense)]
    return sum(breach.samples for found in checks for breach in found)


def _refutation(
    problem: Problem, judge: Judge, verdict: Verdict, path: Array, trajectory: Trajectory | None
) -> str | None:
    """The first thing that is wrong with a claimed path, or with the motion that a planner timed itself."""
    if not verdict.valid:
        return verdict.message()
    if (miss := _distance(path[0], problem.start)) > END_TOLERANCE:
        return f"the path begins {miss:.3g} rad away from the start"
    if (line := problem.tool_path) is not None:
        for positions in (path, *([] if trajectory is None else [trajectory.positions])):
            if not (proof := follows(problem.robot, positions, line)).valid:
                return proof.message()
    elif not any(reaches(problem.robot, path[-1], goal) for goal in goals_of(problem)):
        return "the path does not end at a goal"
    if trajectory is None:
        return None
    timed = judge.check_trajectory(trajectory, start=path[0], goal=path[-1])
    return None if timed.valid else f"timed motion: {timed.message()}"


def goals_of(problem: Problem) -> tuple[Goal, ...]:
    """The goals of which one must be reached; of a line of the tool, where it ends."""
    if (line := problem.tool_path) is not None:
        return (PoseGoal(line.X_WT[-1, :3, 3], quaternion_of(line.X_WT[-1])),)
    assert not isinstance(problem.goal, Line | Via)
    return problem.goal if isinstance(problem.goal, tuple) else (problem.goal,)


def reaches(robot: Robot, q: Array, goal: Goal) -> bool:
    """Is ``q`` (dof,) the goal configuration, or the tool at the goal pose, within the tolerances of this module?"""
    if not isinstance(goal, PoseGoal):
        return _distance(q, goal) <= END_TOLERANCE
    position, angle = _tool_error(robot, q, goal.X_WT)
    return position <= POSITION_TOLERANCE and angle <= ANGLE_TOLERANCE


def nearly_reaches(robot: Robot, q: Array, goal: Goal) -> bool:
    """Is the tool within 1 cm and 15 degrees of where the goal has it?"""
    X_WT = goal.X_WT if isinstance(goal, PoseGoal) else _tool_pose(robot, goal)
    position, angle = _tool_error(robot, q, X_WT)
    return position <= COARSE_POSITION and angle <= COARSE_ANGLE


def _distance(q: Array, wanted: Array) -> float:
    return float(np.abs(q - wanted).max())


def _tool_pose(robot: Robot, q: Array) -> Array:
    import torch

    from edmp.robots.kinematics import tool_pose

    return tool_pose(robot, torch.as_tensor(np.asarray(q, dtype=np.float64))).numpy()


def _tool_error(robot: Robot, q: Array, X_WT: Array) -> tuple[float, float]:
    """Distance [m] and angle [rad] between the tool at ``q`` and a pose (4, 4)."""
    X = np.linalg.inv(X_WT) @ _tool_pose(robot, q)
    angle = np.arccos(np.clip((np.trace(X[:3, :3]) - 1) / 2, -1, 1))
    return float(np.linalg.norm(X[:3, 3])), float(angle)
