"""Problems in the YAML of robometrics, which cuRobo is measured on (Sundaralingam et al. 2023).

    bookshelf_small_panda:                     # a set: a list of problems
    - start: [0.0, -0.785, ...]                # joints 1 to 7 [rad]
      goal_pose: {frame: panda_hand, position_xyz: [x, y, z], quaternion_wxyz: [w, x, y, z]}
      goal_ik: [[...], ...]                    # configurations for that pose, each 7 [rad]; may be empty
      collision_buffer_ik: 0.0                 # how far goal_ik was kept from obstacles [m]; not read
      obstacles:
        cuboid: {name: {dims: [x, y, z], pose: [x, y, z, qw, qx, qy, qz]}}      # full extents [m]
        cylinder: {name: {radius: r, height: h, pose: [...]}}                   # axis along z
      world_frame: panda_link0

The goal is the pose where there is one; ``goal_ik`` are solutions that somebody found, not the only ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from edmp.errors import EdmpError
from edmp.files.yaml_nodes import YamlNode, read_yaml
from edmp.geometry.shapes import Shape
from edmp.scenes.franka_tasks import (
    DOF,
    HAND,
    MPINETS_GRIPPER_WIDTH,
    Array,
    FrankaTask,
    box,
    cylinder,
    frame_pose,
    pose_wxyz,
    scene_of,
)

WORLD_FRAME = "panda_link0"

MPINETS_KINDS = ("task_oriented", "neutral_start", "neutral_goal")
"""Sets with such an ending are those of Motion Policy Networks, whose gripper is half closed."""


def is_robometrics(root: YamlNode) -> bool:
    """Whether a file looks like sets of such problems."""
    sets = list(root.mapping().values())
    return bool(sets) and all(
        node.is_list and all(item.is_mapping and {"start", "obstacles"} <= set(item.mapping()) for item in node)
        for node in sets
    )


def load_robometrics(path: str | Path) -> dict[str, tuple[FrankaTask, ...]]:
    """The problems of a file, by set.

    Raises:
        FileFormatError: with file, line and what would be right.
    """
    return parse_robometrics(read_yaml(path))


def parse_robometrics(root: YamlNode) -> dict[str, tuple[FrankaTask, ...]]:
    """`load_robometrics` of a file that has been parsed already."""
    sets = {}
    for name, node in root.mapping().items():
        width = MPINETS_GRIPPER_WIDTH if name.endswith(MPINETS_KINDS) else None
        sets[name] = tuple(_task(item, width) for item in node)
    return sets


def _task(node: YamlNode, gripper_width: float | None) -> FrankaTask:
    world = node.get("world_frame")
    if world and world.text() != WORLD_FRAME:
        world.fail(f"expected {WORLD_FRAME}, got {world.text()!r}")
    target, known = node.get("goal_pose"), node.get("goal_ik")
    goals = [item.numbers(DOF) for item in known] if known else []
    if target is None and not goals:
        node.fail("a problem needs goal_pose or at least one configuration in goal_ik")
    X_WF, frame = _target(target) if target else (None, HAND)
    try:
        scene = scene_of(_shapes(node.need("obstacles")))
    except EdmpError as error:
        node.refuse(error)
    start = np.array(node.need("start").numbers(DOF))
    return FrankaTask(scene, start, X_WF, frame, np.array(goals).reshape(-1, DOF), gripper_width)


def _target(node: YamlNode) -> tuple[Array, str]:
    frame = node.need("frame")
    position, quaternion = node.need("position_xyz").numbers(3), node.need("quaternion_wxyz").numbers(4)
    try:
        frame_pose(frame.text())
        return pose_wxyz(position, quaternion), frame.text()
    except EdmpError as error:
        node.refuse(error)


def _shapes(node: YamlNode) -> Iterator[tuple[str, Shape | None, list[float], list[float]]]:
    """Name, shape, position [m] and quaternion (w, x, y, z) of each obstacle."""
    for kind, entries in node.only(*_READ).items():
        if entries.is_null:
            continue
        for name, item in entries.mapping().items():
            values = item.need("pose").numbers(7)
            yield name, _READ[kind](item), values[:3], values[3:]


_READ: Mapping[str, Callable[[YamlNode], Shape | None]] = {
    "cuboid": lambda item: box(item.need("dims").numbers(3)),
    "cylinder": lambda item: cylinder(item.need("radius").number(), item.need("height").number()),
}
