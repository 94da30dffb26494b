"""The gripper of a simulated arm: two motors with a limited force, and the gear that keeps the fingers even."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.execution.gripper import GRASP_TOLERANCE, GripperState

Array = NDArray[np.float64]

_SPEED = 0.1
"""How fast the gap changes [m/s]."""
_FORCE = 70.0
"""Of a finger that opens, at most; a Franka Hand's [N]."""
_STIFFNESS, _DAMPING = 2e4, 120.0
"""Of a finger about where it should be [N/m; N s/m]."""
_GEAR, _GEAR_DAMPING = 4e4, 200.0
"""Of the gear between the fingers [N/m; N s/m]."""
_THERE, _STILL = 5e-4, 2e-3
"""A gap is as it should be within this, and fingers slower than this rest [m; m/s]."""
_REST = 0.1
"""What has been at rest for so long has arrived, or is stopped by something [s]."""


class SimGripper:
    """A `Gripper` whose fingers a simulation moves: it asks for forces at every step.

    Nothing is ever welded: what is held is held by the fingers' pressure and friction. The fingers share one gear, as
    a Franka Hand's, so that an object off the middle is pushed there by the finger that comes first.

    Args:
        count: number of fingers.
        width: gap at first [m].
    """

    def __init__(self, count: int, width: float) -> None:
        self._count = count
        self._goal = self._reference = width / 2
        self._limit = _FORCE
        self._expected: float | None = None
        self._x, self._v, self._rested = np.full(count, width / 2), np.zeros(count), 0.0
        self._arrived = True

    def move(self, width: float) -> None:
        self._told(width / 2, _FORCE, None)

    def grasp(self, width: float, force: float) -> None:
        self._told(0.0, force, width)

    def state(self) -> GripperState:
        width = 2.0 * float(self._x.mean())
        moving = not self._arrived
        holding = self._expected is not None and not moving and abs(width - self._expected) <= GRASP_TOLERANCE
        return GripperState(width, moving, holding)

    def forces(self, x: Array, v: Array, dt: float) -> Array:
        """(fingers,) outwards [N], a step of ``dt`` [s] after the last; ``x``, ``v`` are where they are [m, m/s]."""
        self._x, self._v = x, v
        middle, speed = float(x.mean()), float(v.mean())
        step = 0.5 * _SPEED * dt
        reference = self._reference + float(np.clip(self._goal - self._reference, -step, step))
        lead = self._limit / _STIFFNESS  # no further ahead than the force reaches
        self._reference = float(np.clip(reference, middle - lead, middle + lead))
        force = float(np.clip(_STIFFNESS * (self._reference - middle) - _DAMPING * speed, -self._limit, self._limit))
        arrived = abs(self._reference - self._goal) < 1e-9 and abs(middle - self._goal) < _THERE
        stopped = abs(force) > 0.9 * self._limit
        resting = np.abs(v).max() < _STILL and (arrived or stopped)
        self._rested = self._rested + dt if resting else 0.0
        self._arrived = self._arrived or self._rested >= _REST
        return force - _GEAR * (x - middle) - _GEAR_DAMPING * (v - speed)

    def _told(self, goal: float, force: float, expected: float | None) -> None:
        self._goal, self._limit, self._expected = goal, force, expected
        self._rested, self._arrived = 0.0, False
        self._reference = float(self._x.mean())
