"""Shortcut models: a prior of start and goal that learns, from itself and the data, to give a sample in one call.

The alternative to `edmp.data.distill`, which follows a teacher; see `edmp.learning.shortcut`. The network begins as the
trained prior, with one more embedding: of how much noise its step leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from edmp.learning.edm import karras_sigmas, scalings
from edmp.learning.shortcut import of_two_halves, spans
from edmp.prior.mlp import MlpNetwork

DEPTH = 4
"""The longest step is the whole of a ladder of 2 ** DEPTH noise levels."""
BOOTSTRAPPED = 0.25
"""Share of a batch that is to agree with two half steps; the rest learns to denoise (Frans et al. 2024)."""


def shortcut_student(network: MlpNetwork) -> MlpNetwork:
    """The same network, told how far its step goes, of which nothing comes before it is tuned."""
    student = MlpNetwork(dataclasses.replace(network.config, told_step=True), network.dof)
    student.load_state_dict(network.state_dict(), strict=False)
    return student


def shortcut_loss(averaged: MlpNetwork) -> Callable[[nn.Module, Tensor, torch.Generator], Tensor]:
    """The loss of motions (n, K, dof), whose half steps are those of ``averaged`` weights."""
    ladder = karras_sigmas(2**DEPTH, sigma_min=averaged.config.sigma_min, sigma_max=averaged.config.sigma_max).float()

    def loss(network: nn.Module, control_points: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(network, MlpNetwork)
        num = max(int(BOOTSTRAPPED * len(control_points)), 1)
        own = _disagreement(network, averaged, control_points[:num], ladder.to(control_points.device), generator)
        return torch.cat([own, network.loss(control_points[num:], generator)])

    return loss


def _disagreement(
    network: MlpNetwork, averaged: MlpNetwork, control_points: Tensor, ladder: Tensor, generator: torch.Generator
) -> Tensor:
    """(n,) by how much one step and two half steps disagree, as `MlpNetwork.loss` measures it."""
    clean = network.spline.deviation(control_points)
    numbers = spans(len(clean), DEPTH, generator)
    s, m, t = (ladder[number][:, None] for number in numbers)
    x = clean + s * network.noise_scale * torch.randn(clean.shape, generator=generator, device=clean.device)
    ends = control_points[:, 0], control_points[:, -1]
    shortest = (numbers[2] - numbers[0] == 2)[:, None]  # its halves are steps of the plain denoiser

    def half(x: Tensor, sigma: Tensor, to: Tensor) -> Tensor:
        return averaged.denoise(x, sigma, averaged.problem_embedding(*ends), torch.where(shortest, sigma, to))

    target = of_two_halves(half, x, (s, m, t))
    error = (network.denoise(x, s, network.problem_embedding(*ends), t) - target) / network.noise_scale
    _, c_out, _, _ = scalings(s, network.mode_std)
    return (error @ network.modes).square().sum(-1) / c_out.square().sum(-1)
