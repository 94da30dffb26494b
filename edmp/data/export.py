"""From a training run to the file that ships: averaged weights and a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from edmp.learning.card import Card
from edmp.learning.training import export
from edmp.prior.checkpoint import build_network
from edmp.prior.conditions import CONDITIONS


def export_prior(run_dir: str | Path, path: str | Path, *, command: str | None = None, half: bool = True) -> Card:
    """Write the averaged weights of a training run to ``path`` (.safetensors) and a model card beside it (.md).

    Args:
        run_dir: folder that `edmp.data.train.train` wrote.
        path: of the weights file.
        command: that made the prior, for the card; None keeps the one of the run.
        half: store weights as float16.
    """
    return export(run_dir, path, build=build_network, describe=model_card, command=command, half=half)


def model_card(card: Card, *, num_parameters: int, size: int) -> str:
    """The card as Markdown; everything in it comes from the metadata."""
    config = ", ".join(f"{key} {value}" for key, value in card.config.items())
    rows = [f"| {key} | {_number(value)} |" for key, value in card.metrics.items()]
    return "\n".join(
        [
            *_heading(card),
            "",
            f"- Architecture: `{card.architecture}` ({config}), {num_parameters / 1e6:.2f} M parameters, "
            f"{size / 1e6:.1f} MB.",
            f"- Date: {card.date}. Seed: {card.seed}. torch {torch.__version__}.",
            f"- Command: `{card.command or 'not recorded'}`",
            f"- Normalised by joint limits: lower {_vector(card.lower)}, upper {_vector(card.upper)}.",
            "- Licence: that of edmp (Apache-2.0); all data self-made.",
            "",
            "## Metrics",
            "",
            "| metric | value |",
            "|---|---|",
            *rows,
            "",
            "Losses are dimensionless, lower is better: squared error of the denoised motion at random noise levels; "
            "for mlp and scene relative to the best linear denoiser, which scores 1. The validation loss is that of "
            "the averaged weights on scenes held out of training.",
            "",
            "## Data",
            "",
            "```json",
            json.dumps(card.data, indent=2),
            "```",
            "",
        ]
    )


def _heading(card: Card) -> list[str]:
    """Title, what it is, and where it comes from if not from data alone."""
    if card.architecture == "value":
        lines = [
            f"# Value of motions of {card.robot}",
            "",
            f"What samples of a prior for `{card.robot}` ({card.dof} joints) are worth, and whether repair makes them "
            "free: learned from what came of such. It ranks; costs and judge decide.",
        ]
    else:
        lines = [
            f"# Motion prior for {card.robot}",
            "",
            f"A diffusion prior over joint motions of `{card.robot}` ({card.dof} joints): what good motion between two "
            f"configurations looks like, {_knows(card)}. "
            "It proposes; costs and judge decide.",
        ]
    if card.one_call:
        lines += ["", "One call gives a sample: it is called once, whatever number of denoising steps is asked for."]
    if card.origin:
        lines += ["", f"Comes from: {card.origin}."]
    return lines


def _knows(card: Card) -> str:
    if card.architecture != "scene":
        return "knowing nothing of the scene"
    return f"and {CONDITIONS[card.config.get('condition', 'estimate')].knows}"


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _vector(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:.4f}" for value in values) + "]"
