"""Constraints as plain data, as problem files (YAML) and plan files (JSON) hold them: one mapping each.

    - {type: upright, tolerance: 0.1, axis: [0, 0, 1], up: [0, 0, 1], frame: panda_hand}
    - {type: oriented, tolerance: [0.1, 0.1, null], quaternion: [1, 0, 0, 0]}          # or rpy; null: no bound
    - {type: in_box, size: [0.4, 0.4, null], position: [0.5, 0, 0.3], rpy: [0, 0, 0.5]}
    - {type: in_region, region: tray}
    - {type: in_sphere, radius: 0.2, point: [0.5, 0, 0.4], offset: [0, 0, 0.1]}       # a point of the frame
    - {type: on_plane, point: [0, 0, 0.4], normal: [0, 0, 1], tolerance: 0.005}
    - {type: on_line, point: [0.5, 0, 0.4], direction: [0, 1, 0], tolerance: 0.005}
    - {type: look_at, point: [0.6, 0, 0.2], tolerance: 0.2, axis: [0, 0, 1]}
    - {type: joint_range, joint: panda_joint4, lower: -2.0, upper: -1.0}
    - {type: keep_distance, obstacle: shelf, distance: 0.05}

Keys are the fields of the classes; what has a default there may be left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edmp.arguments import shown
from edmp.constraints.base import Constraint
from edmp.constraints.findings import Kept
from edmp.constraints.kinds import JointRange, KeepDistance, LookAt, Oriented, Upright
from edmp.constraints.places import InBox, InRegion, InSphere, OnLine, OnPlane
from edmp.errors import InvalidInputError
from edmp.files.json_nodes import JsonNode
from edmp.geometry.poses import pose, pose_rpy, quaternion_of

Document = dict[str, Any]

KINDS: Mapping[str, type[Constraint]] = {
    "upright": Upright,
    "oriented": Oriented,
    "in_box": InBox,
    "in_region": InRegion,
    "in_sphere": InSphere,
    "on_plane": OnPlane,
    "on_line": OnLine,
    "look_at": LookAt,
    "joint_range": JointRange,
    "keep_distance": KeepDistance,
}
"""Constraints by the name of their type in files."""

_NAME_OF = {kind: name for name, kind in KINDS.items()}
_POSES = {"X_WO": ("position", "quaternion", "rpy"), "rotation": ("quaternion", "rpy")}
"""Fields that files write as a position and a rotation, and their keys there."""
_FOUND = ("box",)
"""Fields that are found in the scene."""


def document_of(constraint: Constraint) -> Document:
    """A constraint as plain data.

    Raises:
        InvalidInputError: it is of a kind that files do not know.
    """
    if type(constraint) not in _NAME_OF:
        raise InvalidInputError(f"no file knows constraints of type {type(constraint).__name__}")
    document: Document = {"type": _NAME_OF[type(constraint)]}
    for field in _fields(type(constraint)):
        value = getattr(constraint, field)
        if field in _POSES:
            X = value if field == "X_WO" else pose((0, 0, 0), value)
            if field == "X_WO":
                document["position"] = X[:3, 3].tolist()
            document["quaternion"] = quaternion_of(X).tolist()
        elif value is not None:
            document[field] = _plain(value)
    return document


def constraint_of(document: Any) -> Constraint:
    """The inverse of `document_of`.

    Raises:
        InvalidInputError: it is none; says what is wrong.
    """
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"expected a mapping with the key type, got {shown(document)}")
    name = document.get("type")
    if not isinstance(name, str) or name not in KINDS:
        raise InvalidInputError(f"unknown type of constraint {shown(name)}; valid: {', '.join(KINDS)}")
    kind = KINDS[name]
    keys = [key for field in _fields(kind) for key in _POSES.get(field, (field,))]
    if unknown := [key for key in document if key not in ("type", *keys)]:
        raise InvalidInputError(f"unknown key {unknown[0]!r} of {name}; valid: {', '.join(keys)}")
    given = {key: _unbounded(value) for key, value in document.items() if key in keys and value is not None}
    for field, parts in _POSES.items():
        if field in _fields(kind):
            values = {key: given.pop(key) for key in parts if key in given}
            given[field] = _pose(name, values) if field == "X_WO" else _pose(name, values)[:3, :3]
    if missing := [one for one in _fields(kind) if one not in given and _needed(kind, one)]:
        raise InvalidInputError(f"missing key {missing[0]!r} of {name}; valid: {', '.join(keys)}")
    return kind(**given)


def kept_document(kept: Kept) -> Document:
    """What was proved of a constraint, as plain data; the words of the constraint are for a person."""
    worst = float(kept.worst) if math.isfinite(kept.worst) else None
    document = {"constraint": str(kept.constraint), "worst": worst, "bound": float(kept.bound)}
    return {**document, "unit": kept.unit, "single": kept.single, "edge": kept.edge}


def kept_of(node: JsonNode, constraint: Constraint) -> Kept:
    """The inverse of `kept_document`, of this constraint.

    Raises:
        FileFormatError: names the place.
    """
    worst, edge = node.get("worst"), node.get("edge")
    return Kept(
        constraint,
        math.inf if worst is None else worst.number(),
        node["bound"].number(),
        node["unit"].one_of(("rad", "m")),
        node["single"].boolean(),
        None if edge is None else edge.integer(),
    )


def _fields(kind: type[Constraint]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name not in _FOUND]  # type: ignore[arg-type]


def _needed(kind: type[Constraint], name: str) -> bool:
    field = next(field for field in dataclasses.fields(kind) if field.name == name)  # type: ignore[arg-type]
    return field.default is dataclasses.MISSING


def _pose(name: str, given: Mapping[str, Any]) -> Any:
    """(4, 4) of the keys position, and quaternion or rpy."""
    position = given.get("position", (0.0, 0.0, 0.0))
    if "rpy" in given and "quaternion" in given:
        raise InvalidInputError(f"{name}: give either quaternion or rpy, not both")
    if "rpy" in given:
        return pose_rpy(position, given["rpy"])
    return pose(position, given.get("quaternion"))


def _unbounded(value: Any) -> Any:
    """None in a list of numbers stands for no bound."""
    return [math.inf if one is None else one for one in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Numbers as JSON and YAML know them: without infinity, for which None stands."""
    if isinstance(value, str):
        return value
    if np.ndim(value):
        return [float(one) if math.isfinite(one) else None for one in value]
    return float(value)
