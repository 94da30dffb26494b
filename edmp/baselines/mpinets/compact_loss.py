"""The loss of the compact policy: the published one, at steps of one length, and the joints themselves.

L = mean |p^ - p|_1 + mean |p^ - p|_2^2 + w mean max(margin - d(p^), 0) + w_q mean |q^ - q|_1,

the third mean being that of the few points that are nearest to obstacles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edmp.baselines.mpinets.compact import CompactNetwork
from edmp.baselines.mpinets.point_cloud import spread_points
from edmp.baselines.mpinets.steady_set import SteadySet, Steps
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot


@dataclass(frozen=True)
class CompactLoss:
    """The loss of a network on examples.

    Attributes:
        data: what the examples are rows of.
        robot: the arm.
    """

    data: SteadySet
    robot: Robot

    def __call__(self, network: nn.Module, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(B,) [m]: the loss of each example, disturbed at random."""
        assert isinstance(network, CompactNetwork)
        now = self.data.steps(examples, generator)
        q = self._disturbed(now.q, generator)
        own = self.data.own_places(examples)
        q = q if own is None else torch.where(own.isfinite(), own, q)
        view = network.view(self.robot, now.obstacle, now.cloud, tool_pose(self.robot, now.q_goal))
        there = network.next(self.robot, view, q)
        self.data.went(examples, there.detach())
        return self._of(now, there)

    @torch.no_grad()
    def standing_still(self, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(B,) [m]: the loss of a policy that never moves, to see what another has learnt."""
        now = self.data.steps(examples, generator)
        return self._of(now, self._disturbed(now.q, generator))

    def _disturbed(self, q: Tensor, generator: torch.Generator) -> Tensor:
        """Up to ``noise`` of disturbance, by examples: little of it where most has been learnt, and back from afar."""
        noise = torch.randn(q.shape, generator=generator, device=generator.device).to(q)
        share = torch.rand(len(q), 1, generator=generator, device=generator.device).to(q)
        lower, upper = (torch.as_tensor(limit).to(q) for limit in (self.robot.limits.lower, self.robot.limits.upper))
        return torch.minimum(torch.maximum(q + self.data.settings.noise * share.square() * noise, lower), upper)

    def _of(self, now: Steps, q: Tensor) -> Tensor:
        """(B,) the loss of going to ``q`` (B, dof)."""
        settings = self.data.settings
        body = spread_points(self.robot, settings.num_loss_points, on_gripper=settings.num_loss_points // 3)
        p = body.at(q)
        loss = point_match(p, body.at(now.q_next))
        if settings.collision_weight:
            depth = (settings.collision_margin - self.data.scenes.distance(now.scene, p)).clamp(min=0)
            deepest = depth.topk(min(settings.deepest, depth.shape[1]), dim=1).values
            loss = loss + settings.collision_weight * deepest.mean(dim=1)
        return loss + settings.joint_weight * (q - now.q_next).abs().mean(dim=1)


def point_match(p: Tensor, p_expert: Tensor) -> Tensor:
    """(B,) mean absolute plus mean squared difference of coordinates of points (B, n, 3)."""
    difference = p - p_expert
    return difference.abs().mean(dim=(1, 2)) + difference.square().mean(dim=(1, 2))
