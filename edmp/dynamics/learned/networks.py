"""The four networks of arXiv 2604.13366, made of `edmp.learning.networks`, smaller than the paper's.

| name | network | paper |
|---|---|---|
| `robomorph` | encoder over the context, causal decoder over the drive, one answer | 12 layers, 8 heads, 384 wide |
| `diffuser` | temporal U-Net over the whole window, what is known held in place | 128 channels, 3 levels |
| `cdcnn` | temporal U-Net over what is asked for, modulated by the encoded context | 128 channels, 3 levels |
| `cdt` | transformer over what is asked for, which looks at the encoded context | 12 layers, 8 heads, 384 wide |

Tokens are patches of a few steps, and so are the places of the U-Nets. Each network is conditioned on where the arm is
at the end of the context.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edmp.dynamics.learned.condition import Condition, ForecastConfig, Normaliser
from edmp.errors import unknown_name
from edmp.learning.edm import Raw, edm_loss, karras_sigmas, preconditioned, sample_dpmpp_2m
from edmp.learning.networks.embeddings import Waves
from edmp.learning.networks.tokens import AttentionBlock
from edmp.learning.networks.unet import TemporalUnet


class Forecaster(nn.Module):
    """What the four have in common: normalisation, the loss of a batch of windows, and the answer."""

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        self.normaliser = Normaliser(config, dof)
        self.where = nn.Sequential(nn.Linear(2 * dof, config.cond), nn.SiLU(), nn.Linear(config.cond, config.cond))

    def loss(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) loss of ``windows`` (n, T, 3 dof), see `Normaliser.fit`; some of them have their context blanked out."""
        m, dof = self.config.num_context, self.dof
        condition = self.normaliser.condition(windows[..., :dof], windows[:, :m, dof:])
        kept = torch.rand(len(windows), 1, 1, generator=generator, device=windows.device) >= self.config.drop_context
        condition = condition._replace(past=condition.past * kept)
        q = windows[..., dof : 2 * dof]
        return self.error(self.normaliser.asked(q[:, m:], q[:, m - 1]), condition, generator)

    def error(self, asked: Tensor, condition: Condition, generator: torch.Generator) -> Tensor:
        """(n,) loss given the normalised truth (n, T - m, dof)."""
        raise NotImplementedError

    def answer(
        self, condition: Condition, generator: torch.Generator, *, steps: int, guess: Tensor | None, level: float
    ) -> Tensor:
        """(n, T - m, dof) one answer a row, normalised.

        Args:
            condition: what is told.
            generator: of the noise.
            steps: of the sampler.
            guess: (n, T - m, dof) warm start: an answer of another kind, which is noised to ``level`` and denoised.
            level: noise level of a warm start [1].
        """
        raise NotImplementedError


class RoboMorph(Forecaster):
    """The deterministic encoder and decoder of RoboMorph: one answer, by least squares."""

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__(config, dof)
        self.network = _Transformer(config, dof, features=3 * dof, causal=True)

    def predict(self, condition: Condition) -> Tensor:
        """(n, T - m, dof) normalised."""
        return self.network(condition.drive, condition.past, self.where(condition.last))

    def error(self, asked: Tensor, condition: Condition, generator: torch.Generator) -> Tensor:
        return (self.predict(condition) - asked).square().flatten(1).mean(dim=1)

    def answer(
        self, condition: Condition, generator: torch.Generator, *, steps: int, guess: Tensor | None, level: float
    ) -> Tensor:
        return self.predict(condition)


class Diffusion(Forecaster):
    """A diffusion model (EDM, Karras et al. 2022) of what is asked for: a subclass has the raw network.

    The paper predicts noise over 100 steps (DDPM). After 300 short steps of training that diverged where this did not,
    and a sample took 100 calls in place of 18.
    """

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__(config, dof)
        self.waves = Waves(16, lowest=1.0, highest=64.0)
        self.level = nn.Sequential(nn.Linear(32, config.cond), nn.SiLU(), nn.Linear(config.cond, config.cond))

    def raw(self, x: Tensor, cond: Tensor, condition: Condition) -> Tensor:
        """(n, T - m, dof) output for scaled input ``x`` (n, T - m, dof), ``cond`` (n, cond): noise level and place."""
        raise NotImplementedError

    def _told(self, condition: Condition) -> Raw:
        """The raw network as a function of input and noise level."""
        where = self.where(condition.last)
        return lambda x, c_noise: self.raw(x, where + self.level(self.waves(c_noise[:, None])), condition)

    def error(self, asked: Tensor, condition: Condition, generator: torch.Generator) -> Tensor:
        p_mean, p_std = self.config.p_mean, self.config.p_std
        return edm_loss(self._told(condition), asked, p_mean=p_mean, p_std=p_std, generator=generator)

    def answer(
        self, condition: Condition, generator: torch.Generator, *, steps: int, guess: Tensor | None, level: float
    ) -> Tensor:
        config = self.config
        noise = torch.randn(len(condition.last), config.num_asked, self.dof, generator=generator)
        highest = config.sigma_max if guess is None else level
        sigmas = karras_sigmas(steps, sigma_min=config.sigma_min, sigma_max=highest)
        x = noise * highest if guess is None else guess + noise * highest
        return sample_dpmpp_2m(preconditioned(self._told(condition)), x, sigmas)


class Diffuser(Diffusion):
    """The inpainting diffuser: one series of drive and motion, what is known of it held in place at every noise level.

    As in Diffuser (Janner et al. 2022) what is known is clean in training as in sampling; a channel says where.
    """

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__(config, dof)
        self.network = _PatchedUnet(5 * dof + 1, config, dof)

    def raw(self, x: Tensor, cond: Tensor, condition: Condition) -> Tensor:
        dof, m = self.dof, self.config.num_context
        asked = torch.cat([condition.drive[..., :dof], x, x.new_zeros(len(x), x.shape[1], dof + 1)], dim=-1)
        integrals = nn.functional.pad(condition.drive[..., dof:], (0, 0, m, 0))
        window = torch.cat([torch.cat([condition.past, asked], dim=1), integrals], dim=-1)
        return self.network(window, cond)[:, m:]


class ConditionedCnn(Diffusion):
    """cdCNN: a U-Net over motion and drive, shifted by the encoded context."""

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__(config, dof)
        self.encoder = _Encoder(config, dof)
        tokens = config.num_context // config.patch
        self.summary = nn.Linear(tokens * config.width, config.cond)
        self.network = _PatchedUnet(4 * dof, config, dof)

    def raw(self, x: Tensor, cond: Tensor, condition: Condition) -> Tensor:
        memory = self.encoder(condition.past, nn.functional.silu(self.where(condition.last)))
        series = torch.cat([condition.drive, x], dim=-1)
        return self.network(series, cond + self.summary(memory.flatten(1)))


class ConditionedTransformer(Diffusion):
    """cdT: tokens of motion and drive that look at each other and at the encoded context."""

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__(config, dof)
        self.network = _Transformer(config, dof, features=4 * dof, causal=False)

    def raw(self, x: Tensor, cond: Tensor, condition: Condition) -> Tensor:
        return self.network(torch.cat([condition.drive, x], dim=-1), condition.past, cond)


class _Patches(nn.Module):
    """(n, steps, features) -> (n, steps / patch, width): each token reads ``patch`` steps and knows its place."""

    def __init__(self, steps: int, features: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.read = nn.Linear(patch * features, width)
        self.place = nn.Parameter(0.02 * torch.randn(steps // patch, width))

    def forward(self, series: Tensor) -> Tensor:
        return self.read(series.unflatten(1, (-1, self.patch)).flatten(2)) + self.place


class _Encoder(nn.Module):
    """The context (n, m, 3 dof + 1) as tokens (n, m / patch, width)."""

    def __init__(self, config: ForecastConfig, dof: int) -> None:
        super().__init__()
        self.patches = _Patches(config.num_context, 3 * dof + 1, config.patch, config.width)
        blocks = (AttentionBlock(config.width, config.cond, config.heads) for _ in range(config.context_depth))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, past: Tensor, cond: Tensor) -> Tensor:
        h = self.patches(past)
        for block in self.blocks:
            h = block(h, cond)
        return nn.functional.layer_norm(h, h.shape[-1:])


class _Transformer(nn.Module):
    """Encoder over the context, decoder over a series of what is asked for."""

    def __init__(self, config: ForecastConfig, dof: int, *, features: int, causal: bool) -> None:
        super().__init__()
        width, cond, heads = config.width, config.cond, config.heads
        self.dof, self.patch = dof, config.patch
        self.encoder = _Encoder(config, dof)
        self.patches = _Patches(config.num_asked, features, config.patch, width)
        blocks = (AttentionBlock(width, cond, heads, causal=causal, memory=True) for _ in range(config.depth))
        self.blocks = nn.ModuleList(blocks)
        self.write = nn.Linear(width, config.patch * dof)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, series: Tensor, past: Tensor, cond: Tensor) -> Tensor:
        """(n, T - m, dof) of ``series`` (n, T - m, features), ``past`` (n, m, 3 dof + 1) and ``cond`` (n, cond)."""
        cond = nn.functional.silu(cond)
        memory = self.encoder(past, cond)
        h = self.patches(series)
        for block in self.blocks:
            h = block(h, cond, memory)
        h = self.write(nn.functional.layer_norm(h, h.shape[-1:]))
        return h.unflatten(-1, (self.patch, self.dof)).flatten(1, 2)


class _PatchedUnet(TemporalUnet):
    """A U-Net (n, steps, features) -> (n, steps, dof) whose finest level has a patch a place: it sees far."""

    def __init__(self, features: int, config: ForecastConfig, dof: int) -> None:
        super().__init__(
            config.patch * features,
            config.patch * dof,
            widths=config.widths,
            kernel=config.kernel,
            groups=config.groups,
            cond=config.cond,
        )
        self.patch, self.dof = config.patch, dof
        # Noise has to come out as it went in, which GroupNorm and a narrow first level make hard to learn.
        self.past_norms = nn.Linear(config.patch * features, config.patch * dof)

    def forward(self, series: Tensor, cond: Tensor) -> Tensor:
        patches = series.unflatten(1, (-1, self.patch)).flatten(2)
        raw = self.trunk(patches.mT, cond).mT + self.past_norms(patches)
        return raw.unflatten(-1, (self.patch, self.dof)).flatten(1, 2)


NETWORKS: dict[str, type[Forecaster]] = {
    "robomorph": RoboMorph,
    "diffuser": Diffuser,
    "cdcnn": ConditionedCnn,
    "cdt": ConditionedTransformer,
}


def network_kind(name: str) -> type[Forecaster]:
    """The network called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in NETWORKS:
        raise unknown_name("model of an arm's dynamics", name, NETWORKS)
    return NETWORKS[name]
