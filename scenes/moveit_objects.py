"""MoveIt's collision objects: a list of operations, worked off in order, in frames that are known by name."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.poses import inverse
from edmp.geometry.shapes import Shape
from edmp.scenes.moveit_nodes import mesh, primitive, read_pose
from edmp.scenes.scene import Obstacle

Array = NDArray[np.float64]
Piece = tuple[Shape, Array]


@dataclass(frozen=True)
class CollisionObject:
    """An object: ``X_WB`` (4, 4) is its pose, ``pieces`` are shapes with their poses in its frame."""

    name: str
    X_WB: Array
    pieces: tuple[Piece, ...]
    subframes: Mapping[str, Array] = field(default_factory=dict)

    @property
    def piece_names(self) -> tuple[str, ...]:
        """The object's own name if it has one piece, else ``name[0]``, ``name[1]``, ..."""
        count = len(self.pieces)
        return (self.name,) if count == 1 else tuple(f"{self.name}[{i}]" for i in range(count))

    def obstacles(self) -> list[Obstacle]:
        names = self.piece_names
        return [Obstacle(name, shape, self.X_WB @ X) for name, (shape, X) in zip(names, self.pieces, strict=True)]


@dataclass(frozen=True)
class HeldObject:
    """A piece of an object that a link carries: ``X_LA`` (4, 4) is its pose in the frame of ``link``."""

    name: str
    object: str
    shape: Shape
    X_LA: Array
    link: str
    touch_links: tuple[str, ...]


class Objects:
    """What there is after the operations so far.

    Args:
        frames: (4, 4) poses in the world of frames by name, besides the world and the objects themselves.
    """

    def __init__(self, frames: Mapping[str, Array]) -> None:
        self._robot = dict(frames)
        self._fixed = {"": np.eye(4), "world": np.eye(4), **frames}
        self.known: dict[str, CollisionObject] = {}

    def add_fixed(self, item: YamlNode) -> None:
        """An entry of fixed_frame_transforms. Where the robot stands is for the robot to say."""
        child, transform = item.get("child_frame_id"), item.get("transform")
        if child is None or transform is None:
            return
        name, X = child.text().lstrip("/"), self.frame(item, frame_id(item)) @ read_pose(transform)
        if name in self._robot and not np.allclose(X, self._robot[name], rtol=0.0, atol=1e-6):
            at = ", ".join(f"{value:.4g}" for value in self._robot[name][:3, 3])
            item.fail(f"this puts frame {name!r} elsewhere than the robot does, at ({at}); place the robot instead")
        self._fixed[name] = X

    def frame(self, node: YamlNode, name: str) -> Array:
        """(4, 4) pose in the world of a fixed frame, an object, or an object's subframe (``object/subframe``)."""
        name = name.lstrip("/")
        if name in self._fixed:
            return self._fixed[name]
        owner, _, sub = name.rpartition("/")
        if name in self.known:
            return self.known[name].X_WB
        if owner in self.known and sub in self.known[owner].subframes:
            return self.known[owner].X_WB @ self.known[owner].subframes[sub]
        there = [*filter(None, self._fixed), *self.known]
        node.fail(
            f"unknown frame {name!r}; known: {', '.join(map(repr, there))} "
            "(others can be given as fixed_frame_transforms; frames of a robot are known where it is)"
        )

    def apply(self, item: YamlNode) -> None:
        """Do what a collision object says: add, append, move or remove."""
        _APPLY[operation(item)](self, item)

    def parse(self, item: YamlNode) -> CollisionObject:
        """The object that an entry describes."""
        name = item.need("id").text()
        if not name:
            item.need("id").fail("an object needs a name")
        own = item.get("pose")
        X_FB = read_pose(own) if own else np.eye(4)
        X_WB = self.frame(item, frame_id(item)) @ X_FB
        planes = item.get("planes")
        if planes is not None and planes.items():
            planes.fail(f"object {name!r}: planes are not supported (they are infinite); use a large thin box instead")
        pieces = _pieces(item, "primitives", "primitive_poses", primitive)
        pieces += _pieces(item, "meshes", "mesh_poses", mesh)
        if len(pieces) == 1 and np.array_equal(X_FB, np.eye(4)):
            # As MoveIt: where only the shape has a pose, it is the object's.
            X_WB, pieces = X_WB @ pieces[0][1], [(pieces[0][0], np.eye(4))]
        return CollisionObject(name, X_WB, tuple(pieces), _subframes(item))

    def add(self, item: YamlNode) -> None:
        new = self._with_shapes(item)
        self.known[new.name] = new

    def append(self, item: YamlNode) -> None:
        new = self._with_shapes(item)
        if old := self.known.get(new.name):
            X_BN = inverse(old.X_WB) @ new.X_WB
            pieces = (*old.pieces, *((shape, X_BN @ X) for shape, X in new.pieces))
            new = replace(old, pieces=pieces, subframes={**old.subframes, **new.subframes})
        self.known[new.name] = new

    def remove(self, item: YamlNode) -> None:
        """Remove an object; all of them, if none is named."""
        name = node.text() if (node := item.get("id")) else ""
        if not name:
            self.known.clear()
        elif self.known.pop(name, None) is None:
            note(item, f"there is no object {name!r} to remove")

    def move(self, item: YamlNode) -> None:
        name = item.need("id").text()
        if name not in self.known:
            item.fail(f"there is no object {name!r} to move; known: {', '.join(self.known) or '(none)'}")
        old = self.known[name]
        own = item.get("pose")
        X_WB = self.frame(item, frame_id(item)) @ (read_pose(own) if own else np.eye(4))
        listed = [node for key in ("primitive_poses", "mesh_poses") if (node := item.get(key))]
        poses = [read_pose(X) for node in listed for X in node]
        pieces = old.pieces
        if poses:
            if len(poses) != len(pieces):
                item.fail(f"object {name!r} has {len(pieces)} shapes, so it cannot move to {len(poses)} poses")
            pieces = tuple((shape, X) for (shape, _), X in zip(pieces, poses, strict=True))
        self.known[name] = replace(old, X_WB=X_WB, pieces=pieces)

    def hold(self, item: YamlNode) -> list[HeldObject]:
        """The pieces of an attached object. One without shapes is the object of its name, taken out of the world."""
        link_node, what = item.need("link_name"), item.need("object")
        link, kind = link_node.text(), operation(what)
        if kind != "ADD":
            what.fail(f"operation {kind} on an attached object is not supported; expected ADD")
        name = what.need("id").text()
        frame = frame_id(what).lstrip("/")
        bare = not any((node := what.get(key)) and node.items() for key in ("primitives", "meshes"))
        if bare and name not in self.known:
            what.fail(f"object {name!r} has neither primitives nor meshes, and is none of the scene's")
        if bare:
            held = self.known[name]
            X_LB = inverse(self.frame(link_node, link)) @ held.X_WB
        elif frame == link:
            held = Objects({link: np.eye(4)}).parse(what)
            X_LB = held.X_WB
        else:
            held = self.parse(what)
            X_LB = inverse(self.frame(link_node, link)) @ held.X_WB
        self.known.pop(name, None)
        listed = item.get("touch_links")
        touch = tuple(node.text() for node in listed) if listed else ()
        names = zip(held.piece_names, held.pieces, strict=True)
        return [HeldObject(piece, name, shape, X_LB @ X, link, touch) for piece, (shape, X) in names]

    def _with_shapes(self, item: YamlNode) -> CollisionObject:
        new = self.parse(item)
        if not new.pieces:
            item.fail(f"object {new.name!r} has neither primitives nor meshes")
        return new


_APPLY: Mapping[str, Callable[[Objects, YamlNode], None]] = {
    "ADD": Objects.add,
    "REMOVE": Objects.remove,
    "APPEND": Objects.append,
    "MOVE": Objects.move,
}
OPERATIONS = tuple(_APPLY)
"""In the order of their numbers in moveit_msgs/CollisionObject."""


def operation(item: YamlNode) -> str:
    """The operation of an object: by number, by name, or the byte that it is in ROS; ADD if left out."""
    node = item.get("operation")
    if node is None:
        return "ADD"
    text = node.text()
    number = re.fullmatch(r"(?:0x|\\x|b'\\x)?0*([0-3])'?", text.strip())
    if number:
        return OPERATIONS[int(number[1])]
    if text in _BYTES:
        return OPERATIONS[_BYTES[text]]
    if text.upper() in OPERATIONS:
        return text.upper()
    numbered = ", ".join(f"{name} ({value})" for value, name in enumerate(OPERATIONS))
    node.fail(f"unknown operation {text!r:.40}; known: {numbered}")


# A byte as ROS 1 and ROS 2 print it: "\x01" with the escape of YAML, and !!binary in base64.
_BYTES = {
    form: value for value in range(len(OPERATIONS)) for form in (chr(value), base64.b64encode(bytes([value])).decode())
}


def frame_id(item: YamlNode) -> str:
    """The frame in an entry's header, empty if there is none."""
    header = item.get("header")
    frame = header.get("frame_id") if header else None
    return frame.text() if frame else ""


def note(node: YamlNode, message: str) -> None:
    """A word on what was made of a value."""
    place = f"{node.place}: " if node.place else ""
    warnings.warn(f"{node.file}:{node.line}: {place}{message}", EdmpWarning, stacklevel=3)


def _subframes(item: YamlNode) -> dict[str, Array]:
    names, poses = item.get("subframe_names"), item.get("subframe_poses")
    if names is None or not names.items():
        return {}
    if poses is None or len(poses.items()) != len(names.items()):
        names.fail(f"{len(names.items())} subframe_names need as many subframe_poses")
    return {name.text(): read_pose(X) for name, X in zip(names, poses, strict=True)}


def _pieces(item: YamlNode, shapes_key: str, poses_key: str, parse: Callable[[YamlNode], Shape]) -> list[Piece]:
    """(shape, pose in the object's frame) of every primitive, or every mesh, of an object."""
    shapes = item.get(shapes_key)
    if shapes is None or not shapes.items():
        return []
    poses = item.need(poses_key)
    if len(poses.items()) != len(shapes.items()):
        poses.fail(f"{len(shapes.items())} {shapes_key} need as many {poses_key}, got {len(poses.items())}")
    return [(parse(shape), read_pose(X)) for shape, X in zip(shapes, poses, strict=True)]
