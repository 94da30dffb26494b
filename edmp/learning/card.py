"""What is known of a trained network, and its weights with it in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from edmp.errors import FileFormatError, InvalidInputError, UnknownNameError
from edmp.files.json_nodes import JsonNode
from edmp.learning.tensors import load_state, read_header, read_tensors, write_tensors

FORMAT_VERSION = 1
MAX_JOINTS = 1000
MAX_PARAMETERS = 1 << 28
"""Cards that ask for a larger network are refused before memory is taken."""


Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


class JointLimits(Protocol):
    """Lower and upper (dof,) of each joint [rad or m]."""

    @property
    def lower(self) -> Any: ...
    @property
    def upper(self) -> Any: ...


class Arm(Protocol):
    """What a card says of a robot."""

    @property
    def name(self) -> str: ...
    @property
    def dof(self) -> int: ...
    @property
    def limits(self) -> JointLimits: ...


@dataclass(frozen=True)
class Card:
    """What is known of a trained network; the JSON in a weights file.

    Attributes:
        architecture: what kind of network it is.
        config: the architecture's config as a dict.
        robot: name of the robot it was trained for.
        dof: number of joints.
        lower, upper: joint limits used for the normalisation [rad or m].
        data: manifest of the data set.
        seed: of the training.
        command: that produced it.
        date: ISO date of the export.
        metrics: final numbers of the training.
        one_call: tuned to give a sample in one call.
        origin: the network and the method that it was tuned by, empty if it was trained from nothing.
        version: of this format.
    """

    architecture: str
    config: dict[str, Any]
    robot: str
    dof: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    data: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    command: str = ""
    date: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    one_call: bool = False
    origin: str = ""
    version: int = FORMAT_VERSION

    @classmethod
    def of(cls, node: JsonNode) -> Card:
        """The card in a JSON object; keys that this edmp does not know are left out.

        Raises:
            FileFormatError: names the place.
        """
        version = node.get("version")
        if version is not None and version.integer() > FORMAT_VERSION:
            node.fail(f"format version {version.value}, but this edmp reads up to {FORMAT_VERSION}: upgrade edmp")
        dof = node["dof"].integer(1, MAX_JOINTS)
        seed, command, date = (node.get(key) for key in ("seed", "command", "date"))
        data, metrics = (node.get(key) for key in ("data", "metrics"))
        one_call, origin = (node.get(key) for key in ("one_call", "origin"))
        return cls(
            architecture=node["architecture"].text(),
            config=node["config"].keys_plain(),
            robot=node["robot"].text(),
            dof=dof,
            lower=tuple(node["lower"].array(dof).tolist()),
            upper=tuple(node["upper"].array(dof).tolist()),
            data={} if data is None else data.keys_plain(),
            seed=0 if seed is None else seed.integer(0, 2**64),
            command="" if command is None else command.text(),
            date="" if date is None else date.text(),
            metrics={} if metrics is None else metrics.keys_plain(),
            one_call=False if one_call is None else one_call.boolean(),
            origin="" if origin is None else origin.text(),
        )


def untrained_card(architecture: str, config: Any, robot: Arm, *, seed: int = 0, command: str = "") -> Card:
    """The card of a network that has not been trained yet; ``config`` is a dataclass."""
    lower, upper = (tuple(map(float, bound)) for bound in (robot.limits.lower, robot.limits.upper))
    sizes = dataclasses.asdict(config)
    return Card(architecture, sizes, robot.name, robot.dof, lower, upper, seed=seed, command=command)


def save_network(path: str | Path, network: nn.Module, card: Card, *, half: bool = True) -> None:
    """Write a network's weights with its card. ``half`` stores weights as float16 (buffers stay float32)."""
    buffers = {name for name, _ in network.named_buffers()}
    tensors = {
        name: tensor.half() if half and name not in buffers and tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    write_tensors(Path(path), tensors, dataclasses.asdict(card))


def load_network(path: str | Path, build: Callable[[Card, Path | str], Network]) -> tuple[Network, Card]:
    """The network of a file that `save_network` wrote, for use, and its card; ``build`` makes it untrained.

    Raises:
        FileFormatError: it is no such file.
    """
    tensors, header = read_tensors(Path(path))
    card = Card.of(header)
    network = build(card, path)
    load_state(network, tensors, path)
    return network.eval().requires_grad_(False), card


def metric_rows(card: Card) -> list[str]:
    """The metrics as a table in Markdown."""
    rows = (
        f"| {key} | {value:.5g} |" if isinstance(value, float) else f"| {key} | {value} |"
        for key, value in card.metrics.items()
    )
    return ["| metric | value |", "|---|---|", *rows]


def read_card(path: str | Path) -> Card:
    """The card of a weights file; reads the header only."""
    return Card.of(read_header(Path(path)))


def configured(
    kind: Callable[..., Config], given: Mapping[str, Any], fixed: Mapping[str, Any] = MappingProxyType({}), *, of: str
) -> Config:
    """The config ``kind``, a dataclass, with values that a user gave and values that are ``fixed``.

    Raises:
        InvalidInputError: names what it is the config ``of``, what is wrong, and what it has.
    """
    try:
        return kind(**fixed, **given)
    except (TypeError, ValueError) as error:
        valid = ", ".join(f.name for f in dataclasses.fields(kind) if f.name not in fixed)  # type: ignore[arg-type]
        raise InvalidInputError(f"bad config for {of}: {error}; it has {valid}") from None


def completed(written: Mapping[str, Any], network: Any) -> dict[str, Any]:
    """A config as an earlier edmp wrote it, with the defaults of what came later.

    Args:
        written: as read from a file.
        network: one of the same kind, whose ``config`` is a dataclass; a config within the config is that of the part
            of the network that has the same name.
    """
    done, config = dict(written), getattr(network, "config", None)
    for one in dataclasses.fields(config) if dataclasses.is_dataclass(config) else ():
        if one.name not in done and one.default is not dataclasses.MISSING:
            done[one.name] = json.loads(json.dumps(one.default))
        elif isinstance(done.get(one.name), dict):
            done[one.name] = completed(done[one.name], getattr(network, one.name, None))
    return done


def built(
    card: Card, config: type, network: Callable[[Any], Network], path: Path | str, *, trusted: bool = False
) -> Network:
    """The network of a card's config, once it is known that it is no larger than `MAX_PARAMETERS`; or ``trusted``.

    Raises:
        FileFormatError: the config makes no sense, or the network is too large.
    """
    try:
        sizes = config(**{k: tuple(v) if isinstance(v, list) else v for k, v in card.config.items()})
        if not trusted:  # a default device costs a second of imports: none is set where nothing is to be feared
            with torch.device("meta"):  # shapes alone: no memory is taken
                count = sum(tensor.numel() for tensor in network(sizes).state_dict().values())
            if count > MAX_PARAMETERS:
                raise ValueError(f"{count} parameters, at most {MAX_PARAMETERS}")
        if torch.get_default_device().type == "cpu":
            return network(sizes)
        with torch.device("cpu"):
            return network(sizes)
    except (TypeError, ValueError, RuntimeError, UnknownNameError) as error:
        raise FileFormatError(f"{path}: bad {card.architecture} config {card.config!s:.300}: {error}") from None
