"""Robot descriptions: one readable, versioned YAML format, read and written here.

Everything is in SI units and radians. Body frames are ours: joint i moves body i + 1, whose frame is the joint frame,
with the joint axis along z. Geometry is given in link frames. `panda.yaml` shows every key.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import FileFormatError, unknown_name
from edmp.files.reading import is_file, is_urdf, read_text, shortened
from edmp.files.yaml_document import parse_yaml_document
from edmp.geometry.poses import apply, pose, rotation_from_quaternion, rotation_from_rpy
from edmp.robots.parts import Finger, Gripper, Joint, Limits, Link, LinkBox, ToolFrame
from edmp.robots.robot import Robot

Array = NDArray[np.float64]
Document = dict[str, Any]
"""A description as it stands in the file."""

VERSION = 1

LARGEST = 1e9
"""Numbers beyond this, in SI units, are mistakes."""

LARGEST_LINK = 1e3
"""No vertex is farther from the frame of its link than this [m]."""

_KEYS = {
    "description": (
        {"edmp_robot", "name", "home", "joints", "links", "tools", "tool", "collision_pairs"},
        {"notes", "base", "gripper", "allowed_contacts"},
    ),
    "joint": (
        {"name", "kind", "position", "velocity", "acceleration", "jerk"},
        {"xyz", "rpy", "quaternion", "effort", "continuous", "parent"},
    ),
    "link": (
        {"name", "body"},
        {"xyz", "rpy", "quaternion", "attached", "mass", "com", "source", "fit", "hulls", "spheres", "box", "like"},
    ),
    "box": ({"size"}, {"xyz", "rpy", "quaternion"}),
    "tool": ({"name", "body"}, {"xyz", "rpy", "quaternion"}),
    "gripper": ({"width", "max_width", "fingers"}, {"stroke"}),
    "finger": ({"link", "axis"}, set()),
    "base": (set(), {"xyz", "rpy", "quaternion"}),
}


def built_in_robots() -> tuple[str, ...]:
    """Names that `load_robot` knows without a file."""
    folder = importlib.resources.files("edmp.robots")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@checked
def load_robot(name_or_path: str | Path, *, gripper_width: float | None = None) -> Robot:
    """A robot by name, or from a description file (`.yaml`).

    Args:
        name_or_path: a built-in name (`built_in_robots`), or the path of a description that `save_robot` or
            `edmp robot fit` wrote. URDF files are read by `load_urdf`.
        gripper_width: gap between the fingers [m]; None takes the description's default.

    Raises:
        UnknownNameError: neither a built-in name nor a file.
        FileFormatError: the file is not a robot description.
        InvalidInputError: the width is out of range, or the robot has no gripper.
    """
    robot = _load_built_in(str(name_or_path)) if str(name_or_path) in built_in_robots() else _load_file(name_or_path)
    return robot if gripper_width is None else _with_width(robot, float(gripper_width))


@functools.cache
def _load_built_in(name: str) -> Robot:
    return robot_from_document(read_built_in(name), source=f"{name}.yaml")


def read_built_in(name: str) -> Document:
    """The parsed description of a built-in robot."""
    text = (importlib.resources.files("edmp.robots") / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_document(text, source=f"{name}.yaml")


@functools.lru_cache(maxsize=64)
def _with_width(robot: Robot, width: float) -> Robot:
    return robot.with_gripper(width)


def _load_file(name_or_path: str | Path) -> Robot:
    path = Path(name_or_path)
    if not is_file(path):
        if path.suffix.lower() in (".yaml", ".yml", ".urdf") or "/" in str(name_or_path):
            raise FileFormatError(f"{shortened(path)}: no such robot description file")
        raise unknown_name("robot", shortened(name_or_path), built_in_robots())
    if is_urdf(path):
        raise FileFormatError(f"{path}: this is a URDF; read it with edmp.robots.load_urdf")
    return robot_from_document(read_document(path), source=str(path))


def read_document(path: str | Path) -> Document:
    """The parsed, not yet validated YAML of a description file."""
    return parse_document(read_text(Path(path), "robot description"), source=str(path))


def parse_document(text: str, *, source: str) -> Document:
    document = parse_yaml_document(text, source=source)
    if not isinstance(document, dict) or "edmp_robot" not in document:
        raise FileFormatError(f"{source}: not a robot description: no top-level key 'edmp_robot'")
    if document["edmp_robot"] != VERSION:
        raise FileFormatError(f"{source}: robot format {_quoted(document['edmp_robot'])}; this edmp reads {VERSION}")
    return document


def robot_from_document(document: Document, *, source: str = "description") -> Robot:
    """The robot that a parsed description stands for. Every error names the place in the document."""
    _check_keys("description", document, source)
    joints, limits = _joints(document["joints"], f"{source}: joints")
    links = _links(document["links"], len(joints), f"{source}: links")
    names = [link.name for link in links]
    tools = tuple(
        _tool(entry, len(joints), f"{source}: tools[{i}]") for i, entry in enumerate(_list(document, "tools", source))
    )
    by_name = {tool.name: tool for tool in tools}
    chosen = _known(document["tool"], list(by_name), f"{source}: tool frame")
    gripper = None
    if document.get("gripper") is not None:
        gripper = _gripper(document["gripper"], names, f"{source}: gripper")
    robot = Robot(
        name=_text(document["name"], f"{source}: name"),
        joints=joints,
        limits=limits,
        links=links,
        collision_pairs=_pairs(_list(document, "collision_pairs", source), names, f"{source}: collision_pairs"),
        tool=by_name[chosen],
        home=entry_numbers(document["home"], (len(joints),), f"{source}: home"),
        X_W0=entry_pose(document.get("base") or {}, f"{source}: base"),
        tools=tools,
        gripper=gripper and dataclasses.replace(gripper, width=0.0),
    )
    if "allowed_contacts" in document:
        robot = robot.with_allowed_contacts(*_list(document, "allowed_contacts", source))
    return robot if gripper is None else robot.with_gripper(gripper.width)


def _joints(entries: Any, place: str) -> tuple[tuple[Joint, ...], Limits]:
    if not isinstance(entries, list) or not entries:
        raise FileFormatError(f"{place}: expected a list of at least one joint")
    joints: list[Joint] = []
    rows = []
    for i, entry in enumerate(entries):
        here = f"{place}[{i}]"
        _check_keys("joint", entry, here)
        if entry["kind"] not in ("revolute", "prismatic"):
            raise FileFormatError(f"{here}: kind {_quoted(entry['kind'])}; expected revolute or prismatic")
        lower, upper = entry_numbers(entry["position"], (2,), f"{here}: position")
        rates = [float(entry_numbers(entry[key], (), f"{here}: {key}")) for key in ("velocity", "acceleration", "jerk")]
        effort = float(entry_numbers(entry["effort"], (), f"{here}: effort")) if "effort" in entry else np.inf
        if not lower < upper or min(*rates, effort) <= 0:
            raise FileFormatError(f"{here}: limits must satisfy lower < upper and positive velocity, ..., effort")
        continuous = _continuous(entry, here)
        if continuous:  # from a start within half a turn of zero, the nearest goal is within a turn
            lower, upper = min(lower, -2 * np.pi), max(upper, 2 * np.pi)
        parent = _parent(entry, len(joints), here)
        name = _text(entry["name"], f"{here}: name")
        joints.append(Joint(name, entry["kind"], entry_pose(entry, here), continuous, parent))
        rows.append([lower, upper, *rates, effort])
    _check_unique([joint.name for joint in joints], place)
    return tuple(joints), Limits(*np.array(rows).T.copy())


def _continuous(entry: Mapping[str, Any], place: str) -> bool:
    """Whether a joint turns without end: the key ``continuous``, false by default."""
    continuous = entry.get("continuous", False)
    if not isinstance(continuous, bool):
        raise FileFormatError(f"{place}: continuous {continuous!r}; expected true or false")
    if continuous and entry["kind"] != "revolute":
        raise FileFormatError(f"{place}: continuous: true; only a revolute joint can be")
    return continuous


def _parent(entry: Mapping[str, Any], index: int, place: str) -> int | None:
    """The body that carries joint ``index``: the key ``parent``, by default the body of the joint before."""
    parent = entry.get("parent")
    if parent is not None and (isinstance(parent, bool) or not isinstance(parent, int) or not 0 <= parent <= index):
        raise FileFormatError(
            f"{place}: parent {parent!r}; expected the number of a body that is listed before, 0 (the base) to {index}"
        )
    return parent


def _links(entries: Any, dof: int, place: str) -> tuple[Link, ...]:
    if not isinstance(entries, list) or not entries:
        raise FileFormatError(f"{place}: expected a list of at least one link")
    by_name = {
        str(entry["name"]): entry for entry in entries if isinstance(entry, dict) and _is_text(entry.get("name"))
    }
    links = []
    for i, entry in enumerate(entries):
        here = f"{place}[{i}]"
        _check_keys("link", entry, here)
        _check_source(entry, here)
        geometry = entry
        if "like" in entry:
            geometry = by_name[_known(entry["like"], list(by_name), f"{here}: like: link")]
        body = _body(entry, dof, here)
        X_BL = entry_pose(entry, here)
        hulls = tuple(
            apply(X_BL, _hull(hull, f"{here}: hulls[{j}]"))
            for j, hull in enumerate(_optional_list(geometry, "hulls", here))
        )
        listed = _optional_list(geometry, "spheres", here)
        spheres = entry_numbers(listed or np.empty((0, 4)), (-1, 4), f"{here}: spheres").copy()
        if (spheres[:, 3] <= 0).any():
            raise FileFormatError(f"{here}: spheres: every radius must be positive")
        spheres[:, :3] = apply(X_BL, spheres[:, :3])
        attached = entry.get("attached", False)
        if not isinstance(attached, bool):
            raise FileFormatError(f"{here}: attached {_quoted(attached)}; expected true or false")
        box = _box(geometry.get("box"), X_BL, here)
        mass, com_B = _mass(entry, X_BL, here)
        links.append(
            Link(_text(entry["name"], f"{here}: name"), body, X_BL, hulls, spheres, box, attached, mass, com_B)
        )
    _check_unique([link.name for link in links], place)
    return tuple(links)


def _hull(value: Any, place: str) -> Array:
    """(V, 3) vertices of a convex piece, which encloses a volume."""
    vertices = entry_numbers(value, (-1, 3), place)
    extent = np.abs(vertices).max(initial=0.0)
    if extent > LARGEST_LINK:
        raise FileFormatError(f"{place}: a vertex {extent:g} m from the link's frame; at most {LARGEST_LINK:g}")
    spread = np.linalg.svd(vertices - vertices[:1], compute_uv=False) if len(vertices) > 3 else np.zeros(3)
    if spread[2] <= 1e-9 * max(1.0, extent):
        raise FileFormatError(f"{place}: {len(vertices)} vertices in one plane; a convex piece has a volume")
    return vertices


def _check_source(entry: Mapping[str, Any], place: str) -> None:
    """What only fitting reads, looked at already: a list of mappings, and a mapping of settings."""
    for i, source in enumerate(_optional_list(entry, "source", place)):
        if not isinstance(source, dict):
            raise FileFormatError(f"{place}: source[{i}]: expected a mapping, got {_quoted(source)}")
    settings = entry.get("fit")
    if settings is not None and not isinstance(settings, dict):
        raise FileFormatError(f"{place}: fit: expected a mapping of settings, got {_quoted(settings)}")


def _mass(entry: Mapping[str, Any], X_BL: Array, place: str) -> tuple[float | None, Array | None]:
    """Mass [kg] and centre of mass in the body frame [m], each None if the link does not say."""
    mass = float(entry_numbers(entry["mass"], (), f"{place}: mass")) if "mass" in entry else None
    if mass is not None and mass <= 0:
        raise FileFormatError(f"{place}: mass {mass} kg; expected a positive number, or no mass")
    if "com" not in entry:
        return mass, None
    return mass, apply(X_BL, entry_numbers(entry["com"], (3,), f"{place}: com")[None])[0]


def _box(entry: Any, X_BL: Array, place: str) -> LinkBox | None:
    if entry is None:
        return None
    _check_keys("box", entry, f"{place}: box")
    size = entry_numbers(entry["size"], (3,), f"{place}: box: size")
    if (size <= 0).any():
        raise FileFormatError(f"{place}: box: every extent must be positive")
    return LinkBox(X_BL @ entry_pose(entry, f"{place}: box"), size)


def _tool(entry: Any, dof: int, place: str) -> ToolFrame:
    _check_keys("tool", entry, place)
    return ToolFrame(_text(entry["name"], f"{place}: name"), _body(entry, dof, place), entry_pose(entry, place))


def _gripper(entry: Any, links: Sequence[str], place: str) -> Gripper:
    _check_keys("gripper", entry, place)
    width, widest = (float(entry_numbers(entry[key], (), f"{place}: {key}")) for key in ("width", "max_width"))
    fingers = []
    for i, finger in enumerate(_list(entry, "fingers", place)):
        here = f"{place}: fingers[{i}]"
        _check_keys("finger", finger, here)
        axis = entry_numbers(finger["axis"], (3,), f"{here}: axis")
        if abs(np.linalg.norm(axis) - 1) > 1e-3:
            raise FileFormatError(f"{here}: axis {axis.tolist()}: expected a direction of unit length")
        fingers.append(Finger(_known(finger["link"], links, f"{here}: link"), axis))
    if not 0 <= width <= widest:
        raise FileFormatError(f"{place}: width {width} is not between 0 and max_width {widest}")
    stroke = float(entry_numbers(entry["stroke"], (), f"{place}: stroke")) if "stroke" in entry else None
    if stroke is not None and not 0 < stroke <= widest:
        raise FileFormatError(f"{place}: stroke {stroke} is not between 0 and max_width {widest}")
    return Gripper(width, widest, tuple(fingers), stroke)


def _pairs(entries: list[Any], names: Sequence[str], place: str) -> tuple[tuple[int, int], ...]:
    pairs = set()
    index = {name: i for i, name in enumerate(names)}
    for i, entry in enumerate(entries):
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] == entry[1]:
            raise FileFormatError(f"{place}[{i}]: expected two different link names")
        a, b = sorted(index[_known(name, names, f"{place}[{i}]: link")] for name in entry)
        pairs.add((a, b))
    return tuple(sorted(pairs))


def _body(entry: Mapping[str, Any], dof: int, place: str) -> int:
    body = entry["body"]
    if not isinstance(body, int) or isinstance(body, bool) or not 0 <= body <= dof:
        raise FileFormatError(f"{place}: body {_quoted(body)}; expected an integer from 0 to {dof}")
    return body


def entry_pose(entry: Mapping[str, Any], place: str) -> Array:
    """(4, 4) from the keys xyz and rpy, or xyz and quaternion (x, y, z, w)."""
    if not isinstance(entry, Mapping):
        raise FileFormatError(f"{place}: expected a mapping with xyz and rpy or quaternion")
    xyz = entry_numbers(entry.get("xyz", (0, 0, 0)), (3,), f"{place}: xyz")
    if "quaternion" in entry:
        quaternion = entry_numbers(entry["quaternion"], (4,), f"{place}: quaternion")
        if abs(np.linalg.norm(quaternion) - 1) > 1e-3 or "rpy" in entry:
            raise FileFormatError(f"{place}: quaternion: expected a unit quaternion (x, y, z, w), and no rpy beside it")
        return pose(xyz, rotation_from_quaternion(quaternion))
    return pose(xyz, rotation_from_rpy(entry_numbers(entry.get("rpy", (0, 0, 0)), (3,), f"{place}: rpy")))


def entry_numbers(value: Any, shape: tuple[int, ...], place: str, *, largest: float = LARGEST) -> Array:
    """A finite float array of the given shape, -1 being any length, no number beyond ``largest`` in magnitude."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    fits = array.ndim == len(shape) and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        expected = "a number" if not shape else f"finite numbers of shape {shape}".replace("-1", "n")
        raise FileFormatError(f"{place}: expected {expected}, got {_quoted(value)}")
    if array.size and np.abs(array).max() > largest:
        raise FileFormatError(f"{place}: {_quoted(value)}: numbers beyond {largest:g} are no measures of a robot")
    return array


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _text(value: Any, place: str) -> str:
    """A name; numbers are taken as they read."""
    if not _is_text(value):
        raise FileFormatError(f"{place}: expected text, got {_quoted(value)}")
    return str(value)


def _known(value: Any, valid: Sequence[str], what: str) -> str:
    """A name that is one of ``valid``."""
    name = _text(value, what)
    if name not in valid:
        raise unknown_name(what, name, valid)
    return name


def _quoted(value: Any) -> str:
    """A value for a message, not longer than a message should be."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}..."


def _optional_list(entry: Mapping[str, Any], key: str, place: str) -> list[Any]:
    """A list, empty if it is not there."""
    return [] if entry.get(key) is None else _list(entry, key, place)


def _list(entry: Mapping[str, Any], key: str, place: str) -> list[Any]:
    if not isinstance(entry[key], list):
        raise FileFormatError(f"{place}: {key}: expected a list, got {_quoted(entry[key])}")
    return entry[key]


def _check_keys(what: str, entry: Any, place: str) -> None:
    required, optional = _KEYS[what]
    if not isinstance(entry, dict):
        raise FileFormatError(f"{place}: expected a mapping with the keys {', '.join(sorted(required))}")
    if missing := required - entry.keys():
        raise FileFormatError(f"{place}: missing {', '.join(sorted(missing))}")
    if extra := {str(key) for key in entry} - required - optional:
        raise FileFormatError(
            f"{place}: unknown key {', '.join(sorted(extra))}; valid: {', '.join(sorted(required | optional))}"
        )


def _check_unique(names: Sequence[str], place: str) -> None:
    if repeated := {name for name, count in Counter(names).items() if count > 1}:
        raise FileFormatError(f"{place}: repeated name {', '.join(sorted(repeated))}")
