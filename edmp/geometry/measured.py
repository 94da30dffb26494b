"""Distances that are measured by a search, not by a formula, made differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

S = TypeVar("S")

Measure = Callable[[S, Tensor], tuple[Tensor, Tensor]]
"""``measure(shape, p_O)``: signed distances (...,) of points (..., 3), and directions (..., 3) in which they grow."""


class _Measured(torch.autograd.Function):
    """The gradient of a distance is the direction away from the closest point."""

    @staticmethod
    def forward(ctx: Any, measure: Measure[Any], shape: Any, p_O: Tensor) -> Tensor:
        distance, direction = measure(shape, p_O.detach())
        ctx.save_for_backward(direction)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        (direction,) = ctx.saved_tensors
        return None, None, gradient.unsqueeze(-1) * direction


def measured(measure: Measure[S], shape: S, p_O: Tensor) -> Tensor:
    """(...,) what ``measure`` says of points ``p_O`` (..., 3) [m]; it can be differentiated once."""
    return _Measured.apply(measure, shape, p_O)
