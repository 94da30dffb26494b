"""Which controller makes the estimated arm do what was measured; and what even then is left over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.simulate import Controller, track
from edmp.recordings.log import Log

Array = NDArray[np.float64]

_BANDWIDTHS = (10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0, 100.0)
_STIFFNESSES = (3.0, 5.0, 7.0, 10.0, 15.0)
CANDIDATES = (
    *(Controller(bandwidth=w) for w in _BANDWIDTHS),
    *(Controller("impedance", stiffness=k) for k in _STIFFNESSES),
)
_STEP = 1e-3
"""Of the simulation [s]."""
_LONGEST = 4.0
"""So much of a recording is tried [s]."""


def tuned_controller(arm: ArmDynamics, nominal: ArmDynamics, log: Log, delay: float) -> tuple[Controller, Array]:
    """The controller out of `CANDIDATES` under which the arm does most nearly what was measured, and how nearly.

    The second is (dof,), the standard deviation of what was measured from that [rad or m].

    Args:
        arm: the estimate.
        nominal: what the controller believes.
        log: without gaps; its arm is at rest to begin with.
        delay: of the commands [s].
    """
    if log.commanded is None:
        return Controller(), np.zeros(log.dof)
    end = min(log.duration, _LONGEST)
    times = _STEP * np.arange(1, round(end / _STEP) + 1, dtype=np.float64)
    reference = _reference(log, times - delay)
    measured = _columns(times, log.times - log.times[0], log.positions)
    rows = tuple(np.repeat(part[None], len(CANDIDATES), axis=0) for part in reference)
    positions, _, _ = track(arm, nominal, (rows[0], rows[1], rows[2]), CANDIDATES, _STEP)
    left = positions - measured
    best = int(np.argmin(np.sum(left**2, axis=(1, 2))))
    return CANDIDATES[best], np.sqrt(np.mean(left[best] ** 2, axis=0))


def _reference(log: Log, times: Array) -> tuple[Array, Array, Array]:
    """(n, dof) commanded positions, velocities and accelerations at ``times`` from the beginning [s]."""
    assert log.commanded is not None
    clock = log.times - log.times[0]
    velocities = log.commanded_velocities
    if velocities is None:
        velocities = np.gradient(log.commanded, clock, axis=0)
    accelerations = np.gradient(velocities, clock, axis=0)
    q, v, a = (_columns(times, clock, table) for table in (log.commanded, velocities, accelerations))
    return q, v, a


def _columns(times: Array, clock: Array, values: Array) -> Array:
    return np.stack([np.interp(times, clock, column) for column in values.T], axis=1)
