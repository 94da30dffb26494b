"""Lines of the tool in files: in edmp's own YAML and in plan files they look the same.

goal: {line: {position: [0.5, 0.1, 0.4], quaternion: [1, 0, 0, 0]}}       # to a pose
goal: {line: {offset: [0, 0, 0.2], frame: tool}}                          # by an offset; frame is world or tool
goal: {via: [{position: ..., quaternion: ...}, ...], blend: 0.02}         # over poses; blend: one radius, or a list
goal: {line: ..., tolerance: 0.002, rotation_tolerance: 0.01}             # both may say how near [m], [rad]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.files.json_nodes import JsonNode
from edmp.files.yaml_nodes import YamlNode
from edmp.geometry.poses import FARTHEST, quaternion_of
from edmp.goals.kinds import ROTATION_TOLERANCE, TOLERANCE, Line, PoseGoal, ToolGoal, Via

Array = NDArray[np.float64]

LINE_KEYS = ("line", "via")
_TOLERANCES = {"tolerance": TOLERANCE, "rotation_tolerance": ROTATION_TOLERANCE}


def tool_goal_document(goal: ToolGoal) -> dict[str, Any]:
    """A line as plain data, for either kind of file."""
    document: dict[str, Any] = {}
    if isinstance(goal, Via):
        document = {"via": [_pose_document(one) for one in goal.poses], "blend": goal.blend.tolist()}
    elif goal.pose is not None:
        document = {"line": _pose_document(goal.pose)}
    else:
        document = {"line": {"offset": goal.offset.tolist(), "frame": goal.frame}}
    return document | {name: value for name in _TOLERANCES if (value := getattr(goal, name)) != _TOLERANCES[name]}


def _pose_document(goal: PoseGoal) -> dict[str, Any]:
    return {"position": goal.position.tolist(), "quaternion": goal.quaternion.tolist()}


def tool_goal_of_yaml(node: YamlNode, pose_of: Callable[[YamlNode], Array]) -> ToolGoal:
    """The line of a mapping with one of `LINE_KEYS`; ``pose_of`` reads the pose (4, 4) of a mapping."""
    within: Any = {name: float(said.number()) for name in _TOLERANCES if (said := node.get(name)) is not None}
    line, via = node.get("line"), node.get("via")
    try:
        if line is None and via is not None:
            node.only("via", "blend", *_TOLERANCES)
            blend = node.get("blend")
            radii = 0.0 if blend is None else blend.numbers() if blend.is_list else blend.number()
            return Via(tuple(_goal_at(pose_of(item)) for item in via), radii, **within)
        if line is None:
            node.fail("a goal along a line needs a pose or an offset under line, or poses under via")
        node.only("line", *_TOLERANCES)
        if line.is_mapping and (offset := line.get("offset")) is not None:
            line.only("offset", "frame")
            frame = line.get("frame")
            return Line.by(offset.numbers(3), frame=frame.text() if frame else "world", **within)
        return Line(_goal_at(pose_of(line)), **within)
    except InvalidInputError as error:
        node.refuse(error)


def tool_goal_of_json(node: JsonNode) -> ToolGoal | None:
    """The line of a goal in a plan file; None if it is another goal."""
    line, via = node.get("line"), node.get("via")
    if line is None and via is None:
        return None
    with node.blamed():
        within: Any = {name: said.number() for name in _TOLERANCES if (said := node.get(name)) is not None}
        if via is not None:
            return Via(tuple(map(_pose_of_json, via.entries(least=1))), node["blend"].array(None), **within)
        assert line is not None
        if (offset := line.get("offset")) is not None:
            return Line.by(offset.array(3, limit=FARTHEST), frame=line["frame"].text(), **within)
        return Line(_pose_of_json(line), **within)


def _pose_of_json(node: JsonNode) -> PoseGoal:
    return PoseGoal(node["position"].array(3, limit=FARTHEST), node["quaternion"].array(4))


def _goal_at(X_WT: Array) -> PoseGoal:
    return PoseGoal(X_WT[:3, 3], quaternion_of(X_WT))
