"""A residual MLP over a vector, modulated by a condition (FiLM, Perez et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FilmMlp(nn.Module):
    """(n, features_in) -> (n, features_out), zero before it is trained.

    Args:
        features_in, features_out: of the vectors.
        width: of the residual stream.
        depth: number of blocks.
        hidden: width inside a block.
        cond: width of the condition.
    """

    def __init__(self, features_in: int, features_out: int, *, width: int, depth: int, hidden: int, cond: int) -> None:
        super().__init__()
        self.read = nn.Linear(features_in, width)
        self.blocks = nn.ModuleList(FilmBlock(width, hidden, cond) for _ in range(depth))
        self.write = nn.Linear(width, features_out)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def trunk(self, x: Tensor, cond: Tensor) -> Tensor:
        """``x`` (n, features_in), ``cond`` (n or 1, cond): one row may serve a whole batch."""
        h = self.read(x)
        cond = nn.functional.silu(cond)
        for block in self.blocks:
            h = block(h, cond)
        return self.write(nn.functional.layer_norm(h, h.shape[-1:]))


class FilmBlock(nn.Module):
    """h + W2 silu(W1 (layer_norm(h) * (1 + scale) + shift)), with shift and scale linear in the condition."""

    def __init__(self, width: int, hidden: int, cond: int) -> None:
        super().__init__()
        self.film = nn.Linear(cond, 2 * width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, cond: Tensor) -> Tensor:
        shift, scale = self.film(cond).chunk(2, dim=-1)
        y = torch.addcmul(shift, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale)
        return h + self.down(nn.functional.silu(self.up(y)))
