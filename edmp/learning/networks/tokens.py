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
        y = _modulated(h, shift_a, scale_a)
        h = h + self.along_down(nn.functional.silu(self.along_up(y.mT))).mT
        y = _modulated(h, shift_b, scale_b)
        return h + self.down(nn.functional.silu(self.up(y)))


class AttentionBlock(nn.Module):
    """A block of a diffusion transformer (Peebles and Xie 2023): attention, then an MLP within each token.

    Each part is shifted, scaled and gated by the condition; the gates are closed before training (adaLN-Zero).

    Args:
        width: of a token.
        cond: width of the condition.
        heads: of each attention.
        causal: a token looks at itself and at those before it.
        memory: between the two, tokens look at others of the same width that they are given (cross attention).
    """

    def __init__(self, width: int, cond: int, heads: int, *, causal: bool = False, memory: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.film = nn.Linear(cond, (9 if memory else 6) * width)
        self.look, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if memory:
            self.ask, self.recall = nn.Linear(width, width), nn.Linear(width, 2 * width)
            self.join = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, h: Tensor, cond: Tensor, memory: Tensor | None = None) -> Tensor:
        """``h`` (n, tokens, width), ``cond`` (n or 1, cond), ``memory`` (n, others, width)."""
        width = h.shape[-1]
        films = self.film(cond)[:, None].unflatten(-1, (-1, 3, width)).unbind(dim=2)
        (shift, scale, gate), *across, within = (film.unbind(dim=2) for film in films)
        y = _modulated(h, shift, scale)
        h = h + gate * self.mix(self._attend(*self.look(y).chunk(3, dim=-1), causal=self.causal))
        if memory is not None:
            shift, scale, gate = across[0]
            asked = self.ask(_modulated(h, shift, scale))
            h = h + gate * self.join(self._attend(asked, *self.recall(memory).chunk(2, dim=-1), causal=False))
        shift, scale, gate = within
        return h + gate * self.down(nn.functional.gelu(self.up(_modulated(h, shift, scale))))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return seen.transpose(1, 2).flatten(2)


def _modulated(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, nn.functional.layer_norm(h, h.shape[-1:]), 1 + scale)
