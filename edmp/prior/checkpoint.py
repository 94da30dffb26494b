"""Priors on disk: networks with their cards (`edmp.learning.card`). An architecture is one row of `ARCHITECTURES`.

Bundled weights lie beside this module in ``weights/<name>.safetensors`` with a model card ``<name>.md``.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from edmp.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.learning.card import Card, built, read_card
from edmp.learning.tensors import load_state, read_tensors
from edmp.prior.base import Prior
from edmp.prior.process import ProcessPrior
from edmp.robots.robot import Robot

WEIGHTS_DIR = Path(__file__).parent / "weights"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """One row of the registry; a module holds its own as ``ARCHITECTURE``.

    Attributes:
        config: frozen dataclass of sizes, JSON-serialisable.
        network: ``network(config, dof)``; an nn.Module with ``set_statistics(control_points, lower, upper)`` and
            ``loss(control_points, generator) -> (n,)``, whose buffers hold the normalisation.
        prior: ``prior(network, robot_name=...)`` makes the trained network a `Prior`, or something else that only its
            own planner takes.
    """

    config: type
    network: Callable[[Any, int], nn.Module]
    prior: Callable[..., object]


ARCHITECTURES: dict[str, str] = {
    "mlp": "edmp.prior.mlp",
    "scene": "edmp.prior.scene",
    "value": "edmp.prior.value",
    "unet": "edmp.baselines.edmp_paper.ddpm",
}
"""The module of each architecture, which is imported when it is asked for."""


def architecture(name: str) -> Architecture:
    """The row of the registry called ``name``."""
    if name not in ARCHITECTURES:
        raise unknown_name("prior architecture", name, ARCHITECTURES)
    return importlib.import_module(ARCHITECTURES[name]).ARCHITECTURE


def build_network(card: Card, path: Path | str = "prior") -> nn.Module:
    """An untrained network of the card's architecture and config.

    Raises:
        FileFormatError: no such architecture, or a config that makes no sense.
    """
    if card.architecture not in ARCHITECTURES:
        raise FileFormatError(f"{path}: {unknown_name('prior architecture', card.architecture, ARCHITECTURES)}")
    row = architecture(card.architecture)
    ours = Path(path).parent == WEIGHTS_DIR
    return built(card, row.config, lambda config: row.network(config, card.dof), path, trusted=ours)


def load_network(path: str | Path) -> tuple[nn.Module, Card]:
    """The network of a weights file, float32 on the CPU, and its card."""
    path = Path(path)
    tensors, header = read_tensors(path)
    card = Card.of(header)
    network = build_network(card, path)
    load_state(network, tensors, path)
    return network, card


def bundled_priors() -> dict[str, Path]:
    """Weights that ship with edmp, by name."""
    return {path.stem: path for path in sorted(WEIGHTS_DIR.glob("*.safetensors"))}


def load_prior(name_or_path: str | Path, robot: Robot) -> object:
    """A prior for ``robot``; a `Prior`, if its architecture is one of splines.

    Args:
        name_or_path: ``"process"``, the name of a bundled prior, or a path to a weights file.
        robot: must be the robot the prior was trained for.

    Raises:
        UnknownNameError: no such name; the message lists the valid ones.
        FileFormatError: not a weights file of edmp, or a damaged one.
        InvalidInputError: trained for another robot.
    """
    if name_or_path == "process":
        return ProcessPrior.for_robot(robot)
    path = prior_path(name_or_path)
    card = read_card(path)
    if (card.robot, card.dof) != (robot.name, robot.dof):
        raise InvalidInputError(
            f"{path} is a prior for {card.robot!r} with {card.dof} joints, not for {robot.name!r} with {robot.dof}; "
            f"use prior='process' or train one (edmp train)"
        )
    network, card = load_network(path)
    prior = architecture(card.architecture).prior(network, robot_name=card.robot)
    return dataclasses.replace(prior, one_call=True) if card.one_call and isinstance(prior, Prior) else prior


def default_prior(robot: Robot) -> object:
    """The bundled prior of the robot's name, and of its number of joints, if there is one; else the process prior, with
    a notice logged once."""
    path = bundled_priors().get(robot.name)
    if path is not None and read_card(path).dof == robot.dof:
        return load_prior(robot.name, robot)
    if robot.name not in _noticed:
        _noticed.add(robot.name)
        log.warning("no trained prior for robot %r: using the Gaussian-process prior", robot.name)
    return ProcessPrior.for_robot(robot)


_noticed: set[str] = set()


def prior_info(name_or_path: str | Path) -> dict[str, Any]:
    """What a weights file says of itself: its card, path, size [bytes] and number of parameters."""
    path = prior_path(name_or_path)
    card = read_card(path)
    network = build_network(card, path)
    return {
        "path": str(path),
        "size_bytes": path.stat().st_size,
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
        **dataclasses.asdict(card),
    }


def prior_path(name_or_path: str | Path) -> Path:
    """The weights file of a bundled prior by its name, or the path as it is given."""
    bundled = bundled_priors()
    text = str(name_or_path)
    if text == "process":
        raise InvalidInputError(
            f"the prior 'process' is a Gaussian process: it has no weights; these have: {', '.join(bundled)}"
        )
    if text in bundled:
        return bundled[text]
    path = Path(name_or_path).expanduser()
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        raise unknown_name("prior", text, ["process", *bundled, "a path to a .safetensors file"])
    return path
