"""Going over from one timed motion to another without a jump in position, velocity or acceleration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edmp.robots.parts import Limits
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

_JOINS = np.geomspace(0.05, 2.0, 20)
"""Times along the new motion at which it may be joined [s]."""
_DURATIONS = np.geomspace(0.05, 2.0, 24)
"""Times that the passage there may take [s]."""
_SHARES = np.linspace(0.0, 1.0, 25)
_PERIOD = 0.01
_REST = 1e-6


def splices(old: Trajectory, at: float, new: Trajectory, limits: Limits) -> Iterator[Trajectory]:
    """Motions that begin as ``old`` is at time ``at`` and go over to ``new``, those that arrive earliest first.

    The passage is the quintic between the two states, position, velocity and acceleration at both ends, that keeps the
    limits; it leaves both paths, so let the judge see what comes out. Motions timed at a little less than the limits
    leave room for it; between two at full speed there may be none.

    Args:
        old: the motion under way.
        at: time along it at which the new one begins [s].
        new: timed from rest at about ``old.at(at)``, to rest.
        limits: of the joints.
    """
    state = old.sample(at)
    if (
        max(np.abs(state[1]).max(), np.abs(state[2]).max()) < _REST
        and np.abs(state[0] - new.positions[0]).max() < _REST
    ):
        yield new
        return
    join, duration = (grid.ravel() for grid in np.meshgrid(np.minimum(_JOINS, new.duration), _DURATIONS))
    q, v, a = quintic(state, new.sample(join), duration)
    ratio = np.maximum(np.abs(v) / limits.velocity, np.abs(a) / limits.acceleration).max(axis=(1, 2))
    jerk = np.abs(np.diff(a, axis=1)) / (duration[:, None] / (len(_SHARES) - 1))[..., None]
    inside = ((q >= limits.lower) & (q <= limits.upper)).all(axis=(1, 2))
    feasible = np.flatnonzero((ratio <= 1.0) & ((jerk / limits.jerk).max(axis=(1, 2)) <= 1.0) & inside)
    arrival = duration - join  # later or earlier than without the passage
    for k in feasible[np.argsort(arrival[feasible], kind="stable")]:
        yield _joined(state, new, float(join[k]), float(duration[k]))


def quintic(
    start: tuple[Array, Array, Array],
    end: tuple[Array, Array, Array],
    duration: Array,
    shares: Array = _SHARES,
) -> tuple[Array, Array, Array]:
    """Positions, velocities and accelerations (k, n, dof) of the quintics between states.

    Args:
        start: position, velocity, acceleration, each (dof,).
        end: the same, each (k, dof).
        duration: (k,) [s].
        shares: (n,) of the duration.
    """
    T = duration[:, None]
    q0, v0, a0 = start[0], start[1] * T, start[2] * T**2
    q1, v1, a1 = end[0], end[1] * T, end[2] * T**2
    dq, dv, da = q1 - q0 - v0 - 0.5 * a0, v1 - v0 - a0, a1 - a0
    c = (10 * dq - 4 * dv + 0.5 * da, -15 * dq + 7 * dv - da, 6 * dq - 3 * dv + 0.5 * da)
    c3, c4, c5, v0, a0 = (x[:, None] for x in (*c, v0, a0))
    u, T = shares[None, :, None], T[:, None]
    q = q0 + u * (v0 + u * (0.5 * a0 + u * (c3 + u * (c4 + u * c5))))
    v = v0 + u * (a0 + u * (3 * c3 + u * (4 * c4 + u * 5 * c5)))
    a = a0 + u * (6 * c3 + u * (12 * c4 + u * 20 * c5))
    return q, v / T, a / T**2


def _joined(state: tuple[Array, Array, Array], new: Trajectory, join: float, duration: float) -> Trajectory:
    """The passage, sampled, and what is left of ``new`` after it."""
    count = max(3, 1 + round(duration / _PERIOD))
    shares = np.linspace(0.0, 1.0, count)
    end = tuple(x[None] for x in new.sample(join))
    passage = [x[0] for x in quintic(state, end, np.array([duration]), shares)]  # type: ignore[arg-type]
    rest = new.times > join + 1e-6
    arrays = (new.positions, new.velocities, new.accelerations)
    times = np.concatenate([shares * duration, new.times[rest] - join + duration])
    q, v, a = (np.concatenate([x, y[rest]]) for x, y in zip(passage, arrays, strict=True))
    return Trajectory(new.joint_names, times, q, v, a)
