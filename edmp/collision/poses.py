"""Forward kinematics of a batch by the kernel, for costs that are defined in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.collision.kernels import poses as kernels
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.robots.kinematics import body_poses
from edmp.warp_start import wp


def poses(world: World, q: Tensor) -> Tensor:
    """(batch, waypoint, dof + 1, 4, 4) `body_poses` of ``q`` (batch, waypoint, dof), by the kernel if it is float32."""
    if q.dtype != torch.float32:
        return body_poses(world.robot, q)
    q = q.contiguous()
    X_WB = q.new_empty(*q.shape[:2], world.robot.num_bodies, 4, 4)
    inputs, outputs = [world.chain, wp.from_torch(q)], [wp.from_torch(X_WB, dtype=wp.mat44)]
    launch_rows(kernels.body_poses, len(q), (q.shape[1],), inputs, outputs, world.device)
    return X_WB
