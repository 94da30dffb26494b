"""What MoveIt's files share: poses, joint states, shapes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, InvalidInputError
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.poses import pose
from edmp.geometry.shapes import Box, Cylinder, Mesh, Shape, Sphere

Array = NDArray[np.float64]

_CONE_SIDES = 48


def ros_pose(position: Sequence[float], quaternion: Sequence[float] | None, where: str) -> Array:
    """(4, 4); a quaternion of zeros, ROS' way of saying that there is none, is the identity, with a warning.

    Raises:
        InvalidInputError: the quaternion is not of unit length.
    """
    if quaternion is not None and not any(quaternion):
        warnings.warn(f"{where}: a quaternion of zeros is taken as the identity", EdmpWarning, stacklevel=2)
        quaternion = None
    return pose(position, quaternion)


def cone(radius: float, length: float) -> Mesh:
    """A cone along z, its tip up, centred: the least pyramid of many sides that contains it.

    Raises:
        InvalidInputError: sizes that are not positive.
    """
    Cylinder(radius, length)  # has the same sizes, and says what is wrong with them
    warnings.warn(
        f"a cone is taken as a pyramid of {_CONE_SIDES} sides round it, up to {_excess(radius):.2g} m larger",
        EdmpWarning,
        stacklevel=2,
    )
    outer = radius + _excess(radius)
    angles = 2 * math.pi * np.arange(_CONE_SIDES) / _CONE_SIDES
    rim = np.column_stack([outer * np.cos(angles), outer * np.sin(angles), np.full(_CONE_SIDES, -length / 2)])
    base, tip = _CONE_SIDES, _CONE_SIDES + 1
    around = [(i, (i + 1) % _CONE_SIDES) for i in range(_CONE_SIDES)]
    faces = [(i, j, tip) for i, j in around] + [(j, i, base) for i, j in around]
    vertices = np.vstack([rim, [[0, 0, -length / 2], [0, 0, length / 2]]])
    return Mesh(vertices, np.array(faces, dtype=np.int32))


def _excess(radius: float) -> float:
    return radius / math.cos(math.pi / _CONE_SIDES) - radius


# --- shapes ----------------------------------------------------------------------------------------------------------


def _box(dimensions: YamlNode) -> Shape:
    x, y, z = dimensions.numbers(3)
    return Box((x, y, z))


def _cylinder(dimensions: YamlNode) -> Shape:
    length, radius = dimensions.numbers(2)
    return Cylinder(radius=radius, length=length)


def _sphere(dimensions: YamlNode) -> Shape:
    return Sphere(radius=dimensions.numbers(1)[0])


def _cone(dimensions: YamlNode) -> Shape:
    length, radius = dimensions.numbers(2)
    return cone(radius, length)


PRIMITIVES: dict[str, Callable[[YamlNode], Shape]] = {
    "box": _box,
    "sphere": _sphere,
    "cylinder": _cylinder,
    "cone": _cone,
}
# shape_msgs/SolidPrimitive numbers the types
PRIMITIVE_NUMBERS = {"1": "box", "2": "sphere", "3": "cylinder", "4": "cone"}


def primitive(node: YamlNode) -> Shape:
    """shape_msgs/SolidPrimitive, its type by number or name."""
    kind = node.need("type")
    name = PRIMITIVE_NUMBERS.get(kind.text(), kind.text().lower())
    if name not in PRIMITIVES:
        kind.fail(f"unknown primitive type {kind.text()!r}; valid: {', '.join(PRIMITIVES)}")
    dimensions = node.need("dimensions")
    try:
        return PRIMITIVES[name](dimensions)
    except InvalidInputError as error:
        dimensions.refuse(error)


def mesh(node: YamlNode) -> Shape:
    """shape_msgs/Mesh: vertices as [x, y, z] or {x, y, z}; triangles as [i, j, k] or {vertex_indices: [i, j, k]}."""
    vertices = [vector(vertex) for vertex in node.need("vertices")]
    faces = []
    for triangle in node.need("triangles"):
        corners = triangle.need("vertex_indices") if triangle.is_mapping else triangle
        faces.append(corners.indices(3))
    try:
        return Mesh(np.array(vertices), np.array(faces))
    except InvalidInputError as error:
        node.refuse(error)


# --- poses and joints ------------------------------------------------------------------------------------------------


def vector(node: YamlNode, names: str = "xyz") -> list[float]:
    """Numbers written as a list, or as ROS does by name ({x: ..., y: ..., z: ...})."""
    if node.is_mapping:
        return [node.need(name).number() for name in names]
    return node.numbers(len(names))


def read_pose(node: YamlNode) -> Array:
    """(4, 4) of position and orientation, or of translation and rotation; a missing part is zero or identity."""
    entries = node.mapping()
    position = entries.get("position", entries.get("translation"))
    rotation = entries.get("orientation", entries.get("rotation"))
    if position is None and rotation is None:
        node.fail("a pose needs position and orientation (or translation and rotation)")
    place = rotation or node
    try:
        return ros_pose(
            vector(position) if position else (0, 0, 0),
            vector(rotation, "xyzw") if rotation else None,
            f"{place.file}:{place.line}: {place.place}",
        )
    except InvalidInputError as error:
        place.refuse(error)


def joint_state(state: YamlNode | None, *, required: bool = False) -> dict[str, float]:
    """Positions by joint name [rad or m]."""
    joints = (state.need("joint_state") if required else state.get("joint_state")) if state else None
    if joints is None:
        return {}
    names, positions = joints.need("name"), joints.need("position")
    values = positions.numbers()
    if len(names.items()) != len(values):
        positions.fail(f"{len(names.items())} joint names need as many positions, got {len(values)}")
    return {name.text(): value for name, value in zip(names, values, strict=True)}


def virtual_joint_pose(state: YamlNode | None) -> Array | None:
    """(4, 4) pose of the robot's root in the world, None if nothing says."""
    multi = state.get("multi_dof_joint_state") if state else None
    transforms = multi.get("transforms") if multi else None
    if transforms is None or not transforms.items():
        return None
    if len(transforms.items()) != 1:
        transforms.fail(f"expected one virtual joint that places the robot, got {len(transforms.items())}")
    return read_pose(transforms.items()[0])
