"""The temporal U-Net of EDMP (Saha et al. 2023), which is that of Diffuser (Janner et al. 2022), over waypoints.

Input and output are (batch, dof, num_waypoints) in raw radians; widths 32-64-128-256-512-512, kernel 5, GroupNorm in
8 groups, Mish, time embedding of 32.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edmp.learning.ddpm import linear_betas
from edmp.learning.networks.unet import TemporalUnet
from edmp.prior.spline import Spline
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class UnetConfig:
    """Sizes of the network and the noise schedule of its diffusion process; the defaults are the paper's.

    Attributes:
        num_waypoints: horizon.
        widths: channels, level by level.
        kernel: width of the temporal convolutions.
        groups: of GroupNorm.
        time_width: width of the time embedding.
        num_timesteps: T.
        beta_end: beta runs linearly from 0 to this.
        num_control_points: of the splines in the training data, from which waypoints are taken.
    """

    num_waypoints: int = 50
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512)
    kernel: int = 5
    groups: int = 8
    time_width: int = 32
    num_timesteps: int = 255
    beta_end: float = 0.02
    num_control_points: int = 16

    def __post_init__(self) -> None:
        width = Range(1, 1 << 16, whole=True)
        check_fields(self, {"widths": dataclasses.replace(width, several=True), "groups": width})
        check_fields(self, {"num_waypoints": Range(2, 1 << 14, whole=True), "kernel": Range(1, 99, whole=True)})
        check_fields(
            self, {"time_width": Range(4, 1 << 16, whole=True), "num_timesteps": Range(1, 100_000, whole=True)}
        )
        check_fields(self, {"beta_end": Range(0, 1, above=True), "num_control_points": Range(4, 1024, whole=True)})


class UnetNetwork(TemporalUnet):
    """epsilon(x_t, t), with the diffusion process it was trained for."""

    alphas_bar: Tensor

    def __init__(self, config: UnetConfig, dof: int) -> None:
        time = config.time_width
        super().__init__(dof, dof, widths=config.widths, kernel=config.kernel, groups=config.groups, cond=time)
        self.config, self.dof = config, dof
        self.spline = Spline(config.num_control_points)
        self.register_buffer("alphas_bar", torch.cumprod(1 - _betas(config), 0).float(), persistent=False)
        self.embed_time = nn.Sequential(
            _SinusoidalEmbedding(time), nn.Linear(time, 4 * time), nn.Mish(), nn.Linear(4 * time, time)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """(batch, dof, n) noise estimate of ``x`` (batch, dof, n) at step ``t`` (batch,) in 1 .. T."""
        return self.trunk(x, self.embed_time(t.to(x.dtype)))

    def set_statistics(self, control_points: Tensor, lower: Tensor, upper: Tensor) -> None:
        """Nothing to take: the paper works on raw radians."""

    def loss(self, control_points: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) squared error of the noise estimate, ends conditioned, for splines ``control_points`` (n, K, dof)."""
        x0 = self.spline.waypoints(control_points, self.config.num_waypoints).transpose(1, 2)
        device = x0.device
        t = torch.randint(1, self.config.num_timesteps + 1, (len(x0),), generator=generator, device=device)
        eps = torch.randn(x0.shape, generator=generator, device=device)
        alpha_bar = self.alphas_bar[t - 1].reshape(-1, 1, 1)
        xt = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        xt = torch.cat([x0[..., :1], xt[..., 1:-1], x0[..., -1:]], dim=-1)  # as when sampling: start and goal stand
        error = (self(xt, t) - eps).square()
        return error[..., 1:-1].mean(dim=(1, 2))  # the noise at the overwritten ends cannot be known


def _betas(config: UnetConfig) -> Tensor:
    return linear_betas(config.num_timesteps, config.beta_end)


class _SinusoidalEmbedding(nn.Module):
    """(batch,) step -> (batch, width), as in Diffuser."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer("frequencies", torch.exp(-math.log(10000) * torch.arange(half) / (half - 1)), False)

    def forward(self, t: Tensor) -> Tensor:
        phase = t[:, None] * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=-1)
