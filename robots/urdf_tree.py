"""A URDF as a tree of links and joints: read, checked, and without judgement on which of the joints are the arm.

What a joint says of its axis and limits is looked at only when somebody asks (`UrdfJoint.motion`): wheels, fingers and
casters beside the arm may be as odd as they like.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edmp.cached import cached_property
from edmp.errors import EdmpWarning, FileFormatError
from edmp.geometry.poses import pose, rotation_from_rpy
from edmp.robots.description_writer import pose_entry
from edmp.robots.parts import Array
from edmp.robots.urdf_xml import Element, at, attribute, floats, limit, number, read_xml

UNLIMITED = 1e3
"""A revolute joint that may turn at least so far both ways [rad] has no limits worth the name."""

LONGEST = 1e4
"""Lengths beyond this [m] are mistakes."""

HEAVIEST = 1e6
"""Masses beyond this [kg] are mistakes."""

KINDS = {"revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}
"""Joints that an arm can have, and what they are to us."""


def note(message: str) -> None:
    """Tell the caller of the reader what was assumed or left out."""
    warnings.warn(message, EdmpWarning, stacklevel=3)


@dataclass(frozen=True)
class JointMotion:
    """How a joint moves: unit axis (3,) in the joint frame, position limits [rad or m], and what its motor can do.

    ``velocity`` and ``effort`` are None where the file does not say. ``note`` is what the reader had to assume.
    """

    axis: Array
    lower: float
    upper: float
    continuous: bool
    velocity: float | None
    effort: float | None
    note: str = ""


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another: ``multiplier`` times its position, plus ``offset``."""

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True, eq=False)
class UrdfJoint:
    """One joint as it stands in the file: ``X_PC`` (4, 4) places the child link at position zero."""

    name: str
    kind: str
    parent: str
    child: str
    X_PC: Array
    element: Element
    place: str

    @cached_property
    def motion(self) -> JointMotion:
        """What an arm needs to know.

        Raises:
            FileFormatError: no axis, or limits that cannot be.
        """
        return _motion(self)

    @cached_property
    def axis(self) -> Array:
        """(3,) unit [-]."""
        return _axis(self)

    @cached_property
    def resting(self) -> float | None:
        """The only position that the joint's limits leave it [rad or m]; None if there are several."""
        if self.kind not in ("revolute", "prismatic") or self.element.find("limit") is None:
            return None
        lower, upper = self.bounds
        return lower if lower == upper and np.isfinite(lower) else None

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The position limits as they stand in the file, not checked; 0, 0 where it gives none that can be read."""
        limits = self.element.find("limit")
        try:
            lower, upper = (limit("0" if limits is None else limits.get(key, "0"), "") for key in ("lower", "upper"))
        except FileFormatError:
            return np.nan, np.nan
        return lower, upper

    @property
    def moves(self) -> bool:
        """Whether the joint can move in one direction."""
        return self.kind in KINDS and self.resting is None

    @property
    def mimics(self) -> bool:
        """Whether the joint follows another one."""
        return self.element.find("mimic") is not None

    @cached_property
    def mimic(self) -> Mimic:
        """How it follows another one; for joints that do (`mimics`)."""
        element = self.element.find("mimic")
        assert element is not None
        here = f"{self.place}: mimic"
        values = [number(element.get(key, default), here) for key, default in (("multiplier", "1"), ("offset", "0"))]
        return Mimic(attribute(element, "joint", here), *values)


@dataclass(frozen=True, eq=False)
class Urdf:
    """A tree of links in file order with their collision sources.

    Attributes:
        source: the file, for messages.
        name: the robot's name.
        sources: for every link its geometry, as `source` entries of a description.
        masses: for every link the keys mass and com of its description.
        visual: links that have something to see.
        joints: all of them, of all trees.
        roots: links without a parent, each the root of a tree.
    """

    source: str
    name: str
    sources: dict[str, list[dict[str, Any]]]
    masses: dict[str, dict[str, Any]]
    visual: frozenset[str]
    joints: tuple[UrdfJoint, ...]
    roots: tuple[str, ...]
    _children: dict[str, list[UrdfJoint]] = field(init=False)
    _into: dict[str, UrdfJoint] = field(init=False)

    def __post_init__(self) -> None:
        children: dict[str, list[UrdfJoint]] = {link: [] for link in self.sources}
        for joint in self.joints:
            children[joint.parent].append(joint)
        object.__setattr__(self, "_children", children)
        object.__setattr__(self, "_into", {joint.child: joint for joint in self.joints})

    def children(self, link: str) -> list[UrdfJoint]:
        return self._children[link]

    def chain(self, link: str) -> list[UrdfJoint]:
        """Joints from the root of its tree to a link."""
        path = []
        while link in self._into:
            path.append(self._into[link])
            link = path[-1].parent
        return path[::-1]

    def root_of(self, link: str) -> str:
        path = self.chain(link)
        return path[0].parent if path else link

    def below(self, link: str) -> list[str]:
        """The link and all that hangs on it."""
        found = [link]
        for each in found:
            found += [joint.child for joint in self.children(each)]
        return found


def read_urdf(path: Path) -> Urdf:
    """Read and check a URDF.

    Raises:
        FileFormatError: with file, line and place.
    """
    root = read_xml(path)
    elements = _named(root, "link", path)
    if not elements:
        srdf = ": this is an SRDF, which comes beside a URDF" if root.find("group") is not None else ""
        raise FileFormatError(f"{path}: a URDF without links{srdf}")
    sources = {name: _sources(link, at(path, link, f"link {name}")) for name, link in elements.items()}
    masses = {name: _mass(link, at(path, link, f"link {name}")) for name, link in elements.items()}
    visual = frozenset(name for name, link in elements.items() if link.find("visual") is not None)
    joints = tuple(_joint(name, joint, sources, path) for name, joint in _named(root, "joint", path).items())
    children = [joint.child for joint in joints]
    seen: dict[str, str] = {}
    for joint in joints:
        if joint.child in seen:
            raise FileFormatError(
                f"{joint.place}: link {joint.child} has two parents, by joint {seen[joint.child]} as well: not a tree"
            )
        seen[joint.child] = joint.name
    roots = tuple(name for name in sources if name not in set(children))
    urdf = Urdf(str(path), _name(root, path), sources, masses, visual, joints, roots)
    _require_no_loop(urdf)
    return urdf


def _name(root: Element, path: Path) -> str:
    return (root.get("name") or "").strip() or path.stem


def _named(root: Element, tag: str, path: Path) -> dict[str, Element]:
    """The elements of a kind by name, in file order; a name stands once."""
    found: dict[str, Element] = {}
    for element in root.findall(tag):
        assert isinstance(element, Element)
        name = attribute(element, "name", at(path, element, tag))
        if name in found:
            raise FileFormatError(
                f"{at(path, element, tag)} {name}: the name is taken by the {tag} in line {found[name].line}"
            )
        found[name] = element
    return found


def _require_no_loop(urdf: Urdf) -> None:
    reached = {link for root in urdf.roots for link in urdf.below(root)}
    if loop := [joint.name for joint in urdf.joints if joint.child not in reached]:
        raise FileFormatError(f"{urdf.source}: joints in a loop, not a tree: {', '.join(loop)}")


# --- joints ----------------------------------------------------------------------------------------------------------


def _joint(name: str, element: Element, links: Mapping[str, Any], path: Path) -> UrdfJoint:
    place = at(path, element, f"joint {name}")
    kind = attribute(element, "type", place)
    parent, child = (_end(element, tag, links, place) for tag in ("parent", "child"))
    return UrdfJoint(name, kind, parent, child, _origin(element, place), element, place)


def _end(element: Element, tag: str, links: Mapping[str, Any], place: str) -> str:
    """The parent or child link of a joint."""
    end = element.find(tag)
    link = None if end is None else end.get("link")
    if link is None or link not in links:
        raise FileFormatError(f"{place}: {tag} link {link!r} does not exist")
    return link


def _axis(joint: UrdfJoint) -> Array:
    axis = np.array([1.0, 0.0, 0.0])
    element = joint.element.find("axis")
    if element is not None:
        axis = floats(attribute(element, "xyz", f"{joint.place}: axis"), 3, f"{joint.place}: axis")
    largest = np.abs(axis).max()
    if largest < 1e-9:
        raise FileFormatError(f"{joint.place}: the axis is zero: give the direction of motion, such as xyz='0 0 1'")
    axis = axis / largest  # whose square overflows for no number
    return np.asarray(axis / np.linalg.norm(axis))


def _motion(joint: UrdfJoint) -> JointMotion:
    place, limits = joint.place, joint.element.find("limit")
    velocity, effort = (_motor_limit(limits, key, place) for key in ("velocity", "effort"))
    if joint.kind == "continuous":
        return JointMotion(joint.axis, -np.inf, np.inf, True, velocity, effort)
    if limits is None:
        raise FileFormatError(f"{place}: a {joint.kind} joint needs <limit lower= upper= velocity=>")
    lower, upper = (limit(limits.get(key, "0"), f"{place}: limit {key}") for key in ("lower", "upper"))
    if joint.kind == "revolute" and lower <= -UNLIMITED and upper >= UNLIMITED:
        assumed = f"{place}: limits {lower:g} to {upper:g} rad are none: taken as a continuous joint"
        return JointMotion(joint.axis, -np.inf, np.inf, True, velocity, effort, assumed)
    if not (np.isfinite(lower) and np.isfinite(upper)):
        remedy = "give both" if joint.kind == "prismatic" else "give both, or make the joint continuous"
        raise FileFormatError(f"{place}: limit: lower {lower} and upper {upper} must both be finite: {remedy}")
    if not lower < upper:
        raise FileFormatError(f"{place}: limit: lower {lower} is not below upper {upper}")
    if joint.kind == "prismatic" and max(abs(lower), abs(upper)) > LONGEST:
        raise FileFormatError(f"{place}: limit: {lower:g} to {upper:g} m is no travel of an arm")
    return JointMotion(joint.axis, lower, upper, False, velocity, effort)


def _motor_limit(limits: Any, key: str, place: str) -> float | None:
    """A limit that is given and not 0, by which many files mean that they do not know."""
    text = None if limits is None else limits.get(key)
    if text is None or not text.strip():
        return None
    value = limit(text, f"{place}: limit {key}")
    if value < 0:
        raise FileFormatError(
            f"{place}: limit: {key} {value:g} is negative: give the largest magnitude, such as {key}='{-value:g}'"
        )
    return None if np.isinf(value) else value or None


# --- links -----------------------------------------------------------------------------------------------------------


def _mass(link: Element, place: str) -> dict[str, Any]:
    """The keys mass and com of a link's description; none where the file gives no mass that can be."""
    inertial = link.find("inertial")
    element = None if inertial is None else inertial.find("mass")
    if inertial is None or element is None:
        return {}
    try:
        mass = number(attribute(element, "value", f"{place}: mass"), f"{place}: mass")
        com_L = _origin(inertial, f"{place}: inertial")[:3, 3]
    except FileFormatError as error:
        note(f"{error}; the mass is left out and estimated from the geometry where one is needed")
        return {}
    if mass < 0 or mass > HEAVIEST:
        note(f"{place}: mass {mass:g} kg is left out and estimated from the geometry where one is needed")
    return {"mass": mass, "com": com_L.tolist()} if 0 < mass <= HEAVIEST else {}


def _sources(link: Element, place: str) -> list[dict[str, Any]]:
    return [
        source
        for collision in link.findall("collision")
        if len(collision)  # an empty element says nothing
        for source in _source(collision, f"{place}: collision")
    ]


def _source(collision: Any, place: str) -> list[dict[str, Any]]:
    """One collision element as `source` entries of the description."""
    geometry = collision.find("geometry")
    shape = None if geometry is None else next(iter(geometry), None)
    if shape is None or shape.tag not in _SHAPES:
        got = "nothing" if shape is None else f"<{shape.tag}>"
        raise FileFormatError(f"{place}: geometry must be one of {', '.join(_SHAPES)}, got {got}")
    X_LG = _origin(collision, place)
    placed = []
    for entry, X_GS in _SHAPES[shape.tag](shape, f"{place}: {shape.tag}"):
        X_LS = X_LG @ X_GS
        placed.append(entry if np.allclose(X_LS, np.eye(4)) else {**entry, **pose_entry(X_LS)})
    return placed


Sources = list[tuple[dict[str, Any], Array]]
"""Entries, each with its pose (4, 4) in the frame of the geometry."""


def _mesh(shape: Any, place: str) -> Sources:
    entry: dict[str, Any] = {"mesh": attribute(shape, "filename", place)}
    if shape.get("scale"):
        scale = floats(shape.get("scale"), 3, f"{place} scale")
        if not scale.all():
            raise FileFormatError(f"{place}: scale {shape.get('scale')!r} leaves nothing of the mesh")
        entry["scale"] = scale.tolist()
    return [(entry, np.eye(4))]


def _sized(shape: Any, place: str, *names: str) -> list[float]:
    """Positive lengths [m]; an empty list where all of them are zero, by which files mean no geometry."""
    counts = {"size": 3}
    values = np.concatenate([floats(attribute(shape, name, place), counts.get(name, 1), place) for name in names])
    if not values.any():
        note(f"{place}: all sizes are zero: nothing there can collide")
        return []
    if (values <= 0).any() or (values > LONGEST).any():
        sizes = ", ".join(f"{name}={shape.get(name)!r}" for name in names)
        raise FileFormatError(f"{place}: every size must be positive, and at most {LONGEST:g} m, got {sizes}")
    return [float(value) for value in values]


def _box(shape: Any, place: str) -> Sources:
    size = _sized(shape, place, "size")
    return [({"box": size}, np.eye(4))] if size else []


def _cylinder(shape: Any, place: str) -> Sources:
    size = _sized(shape, place, "radius", "length")
    return [({"cylinder": size}, np.eye(4))] if size else []


def _sphere(shape: Any, place: str) -> Sources:
    size = _sized(shape, place, "radius")
    return [({"sphere": size[0]}, np.eye(4))] if size else []


def _capsule(shape: Any, place: str) -> Sources:
    """Not in the standard, but read by several simulators: ``length`` is that of the cylinder, without the caps."""
    size = _sized(shape, place, "radius", "length")
    if not size:
        return []
    caps: Sources = [({"sphere": size[0]}, pose((0, 0, z))) for z in (-size[1] / 2, size[1] / 2)]
    return [({"cylinder": size}, np.eye(4)), *caps]


_SHAPES = {"mesh": _mesh, "box": _box, "cylinder": _cylinder, "sphere": _sphere, "capsule": _capsule}


def _origin(element: Any, place: str) -> Array:
    origin = element.find("origin")
    if origin is None:
        return np.eye(4)
    xyz = floats(origin.get("xyz", "0 0 0"), 3, f"{place}: origin xyz")
    if np.abs(xyz).max() > LONGEST:
        raise FileFormatError(f"{place}: origin xyz: {origin.get('xyz')!r} is over {LONGEST:g} m away")
    return pose(xyz, rotation_from_rpy(floats(origin.get("rpy", "0 0 0"), 3, f"{place}: origin rpy")))
