"""What a scene file says of an object to be picked up: ``pick: {object: can, at: {position: ...}}``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.files.yaml_nodes import YamlNode

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PickEntry:
    """An object to be picked up.

    Attributes:
        object: name of the obstacle.
        at: poses (4, 4) of its frame in the world, one of which is where it is to go; empty if it is only lifted.
    """

    object: str
    at: tuple[Array, ...] = ()


def pick_of_yaml(node: YamlNode, pose_of: Callable[[YamlNode], Array]) -> PickEntry:
    """The entry under ``pick``; ``pose_of`` reads a pose."""
    node.only("object", "at")
    at = node.get("at")
    poses = () if at is None else tuple(pose_of(one) for one in at) if at.is_list else (pose_of(at),)
    return PickEntry(node.need("object").text(), poses)


def pick_document(entry: PickEntry, pose_document: Callable[[Array], Any]) -> dict[str, Any]:
    """The inverse of `pick_of_yaml`."""
    poses = [pose_document(X) for X in entry.at]
    return {"object": entry.object, **({"at": poses[0] if len(poses) == 1 else poses} if poses else {})}
