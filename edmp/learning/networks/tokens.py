"""Blocks over tokens (n, tokens, width), modulated by a condition: mixed by a fixed product, or by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edmp.errors import unknown_name


def token_blocks(kind: str, num: int, *, tokens: int, width: int, cond: int, heads: int = 4) -> nn.ModuleList:
    """``num`` blocks of a kind, each called with tokens (n, tokens, width) and a condition (n or 1, cond).

    Args:
        kind: ``"mixer"`` or ``"attention"``.
        num: of the blocks.
        tokens: their number; attention takes any.
        width: of a token; attention needs a multiple of ``heads``.
        cond: width of the condition, on which a non-linearity has acted already.
        heads: of the attention.

    Raises:
        UnknownNameError: no such kind.
    """
    makers = {
        "mixer": lambda: MixingBlock(tokens, width, cond),
        "attention": lambda: AttentionBlock(width, cond, heads),
    }
    if kind not in makers:
        raise unknown_name("kind of blocks over tokens", kind, makers)
    return nn.ModuleList(makers[kind]() for _ in range(num))


class MixingBlock(nn.Module):
    """Tokens mixed along the path, then channels within each (Tolstikhin et al. 2021), both shifted and scaled."""

    def __init__(self, tokens: int, width: int, cond: int) -> None:
        super().__init__()
        self.film = nn.Linear(cond, 4 * width)
        self.along_up, self.along_down = nn.Linear(tokens, 2 * tokens), nn.Linear(2 * tokens, tokens)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, cond: Tensor) -> Tensor:
        shift_a, scale_a, shift_b, scale_b = self.film(cond)[:, None].chunk(4, dim=-1)
        y = torch.addcmul(shift_a, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale_a)
        h = h + self.along_down(nn.functional.silu(self.along_up(y.mT))).mT
        y = torch.addcmul(shift_b, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale_b)
        return h + self.down(nn.functional.silu(self.up(y)))


class AttentionBlock(nn.Module):
    """A block of a diffusion transformer (Peebles and Xie 2023): attention, then an MLP within each token.

    Both are shifted, scaled and gated by the condition; the gates are closed before training (adaLN-Zero).
    """

    def __init__(self, width: int, cond: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.film = nn.Linear(cond, 6 * width)
        self.look, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, cond: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_b, scale_b, gate_b = self.film(cond)[:, None].chunk(6, dim=-1)
        y = torch.addcmul(shift_a, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale_a)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.look(y).chunk(3, dim=-1))
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h + gate_a * self.mix(seen)
        y = torch.addcmul(shift_b, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale_b)
        return h + gate_b * self.down(nn.functional.gelu(self.up(y)))
