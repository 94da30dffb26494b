"""MoveIt's planning scene and motion plan request, as YAML: read into plain data, and written back.

Only what concerns geometry, joint values and the base pose is kept. In a planning scene the pose of a primitive is the
object's ``pose`` (identity where there is none) times ``primitive_poses[i]``; box dimensions are full extents, cylinder
dimensions are [length, radius] along z, quaternions are (x, y, z, w).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.robots.errors import InvalidInputError
from edmp.scenes.poses import pose
from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Box, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.yaml_nodes import YamlNode, read_yaml

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MoveItScene:
    """What a planning scene file says.

    Attributes:
        scene: the collision objects. An object of one primitive keeps its id, one of several becomes ``id[0]``, ...
        robot_model: ``robot_model_name``, empty if there is none.
        joint_positions: ``robot_state.joint_state`` by joint name [rad or m].
        X_WR: (4, 4) pose of the robot's root in the world from a virtual joint, None if the file has none.
    """

    scene: Scene
    robot_model: str = ""
    joint_positions: Mapping[str, float] = field(default_factory=dict)
    X_WR: Array | None = None


@dataclass(frozen=True, eq=False)
class MoveItRequest:
    """What a motion plan request file says.

    Attributes:
        start: start joint values by joint name, fingers included [rad or m].
        goals: joint-space goals by joint name; reaching one of them is enough.
        group: the planning group, empty if there is none.
        X_WR: (4, 4) pose of the robot's root in the world from a virtual joint, None if the file has none.
        velocity_scale, acceleration_scale: shares of the robot's limits that a motion may use, in (0, 1].
    """

    start: Mapping[str, float]
    goals: tuple[Mapping[str, float], ...]
    group: str = ""
    X_WR: Array | None = None
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0


def is_moveit_scene(root: YamlNode) -> bool:
    """Whether a file looks like a MoveIt planning scene."""
    return root.is_mapping and any(key in root.mapping() for key in ("world", "robot_state", "robot_model_name"))


def load_moveit_scene(path: str | Path) -> MoveItScene:
    """Read a planning scene file.

    Raises:
        FileFormatError: with file and line, for malformed YAML, unknown or unsupported shapes and degenerate values.
    """
    return parse_moveit_scene(read_yaml(path))


def parse_moveit_scene(root: YamlNode) -> MoveItScene:
    """`load_moveit_scene` of a file that has been parsed already."""
    if not is_moveit_scene(root):
        root.fail("not a MoveIt planning scene: it has none of the keys world, robot_state, robot_model_name")
    world = root.get("world")
    objects = world.get("collision_objects") if world else None
    octomap = world.get("octomap") if world else None
    if octomap is not None and _has_octomap_data(octomap):
        octomap.fail("octomaps are not supported; convert the occupied cells to boxes")
    obstacles: list[Obstacle] = []
    if objects is not None:
        frames = _Frames.of(root, objects)
        for item in objects:
            obstacles += _collision_object(item, frames)
    state = root.get("robot_state")
    attached = state.get("attached_collision_objects") if state else None
    if attached is not None and attached.items():
        attached.fail("attached objects are not read from scene files; attach them with robot.with_attachment")
    try:
        scene = Scene(tuple(obstacles))
    except InvalidInputError as error:
        (objects or root).refuse(error)
    model = root.get("robot_model_name")
    return MoveItScene(
        scene, model.text() if model else "", _joint_state(state, required=False), _virtual_joint_pose(state)
    )


def load_moveit_request(path: str | Path) -> MoveItRequest:
    """Read a motion plan request file.

    Raises:
        FileFormatError: with file and line, for malformed YAML or when start or joint-space goal are missing.
    """
    root = read_yaml(path)
    state = root.need("start_state")
    start = _joint_state(state, required=True)
    constraints = root.need("goal_constraints")
    goals = tuple(_joint_goal(goal) for goal in constraints)
    if not goals:
        constraints.fail("there is no goal; expected a list of joint_constraints")
    group = root.get("group_name")
    return MoveItRequest(
        start,
        goals,
        group.text() if group else "",
        _virtual_joint_pose(state),
        *(_scale(root.get(f"max_{kind}_scaling_factor")) for kind in ("velocity", "acceleration")),
    )


def _scale(node: YamlNode | None) -> float:
    """A scaling factor; 0 is ROS' way of saying that there is none."""
    scale = node.number() if node else 0.0
    if node and not 0.0 <= scale <= 1.0:
        node.fail(f"expected a share of the robot's limits, from 0 (not set) to 1, got {scale:g}")
    return scale or 1.0


# --- collision objects -----------------------------------------------------------------------------------------------


def _box(dimensions: YamlNode) -> Shape:
    x, y, z = dimensions.numbers(3)
    return Box((x, y, z))


def _cylinder(dimensions: YamlNode) -> Shape:
    length, radius = dimensions.numbers(2)
    return Cylinder(radius=radius, length=length)


def _sphere(dimensions: YamlNode) -> Shape:
    return Sphere(radius=dimensions.numbers(1)[0])


PRIMITIVES: dict[str, Callable[[YamlNode], Shape]] = {"box": _box, "sphere": _sphere, "cylinder": _cylinder}
# shape_msgs/SolidPrimitive numbers the types
PRIMITIVE_NUMBERS = {"1": "box", "2": "sphere", "3": "cylinder"}


@dataclass(frozen=True)
class _Frames:
    """The frames that objects may be given in: ``fixed`` by name; others only if all objects share one."""

    fixed: Mapping[str, Array]

    @classmethod
    def of(cls, root: YamlNode, objects: YamlNode) -> _Frames:
        fixed = {"": np.eye(4), "world": np.eye(4)}
        for item in root.get("fixed_frame_transforms") or ():
            if (child := item.get("child_frame_id")) and (transform := item.get("transform")):
                fixed[child.text()] = _pose(transform)
        used = {_frame_id(item) for item in objects}
        if len(used) == 1:  # MoveIt then plans in that frame: it is our world
            fixed.setdefault(used.pop(), np.eye(4))
        return cls(fixed)

    def pose(self, item: YamlNode) -> Array:
        frame = _frame_id(item)
        if frame not in self.fixed:
            known = ", ".join(repr(name) for name in sorted(self.fixed) if name)
            item.fail(f"unknown frame {frame!r}; known: {known} (see fixed_frame_transforms)")
        return self.fixed[frame]


def _frame_id(item: YamlNode) -> str:
    header = item.get("header")
    frame = header.get("frame_id") if header else None
    return frame.text().lstrip("/") if frame else ""


def _collision_object(item: YamlNode, frames: _Frames) -> list[Obstacle]:
    """The obstacles of one collision object, named ``id`` if there is one, else ``id[0]``, ``id[1]``, ..."""
    name = item.need("id").text()
    X_WB = frames.pose(item)
    if own_pose := item.get("pose"):
        X_WB = X_WB @ _pose(own_pose)
    planes = item.get("planes")
    if planes is not None and planes.items():
        planes.fail(f"object {name!r}: planes are not supported (they are infinite); use a large thin box instead")
    pieces = _pieces(item, "primitives", "primitive_poses", _primitive)
    pieces += _pieces(item, "meshes", "mesh_poses", _mesh)
    if not pieces:
        item.fail(f"object {name!r} has neither primitives nor meshes")
    names = [name] if len(pieces) == 1 else [f"{name}[{i}]" for i in range(len(pieces))]
    return [Obstacle(piece, shape, X_WB @ X_BO) for piece, (shape, X_BO) in zip(names, pieces, strict=True)]


def _pieces(
    item: YamlNode, shapes_key: str, poses_key: str, parse: Callable[[YamlNode], Shape]
) -> list[tuple[Shape, Array]]:
    """(shape, pose in the object's frame) of every primitive, or every mesh, of an object."""
    shapes = item.get(shapes_key)
    if shapes is None or not shapes.items():
        return []
    poses = item.need(poses_key)
    if len(poses.items()) != len(shapes.items()):
        poses.fail(f"{len(shapes.items())} {shapes_key} need as many {poses_key}, got {len(poses.items())}")
    return [(parse(shape), _pose(X)) for shape, X in zip(shapes, poses, strict=True)]


def _primitive(node: YamlNode) -> Shape:
    kind = node.need("type")
    name = PRIMITIVE_NUMBERS.get(kind.text(), kind.text().lower())
    if name not in PRIMITIVES:
        kind.fail(f"unknown primitive type {kind.text()!r}; valid: {', '.join(PRIMITIVES)}")
    dimensions = node.need("dimensions")
    try:
        return PRIMITIVES[name](dimensions)
    except InvalidInputError as error:
        dimensions.refuse(error)


def _mesh(node: YamlNode) -> Shape:
    """shape_msgs/Mesh: vertices as [x, y, z] or {x, y, z}; triangles as [i, j, k] or {vertex_indices: [i, j, k]}."""
    vertices = [_vector(vertex) for vertex in node.need("vertices")]
    faces = []
    for triangle in node.need("triangles"):
        corners = triangle.need("vertex_indices") if triangle.is_mapping else triangle
        faces.append(corners.indices(3))
    try:
        return Mesh(np.array(vertices), np.array(faces))
    except InvalidInputError as error:
        node.refuse(error)


def _has_octomap_data(octomap: YamlNode) -> bool:
    inner = octomap.get("octomap") if octomap.is_mapping else None
    data = inner.get("data") if inner else None
    return bool(data is not None and data.is_list and data.items())


# --- poses and joints ------------------------------------------------------------------------------------------------


def _vector(node: YamlNode, names: str = "xyz") -> list[float]:
    """Numbers written as a list, or as ROS does by name ({x: ..., y: ..., z: ...})."""
    if node.is_mapping:
        return [node.need(name).number() for name in names]
    return node.numbers(len(names))


def _pose(node: YamlNode) -> Array:
    """(4, 4) of position and orientation, or of translation and rotation; a missing part is zero or identity."""
    entries = node.mapping()
    position = entries.get("position", entries.get("translation"))
    rotation = entries.get("orientation", entries.get("rotation"))
    if position is None and rotation is None:
        node.fail("a pose needs position and orientation (or translation and rotation)")
    try:
        return pose(_vector(position) if position else (0, 0, 0), _vector(rotation, "xyzw") if rotation else None)
    except InvalidInputError as error:
        (rotation or node).refuse(error)


def _joint_state(state: YamlNode | None, *, required: bool) -> dict[str, float]:
    joints = (state.need("joint_state") if required else state.get("joint_state")) if state else None
    if joints is None:
        return {}
    names, positions = joints.need("name"), joints.need("position")
    values = positions.numbers()
    if len(names.items()) != len(values):
        positions.fail(f"{len(names.items())} joint names need as many positions, got {len(values)}")
    return {name.text(): value for name, value in zip(names, values, strict=True)}


def _virtual_joint_pose(state: YamlNode | None) -> Array | None:
    multi = state.get("multi_dof_joint_state") if state else None
    transforms = multi.get("transforms") if multi else None
    if transforms is None or not transforms.items():
        return None
    if len(transforms.items()) != 1:
        transforms.fail(f"expected one virtual joint that places the robot, got {len(transforms.items())}")
    return _pose(transforms.items()[0])


def _joint_goal(node: YamlNode) -> dict[str, float]:
    for kind in ("position_constraints", "orientation_constraints", "visibility_constraints"):
        other = node.get(kind)
        if other is not None and other.items():
            other.fail(f"{kind} are not supported; expected joint_constraints (a joint-space goal)")
    constraints = node.need("joint_constraints")
    goal: dict[str, float] = {}
    for item in constraints:
        name = item.need("joint_name").text()
        if name in goal:
            item.fail(f"joint {name!r} is constrained twice")
        goal[name] = item.need("position").number()
    if not goal:
        constraints.fail("there is no joint constraint; expected one for every joint of the arm")
    return goal
