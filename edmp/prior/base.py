"""`Prior`: what a sampler and the planner need to know of a trajectory distribution, and nothing more.

The diffused variable x (batch, dim) is the deviation of a spline's interior control points from the straight line, in
joint units (see `edmp.prior.spline`). At noise level sigma a sample is

    x_sigma = x + sigma * noise_scale * eps,   eps ~ N(0, I),

with a fixed `noise_scale` per coordinate: about the standard deviation of x, so that sigma is dimensionless and means
the same for every joint, revolute or prismatic, and for every prior. The deterministic samplers of `edmp.learning.edm`
act on each coordinate alike and never need to know the scale: they see only ``denoise(x, sigma)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from edmp.collision.world import World
from edmp.errors import InvalidInputError
from edmp.learning.edm import Denoiser
from edmp.prior.spline import Spline


@dataclass(frozen=True)
class Context:
    """What a prior may know of a problem.

    Attributes:
        start: (dof,), (1, dof) or (batch, dof) [rad or m].
        goal: as ``start``.
        world: robot and scene, packed for the kernels; None where only the ends are known.
    """

    start: Tensor
    goal: Tensor
    world: World | None = None


@dataclass(frozen=True)
class Prior(ABC):
    """A distribution of trajectories between a start and a goal, as a denoiser.

    Attributes:
        name: the architecture or kind, e.g. ``"mlp"`` or ``"process"``.
        robot_name: the robot it is for.
        dof: number of joints.
        spline: representation of the trajectories.
        noise_scale: (dim,) standard deviation of the noise at sigma = 1 [rad or m].
        sigma_min: smallest noise level of a sampler's schedule [1].
        sigma_max: noise level at which sampling starts: nothing of the data is left [1].
        sigma_data: standard deviation of x / noise_scale [1].
        one_call: its clean estimates are samples: it is called once, whatever number of denoising steps is asked for.
    """

    name: str
    robot_name: str
    dof: int
    spline: Spline
    noise_scale: Tensor
    sigma_min: float
    sigma_max: float
    sigma_data: float
    one_call: bool = field(default=False, kw_only=True)

    @property
    def dim(self) -> int:
        """Length of x."""
        return self.spline.dim(self.dof)

    @property
    def device(self) -> torch.device:
        return self.noise_scale.device

    @abstractmethod
    def bind(self, context: Context) -> Denoiser:
        """The denoiser for one problem; what depends on the problem alone is computed here, once."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Prior:
        """A copy of this prior on another device; this one stays where it is."""

    def denoise(self, x: Tensor, sigma: Tensor | float, context: Context) -> Tensor:
        """(batch, dim) expectation of the clean x, given noisy ``x`` (batch, dim) at noise level ``sigma``."""
        return self.bind(context)(x, sigma)

    def noise(self, num: int, *, sigma: float = 1.0, generator: torch.Generator) -> Tensor:
        """(num, dim) noise of level ``sigma`` [rad or m]; at `sigma_max` it is where a sampler starts.

        Drawn on the generator's device and moved to the prior's, so that a CPU generator gives the same everywhere.
        """
        eps = torch.randn(num, self.dim, generator=generator, device=generator.device)
        return sigma * self.noise_scale * eps.to(self.device)

    @staticmethod
    def level(sigma: Tensor | float, x: Tensor) -> Tensor:
        """(n or 1, 1) noise level of each row of ``x`` (n, dim), on its device, or `InvalidInputError`."""
        level = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).reshape(-1, 1)
        if len(level) not in (1, len(x)):
            raise InvalidInputError(f"sigma has {len(level)} entries for a batch of {len(x)}")
        return level

    def check(self, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Start and goal as (batch or 1, dof) float32 on the prior's device, or `InvalidInputError`."""
        checked = []
        for what, q in (("start", start), ("goal", goal)):
            q = torch.atleast_2d(torch.as_tensor(q, dtype=torch.float32, device=self.device))
            if q.ndim != 2 or q.shape[-1] != self.dof:
                raise InvalidInputError(
                    f"{what} has shape {tuple(q.shape)}, but this prior is for {self.robot_name} with {self.dof} joints"
                )
            checked.append(q)
        return checked[0], checked[1]
