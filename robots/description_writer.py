"""Writing robot descriptions: one number list a line, so that a person can read and compare the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edmp.arguments import checked
from edmp.files.writing import write_text
from edmp.geometry.poses import apply, inverse, quaternion_from_rotation, rotation_from_rpy, rpy_from_rotation
from edmp.robots.description import VERSION, Document, built_in_robots, load_robot
from edmp.robots.parts import Array, Link
from edmp.robots.robot import Robot


@checked
def save_robot(robot: Robot, path: str | Path) -> None:
    """Write ``robot`` as a description file that `load_robot` reads; the file appears whole or not at all."""
    write_document(document_of(robot), path)


def write_document(document: Document, path: str | Path) -> None:
    """Write a description file, whole or not at all."""
    write_text(path, format_document(document))


def document_of(robot: Robot) -> Document:
    """The description of a robot, as `robot_from_document` takes it."""
    limits = robot.limits
    document: Document = {
        "edmp_robot": VERSION,
        "name": robot.name,
        "home": _rounded(robot.home),
        "base": pose_entry(robot.X_W0),
        "joints": [
            {
                "name": joint.name,
                "kind": joint.kind,
                **({"continuous": True} if joint.continuous else {}),
                **({} if robot.parents[i] == i else {"parent": robot.parents[i]}),
                **pose_entry(joint.X_PJ),
                "position": _rounded([limits.lower[i], limits.upper[i]]),
                "velocity": _rounded(limits.velocity[i]),
                "acceleration": _rounded(limits.acceleration[i]),
                "jerk": _rounded(limits.jerk[i]),
                **({"effort": _rounded(limits.effort[i])} if np.isfinite(limits.effort[i]) else {}),
            }
            for i, joint in enumerate(robot.joints)
        ],
        "tool": robot.tool.name,
        "tools": [
            {"name": tool.name, "body": tool.body, **pose_entry(tool.X_BT)}
            for tool in {tool.name: tool for tool in (*robot.tools, robot.tool)}.values()
        ],
    }
    closed = robot if robot.gripper is None else robot.with_gripper(0.0)
    if robot.gripper is not None:
        document["gripper"] = {
            "width": _rounded(robot.gripper.width),
            "max_width": _rounded(robot.gripper.max_width),
            **({} if robot.gripper.stroke is None else {"stroke": _rounded(robot.gripper.stroke)}),
            "fingers": [{"link": finger.link, "axis": _rounded(finger.axis)} for finger in robot.gripper.fingers],
        }
    document["collision_pairs"] = [[robot.links[i].name, robot.links[j].name] for i, j in robot.collision_pairs]
    if robot.allowed_contacts:
        document["allowed_contacts"] = [[contact.link, contact.obstacle] for contact in robot.allowed_contacts]
    document["links"] = [_link_entry(link) for link in closed.links]
    return document


def departs_from_built_in(robot: Robot) -> str | None:
    """Why name, gripper width and base pose alone do not give this arm back; None if they do."""
    if robot.name not in built_in_robots():
        return f"{robot.name!r} is no built-in robot"
    if held := [link.name for link in robot.links if link.attached]:
        return f"it holds {', '.join(held)}"
    twin = load_robot(robot.name, gripper_width=robot.gripper.width if robot.gripper else None)
    ours, theirs = document_of(robot.with_base(twin.X_W0)), document_of(twin)
    changed = [key for key in {**theirs, **ours} if not _alike(ours.get(key), theirs.get(key))]
    return f"its {', '.join(changed)} differ from those of the built-in {robot.name}" if changed else None


def _alike(a: Any, b: Any) -> bool:
    """Equal but for rounding."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) < 1e-9
    return a == b


def _link_entry(link: Link) -> dict[str, Any]:
    X_LB = inverse(link.X_BL)
    spheres = np.column_stack([apply(X_LB, link.spheres_B[:, :3]), link.spheres_B[:, 3]])
    box = None if link.box is None else (X_LB @ link.box.X_BX, link.box.size)
    return {
        "name": link.name,
        "body": link.body,
        **pose_entry(link.X_BL),
        **({"attached": True} if link.attached else {}),
        **({} if link.mass is None else {"mass": _rounded(link.mass)}),
        **({} if link.com_B is None else {"com": _rounded(apply(X_LB, link.com_B[None])[0])}),
        **geometry_entry([apply(X_LB, hull) for hull in link.hulls_B], spheres, box),
    }


def geometry_entry(hulls_L: list[Array], spheres_L: Array, box_L: tuple[Array, Array] | None) -> dict[str, Any]:
    """The geometry keys of a link; box as (pose (4, 4), size (3,)), everything in the link frame."""
    entry: dict[str, Any] = {}
    if box_L is not None:
        entry["box"] = {**pose_entry(box_L[0]), "size": _rounded(box_L[1])}
    if len(spheres_L):
        entry["spheres"] = _rounded(spheres_L)
    if hulls_L:
        entry["hulls"] = [_rounded(hull) for hull in hulls_L]
    return entry


def pose_entry(X: Array) -> dict[str, Any]:
    """xyz and, unless it is the identity, the rotation: rpy where it says the same to the last digit that counts."""
    entry = {"xyz": _rounded(X[:3, 3])}
    if np.allclose(X[:3, :3], np.eye(3), atol=1e-12):
        return entry
    rpy = _rounded(rpy_from_rotation(X[:3, :3]))
    if np.allclose(rotation_from_rpy(rpy), X[:3, :3], atol=1e-9):
        return {**entry, "rpy": rpy}
    return {**entry, "quaternion": _rounded(quaternion_from_rotation(X[:3, :3]))}


def _rounded(values: Any) -> Any:
    """Plain Python floats with at most 10 decimals, without negative zeros."""
    return (np.round(np.asarray(values, dtype=np.float64), 10) + 0.0).tolist()


def format_document(document: Document) -> str:
    """YAML text: block style down to the lists of numbers and the short mappings, which take a line each."""
    lines = ["# Robot description of edmp. Lengths in metres, angles in radians; geometry in link frames."]
    for key, value in document.items():
        lines += _format(key, value, "")
    return "\n".join(lines) + "\n"


def _format(key: str, value: Any, indent: str) -> list[str]:
    if _is_short(value):
        return [f"{indent}{key}: {_inline(value)}"]
    if isinstance(value, str):
        return [f"{indent}{key}: |", *(f"{indent}  {line}".rstrip() for line in value.splitlines())]
    lines = [f"{indent}{key}:"]
    if isinstance(value, Mapping):
        for name, entry in value.items():
            lines += _format(name, entry, indent + "  ")
        return lines
    for entry in value:
        if _is_short(entry):
            lines.append(f"{indent}  - {_inline(entry)}")
        elif isinstance(entry, Mapping):
            block = [line for name, item in entry.items() for line in _format(name, item, indent + "    ")]
            lines += [f"{indent}  - {block[0].strip()}", *block[1:]]
        else:
            lines.append(f"{indent}  -")
            lines += [f"{indent}    - {_inline(item)}" for item in entry]
    return lines


def _is_short(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_short(entry) for entry in value.values()) and len(_inline(value)) <= 110
    if isinstance(value, list):
        return all(not isinstance(entry, list | Mapping) for entry in value)
    return not (isinstance(value, str) and "\n" in value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inline(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(entry) for entry in value) + "]"
    if isinstance(value, float):
        # YAML 1.1 reads 1e-05 as text: numbers are written without an exponent.
        text = f"{value:.10f}".rstrip("0")
        return text + "0" if text.endswith(".") else text
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
