"""Costs on the sphere model: distance to obstacles and of the arm to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.collision.launch import launch_rows
from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, register_cost
from edmp.costs.kernels import clearance as kernels
from edmp.geometry.distance import signed_distance
from edmp.robots.motion import Motion
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.warp_start import wp


def hinge(d: Tensor, margin: Tensor) -> Tensor:
    """CHOMP's obstacle potential of a signed distance ``d`` [m] (Ratliff et al. 2009, eq. 7).

    Zero beyond ``margin``, then a parabola, and a line of slope -1 from contact inwards.
    """
    near = (d - margin) ** 2 / (2 * margin.clamp(min=1e-6))
    return torch.where(d >= margin, torch.zeros_like(d), torch.where(d < 0, margin / 2 - d, near))


def sphere_centers(motion: Motion) -> Tensor:
    """(batch, waypoint, S, 3) centres of `Robot.spheres` in the world [m]."""
    robot, X_WB = motion.robot, motion.X_WB
    X_WS = X_WB[..., torch.as_tensor(robot.sphere_body, dtype=torch.long, device=X_WB.device), :, :]
    centers = torch.as_tensor(robot.spheres[:, :3]).to(X_WB)
    return (X_WS[..., :3, :3] @ centers[..., None]).squeeze(-1) + X_WS[..., :3, 3]


def environment_potential(motion: Motion, scene: Scene, margins: Margins) -> Tensor:
    """(batch,) the hinge of every sphere of a moving link and every obstacle, summed over waypoints."""
    robot = motion.robot
    moving = torch.as_tensor(robot.sphere_body > 0, device=motion.q.device)
    p_W = sphere_centers(motion)[..., moving, :]
    radius = torch.as_tensor(robot.spheres[:, 3]).to(p_W)[moving]
    total = p_W.new_zeros(len(p_W))
    for obstacle in scene:
        X_WO = torch.as_tensor(obstacle.X_WO).to(p_W)
        gap = signed_distance(obstacle.shape, (p_W - X_WO[:3, 3]) @ X_WO[:3, :3]) - radius
        gap = gap - margins.around.get(obstacle.name, 0.0)
        total = total + hinge(gap, margins.clearance[:, None, None].to(p_W)).sum((1, 2))
    return total


def self_potential(motion: Motion, margin: float) -> Tensor:
    """(batch,) the hinge of every pair of spheres on links that must not touch, summed over waypoints."""
    robot = motion.robot
    i, j = _sphere_pairs(robot, motion.q.device)
    p_W = sphere_centers(motion)
    radius = torch.as_tensor(robot.spheres[:, 3]).to(p_W)
    gap = torch.linalg.vector_norm(p_W[..., i, :] - p_W[..., j, :], dim=-1) - radius[i] - radius[j]
    return hinge(gap, gap.new_tensor(margin)).sum((1, 2))


def _sphere_pairs(robot: Robot, device: torch.device) -> tuple[Tensor, Tensor]:
    link = torch.as_tensor(robot.sphere_link, dtype=torch.long, device=device)
    checked = torch.zeros(len(robot.links), len(robot.links), dtype=torch.bool, device=device)
    for pair in robot.collision_pairs:
        checked[pair] = True
    i, j = checked[link[:, None], link[None, :]].nonzero().unbind(-1)
    return i, j


def clearance_field(world: World, q: Tensor, clearance: Tensor, *, self_margin: float = 0.01) -> tuple[Tensor, Tensor]:
    """`SphereClearance` waypoint by waypoint.

    Args:
        world: robot and scene.
        q: (batch, waypoint, dof) [rad or m].
        clearance: (batch,) distance below which an obstacle pushes [m].
        self_margin: gap below which two links push each other apart [m].

    Returns:
        cost (batch, waypoint) of each configuration and its gradient (batch, waypoint, dof).
    """
    parameters = [wp.from_torch(clearance.contiguous()), self_margin]
    return _field(kernels.clearance_cost, world, q, [world.chain, world.obstacles], parameters)


@register_cost
@checked
@dataclass(frozen=True)
class SphereClearance(Cost):
    """Hinge of the gap between the arm's spheres and obstacles, and between its own links.

    Row i keeps ``margins.clearance[i]`` from obstacles. The kernel takes the radii from the world, which may have
    shrunk them (`World.shrunk`); this definition takes the robot's own.

    Attributes:
        self_margin: gap below which two links push each other apart [m].
    """

    name: ClassVar[str] = "sphere_clearance"
    self_margin: float = 0.01

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        return environment_potential(motion, scene, margins) + self_potential(motion, self.self_margin)

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        cost, gradient = clearance_field(world, q, margins.clearance, self_margin=self.self_margin)
        return cost.sum(dim=1), gradient


@register_cost
@checked
@dataclass(frozen=True)
class SelfCollision(Cost):
    """Hinge of the gap between the arm's own links, whatever the scene.

    Attributes:
        margin: gap below which two links push each other apart [m].
    """

    name: ClassVar[str] = "self_collision"
    margin: float = 0.01

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        return self_potential(motion, self.margin)

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        cost, gradient = _field(kernels.self_cost, world, q, [world.chain], [self.margin])
        return cost.sum(dim=1), gradient


def _field(kernel: wp.Kernel, world: World, q: Tensor, packed: list, parameters: list) -> tuple[Tensor, Tensor]:
    """Run a kernel (packed, q, parameters, first, cost, gradient), a thread a configuration."""
    q = q.detach().contiguous()
    cost, gradient = q.new_empty(q.shape[:2]), torch.empty_like(q)
    inputs = [*packed, wp.from_torch(q), *parameters]
    outputs = [wp.from_torch(cost), wp.from_torch(gradient)]
    launch_rows(kernel, len(q), (q.shape[1],), inputs, outputs, world.device)
    return cost, gradient
