"""Costs of a trajectory by itself, whatever the scene: joint limits and smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, differentiate, register_cost
from edmp.robots.motion import Motion
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene


@register_cost
@checked
@dataclass(frozen=True)
class JointLimits(Cost):
    """Half the square of how far joints pass their position limits [rad^2 or m^2], summed over waypoints and joints.

    Attributes:
        buffer: how far inside the limits the cost begins [rad or m].
    """

    name: ClassVar[str] = "joint_limits"
    buffer: float = 0.0

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        return self._excess(motion.robot, motion.q).square().sum((1, 2)) / 2

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        excess = self._excess(world.robot, q.detach())
        return excess.square().sum((1, 2)) / 2, excess

    def _excess(self, robot: Robot, q: Tensor) -> Tensor:
        lower = torch.as_tensor(robot.limits.lower + self.buffer).to(q)
        upper = torch.as_tensor(robot.limits.upper - self.buffer).to(q)
        return (q - upper).clamp(min=0) - (lower - q).clamp(min=0)


@register_cost
@checked
@dataclass(frozen=True)
class Smoothness(Cost):
    """Half the integral of squared velocity, acceleration and jerk over a motion that takes one unit of time.

    Derivatives are finite differences of the waypoints; an order is left out if there are too few of them.

    Attributes:
        velocity, acceleration, jerk: weight of each derivative.
    """

    name: ClassVar[str] = "smoothness"
    velocity: float = 1.0
    acceleration: float = 0.0
    jerk: float = 0.0

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        return self._energy(motion.q)

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        value, (gradient,) = differentiate(self._energy, q, what="cost 'smoothness'")
        return value, gradient

    def _energy(self, q: Tensor) -> Tensor:
        total, derivative, dt = (q * 0).sum((1, 2)), q, 1.0 / max(q.shape[1] - 1, 1)
        for weight in (self.velocity, self.acceleration, self.jerk):
            derivative = torch.diff(derivative, dim=1) / dt
            if weight:
                total = total + weight * dt * derivative.square().sum((1, 2)) / 2
        return total
