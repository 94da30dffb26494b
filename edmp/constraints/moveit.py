"""Path constraints of MoveIt's requests (moveit_msgs/Constraints) as ours.

- ``joint_constraints``: `JointRange` from position - tolerance_below to position + tolerance_above.
- ``position_constraints``: a box, a sphere or a cylinder in which the target point of the link stays; one region each.
- ``orientation_constraints`` with a rotation vector as parameterization (1): `Oriented`, which means the same.
- ``orientation_constraints`` with XYZ Euler angles (0), R = Rx(a) Ry(b) Rz(c), |a|, |b|, |c| within their tolerances:
  what is kept to is a little narrower, never wider. Where all are below a right angle, `Oriented` with all tolerances
  smaller by the same factor, the largest for which every rotation is within the given ones, see `_shrunk`. Where a (or
  c) is not, `Upright` with the lesser tolerance of the other two, of the axis x (or z) about which the link may turn:
  within that cone both of them are; and if a is bounded, an `Upright` of the axis z that keeps it within.

Weights say how MoveIt's samplers prefer one to another; all constraints have to hold, so that they mean nothing here.
What cannot be expressed is refused by name: ``visibility_constraints``, regions that are meshes, cones or several at
once, frames that move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edmp.constraints.base import Constraint
from edmp.constraints.kinds import JointRange, Oriented, Upright
from edmp.constraints.places import InBox, InSphere, OnLine
from edmp.errors import EdmpError
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.shapes import Box, Cylinder, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.moveit_nodes import primitive, read_pose, ros_pose, vector
from edmp.scenes.moveit_objects import frame_id, note

Array = NDArray[np.float64]

XYZ_EULER, ROTATION_VECTOR = "0", "1"
_TOLERANCES = tuple(f"absolute_{axis}_axis_tolerance" for axis in "xyz")


def path_constraints(node: YamlNode, robot: Robot, frames: Mapping[str, Array]) -> tuple[Constraint, ...]:
    """What ``path_constraints`` ask for.

    Args:
        node: moveit_msgs/Constraints.
        robot: whose path it is.
        frames: (4, 4) poses in the world of frames that do not move, by name.

    Raises:
        FileFormatError: with file and line, for what cannot be honoured.
    """
    readers: Mapping[str, Callable[[YamlNode], list[Constraint]]] = {
        "joint_constraints": lambda item: [_joint(item)],
        "position_constraints": lambda item: _position(item, frames),
        "orientation_constraints": lambda item: _orientation(item, frames),
    }
    found: list[Constraint] = []
    if (seen := node.get("visibility_constraints")) and seen.items():
        seen.fail("visibility_constraints along the path are not supported; remove them to plan without")
    for kind, read in readers.items():
        for item in node.get(kind) or ():
            try:
                some = read(item)
                for constraint in some:
                    constraint.bands(robot)  # names that there are not
            except EdmpError as error:
                if str(error).startswith(f"{item.file}:"):
                    raise
                item.refuse(error)
            found += some
    return tuple(found)


def _joint(item: YamlNode) -> Constraint:
    position = item.need("position").number()
    below, above = (_tolerance(item, f"tolerance_{side}") for side in ("below", "above"))
    if not below + above > 0:
        item.fail("a joint cannot keep to one value exactly: give tolerance_above or tolerance_below")
    return JointRange(item.need("joint_name").text(), position - below, position + above)


def _tolerance(item: YamlNode, key: str) -> float:
    node = item.get(key)
    tolerance = node.number() if node else 0.0
    if node and tolerance < 0:
        node.fail(f"a tolerance must not be negative, got {tolerance:g}")
    return tolerance


def _fixed(item: YamlNode, frames: Mapping[str, Array]) -> Array:
    """(4, 4) pose in the world of the frame that an item is given in."""
    frame = frame_id(item).lstrip("/")
    if frame not in frames:
        known = ", ".join(filter(None, frames))
        item.fail(f"frame {frame!r} is not one that stays where it is; known: {known}")
    return frames[frame]


# --- positions -------------------------------------------------------------------------------------------------------


def _position(item: YamlNode, frames: Mapping[str, Array]) -> list[Constraint]:
    link = item.need("link_name").text()
    target = item.get("target_point_offset")
    offset = vector(target) if target else (0.0, 0.0, 0.0)
    region = item.need("constraint_region")
    if (meshes := region.get("meshes")) and meshes.items():
        meshes.fail("meshes as regions along the path are not supported; expected a box, a sphere or a cylinder")
    shapes, poses = region.need("primitives").items(), region.need("primitive_poses").items()
    if len(shapes) != 1 or len(poses) != 1:
        region.fail(
            f"expected one primitive with its pose, got {len(shapes)} and {len(poses)}: to stay in one of several "
            "regions is not supported"
        )
    shape, X_WS = primitive(shapes[0]), _fixed(item, frames) @ read_pose(poses[0])
    middle, axis = X_WS[:3, 3], X_WS[:3, 2]
    if isinstance(shape, Box):
        return [InBox(shape.size, X_WS, link, offset)]
    if isinstance(shape, Sphere):
        return [InSphere(shape.radius, middle, link, offset)]
    if isinstance(shape, Cylinder):
        along = InBox((math.inf, math.inf, shape.length), X_WS, link, offset)
        return [OnLine(middle, axis, shape.radius, link, offset), along]
    shapes[0].fail("a cone as the region along the path is not supported; expected a box, a sphere or a cylinder")


# --- orientations ----------------------------------------------------------------------------------------------------


def _orientation(item: YamlNode, frames: Mapping[str, Array]) -> list[Constraint]:
    link = item.need("link_name").text()
    wanted = ros_pose((0, 0, 0), vector(item.need("orientation"), "xyzw"), f"{item.file}:{item.line}: {item.place}")
    R_WT = (_fixed(item, frames) @ wanted)[:3, :3]
    tolerances = np.array([_tolerance(item, key) for key in _TOLERANCES])
    if not (tolerances > 0).all():
        item.fail(f"an orientation cannot be kept to exactly: {', '.join(_TOLERANCES)} must be positive")
    given = item.get("parameterization")
    kind = given.text() if given else XYZ_EULER
    if kind == ROTATION_VECTOR:
        bounded = np.where(tolerances >= math.pi, math.inf, tolerances)
        return [Oriented(R_WT, bounded, link)] if np.isfinite(bounded).any() else []
    if given and kind != XYZ_EULER:
        given.fail(f"expected 0 (XYZ Euler angles) or 1 (rotation vector), got {kind}")
    return _euler(item, R_WT, tolerances, link)


def _euler(item: YamlNode, R_WT: Array, tolerances: Array, link: str) -> list[Constraint]:
    """A region of orientations within that of XYZ Euler angles."""
    free = tolerances >= (math.pi, 0.5 * math.pi, math.pi)  # the angle about y goes to a right angle only
    if free.all():
        return []
    if tolerances.max() < 0.5 * math.pi:
        share = _shrunk(tolerances)
        note(item, f"XYZ Euler angles are kept as a rotation vector, with {share:.1%} of the tolerances: never wider")
        return [Oriented(R_WT, share * tolerances, link)]
    for turning, other in ((2, 0), (0, 2)):
        cone, widest = np.sort(np.delete(tolerances, turning))
        if widest >= 0.5 * math.pi:
            continue
        axis, across = np.eye(3)[turning], np.eye(3)[other]
        found: list[Constraint] = [Upright(cone, axis, R_WT @ axis, link)]
        if not free[turning]:
            # Of what is turned further, the cosine of the angle of the other axis is at most this.
            turn = math.acos(math.cos(cone) * math.cos(tolerances[turning]))
            found.append(Upright(turn, across, R_WT @ across, link))
        named = "xyz"[turning]
        note(item, f"XYZ Euler angles are kept as the {named} axis of {link} within {cone:.4g} rad: never wider")
        return found
    item.fail(
        f"tolerances of {tolerances.tolist()} rad of XYZ Euler angles are not supported: at least two of them, the one "
        "about y among them, must be below pi/2; a rotation vector (parameterization: 1) takes any"
    )


def _shrunk(tolerances: Array) -> float:
    """The largest share s of three tolerances so that rotation vectors within s times them have Euler angles within.

    With R = 1 + a [phi] + b [phi]^2, a <= 1, b <= 1/2 (Rodrigues), sin b = R02, tan a = -R12 / R22, tan c = -R01 / R00,
    and every product of two components of phi is at most that of their bounds.
    """

    def within(share: float) -> bool:
        x, y, z = share * tolerances
        about_x, about_z = 1.0 - 0.5 * (x * x + y * y), 1.0 - 0.5 * (y * y + z * z)
        if min(about_x, about_z) <= 0 or y + 0.5 * x * z > math.sin(tolerances[1]):
            return False
        return bool(
            math.atan2(x + 0.5 * y * z, about_x) <= tolerances[0]
            and math.atan2(z + 0.5 * x * y, about_z) <= tolerances[2]
        )

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if within(middle) else (low, middle)
    return low
