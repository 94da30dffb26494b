"""A residual MLP denoiser over the flattened spline, conditioned by FiLM (Perez et al. 2018) on noise, start and goal.

The whole trajectory is a vector of (K - 2) * dof numbers, so one matrix product mixes all of it. Start, goal and noise
level enter only through per-block shifts and scales: computed for one row when the whole batch shares them, so that
conditioning is nearly free when planning.

The preconditioning of `edmp.learning.edm.scalings` is applied to each principal mode of z = x / noise_scale, with the
mode's own standard deviation as sigma_data. Noise, white in z, is white in the modes too, so this is still EDM; but an
untrained network (F = 0) then is the best linear denoiser of the data, and training starts from there. F is an offset
plus a gain times the input, mode by mode: how far to believe a mode depends on how rough the path is, which a gain says
directly.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edmp.learning.edm import scalings
from edmp.learning.networks.embeddings import Waves
from edmp.learning.networks.film_mlp import FilmMlp
from edmp.prior.base import Context, Denoiser, Prior
from edmp.prior.checkpoint import Architecture
from edmp.prior.spline import Spline
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class MlpConfig:
    """Size of the network and its noise levels.

    Attributes:
        width: width of the residual stream.
        depth: number of residual blocks.
        expansion: hidden width of a block, as a multiple of ``width``.
        cond_width: width of the embedding of (start, goal) and noise level.
        num_control_points: control points of the spline.
        sigma_min: smallest noise level when sampling [1].
        sigma_max: noise level at which sampling starts [1].
        p_mean: mean of log sigma in training (EDM table 1).
        p_std: standard deviation of log sigma in training. Wider than for images: neighbouring control points move
            together, so a trajectory's main modes are several times larger, its fine ones far smaller, than 1.
        told_step: the network is told how much noise its step leaves: a shortcut model (`edmp.learning.shortcut`).
    """

    width: int = 512
    depth: int = 6
    expansion: int = 1
    cond_width: int = 192
    num_control_points: int = 16
    sigma_min: float = 0.01
    sigma_max: float = 20.0
    p_mean: float = -0.6
    p_std: float = 1.5
    told_step: bool = False

    def __post_init__(self) -> None:
        width, positive = Range(1, 1 << 16, whole=True), Range(0, 1e6, above=True)
        check_fields(self, {"width": width, "cond_width": width, "depth": Range(1, 256, whole=True)})
        check_fields(self, {"expansion": Range(1, 64, whole=True), "num_control_points": Range(4, 1024, whole=True)})
        check_fields(self, {**dict.fromkeys(("sigma_min", "sigma_max", "p_std"), positive), "p_mean": Range(-100, 100)})


class MlpNetwork(FilmMlp):
    """The raw network F and its normalisation statistics (buffers).

    Attributes:
        noise_scale: (dim,) standard deviation of each coordinate of x in the data [rad or m].
        mean: (dim,) mean of z = x / noise_scale.
        modes: (dim, dim) principal directions of z in its columns.
        mode_std: (dim,) standard deviation of z along each.
        lower, upper: (dof,) joint limits that start and goal are normalised by [rad or m].
    """

    noise_scale: Tensor
    mean: Tensor
    modes: Tensor
    mode_std: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, config: MlpConfig, dof: int) -> None:
        spline = Spline(config.num_control_points)
        dim, cond, hidden = spline.dim(dof), config.cond_width, config.expansion * config.width
        super().__init__(dim, 2 * dim, width=config.width, depth=config.depth, hidden=hidden, cond=cond)
        self.config, self.dof, self.spline = config, dof, spline
        self.register_buffer("noise_scale", torch.ones(dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("modes", torch.eye(dim))
        self.register_buffer("mode_std", torch.ones(dim))
        self.register_buffer("lower", -torch.ones(dof))
        self.register_buffer("upper", torch.ones(dof))
        self.waves = Waves(32, lowest=1.0, highest=64.0)
        self.embed_problem = nn.Sequential(nn.Linear(5 * dof, cond), nn.SiLU(), nn.Linear(cond, cond))
        self.embed_sigma = nn.Sequential(nn.Linear(64, cond), nn.SiLU(), nn.Linear(cond, cond))
        if config.told_step:
            self.embed_step = nn.Linear(64, cond)
            nn.init.zeros_(self.embed_step.weight)
            nn.init.zeros_(self.embed_step.bias)

    def set_statistics(self, control_points: Tensor, lower: Tensor, upper: Tensor) -> None:
        """Take the normalisation from data: ``control_points`` (n, K, dof), joint limits (dof,) [rad or m]."""
        x = self.spline.deviation(control_points)
        std = x.std(dim=0, unbiased=False)
        self.noise_scale.copy_(std.clamp_min(1e-3 * float(std.max().clamp_min(1e-6))))
        z = (x / self.noise_scale).double()
        self.mean.copy_(z.mean(dim=0))
        variance, modes = torch.linalg.eigh((z.T @ z) / len(z) - torch.outer(z.mean(dim=0), z.mean(dim=0)))
        self.modes.copy_(modes)
        self.mode_std.copy_(variance.clamp_min(1e-8).sqrt())
        self.lower.copy_(lower)
        self.upper.copy_(upper)

    def unwound(self, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """``start`` and ``goal`` (n, dof), both turned back by as many turns as brings them about zero, in joints that
        turn further than once: the motions between them are the same, and training draws them there."""
        wide = self.upper - self.lower > 2 * math.pi + 1e-3
        if not bool(wide.any()):
            return start, goal
        turns = 2 * math.pi * torch.round((start + goal) / (4 * math.pi)) * wide
        return start - turns, goal - turns

    def problem_embedding(self, start: Tensor, goal: Tensor) -> Tensor:
        """(n, cond) embedding of ``start`` and ``goal``, each (n, dof); n may be 1 for a whole batch."""
        start, goal = self.unwound(*torch.broadcast_tensors(start, goal))
        middle, half = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        a, b = (start - middle) / half, (goal - middle) / half
        difference = goal - start
        return self.embed_problem(torch.cat([a, b, b - a, difference.sin(), difference.cos()], dim=-1))

    def sigma_embedding(self, c_noise: Tensor) -> Tensor:
        """(n, cond) embedding of the noise level ``c_noise`` (n, 1) = log(sigma) / 4."""
        return self.embed_sigma(self.waves(c_noise))

    def forward(self, z: Tensor, cond: Tensor) -> Tensor:
        """(n, dim) raw output F for scaled input ``z`` (n, dim) and summed embeddings ``cond`` (n or 1, cond)."""
        offset, gain = self.trunk(z, cond).chunk(2, dim=-1)
        return torch.addcmul(offset, gain, z)

    def denoise(self, x: Tensor, sigma: Tensor, problem: Tensor, to: Tensor | None = None) -> Tensor:
        """D(x; sigma), (n, dim) [rad or m]; ``sigma`` (n or 1, 1), ``problem`` from `problem_embedding`.

        One that is told of its step is told that it goes to noise level ``to`` (n or 1, 1), None being the end, 0.
        """
        c_skip, c_out, c_in, c_noise = scalings(sigma, self.mode_std)
        y = (x / self.noise_scale - self.mean) @ self.modes
        cond = problem + self.sigma_embedding(c_noise)
        if self.config.told_step:
            cond = cond + self.embed_step(self.waves(torch.zeros_like(sigma) if to is None else to / sigma))
        raw = self(c_in * y, cond)
        return self.noise_scale * (self.mean + (c_skip * y + c_out * raw) @ self.modes.T)

    def loss(self, control_points: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) denoising loss of each trajectory, ``control_points`` (n, K, dof), at a random noise level.

        EDM eq. 8: the squared error of the clean estimate, weighted so that the best linear denoiser scores 1 at every
        noise level (its error along a mode is c_out^2).
        """
        y = (self.spline.deviation(control_points) / self.noise_scale - self.mean) @ self.modes
        log_sigma = torch.randn(len(y), 1, generator=generator, device=y.device)
        sigma = (self.config.p_mean + self.config.p_std * log_sigma).exp()
        noisy = y + sigma * torch.randn(y.shape, generator=generator, device=y.device)
        c_skip, c_out, c_in, c_noise = scalings(sigma, self.mode_std)
        cond = self.problem_embedding(control_points[:, 0], control_points[:, -1]) + self.sigma_embedding(c_noise)
        if self.config.told_step:
            cond = cond + self.embed_step(self.waves(torch.ones_like(sigma)))
        error = c_skip * noisy + c_out * self(c_in * noisy, cond) - y
        return error.square().sum(dim=-1) / c_out.square().sum(dim=-1)


@dataclass(frozen=True)
class MlpPrior(Prior):
    """The trained MLP as a `Prior`; runs without autograd (its results are ordinary tensors: guidance differentiates
    costs at them).

    Attributes:
        network: in eval mode, on the prior's device.
    """

    network: MlpNetwork

    @classmethod
    def of(cls, network: MlpNetwork, *, robot_name: str) -> MlpPrior:
        network = network.eval().requires_grad_(False)
        return cls(
            name="mlp",
            robot_name=robot_name,
            dof=network.dof,
            spline=network.spline,
            noise_scale=network.noise_scale,
            sigma_min=network.config.sigma_min,
            sigma_max=network.config.sigma_max,
            sigma_data=1.0,
            network=network,
        )

    @torch.no_grad()
    def bind(self, context: Context) -> Denoiser:
        start, goal = self.check(context.start, context.goal)
        problem = self.network.problem_embedding(start, goal)

        @torch.no_grad()
        def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
            level = self.level(sigma, x)
            return self.network.denoise(x, level, problem)

        return denoise

    def to(self, device: torch.device | str) -> MlpPrior:
        network = copy.deepcopy(self.network).to(device)  # `to` of a module moves the module itself
        return dataclasses.replace(self, network=network, noise_scale=network.noise_scale)


ARCHITECTURE = Architecture(MlpConfig, MlpNetwork, MlpPrior.of)
