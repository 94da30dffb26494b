"""Priors on disk: safetensors with a JSON description in the header. Nothing here ever unpickles.

The header's metadata holds one entry, ``edmp``, a JSON object (`Card`). An architecture is one row of `ARCHITECTURES`.
Bundled weights lie beside this module in ``weights/<name>.safetensors`` with a model card ``<name>.md``.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edmp.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.reading import is_file
from edmp.files.writing import written_whole
from edmp.prior.process import ProcessPrior
from edmp.robots.robot import Robot

FORMAT_VERSION = 1
WEIGHTS_DIR = Path(__file__).parent / "weights"
_METADATA_KEY = "edmp"
MAX_JOINTS = 1000
MAX_PARAMETERS = 1 << 28
"""Cards that ask for a larger network are refused before memory is taken."""

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
    "unet": "edmp.baselines.edmp_paper.ddpm",
}
"""The module of each architecture, which is imported when it is asked for."""


def architecture(name: str) -> Architecture:
    """The row of the registry called ``name``."""
    if name not in ARCHITECTURES:
        raise unknown_name("prior architecture", name, ARCHITECTURES)
    return importlib.import_module(ARCHITECTURES[name]).ARCHITECTURE


@dataclass(frozen=True)
class Card:
    """What is known of a trained prior; the JSON in a weights file.

    Attributes:
        architecture: row of `ARCHITECTURES`.
        config: the architecture's config as a dict.
        robot: name of the robot it was trained for.
        dof: number of joints.
        lower, upper: joint limits used for the normalisation [rad or m].
        data: manifest of the data set.
        seed: of the training.
        command: that produced it.
        date: ISO date of the export.
        metrics: final numbers of the training.
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
        )


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and a JSON description to ``path``, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {_METADATA_KEY: json.dumps(metadata)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=header)


def read_header(path: Path) -> JsonNode:
    """The JSON description in the file's header; `FileFormatError` tells what is wrong with a file that has none."""
    if not is_file(path):
        raise FileFormatError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(f"{path}: {_diagnosis(path)} ({error})") from None
    if _METADATA_KEY not in metadata:
        raise FileFormatError(f"{path}: a safetensors file, but not one written by edmp (no {_METADATA_KEY!r} entry)")
    # A training that has not been validated yet has a loss that is no number.
    return parse_json(metadata[_METADATA_KEY], f"{path}: its description of the prior", constants=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], JsonNode]:
    """The tensors of a file written by `write_tensors`, on the CPU, and its JSON description."""
    header = read_header(path)
    return load_tensors(path), header


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        FileFormatError: it is none, or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    # Besides its own errors: types of numbers that this torch does not have, and files cut off meanwhile.
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise FileFormatError(f"{path}: not tensors, or a truncated file ({error})") from None


def load_state(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Give a network the tensors of a file, as float32.

    Raises:
        FileFormatError: they are not those of the network, or not finite.
    """
    try:
        state = {name: tensor.float() for name, tensor in tensors.items()}
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(f"{path}: its tensors do not fit its config: {error}") from None
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise FileFormatError(f"{path}: not finite: {', '.join(broken)}")


def _diagnosis(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    if size == 0:
        return "the file is empty"
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return "a pickle or torch.save file; edmp reads safetensors only, because unpickling runs code"
    if head.startswith(b"version "):
        return "a Git LFS pointer, not the weights: run `git lfs pull`"
    if len(head) == 8 and head[7] == 0 and 2 <= struct.unpack("<Q", head)[0] < 100_000_000:
        return "a truncated or damaged safetensors file"
    return "not a safetensors file"


def save_prior(path: str | Path, network: nn.Module, card: Card, *, half: bool = True) -> None:
    """Write a network's weights with its card. ``half`` stores weights as float16 (buffers stay float32)."""
    buffers = {name for name, _ in network.named_buffers()}
    tensors = {
        name: tensor.half() if half and name not in buffers and tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    write_tensors(Path(path), tensors, dataclasses.asdict(card))


def read_card(path: str | Path) -> Card:
    """The card of a weights file; reads the header only."""
    return Card.of(read_header(Path(path)))


def build_network(card: Card, path: Path | str = "prior") -> nn.Module:
    """An untrained network of the card's architecture and config.

    Raises:
        FileFormatError: no such architecture, or a config that makes no sense.
    """
    if card.architecture not in ARCHITECTURES:
        raise FileFormatError(f"{path}: {unknown_name('prior architecture', card.architecture, ARCHITECTURES)}")
    row = architecture(card.architecture)
    return built(card, row.config, lambda config: row.network(config, card.dof), path)


Network = TypeVar("Network", bound=nn.Module)


def built(card: Card, config: type, network: Callable[[Any], Network], path: Path | str) -> Network:
    """The network of a card's config, once it is known that it is no larger than `MAX_PARAMETERS`.

    Raises:
        FileFormatError: the config makes no sense, or the network is too large.
    """
    try:
        sizes = config(**{k: tuple(v) if isinstance(v, list) else v for k, v in card.config.items()})
        # A default device costs a second of imports: none is set where nothing is to be feared.
        if Path(path).parent != WEIGHTS_DIR:
            with torch.device("meta"):  # shapes alone: no memory is taken
                count = sum(tensor.numel() for tensor in network(sizes).state_dict().values())
            if count > MAX_PARAMETERS:
                raise ValueError(f"{count} parameters, at most {MAX_PARAMETERS}")
        if torch.get_default_device().type == "cpu":
            return network(sizes)
        with torch.device("cpu"):
            return network(sizes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path}: bad {card.architecture} config {card.config!s:.300}: {error}") from None


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
    return architecture(card.architecture).prior(network, robot_name=card.robot)


def default_prior(robot: Robot) -> object:
    """The bundled prior of the robot's name if there is one, else the process prior, with a notice logged once."""
    if robot.name in bundled_priors():
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
    bundled = bundled_priors()
    text = str(name_or_path)
    if text in bundled:
        return bundled[text]
    path = Path(name_or_path).expanduser()
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        raise unknown_name("prior", text, ["process", *bundled, "a path to a .safetensors file"])
    return path
