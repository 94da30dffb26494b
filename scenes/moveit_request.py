"""MoveIt's motion plan request as YAML: start, goals, speed, path. What it asks for beyond is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.files.yaml_nodes import YamlNode, read_yaml
from edmp.scenes.moveit import attached_objects
from edmp.scenes.moveit_nodes import joint_state, read_pose, ros_pose, vector, virtual_joint_pose
from edmp.scenes.moveit_objects import frame_id, note

Array = NDArray[np.float64]

CONSTRAINTS = ("joint_constraints", "position_constraints", "orientation_constraints", "visibility_constraints")


@dataclass(frozen=True, eq=False)
class LinkPose:
    """A pose for a link to reach.

    Attributes:
        link: its name.
        frame: the frame that the pose is given in.
        X_FL: (4, 4) the pose.
        node: where the file says so.
    """

    link: str
    frame: str
    X_FL: Array
    node: YamlNode


@dataclass(frozen=True, eq=False)
class MoveItRequest:
    """What a motion plan request file says.

    Attributes:
        start: start joint values by joint name, fingers included [rad or m].
        goals: joint values by joint name, or poses of a link; reaching one of them is enough.
        group: the planning group, empty if there is none.
        X_WR: (4, 4) pose of the robot's root in the world from a virtual joint, None if the file has none.
        velocity_scale, acceleration_scale: shares of the robot's limits that a motion may use, in (0, 1].
        tool_speed: of the origin of ``tool_link`` at most [m/s]; None if it may have any.
        tool_link: name of a link, empty if none is named.
        path_constraints: what the path is to keep to, for `edmp.constraints.moveit` to read; None if there is nothing.
    """

    start: Mapping[str, float]
    goals: tuple[Mapping[str, float] | LinkPose, ...]
    group: str = ""
    X_WR: Array | None = None
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0
    tool_speed: float | None = None
    tool_link: str = ""
    path_constraints: YamlNode | None = None


def load_moveit_request(path: str | Path) -> MoveItRequest:
    """Read a motion plan request file.

    Which planner is asked for, and how long and in which workspace it may try, is left to the caller. Of a region as
    the goal of a position the centre is taken, with a warning; of joint constraints the position, whatever the
    tolerances.

    Raises:
        FileFormatError: with file and line, for malformed YAML, when start or goal are missing, and for what is not
            supported.
    """
    root = read_yaml(path)
    _refuse_unsupported(root)
    state = root.need("start_state")
    start = joint_state(state, required=True)
    constraints = root.need("goal_constraints")
    goals = tuple(_goal(goal) for goal in constraints)
    if not goals:
        constraints.fail("there is no goal; expected a list of joint_constraints")
    group = root.get("group_name")
    return MoveItRequest(
        start,
        goals,
        group.text() if group else "",
        virtual_joint_pose(state),
        velocity_scale=_scale(root.get("max_velocity_scaling_factor")),
        acceleration_scale=_scale(root.get("max_acceleration_scaling_factor")),
        tool_speed=_speed(root.get("max_cartesian_speed")),
        tool_link=next((node.text() for key in _SPEED_LINKS if (node := root.get(key))), ""),
        path_constraints=root.get("path_constraints"),
    )


def _refuse_unsupported(root: YamlNode) -> None:
    if (trajectory := root.get("trajectory_constraints")) and (listed := _listed(trajectory, "constraints")):
        listed.fail("trajectory_constraints are not supported; remove them to plan without")
    state = root.get("start_state")
    if attached := attached_objects(state):
        attached[0].fail("attached objects of a start state are not supported; give them in the scene's robot_state")


def _listed(node: YamlNode, key: str) -> YamlNode | None:
    """The list under a key, None if it is missing or empty."""
    listed = node.get(key)
    return listed if listed is not None and listed.items() else None


def _scale(node: YamlNode | None) -> float:
    """A scaling factor; 0 is ROS' way of saying that there is none."""
    scale = node.number() if node else 0.0
    if node and not 0.0 <= scale <= 1.0:
        node.fail(f"expected a share of the robot's limits, from 0 (not set) to 1, got {scale:g}")
    return scale or 1.0


_SPEED_LINKS = ("cartesian_speed_limited_link", "cartesian_speed_end_effector_link")
"""Whose speed is limited, in the order of MoveIt's versions."""


def _speed(node: YamlNode | None) -> float | None:
    """A limit of speed [m/s]; 0 is ROS' way of saying that there is none."""
    speed = node.number() if node else 0.0
    if node and speed < 0.0:
        node.fail(f"expected a speed from 0 (not set) on [m/s], got {speed:g}")
    return speed or None


# --- goals -----------------------------------------------------------------------------------------------------------


def _goal(node: YamlNode) -> Mapping[str, float] | LinkPose:
    joints, position, orientation, visibility = (_listed(node, kind) for kind in CONSTRAINTS)
    if visibility:
        visibility.fail("visibility_constraints are not supported; expected joint, or position and orientation ones")
    if joints and (other := position or orientation):
        other.fail("a goal of joint_constraints and others at once is not supported; expected one or the other")
    if position or orientation:
        return _link_pose(node, position, orientation)
    return _joint_goal(node)


def _joint_goal(node: YamlNode) -> dict[str, float]:
    constraints = node.need("joint_constraints")
    goal: dict[str, float] = {}
    for item in constraints:
        name = item.need("joint_name").text()
        if name in goal:
            item.fail(f"joint {name!r} is constrained twice")
        goal[name] = item.need("position").number()
        for side in ("tolerance_above", "tolerance_below"):
            if (tolerance := item.get(side)) and tolerance.number() < 0:
                tolerance.fail(f"a tolerance must not be negative, got {tolerance.number():g}")
    if not goal:
        constraints.fail("there is no joint constraint; expected one for every joint of the arm")
    return goal


def _link_pose(node: YamlNode, position: YamlNode | None, orientation: YamlNode | None) -> LinkPose:
    """The pose in the middle of what a position and an orientation constraint of one link allow."""
    if position is None or orientation is None:
        node.fail("a position or an orientation alone is not supported; expected joint_constraints, or both of these")
    for listed in (position, orientation):
        if len(listed.items()) != 1:
            listed.fail(f"expected one constraint, got {len(listed.items())}; several at once are not supported")
    where, how = position.items()[0], orientation.items()[0]
    link, frame = where.need("link_name").text(), frame_id(where).lstrip("/")
    for said, other, what in (
        (link, how.need("link_name").text(), "link"),
        (frame, frame_id(how).lstrip("/"), "frame"),
    ):
        if said != other:
            how.fail(f"position and orientation must be of one {what}, got {said!r} and {other!r}")
    X_FL = ros_pose((0, 0, 0), vector(how.need("orientation"), "xyzw"), f"{how.file}:{how.line}: {how.place}")
    offset = where.get("target_point_offset")
    X_FL[:3, 3] = _centre(where) - X_FL[:3, :3] @ np.array(vector(offset) if offset else [0.0] * 3)
    note(node, f"the middle of what the goal allows is taken: link {link!r} at {X_FL[:3, 3].round(6).tolist()} [m]")
    return LinkPose(link, frame, X_FL, node)


def _centre(where: YamlNode) -> Array:
    """(3,) the centre of the region of a position constraint: a box, sphere, cylinder or cone."""
    region = where.need("constraint_region")
    if meshes := _listed(region, "meshes"):
        meshes.fail("meshes as regions of a goal are not supported; expected one primitive")
    shapes, poses = region.need("primitives").items(), region.need("primitive_poses").items()
    if len(shapes) != 1 or len(poses) != 1:
        region.fail(f"expected one primitive with its pose, got {len(shapes)} and {len(poses)}")
    return read_pose(poses[0])[:3, 3]
