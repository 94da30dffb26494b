"""What a sample will be worth: V(x_sigma, sigma, scene), trained on what came of samples.

It reads what `edmp.prior.scene` reads: the noisy sample, a clean estimate of it, what that touches in the scene,
control point by control point, noise level and ends. It ranks, and its gradient guides (`ValueGuided`, an experiment:
the planner does neither); it proves nothing.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.errors import InvalidInputError
from edmp.learning.edm import Denoiser, scalings
from edmp.learning.networks.embeddings import Waves
from edmp.learning.networks.tokens import token_blocks
from edmp.prior.base import Context, Prior
from edmp.prior.checkpoint import Architecture
from edmp.prior.conditions import felt
from edmp.prior.spline import Spline
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class ValueConfig:
    """Size of the network, and what it is told.

    Attributes:
        width: width of a token.
        depth: number of blocks over the tokens.
        blocks: their kind, see `edmp.learning.networks.tokens`.
        cond_width: width of the embedding of noise level, start and goal.
        num_control_points: of the spline.
        clearances: distances within which it feels obstacles [m].
        num_waypoints: samples along the path at which they are felt.
        sigma_min: noise level of what is a sample already [1].
    """

    width: int = 64
    depth: int = 3
    blocks: str = "mixer"
    cond_width: int = 64
    num_control_points: int = 16
    clearances: tuple[float, ...] = (0.02, 0.08)
    num_waypoints: int = 32
    sigma_min: float = 0.01

    def __post_init__(self) -> None:
        size = Range(1, 1 << 12, whole=True)
        check_fields(self, dict.fromkeys(("width", "cond_width", "num_waypoints"), size))
        check_fields(self, {"depth": Range(1, 64, whole=True), "num_control_points": Range(4, 1024, whole=True)})
        check_fields(self, {"clearances": Range(0, 10, above=True, several=True)})
        check_fields(self, {"sigma_min": Range(0, 1e6, above=True)})


class ValueNetwork(nn.Module):
    """V, and the logit of being free after repair.

    Attributes:
        noise_scale: (dim,) of the prior whose samples it ranks [rad or m].
        lower, upper: (dof,) joint limits [rad or m].
    """

    noise_scale: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, config: ValueConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof, self.spline = config, dof, Spline(config.num_control_points)
        tokens, width, cond = self.spline.num_interior, config.width, config.cond_width
        self.register_buffer("noise_scale", torch.ones(self.spline.dim(dof)))
        self.register_buffer("lower", -torch.ones(dof))
        self.register_buffer("upper", torch.ones(dof))
        self.waves = Waves(16, lowest=1.0, highest=64.0)
        self.embed = nn.Sequential(nn.Linear(32 + 2 * dof, cond), nn.SiLU(), nn.Linear(cond, cond))
        self.read = nn.Linear(2 * dof + len(config.clearances) * (dof + 1), width)
        self.place = nn.Parameter(torch.zeros(tokens, width))
        self.blocks = token_blocks(config.blocks, config.depth, tokens=tokens, width=width, cond=cond)
        self.write = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 2))

    @classmethod
    def fresh(cls, config: ValueConfig, noise_scale: Tensor, lower: ArrayLike, upper: ArrayLike) -> ValueNetwork:
        """An untrained one for samples of a prior of this ``noise_scale`` (dim,) and joint limits (dof,)."""
        network = cls(config, len(np.asarray(lower)))
        network.noise_scale.copy_(noise_scale)
        network.lower.copy_(torch.tensor(lower, dtype=torch.float32))
        network.upper.copy_(torch.tensor(upper, dtype=torch.float32))
        return network

    def forward(self, noisy: Tensor, estimate: Tensor, touch: Tensor, sigma: Tensor, ends: Tensor) -> Tensor:
        """(n, 2) reward that is to be expected, and logit of being free after repair.

        Args:
            noisy, estimate: (n, dim) the sample, and a clean estimate of it.
            touch: (n, tokens, told) what the estimate touches.
            sigma: (n, 1) noise level.
            ends: (n, 2, dof) start and goal.
        """
        _, _, c_in, c_noise = scalings(sigma, torch.ones_like(sigma))
        middle, half = (self.upper + self.lower) / 2, (self.upper - self.lower) / 2
        where = ((ends - middle) / half).flatten(1)
        cond = nn.functional.silu(self.embed(torch.cat([self.waves(c_noise), where], dim=-1)))
        scaled = [(x / self.noise_scale).unflatten(1, (-1, self.dof)) for x in (noisy * c_in, estimate)]
        h = self.read(torch.cat([*scaled, touch], dim=-1)) + self.place
        for block in self.blocks:
            h = block(h, cond)
        h = nn.functional.layer_norm(h, h.shape[-1:])
        return self.write(torch.cat([h.mean(dim=1), h.amax(dim=1)], dim=-1))

    def touch(self, world: World, control_points: Tensor) -> Tensor:
        """(n, tokens, told) what paths touch, see `edmp.prior.conditions.felt`."""
        return felt(world, control_points, self.spline, self.config, (self.lower, self.upper))

    @torch.no_grad()
    def value(self, world: World, control_points: Tensor) -> Tensor:
        """(n,) V of motions ``control_points`` (n, K, dof) that nothing was done to yet [1]."""
        x = self.spline.deviation(control_points)
        sigma = x.new_full((len(x), 1), self.config.sigma_min)
        ends = control_points[:, [0, -1]]
        return self(x, x, self.touch(world, control_points), sigma, ends)[:, 0]

    def gradient(self, world: World, noisy: Tensor, control_points: Tensor, sigma: Tensor) -> Tensor:
        """(n, tokens, dof) gradient of V on the interior control points of clean estimates.

        Args:
            world: robot and scene.
            noisy: (n, dim) what these are estimates of.
            control_points: (n, K, dof) the estimates.
            sigma: (n or 1, 1) noise level.
        """
        with torch.inference_mode(False), torch.enable_grad():  # the planner works without
            interior = control_points[:, 1:-1].clone().requires_grad_()
            ends, level = control_points[:, [0, -1]].clone(), sigma.expand(len(noisy), -1).clone()
            points = torch.cat([ends[:, :1], interior, ends[:, 1:]], dim=1)
            touch = self.touch(world, points)
            value = self(noisy.clone(), self.spline.deviation(points), touch, level, ends)[:, 0]
            return torch.autograd.grad(value.sum(), interior)[0]

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) squared error of the reward, and a tenth of the cross-entropy of being free; rows as `ValueRows`."""
        given = ValueRows.of(rows, self)
        value, logit = self(given.noisy, given.estimate, given.touch, given.sigma, given.ends).unbind(-1)
        entropy = nn.functional.binary_cross_entropy_with_logits(logit, given.free, reduction="none")
        return (value - given.reward).square() + 0.1 * entropy


@dataclass(frozen=True)
class ValueRows:
    """Examples: samples on their way, and what came of them.

    Attributes:
        noisy, estimate: (n, dim) [rad or m].
        touch: (n, tokens, told).
        sigma: (n, 1) noise level [1].
        ends: (n, 2, dof).
        reward: (n,) of what repair made of the finished sample [1].
        free: (n,) is that free? 1 or 0.
    """

    noisy: Tensor
    estimate: Tensor
    touch: Tensor
    sigma: Tensor
    ends: Tensor
    reward: Tensor
    free: Tensor

    @property
    def packed(self) -> Tensor:
        """(n, columns) in half precision."""
        parts = (self.noisy, self.estimate, self.touch, self.sigma, self.ends, self.reward[:, None], self.free[:, None])
        return torch.cat([part.flatten(1) for part in parts], dim=1).half()

    @classmethod
    def of(cls, packed: Tensor, network: ValueNetwork) -> ValueRows:
        dof, tokens, dim = network.dof, network.spline.num_interior, network.spline.dim(network.dof)
        told = len(network.config.clearances) * (dof + 1)
        noisy, estimate, touch, sigma, ends, reward, free = packed.float().split(
            [dim, dim, tokens * told, 1, 2 * dof, 1, 1], dim=1
        )
        ends, touch = ends.unflatten(1, (2, dof)), touch.unflatten(1, (tokens, told))
        return cls(noisy, estimate, touch, sigma, ends, reward[:, 0], free[:, 0])


METRIC = (0.2, 1.0, 0.0)
"""Of guidance: weights of squared velocity, acceleration and jerk, those of the costs' pushes."""


@dataclass(frozen=True)
class Value:
    """A trained value network, for one robot. No prior: it ranks samples of one.

    Attributes:
        network: in eval mode.
        robot_name: the robot it is for.
    """

    network: ValueNetwork
    robot_name: str

    @classmethod
    def of(cls, network: ValueNetwork, *, robot_name: str) -> Value:
        return cls(network.eval().requires_grad_(False), robot_name)


@dataclass(frozen=True)
class ValueGuided(Prior):
    """A prior whose clean estimates climb V: guidance is a denoiser that wraps another one.

    Of an estimate y of the clean motion, y + weight * A^-1 dV/dy takes its place (Janner et al. 2022, "Diffuser", with
    the metric A of CHOMP, so that motions stay smooth). What the costs push comes after. Without a world in the context
    it is the prior as it was.

    Attributes:
        prior: whose estimates climb.
        value: what they climb.
        weight: of the gradient; 0 leaves it out [1].
        max_move: how far the farthest waypoint is moved in one denoising step [rad].
    """

    prior: Prior
    value: Value
    weight: float = 0.5
    max_move: float = 0.3

    def __post_init__(self) -> None:
        check_fields(self, {"weight": Range(0, 1e6), "max_move": Range(0, 10, above=True)})

    @classmethod
    def of(cls, prior: Prior, value: Value, *, weight: float = 0.5, max_move: float = 0.3) -> ValueGuided:
        """
        Raises:
            InvalidInputError: the value network is for another robot or spline.
        """
        network = value.network
        ours, theirs = (prior.robot_name, prior.dof, prior.spline), (value.robot_name, network.dof, network.spline)
        if ours != theirs:
            raise InvalidInputError(f"the value network is for {theirs}, not for {ours}, as the prior")
        known = {field.name: getattr(prior, field.name) for field in dataclasses.fields(Prior)}
        return cls(**known, prior=prior, value=value, weight=weight, max_move=max_move)

    def bind(self, context: Context) -> Denoiser:
        denoise, world = self.prior.bind(context), context.world
        if world is None or not self.weight:
            return denoise
        start, goal = self.check(context.start, context.goal)
        spline, network = self.spline, self.value.network
        basis = spline.basis(network.config.num_waypoints, device=self.device)[:, 1:-1]
        inverse = spline.smoothing_tensor(METRIC, dtype=basis.dtype, device=self.device)

        def guided(x: Tensor, sigma: Tensor | float) -> Tensor:
            clean = denoise(x, sigma)
            gradient = network.gradient(world, x, spline.control_points(clean, start, goal), self.level(sigma, x))
            step = self.weight * (inverse @ gradient)
            farthest = torch.linalg.vector_norm(basis @ step, dim=-1).amax(dim=1).clamp_min(1e-9)
            return clean + (step * (self.max_move / farthest).clamp_max(1.0)[:, None, None]).flatten(1)

        return guided

    def to(self, device: torch.device | str) -> ValueGuided:
        network = copy.deepcopy(self.value.network).to(device)  # `to` of a module moves the module itself
        prior, value = self.prior.to(device), dataclasses.replace(self.value, network=network)
        return dataclasses.replace(self, prior=prior, value=value, noise_scale=prior.noise_scale)


ARCHITECTURE = Architecture(ValueConfig, ValueNetwork, Value.of)
