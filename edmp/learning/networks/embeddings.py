"""Numbers as waves: what a network can tell levels of noise and places along a path apart by."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Waves(nn.Module):
    """(..., 1) -> (..., 2 * num): sine and cosine of a number at ``num`` frequencies, spaced geometrically."""

    frequencies: Tensor

    def __init__(self, num: int, *, lowest: float, highest: float) -> None:
        super().__init__()
        steps = torch.linspace(math.log(lowest), math.log(highest), num)
        self.register_buffer("frequencies", steps.exp(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        phase = x * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=-1)
