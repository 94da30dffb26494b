"""Weights of the policy: edmp's own files, and the names in the checkpoint that was published with the paper."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edmp.baselines.mpinets.compact import CompactConfig, CompactNetwork
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.card import Card, built, read_card, untrained_card
from edmp.learning.tensors import load_state, load_tensors
from edmp.robots.robot import Robot

ARCHITECTURES = {"published": "mpinets", "compact": "mpinets-compact"}
"""Networks by the names that one chooses by, and as cards call them."""
OFFICIAL_SUFFIXES = (".ckpt", ".pt", ".pth")

OFFICIAL_LIMITS = (
    (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, 0.5, -2.8973),
    (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.75, 2.8973),
)
"""Lower and upper limits [rad] that scale the published policy's joints (robofin's FrankaRealRobot): those of joint 6
are narrower than the manufacturer's."""

Policy = MpinetsNetwork | CompactNetwork


class MissingWeightsError(InvalidInputError):
    """Nobody has trained the policy for this robot; the message says how."""


def bundled_weights() -> dict[str, Path]:
    """Weights that ship with edmp, by robot."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}


def load_policy(robot: Robot, path: str | Path = "") -> Policy:
    """The trained policy of a robot, in evaluation mode.

    Args:
        robot: whose policy.
        path: a file that `edmp train --kind mpinets` wrote, or the paper's checkpoint (.ckpt); empty for what ships.

    Raises:
        MissingWeightsError: no path, and none ship for this robot.
        InvalidInputError: trained for another robot.
        FileFormatError: not such a file.
    """
    if not path:
        if robot.name not in bundled_weights():
            raise MissingWeightsError(
                f"Motion Policy Networks: no weights for robot {robot.name!r} (there are: "
                f"{', '.join(bundled_weights()) or 'none'}); make some with `edmp generate --robot {robot.name} --out "
                f"DATA` and `edmp train --kind mpinets --robot {robot.name} --data DATA --out RUN --max-seconds 4000`, "
                "and pass weights=RUN/mpinets.safetensors"
            )
        path = bundled_weights()[robot.name]
    path = Path(path).expanduser()
    if path.suffix in OFFICIAL_SUFFIXES:
        if robot.name != "panda":
            raise InvalidInputError(f"{path}: the published policy moves a Panda, not {robot.name!r}")
        return load_official(path)
    network, card = load_weights(path)
    if (card.robot, card.dof) != (robot.name, robot.dof):
        raise InvalidInputError(
            f"{path} is a policy for {card.robot!r} with {card.dof} joints, not for {robot.name!r} with {robot.dof}"
        )
    return network


def load_weights(path: str | Path) -> tuple[Policy, Card]:
    """The policy of a file that `edmp train --kind mpinets` wrote, float32 on the CPU, and its card."""
    path = Path(path)
    card = read_card(path)
    if card.architecture not in ARCHITECTURES.values():
        known = " or ".join(map(repr, ARCHITECTURES.values()))
        raise FileFormatError(f"{path}: weights of architecture {card.architecture!r}, not {known}")
    tensors = load_tensors(path)
    network = network_of(card, path)
    _load(network, tensors, path)
    return network, card


def network_of(card: Card, path: str | Path) -> Policy:
    """The untrained network that a card describes."""
    if card.architecture == ARCHITECTURES["compact"]:
        return built(card, CompactConfig, lambda config: CompactNetwork(config, card.lower, card.upper), path)
    return built(card, MpinetsConfig, lambda config: MpinetsNetwork(config, card.lower, card.upper), path)


def load_official(path: str | Path, config: MpinetsConfig | None = None) -> MpinetsNetwork:
    """The policy in a checkpoint of the published code; the pickle in it may hold tensors and plain data only.

    Args:
        path: PyTorch Lightning's file, whose ``state_dict`` counts.
        config: sizes; the published ones if None.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # All that torch, and the unpickler and zip reader under it, say of a damaged file.
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise FileFormatError(f"{path}: not a checkpoint that can be read without running it ({error})") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise FileFormatError(f"{path}: a checkpoint of PyTorch Lightning has a state_dict, this has none")
    network = MpinetsNetwork(config or MpinetsConfig(), *OFFICIAL_LIMITS)
    own: dict[str, Tensor] = {"lower": network.lower, "upper": network.upper}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise FileFormatError(f"{path}: {name!r} is a {type(tensor).__name__}, not a tensor")
        own[own_name(str(name), path)] = tensor[..., 0, 0] if tensor.ndim == 4 else tensor  # a 1 x 1 convolution
    for i, radius in enumerate((network.config.radius_1, network.config.radius_2)):
        if (first := f"local.{i}.mlp.0.weight") in own:  # offsets are in metres there, in radii here
            own[first] = torch.cat([own[first][:, :3] * radius, own[first][:, 3:]], dim=1)
    _load(network, own, path)
    return network


# The published network calls its parts so. Within a shared MLP, layer k is `layer{k}.conv` in the pointnet2_ops that
# the authors forked, and number 2k in the original's version 3, where ReLUs stand between.
_LAYER = re.compile(
    r"point_cloud_encoder\.SA_modules\.(?P<part>[0-2])\.mlps\.0\.(layer(?P<k>\d+)\.conv|(?P<k2>\d+))\.(?P<what>\w+)"
)
_PARTS = ("local.0.mlp", "local.1.mlp", "whole")
_PREFIXES = {"point_cloud_encoder.fc_layer.": "fc.", "feature_encoder.": "encoder.", "decoder.": "decoder."}


def own_name(official: str, path: str | Path = "checkpoint") -> str:
    """Our name of a parameter of the published network."""
    if match := _LAYER.fullmatch(official):
        number = 2 * int(match["k"]) if match["k"] else int(match["k2"])
        return f"{_PARTS[int(match['part'])]}.{number}.{match['what']}"
    for prefix, own in _PREFIXES.items():
        if official.startswith(prefix):
            return own + official.removeprefix(prefix)
    raise FileFormatError(f"{path}: {official!r} is no parameter of a Motion Policy Network")


def _load(network: Policy, tensors: Mapping[str, Any], path: Path) -> None:
    load_state(network, tensors, path)
    network.eval().requires_grad_(False)


def card_of(config: MpinetsConfig | CompactConfig, robot: Robot, *, seed: int, command: str) -> Card:
    """What is known of a policy before it is trained."""
    architecture = ARCHITECTURES["compact" if isinstance(config, CompactConfig) else "published"]
    return untrained_card(architecture, config, robot, seed=seed, command=command)
