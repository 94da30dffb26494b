"""edmp's own scene file: YAML that a person can read and write, alone a scene, with robot, start and goal a problem.

    edmp_scene: 1                       # version of the format
    name: bookshelf                     # optional, for reports
    robot: panda                        # optional; or {name: panda, gripper_width: 0.08, base: {position: [0, 0, 0.9]}}
    start: [0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8]     # [rad]; or by joint name {panda_joint1: 0.0, ...}
    goal: {position: [0.5, 0.1, 0.4], quaternion: [1, 0, 0, 0]}    # or a configuration, or a list of several goals, or
                                        # a line of the tool, {line: {offset: [0, 0, 0.2]}}: see edmp.goals.documents
    velocity_scale: 0.5                 # optional, as acceleration_scale: share of the robot's limits to use, in (0, 1]
    pick: {object: can, at: {position: [0.6, -0.2, 0.48], quaternion: [0, 0, 0, 1]}}    # instead of a goal: a task
    escape: 0.02                        # optional: a motion may start in contacts this deep [m], and leaves them first
    tool_speed: [0.25, 1.0]             # optional, as tool_acceleration: of the tool [m/s], [rad/s]; or one number
    constraints:                        # optional: what the motion keeps to all the way
      - {type: upright, tolerance: 0.1}
      - {type: in_region, region: over_the_table}        # for all types see `edmp.constraints.documents`
    regions:                            # optional: named boxes that are no obstacles, for constraints
      over_the_table: {size: [0.6, 1.0, 0.5], position: [0.5, 0.0, 0.6]}
    unseen: {policy: occupied, share: 0.2}      # optional, of a map: what space nobody saw was taken for
    obstacles:
      board: {type: box, size: [0.3, 1.0, 0.02], position: [0.6, 0.0, 0.4], rpy: [0, 0, 0.1]}
      can: {type: cylinder, radius: 0.03, length: 0.14, position: [0.6, 0.2, 0.48], quaternion: [0, 0, 0, 1]}
      pipe: {type: capsule, radius: 0.02, length: 0.5, position: [0.4, 0.4, 0.3]}
      ball: {type: sphere, radius: 0.05, position: [0.3, 0.3, 0.1]}
      bowl: {type: mesh, file: bowl.stl, scale: 0.001, position: [0.5, -0.2, 0.4]}   # relative to this file
      sheet: {type: mesh, file: sheet.stl, thickness: 0.002, position: [0.2, 0.2, 0]}   # open: a thin solid
      scan: {type: point_cloud, file: scan.ply, radius: 0.004, position: [1, 0, 1], rpy: [0, 2.1, 0]}   # of the sensor
      map: {type: voxels, file: map.bt}       # or distance_field: see edmp.scenes.clouds; scale: 0.001 for millimetres
      seen: {type: voxels, occupancy: {array: 1f0c..., file: this.yaml.9a3e....npz}, resolution: 0.02}   # as written
      wedge: {type: mesh, vertices: [[0, 0, 0], ...], faces: [[0, 1, 2], ...]}

Lengths in [m], angles in [rad], quaternions (x, y, z, w); ``position`` is zero and rotation identity where left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.files.beside import Arrays, write_beside
from edmp.files.yaml_nodes import YamlNode, read_yaml
from edmp.files.yaml_writing import write_yaml
from edmp.geometry.kinds import field_values, kind_of, kinds_by_name
from edmp.geometry.poses import pose, pose_rpy, quaternion_of
from edmp.goals.documents import LINE_KEYS, tool_goal_document, tool_goal_of_yaml
from edmp.goals.kinds import ToolGoal
from edmp.scenes.native_pick import PickEntry, pick_document, pick_of_yaml
from edmp.scenes.native_shapes import FILE_KEYS, shape_of_yaml
from edmp.scenes.scene import Obstacle, Region, Scene, Unseen

Array = NDArray[np.float64]

VERSION = 1
VERSION_KEY = "edmp_scene"
POSE_KEYS = ("position", "quaternion", "rpy")
SCALES = ("velocity_scale", "acceleration_scale")
DEEPEST_ESCAPE = 0.1
"""What is deeper than this in something is in there for good [m]."""
TOOL_LIMITS = ("tool_speed", "tool_acceleration")


@dataclass(frozen=True, eq=False)
class RobotEntry:
    """Which robot a file asks for.

    Attributes:
        name: a built-in robot, or the path of a URDF.
        gripper_width: gap between the fingers [m], None for the robot's own default.
        X_WR: (4, 4) pose of its base in the world, None for the robot's own default.
    """

    name: str
    gripper_width: float | None = None
    X_WR: Array | None = None


JointValues = tuple[float, ...] | Mapping[str, float]
"""Joint values in the robot's own order, or by joint name [rad or m]."""


@dataclass(frozen=True, eq=False)
class SceneFile:
    """All that a scene file says.

    Attributes:
        scene: the obstacles.
        name: for reports, empty if there is none.
        robot: the robot, None if the file names none.
        start: the start configuration, None if there is none.
        goals: alternatives, each a configuration or a (4, 4) tool pose ``X_WT``, or one line; empty if none.
        velocity_scale, acceleration_scale: shares of the robot's limits that a motion may use, in (0, 1].
        escape: depth of contacts that a motion may start in [m].
        tool_speed, tool_acceleration: limits of the tool, linear and angular; None if there are none.
        constraints: what the motion keeps to, each as `edmp.constraints.documents` writes it; not looked at here.
        pick: what is to be picked up, and where it goes; None if this is no such task.
    """

    scene: Scene
    name: str = ""
    robot: RobotEntry | None = None
    start: JointValues | None = None
    goals: tuple[JointValues | Array | ToolGoal, ...] = ()
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0
    escape: float = 0.0
    tool_speed: tuple[float, float] | None = None
    tool_acceleration: tuple[float, float] | None = None
    constraints: tuple[Any, ...] = ()
    pick: PickEntry | None = None


def is_native(root: YamlNode) -> bool:
    """Whether a file says that it is in this format."""
    return VERSION_KEY in root.mapping()


def load_scene_file(path: str | Path) -> SceneFile:
    """Read a file in edmp's own format.

    Raises:
        FileFormatError: with file, line and what would be right.
    """
    return parse_scene_file(read_yaml(path))


def parse_scene_file(root: YamlNode) -> SceneFile:
    """`load_scene_file` of a file that has been parsed already."""
    version = root.need(VERSION_KEY)
    if version.text() != str(VERSION):
        version.fail(f"version {version.text()!r} of the format is unknown; this edmp reads version {VERSION}")
    keys = (
        "name",
        "robot",
        "start",
        "goal",
        *SCALES,
        "escape",
        *TOOL_LIMITS,
        "constraints",
        "regions",
        "unseen",
        "pick",
        "obstacles",
    )
    entries = root.only(VERSION_KEY, *keys)
    obstacles: list[Obstacle] = []
    arrays = Arrays(Path(root.file).parent)
    if listed := root.get("obstacles"):
        for name, item in listed.mapping().items():
            obstacles.append(_obstacle(name, item, arrays))
    regions = root.get("regions")
    scene = Scene(
        tuple(obstacles),
        tuple(_region(name, item) for name, item in regions.mapping().items()) if regions else (),
        _unseen(root.get("unseen")),
    )
    title, robot, start, goal = (root.get(key) for key in ("name", "robot", "start", "goal"))
    constraints = root.get("constraints")
    if "goal" in entries and start is None:
        entries["goal"].fail("a goal needs a start as well")
    return SceneFile(
        scene,
        title.text() if title else "",
        _robot(robot) if robot else None,
        _configuration(start) if start else None,
        _goals(goal) if goal else (),
        velocity_scale=_scale(root.get("velocity_scale")),
        acceleration_scale=_scale(root.get("acceleration_scale")),
        escape=_depth(root.get("escape")),
        tool_speed=_tool_limit(root.get("tool_speed")),
        tool_acceleration=_tool_limit(root.get("tool_acceleration")),
        constraints=tuple(one.plain() for one in constraints) if constraints else (),
        pick=pick_of_yaml(pick, _pose_goal) if (pick := root.get("pick")) else None,
    )


def _scale(node: YamlNode | None) -> float:
    scale = node.number() if node else 1.0
    if node and not 0.0 < scale <= 1.0:
        node.fail(f"expected a share of the robot's limits, in (0, 1], got {scale:g}")
    return scale


def _depth(node: YamlNode | None) -> float:
    depth = node.number() if node else 0.0
    if node and not 0.0 <= depth <= DEEPEST_ESCAPE:
        node.fail(f"expected a depth of contacts to lead out of, from 0 to {DEEPEST_ESCAPE:g} m, got {depth:g}")
    return depth


def _tool_limit(node: YamlNode | None) -> tuple[float, float] | None:
    if node is None:
        return None
    linear, angular = node.numbers(2) if node.is_list else (node.number(), math.inf)
    if not min(linear, angular) > 0.0:
        node.fail(f"expected positive numbers, linear and angular, got {linear:g} and {angular:g}")
    return float(linear), float(angular)


# --- obstacles -------------------------------------------------------------------------------------------------------


def _obstacle(name: str, item: YamlNode, arrays: Arrays) -> Obstacle:
    word, kinds = item.need("type"), kinds_by_name()
    if word.text() not in kinds:
        word.fail(f"unknown obstacle type {word.text()!r}; valid: {', '.join(kinds)}")
    kind = kinds[word.text()]
    keys = [*FILE_KEYS.get(kind.shape, ()), *(field.name for field in kind.fields)]
    item.only("type", *keys, *POSE_KEYS)
    X_WO = _pose(item)
    try:
        shape, X_OS = shape_of_yaml(kind, item, arrays)
        return Obstacle(name, shape, X_WO @ X_OS)
    except InvalidInputError as error:
        item.refuse(error)


def _region(name: str, item: YamlNode) -> Region:
    item.only("size", *POSE_KEYS)
    size, X_WR = item.need("size").numbers(3), _pose(item)
    try:
        return Region(name, np.array(size), X_WR)
    except InvalidInputError as error:
        item.refuse(error)


def _pose(item: YamlNode) -> Array:
    """(4, 4) of the keys position, and quaternion or rpy, of a mapping."""
    position, quaternion, rpy = (item.get(key) for key in POSE_KEYS)
    p = position.numbers(3) if position else [0.0, 0.0, 0.0]
    if quaternion and rpy:
        rpy.fail("give either quaternion or rpy, not both")
    if rpy:
        return pose_rpy(p, rpy.numbers(3))
    try:
        return pose(p, quaternion.numbers(4) if quaternion else None)
    except InvalidInputError as error:
        (quaternion or item).refuse(error)


# --- robot, start and goal -------------------------------------------------------------------------------------------


def _robot(node: YamlNode) -> RobotEntry:
    if not node.is_mapping:
        return RobotEntry(node.text())
    entries = node.only("name", "gripper_width", "base")
    width, base = (node.get(key) for key in ("gripper_width", "base"))
    if width and width.number() < 0:
        width.fail(f"gripper_width must not be negative [m], got {width.number()}")
    if base:
        base.only(*POSE_KEYS)
    return RobotEntry(
        entries["name"].text() if "name" in entries else node.need("name").text(),
        width.number() if width else None,
        _pose(base) if base else None,
    )


def _configuration(node: YamlNode) -> JointValues:
    if node.is_mapping:
        return {name: value.number() for name, value in node.mapping().items()}
    if not node.is_list:
        node.fail("expected a list of joint values, or joint values by name")
    return tuple(node.numbers())


def _goals(node: YamlNode) -> tuple[JointValues | Array | ToolGoal, ...]:
    """One goal, or a list of goals."""
    if node.is_list and any(item.is_list or item.is_mapping for item in node.items()):
        return tuple(_goal(item) for item in node)
    return (_goal(node),)


def _goal(node: YamlNode) -> JointValues | Array | ToolGoal:
    if node.is_mapping and any(key in node.mapping() for key in LINE_KEYS):
        return tool_goal_of_yaml(node, _pose_goal)
    if node.is_mapping and any(key in node.mapping() for key in POSE_KEYS):
        return _pose_goal(node)
    return _configuration(node)


def _pose_goal(node: YamlNode) -> Array:
    node.only(*POSE_KEYS)
    node.need("position")
    if node.get("quaternion") is None and node.get("rpy") is None:
        node.fail("a pose goal needs quaternion (x, y, z, w) or rpy besides position")
    return _pose(node)


# --- writing ---------------------------------------------------------------------------------------------------------


def save_scene_file(path: str | Path, content: SceneFile) -> None:
    """Write a file in edmp's own format; meshes are written inline, clouds, voxels and fields beside it.

    Raises:
        InvalidInputError: if the file cannot be written.
    """
    document: dict[str, Any] = {VERSION_KEY: VERSION}
    if content.name:
        document["name"] = content.name
    if content.robot is not None:
        document["robot"] = _robot_document(content.robot)
    if content.start is not None:
        document["start"] = _goal_document(content.start)
    if content.goals:
        goals = [_goal_document(goal) for goal in content.goals]
        document["goal"] = goals[0] if len(goals) == 1 else goals
    document |= {key: float(scale) for key in SCALES if (scale := getattr(content, key)) != 1.0}
    if content.escape:
        document["escape"] = float(content.escape)
    for key in TOOL_LIMITS:
        if (limit := getattr(content, key)) is not None:
            linear, angular = map(float, limit)
            document[key] = [linear, angular] if math.isfinite(angular) else linear
    if content.pick is not None:
        document["pick"] = pick_document(content.pick, _pose_document)
    if content.constraints:
        document["constraints"] = [dict(one) for one in content.constraints]
    if content.scene.regions:
        document["regions"] = {
            region.name: {"size": region.size.tolist(), **_pose_document(region.X_WR)}
            for region in content.scene.regions
        }
    if (unseen := content.scene.unseen) is not None:
        document["unseen"] = {"policy": unseen.policy, "share": unseen.share}
    document["obstacles"] = {obstacle.name: _obstacle_document(obstacle) for obstacle in content.scene}
    write_beside(path, document, write_yaml)


def _unseen(node: YamlNode | None) -> Unseen | None:
    if node is None:
        return None
    node.only("policy", "share")
    try:
        return Unseen(node.need("policy").text(), node.need("share").number())
    except InvalidInputError as error:
        node.refuse(error)


def _robot_document(robot: RobotEntry) -> dict[str, Any] | str:
    if robot.gripper_width is None and robot.X_WR is None:
        return robot.name
    document: dict[str, Any] = {"name": robot.name}
    if robot.gripper_width is not None:
        document["gripper_width"] = float(robot.gripper_width)
    if robot.X_WR is not None:
        document["base"] = _pose_document(robot.X_WR)
    return document


def _goal_document(goal: JointValues | Array | ToolGoal) -> dict[str, Any] | list[float]:
    if isinstance(goal, ToolGoal):
        return tool_goal_document(goal)
    if isinstance(goal, np.ndarray) and goal.shape == (4, 4):
        return _pose_document(goal)
    if isinstance(goal, Mapping):
        return {name: float(value) for name, value in goal.items()}
    return [float(value) for value in goal]


def _pose_document(X: Array) -> dict[str, Any]:
    return {"position": X[:3, 3].tolist(), "quaternion": quaternion_of(X).tolist()}


def _obstacle_document(obstacle: Obstacle) -> dict[str, Any]:
    kind = {"type": kind_of(obstacle.shape).name}
    document = {**kind, **field_values(obstacle.shape), "position": obstacle.X_WO[:3, 3].tolist()}
    if not np.array_equal(obstacle.X_WO[:3, :3], np.eye(3)):
        document["quaternion"] = quaternion_of(obstacle.X_WO).tolist()
    return document
