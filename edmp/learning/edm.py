"""Preconditioning, noise schedule and samplers of Karras et al. 2022, "Elucidating the Design Space of
Diffusion-Based Generative Models" (EDM), and DPM-Solver++(2M) of Lu et al. 2022.

A sampler is a pure function ``(denoise, x, sigmas) -> x`` that sees only ``denoise(x, sigma)``, the expectation of the
clean sample; guidance is a denoiser that wraps another one. Symbols are those of the papers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edmp.errors import InvalidInputError, unknown_name

Denoiser = Callable[[Tensor, Tensor | float], Tensor]
"""``denoise(x, sigma) -> E[x_0 | x]``; x (batch, dim), sigma a scalar or (batch,)."""


@dataclass(frozen=True)
class Step:
    """What a callback is told after each denoiser call that ends a step.

    Attributes:
        index: number of the step, from 0.
        sigma: noise level that ``x`` had [1].
        x: (batch, dim) noisy sample.
        denoised: (batch, dim) estimate of the clean sample.
    """

    index: int
    sigma: float
    x: Tensor
    denoised: Tensor


Callback = Callable[[Step], None]


@dataclass(frozen=True)
class Churn:
    """Noise added back before each step of `sample_heun` or `sample_euler` (EDM algorithm 2).

    Attributes:
        noise: (batch, dim) unit noise of the prior, drawn anew at each call (`Prior.noise` with sigma = 1).
        s_churn, s_min, s_max, s_noise: amount, range of noise levels and inflation, as in the paper.
    """

    noise: Callable[[int], Tensor]
    s_churn: float = 0.0
    s_min: float = 0.0
    s_max: float = math.inf
    s_noise: float = 1.0


def scalings(sigma: Tensor, sigma_data: Tensor | float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in, c_noise of EDM table 1: D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)."""
    variance = sigma.square() + sigma_data**2
    c_skip = sigma_data**2 / variance
    c_out = sigma * sigma_data * variance.rsqrt()
    c_in = variance.rsqrt()
    c_noise = sigma.log() / 4
    return c_skip, c_out, c_in, c_noise


Raw = Callable[[Tensor, Tensor], Tensor]
"""``raw(x, c_noise) -> F``: a network's output for scaled input x (batch, ...) and c_noise (batch,)."""


def preconditioned(raw: Raw, sigma_data: float = 1.0) -> Denoiser:
    """The denoiser D of a raw network F, see `scalings`; its sigma is a number or (batch,), x (batch, ...)."""

    def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
        c_skip, c_out, c_in, c_noise = scalings(level, sigma_data)
        c_skip, c_out, c_in = (c.view(-1, *[1] * (x.ndim - 1)) for c in (c_skip, c_out, c_in))
        return c_skip * x + c_out * raw(c_in * x, c_noise)

    return denoise


def edm_loss(
    raw: Raw, x: Tensor, *, p_mean: float, p_std: float, generator: torch.Generator, sigma_data: float = 1.0
) -> Tensor:
    """(batch,) squared error of the clean estimate over c_out^2 at a random noise level (EDM eq. 8); x (batch, ...)."""
    log_sigma = torch.randn(len(x), generator=generator, device=x.device)
    sigma = (p_mean + p_std * log_sigma).exp()
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    noisy = x + sigma.view(-1, *[1] * (x.ndim - 1)) * noise
    error = preconditioned(raw, sigma_data)(noisy, sigma) - x
    return error.square().flatten(1).mean(dim=1) / scalings(sigma, sigma_data)[1].square()


def karras_sigmas(num_steps: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """(num_steps + 1,) noise levels from ``sigma_max`` to ``sigma_min``, then 0 (EDM eq. 5). float64, on the CPU."""
    if num_steps < 1 or not 0 < sigma_min < sigma_max:
        raise InvalidInputError(
            f"need num_steps >= 1 and 0 < sigma_min < sigma_max, got {num_steps}, {sigma_min}, {sigma_max}"
        )
    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64, device="cpu")
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigmas = (high + ramp * (low - high)) ** rho
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def sample_euler(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None, churn: Churn | None = None
) -> Tensor:
    """Euler's method on the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

    Args:
        denoise: the denoiser.
        x: (batch, dim) noise of level ``sigmas[0]``.
        sigmas: (n + 1,) decreasing noise levels, the last usually 0.
        callback: told about every step.
        churn: stochasticity; None is deterministic.

    Returns:
        (batch, dim) at noise level ``sigmas[-1]``.
    """
    levels = sigmas.tolist()
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(levels)):
        x, sigma_hat = _add_noise(x, sigma, len(levels) - 1, churn)
        denoised = denoise(x, sigma_hat)
        if callback is not None:
            callback(Step(i, sigma_hat, x, denoised))
        x = torch.lerp(denoised, x, sigma_next / sigma_hat)
    return x


def sample_heun(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None, churn: Churn | None = None
) -> Tensor:
    """Heun's second-order method (EDM algorithms 1 and 2): two denoiser calls a step. Arguments as `sample_euler`."""
    levels = sigmas.tolist()
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(levels)):
        x, sigma_hat = _add_noise(x, sigma, len(levels) - 1, churn)
        denoised = denoise(x, sigma_hat)
        if callback is not None:
            callback(Step(i, sigma_hat, x, denoised))
        d = (x - denoised) / sigma_hat
        x_next = torch.lerp(denoised, x, sigma_next / sigma_hat)
        if sigma_next > 0:
            d_next = (x_next - denoise(x_next, sigma_next)) / sigma_next
            x_next = x + (sigma_next - sigma_hat) * (d + d_next) / 2
        x = x_next
    return x


def sample_dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order at one denoiser call a step.

    With t = -log sigma and h the step in t, x' = (sigma'/sigma) x + (1 - e^-h) D, where D extrapolates the last two
    estimates. The first and the last step are first order. Arguments as `sample_euler`; always deterministic.
    """
    levels = sigmas.tolist()
    previous: Tensor | None = None
    h_previous = 0.0
    for i, (sigma, sigma_next) in enumerate(itertools.pairwise(levels)):
        denoised = denoise(x, sigma)
        if callback is not None:
            callback(Step(i, sigma, x, denoised))
        if sigma_next == 0:
            x = denoised
            continue
        h = math.log(sigma / sigma_next)
        estimate = denoised if previous is None else denoised + h / (2 * h_previous) * (denoised - previous)
        x = torch.lerp(estimate, x, sigma_next / sigma)
        previous, h_previous = denoised, h
    return x


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "euler": sample_euler,
    "heun": sample_heun,
    "dpmpp_2m": sample_dpmpp_2m,
}


def sampler(name: str) -> Callable[..., Tensor]:
    """The sampler called ``name``."""
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    return SAMPLERS[name]


def _add_noise(x: Tensor, sigma: float, num_steps: int, churn: Churn | None) -> tuple[Tensor, float]:
    """Raise the noise level from sigma to sigma_hat = sigma (1 + gamma) (EDM algorithm 2, lines 4 to 6)."""
    if churn is None or churn.s_churn <= 0 or not churn.s_min <= sigma <= churn.s_max:
        return x, sigma
    gamma = min(churn.s_churn / num_steps, math.sqrt(2) - 1)
    sigma_hat = sigma * (1 + gamma)
    return x + math.sqrt(sigma_hat**2 - sigma**2) * churn.s_noise * churn.noise(len(x)), sigma_hat
