"""A network that recognises arms: from what a stretch of motion says (`hypotheses`) to what it is worth as evidence.

Amortised inference with summaries (Papamakarios and Murray 2016, Fast epsilon-free inference of simulation models): the
posterior of the parameters is a normal distribution, trained by the likelihood of random arms. It is written as what
it adds to what was known before: information E (positive semidefinite) and a vector h, so that with the unit normal
distribution z has precision 1 + E and mean (1 + E)^-1 h. Stretches of one recording, and other evidence, add up, and no
prior is counted twice. Its mean is a mixture of closed answers and a correction within bounds, so that it does not go
astray where no arm of the training was.

z are directions of the arm's parameters, those that motions tell most of, and the delay of its commands.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.learned.hypotheses import Basis, Stretch, stretch_of, summaries, table_widths
from edmp.dynamics.least_squares import Evidence, Expected, PriorSettings, arm_of, parameters_of, scales_of
from edmp.dynamics.output_error import Coordinates
from edmp.dynamics.signals import columns_at, low_pass
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.card import Card, built, load_network, untrained_card
from edmp.learning.networks.film_mlp import FilmMlp
from edmp.ranges import Range, check_fields
from edmp.recordings.log import Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

ARCHITECTURE = "recogniser"
PRIOR = PriorSettings(mass_factor=0.2, payload=0.7, bodies=(0.2,), armature=0.4, friction=0.011)
"""How `wide` arms (`edmp.dynamics.random_arms`) lie round their mean. Where the network alone speaks, what it was
trained with is what was known before: under a wider prior it would be taken at more than its word."""
LONGEST, SHORTEST = 127, 25
"""Rows of a stretch."""
_SMOOTHING = 20.0
"""Cut-off of what is sampled faster than the network's rows [Hz]."""
_COUPLED = 8
"""Combinations of z that are told together, beside each by itself."""
_CANDIDATES = 4
"""Closed answers: of torques, of all controllers, of the likeliest of each kind."""
_LEARNED, _DELAYS = 1.0, 4.0
"""What is added to a mixture of closed answers is no more; delays are within this of their mean [1]."""


@dataclass(frozen=True)
class RecogniserConfig:
    """Sizes.

    Attributes:
        dof: joints.
        period: between rows [s].
        directions: of the parameters.
        width, depth, hidden: of the residual MLP.
        hide: share of examples whose torques are hidden, and as many again whose commands are.
        jitter: noise of what is given in training, in its standard deviations: against learning by heart [1].
    """

    dof: int
    period: float = 0.02
    directions: int = 40
    width: int = 128
    depth: int = 2
    hidden: int = 256
    hide: float = 0.4
    jitter: float = 0.1

    def __post_init__(self) -> None:
        whole = ("dof", "directions", "width", "depth", "hidden")
        check_fields(self, dict.fromkeys(whole, Range(1, 1e4, whole=True)))
        check_fields(self, {"period": Range(0, 1, above=True), "hide": Range(0, 0.5), "jitter": Range(0, 1)})

    @property
    def told(self) -> int:
        """Numbers z: directions, and the delay."""
        return self.directions + 1

    @property
    def features(self) -> int:
        return sum(table_widths(self.directions).values())


class RecogniserNetwork(nn.Module):
    """Evidence of z from features (n, `RecogniserConfig.features` + 2): tables, and whether there are the last two."""

    mean: Tensor
    std: Tensor
    usual: Tensor
    basis: Tensor
    projection: Tensor
    late: Tensor
    reach: Tensor

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        self.config = config
        z, given, d = config.told, config.features + 2, 13 * config.dof
        outputs = z * (2 + _COUPLED) + config.directions * (1 + _CANDIDATES)
        self.net = FilmMlp(given, outputs, width=config.width, depth=config.depth, hidden=config.hidden, cond=1)
        self.direct = nn.Linear(given, z)
        nn.init.zeros_(self.direct.weight)
        self.register_buffer("reach", torch.ones(z))
        self.reach[-1] = _DELAYS / _LEARNED  # no closed answer says the delay
        for name, start in (("mean", torch.zeros(config.features)), ("std", torch.ones(config.features))):
            self.register_buffer(name, start)
        self.register_buffer("usual", torch.zeros(d))  # of the parameters, from the described on, by `scales_of`
        self.register_buffer("basis", torch.zeros(d, config.directions))
        self.register_buffer("projection", torch.zeros(config.directions, d))  # z of the parameters beyond the usual
        self.register_buffer("late", torch.tensor([0.0, 1.0]))  # mean and deviation of the delay [s]

    def fit(self, features: Tensor) -> None:
        """Take over the normalisation of (n, features)."""
        self.mean.copy_(features.mean(dim=0))
        self.std.copy_(features.std(dim=0).clamp_min(1e-3))

    def forward(self, features: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n, z) and precision (n, z, z) of features (n, features), of which ``there`` (n, 2) are given."""
        widths = list(table_widths(self.config.directions).values())
        tables = list(((features - self.mean) / self.std).clamp(-5.0, 5.0).split(widths, dim=1))
        given = torch.cat([tables[0], tables[1] * there[:, :1], tables[2] * there[:, 1:], there], dim=1)
        z, r = self.config.told, self.config.directions
        shift, own, coupled, weights = self.net.trunk(given, given.new_zeros(1, 1)).split(
            [z, z, z * _COUPLED, r * (1 + _CANDIDATES)], dim=1
        )
        shift = _LEARNED * torch.tanh(shift + self.direct(given)) * self.reach
        answers = self._answers(features.split(widths, dim=1), there, weights.unflatten(1, (1 + _CANDIDATES, r)))
        U = coupled.unflatten(1, (-1, _COUPLED))
        information = torch.diag_embed(nn.functional.softplus(own - 3.0)) + U @ U.mT
        return torch.cat([answers, answers.new_zeros(len(answers), 1)], dim=1) + shift, information + torch.eye(z)

    def _answers(self, tables: Sequence[Tensor], there: Tensor, weights: Tensor) -> Tensor:
        """(n, directions): a mixture, direction by direction, of the closed answers in the tables and of none."""
        r = self.config.directions
        torques, commands = tables[1][:, :r], tables[2]
        parts = [torques, commands[:, :r], commands[:, 2 * r + 5 : 3 * r + 5], commands[:, 3 * r + 8 : 4 * r + 8]]
        closed = torch.stack([torch.zeros_like(torques), *parts], dim=1).clamp(-8.0, 8.0)
        given = torch.cat([torch.ones_like(there[:, :1]), there[:, :1], *3 * [there[:, 1:]]], dim=1)
        mixed = torch.softmax(weights.masked_fill(given[:, :, None] < 0.5, -torch.inf), dim=1)
        return (mixed * closed).sum(dim=1)

    def loss(self, examples: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) negative logarithm of the density at the truth, for each of z, of (n, features + z)."""
        features, z = examples.split([self.config.features, self.config.told], dim=1)
        chance = torch.rand(len(features), 1, generator=generator)
        hide = self.config.hide
        there = torch.cat([chance >= hide, (chance < 1.0 - hide)], dim=1).float()
        if self.training:
            noise = torch.randn(features.shape, generator=generator)
            features = features + self.config.jitter * self.std * noise
        mean, precision = self(features, there)
        root = torch.linalg.cholesky(precision)
        off = (root.mT @ (z - mean)[:, :, None])[:, :, 0]
        return (0.5 * off.square() - torch.log(torch.diagonal(root, dim1=1, dim2=2))).mean(dim=1)


@dataclass(frozen=True)
class Recogniser:
    """A trained network; give it to `edmp.dynamics.identify`.

    Attributes:
        network: with its normalisation.
        card: of the file.
    """

    network: RecogniserNetwork
    card: Card

    def check(self, robot: Robot) -> None:
        """Whether it is of this robot.

        Raises:
            InvalidInputError: it is not.
        """
        if (robot.name, robot.dof) != (self.card.robot, self.card.dof):
            raise InvalidInputError(
                f"the network is of {self.card.robot} with {self.card.dof} joints, not of {robot.name} with "
                f"{robot.dof}: edmp dynamics train --model {ARCHITECTURE} --robot makes one of it"
            )

    def expected(self, nominal: ArmDynamics) -> Expected:
        """The mean of the arms that it was trained on."""
        usual = self.network.usual.double().numpy() * scales_of(nominal)
        links, tool = np.arange(nominal.dof), nominal.robot.tool.body - 1
        heavier = usual[0 : 10 * nominal.dof : 10]
        factor = float(heavier[links != tool].sum() / nominal.mass[links != tool].sum())
        payload = float(heavier[tool]) - factor * float(nominal.mass[tool])
        return Expected(arm_of(nominal, parameters_of(nominal) + usual), 1.0 + factor, payload)

    def coordinates(self, nominal: ArmDynamics) -> Coordinates:
        """The directions that it tells, in this arm's units, and the delay."""
        basis = basis_of(self.network, nominal)
        mean, deviation = self.network.late.double().tolist()
        projection = self.network.projection.double().numpy() / scales_of(nominal)
        return Coordinates(parameters_of(nominal) + basis.mean, basis.directions, projection, (mean, deviation))

    def evidence(self, nominal: ArmDynamics, log: Log, *, lead: float = 0.0, torques: bool = True) -> Evidence:
        """What a recording says of the parameters and of the delay, beyond what was known before.

        Args:
            nominal: the arm as described.
            log: without gaps, from rest.
            lead: commands were sent this much before they were to be reached [s].
            torques: whether the recorded torques are looked at, too.

        Raises:
            InvalidInputError: another robot; too few rows; neither torques nor commands.
        """
        self.check(nominal.robot)
        basis = basis_of(self.network, nominal)
        stretch = self._stretch(log, lead, torques)
        T = stretch.q.shape[1]
        pieces = max(1, round(T / LONGEST + 0.25))
        ends = np.linspace(0, T, pieces + 1).astype(int)
        total, vector = np.zeros((basis.directions.shape[1] + 1,) * 2), np.zeros(basis.directions.shape[1] + 1)
        for begin, end in itertools.pairwise(ends):
            tables = summaries(nominal, basis, stretch.part(slice(None), slice(begin, end)))
            features, there = features_of(tables, self.network.config.directions)
            with torch.no_grad():
                mean, precision = (x[0].double().numpy() for x in self.network(features, there))
            total += precision - np.eye(len(mean))
            vector += precision @ mean
        return self._of_parameters(nominal, basis, total, vector)

    def _stretch(self, log: Log, lead: float, torques: bool) -> Stretch:
        period = self.network.config.period
        rate = 1.0 / float(np.median(np.diff(log.times)))
        if rate < 0.9 / period:
            raise InvalidInputError(
                f"{log.source}: has {rate:.0f} rows a second, the network was trained with {1.0 / period:.0f}"
            )
        if log.commanded is None and (log.torques is None or not torques):
            raise InvalidInputError(
                f"{log.source}: holds neither commands nor torques: the network has nothing to recognise an arm by"
            )
        rows = int((log.times[-1] - log.times[0]) / period + 1e-6)
        times = log.times[0] + period * np.arange(rows + 1)

        def smooth(values: Array) -> Array:
            """Only what is measured is noisy: commands stay as they are."""
            even = np.arange(log.times[0], log.times[-1] + 1e-9, 1.0 / rate)
            return columns_at(times, even, low_pass(columns_at(even, log.times, values), _SMOOTHING, rate))

        q = smooth(log.positions)
        v = np.gradient(q, period, axis=0) if log.velocities is None else smooth(log.velocities)
        tau = None
        if log.torques is not None and torques:
            # a torque was exerted during the tick that led to its row: what they sum up to is known at the rows
            summed = np.cumsum(log.torques * np.diff(log.times, prepend=log.times[0])[:, None], axis=0)
            at = columns_at(times, log.times, summed)
            tau = np.diff(at, axis=0, prepend=at[:1]) / period
        commanded = None
        if log.commanded is not None:
            c = columns_at(times, log.times, log.commanded)
            rates = log.commanded_velocities
            cv = np.gradient(c, period, axis=0) if rates is None else columns_at(times, log.times, rates)
            commanded = (c[None], cv[None])
        return stretch_of(period, q[None], v[None], None if tau is None else tau[None], commanded, lead=lead)

    def _of_parameters(self, nominal: ArmDynamics, basis: Basis, E: Array, h: Array) -> Evidence:
        """From z to parameters: the delay is integrated out, with what was known of it.

        Means of z have on average the squares that their variances lack to 1. An arm that is further off is unlike
        those of the training: what is said of it, and what was known of it before, is taken to be less sure by that
        ratio (Birge 1932, The calculation of errors by the method of least squares), while the mean stays.
        """
        mean, deviation = self.network.late.double().tolist()
        r = len(h) - 1
        both = np.linalg.inv(E + np.eye(r + 1))
        far = max(1.0, float(np.sum((both @ h) ** 2) / max(r + 1.0 - np.trace(both), 1e-9)))
        delay = mean + deviation * float((both @ h)[r]), deviation * float(np.sqrt(far * both[r, r]))
        shrunk = E[:r, r] / (E[r, r] + 1.0)
        information, vector = E[:r, :r] - np.outer(shrunk, E[r, :r]), h[:r] - shrunk * h[r]
        P = self.network.projection.double().numpy() / scales_of(nominal)
        shift = P @ basis.mean
        return Evidence(P.T @ information @ P / far, P.T @ (vector + information @ shift) / far, *delay, far)


def basis_of(network: RecogniserNetwork, nominal: ArmDynamics) -> Basis:
    """In the units of this arm's parameters."""
    scales = scales_of(nominal)
    return Basis(network.usual.double().numpy() * scales, network.basis.double().numpy() * scales[:, None])


def features_of(tables: dict[str, Array], directions: int) -> tuple[Tensor, Tensor]:
    """(n, features) and (n, 2) whether there are torques and commands, of `summaries`; zero where there are none."""
    n = len(tables["motion"])
    widths = table_widths(directions)
    columns = [tables.get(name, np.zeros((n, width))) for name, width in widths.items()]
    there = [[float(name in tables) for name in ("torques", "commands")]] * n
    return torch.from_numpy(np.concatenate(columns, axis=1)).float(), torch.tensor(there)


def recogniser_of(card: Card, path: Path | str) -> RecogniserNetwork:
    """The untrained network of a card."""
    if card.architecture != ARCHITECTURE:
        raise FileFormatError(f"{path}: a network {card.architecture!r}, not {ARCHITECTURE!r}, which recognises arms")
    network = built(card, RecogniserConfig, RecogniserNetwork, path)
    if network.config.dof != card.dof:
        raise FileFormatError(f"{path}: a network of {network.config.dof} joints, and a card of {card.dof}")
    return network


def recogniser_card(robot: Robot, config: RecogniserConfig, *, seed: int = 0, command: str = "") -> Card:
    return untrained_card(ARCHITECTURE, config, robot, seed=seed, command=command)


def load_recogniser(path: str | Path) -> Recogniser:
    """The network of a file that ``edmp dynamics train --model recogniser`` wrote.

    Raises:
        FileFormatError: it is no such file.
    """
    return Recogniser(*load_network(path, recogniser_of))


def shipped(robot: Robot) -> Path:
    """The file of the network that ships for this robot.

    Raises:
        InvalidInputError: none does.
    """
    folder = Path(__file__).parents[1] / "weights"
    file = folder / f"{robot.name}-recogniser.safetensors"
    if not file.is_file():
        robots = ", ".join(path.name.removesuffix("-recogniser.safetensors") for path in sorted(folder.glob("*.safe*")))
        raise InvalidInputError(
            f"no network that recognises arms ships for {robot.name}, only for {robots or 'no robot'}: give one "
            "(network=, --network); edmp dynamics generate --excitation motions --distribution wide and edmp dynamics "
            f"train --model {ARCHITECTURE} make one"
        )
    return file
