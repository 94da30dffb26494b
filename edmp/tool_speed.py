"""How fast the tool goes along a joint path: its twist by the path's parameter, and what its limits ask of a timing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline

from edmp.robots.kinematics import jacobian
from edmp.robots.parts import ToolLimits
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_SAMPLES = 600
_DIRECTIONS = np.pi / 4 * np.arange(4)
"""Angles from the direction of motion, towards the side to which it bends, in which acceleration is limited."""


class ToolSpeed:
    """The tool along a joint path p(s), s from 0 to 1.

    With V(s) the twist of the tool for s' = 1, velocities are ``V s'`` and accelerations ``V s'' + V' s'^2``, of its
    origin and of its rotation, both in the world.
    """

    def __init__(self, robot: Robot, path: BSpline, limits: ToolLimits) -> None:
        s = np.linspace(0.0, 1.0, max(_SAMPLES, 4 * len(path.c)))
        J = jacobian(robot, torch.as_tensor(path(s))).numpy()
        twist = (J @ path.derivative(1)(s)[..., None])[..., 0]
        self._twist = make_interp_spline(s, twist, k=3)
        self._change = self._twist.derivative(1)
        self._speed = np.array(limits.speed)
        self._acceleration = np.array(limits.acceleration)

    def shares(self, s: Array) -> Array:
        """(n, 2) the share of its speed limits that the tool goes with for s' = 1, linear and angular."""
        return np.linalg.norm(self._twist(s).reshape(-1, 2, 3), axis=2) / self._speed

    def rows(self, s: Array) -> tuple[Array, Array]:
        """(n, r) each: shares of the acceleration limits by s'' and by s'^2, in several directions.

        Rows hold if and only if the acceleration is in a polygon round the disc that is allowed; see `shares_at`.
        """
        first, second = self._twist(s).reshape(-1, 2, 3), self._change(s).reshape(-1, 2, 3)
        speed = np.linalg.norm(first, axis=2, keepdims=True)
        ahead = first / np.maximum(speed, 1e-12)
        along = np.sum(second * ahead, axis=2, keepdims=True)
        aside = np.linalg.norm(second - along * ahead, axis=2, keepdims=True)
        limit = self._acceleration[:, None]
        by_first = speed * np.cos(_DIRECTIONS) / limit
        by_second = (along * np.cos(_DIRECTIONS) + aside * np.sin(_DIRECTIONS)) / limit
        return by_first.reshape(len(s), -1), by_second.reshape(len(s), -1)

    def shares_at(self, s: Array, s1: Array, s2: Array) -> tuple[float, float]:
        """The largest shares of the limits of speed and acceleration, at s (n,) with its derivatives by time."""
        first, second = self._twist(s), self._change(s)
        acceleration = first * s2[:, None] + second * s1[:, None] ** 2
        reached = np.linalg.norm(acceleration.reshape(-1, 2, 3), axis=2) / self._acceleration
        return float((self.shares(s) * np.abs(s1)[:, None]).max()), float(reached.max())
