"""A prior that sees the scene: a denoiser that is told what its own clean estimate touches, and corrects it.

A trained denoiser D0 of start and goal alone (`edmp.prior.mlp`) gives a clean estimate. The fused kernel says, at each
interior control point of that very path, what it costs in clearance and in which direction of the joints it gets less:
J^T of the pushes of whatever obstacle is there, pulled back through the spline. A small network G reads this beside the
noisy sample and the estimate, and

    D(x; sigma) = D0(x; sigma) + cfg * c_out(sigma) G(x, D0, touch(D0), sigma, start, goal).

With cfg = 0 nothing of the scene is left, so `cfg` is the weight of classifier-free guidance (Ho and Salimans 2022)
without a second call; D may be taken for D0, so that the network looks again. Since the scene is felt through the
robot's kinematics, nothing has to be learned of where things are: base, gripper, held objects and any kind of obstacle
are what the kernel makes of them.

G mixes the spline's tokens, one for each interior control point, in blocks modulated by noise level and ends.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.errors import unknown_name
from edmp.learning.edm import scalings
from edmp.learning.networks.embeddings import Waves
from edmp.learning.networks.tokens import token_blocks
from edmp.prior.base import Context, Denoiser, Prior
from edmp.prior.checkpoint import Architecture
from edmp.prior.conditions import CONDITIONS
from edmp.prior.mlp import MlpConfig, MlpNetwork
from edmp.ranges import Range, check_fields


@dataclass(frozen=True)
class SceneConfig:
    """Size of the correcting network, and what it is told.

    Attributes:
        base: sizes of the denoiser that is corrected, as `edmp.prior.mlp.MlpConfig` takes them.
        condition: what the network is told of the scene, a row of `edmp.prior.conditions.CONDITIONS`.
        width: width of a token.
        depth: number of blocks over the tokens.
        blocks: their kind, ``"mixer"`` or ``"attention"``, see `edmp.learning.networks.tokens`.
        cond_width: width of the embedding of noise level, start and goal.
        clearances: distances within which the network feels obstacles, each by itself [m].
        num_waypoints: samples along the path at which they are felt.
        cfg: weight of the correction when sampling, unless told otherwise [1].
        looks: how often the network looks at its own estimate in each denoising step.
    """

    base: Mapping[str, Any] = field(default_factory=dict)
    condition: str = "estimate"
    width: int = 128
    depth: int = 4
    blocks: str = "mixer"
    cond_width: int = 96
    clearances: tuple[float, ...] = (0.02, 0.08)
    num_waypoints: int = 64
    cfg: float = 1.0
    looks: int = 1

    def __post_init__(self) -> None:
        size = Range(1, 1 << 12, whole=True)
        check_fields(self, dict.fromkeys(("width", "cond_width", "num_waypoints"), size))
        check_fields(self, {"depth": Range(1, 64, whole=True), "looks": Range(0, 16, whole=True)})
        check_fields(self, {"clearances": Range(0, 10, above=True, several=True), "cfg": Range(0, 100)})
        if self.condition not in CONDITIONS:
            raise unknown_name("condition", self.condition, CONDITIONS)
        MlpConfig(**self.base)


class SceneNetwork(nn.Module):
    """The denoiser of the ends, held still, and the network that corrects it."""

    def __init__(self, config: SceneConfig, dof: int) -> None:
        super().__init__()
        self.config, self.dof = config, dof
        self.base = MlpNetwork(MlpConfig(**config.base), dof)
        self.base.requires_grad_(False)
        self.spline = self.base.spline
        tokens, width, cond = self.spline.num_interior, config.width, config.cond_width
        self.condition = CONDITIONS[config.condition](config, self.spline, dof, cond)
        self.waves = Waves(16, lowest=1.0, highest=64.0)
        self.embed = nn.Sequential(nn.Linear(32 + 2 * dof, cond), nn.SiLU(), nn.Linear(cond, cond))
        self.read = nn.Linear(2 * dof + self.condition.channels, width)
        self.place = nn.Parameter(torch.zeros(tokens, width))
        self.blocks = token_blocks(config.blocks, config.depth, tokens=tokens, width=width, cond=cond)
        self.write = nn.Linear(width, dof)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, noisy: Tensor, estimate: Tensor, touch: Tensor, sigma: Tensor, ends: Tensor) -> Tensor:
        """The corrected estimate (n, dim) [rad or m].

        Args:
            noisy: (n, dim) the noisy sample.
            estimate: (n, dim) the estimate to be corrected.
            touch: (n, ...) what `touch` says of it; of one row, the same for all.
            sigma: (n or 1, 1) noise level.
            ends: (n, 2, dof) start and goal.
        """
        base = self.base
        _, _, c_in, c_noise = scalings(sigma, torch.ones_like(sigma))
        _, c_out, _, _ = scalings(sigma, base.mode_std)
        middle, half = (base.upper + base.lower) / 2, (base.upper - base.lower) / 2
        ends = torch.stack(base.unwound(ends[:, 0], ends[:, 1]), dim=1)
        where = ((ends - middle) / half).flatten(1)
        level = self.waves(c_noise).expand(len(where), -1)
        beside, shift = self.condition(touch)
        cond = self.embed(torch.cat([level, where], dim=-1))
        cond = nn.functional.silu(cond if shift is None else cond + shift)
        parts = [(x / base.noise_scale).unflatten(1, (-1, self.dof)) for x in (noisy * c_in, estimate)]
        if beside is not None:
            parts.append(beside.expand(len(noisy), -1, -1))
        h = self.read(torch.cat(parts, dim=-1)) + self.place
        for block in self.blocks:
            h = block(h, cond)
        raw = self.write(nn.functional.layer_norm(h, h.shape[-1:])).flatten(1)
        return base.noise_scale * ((raw @ base.modes) * c_out) @ base.modes.T

    def touch(self, world: World, control_points: Tensor) -> Tensor:
        """(n, *shape) what the condition says in ``world`` of paths ``control_points`` (n, K, dof), or of their ends
        (n, 2, dof) alone if it is not renewed."""
        return self.condition.told(world, control_points, (self.base.lower, self.base.upper))

    def set_statistics(self, control_points: Tensor, lower: Tensor, upper: Tensor) -> None:
        """Nothing to take from the data: the statistics are those of the denoiser that is corrected."""

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) squared error of the corrected estimates, as `MlpNetwork.loss` measures it.

        Args:
            rows: (n, columns) examples, see `SceneRows`.
            generator: unused: the noise is in the rows, for which the clearance has been felt.
        """
        given = SceneRows.of(rows, self)
        error = given.estimate + self(given.noisy, given.estimate, given.touch, given.sigma, given.ends) - given.clean
        _, c_out, _, _ = scalings(given.sigma, self.base.mode_std)
        return ((error / self.base.noise_scale) @ self.base.modes).square().sum(-1) / c_out.square().sum(-1)


@dataclass(frozen=True)
class SceneRows:
    """Examples for the correcting network: motions, noised, estimated by the denoiser that is corrected, and felt.

    Attributes:
        clean, noisy, estimate: (n, dim) [rad or m].
        touch: (n, *shape) see `SceneNetwork.touch`.
        sigma: (n, 1) noise level [1].
        ends: (n, 2, dof) start and goal.
    """

    clean: Tensor
    noisy: Tensor
    estimate: Tensor
    touch: Tensor
    sigma: Tensor
    ends: Tensor

    @property
    def packed(self) -> Tensor:
        """(n, columns) all in one tensor, in half precision."""
        parts = (self.clean, self.noisy, self.estimate, self.touch, self.sigma, self.ends)
        return torch.cat([part.flatten(1) for part in parts], dim=1).half()

    @classmethod
    def of(cls, packed: Tensor, network: SceneNetwork) -> SceneRows:
        """The columns of ``packed``, in single precision."""
        dof, dim, condition = network.dof, network.spline.dim(network.dof), network.condition
        clean, noisy, estimate, touch, sigma, ends = packed.float().split(
            [dim, dim, dim, condition.columns, 1, 2 * dof], dim=1
        )
        return cls(clean, noisy, estimate, touch.unflatten(1, condition.shape), sigma, ends.unflatten(1, (2, dof)))

    @classmethod
    @torch.no_grad()
    def made(
        cls,
        network: SceneNetwork,
        world: World,
        control_points: Tensor,
        *,
        looks: int = 0,
        generator: torch.Generator,
    ) -> SceneRows:
        """One example of each motion ``control_points`` (n, K, dof) in a scene, at a random noise level.

        With ``looks`` the estimate is what the network makes of it after so many looks: it learns to go on from there.
        """
        base = network.base
        clean = network.spline.deviation(control_points)
        log_sigma = torch.randn(len(clean), 1, generator=generator)
        sigma = (base.config.p_mean + base.config.p_std * log_sigma).exp()
        noisy = clean + sigma * base.noise_scale * torch.randn(clean.shape, generator=generator)
        start, goal = control_points[:, 0], control_points[:, -1]
        ends = torch.stack([start, goal], dim=1)
        estimate = base.denoise(noisy, sigma, base.problem_embedding(start, goal))
        touch = network.touch(world, network.spline.control_points(estimate, start, goal))
        for _ in range(looks):
            estimate = estimate + network(noisy, estimate, touch, sigma, ends)
            touch = network.touch(world, network.spline.control_points(estimate, start, goal))
        return cls(clean, noisy, estimate, touch, sigma, ends)


@dataclass(frozen=True)
class ScenePrior(Prior):
    """The trained network as a `Prior`. Without a world in the context it is the denoiser of start and goal alone.

    Attributes:
        network: in eval mode, on the prior's device.
        cfg: weight of the correction; 0 leaves the scene out [1].
        looks: how often the network looks at its own estimate in each denoising step.
    """

    network: SceneNetwork
    cfg: float = 1.0
    looks: int = 1

    @classmethod
    def of(cls, network: SceneNetwork, *, robot_name: str) -> ScenePrior:
        network = network.eval().requires_grad_(False)
        base, config = network.base, network.config
        return cls(
            name="scene",
            robot_name=robot_name,
            dof=network.dof,
            spline=network.spline,
            noise_scale=base.noise_scale,
            sigma_min=base.config.sigma_min,
            sigma_max=base.config.sigma_max,
            sigma_data=1.0,
            network=network,
            cfg=config.cfg,
            looks=config.looks,
        )

    @torch.no_grad()
    def bind(self, context: Context) -> Denoiser:
        start, goal = self.check(context.start, context.goal)
        network, world = self.network, context.world
        problem = network.base.problem_embedding(start, goal)
        once = None
        if world is not None and not network.condition.renewed:
            once = network.touch(world, torch.stack(torch.broadcast_tensors(start, goal), dim=1))

        @torch.no_grad()
        def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
            level = self.level(sigma, x)
            estimate = network.base.denoise(x, level, problem)
            if world is None or not self.cfg:
                return estimate
            from_, to = start.expand(len(x), -1), goal.expand(len(x), -1)
            ends = torch.stack([from_, to], dim=1)
            touch = once
            for _ in range(self.looks):
                if touch is None or network.condition.renewed:
                    touch = network.touch(world, network.spline.control_points(estimate, from_, to))
                estimate = estimate + self.cfg * network(x, estimate, touch, level, ends)
            return estimate

        return denoise

    def to(self, device: torch.device | str) -> ScenePrior:
        network = copy.deepcopy(self.network).to(device)  # `to` of a module moves the module itself
        return dataclasses.replace(self, network=network, noise_scale=network.base.noise_scale)


ARCHITECTURE = Architecture(SceneConfig, SceneNetwork, ScenePrior.of)
