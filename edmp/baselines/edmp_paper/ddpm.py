"""The diffusion prior of EDMP (Saha et al. 2023): ancestral DDPM sampling (Ho et al. 2020) of waypoints.

Trajectories are (batch, dof, num_waypoints) in raw radians. First and last waypoint are overwritten with start and goal
at every step; guidance, if any, acts on x_{t-1} after the posterior step. Kept apart from `edmp.prior.base.Prior`: its
noise is white over waypoints, so its denoiser has no meaning on splines. `DdpmPrior.sample` gives waypoints, and
`Spline.fit` turns them into control points.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from edmp.baselines.edmp_paper.unet import UnetConfig, UnetNetwork
from edmp.errors import InvalidInputError
from edmp.learning.ddpm import Guide, NoiseSchedule, sample_ddpm
from edmp.prior.checkpoint import Architecture
from edmp.prior.spline import Spline


def with_ends(x: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    """A copy of waypoints ``x`` (batch, dof, n), its first and last overwritten by ends (batch or 1, dof)."""
    x = x.clone()
    x[..., 0], x[..., -1] = start, goal
    return x


@dataclass(frozen=True)
class DdpmPrior:
    """The trained U-Net with its sampler.

    Attributes:
        name: ``"unet"``.
        robot_name: the robot it is for.
        dof: number of joints.
        spline: representation that the planner works in; only used to convert.
        schedule: of the diffusion process.
        network: in eval mode.
    """

    name: str
    robot_name: str
    dof: int
    spline: Spline
    schedule: NoiseSchedule
    network: UnetNetwork

    @classmethod
    def of(cls, network: UnetNetwork, *, robot_name: str) -> DdpmPrior:
        config = network.config
        return cls(
            name="unet",
            robot_name=robot_name,
            dof=network.dof,
            spline=network.spline,
            schedule=NoiseSchedule.linear(config.num_timesteps, config.beta_end),
            network=network.eval().requires_grad_(False),
        )

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> DdpmPrior:
        """A copy of this prior on another device."""
        return dataclasses.replace(self, network=copy.deepcopy(self.network).to(device))

    @torch.no_grad()
    def sample(
        self,
        num: int,
        start: Tensor,
        goal: Tensor,
        *,
        generator: torch.Generator,
        guide: Guide | None = None,
        as_published: bool = False,
        from_noise: bool = False,
    ) -> Tensor:
        """(num, num_waypoints, dof) trajectories [rad] from ``start`` to ``goal``, each (dof,) or (1, dof).

        Runs without autograd: a guide that differentiates a cost enables gradients itself.

        Sampling starts from the straight line, noised as step T noises data: the paper's schedule leaves
        sqrt(alpha_bar_T) = 28 % of the signal there, so pure noise (``from_noise``, as published) is nothing that the
        network has ever seen, and its trajectories come out half as long again.
        """
        start, goal = (torch.atleast_2d(torch.as_tensor(q, dtype=torch.float32)).to(self.device) for q in (start, goal))
        if start.shape[-1] != self.dof or goal.shape[-1] != self.dof:
            raise InvalidInputError(f"start and goal must have {self.dof} joints for {self.robot_name}")
        shape = (num, self.dof, self.network.config.num_waypoints)
        x = torch.randn(shape, generator=generator, device=generator.device).to(self.device)
        if not from_noise:
            share = float(self.schedule.alpha_bar[-1])
            along = torch.linspace(0.0, 1.0, shape[-1], device=self.device)
            line = start[..., None] + (goal - start)[..., None] * along
            x = share**0.5 * line + (1 - share) ** 0.5 * x
        x = sample_ddpm(
            self.network,
            x,
            self.schedule,
            hold=functools.partial(with_ends, start=start, goal=goal),
            generator=generator,
            guide=guide,
            as_published=as_published,
        )
        return x.transpose(1, 2)


ARCHITECTURE = Architecture(UnetConfig, UnetNetwork, DdpmPrior.of)
