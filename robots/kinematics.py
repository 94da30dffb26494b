"""Batched forward kinematics and the geometric Jacobian, in torch.

This is the readable, differentiable definition; `edmp.costs` fuses the same recursion into its kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.robots.robot import Robot


@checked
def body_poses(robot: Robot, q: Tensor) -> Tensor:
    """Poses of all bodies in the world.

    Args:
        robot: the arm.
        q: (..., dof) configurations [rad or m].

    Returns:
        (..., dof + 1, 4, 4): ``X_WB`` of body 0 (the base) to body dof (moved by joint dof - 1), in the dtype and on
        the device of ``q``.
    """
    X_WB = torch.as_tensor(robot.X_W0).to(q).expand(*q.shape[:-1], 4, 4)
    poses = [X_WB]
    for i, (joint, parent) in enumerate(zip(robot.joints, robot.parents, strict=True)):
        poses.append(poses[parent] @ torch.as_tensor(joint.X_PJ).to(q) @ _joint_motion(joint.kind, q[..., i]))
    return torch.stack(poses, dim=-3)


def _joint_motion(kind: str, q: Tensor) -> Tensor:
    """(..., 4, 4) rotation about z by ``q`` (revolute), or translation along z (prismatic)."""
    zero, one = torch.zeros_like(q), torch.ones_like(q)
    if kind == "prismatic":
        rows = [one, zero, zero, zero, zero, one, zero, zero, zero, zero, one, q, zero, zero, zero, one]
    else:
        c, s = torch.cos(q), torch.sin(q)
        rows = [c, -s, zero, zero, s, c, zero, zero, zero, zero, one, zero, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


@checked
def tool_pose(robot: Robot, q: Tensor) -> Tensor:
    """(..., 4, 4) pose ``X_WT`` of the tool frame in the world, for ``q`` (..., dof)."""
    return body_poses(robot, q)[..., robot.tool.body, :, :] @ torch.as_tensor(robot.tool.X_BT).to(q)


@checked
def jacobian(robot: Robot, q: Tensor) -> Tensor:
    """Geometric Jacobian of the tool frame, in world axes.

    Args:
        robot: the arm.
        q: (..., dof) configurations.

    Returns:
        (..., 6, dof): rows 0-2 map joint velocity to the linear velocity of the tool origin [m/s], rows 3-5 to the
        angular velocity [rad/s], both expressed in the world frame.
    """
    X_WB = body_poses(robot, q)
    p_WT = (X_WB[..., robot.tool.body, :, :] @ torch.as_tensor(robot.tool.X_BT).to(q))[..., :3, 3]
    axis_W, origin_W = X_WB[..., 1:, :3, 2], X_WB[..., 1:, :3, 3]
    revolute = torch.tensor([[joint.kind == "revolute"] for joint in robot.joints], device=q.device)
    moves_tool = torch.as_tensor(robot.moves[:, robot.tool.body, None], device=q.device)
    linear = torch.where(revolute, torch.linalg.cross(axis_W, p_WT.unsqueeze(-2) - origin_W), axis_W)
    angular = torch.where(revolute, axis_W, torch.zeros_like(axis_W))
    return torch.cat([linear * moves_tool, angular * moves_tool], dim=-1).transpose(-1, -2)


def pull_back(robot: Robot, X_WB: Tensor, gradient: Tensor) -> Tensor:
    """The transpose of `body_poses`: what a gradient with respect to body poses means for the joints.

    Each body's part is a force and a moment about the world origin; every joint takes the share along its axis of
    what lies beyond it (J^T f).

    Args:
        robot: the arm.
        X_WB: (..., dof + 1, 4, 4) as `body_poses` returned it.
        gradient: like ``X_WB``, of a function with respect to it; the last row of each matrix is ignored.

    Returns:
        (..., dof) gradient with respect to the configuration.
    """
    force, by_axis = gradient[..., :3, 3], gradient[..., :3, :3]
    moment = torch.linalg.cross(X_WB[..., :3, 3], force)
    moment = moment + torch.linalg.cross(X_WB[..., :3, :3], by_axis, dim=-2).sum(-1)
    moved = torch.as_tensor(robot.moves, dtype=X_WB.dtype, device=X_WB.device)
    force, moment = moved @ force, moved @ moment
    axis_W, origin_W = X_WB[..., 1:, :3, 2], X_WB[..., 1:, :3, 3]
    turning = (axis_W * (moment - torch.linalg.cross(origin_W, force))).sum(-1)
    revolute = torch.tensor([joint.kind == "revolute" for joint in robot.joints], device=X_WB.device)
    return torch.where(revolute, turning, (axis_W * force).sum(-1))
