"""Which controller, how late, makes the estimated arm do what was measured; and what even then is left over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.signals import columns_at
from edmp.dynamics.simulate import Controller, track
from edmp.recordings.log import Log

Array = NDArray[np.float64]

_BANDWIDTHS = (10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0, 100.0)
_STIFFNESSES = (3.0, 5.0, 7.0, 10.0, 15.0)
CANDIDATES = (
    *(Controller(bandwidth=w) for w in _BANDWIDTHS),
    *(Controller("impedance", stiffness=k) for k in _STIFFNESSES),
)
_AROUND = 1e-3 * np.arange(-6.0, 7.0)
"""Delays that are tried round the one that the shift of positions says, unless that is less sure [s]."""
_STEP = 1e-3
"""Of the simulation [s]."""
_ROUNDS = 2
"""Of controller and delay in turn."""
_LONGEST = 4.0
"""So much of a recording is tried [s]."""


def tuned_controller(
    arm: ArmDynamics, nominal: ArmDynamics, log: Log, guesses: Sequence[float], deviation: float
) -> tuple[Controller, float, Array]:
    """The controller out of `CANDIDATES` under which the arm does most nearly what was measured, how late, how nearly.

    What friction and weight make an arm lag behind looks like delay to a shift of positions, but not to the closed loop
    of an arm whose friction and weight are known: the best delay nearby is the vertex of the parabola through three.

    Returns:
        The controller; the delay of its commands [s]; (dof,) the standard deviation of what was measured [rad or m].

    Args:
        arm: the estimate.
        nominal: what the controller believes.
        log: without gaps; its arm is at rest to begin with.
        guesses: delays of the commands [s], of which that counts under which some controller does best.
        deviation: standard deviation of the delay [s].
    """
    if log.commanded is None:
        return Controller(), guesses[0], np.zeros(log.dof)

    def tried(delays: Sequence[float] | Array, controllers: Sequence[Controller]) -> Array:
        return _left(arm, nominal, log, delays, controllers)

    chosen: tuple[Controller, float] | None = None
    best, delay = CANDIDATES[0], guesses[0]
    for _ in range(_ROUNDS):
        pairs = [(one, guess) for guess in guesses for one in CANDIDATES]
        left = tried([guess for _, guess in pairs], [one for one, _ in pairs])
        best, delay = pairs[int(np.argmin(np.sum(left**2, axis=(1, 2))))]
        if (best, delay) == chosen:
            break
        around = _AROUND * max(1.0, 2.0 * deviation / _AROUND[-1])
        cost = np.sum(tried(delay + around, [best]) ** 2, axis=(1, 2))
        k = int(np.clip(np.argmin(cost), 1, len(cost) - 2))
        bend = cost[k - 1] - 2.0 * cost[k] + cost[k + 1]
        if bend > 0.0:
            vertex = 0.5 * (cost[k - 1] - cost[k + 1]) / bend
            delay += float(around[k] + (around[1] - around[0]) * np.clip(vertex, -1.0, 1.0))
        guesses, chosen = (delay,), (best, delay)
    return best, delay, unexplained(arm, nominal, log, best, delay)


def unexplained(arm: ArmDynamics, nominal: ArmDynamics, log: Log, controller: Controller, late: float) -> Array:
    """(dof,) standard deviation of what was measured, from what the arm does under commands so ``late`` [s]."""
    return np.asarray(np.sqrt(np.mean(_left(arm, nominal, log, [late], [controller])[0] ** 2, axis=0)))


def _left(
    arm: ArmDynamics,
    nominal: ArmDynamics,
    log: Log,
    delays: Sequence[float] | Array,
    controllers: Sequence[Controller],
) -> Array:
    """(n, T, dof) what is left of the measured positions, for pairs of a delay and a controller."""
    end = min(log.duration, _LONGEST)
    times = _STEP * np.arange(1, round(end / _STEP) + 1, dtype=np.float64)
    measured = columns_at(times, log.times - log.times[0], log.positions)
    late = [reference_at(log, times - one) for one in delays]
    q, v, a = (np.stack([one[k] for one in late]) for k in range(3))
    prompt = [dataclasses.replace(one, delay=0.0) for one in controllers]
    return track(arm, nominal, (q, v, a), prompt, _STEP)[0] - measured


def reference_at(log: Log, times: Array) -> tuple[Array, Array, Array]:
    """(n, dof) commanded positions, velocities and accelerations at ``times`` from the beginning [s]."""
    assert log.commanded is not None
    clock = log.times - log.times[0]
    velocities = log.commanded_velocities
    if velocities is None:
        velocities = np.gradient(log.commanded, clock, axis=0)
    accelerations = np.gradient(velocities, clock, axis=0)
    q, v, a = (columns_at(times, clock, table) for table in (log.commanded, velocities, accelerations))
    return q, v, a
