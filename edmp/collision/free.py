"""What the sphere model finds free: configurations, edges, and the world in which given configurations are."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.arguments import checked
from edmp.collision.kernels import free as kernels
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.warp_start import wp

Array = NDArray[np.float64]


@checked
def edges_free(world: World, q: Tensor, *, step: float = 0.02, margin: float = 0.0) -> Tensor:
    """(batch, n - 1) which straight edges of polylines ``q`` (batch, n, dof) the sphere model finds free.

    Args:
        world: robot and scene.
        q: float32, on the world's device.
        step: no point of the arm moves farther than this between two looks [m].
        margin: distance that is kept from obstacles [m].
    """
    q = q.detach().contiguous()
    free = torch.empty(len(q), q.shape[1] - 1, dtype=torch.bool, device=q.device)
    inputs = [world.chain, world.obstacles, wp.from_torch(q), step, margin]
    launch_rows(kernels.edges_free, len(q), (q.shape[1] - 1,), inputs, [wp.from_torch(free)], world.device)
    return free


@checked
def paths_free(world: World, q: Tensor, *, step: float = 0.02, margin: float = 0.0) -> Tensor:
    """(batch,) of which polylines ``q`` (batch, n, dof) every edge is free; it ends at the first that is not.

    Args and errors as those of `edges_free`.
    """
    q = q.detach().contiguous()
    free = torch.ones(len(q), dtype=torch.bool, device=q.device)
    num = q.shape[1] - 1
    stride = next(k for k in range(max(1, round(0.618 * num)), num + 2) if math.gcd(k, num) == 1)
    inputs = [world.chain, world.obstacles, wp.from_torch(q), step, margin, stride]
    launch_rows(kernels.paths_free, len(q), (num,), inputs, [wp.from_torch(free)], world.device)
    return free


@checked
def free(world: World, q: Array, *, margin: float = 0.0) -> NDArray[np.bool_]:
    """(n,) which configurations ``q`` (n, dof) the sphere model finds free, ``margin`` [m] away from obstacles."""
    rows = pack_rows(q[:, None], world.device)
    result = wp.zeros((len(q), 1), dtype=wp.bool, device=world.device)
    inputs = [world.chain, world.obstacles, rows, margin]
    launch_rows(kernels.rows_free, len(q), (1,), inputs, [result], world.device, grain=64)
    return result.numpy()[:, 0]


@checked
def relaxed_world(
    robot: Robot,
    scene: Scene,
    configurations: Array,
    *,
    slack: float = 1e-3,
    device: str = "cpu",
    margins: Mapping[str, float] | None = None,
) -> World:
    """The world in which the given configurations are free of collision in the sphere model.

    Spheres stick out of the geometry that they cover, so a start or goal that truly is free may look as if it were
    not. The spheres that overlap something there are shrunk until they clear it by ``slack`` [m]; all others stay.
    Only a judge can tell whether a path found with fewer millimetres is free. Pairs of links that spheres cannot tell
    apart (`edmp.collision.world.separable_pairs`) are left to it too.

    Args:
        robot, scene: what is packed.
        configurations: (n, dof) that are to be free [rad or m].
        slack: by how much, at least [m].
        device: Warp device name.
        margins: distances by which named obstacles count as bigger than they are, see `World.of` [m].
    """
    world = World.of(robot, scene, device=device, only_separable=True, margins=margins)
    n, num = len(configurations), len(robot.spheres)
    device = world.device
    q = pack_rows(configurations, device)
    gaps = [wp.zeros((n, num), dtype=float, device=device) for _ in range(2)]
    wp.launch(kernels.sphere_gaps, dim=n, inputs=[world.chain, world.obstacles, q, *gaps], device=device)
    environment, pairs = (gap.numpy().min(axis=0) for gap in gaps)
    by = np.maximum(np.maximum(slack - environment, (slack - pairs) / 2), 0.0)
    return world.shrunk(by) if by.any() else world


def pack_rows(values: Array, device: str) -> wp.array:
    """``values`` in single precision on a Warp device."""
    return wp.array(np.ascontiguousarray(values, np.float32), dtype=float, device=device)
