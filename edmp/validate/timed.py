"""Is a timed motion what it says it is: times that run on, velocities that belong to them, limits that hold?

Only what is given is believed, nothing derived: the positions at their times. What is said of velocities and
accelerations between them must be possible for a motion that keeps the limits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.robots.robot import Robot
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

TIMING_TOLERANCE = 1e-3
"""Velocity and acceleration may pass their limits by this share."""


def timing_fault(robot: Robot, trajectory: Trajectory) -> str | None:
    """The first thing that is wrong with the times, velocities or accelerations of a motion from rest to rest.

    A motion within the limits passes no two samples faster than the velocity limit, and between them its velocity
    changes by no more than the acceleration limit lets it; with that limit ``a``, over a time ``h``, it goes at most
    ``a h^2 / 4`` farther, or less far, than at the mean of the two velocities.

    Returns:
        One clause for a person, None if nothing is wrong.
    """
    q, v, a = trajectory.positions, trajectory.velocities, trajectory.accelerations
    times = np.asarray(trajectory.times, dtype=np.float64)
    wanted = (len(times), robot.dof)
    if times.ndim != 1 or len(times) < 2 or any(np.shape(x) != wanted for x in (q, v, a)):
        return (
            f"times {np.shape(times)}, positions {np.shape(q)}, velocities {np.shape(v)} and accelerations "
            f"{np.shape(a)} do not belong together"
        )
    if not (np.isfinite(times).all() and np.isfinite(v).all() and np.isfinite(a).all()):
        return "times, velocities or accelerations are not finite"
    if times[0] != 0.0:
        return f"its times begin at {times[0]:.6g} s, not at 0"
    h = np.diff(times)
    if not (h > 0.0).all():
        back = int((h <= 0.0).argmax())
        return f"its times do not increase: {times[back + 1]:.6g} s after {times[back]:.6g} s"
    limits, h = robot.limits, h[:, None]
    for what, value, limit, unit in (
        ("velocity", v, limits.velocity, "/s"),
        ("acceleration", a, limits.acceleration, "/s^2"),
        ("velocity by its positions and times", np.diff(q, axis=0) / h, limits.velocity, "/s"),
        ("acceleration by its velocities and times", np.diff(v, axis=0) / h, limits.acceleration, "/s^2"),
    ):
        if fault := _beyond(robot, times, what, value, limit * (1 + TIMING_TOLERANCE), unit):
            return fault
    slack = limits.acceleration * h**2 / 4 * (1 + TIMING_TOLERANCE) + 1e-9
    miss = np.abs(np.diff(q, axis=0) - h * (v[1:] + v[:-1]) / 2)
    if (miss > slack).any():
        k, j = np.unravel_index(int((miss - slack).argmax()), miss.shape)
        return f"velocity of {robot.joint_names[j]} at {times[k]:.3f} s does not belong to its positions and times"
    if fault := _beyond(robot, times[[0, -1]], "velocity", v[[0, -1]], TIMING_TOLERANCE * limits.velocity, "/s"):
        return f"it does not begin and end at rest: {fault}"
    return None


def _beyond(robot: Robot, times: Array, what: str, values: Array, limit: Array, unit: str) -> str | None:
    """Where ``values`` (n, dof) pass ``limit`` (dof,) most, as a clause; None if they do not."""
    share = np.abs(values) / limit
    if (share <= 1.0).all():
        return None
    k, j = np.unravel_index(int(share.argmax()), share.shape)
    of = "m" if robot.joints[j].kind == "prismatic" else "rad"
    return f"{what} of {robot.joint_names[j]} at {times[k]:.3f} s: {values[k, j]:.4g} of {limit[j]:.4g} {of}{unit}"
