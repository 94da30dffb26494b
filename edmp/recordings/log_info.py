"""What is in a log, and what can be learnt from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.recordings.log import OPTIONAL, Gap, Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

LEAST_RANGE = 0.1
"""A joint that moves less says little about what it carries [rad or m]."""
LEAST_SPEED = 0.1
"""A joint that is never faster, one way and the other, says little about its friction [rad/s or m/s]."""
LEAST_DURATION = 2.0
"""[s]"""
LEAST_RATE = 20.0
"""Accelerations cannot be had from fewer rows a second [Hz]."""


@dataclass(frozen=True)
class JointInfo:
    """How one joint moved.

    Attributes:
        name: of the joint.
        lower, upper: range of its positions [rad or m].
        speed: largest backwards (not above 0) and forwards (not below 0) [rad/s or m/s].
        beyond_limit: how far it went beyond its position limits; 0 within, None without a robot [rad or m].
        speed_share: largest speed as a share of the limit; None without a robot.
        effort_share: largest torque as a share of the limit; None without a robot, torques, or a limit.
        notes: what cannot be learnt of it.
    """

    name: str
    lower: float
    upper: float
    speed: tuple[float, float]
    beyond_limit: float | None
    speed_share: float | None
    effort_share: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LogInfo:
    """A log in numbers.

    Attributes:
        rows, duration, rate: their number, the time that they span [s], the median rate [Hz].
        jitter: standard deviation of the time between rows, gaps left out [s].
        gaps: where rows are missing.
        missing: tables that the log does not have.
        joints: one by one.
        notes: what cannot be learnt from the log as a whole.
    """

    rows: int
    duration: float
    rate: float
    jitter: float
    gaps: tuple[Gap, ...]
    missing: tuple[str, ...]
    joints: tuple[JointInfo, ...]
    notes: tuple[str, ...]

    @property
    def rich(self) -> bool:
        """Whether all parameters of the arm show in it, as far as such a look can tell."""
        return not self.notes and not any(joint.notes for joint in self.joints)


@checked
def describe_log(log: Log, *, robot: Robot | None = None) -> LogInfo:
    """What is in a log; with ``robot`` also how it stands to the robot's limits.

    Raises:
        InvalidInputError: the log is of other joints than the robot's.
    """
    if robot is not None and log.joint_names != robot.joint_names:
        raise InvalidInputError(
            f"{log.source}: joints {', '.join(log.joint_names)} are not those of {robot.name}: read it for this robot"
        )
    steps, gaps = np.diff(log.times), log.gaps()
    whole = np.delete(steps, [gap.row for gap in gaps])
    rate = 1.0 / log.period
    notes = []
    if log.torques is None:
        notes.append("no torques: masses and friction do not show; edmp logs label computes torques, of a known arm")
    if log.duration < LEAST_DURATION:
        notes.append(f"{log.duration:.2g} s are short: a few seconds show more")
    if rate < LEAST_RATE:
        notes.append(f"{rate:.3g} rows a second are few: accelerations cannot be had from them")
    if gaps:
        notes.append(f"{len(gaps)} gaps, the longest {max(gap.duration for gap in gaps):.3g} s")
    velocities = np.gradient(log.positions, log.times, axis=0) if log.velocities is None else log.velocities
    return LogInfo(
        rows=len(log.times),
        duration=log.duration,
        rate=rate,
        jitter=float(whole.std()),
        gaps=gaps,
        missing=tuple(name for name in OPTIONAL if getattr(log, name) is None),
        joints=tuple(_joint(log, velocities, k, robot) for k in range(log.dof)),
        notes=tuple(notes),
    )


def _joint(log: Log, velocities: Array, k: int, robot: Robot | None) -> JointInfo:
    q, v = log.positions[:, k], velocities[:, k]
    slowest, fastest = min(float(v.min()), 0.0), max(float(v.max()), 0.0)
    notes = []
    if np.ptp(q) < LEAST_RANGE:
        notes.append("hardly moves: what it carries does not show")
    elif fastest < LEAST_SPEED or slowest > -LEAST_SPEED:
        notes.append("moves one way only, or slowly: its friction does not show")
    beyond = speed = effort = None
    if robot is not None:
        beyond = float(robot.beyond_limits(log.positions)[:, k].max())
        speed = float(np.abs(v).max() / robot.limits.velocity[k])
        if log.torques is not None and np.isfinite(robot.limits.effort[k]):
            effort = float(np.abs(log.torques[:, k]).max() / robot.limits.effort[k])
    return JointInfo(
        log.joint_names[k],
        float(q.min()),
        float(q.max()),
        (slowest, fastest),
        beyond,
        speed,
        effort,
        tuple(notes),
    )
