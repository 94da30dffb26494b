"""A temporal U-Net (Ronneberger et al. 2015) as Diffuser has it (Janner et al. 2022), modulated by a condition."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class TemporalUnet(nn.Module):
    """(batch, channels_in, n) -> (batch, channels_out, n) over n steps of time.

    Args:
        channels_in, channels_out: of the series.
        widths: channels, level by level; each but the last halves the number of steps.
        kernel: width of the convolutions.
        groups: of GroupNorm.
        cond: width of the condition, which is added within every residual block.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, widths: Sequence[int], kernel: int, groups: int, cond: int
    ) -> None:
        super().__init__()
        sizes = _Sizes(kernel, groups, cond)
        pairs = list(itertools.pairwise([channels_in, *widths]))
        self.down = nn.ModuleList(_Pair(a, b, sizes) for a, b in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(b, b, 3, stride=2, padding=1) for _, b in pairs[:-1])
        self.middle = _Pair(widths[-1], widths[-1], sizes)
        self.up = nn.ModuleList(_Pair(2 * b, a, sizes) for a, b in reversed(pairs[1:]))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(a, a, 4, stride=2, padding=1) for a, _ in reversed(pairs[1:]))
        first = widths[0]
        self.write = nn.Sequential(_ConvBlock(first, first, sizes), nn.Conv1d(first, channels_out, 1))

    def trunk(self, x: Tensor, cond: Tensor) -> Tensor:
        """``x`` (batch, channels_in, n), ``cond`` (batch or 1, cond)."""
        skips: list[Tensor] = []
        for level, pair in enumerate(self.down):
            x = pair(x, cond)
            skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        x = self.middle(x, cond)
        for pair, grow in zip(self.up, self.grow, strict=True):
            x = torch.cat([x, skips.pop()], dim=1)
            x = grow(pair(x, cond))[..., : skips[-1].shape[-1]]  # where n is no power of two: crop
        return self.write(x)


class _Sizes(NamedTuple):
    """What all convolutions share."""

    kernel: int
    groups: int
    cond: int


class _ConvBlock(nn.Sequential):
    """Convolution over time, GroupNorm, Mish."""

    def __init__(self, channels_in: int, channels_out: int, sizes: _Sizes) -> None:
        super().__init__(
            nn.Conv1d(channels_in, channels_out, sizes.kernel, padding=sizes.kernel // 2),
            nn.GroupNorm(sizes.groups, channels_out),
            nn.Mish(),
        )


class _Residual(nn.Module):
    """Two convolution blocks with the condition added between them, and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, sizes: _Sizes) -> None:
        super().__init__()
        self.first = _ConvBlock(channels_in, channels_out, sizes)
        self.second = _ConvBlock(channels_out, channels_out, sizes)
        self.time = nn.Sequential(nn.Mish(), nn.Linear(sizes.cond, channels_out))
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv1d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        return self.second(self.first(x) + self.time(cond).unsqueeze(-1)) + self.shortcut(x)


class _Pair(nn.Module):
    """Two residual blocks: what one level of the U-Net does on its way down or up."""

    def __init__(self, channels_in: int, channels_out: int, sizes: _Sizes) -> None:
        super().__init__()
        self.first = _Residual(channels_in, channels_out, sizes)
        self.second = _Residual(channels_out, channels_out, sizes)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        return self.second(self.first(x, cond), cond)
