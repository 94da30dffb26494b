"""Reading a serial arm from a URDF.

Fixed joints are merged, body frames are turned so that their z axis is the joint axis, and joints beyond the arm
(fingers, mimics) are held still. What a URDF does not say (acceleration and jerk limits) gets a stated default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edmp.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.geometry.poses import inverse, pose, rotation_to_z
from edmp.robots.description import VERSION, Document
from edmp.robots.description_writer import pose_entry
from edmp.robots.parts import Array
from edmp.robots.urdf_arm import arm_of
from edmp.robots.urdf_tree import KINDS, Urdf, UrdfJoint, note, read_urdf

RAMP_TIME = 0.25
"""Default acceleration limit: full velocity after so long [s]."""

JERK_TIME = 0.05
"""Default jerk limit: full acceleration after so long [s]."""

CONTINUOUS_RANGE = 2 * np.pi
"""Motions of a continuous joint are looked for within plus and minus this [rad]."""

DEFAULT_VELOCITY = {"revolute": 1.0, "prismatic": 0.1}
"""For joints without a velocity limit [rad/s or m/s]."""


def urdf_document(
    path: str | Path,
    *,
    tool: str | None = None,
    frozen: Mapping[str, float] | None = None,
    acceleration: Sequence[float] | float | None = None,
    jerk: Sequence[float] | float | None = None,
) -> Document:
    """The description of a URDF's arm, without fitted geometry: every link names its `source`.

    What had to be assumed or left out is told by `EdmpWarning`.

    Args:
        path: the URDF.
        tool: link whose frame pose goals speak of; the arm is the chain from the root to it. Default: the end of
            the one long chain there is; joints of a gripper beyond it are held still.
        frozen: positions at which joints are held still [rad or m]: of joints beside the arm, default 0 or the
            nearest limit, or of joints on the way to the tool, which are then no joints of the arm.
        acceleration: limits (dof,) or one for all; default: full velocity within `RAMP_TIME`.
        jerk: limits (dof,) or one for all; default: full acceleration within `JERK_TIME`.

    Raises:
        FileFormatError: not a URDF, or not a serial arm.
        UnknownNameError: no link called ``tool``, or no joint of a frozen name.
        InvalidInputError: a frozen position that the joint cannot take.
    """
    urdf = read_urdf(Path(path))
    frozen = _held(urdf, frozen or {})
    root, arm = arm_of(urdf, tool, frozen)
    X_PJ, placed = _place(urdf, root, arm, _positions(urdf, root, arm, frozen))
    _check_geometry(urdf, placed)
    entries = [_joint_entry(joint, X) for joint, X in zip(arm, X_PJ, strict=True)]
    _add_rates(entries, acceleration, jerk)
    end = tool or _end_link(urdf, placed, arm)
    return {
        "edmp_robot": VERSION,
        "name": urdf.name,
        "home": [float(np.clip(0.0, *entry["position"])) for entry in entries],
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


# --- joints that stand still -----------------------------------------------------------------------------------------


def _held(urdf: Urdf, frozen: Mapping[str, float]) -> dict[str, float]:
    """``frozen``, checked."""
    by_name = {joint.name: joint for joint in urdf.joints if joint.moves}
    held = {}
    for name, value in frozen.items():
        if name not in by_name:
            raise unknown_name("joint to freeze", name, by_name)
        try:
            held[name] = float(value)
        except (TypeError, ValueError):
            raise InvalidInputError(f"frozen: {name}: expected a position [rad or m], got {value!r}") from None
        lower, upper = _range(by_name[name])
        if not math.isfinite(held[name]) or not lower - 1e-6 <= held[name] <= upper + 1e-6:
            raise InvalidInputError(f"frozen: {name} at {value!r}: its limits are {lower:g} to {upper:g}")
    return held


def _range(joint: UrdfJoint) -> tuple[float, float]:
    """Limits of a joint that nobody plans for; without any where they cannot be."""
    lower, upper = (-np.inf, np.inf) if joint.kind == "continuous" else joint.bounds
    return (lower, upper) if lower < upper else (-np.inf, np.inf)


def _positions(urdf: Urdf, root: str, arm: Sequence[UrdfJoint], frozen: Mapping[str, float]) -> dict[str, float]:
    """Where the joints of the tree that are not part of the arm stand [rad or m]."""
    links = set(urdf.below(root))
    joints = {joint.name: joint for joint in urdf.joints if joint.child in links and joint not in arm}
    positions = {name: joint.resting for name, joint in joints.items() if joint.resting is not None}
    own = {name: frozen.get(name, float(np.clip(0.0, *_range(joint)))) for name, joint in joints.items() if joint.moves}
    positions |= {name: _followed(name, own, joints, frozen) for name in own}
    if resting := [name for name, joint in joints.items() if joint.resting is not None]:
        note(f"{urdf.source}: joints with lower = upper count as fixed: {', '.join(resting)}")
    odd = [f"{name} ({joint.kind})" for name, joint in joints.items() if joint.kind not in (*KINDS, "fixed")]
    if odd:
        note(f"{urdf.source}: held at zero, being neither revolute nor prismatic: {', '.join(odd)}")
    if assumed := [f"{name} at {positions[name]:g}" for name in own if name not in frozen]:
        note(
            f"{urdf.source}: joints that are not part of the arm stand still: {', '.join(assumed)}; frozen= moves them"
        )
    return positions


def _followed(
    name: str, own: Mapping[str, float], joints: Mapping[str, UrdfJoint], frozen: Mapping[str, float]
) -> float:
    """The position of a joint, found from the one that it mimics, if it does."""
    factor, offset, seen = 1.0, 0.0, {name}
    while joints[name].mimics and name not in frozen:
        try:
            mimic = joints[name].mimic
        except FileFormatError as error:
            note(f"{error}; the joint stands still")
            break
        if mimic.joint not in own or mimic.joint in seen:  # an arm's joint, one that stands still, or a loop
            break
        factor, offset = factor * mimic.multiplier, offset + factor * mimic.offset
        name = mimic.joint
        seen.add(name)
    return factor * own[name] + offset


def _standing(joint: UrdfJoint, position: float) -> Array:
    """(4, 4) motion of the child link when the joint stands at a position."""
    if position == 0.0:
        return np.eye(4)
    try:
        x, y, z = joint.axis
    except FileFormatError as error:
        note(f"{error}; it stands at zero")
        return np.eye(4)
    if KINDS[joint.kind] == "prismatic":
        return pose(joint.axis * position)
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return pose(rotation=np.eye(3) + np.sin(position) * K + (1 - np.cos(position)) * K @ K)


# --- links -----------------------------------------------------------------------------------------------------------


def _place(
    urdf: Urdf, root: str, arm: Sequence[UrdfJoint], positions: Mapping[str, float]
) -> tuple[list[Array], dict[str, tuple[int, Array]]]:
    """Joint frames ``X_PJ`` of the arm, and (body, X_BL) of every link of its tree."""
    placed = {root: (0, np.eye(4))}
    X_PJ: dict[str, Array] = {}
    moving = set(arm)
    for link in urdf.below(root):
        body, X_BL = placed[link]
        for joint in urdf.children(link):
            X_BC = X_BL @ joint.X_PC
            if joint in moving:
                X_CJ = pose(rotation=rotation_to_z(joint.axis))
                X_PJ[joint.name] = X_BC @ X_CJ
                placed[joint.child] = (body + 1, inverse(X_CJ))
            else:
                placed[joint.child] = (body, X_BC @ _standing(joint, positions.get(joint.name, 0.0)))
    return [X_PJ[joint.name] for joint in arm], placed


def _check_geometry(urdf: Urdf, placed: Mapping[str, tuple[int, Array]]) -> None:
    """Refuse an arm that nothing can touch; tell of links that are seen but cannot be touched."""
    bare = [name for name in placed if not urdf.sources[name] and name in urdf.visual]
    if not any(urdf.sources[name] for name in placed):
        seen = f" ({', '.join(bare)} have visual geometry)" if bare else ""
        raise FileFormatError(
            f"{urdf.source}: no link has collision geometry{seen}: nothing could collide, and every motion would "
            "count as safe; give the links <collision> elements, if need be copies of their <visual> ones"
        )
    if bare:
        note(f"{urdf.source}: links with visual but no collision geometry cannot collide: {', '.join(bare)}")


def _end_link(urdf: Urdf, placed: Mapping[str, tuple[int, Array]], arm: Sequence[UrdfJoint]) -> str:
    """The last link of the last body that carries nothing further; what moves beyond the arm (fingers) is no tool."""
    after = [joint for joint in urdf.joints if placed.get(joint.parent, (0,))[0] == len(arm)]
    beyond = {link for joint in after if joint.moves for link in urdf.below(joint.child)}
    last = [name for name, (body, _) in placed.items() if body == len(arm) and name not in beyond]
    ends = [name for name in last if all(joint.child in beyond for joint in urdf.children(name))]
    return (ends or last)[-1]


# --- joints of the arm -----------------------------------------------------------------------------------------------


def _joint_entry(joint: UrdfJoint, X_PJ: Array) -> dict[str, Any]:
    motion, kind = joint.motion, KINDS[joint.kind]
    if motion.note:
        note(motion.note)
    velocity = motion.velocity
    if velocity is None:
        velocity = DEFAULT_VELOCITY[kind]
        note(f"{joint.place}: no velocity limit, or 0: taking {velocity:g} per second; give <limit velocity=>")
    lower, upper = (-CONTINUOUS_RANGE, CONTINUOUS_RANGE) if motion.continuous else (motion.lower, motion.upper)
    return {
        "name": joint.name,
        "kind": kind,
        **({"continuous": True} if motion.continuous else {}),
        **pose_entry(X_PJ),
        "position": [round(lower, 10), round(upper, 10)],
        "velocity": velocity,
        **({} if motion.effort is None else {"effort": motion.effort}),
    }


def _add_rates(
    entries: list[dict[str, Any]], acceleration: Sequence[float] | float | None, jerk: Sequence[float] | float | None
) -> None:
    for key, given, base, time in (
        ("acceleration", acceleration, "velocity", RAMP_TIME),
        ("jerk", jerk, "acceleration", JERK_TIME),
    ):
        if given is None:
            note(f"a URDF has no {key} limits: taking {base} / {time:g} s for every joint; {key}= sets them")
        values = _rates(key, [entry[base] / time for entry in entries] if given is None else given, len(entries))
        for entry, value in zip(entries, values, strict=True):
            entry[key] = round(float(value), 10)


def _rates(key: str, values: Any, dof: int) -> Array:
    """(dof,) limits from one for all or one for each."""
    try:
        limits = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        limits = np.array(np.nan)
    if limits.shape not in ((), (dof,)) or not np.isfinite(limits).all() or (limits <= 0).any():
        raise InvalidInputError(f"{key}: expected one number, or {dof} of them, one for each joint, all positive")
    return np.broadcast_to(limits, (dof,))
