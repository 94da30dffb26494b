"""MoveIt's planning scene as YAML, read into plain data; `edmp.scenes.moveit_write` writes it back.

Only what concerns geometry, joint values, the base pose and contacts is kept; an octomap becomes voxels. The pose of a
primitive is the object's ``pose`` (identity where there is none) times ``primitive_poses[i]``, in the frame of the
object's header; dimensions of boxes are full extents, cylinder and cone dimensions [length, radius] along z,
quaternions (x, y, z, w).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.yaml_nodes import YamlNode, read_yaml
from edmp.geometry.octree import voxels_of
from edmp.geometry.poses import pose, pose_rpy
from edmp.scenes.moveit_nodes import joint_state, read_pose, virtual_joint_pose
from edmp.scenes.moveit_objects import HeldObject, Objects, frame_id
from edmp.scenes.scene import Obstacle, Scene

Array = NDArray[np.float64]

OCTOMAP = "<octomap>"
"""What MoveIt calls the octomap, and we the obstacle that it becomes."""

MOVEIT_BASES: Mapping[str, Array] = {"ur5": pose_rpy((0.0, 0.0, 0.9144), (0.0, 0.0, 1.57))}
"""(4, 4) pose of the base in the world, by robot name, where MoveIt's files leave it to the robot's own URDF."""


@dataclass(frozen=True, eq=False)
class MoveItScene:
    """What a planning scene file says.

    Attributes:
        scene: the collision objects. An object of one primitive keeps its id, one of several becomes ``id[0]``, ...
        robot_model: ``robot_model_name``, empty if there is none.
        joint_positions: ``robot_state.joint_state`` by joint name [rad or m].
        X_WR: (4, 4) pose of the robot's root in the world from a virtual joint, None if the file has none.
        held: pieces of attached objects.
        pieces: names of the obstacles that an object became, by its id.
        allowed: the allowed-collision matrix. Only what it says of links and objects counts: which links can touch each
            other is for the robot's description to say.
    """

    scene: Scene
    robot_model: str = ""
    joint_positions: Mapping[str, float] = field(default_factory=dict)
    X_WR: Array | None = None
    held: tuple[HeldObject, ...] = ()
    pieces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allowed: AllowedCollisions = field(default_factory=lambda: AllowedCollisions())


def is_moveit_scene(root: YamlNode) -> bool:
    """Whether a file looks like a MoveIt planning scene."""
    return root.is_mapping and any(key in root.mapping() for key in ("world", "robot_state", "robot_model_name"))


def load_moveit_scene(path: str | Path) -> MoveItScene:
    """Read a planning scene file.

    Raises:
        FileFormatError: with file and line, for malformed YAML, unknown or unsupported shapes and degenerate values.
    """
    return parse_moveit_scene(read_yaml(path))


def parse_moveit_scene(root: YamlNode, frames: Mapping[str, Array] | None = None) -> MoveItScene:
    """`load_moveit_scene` of a file that has been parsed already.

    Args:
        root: of the file.
        frames: (4, 4) poses in the world of the robot's frames by name; if None, those of the base of the robot that
            ``robot_model_name`` names, if edmp comes with it.
    """
    if not is_moveit_scene(root):
        root.fail("not a MoveIt planning scene: it has none of the keys world, robot_state, robot_model_name")
    _refuse_padding(root)
    world, state = root.get("world"), root.get("robot_state")
    listed = world.get("collision_objects") if world else None
    octomap = world.get("octomap") if world else None
    model = robot_model(root)
    X_WR = virtual_joint_pose(state)
    objects = Objects(_base_frames(model, X_WR) if frames is None else frames)
    for item in root.get("fixed_frame_transforms") or ():
        objects.add_fixed(item)
    for item in listed or ():
        objects.apply(item)
    held = [piece for item in attached_objects(state) for piece in objects.hold(item)]
    known = objects.known.values()
    try:
        scene = Scene((*(obstacle for one in known for obstacle in one.obstacles()), *_octomap(octomap, objects)))
    except InvalidInputError as error:
        (listed or root).refuse(error)
    return MoveItScene(
        scene,
        model,
        joint_state(state, required=False),
        X_WR,
        tuple(held),
        {one.name: one.piece_names for one in known},
        AllowedCollisions.of(root.get("allowed_collision_matrix")),
    )


def robot_model(root: YamlNode) -> str:
    """``robot_model_name``, empty if there is none."""
    model = root.get("robot_model_name")
    return model.text() if model else ""


def attached_objects(state: YamlNode | None) -> list[YamlNode]:
    """The entries of ``attached_collision_objects`` of a robot state."""
    attached = state.get("attached_collision_objects") if state else None
    return attached.items() if attached else []


def _base_frames(model: str, X_WR: Array | None) -> dict[str, Array]:
    """Frames of the base of a robot that edmp comes with."""
    from edmp.robots import built_in_robots, load_robot

    if model not in built_in_robots():
        return {}
    robot = load_robot(model)
    if X_WR is None:
        X_WR = MOVEIT_BASES.get(model, robot.X_W0)
    return {link.name: X_WR @ link.X_BL for link in robot.links if link.body == 0}


def _refuse_padding(root: YamlNode) -> None:
    """Links as they are pass; larger or smaller ones are refused."""
    for key, value_key, neutral in (("link_padding", "padding", 0.0), ("link_scale", "scale", 1.0)):
        listed = root.get(key)
        if listed is None:
            continue
        if listed.is_mapping:
            values = dict(listed.mapping())
        else:
            values = {item.need("link_name").text(): item.need(value_key) for item in listed}
        for link, value in values.items():
            if value.number() != neutral:
                value.fail(
                    f"{key} {value.number():g} of link {link!r} is not supported; remove it, and make obstacles larger "
                    "or set PlannerSettings(margin=...) where a distance is to be kept"
                )


def _octomap(node: YamlNode | None, objects: Objects) -> tuple[Obstacle, ...]:
    """The occupied cells of an ``octomap``, an octomap_msgs/OctomapWithPose; what is free or unknown is no obstacle."""
    tree = node.get("octomap") if node is not None and node.is_mapping else None
    data = tree.get("data") if tree else None
    if node is None or tree is None or data is None or not data.items():
        return ()
    values = np.array(data.indices())
    if values.min() < -128 or values.max() > 255:
        data.fail("expected bytes, from -128 to 127")
    kind, binary, origin = tree.get("id"), tree.get("binary"), node.get("origin")
    try:
        found = voxels_of(
            values.astype(np.uint8).tobytes(),
            tree.need("resolution").number(),
            kind=kind.text() if kind else "OcTree",
            binary=_flag(binary) if binary else True,
        )
    except FileFormatError as error:
        tree.refuse(error)
    if found is None:
        return ()
    voxels, corner = found
    X_WM = objects.frame(node, frame_id(node)) @ (read_pose(origin) if origin else np.eye(4))
    return (Obstacle(OCTOMAP, voxels, X_WM @ pose(corner)),)


# --- allowed collisions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AllowedCollisions:
    """What an ``allowed_collision_matrix`` says of pairs of names.

    Attributes:
        pairs: whether a pair may touch, by both names in alphabetical order.
        defaults: the same for all pairs with a name that are not in ``pairs``.
    """

    pairs: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    defaults: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, node: YamlNode | None) -> AllowedCollisions:
        if node is None:
            return cls()
        names, rows = _names(node, "entry_names"), node.get("entry_values")
        values = rows.items() if rows else []
        if len(values) != len(names):
            (rows or node).fail(f"{len(names)} entry_names need as many entry_values, got {len(values)}")
        pairs: dict[tuple[str, str], bool] = {}
        for name, row in zip(names, values, strict=True):
            enabled = (row.need("enabled") if row.is_mapping else row).items()
            if len(enabled) != len(names):
                row.fail(f"expected a value for each of the {len(names)} entry_names, got {len(enabled)}")
            for other, value in zip(names, enabled, strict=True):
                pair = min(name, other), max(name, other)
                pairs[pair] = _flag(value) and pairs.get(pair, True)
        flags = node.get("default_entry_values")
        default_names, defaults = _names(node, "default_entry_names"), flags.items() if flags else []
        if len(default_names) != len(defaults):
            (flags or node).fail(f"{len(default_names)} default_entry_names need as many default_entry_values")
        return cls(pairs, dict(zip(default_names, map(_flag, defaults), strict=True)))

    def allow(self, a: str, b: str) -> bool:
        """May ``a`` and ``b`` touch? As MoveIt: what is said of the pair counts, else what is said of each."""
        pair = min(a, b), max(a, b)
        if pair in self.pairs:
            return self.pairs[pair]
        said = [self.defaults[name] for name in pair if name in self.defaults]
        return bool(said) and all(said)


def _names(node: YamlNode, key: str) -> list[str]:
    listed = node.get(key)
    return [name.text() for name in listed] if listed else []


def _flag(node: YamlNode) -> bool:
    text = node.text().lower()
    if text not in ("true", "false", "0", "1"):
        node.fail(f"expected true or false, got {node.text()!r:.40}")
    return text in ("true", "1")
