"""Consistency models: what a sampler needs many calls for, in one (Song et al. 2023; Kim et al. 2024).

A teacher's sampler leads noise down the probability-flow ODE. A consistency function f(x_sigma, sigma) says, from any
point of that way, where it ends. It is learned from pairs of points of one way,

    f(x_s, s)  <-  x_0 if t = 0, else f'(x_t, t),        t < s,

where f' are averaged weights that are held still. Pairs far apart are those of consistency trajectory models, ends
alone those of distillation by regression. An EDM denoiser has the form that f needs (f(x, 0) = x), so that a trained
one is where tuning starts.

Everything here is general: a way is (n, levels + 1, dim), and f any function of a level's number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edmp.learning.edm import Denoiser, sample_dpmpp_2m


def shifted_sigmas(num_steps: int, shift: float, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """(num_steps + 1,) noise levels as `edmp.learning.edm.karras_sigmas`, those between the first and the last shifted.

    ``shift`` in [0, 1] is a share of the distance of two, 0.5 moves none: ways of different shifts cover all levels.
    """
    ramp = torch.arange(num_steps, dtype=torch.float64) / max(num_steps - 1, 1)
    ramp[1:-1] += (shift - 0.5) / max(num_steps - 1, 1)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, ramp.new_zeros(1)])


@torch.no_grad()
def way(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """(n, levels + 1, dim) where the teacher's sampler has ``x`` (n, dim) at each of ``sigmas`` (levels + 1,)."""
    seen: list[Tensor] = []
    end = sample_dpmpp_2m(denoise, x, sigmas, callback=lambda step: seen.append(step.x))
    return torch.stack([*seen, end], dim=1)


def pairs(num: int, levels: int, generator: torch.Generator, *, from_noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """Numbers (num,) of the levels that are led from and to.

    A share ``from_noise`` starts at pure noise, where one call has to do; the others anywhere on the way. The end
    (number ``levels``) is what half of them are led to, an earlier point the other half.
    """
    where = generator.device
    start = torch.randint(levels, (num,), generator=generator, device=where)
    start = torch.where(torch.rand(num, generator=generator, device=where) < from_noise, 0, start)
    between = start + 1 + (torch.rand(num, generator=generator, device=where) * (levels - start)).long()
    end = torch.where(torch.rand(num, generator=generator, device=where) < 0.5, levels, between.clamp_max(levels))
    return start, end


def consistency_error(
    f: Callable[[Tensor], Tensor],
    target: Callable[[Tensor], Tensor],
    clean: Tensor,
    pair: tuple[Tensor, Tensor],
    last: int,
) -> Tensor:
    """(n, dim) by how much two points of a way disagree about its end.

    Args:
        f: ``f(level) -> (n, dim)`` of the network in training, ``level`` (n,).
        target: the same of the averaged weights.
        clean: (n, dim) ends of the ways.
        pair: from `pairs`.
        last: number of the end.
    """
    start, end = pair
    with torch.no_grad():
        led = torch.where((end == last)[:, None], clean, target(end.clamp_max(last - 1)))
    return f(start) - led
