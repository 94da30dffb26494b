"""Reading a serial arm from a URDF.

Fixed joints are merged, body frames are turned so that their z axis is the joint axis, and joints beyond the arm
(fingers, mimics) are frozen. What a URDF does not say (acceleration and jerk limits) gets a stated default.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edmp.robots.description import VERSION, Document, entry_numbers
from edmp.robots.description_writer import pose_entry
from edmp.robots.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.robots.robot import Array
from edmp.robots.transforms import inverse, pose, rotation_from_rpy, rotation_to_z

log = logging.getLogger(__name__)

RAMP_TIME = 0.25
"""Default acceleration limit: full velocity after so long [s]."""

JERK_TIME = 0.05
"""Default jerk limit: full acceleration after so long [s]."""

CONTINUOUS_RANGE = 2 * np.pi
"""A continuous joint plans within plus and minus this [rad]."""

_MOVING = {"revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}


@dataclass(frozen=True)
class _UrdfJoint:
    name: str
    kind: str
    parent: str
    child: str
    X_PC: Array
    axis: Array
    lower: float
    upper: float
    velocity: float | None
    effort: float | None
    mimic: bool

    @property
    def moves(self) -> bool:
        return self.kind in _MOVING


@dataclass(frozen=True)
class _Urdf:
    """A parsed URDF: links in file order with their collision sources, and the joint tree."""

    name: str
    sources: dict[str, list[dict[str, Any]]]
    masses: dict[str, dict[str, Any]]
    joints: tuple[_UrdfJoint, ...]
    root: str

    def children(self, link: str) -> list[_UrdfJoint]:
        return [joint for joint in self.joints if joint.parent == link]

    def chain(self, link: str) -> list[_UrdfJoint]:
        """Joints from the root to a link."""
        into = {joint.child: joint for joint in self.joints}
        path = []
        while link in into:
            path.append(into[link])
            link = into[link].parent
        return path[::-1]


def urdf_document(
    path: str | Path,
    *,
    tool: str | None = None,
    frozen: Mapping[str, float] | None = None,
    acceleration: Sequence[float] | float | None = None,
    jerk: Sequence[float] | float | None = None,
) -> Document:
    """The description of a URDF's arm, without fitted geometry: every link names its `source`.

    Args:
        path: the URDF.
        tool: link whose frame pose goals speak of; the arm is the chain from the root to it. Default: the end of
            the only chain there is; joints of a gripper beyond it are frozen.
        frozen: positions of joints that are not part of the arm [rad or m]; default 0, or the nearest limit.
        acceleration: limits (dof,) or one for all; default: full velocity within `RAMP_TIME`.
        jerk: limits (dof,) or one for all; default: full acceleration within `JERK_TIME`.

    Raises:
        FileFormatError: not a URDF, or not a serial arm.
        UnknownNameError: no link called ``tool``, or no joint of a frozen name.
    """
    urdf = _parse(Path(path))
    arm = _arm(urdf, tool, str(path))
    frozen = dict(frozen or {})
    for name in frozen:
        valid = [joint.name for joint in urdf.joints if joint.moves and joint not in arm]
        if name not in valid:
            raise unknown_name("joint beside the arm", name, valid)
    X_PJ, placed = _place(urdf, arm, frozen)
    entries = [_joint_entry(joint, X) for joint, X in zip(arm, X_PJ, strict=True)]
    _add_rates(entries, acceleration, jerk)
    middle = [float(np.clip(0.0, *entry["position"])) for entry in entries]
    end = tool or _end_link(urdf, placed, len(arm))
    return {
        "edmp_robot": VERSION,
        "name": urdf.name,
        "home": middle,
        "joints": entries,
        "tool": end,
        "tools": [
            {"name": name, "body": body, **pose_entry(X_BL)}
            for name, (body, X_BL) in placed.items()
            if body == len(arm) or name == end
        ],
        "collision_pairs": [],
        "links": [
            {"name": name, "body": body, **pose_entry(X_BL), **urdf.masses[name], "source": urdf.sources[name]}
            for name, (body, X_BL) in sorted(placed.items(), key=lambda item: item[1][0])
            if urdf.sources[name]
        ],
    }


def _arm(urdf: _Urdf, tool: str | None, source: str) -> list[_UrdfJoint]:
    """The moving joints of the arm, base to tip."""
    if tool is not None:
        if tool not in urdf.sources:
            raise unknown_name("tool frame", tool, urdf.sources)
        arm = [joint for joint in urdf.chain(tool) if joint.moves]
    else:
        arm = _only_chain(urdf, source)
    if not arm:
        raise FileFormatError(f"{source}: no moving joint between {urdf.root} and {tool or 'any link'}")
    if mimics := [joint.name for joint in arm if joint.mimic]:
        raise FileFormatError(f"{source}: joint {mimics[0]} of the arm mimics another: not a serial arm")
    return arm


def _only_chain(urdf: _Urdf, source: str) -> list[_UrdfJoint]:
    """Follow the moving joints from the root; where they fork, the arm ends and what follows must be a gripper."""
    arm: list[_UrdfJoint] = []
    link = urdf.root
    while True:
        following = _next_moving(urdf, link)
        own = [joint for joint in following if not joint.mimic]
        if len(following) == 1 and own:
            arm.append(own[0])
            link = own[0].child
            continue
        deepest = max((_depth(urdf, joint) for joint in following), default=0)
        if following and (len(arm) < 3 or deepest > 3):
            names = ", ".join(joint.name for joint in following)
            raise FileFormatError(
                f"{source}: not a serial arm: after {link} the moving joints fork ({names}); "
                f"choose one chain with tool=; links: {', '.join(urdf.sources)}"
            )
        return arm


def _next_moving(urdf: _Urdf, link: str) -> list[_UrdfJoint]:
    """The first moving joints below a link, across fixed ones."""
    found: list[_UrdfJoint] = []
    for joint in urdf.children(link):
        found += [joint] if joint.moves else _next_moving(urdf, joint.child)
    return found


def _depth(urdf: _Urdf, joint: _UrdfJoint) -> int:
    return 1 + max((_depth(urdf, below) for below in _next_moving(urdf, joint.child)), default=0)


def _place(
    urdf: _Urdf, arm: Sequence[_UrdfJoint], frozen: Mapping[str, float]
) -> tuple[list[Array], dict[str, tuple[int, Array]]]:
    """Joint frames ``X_PJ`` of the arm, and (body, X_BL) of every link."""
    placed = {urdf.root: (0, np.eye(4))}
    X_PJ: dict[str, Array] = {}
    pending = [urdf.root]
    while pending:
        link = pending.pop(0)
        body, X_BL = placed[link]
        for joint in urdf.children(link):
            X_BC = X_BL @ joint.X_PC
            if joint in arm:
                X_CJ = pose(R=rotation_to_z(joint.axis))
                X_PJ[joint.name] = X_BC @ X_CJ
                placed[joint.child] = (body + 1, inverse(X_CJ))
            else:
                placed[joint.child] = (body, X_BC @ _frozen_motion(joint, frozen))
            pending.append(joint.child)
    return [X_PJ[joint.name] for joint in arm], placed


def _frozen_motion(joint: _UrdfJoint, frozen: Mapping[str, float]) -> Array:
    if not joint.moves:
        return np.eye(4)
    value = frozen.get(joint.name, float(np.clip(0.0, joint.lower, joint.upper)))
    log.info("joint %s is not part of the arm: frozen at %g", joint.name, value)
    if joint.kind == "prismatic":
        return pose(joint.axis * value)
    x, y, z = joint.axis
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return pose(R=np.eye(3) + np.sin(value) * K + (1 - np.cos(value)) * K @ K)


def _end_link(urdf: _Urdf, placed: Mapping[str, tuple[int, Array]], dof: int) -> str:
    """The last link of the last body that carries nothing further; frozen fingers do not count."""
    beyond = {joint.child for joint in urdf.joints if joint.moves}
    last = [name for name, (body, _) in placed.items() if body == dof]
    ends = [name for name in last if not urdf.children(name) and name not in beyond]
    return (ends or last)[-1]


def _joint_entry(joint: _UrdfJoint, X_PJ: Array) -> dict[str, Any]:
    velocity = joint.velocity
    if velocity is None:
        velocity = 1.0 if _MOVING[joint.kind] == "revolute" else 0.1
        log.warning("joint %s has no velocity limit: taking %g per second", joint.name, velocity)
    return {
        "name": joint.name,
        "kind": _MOVING[joint.kind],
        **pose_entry(X_PJ),
        "position": [round(joint.lower, 10), round(joint.upper, 10)],
        "velocity": velocity,
        **({} if joint.effort is None else {"effort": joint.effort}),
    }


def _add_rates(
    entries: list[dict[str, Any]], acceleration: Sequence[float] | float | None, jerk: Sequence[float] | float | None
) -> None:
    for key, given, base, time in (
        ("acceleration", acceleration, "velocity", RAMP_TIME),
        ("jerk", jerk, "acceleration", JERK_TIME),
    ):
        if given is None:
            log.warning("no %s limits: taking %s / %g s for every joint", key, base, time)
        values = [entry[base] / time for entry in entries] if given is None else given
        if np.ndim(values) not in (0, 1) or (np.ndim(values) == 1 and np.size(values) != len(entries)):
            raise InvalidInputError(f"{key}: expected one number, or {len(entries)} of them, one for each joint")
        for entry, value in zip(entries, np.broadcast_to(np.asarray(values, dtype=float), len(entries)), strict=True):
            entry[key] = round(float(value), 10)


def _parse(path: Path) -> _Urdf:
    if not path.is_file():
        raise FileFormatError(f"{path}: no such URDF file")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        line = error.position[0]
        raise FileFormatError(f"{path}:{line}: not XML: {error}") from error
    if root.tag != "robot":
        raise FileFormatError(f"{path}: not a URDF: the root element is <{root.tag}>, expected <robot>")
    sources = {
        _attribute(link, "name", f"{path}: link"): [
            _source(collision, f"{path}: link {link.get('name')}: collision") for collision in link.findall("collision")
        ]
        for link in root.findall("link")
    }
    masses = {
        link.get("name", ""): _mass_entry(link, f"{path}: link {link.get('name')}") for link in root.findall("link")
    }
    joints = tuple(_parse_joint(joint, sources, str(path)) for joint in root.findall("joint"))
    children = [joint.child for joint in joints]
    if len(set(children)) != len(children):
        twice = next(child for child in children if children.count(child) > 1)
        raise FileFormatError(f"{path}: link {twice} has two parents: not a tree")
    roots = [name for name in sources if name not in children]
    if len(roots) != 1:
        raise FileFormatError(f"{path}: expected one root link, found {len(roots)}: {', '.join(roots) or 'a loop'}")
    return _Urdf(root.get("name", path.stem), sources, masses, joints, roots[0])


def _parse_joint(element: ElementTree.Element, links: Mapping[str, Any], path: str) -> _UrdfJoint:
    name = _attribute(element, "name", f"{path}: joint")
    place = f"{path}: joint {name}"
    kind = _attribute(element, "type", place)
    if kind not in (*_MOVING, "fixed"):
        raise FileFormatError(f"{place}: type {kind!r}; supported: fixed, {', '.join(_MOVING)}")
    parent, child = (_end(element, tag, links, place) for tag in ("parent", "child"))
    axis = np.array([1.0, 0.0, 0.0])
    if (axis_element := element.find("axis")) is not None:
        axis = _floats(_attribute(axis_element, "xyz", f"{place}: axis"), 3, f"{place}: axis")
    if np.linalg.norm(axis) < 1e-9:
        raise FileFormatError(f"{place}: the axis is zero")
    limit = element.find("limit")
    lower, upper = -CONTINUOUS_RANGE, CONTINUOUS_RANGE
    if kind in ("revolute", "prismatic"):
        if limit is None:
            raise FileFormatError(f"{place}: a {kind} joint needs <limit lower= upper= velocity=>")
        lower, upper = (float(_floats(limit.get(key, "0"), 1, f"{place}: limit")[0]) for key in ("lower", "upper"))
        if not lower < upper:
            raise FileFormatError(f"{place}: limit: lower {lower} is not below upper {upper}")
    velocity, effort = (_positive_limit(limit, key, place) for key in ("velocity", "effort"))
    X_PC = _origin(element, place)
    mimic = element.find("mimic") is not None
    axis = axis / np.linalg.norm(axis)
    return _UrdfJoint(name, kind, parent, child, X_PC, axis, lower, upper, velocity, effort, mimic)


def _positive_limit(limit: ElementTree.Element | None, key: str, place: str) -> float | None:
    """A limit that is given and not 0, by which many files mean that they do not know."""
    if limit is None or not limit.get(key):
        return None
    return float(_floats(limit.get(key, ""), 1, f"{place}: limit {key}")[0]) or None


def _mass_entry(link: ElementTree.Element, place: str) -> dict[str, Any]:
    """The keys mass and com of a link's description; none where the file gives no mass."""
    inertial = link.find("inertial")
    element = None if inertial is None else inertial.find("mass")
    if inertial is None or element is None:
        return {}
    mass = float(_floats(_attribute(element, "value", f"{place}: mass"), 1, f"{place}: mass")[0])
    com_L = _origin(inertial, f"{place}: inertial")[:3, 3]
    return {"mass": mass, "com": com_L.tolist()} if mass > 0 else {}


def _end(element: ElementTree.Element, tag: str, links: Mapping[str, Any], place: str) -> str:
    """The parent or child link of a joint."""
    end = element.find(tag)
    link = None if end is None else end.get("link")
    if link is None or link not in links:
        raise FileFormatError(f"{place}: {tag} link {link!r} does not exist")
    return link


def _source(collision: ElementTree.Element, place: str) -> dict[str, Any]:
    """One collision element as a `source` entry of the description."""
    geometry = collision.find("geometry")
    shape = None if geometry is None else next(iter(geometry), None)
    if shape is None or shape.tag not in _SHAPES:
        raise FileFormatError(f"{place}: geometry must be one of {', '.join(_SHAPES)}")
    entry = _SHAPES[shape.tag](shape, place)
    X_LG = _origin(collision, place)
    return entry if np.allclose(X_LG, np.eye(4)) else {**entry, **pose_entry(X_LG)}


def _mesh_source(shape: ElementTree.Element, place: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"mesh": _attribute(shape, "filename", f"{place}: mesh")}
    if shape.get("scale"):
        entry["scale"] = _floats(shape.get("scale", ""), 3, f"{place}: mesh scale").tolist()
    return entry


def _sized(shape: ElementTree.Element, place: str, *attributes: str) -> list[float]:
    here = f"{place}: {shape.tag}"
    return [float(_floats(_attribute(shape, name, here), 1, f"{here} {name}")[0]) for name in attributes]


_SHAPES = {
    "mesh": _mesh_source,
    "box": lambda shape, place: {"box": _floats(_attribute(shape, "size", f"{place}: box"), 3, place).tolist()},
    "cylinder": lambda shape, place: {"cylinder": _sized(shape, place, "radius", "length")},
    "sphere": lambda shape, place: {"sphere": _sized(shape, place, "radius")[0]},
}


def _origin(element: ElementTree.Element, place: str) -> Array:
    origin = element.find("origin")
    if origin is None:
        return np.eye(4)
    xyz = _floats(origin.get("xyz", "0 0 0"), 3, f"{place}: origin xyz")
    return pose(xyz, rotation_from_rpy(_floats(origin.get("rpy", "0 0 0"), 3, f"{place}: origin rpy")))


def _attribute(element: ElementTree.Element, name: str, place: str) -> str:
    value = element.get(name)
    if not value:
        raise FileFormatError(f"{place}: <{element.tag}> lacks the attribute {name}")
    return value


def _floats(text: str, count: int, place: str) -> Array:
    return entry_numbers(text.split(), (count,), place)
