"""Inverse dynamics as a network: from two states of an arm to what its motors and commands did in between.

As DreamGen (Jang et al. 2025, arXiv 2505.12705, section 2.2) does for images: two states in, a chunk of actions out.
Here states are joints, and what the network says is added to recursive Newton-Euler of the arm as described: torques
that this leaves over (friction, other masses), and how far commands were ahead of the joints (delay, tracking).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.label import Leftover
from edmp.dynamics.signals import columns_at
from edmp.dynamics.simulate import inverse_dynamics
from edmp.dynamics.smoothing import smoothed
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.card import Card, built, load_network, save_network, untrained_card
from edmp.learning.networks.film_mlp import FilmMlp
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

ARCHITECTURE = "inverse-dynamics"
TURN_SPEEDS = (0.02, 0.2)
"""Speeds within which friction turns round, as features [rad/s]."""


@dataclass(frozen=True)
class InverseConfig:
    """Sizes.

    Attributes:
        dof: joints.
        chunk: rows of actions between two states.
        period: between rows [s].
        width, depth, hidden: of the residual MLP.
    """

    dof: int
    chunk: int = 4
    period: float = 0.02
    width: int = 192
    depth: int = 3
    hidden: int = 384

    def __post_init__(self) -> None:
        whole = ("dof", "chunk", "width", "depth", "hidden")
        check_fields(self, dict.fromkeys(whole, Range(1, 1e4, whole=True)) | {"period": Range(0, 10, above=True)})


class InverseNetwork(nn.Module):
    """Mean and logarithm of the standard deviation of actions (n, chunk, 2 dof): torques left over, commands ahead."""

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, config: InverseConfig) -> None:
        super().__init__()
        self.config = config
        states, actions = 4 * config.dof, 2 * config.dof * config.chunk
        features = (3 + 2 * len(TURN_SPEEDS)) * config.dof
        self.net = FilmMlp(features, 2 * actions, width=config.width, depth=config.depth, hidden=config.hidden, cond=1)
        for name, size in (("state", states), ("action", actions)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def fit(self, examples: Tensor) -> None:
        """Take over the normalisation of examples (n, 4 dof + chunk 2 dof), as `examples_of` makes them."""
        states, actions = examples.split([4 * self.config.dof, examples.shape[1] - 4 * self.config.dof], dim=1)
        for name, values in (("state", states), ("action", actions)):
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_std").copy_(values.std(dim=0).clamp_min(1e-6))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Of states (n, 4 dof): q, v at both ends; mean and standard deviation (n, chunk 2 dof), in joint units."""
        dof, span = self.config.dof, self.config.chunk * self.config.period
        _, v0, _, v1 = states.split(dof, dim=1)
        scaled = ((states - self.state_mean) / self.state_std).split(dof, dim=1)
        turning = [torch.tanh(v / speed) for v in (v0, v1) for speed in TURN_SPEEDS]
        features = torch.cat([scaled[0], 0.5 * (scaled[1] + scaled[3]), 0.2 * (v1 - v0) / span, *turning], dim=1)
        mean, log_std = self.net.trunk(features, features.new_zeros(1, 1)).chunk(2, dim=1)
        std = torch.exp(log_std.clamp(-7.0, 3.0)) * self.action_std
        return self.action_mean + self.action_std * mean, std

    def loss(self, examples: Tensor, generator: torch.Generator) -> Tensor:
        """Half squared error in standard deviations, and their logarithm (Nix and Weigend 1994); (n,)."""
        states, actions = examples.split([4 * self.config.dof, examples.shape[1] - 4 * self.config.dof], dim=1)
        mean, std = self(states)
        return (0.5 * ((actions - mean) / std) ** 2 + torch.log(std / self.action_std)).mean(dim=1)


class Transitions:
    """What is trained on: `edmp.learning.training.Examples` in memory, motions held out whole."""

    def __init__(self, examples: Tensor, held_out: Tensor, description: dict[str, object]) -> None:
        self.train, self.validation, self._description = examples, held_out, description

    def __len__(self) -> int:
        return len(self.train)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        return self.train[torch.randint(len(self.train), (size,), generator=generator)]

    def rescan(self) -> int:
        return 0

    def description(self) -> dict[str, object]:
        return self._description


def examples_of(robot: Robot, positions: Array, torques: Array, commanded: Array, config: InverseConfig) -> Tensor:
    """Pairs of states and the actions between them, from motions (m, T, dof) with rows ``config.period`` apart.

    Returns:
        (m, T - chunk, 4 dof + chunk 2 dof) float32.
    """
    m, T, dof = positions.shape
    times = config.period * np.arange(T, dtype=np.float64)
    states = smoothed(times, positions.transpose(1, 0, 2).reshape(T, m * dof))
    q, v, a = (
        x.reshape(T, m, dof).transpose(1, 0, 2) for x in (states.positions, states.velocities, states.accelerations)
    )
    flat = [x.reshape(m * T, dof) for x in (q, v, a)]
    explained = inverse_dynamics(ArmDynamics.of(robot), *flat).reshape(m, T, dof)
    actions = np.concatenate([torques - explained, commanded - positions], axis=2)
    n = T - config.chunk
    ends = [x[:, begin : begin + n] for begin in (0, config.chunk) for x in (q, v)]
    chunks = [actions[:, k : k + n] for k in range(1, config.chunk + 1)]
    return torch.from_numpy(np.concatenate([*ends, *chunks], axis=2)).float()


@dataclass(frozen=True)
class LearnedLeftover(Leftover):
    """What the network of a file adds to recursive Newton-Euler; give it to `edmp.dynamics.label.label_log`."""

    network: InverseNetwork
    card: Card

    def check(self, robot: Robot) -> None:
        if (robot.name, robot.dof) != (self.card.robot, self.card.dof):
            raise InvalidInputError(f"the network is of {self.card.robot}, not of {robot.name}")

    def of(self, times: Array, positions: Array, velocities: Array) -> tuple[Array, Array, Array, Array]:
        """Each row is in several chunks: the mean of what they say."""
        config = self.network.config
        even = np.arange(times[0], times[-1], config.period)
        if len(even) <= config.chunk:
            raise InvalidInputError(f"{times[-1] - times[0]:.3g} s are shorter than a chunk of {config.chunk} rows")
        q, v = (columns_at(even, times, x) for x in (positions, velocities))
        n = len(even) - config.chunk
        states = np.concatenate([q[:n], v[:n], q[config.chunk :], v[config.chunk :]], axis=1)
        with torch.no_grad():
            mean, std = (x.double().numpy() for x in self.network(torch.from_numpy(states).float()))
        total, variance, count = (np.zeros((len(even), 2 * config.dof)) for _ in range(3))
        for k in range(config.chunk):
            part = slice(2 * config.dof * k, 2 * config.dof * (k + 1))
            rows = slice(k + 1, k + 1 + n)
            total[rows] += mean[:, part]
            variance[rows] += std[:, part] ** 2
            count[rows] += 1
        # the first row ends no chunk; the errors of chunks that share a row are alike: their mean is no surer than one
        total, deviation = total[1:] / count[1:], np.sqrt(variance[1:] / count[1:])
        both = [columns_at(times, even[1:], x) for x in (total, deviation)]
        dof = config.dof
        return both[0][:, :dof], both[1][:, :dof], both[0][:, dof:], both[1][:, dof:]


def save_inverse(path: str | Path, network: InverseNetwork, card: Card) -> None:
    save_network(path, network, card, half=False)


def inverse_card(robot: Robot, config: InverseConfig, *, seed: int = 0, command: str = "") -> Card:
    return untrained_card(ARCHITECTURE, config, robot, seed=seed, command=command)


def load_inverse(path: str | Path) -> LearnedLeftover:
    """The network of a file that `save_inverse` wrote.

    Raises:
        FileFormatError: it is no such file.
    """
    return LearnedLeftover(*load_network(path, _inverse_of))


def _inverse_of(card: Card, path: Path | str) -> InverseNetwork:
    """The untrained network of a card."""
    if card.architecture != ARCHITECTURE:
        raise FileFormatError(f"{path}: a network {card.architecture!r}, not {ARCHITECTURE!r}")
    network = built(card, InverseConfig, InverseNetwork, path)
    if network.config.dof != card.dof:
        raise FileFormatError(f"{path}: a network of {network.config.dof} joints, and a card of {card.dof}")
    return network
