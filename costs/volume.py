"""EDMP's volume costs: how much of the links' boxes lies within the obstacles' boxes (Saha et al. 2023, IV-B).

All boxes are axis-aligned in the world: a link's box is that of its posed oriented box (`Link.box`), an obstacle's is
that of its shape, grown to full extents max(size, expansion) + clearance. EDMP uses nine link boxes of a Panda (link 1
to 7, hand, fingers as one); here every link that moves and has a box counts, so a Panda has ten (two fingers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from edmp.collision.launch import launch_rows
from edmp.collision.obstacles import obstacle_bounds
from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, register_cost
from edmp.costs.kernels import volume as kernels
from edmp.robots.motion import Motion
from edmp.scenes.scene import Scene
from edmp.warp_start import wp


def link_bounds(motion: Motion) -> tuple[Tensor, Tensor]:
    """Lower and upper corners (batch, waypoint, L, 3) [m] of the posed boxes of the L links that move and have one."""
    boxed = [(link, link.box) for link in motion.robot.links if link.box is not None and link.body > 0]
    if not boxed:
        empty = motion.q.new_zeros(*motion.q.shape[:2], 0, 3)
        return empty, empty
    X_BX = torch.as_tensor(np.stack([box.X_BX for _, box in boxed])).to(motion.q)
    half = torch.as_tensor(np.stack([box.size / 2 for _, box in boxed])).to(motion.q)
    X_WX = motion.X_WB[:, :, [link.body for link, _ in boxed]] @ X_BX
    extent = (X_WX[..., :3, :3].abs() @ half[..., None]).squeeze(-1)
    return X_WX[..., :3, 3] - extent, X_WX[..., :3, 3] + extent


def grown_bounds(scene: Scene, margins: Margins) -> tuple[Tensor, Tensor]:
    """Lower and upper corners (batch, O, 3) [m] of the obstacles' boxes as each row sees them."""
    corners = np.array([obstacle_bounds(obstacle) for obstacle in scene]).reshape(-1, 2, 3)
    around = np.array([margins.around.get(obstacle.name, 0.0) for obstacle in scene])
    corners += around[:, None, None] * np.array([[-1.0], [1.0]])
    lower, upper = torch.as_tensor(corners).to(margins.clearance).unbind(1)
    size = torch.maximum(upper - lower, margins.expansion[:, None, None]) + margins.clearance[:, None, None]
    return (lower + upper) / 2 - size / 2, (lower + upper) / 2 + size / 2


def shared_volume(link_lower: Tensor, link_upper: Tensor, obstacle_lower: Tensor, obstacle_upper: Tensor) -> Tensor:
    """(batch,) [m^3]: sum over steps, links (batch, step, L, 3) and obstacles (batch, O, 3) of the shared volume."""
    upper = torch.minimum(link_upper[:, :, :, None], obstacle_upper[:, None, None])
    lower = torch.maximum(link_lower[:, :, :, None], obstacle_lower[:, None, None])
    return (upper - lower).clamp(min=0).prod(-1).sum((1, 2, 3))


@register_cost
@dataclass(frozen=True)
class IntersectionVolume(Cost):
    """J_IV [m^3]: volume shared by link boxes and obstacle boxes, summed over waypoints, links and obstacles."""

    name: ClassVar[str] = "intersection_volume"

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        return shared_volume(*link_bounds(motion), *grown_bounds(scene, margins))

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        return _launch(kernels.intersection_volume, world, q, margins, [])


@register_cost
@dataclass(frozen=True)
class SweptVolume(Cost):
    """J_SV [m^3]: as J_IV, with the box around a link's boxes at two consecutive waypoints, over all such steps."""

    name: ClassVar[str] = "swept_volume"

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        lower, upper = link_bounds(motion)
        lower = torch.minimum(lower[:, :-1], lower[:, 1:])
        upper = torch.maximum(upper[:, :-1], upper[:, 1:])
        return shared_volume(lower, upper, *grown_bounds(scene, margins))

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        q = q.detach().contiguous()
        shape = (*q.shape[:2], world.chain.num_links)
        lower, upper = (wp.empty(shape, dtype=wp.vec3, device=world.device) for _ in range(2))
        bounds, columns = [lower, upper], (q.shape[1],)
        launch_rows(kernels.link_bounds, len(q), columns, [world.chain, wp.from_torch(q)], bounds, world.device)
        return _launch(kernels.swept_volume, world, q, margins, bounds)


def _launch(
    kernel: wp.Kernel, world: World, q: Tensor, margins: Margins, bounds: list[wp.array]
) -> tuple[Tensor, Tensor]:
    """Run a volume kernel with one thread a configuration and sum the cost over waypoints."""
    q = q.detach().contiguous()
    cost, gradient = q.new_empty(q.shape[:2]), torch.empty_like(q)
    per_row = [wp.from_torch(margin.contiguous()) for margin in (margins.clearance, margins.expansion)]
    inputs = [world.chain, world.obstacles, wp.from_torch(q), *per_row, *bounds]
    outputs = [wp.from_torch(cost), wp.from_torch(gradient)]
    launch_rows(kernel, len(q), (q.shape[1],), inputs, outputs, world.device)
    return cost.sum(1), gradient
