"""Many tool poses at once: damped least squares, one row a pose."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.robots.kinematics import jacobian, tool_pose
from edmp.robots.robot import Robot

SEEDS_EACH = 4
"""Configurations that the descent starts from, for each pose."""


def task_configurations(robot: Robot, X_WT: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(m, dof) configurations with the tool at some of the poses ``X_WT`` (n, 4, 4), off the limits by 0.01 [rad or m].

    Collisions are not looked at. m is at most ``SEEDS_EACH`` n; several may belong to one pose.
    """
    limits = robot.limits
    q0 = rng.uniform(limits.lower, limits.upper, (len(X_WT) * SEEDS_EACH, robot.dof))
    q0[::2] = np.clip(robot.home + rng.normal(size=q0[::2].shape) * 0.5, limits.lower, limits.upper)
    wanted = torch.as_tensor(np.repeat(X_WT, SEEDS_EACH, axis=0))
    reached, error = descend_to_poses(robot, torch.as_tensor(q0), wanted, iterations=30)
    q, good = reached.numpy(), (error < 2e-3).numpy()
    inside = ((q >= limits.lower + 0.01) & (q <= limits.upper - 0.01)).all(axis=1)
    return q[good & inside]


def descend_to_poses(robot: Robot, q: Tensor, X_WT: Tensor, *, iterations: int = 30) -> tuple[Tensor, Tensor]:
    """Levenberg-Marquardt from configurations ``q`` (n, dof) to tool poses ``X_WT`` (n, 4, 4), row by row.

    Returns:
        q (n, dof) within the joint limits, and the error of each (n,): metres plus radians.
    """
    lower, upper = torch.as_tensor(robot.limits.lower).to(q), torch.as_tensor(robot.limits.upper).to(q)
    X_WT = X_WT.to(q)
    damping = 1e-3 * torch.eye(6).to(q)
    for _ in range(iterations):
        error = _pose_error(tool_pose(robot, q), X_WT)
        J = jacobian(robot, q)
        step = J.mT @ torch.linalg.solve(J @ J.mT + damping, error.unsqueeze(-1))
        q = torch.minimum(torch.maximum(q + step.squeeze(-1).clamp(-0.5, 0.5), lower), upper)
    error = _pose_error(tool_pose(robot, q), X_WT)
    return q, torch.linalg.vector_norm(error[:, :3], dim=1) + torch.linalg.vector_norm(error[:, 3:], dim=1)


def _pose_error(X: Tensor, X_wanted: Tensor) -> Tensor:
    """(n, 6) translation and rotation vector, in world axes, that lead from ``X`` to ``X_wanted``."""
    R = X_wanted[:, :3, :3] @ X[:, :3, :3].mT
    axis = 0.5 * torch.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], dim=1)
    sine = torch.linalg.vector_norm(axis, dim=1, keepdim=True)
    cosine = 0.5 * (R.diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True) - 1)
    angle = torch.atan2(sine, cosine)
    return torch.cat([X_wanted[:, :3, 3] - X[:, :3, 3], axis * angle / sine.clamp_min(1e-6)], dim=1)
