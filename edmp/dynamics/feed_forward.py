"""Accelerations that make a controller with the described masses exert the torques that the real arm needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics import kernels as k
from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.simulate import packed_arms, packed_tree, scratch
from edmp.warp_start import wp

Array = NDArray[np.float64]

_DEVICE = "cpu"
"""One state at a time is nothing for a GPU."""


class FeedForward:
    """M_0^-1 (tau(q, v, a) - C_0 v + tau_g0), with tau of the arm, cut off at the effort limits, and 0 the nominal.

    Everything is packed once, so that it can be asked at every tick of a control loop.

    Args:
        arm: what the torques are to be of.
        nominal: what the controller believes; of the same robot.
    """

    def __init__(self, arm: ArmDynamics, nominal: ArmDynamics) -> None:
        robot = arm.robot
        self._effort = robot.limits.effort
        tree, room = packed_tree(robot, _DEVICE), scratch(1, robot.dof + 1, _DEVICE)
        real, believed = packed_arms([arm], _DEVICE), packed_arms([nominal], _DEVICE)
        q, v, a, tau, answer = (wp.zeros((1, robot.dof), dtype=wp.float64, device=_DEVICE) for _ in range(5))
        self._q, self._v, self._a, self._tau, self._answer = (x.numpy() for x in (q, v, a, tau, answer))
        self._kept = (tree, room, real, believed, q, v, a, tau, answer)  # what the launches below point to
        self._inverse = wp.launch(
            k.inverse_rows, dim=1, inputs=[tree, real, room, q, v, a, 0, tau], device=_DEVICE, record_cmd=True
        )
        self._forward = wp.launch(
            k.forward_rows, dim=1, inputs=[tree, believed, room, q, v, tau, 0, answer], device=_DEVICE, record_cmd=True
        )

    def __call__(self, q: Array, v: Array, a: Array) -> Array:
        """(dof,) accelerations in place of ``a``, all of one state."""
        self._q[0], self._v[0], self._a[0] = q, v, a
        self._inverse.launch()
        np.clip(self._tau, -self._effort, self._effort, out=self._tau)
        self._forward.launch()
        return self._answer[0].copy()
