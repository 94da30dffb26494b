"""Inverse kinematics of many poses in one batch, by a kernel.

`edmp.robots.ik` looks at one pose, closely, in double precision; this at hundreds, to within a micrometre or so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.collision.free import pack_rows
from edmp.collision.kernels import ik as kernels
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.warp_start import wp

Array = NDArray[np.float64]

TOLERANCE = 2e-6
"""Where the solver stops [m]; and, ten times it, [rad]."""
REACHED = 2e-5
"""What is no farther from its pose than this has reached it [m]; and, ten times it, [rad]."""


def reach_poses(
    world: World, X_WT: Array, seeds: Array, *, iterations: int = 40
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Configurations that put the tool at poses, joint limits respected; obstacles are not looked at.

    Args:
        world: the robot, whose tool is meant.
        X_WT: (n, 4, 4) wanted poses of the tool in the world.
        seeds: (n, k, dof) where to begin, for each pose [rad or m].
        iterations: steps of the solver at most.

    Returns:
        (n, k, dof) the nearest that each seed came, (n, k) whether that is at the pose, and (n, k) how far it is from
        it, 1 rad counting as 0.2 m [m].
    """
    robot, device = world.robot, world.device
    n, k, dof = seeds.shape
    tool = robot.tool
    best = wp.zeros((n, k, dof), dtype=float, device=device)
    error = wp.zeros((n, k, 2), dtype=float, device=device)
    moves: wp.array = wp.array(robot.moves[:, tool.body].astype(np.int32), dtype=int, device=device)
    poses: wp.array = wp.array(np.asarray(X_WT, np.float32), dtype=wp.mat44, device=device)
    inputs = [
        world.chain,
        moves,
        tool.body,
        wp.mat33(*tool.X_BT[:3, :3].ravel()),
        wp.vec3(*tool.X_BT[:3, 3]),
        pack_rows(robot.limits.lower, device),
        pack_rows(robot.limits.upper, device),
        poses,
        iterations,
        TOLERANCE,
        pack_rows(seeds, device),
    ]
    launch_rows(kernels.reach_poses, n, (k,), inputs, [best, error], device)
    far = error.numpy().astype(np.float64)
    reached = (far[..., 0] <= REACHED) & (far[..., 1] <= 10 * REACHED)
    q = robot.clipped(best.numpy().astype(np.float64))
    return q, reached, far[..., 0] + 0.2 * far[..., 1]
