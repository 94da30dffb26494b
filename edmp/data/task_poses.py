"""Many tool poses at once: damped least squares, one row a pose."""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.robots.kinematics import jacobian, tool_pose
from edmp.robots.robot import Robot


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
