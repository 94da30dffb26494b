"""Training a network that forecasts an arm's motion; `edmp.learning.training` has the run.

At the end the run's folder holds ``dynamics.safetensors`` with its model card ``dynamics.md``, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edmp.dynamics.learned.condition import ForecastConfig
from edmp.dynamics.learned.forecasting import network_of
from edmp.dynamics.learned.networks import network_kind
from edmp.dynamics.learned.windows import Windows
from edmp.errors import InvalidInputError
from edmp.learning.card import Card, configured, metric_rows, untrained_card
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, export, first_weights, opened, trained
from edmp.robots.robot import Robot

DYNAMICS_NAME = "dynamics.safetensors"
SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "warmup_steps": 100,
    "ema_decay": 0.995,
    "max_validation": 1024,
}
"""What differs from `TrainSettings`: few steps."""


def train(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    model: str,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a forecasting network on the windows in ``data_dir``.

    Args:
        data_dir: see `edmp.dynamics.learned.windows`; may still be growing.
        out: folder of the run; created.
        robot: whose relatives moved.
        model: ``"robomorph"``, ``"diffuser"``, ``"cdcnn"`` or ``"cdt"``.
        settings: of the training; ``config`` replaces sizes of `ForecastConfig`.
        resume: go on from the folder's checkpoint, if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.

    Raises:
        InvalidInputError: the data are another robot's, or sizes do not fit them.
    """
    kind, out = network_kind(model), opened(out, settings)
    data = Windows(data_dir, validation_fraction=settings.validation_fraction, device=settings.device)
    config = _config(data, robot, settings)
    with first_weights(settings):
        network = kind(config, robot.dof)
    network.normaliser.fit(data.train.cpu())
    card = untrained_card(model, config, robot, seed=settings.seed, command=command)
    run = TrainingRun(network, card, settings)
    return trained(run, data, out, settings, resume=resume, ship=_export, name=DYNAMICS_NAME, on_step=on_step)


def _config(data: Windows, robot: Robot, settings: TrainSettings) -> ForecastConfig:
    """The sizes of the data's windows, and those that were asked for."""
    shard = data.first
    assert shard is not None
    steps, columns = shard.windows.shape[1:]
    if (shard.robot, columns) != (robot.name, 3 * robot.dof):
        raise InvalidInputError(
            f"{data.data_dir} holds windows of {shard.robot!r} with {columns // 3} joints, not of {robot.name!r} with "
            f"{robot.dof}"
        )
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.config.items()}
    patch = given.get("patch", ForecastConfig.patch)
    context = patch * max(1, round(steps / 5 / patch)) if isinstance(patch, int) and patch > 0 else 1  # a fifth
    own: dict[str, Any] = {"num_steps": steps, "num_context": context, "dt": shard.dt, "drive": shard.drive}
    return configured(ForecastConfig, {**own, **given}, of="a forecast")


def _export(run_dir: Path, path: Path) -> Card:
    return export(run_dir, path, build=network_of, describe=model_card)


def model_card(card: Card, *, num_parameters: int, size: int) -> str:
    """The card as Markdown."""
    config = ", ".join(f"{key} {value}" for key, value in card.config.items())
    seconds, context = card.config["num_steps"] * card.config["dt"], card.config["num_context"] * card.config["dt"]
    return "\n".join(
        [
            f"# Dynamics of arms like {card.robot}, in context",
            "",
            f"Forecasts the joint positions of an arm that it has not met, from {context:g} s of its motion and "
            f"what drives it for {seconds:g} s.",
            "",
            f"- Network: `{card.architecture}` ({config}), {num_parameters / 1e6:.2f} M weights, {size / 1e6:.1f} MB.",
            f"- Date: {card.date}. Seed: {card.seed}. torch {torch.__version__}.",
            f"- Command: `{card.command or 'not recorded'}`",
            "- Licence: that of edmp (Apache-2.0); all data self-made.",
            "",
            *metric_rows(card),
            "",
            "Losses are dimensionless: squared error in standard deviations of the motion in training, at random noise "
            "levels but for robomorph. The validation loss is that of the averaged weights on arms held out.",
            "",
            "```json",
            json.dumps(card.data, indent=2),
            "```",
            "",
        ]
    )
