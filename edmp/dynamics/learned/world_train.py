"""Training a world model; `edmp.learning.training` has the run.

At the end the run's folder holds ``world.safetensors`` with its model card ``world.md``, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edmp.dynamics.learned.world import WorldConfig, WorldNetwork
from edmp.dynamics.learned.world_model import ARCHITECTURE, world_of
from edmp.dynamics.learned.world_windows import WorldWindows
from edmp.learning.card import Card, configured, metric_rows, untrained_card
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, export, first_weights, opened, trained
from edmp.robots.robot import Robot

WORLD_NAME = "world.safetensors"
SETTINGS: dict[str, Any] = {
    "batch_size": 128,
    "learning_rate": 1e-3,
    "warmup_steps": 100,
    "ema_decay": 0.998,
    "max_validation": 1024,
}
"""What differs from `TrainSettings`: few steps."""


def train_world(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a world model on the windows in ``data_dir``.

    Args:
        data_dir: see `edmp.dynamics.learned.world_windows`; may still be growing.
        out: folder of the run; created.
        robot: whose relatives moved.
        settings: of the training; ``config`` replaces numbers of `WorldConfig`.
        resume: go on from the folder's checkpoint, if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.

    Raises:
        InvalidInputError: the data are another robot's, or sizes do not fit them.
    """
    config = configured(WorldConfig, settings.config, of=ARCHITECTURE)
    out = opened(out, settings)
    data = WorldWindows(data_dir, robot, config, validation_fraction=settings.validation_fraction)
    with first_weights(settings):
        network = WorldNetwork(config, robot.dof)
    network.fit(data.train)
    card = untrained_card(ARCHITECTURE, config, robot, seed=settings.seed, command=command)
    run = TrainingRun(network, card, settings)
    return trained(run, data, out, settings, resume=resume, ship=_export, name=WORLD_NAME, on_step=on_step)


def _export(run_dir: Path, path: Path) -> Card:
    return export(run_dir, path, build=world_of, describe=model_card)


def model_card(card: Card, *, num_parameters: int, size: int) -> str:
    """The card as Markdown."""
    config = ", ".join(f"{key} {value}" for key, value in card.config.items())
    beside = (
        "the arm as described" if card.config.get("nominal") == "described" else "the arm as edmp identify finds it"
    )
    return "\n".join(
        [
            f"# A world model of arms like {card.robot}",
            "",
            f"A simulated arm for `edmp execute --driver learned`: what it does beside {beside}, drawn frame by frame.",
            "",
            f"- Network: `{card.architecture}` ({config}), {num_parameters / 1e6:.2f} M weights, {size / 1e6:.1f} MB.",
            f"- Date: {card.date}. Seed: {card.seed}. torch {torch.__version__}.",
            f"- Command: `{card.command or 'not recorded'}`",
            "- It knows no contacts, no torques, and no arms unlike those of its data.",
            "- Licence: that of edmp (Apache-2.0); all data self-made.",
            "",
            *metric_rows(card),
            "",
            "Losses are those of EDM at random noise levels. The validation loss is that of the averaged weights on "
            "arms held out.",
            "",
            "```json",
            json.dumps(card.data, indent=2),
            "```",
            "",
        ]
    )
