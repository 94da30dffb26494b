"""Kinematics of the tool for small batches, in numpy: pose, Jacobian, and the nearest configuration at a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.tool_path import TURN_LENGTH, rotation_vectors
from edmp.robots.robot import Robot

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MAX_STEP = 0.3
"""No joint moves further in one step [rad or m]."""
_DAMPING = 1e-9
"""Added to J J^T, which near a singularity keeps a step finite [m^2]."""


@dataclass(frozen=True)
class Reached:
    """Configurations that were to be at poses.

    Attributes:
        q: (n, k) of the joints that move the tool [rad or m].
        error: (n,) distance from the pose, turns counted by `TURN_LENGTH` [m].
    """

    q: Array
    error: Array


class ToolChain:
    """The joints that move the tool, and nothing else: columns of ``q`` are `columns` of the robot's.

    Attributes:
        columns: (k,) joint numbers.
        lower, upper: (k,) bounds that are kept; of continuous joints none.
        redundancy: degrees of freedom that a pose of the tool leaves, 0 for a six-joint arm.
    """

    def __init__(self, robot: Robot, *, inside: float = 0.0) -> None:
        self.robot = robot
        self.columns = np.flatnonzero(robot.moves[:, robot.tool.body])
        joints = [robot.joints[j] for j in self.columns]
        self._X_PJ = [joint.X_PJ for joint in joints]
        self.revolute = np.array([joint.kind == "revolute" for joint in joints])
        free = robot.continuous[self.columns]
        self.lower = np.where(free, -np.inf, robot.limits.lower[self.columns] + inside)
        self.upper = np.where(free, np.inf, robot.limits.upper[self.columns] - inside)
        self.redundancy = max(0, len(joints) - 6)

    def widened(self, q: Array) -> ToolChain:
        """The same chain, whose bounds take in ``q`` (k,)."""
        other = object.__new__(ToolChain)
        other.__dict__ = {**self.__dict__, "lower": np.minimum(self.lower, q), "upper": np.maximum(self.upper, q)}
        return other

    def unbounded(self) -> ToolChain:
        """The same chain without bounds."""
        other = object.__new__(ToolChain)
        endless = np.full(len(self.columns), np.inf)
        other.__dict__ = {**self.__dict__, "lower": -endless, "upper": endless}
        return other

    def poses(self, q: Array) -> Array:
        """(n, 4, 4) poses of the tool in the world."""
        return self._kinematics(q)[0]

    def poses_and_jacobians(self, q: Array) -> tuple[Array, Array]:
        """(n, 4, 4) poses of the tool and (n, 6, k) Jacobians in world axes, linear rows first."""
        X, axes, origins = self._kinematics(q)
        arm = X[:, None, :3, 3] - origins
        J = np.empty((len(q), 6, len(self.columns)))
        x, y, z = np.moveaxis(axes, -1, 0)
        ax, ay, az = np.moveaxis(arm, -1, 0)
        J[:, 0], J[:, 1], J[:, 2] = y * az - z * ay, z * ax - x * az, x * ay - y * ax
        J[:, 3:] = np.moveaxis(axes, -1, 1)
        slides = ~self.revolute
        if slides.any():
            J[:, :3, slides], J[:, 3:, slides] = J[:, 3:, slides], 0.0
        return X, J

    def _kinematics(self, q: Array) -> tuple[Array, Array, Array]:
        n, robot = len(q), self.robot
        R, p = np.broadcast_to(robot.X_W0[:3, :3], (n, 3, 3)), np.broadcast_to(robot.X_W0[:3, 3], (n, 3))
        cos, sin = np.cos(q), np.sin(q)
        axes, origins = np.empty((n, len(self.columns), 3)), np.empty((n, len(self.columns), 3))
        for i, (X, revolute) in enumerate(zip(self._X_PJ, self.revolute, strict=True)):
            p = p + R @ X[:3, 3]
            R = (R.reshape(-1, 3) @ X[:3, :3]).reshape(n, 3, 3)
            axes[:, i] = R[:, :, 2]
            if revolute:
                c, s, x, y = cos[:, i, None], sin[:, i, None], R[:, :, 0], R[:, :, 1]
                R[:, :, 0], R[:, :, 1] = c * x + s * y, c * y - s * x
            else:
                p = p + R[:, :, 2] * q[:, i, None]
            origins[:, i] = p
        X_WT = np.zeros((n, 4, 4))
        X_WT[:, 3, 3] = 1.0
        X_BT = robot.tool.X_BT
        X_WT[:, :3, 3] = p + R @ X_BT[:3, 3]
        X_WT[:, :3, :3] = R @ X_BT[:3, :3]
        return X_WT, axes, origins

    def twist_to(self, X: Array, wanted: Array) -> Array:
        """(n, 6) the small motion, in world axes, that takes poses X to those wanted, both (n, 4, 4)."""
        turn = rotation_vectors(wanted[:, :3, :3] @ np.swapaxes(X[:, :3, :3], 1, 2))
        return np.concatenate([wanted[:, :3, 3] - X[:, :3, 3], turn], axis=1)

    def reach(self, q: Array, wanted: Array, *, iterations: int = 8, tolerance: float = 1e-9) -> Reached:
        """Configurations near ``q`` (n, k), within the bounds, with the tool at poses ``wanted`` (n, 4, 4).

        Gauss-Newton with least joint motion; joints that a step would push beyond a bound are held at it, and the
        others solved again.

        Beside `edmp.robots.damped_least_squares.solve`, which looks for poses from far away, in all joints and within
        the robot's own limits: here ``q`` is next to the pose and is to stay so, columns are those of the joints that
        move the tool, and bounds are the chain's, which may be widened or none.
        """
        q = np.clip(q, self.lower, self.upper)
        for _ in range(iterations):
            X, J = self.poses_and_jacobians(q)
            twist = self.twist_to(X, wanted)
            error = size_of(twist)
            if not (error > tolerance).any():
                break
            q = self.bounded(q, J, twist)
        else:
            error = size_of(self.twist_to(self.poses(q), wanted))
        return Reached(q, error)

    def bounded(self, q: Array, J: Array, twist: Array) -> Array:
        """``q`` after the shortest step for ``twist`` that stays within the bounds."""
        free = np.ones_like(q)
        for _ in range(3):
            A = J * free[:, None]
            step = np.swapaxes(A, 1, 2) @ solved(A, twist)[..., None]
            step = step[..., 0]
            step *= _MAX_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), _MAX_STEP)
            blocked = (free > 0) & (((q <= self.lower) & (step < 0)) | ((q >= self.upper) & (step > 0)))
            if not blocked.any():
                break
            free[blocked] = 0.0
        return np.clip(q + step, self.lower, self.upper)

    def null_spaces(self, J: Array) -> Array:
        """(n, k, redundancy) orthonormal joint motions that leave the tool where it is."""
        return np.swapaxes(np.linalg.svd(J)[2][:, 6:], 1, 2)


def size_of(twist: Array) -> Array:
    """(n,) the longer of the distance and the turn, times `TURN_LENGTH`, of twists (n, 6) [m]."""
    turn = np.linalg.norm(twist[:, 3:], axis=1)
    return np.maximum(np.linalg.norm(twist[:, :3], axis=1), TURN_LENGTH * turn)


def solved(J: Array, twist: Array) -> Array:
    """(n, 6) y with ``J J^T y = twist``, damped a little."""
    A = J @ np.swapaxes(J, 1, 2)
    A[:, range(6), range(6)] += _DAMPING
    return np.asarray(np.linalg.solve(A, twist[..., None])[..., 0], dtype=np.float64)
