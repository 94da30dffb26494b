"""A world model of an arm: an autoregressive diffusion of what it does beside a nominal model of it.

As DIAMOND (Alonso et al. 2024, Diffusion for World Modeling: Visual Details Matter in Atari, arXiv 2405.12399): the
next frame given four past ones and the actions, EDM with its numbers, three Euler steps a frame. Here frames are states
of joints, and what is diffused is a residual: a nominal closed loop runs beside, follows the same commands, and the
network says how far the arm is from it one frame later. What a linear model of each joint alone says of that is taken
off first, and what is left is measured by how much is going on, so that an arm at rest stays there. Of the arm the
network is told by a context, a stretch of its motion.

What a network saw in training are true frames; its own are a little off, and errors grow. So it is trained on frames of
its own as well: from a true history it goes a few frames by itself, then learns the next true one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edmp.learning.edm import Raw, edm_loss, karras_sigmas, preconditioned, sample_euler
from edmp.learning.networks.embeddings import Waves
from edmp.learning.networks.film_mlp import FilmMlp
from edmp.learning.networks.tokens import AttentionBlock
from edmp.ranges import Range, check_fields

NOMINALS = ("described", "identified")
SLOW = 0.05
"""Speed within which friction turns round, as a feature [rad/s]."""
_QUIET = 1.0
"""Activity of an arm at rest, in that of the mean motion in training: as it begins it may fall by its weight [1]."""
_FAR = 20.0
"""Residuals, in those of the training set, beyond which an example that went astray is not taken at its word [1]."""
_FITTED = 2000
"""Windows that the linear models are fitted to, at most."""


@dataclass(frozen=True)
class WorldConfig:
    """Sizes and numbers.

    Attributes:
        dt: time of a frame [s].
        history: past frames that the next one is drawn from.
        context: frames of the stretch of motion that tells what arm it is.
        nominal: what runs beside: ``described``, the arm as described, or ``identified``, as `edmp identify` finds it.
        width, depth, hidden: of the residual MLP.
        cond: width of what modulates it: noise level and arm.
        patch: frames of a token of the context.
        context_width, context_depth, heads: of its encoder.
        drop_context: share of training examples that are told nothing of their arm.
        horizon: frames that a training example goes by itself, less than so many.
        ripening: training batches before any does: what is drawn at first is noise, from which nothing is learnt.
        sigma_data, p_mean, p_std, sigma_min, sigma_max, steps: of EDM, as in DIAMOND.
    """

    dt: float = 0.02
    history: int = 4
    context: int = 64
    nominal: str = "described"
    width: int = 160
    depth: int = 3
    hidden: int = 320
    cond: int = 96
    patch: int = 8
    context_width: int = 96
    context_depth: int = 2
    heads: int = 4
    drop_context: float = 0.1
    horizon: int = 6
    ripening: int = 1800
    sigma_data: float = 0.5
    p_mean: float = -0.4
    p_std: float = 1.2
    sigma_min: float = 2e-3
    sigma_max: float = 5.0
    steps: int = 3

    def __post_init__(self) -> None:
        sizes = ("history", "context", "width", "depth", "hidden", "cond", "patch", "context_width", "context_depth")
        whole = dict.fromkeys((*sizes, "heads", "horizon", "steps"), Range(1, 1 << 12, whole=True))
        positive = dict.fromkeys(("dt", "sigma_data", "p_std", "sigma_min", "sigma_max"), Range(0, 1e6, above=True))
        check_fields(self, whole | positive | {"ripening": Range(0, whole=True)})
        check_fields(self, {"drop_context": Range(0, 1), "p_mean": Range(-100, 100)})
        if self.nominal not in NOMINALS:
            raise ValueError(f"nominal must be one of {', '.join(NOMINALS)}, got {self.nominal!r}")
        if self.context % self.patch:
            raise ValueError(f"context {self.context} is no multiple of patch {self.patch}")
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must be below sigma_max {self.sigma_max}")


class WorldNetwork(nn.Module):
    """The residual of the next frame, with its normalisation.

    Frames are (..., 5 dof): deviation of position and velocity from the nominal arm [rad, rad/s], commanded position,
    velocity and acceleration.

    Args:
        config: see `WorldConfig`.
        dof: joints.
    """

    deviation: Tensor
    change: Tensor
    commands: Tensor
    place: Tensor
    linear: Tensor
    step: Tensor
    batches: Tensor

    def __init__(self, config: WorldConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        for name in ("deviation", "change", "commands", "step"):
            self.register_buffer(name, torch.ones(2 * dof))
        self.register_buffer("batches", torch.zeros(()))
        self.register_buffer("place", torch.stack([torch.zeros(dof), torch.ones(dof)]))
        self.register_buffer("linear", torch.zeros(dof, 2, 4 * config.history + 2))
        width, cond = config.context_width, config.cond
        self.waves = Waves(16, lowest=1.0, highest=64.0)
        self.level = nn.Sequential(nn.Linear(32, cond), nn.SiLU(), nn.Linear(cond, cond))
        self.read = nn.Linear(config.patch * 7 * dof, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, cond, config.heads) for _ in range(config.context_depth))
        self.rest = nn.Parameter(torch.zeros(1, cond))
        self.arm = nn.Sequential(nn.Linear(width, cond), nn.SiLU(), nn.Linear(cond, cond))
        sizes = (config.width, config.depth, config.hidden)
        features = (4 * config.history + 6) * dof + 1
        self.network = FilmMlp(features, 2 * dof, width=sizes[0], depth=sizes[1], hidden=sizes[2], cond=cond)

    def fit(self, frames: Tensor) -> None:
        """Take statistics and linear models of training frames (n, T, 5 dof)."""
        dof, h = self.dof, self.config.history
        d, q, fast = frames[..., : 2 * dof], frames[..., 2 * dof : 3 * dof], frames[..., 3 * dof :]
        self.deviation.copy_(_size(d))
        self.change.copy_(_size(d[:, 1:] - d[:, :-1]))
        self.commands.copy_(_size(fast))
        flat = q.flatten(0, 1).double()
        self.place.copy_(torch.stack([flat.mean(dim=0), flat.std(dim=0, unbiased=False).clamp_min(1e-6)]))
        rows = torch.linspace(0, len(frames) - 1, min(len(frames), _FITTED)).long()
        histories = frames[rows].unfold(1, h + 1, 1).permute(0, 1, 3, 2).flatten(0, 1)
        left = (histories[:, -1, : 2 * dof] - self._drifted(histories[:, -2, : 2 * dof])).double()
        told = self._by_joint(histories).double()
        for j in range(dof):
            self.linear[j] = _regression(told[:, j], left[:, [j, dof + j]], h)
        left, size = histories[:, -1, : 2 * dof] - self._expected(histories), self._activity(histories)
        self.step.copy_(_size(left[None]) / _size(size[None]))

    def loss(self, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) of windows (n, T, 5 dof): a frame in one half of each, told of the arm by the other half."""
        config, n, half = self.config, len(examples), examples.shape[1] // 2
        h, m, device = config.history, config.context, examples.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        alone = int(config.horizon * float(uniform(1)) ** 2) if self.batches > config.ripening else 0
        if torch.is_grad_enabled():
            self.batches += 1
        second = uniform(n) < 0.5
        # frames t to t + h - 1 are true, the next ``alone`` its own, t + h + alone is to be learnt
        room = half - alone - torch.where(second, 0, h)
        begin = torch.where(second, half - h, 0) + (uniform(n) * room).long()
        span = _rows(examples, begin, h + alone + 1)
        context = _rows(examples, torch.where(second, half - m, 2 * half - m), m)
        known = (uniform(n, 1) >= config.drop_context).to(examples.dtype)
        arm = self.told(context, known)
        history = span[:, : h + 1]
        with torch.no_grad():
            for k in range(alone):
                history = self.then(history, self.next(history, arm, generator), span[:, h + k + 1])
        left = span[:, -1, : 2 * self.dof] - self._expected(history)
        y = config.sigma_data * (left / (self._activity(history) * self.step)).clamp(-_FAR, _FAR)
        raw, shape = self._raw(history, arm), {"p_mean": config.p_mean, "p_std": config.p_std}
        loss = edm_loss(raw, y, **shape, generator=generator, sigma_data=config.sigma_data)
        # Where much is left, the share of it counts that is not found: a few arms that fall at first would rule all.
        return loss / (1.0 + (y / config.sigma_data).square().mean(dim=1))

    def told(self, context: Tensor, known: Tensor) -> Tensor:
        """(n, cond) what is known of the arm of ``context`` (n, m, 5 dof); nothing where ``known`` (n, 1) is 0."""
        dof = self.dof
        d = context[..., : 2 * dof]
        before = torch.cat([d[:, :1], d[:, :-1]], dim=1)
        series = torch.cat([d / self.deviation, (d - before) / self.change, self._commands(context)], dim=-1)
        h, rest = self.read(series.unflatten(1, (-1, self.config.patch)).flatten(2)), nn.functional.silu(self.rest)
        for block in self.blocks:
            h = block(h, rest)
        return known * self.arm(nn.functional.layer_norm(h, h.shape[-1:]).mean(dim=1))

    def next(self, history: Tensor, arm: Tensor, generator: torch.Generator) -> Tensor:
        """(n, 2 dof) a sample of the deviation at the last frame of a history, of which only commands are known.

        Args:
            history: (n, h + 1, 5 dof) frames; deviations of the last are not looked at.
            arm: (n, cond) of `told`.
            generator: of the noise.
        """
        config = self.config
        sigmas = karras_sigmas(config.steps, sigma_min=config.sigma_min, sigma_max=config.sigma_max)
        shape = (len(history), 2 * self.dof)
        noise = torch.randn(shape, generator=generator, device=history.device, dtype=history.dtype)
        y = sample_euler(preconditioned(self._raw(history, arm), config.sigma_data), config.sigma_max * noise, sigmas)
        return self._expected(history) + self._activity(history) * self.step * y / config.sigma_data

    def then(self, history: Tensor, deviation: Tensor, frame: Tensor) -> Tensor:
        """The history one frame later: its last has this ``deviation`` (n, 2 dof), then comes ``frame`` (n, 5 dof)."""
        latest = torch.cat([deviation, history[:, -1, 2 * self.dof :]], dim=-1)
        return torch.cat([history[:, 1:-1], latest[:, None], frame[:, None]], dim=1)

    def _drifted(self, d: Tensor) -> Tensor:
        """Deviations a frame later if their velocities stayed."""
        q, v = d.split(self.dof, dim=-1)
        return torch.cat([q + self.config.dt * v, v], dim=-1)

    def _by_joint(self, history: Tensor) -> Tensor:
        """(n, dof, 4 h + 2) what the linear models see: past deviations, commanded velocities and accelerations."""
        past, fast = history[:, :-1, : 2 * self.dof], history[..., 3 * self.dof :]
        return torch.cat([part.unflatten(-1, (2, self.dof)).flatten(1, 2).mT for part in (past, fast)], dim=-1)

    def _expected(self, history: Tensor) -> Tensor:
        """(n, 2 dof) the last deviation as the linear models have it."""
        linear = torch.einsum("njf,jkf->nkj", self._by_joint(history), self.linear).flatten(1)
        return self._drifted(history[:, -2, : 2 * self.dof]) + linear

    def _activity(self, history: Tensor) -> Tensor:
        """(n, 1) how much is going on: root mean square of commands and of how far positions are off, normalised [1].

        Not of velocities that are drawn: noise that grows with them would feed itself.
        """
        fast, off = (
            history[..., 3 * self.dof :] / self.commands,
            history[:, -2, : self.dof] / self.deviation[: self.dof],
        )
        parts = torch.cat([fast.flatten(1), off], dim=-1)
        return (parts.square().mean(dim=-1, keepdim=True) + _QUIET**2).sqrt()

    def _commands(self, frames: Tensor) -> Tensor:
        """(..., 3 dof) normalised."""
        q, fast = frames[..., 2 * self.dof : 3 * self.dof], frames[..., 3 * self.dof :]
        return torch.cat([(q - self.place[0]) / self.place[1], fast / self.commands], dim=-1)

    def _raw(self, history: Tensor, arm: Tensor) -> Raw:
        """The raw network of EDM, given all but noise level and noisy residual.

        It is linear in scale, nearly: what it is told is divided by the activity, and says how large that was.
        """
        dof, size = self.dof, self._activity(history)
        d, commands = history[:, :-1, : 2 * dof], self._commands(history)
        now = d[:, -1]
        speed = torch.tanh((history[:, -2, 3 * dof : 4 * dof] + now[:, dof:]) / SLOW)
        moving = [
            now / self.deviation,
            ((d[:, 1:] - d[:, :-1]) / self.change).flatten(1),
            commands[..., dof:].flatten(1),
        ]
        features = torch.cat([torch.cat(moving, dim=-1) / size, commands[:, -1, :dof], speed, size.log()], dim=-1)

        def raw(x: Tensor, c_noise: Tensor) -> Tensor:
            cond = self.level(self.waves(c_noise[:, None])) + arm
            return self.network.trunk(torch.cat([x, features], dim=-1), cond)

        return raw


def _size(x: Tensor) -> Tensor:
    """Root mean square of the columns of (n, T, columns)."""
    return x.flatten(0, 1).double().square().mean(dim=0).sqrt().clamp_min(1e-9)


def _regression(told: Tensor, left: Tensor, h: int) -> Tensor:
    """(2, 4 h + 2) weights by which ``told`` (n, 4 h + 2) explains ``left`` (n, 2), even if past deviations are noisy.

    Frames that are drawn have errors as large as what is left over. A regression that took positions and velocities of
    the past for as consistent as they are in truth would blow these up from frame to frame.
    """
    noise = told.new_zeros(told.shape[1])
    for _ in range(3):
        gram = told.T @ told / len(told) + torch.diag(noise + 1e-12 * told.square().mean(dim=0))
        weights = torch.linalg.solve(gram, told.T @ left / len(told))
        rest = (left - told @ weights).square().mean(dim=0)
        noise[: 2 * h] = rest.repeat(h)
    return weights.T


def _rows(windows: Tensor, begin: Tensor, count: int) -> Tensor:
    """(n, count, features) from frame ``begin`` (n,) of each window on."""
    index = begin[:, None] + torch.arange(count, device=windows.device)
    return windows.gather(1, index[..., None].expand(-1, -1, windows.shape[-1]))
