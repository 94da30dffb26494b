"""The temporal U-Net of EDMP (Saha et al. 2023), which is that of Diffuser (Janner et al. 2022), over waypoints.

Input and output are (batch, dof, num_waypoints) in raw radians; widths 32-64-128-256-512-512, kernel 5, GroupNorm in
8 groups, Mish, time embedding of 32.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


def linear_betas(num_timesteps: int, beta_end: float) -> Tensor:
    """(T,) beta_1 .. beta_T, the tail of ``linspace(0, beta_end, T + 1)``; float64."""
    return torch.linspace(0.0, beta_end, num_timesteps + 1, dtype=torch.float64)[1:]


class UnetNetwork(nn.Module):
    """epsilon(x_t, t), with the diffusion process it was trained for."""

    alphas_bar: Tensor

    def __init__(self, config: UnetConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        widths, time = [dof, *config.widths], config.time_width
        self.spline = Spline(config.num_control_points)
        self.register_buffer("alphas_bar", torch.cumprod(1 - _betas(config), 0).float(), persistent=False)
        self.embed_time = nn.Sequential(
            _SinusoidalEmbedding(time), nn.Linear(time, 4 * time), nn.Mish(), nn.Linear(4 * time, time)
        )
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(_Pair(a, b, config) for a, b in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(b, b, 3, stride=2, padding=1) for _, b in pairs[:-1])
        self.middle = _Pair(widths[-1], widths[-1], config)
        self.up = nn.ModuleList(_Pair(2 * b, a, config) for a, b in reversed(pairs[1:]))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(a, a, 4, stride=2, padding=1) for a, _ in reversed(pairs[1:]))
        first = config.widths[0]
        self.write = nn.Sequential(_ConvBlock(first, first, config), nn.Conv1d(first, dof, 1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """(batch, dof, n) noise estimate of ``x`` (batch, dof, n) at step ``t`` (batch,) in 1 .. T."""
        time = self.embed_time(t.to(x.dtype))
        skips: list[Tensor] = []
        for level, pair in enumerate(self.down):
            x = pair(x, time)
            skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(x, time)
        for pair, grow in zip(self.up, self.grow, strict=True):
            x = torch.cat([x, skips.pop()], dim=1)
            x = grow(pair(x, time))[..., : skips[-1].shape[-1]]  # 50 is no power of two: crop
        return self.write(x)

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


class _ConvBlock(nn.Sequential):
    """Convolution over time, GroupNorm, Mish."""

    def __init__(self, channels_in: int, channels_out: int, config: UnetConfig) -> None:
        super().__init__(
            nn.Conv1d(channels_in, channels_out, config.kernel, padding=config.kernel // 2),
            nn.GroupNorm(config.groups, channels_out),
            nn.Mish(),
        )


class _Residual(nn.Module):
    """Two convolution blocks with the time embedding added between them, and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, config: UnetConfig) -> None:
        super().__init__()
        self.first = _ConvBlock(channels_in, channels_out, config)
        self.second = _ConvBlock(channels_out, channels_out, config)
        self.time = nn.Sequential(nn.Mish(), nn.Linear(config.time_width, channels_out))
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv1d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.second(self.first(x) + self.time(time).unsqueeze(-1)) + self.shortcut(x)


class _Pair(nn.Module):
    """Two residual blocks: what one level of the U-Net does on its way down or up."""

    def __init__(self, channels_in: int, channels_out: int, config: UnetConfig) -> None:
        super().__init__()
        self.first = _Residual(channels_in, channels_out, config)
        self.second = _Residual(channels_out, channels_out, config)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.second(self.first(x, time), time)
