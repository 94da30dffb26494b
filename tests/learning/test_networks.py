"""Trunks that are modulated by a condition: shapes, what they start as, and what the condition does."""

import pytest
import torch

from edmp.errors import UnknownNameError
from edmp.learning.networks.film_mlp import FilmMlp
from edmp.learning.networks.tokens import AttentionBlock, token_blocks
from edmp.learning.networks.unet import TemporalUnet


@pytest.mark.parametrize("kind", ["mixer", "attention"])
def test_blocks_over_tokens_hear_the_condition_and_mix_the_tokens(kind, generator):
    torch.manual_seed(0)
    blocks = token_blocks(kind, 2, tokens=6, width=16, cond=5)
    for parameter in blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def run(h, cond):
        for block in blocks:
            h = block(h, cond)
        return h

    h, cond = torch.randn(3, 6, 16, generator=generator), torch.randn(1, 5, generator=generator)
    out = run(h, cond)
    assert out.shape == h.shape
    torch.testing.assert_close(out, run(h, cond.expand(3, -1)))  # one row for all
    assert not torch.allclose(out, run(h, cond + 1.0))
    moved = h.clone()
    moved[:, 0] += torch.randn(16, generator=generator)
    assert not torch.allclose(out[:, 5], run(moved, cond)[:, 5])  # the last token has heard of the first


def test_a_transformers_block_starts_as_the_identity_and_takes_any_number_of_tokens(generator):
    (block,) = token_blocks("attention", 1, tokens=6, width=16, cond=5)
    h = torch.randn(2, 9, 16, generator=generator)
    torch.testing.assert_close(block(h, torch.randn(2, 5, generator=generator)), h)


def test_an_unknown_kind_of_blocks_is_told():
    with pytest.raises(UnknownNameError, match="attention"):
        token_blocks("lstm", 1, tokens=6, width=16, cond=5)


def test_the_mlp_starts_at_zero(generator):
    network = FilmMlp(7, 4, width=16, depth=2, hidden=32, cond=5)
    assert not network.trunk(torch.randn(3, 7, generator=generator), torch.randn(1, 5, generator=generator)).any()


@pytest.mark.parametrize("n", [16, 50])
def test_the_unet_keeps_the_number_of_steps_and_hears_the_condition(n, generator):
    torch.manual_seed(0)
    network = TemporalUnet(7, 4, widths=(8, 16, 16), kernel=5, groups=4, cond=5)
    x, cond = torch.randn(3, 7, n, generator=generator), torch.randn(3, 5, generator=generator)
    out = network.trunk(x, cond)
    assert out.shape == (3, 4, n)
    assert not torch.allclose(out, network.trunk(x, cond + 1.0))


def test_causal_blocks_look_back_alone_and_memory_is_looked_at_by_all(generator):
    block = AttentionBlock(16, 8, 4, causal=True, memory=True)
    torch.nn.init.normal_(block.film.weight, std=0.3, generator=generator)
    h, cond, memory = (torch.randn(shape, generator=generator) for shape in ((2, 6, 16), (2, 8), (2, 5, 16)))
    before = block(h, cond, memory)
    changed = h.clone()
    changed[:, 4:] += torch.randn(2, 2, 16, generator=generator)
    after = block(changed, cond, memory)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)
    other = block(h, cond, memory + torch.randn(memory.shape, generator=generator))
    assert ((other - before).abs().amax(dim=-1) > 1e-4).all()
    both_ways = AttentionBlock(16, 8, 4)
    torch.nn.init.normal_(both_ways.film.weight, std=0.3, generator=generator)
    assert not torch.allclose(both_ways(h, cond)[:, :4], both_ways(changed, cond)[:, :4], atol=1e-4)
