"""The model card of a trained policy, as Markdown; everything in it comes from the metadata of its file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from edmp.baselines.mpinets.network import MpinetsConfig
from edmp.baselines.mpinets.weights import ARCHITECTURES
from edmp.learning.card import Card

NOT_THE_PAPERS = (
    "These are not the weights that were published with the paper, and numbers measured with them say nothing about "
    "those: the authors trained on millions of motions of two experts, on GPUs."
)
DIFFERENCES = [
    "## How it differs from the published network",
    "",
    "- The robot and the target enter as poses (and the configuration), not as labelled points of the cloud.",
    "- Local set abstraction is centred on points fixed to the links and to the gripper at its target; each groups the "
    "nearest obstacle points in the frame of its link, and its code keeps its place instead of being pooled.",
    "- Each centre looks twice: at its nearest points among a few, far away, and among all, close by.",
    "- The scene as a whole is encoded once, not at every step, from the few points; the cloud is of what is in reach.",
    "- With `servo`, the network is shown the damped least-squares step towards the target, which the published "
    "network has to learn: a hint that makes the last centimetre easy.",
    "- Steps have one length [rad] in place of a fiftieth of the path; the loss looks at the joints too, and its "
    "collision term at the few points nearest to obstacles, a third of all points being on the gripper.",
    "- Paths that are not straight are drawn more often; some examples begin where the network's own last step led.",
    "- Experts reach a pose with the free configuration nearest to the start.",
    "",
]


def model_card(card: Card, *, num_parameters: int, size: int) -> str:
    """The card; ``size`` of the file is in bytes."""
    compact = card.architecture == ARCHITECTURES["compact"]
    title, sizes = ("compact", _sizes(card)) if compact else _beside_published(card)
    metrics = [f"| {k} | {f'{v:.5g}' if isinstance(v, float) else v} |" for k, v in card.metrics.items()]
    data = {key: value for key, value in card.data.items() if key != "rollouts"}
    return "\n".join(
        [
            f"# Motion Policy Network for {card.robot}{title and f', retrained here, {title}'}",
            "",
            "After the network of Fishman et al. 2022 (CoRL), trained by imitation on motions made by `edmp generate`. "
            + NOT_THE_PAPERS,
            "",
            f"- {num_parameters / 1e6:.2f} M parameters, {size / 1e6:.1f} MB. Date: {card.date}. Seed: {card.seed}. "
            f"torch {torch.__version__}.",
            f"- Command: `{card.command or 'not recorded'}`",
            *([f"- Comes from: {card.origin}."] if card.origin else []),
            "- Licence: that of edmp (Apache-2.0); all data self-made.",
            "",
            *(DIFFERENCES if compact else []),
            "## Sizes",
            "",
            *sizes,
            "",
            "## Metrics",
            "",
            "| metric | value |",
            "|---|---|",
            *metrics,
            "",
            "Losses are in metres, lower is better: mean distance of a robot point's coordinates from where the "
            "expert's step puts them, and the weighed collision loss. The validation loss is that of the averaged "
            "weights on scenes held out of training; `loss_standing_still` below is that of a policy that never moves.",
            "",
            *_curve(card.data.get("rollouts")),
            "## Data",
            "",
            "```json",
            json.dumps(data, indent=2),
            "```",
            "",
        ]
    )


def _curve(rollouts: Any) -> list[str]:
    """The learning curve of a compact policy, if there is one."""
    if not rollouts:
        return []
    columns = list(rollouts[-1])
    rows = ["| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rollouts]
    return [
        "## Learning curve",
        "",
        "Rollouts of the averaged weights on problems of held-out scenes: share solved (tool within 1 cm and 15 "
        "degrees, nothing touched), reached, that touched something, and solved by family. Among these problems are "
        "ones that a straight line solves; those of `edmp bench make` are not, and harder.",
        "",
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
        *rows,
        "",
    ]


def _sizes(card: Card) -> list[str]:
    return ["| size | here |", "|---|---|", *(f"| {name} | {_plain(value)} |" for name, value in card.config.items())]


def _beside_published(card: Card) -> tuple[str, list[str]]:
    """What to call a network of the published kind, and its sizes beside the published ones."""
    published = dataclasses.asdict(MpinetsConfig())
    rows = [
        f"| {name} | {_plain(value)} | {_plain(published[name])} |"
        for name, value in card.config.items()
        if name in published
    ]
    narrower = any(json.dumps(card.config[name]) != json.dumps(published[name]) for name in published)
    return ("narrower" if narrower else ""), ["| size | here | published |", "|---|---|---|", *rows]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
