"""The diffusion process of Ho et al. 2020 (DDPM), sampled by ancestry; what is known is held in place (inpainting)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Epsilon = Callable[[Tensor, Tensor], Tensor]
"""``epsilon(x, t)``: noise estimate of x (batch, channels, n) at step t (batch,)."""

Guide = Callable[[Tensor, int], Tensor]
"""``guide(x, t) -> x``: x (batch, channels, n) is x_{t-1}, just drawn at step t in T .. 1, what is held in place."""

Hold = Callable[[Tensor], Tensor]
"""``hold(x) -> x``: a copy of x (batch, channels, n) with what is known of it put in place."""


def linear_betas(num_timesteps: int, beta_end: float) -> Tensor:
    """(T,) beta_1 .. beta_T, the tail of ``linspace(0, beta_end, T + 1)``; float64."""
    return torch.linspace(0.0, beta_end, num_timesteps + 1, dtype=torch.float64)[1:]


@dataclass(frozen=True)
class NoiseSchedule:
    """The variance schedule and its posterior, each (T,), entry t - 1 belongs to step t; float64 on the CPU.

    Attributes:
        beta: noise added at step t.
        alpha: 1 - beta.
        alpha_bar: cumulative product of alpha.
    """

    beta: Tensor
    alpha: Tensor
    alpha_bar: Tensor

    @classmethod
    def linear(cls, num_timesteps: int = 255, beta_end: float = 0.02) -> NoiseSchedule:
        """beta linear from 0 to ``beta_end``; step 0 is the data and adds none."""
        beta = linear_betas(num_timesteps, beta_end)
        return cls(beta=beta, alpha=1 - beta, alpha_bar=torch.cumprod(1 - beta, 0))

    @property
    def num_timesteps(self) -> int:
        return len(self.beta)


def sample_ddpm(
    epsilon: Epsilon,
    x: Tensor,
    schedule: NoiseSchedule,
    *,
    hold: Hold,
    generator: torch.Generator,
    guide: Guide | None = None,
    as_published: bool = False,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2) with what is known in place at every step.

    Args:
        epsilon: the noise estimator.
        x: (batch, channels, n) noise of step T.
        schedule: T steps.
        hold: puts what is known in place.
        generator: of the noise added at each step.
        guide: applied to x_{t-1} after each posterior step.
        as_published: add noise beta_t z, as EDMP's published code does, in place of sqrt(beta_t) z.

    Returns:
        (batch, channels, n) series.
    """
    x = hold(x)
    for t in range(schedule.num_timesteps, 0, -1):
        beta, alpha, alpha_bar = (float(a[t - 1]) for a in (schedule.beta, schedule.alpha, schedule.alpha_bar))
        eps = epsilon(x, torch.full((len(x),), t, device=x.device))
        x = (x - beta / (1 - alpha_bar) ** 0.5 * eps) / alpha**0.5
        if t > 1:
            z = torch.randn(x.shape, generator=generator, device=generator.device).to(x)
            x = x + (beta if as_published else beta**0.5) * z
        x = hold(x)
        if guide is not None:
            x = hold(guide(x, t))
    return x
