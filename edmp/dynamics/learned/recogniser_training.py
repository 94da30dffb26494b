"""What a network that recognises arms is trained on: commanded motions of random arms, in numbers.

`edmp dynamics generate --excitation motions` makes them. Of each motion a piece of any length is taken, with noise or
without, and the numbers of `hypotheses` are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.data.generate import shard_files
from edmp.data.training_set import is_validation
from edmp.dynamics.arm import ArmDynamics, effort_scale
from edmp.dynamics.learned.hypotheses import Stretch, columns_of, stretch_of, summaries
from edmp.dynamics.learned.recogniser import (
    LONGEST,
    SHORTEST,
    RecogniserConfig,
    RecogniserNetwork,
    basis_of,
    features_of,
    recogniser_card,
    recogniser_of,
)
from edmp.dynamics.least_squares import parameters_of, scales_of
from edmp.dynamics.random_arms import parameter_names
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.json_nodes import JsonNode
from edmp.learning.card import Card, configured, metric_rows
from edmp.learning.tensors import read_header, read_tensors, write_tensors
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, export, first_weights, opened, trained
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

NAME = "recogniser.safetensors"
SETTINGS: dict[str, Any] = {
    "batch_size": 256,
    "learning_rate": 1e-3,
    "warmup_steps": 200,
    "weight_decay": 0.1,
    "ema_decay": 0.998,
    "validation_fraction": 0.05,
    "rescan_seconds": float("inf"),
}
"""What differs from `TrainSettings`."""
_KEPT = "examples.safetensors"
_BASIS = ("usual", "basis", "projection", "late")
_NEEDED = ("positions", "velocities", "torques", "commanded", "commanded_velocities", "parameters", "arm")
_NOISE = (3e-5, 1e-3, 2e-3)
"""Largest standard deviation of noise of positions [rad], velocities [rad/s] and torques [of the effort limit]."""
_NOISY = 0.5
"""Share of the batches with noise."""
_BATCH = 50
"""Motions of which pieces of the same length are taken."""
_ASKED = 400
"""Motions that say which directions of the parameters motions tell of."""


def train_recogniser(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a network that recognises arms; arguments as of `edmp.dynamics.learned.train.train`.

    At the end the run's folder holds `NAME` with its model card, too.

    Raises:
        InvalidInputError: the data are another robot's, or sizes make no sense.
        FileFormatError: the data are no motions.
    """
    out = opened(out, settings)
    config = configured(RecogniserConfig, settings.config, {"dof": robot.dof}, of="recogniser")
    with first_weights(settings):
        network = RecogniserNetwork(config)
    data = Recognised(
        data_dir,
        robot,
        network,
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
        kept=out / _KEPT,
    )
    run = TrainingRun(network, recogniser_card(robot, config, seed=settings.seed, command=command), settings)
    return trained(run, data, out, settings, resume=resume, ship=_export, name=NAME, on_step=on_step)


def _export(run_dir: Path, path: Path) -> Card:
    return export(run_dir, path, build=recogniser_of, describe=_model_card)


def _model_card(card: Card, *, num_parameters: int, size: int) -> str:
    config = ", ".join(f"{key} {value}" for key, value in card.config.items())
    return "\n".join(
        [
            f"# Arms like {card.robot}, recognised from their motion",
            "",
            "Says what a stretch of commanded motion tells of its masses, motors, friction, payload and delay: for "
            "edmp identify --method learned.",
            "",
            f"- Network: `{card.architecture}` ({config}), {num_parameters / 1e6:.2f} M weights, {size / 1e6:.1f} MB.",
            f"- Date: {card.date}. Seed: {card.seed}. torch {torch.__version__}.",
            f"- Data: {card.data}",
            f"- Command: `{card.command or 'not recorded'}`",
            "- Licence: that of edmp (Apache-2.0); all data self-made.",
            "",
            *metric_rows(card),
            "",
            "The loss is the negative logarithm of the density at the truth, for each number that is told; 0.5 if "
            "nothing is.",
            "",
        ]
    )


class Recognised:
    """`edmp.learning.training.Examples`: features and the truth z of motions in a folder, arms held out whole.

    Args:
        folder: shards of ``edmp dynamics generate --excitation motions``.
        robot: whose relatives moved.
        network: whose basis and normalisation are set from these motions.
        validation_fraction: share of arms held out.
        seed: of pieces and noise.
        kept: file that what was computed is written to, and read from by a run that goes on.
    """

    def __init__(
        self,
        folder: str | Path,
        robot: Robot,
        network: RecogniserNetwork,
        *,
        validation_fraction: float,
        seed: int,
        kept: Path,
    ) -> None:
        self._nominal, self._config, self._robot = ArmDynamics.of(robot), network.config, robot
        self._rng = np.random.default_rng(seed)
        files = list(shard_files(Path(folder)))
        if not files:
            raise InvalidInputError(
                f"{folder}: no shard-*.safetensors in it; edmp dynamics generate --excitation motions makes them"
            )
        about = {"robot": robot.name, "seed": seed, "shards": [path.name for path in files]}
        about["directions"] = network.config.directions
        if kept.exists() and read_header(kept).keys_plain() == about:
            tensors, _ = read_tensors(kept)
        else:
            tensors = self._computed(network, [self._read(path) for path in files])
            write_tensors(kept, tensors, about)
        for name in _BASIS:
            getattr(network, name).copy_(tensors[name])
        held = is_validation(tensors["arm"], validation_fraction)
        self.train, self.validation = tensors["examples"][~held], tensors["examples"][held]
        self._description = {"robot": robot.name, "motions": len(held), "shards_read": len(files)}
        if len(self.train) == 0:
            raise InvalidInputError(f"{folder}: all of its motions are held out: more arms are needed")
        network.fit(self.train[:, : network.config.features])

    def _computed(self, network: RecogniserNetwork, shards: list[dict[str, Array]]) -> dict[str, Tensor]:
        """Features and truth, the basis that the truth is in, and the number of each arm."""
        parameters = np.concatenate([shard["parameters"] for shard in shards])
        self._set_basis(network, parameters, shards)
        d = 13 * self._robot.dof
        beyond = (parameters[:, :d] - parameters_of(self._nominal)) / scales_of(self._nominal)
        z = (beyond - network.usual.double().numpy()) @ network.projection.double().numpy().T
        mean, deviation = network.late.double().tolist()
        delay = parameters[:, parameter_names(self._robot).index("delay")]
        truth = torch.from_numpy(np.column_stack([z, (delay - mean) / deviation])).float()
        features = torch.cat([self._features(network, shard) for shard in shards])
        arms = torch.from_numpy(np.concatenate([shard["arm"] for shard in shards])).long()
        basis = {name: getattr(network, name) for name in _BASIS}
        return {"examples": torch.cat([features, truth], dim=1), "arm": arms, **basis}

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        return self.train[torch.randint(len(self.train), (size,), generator=generator)]

    def rescan(self) -> int:
        return 0

    def description(self) -> dict[str, Any]:
        return self._description

    def _read(self, path: Path) -> dict[str, Array]:
        tensors, header = read_tensors(path)
        if missing := sorted(set(_NEEDED) - set(tensors)):
            raise FileFormatError(
                f"{path}: has no tensor {', '.join(missing)}: a network that recognises arms is trained on "
                "edmp dynamics generate --excitation motions"
            )
        self._check(path, header)
        shard = {name: tensors[name].double().numpy() for name in _NEEDED}
        n, T = shard["positions"].shape[:2]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_NEEDED[:5], (n, T, self._robot.dof))
        shapes |= {"parameters": (n, len(parameter_names(self._robot))), "arm": (n,)}
        for name, shape in shapes.items():
            if shard[name].shape != shape or not np.isfinite(shard[name]).all():
                raise FileFormatError(f"{path}: {name} should be finite and {shape}, got {shard[name].shape}")
        if T <= SHORTEST:
            raise FileFormatError(f"{path}: has windows of {T} rows, more than {SHORTEST} are needed")
        return shard

    def _check(self, path: Path, header: JsonNode) -> None:
        name, dt = header["robot"].text(), header["dt"].number(1e-6)
        if name != self._robot.name:
            raise InvalidInputError(f"{path}: holds motions of {name!r}, not of {self._robot.name!r}")
        if abs(dt - self._config.period) > 1e-9:
            raise InvalidInputError(f"{path}: has rows {dt:g} s apart, the network's are {self._config.period:g} s")

    def _set_basis(self, network: RecogniserNetwork, parameters: Array, shards: list[dict[str, Array]]) -> None:
        """The directions, of unit variance among these arms, that torques of these motions tell most of."""
        scales = scales_of(self._nominal)
        beyond = (parameters[:, : 13 * self._robot.dof] - parameters_of(self._nominal)) / scales
        usual = beyond.mean(axis=0)
        covariance = np.cov(beyond.T) + 1e-8 * np.eye(len(usual))
        L = np.linalg.cholesky(covariance)
        asked = {name: np.concatenate([shard[name] for shard in shards])[:_ASKED] for name in _NEEDED[:2]}
        s = stretch_of(self._config.period, asked["positions"], asked["velocities"], None, None)
        flat = [x.reshape(-1, self._robot.dof)[::10] for x in (s.q, s.v, s.a)]
        A = columns_of(self._nominal, *flat) / effort_scale(self._robot)[:, None]
        rows = A.reshape(-1, A.shape[2]) @ (scales[:, None] * L)
        _, vectors = np.linalg.eigh(rows.T @ rows)
        V = vectors[:, ::-1][:, : self._config.directions]
        network.usual.copy_(torch.from_numpy(usual))
        network.basis.copy_(torch.from_numpy(L @ V))
        network.projection.copy_(torch.from_numpy(np.linalg.solve(L.T, V).T))
        delay = parameters[:, parameter_names(self._robot).index("delay")]
        network.late.copy_(torch.tensor([delay.mean(), max(delay.std(), 1e-3)]))

    def _features(self, network: RecogniserNetwork, shard: dict[str, Array]) -> Tensor:
        basis = basis_of(network, self._nominal)
        parts = []
        for begin in range(0, len(shard["arm"]), _BATCH):
            stretch = self._piece({name: shard[name][begin : begin + _BATCH] for name in _NEEDED[:5]})
            parts.append(features_of(summaries(self._nominal, basis, stretch), self._config.directions)[0])
        return torch.cat(parts)

    def _piece(self, motions: dict[str, Array]) -> Stretch:
        """Some rows in a row, from anywhere, some times noisy."""
        rng, T = self._rng, motions["positions"].shape[1] - 1
        q, v, tau = (motions[name].copy() for name in ("positions", "velocities", "torques"))
        if rng.random() < _NOISY:
            effort = effort_scale(self._robot)
            for values, most, scale in zip((q, v, tau), _NOISE, (np.ones(1), np.ones(1), effort), strict=True):
                values += most * rng.random() * scale * rng.standard_normal(values.shape)
        commanded = (motions["commanded"], motions["commanded_velocities"])
        stretch = stretch_of(self._config.period, q, v, tau, commanded)
        length = min(T, LONGEST) if rng.random() < 0.5 else int(rng.integers(SHORTEST, min(T, LONGEST) + 1))
        first = int(rng.integers(T - length + 1))
        return stretch.part(slice(None), slice(first, first + length))
