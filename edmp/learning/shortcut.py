"""Shortcut models: a denoiser that is told how far its step goes (Frans et al. 2024), in the form of EDM.

A step of the probability-flow ODE from noise level s to t < s keeps t / s of the noise,

    x_t = D + (t / s) (x_s - D),

exactly so if D is the mean of where x_s comes from and the step is small. A shortcut model D(x; s, t) is the D with
which *one* such step lands where two half steps do. With t near s it is the denoiser, with t = 0 it is a sample: one
call. It is learned from itself, on data alone; no teacher is followed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Shortcut = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``D(x, s, t) -> (n, dim)`` for ``x`` (n, dim), noise levels ``s`` and ``t`` (n, 1)."""


def stepped(x: Tensor, clean: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """(n, dim) where ``x`` at noise level ``s`` comes to at ``t``, both (n, 1), with the estimate ``clean``."""
    return clean + (t / s) * (x - clean)


@torch.no_grad()
def of_two_halves(denoise: Shortcut, x: Tensor, levels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """(n, dim) the estimate with which one step lands where two do; ``levels`` (n, 1) are from, between, and to."""
    s, m, t = levels
    between = stepped(x, denoise(x, s, m), s, m)
    end = stepped(between, denoise(between, m, t), m, t)
    return (end - (t / s) * x) / (1 - t / s)


def spans(num: int, depth: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random steps on a ladder of ``2 ** depth`` levels, the numbers (num,) of where from, between, and where to.

    Steps are 2, 4, .. 2 ** depth long, each as likely, and begin at multiples of half their length.
    """
    where = generator.device
    half = 2 ** torch.randint(depth, (num,), generator=generator, device=where)
    starts = 2**depth // half - 1
    start = half * (torch.rand(num, generator=generator, device=where) * starts).long()
    return start, start + half, start + 2 * half
