"""What columns are called in logs: which quantity of which joint, in which unit; and from there to a `Log`."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError, unknown_name
from edmp.recordings.log import OPTIONAL, TABLES, Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]
Joint = str | int

STD = "_std"
"""Ending of a quantity's name whose column holds its standard deviation."""

_TURN = math.pi / 180.0
_UNITS: Mapping[str, Mapping[str, float]] = {
    "times": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "positions": {"rad": 1.0, "deg": _TURN, "m": 1.0, "mm": 1e-3},
    "velocities": {"rad/s": 1.0, "deg/s": _TURN, "rpm": 6.0 * _TURN, "m/s": 1.0, "mm/s": 1e-3},
    "torques": {"nm": 1.0, "n": 1.0, "nmm": 1e-3},
}
"""Units in SI, by what they measure."""
_MEASURES = {"commanded": "positions", "commanded_velocities": "velocities"}

_POSITION = ("position", "positions", "pos", "q", "angle", "angles")
_VELOCITY = ("velocity", "velocities", "vel", "dq", "qd", "speed")
_ORDERS = ("commanded", "command", "cmd", "desired", "target", "reference")
_QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "times": ("time", "times", "t", "timestamp", "stamp"),
    "positions": (*_POSITION, "joint_position", "joint_positions", "actual_q", "measured"),
    "velocities": (*_VELOCITY, "joint_velocity", "joint_velocities", "actual_qd"),
    "torques": ("effort", "efforts", "torque", "torques", "tau", "tau_j", "joint_torque", "joint_torques"),
    "commanded": (
        *("q_d", "q_cmd", "q_des", *_ORDERS),
        *(f"{order}_{word}" for order in _ORDERS for word in _POSITION),
        *(f"{word}_{order}" for order in _ORDERS for word in _POSITION),
    ),
    "commanded_velocities": (
        *("dq_d", "dq_cmd", "dq_des", "commanded_velocities"),
        *(f"{order}_{word}" for order in _ORDERS for word in _VELOCITY),
        *(f"{word}_{order}" for order in _ORDERS for word in _VELOCITY),
    ),
}
_TABLE_OF = {word: table for table, words in _QUANTITIES.items() for word in words}
_WORDS = sorted([*_TABLE_OF, *(word + STD for word in _TABLE_OF)], key=len, reverse=True)
_UNIT = re.compile(r"\s*[\[(]\s*([A-Za-z][A-Za-z/*·]*)\s*[\])]\s*$")
_INDEX = re.compile(r"[_./:]?(?:joint_?)?\[?([0-9]{1,3})\]?")
_APART = "_/.: "
_BEYOND = 0.1
"""Joints do not go further beyond their limits than this [rad or m]."""


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        table: a field of `Log`.
        joint: its name, the robot's if it is known, or its number where the file numbers its joints; empty for times.
        scale: what its numbers are multiplied with to have SI units; None if its name says no unit.
        spread: it is the standard deviation of that.
    """

    table: str
    joint: Joint
    scale: float | None
    spread: bool = False


def split_unit(text: str) -> tuple[str, str | None]:
    """A name without the unit in brackets at its end, and the unit."""
    found = _UNIT.search(text)
    return (text[: found.start()].strip(), found[1].lower()) if found else (text.strip(), None)


def scale_of(unit: str | None, table: str, source: str, name: str) -> float | None:
    """What numbers in ``unit`` are multiplied with; None without a unit.

    Raises:
        FileFormatError: this is no unit of what the table holds.
    """
    if unit is None:
        return None
    known = _UNITS[_MEASURES.get(table, table)]
    if unit not in known:
        raise FileFormatError(f"{source}: column {name!r}: unit [{unit}] of {table}; known: {', '.join(known)}")
    return known[unit]


def column_of(text: str, joints: Sequence[str], source: str, *, meant: str | None = None) -> Column | None:
    """What a column of this name holds; None if the name says nothing.

    ``position_elbow``, ``elbow/position[deg]``, ``q3``, ``q[3]``, ``tau_std_elbow`` and the like are understood; a
    joint's name alone is its position.

    Args:
        text: name of the column, perhaps with a unit in brackets behind.
        joints: names of the robot's joints, empty if the robot is not known.
        source: for messages.
        meant: what it is called in this way, if ``text`` is only the file's word for it.

    Raises:
        FileFormatError: a unit that is none.
    """
    name, unit = split_unit(text)
    found = _quantity(split_unit(meant)[0] if meant is not None else name, joints)
    if found is None:
        return None
    table, joint, spread = found
    return Column(table, joint, scale_of(unit, table, source, text), spread)


def _quantity(name: str, joints: Sequence[str]) -> tuple[str, Joint, bool] | None:
    """Table, joint, and whether it is a standard deviation."""
    alone = [joint for joint in joints if name == joint or _is_tail(name, joint)]
    if len(alone) == 1:
        return "positions", alone[0], False
    bare = name.strip("_").replace(" ", "_")
    plain = bare.lower()
    if _TABLE_OF.get(plain.rpartition("/")[2]) == "times":
        return "times", "", False
    for word in _WORDS:
        table = _TABLE_OF[word.removesuffix(STD)]
        if table == "times" or plain == word:
            continue
        if plain.startswith(word) and (bare[len(word)] in _APART or _INDEX.fullmatch(bare[len(word) :])):
            return table, _joint(bare[len(word) :], joints), word.endswith(STD)
        if plain.endswith(word) and bare[: -len(word)][-1] in _APART:
            return table, _joint(bare[: -len(word)], joints), word.endswith(STD)
    return None


def _joint(text: str, joints: Sequence[str]) -> Joint:
    """The robot's name for a joint if it has one, a number if it is one, else the end of the text."""
    name = text.strip(_APART)
    if (found := joint_of(name, joints)) is not None:
        return found
    index = _INDEX.fullmatch(name)
    return int(index[1]) if index else name.rpartition("/")[2]


def seconds(values: Sequence[int] | Array, scale: float | None, source: str) -> Array:
    """Times from 0 on [s]. Where no unit is said it is read off the steps, and told if it is not seconds.

    Whole numbers are subtracted before they are made floats: nanoseconds since 1970 would lose their last digits.
    """
    if any(isinstance(value, int) for value in values[:1]) and all(isinstance(value, int) for value in values):
        since = np.array([float(int(value) - int(values[0])) for value in values])
    else:
        since = np.asarray(values, dtype=np.float64) - values[0]
    if scale is None:
        scale, unit = 1.0, "s"
        steps = np.abs(np.diff(since))
        step = float(np.median(steps[np.isfinite(steps)])) if np.isfinite(steps).any() else 0.0
        for least, unit in ((5e5, "ns"), (5e2, "us"), (0.5, "ms")):
            if step >= least:
                scale = _UNITS["times"][unit]
                warnings.warn(
                    f"{source}: its times are {step:g} apart and without a unit: read as {unit}; call the column "
                    f"time[{unit}], or time[s] if they are seconds",
                    EdmpWarning,
                    stacklevel=4,
                )
                break
    return since * scale


def joint_of(name: str, joints: Sequence[str]) -> str | None:
    """The one of ``joints`` that a file calls ``name``: the same, or the same but for what one has in front."""
    if name in joints:
        return name
    tails = [joint for joint in joints if _is_tail(name, joint) or _is_tail(joint, name)]
    return tails[0] if len(tails) == 1 else None


def _is_tail(tail: str, whole: str) -> bool:
    return bool(tail) and whole.endswith(tail) and whole[: -len(tail)][-1:] in (*_APART, "-") and len(tail) < len(whole)


def order(tokens: Iterable[Joint], robot: Robot | None, source: str, what: str) -> tuple[tuple[str, ...], list[Joint]]:
    """Joints in the order of a log, and what the file calls each: by name where it has names, else by number.

    Args:
        tokens: what it calls the joints of its positions.
        robot: whose joints are wanted; None takes those of the file, in its order.
        source, what: for messages.

    Raises:
        FileFormatError: joints of the robot that the file does not have, numbers with holes.
    """
    tokens = list(tokens)
    if numbers := sorted(token for token in tokens if isinstance(token, int)):
        if len(numbers) < len(tokens):
            raise FileFormatError(f"{source}: {what}: some joints have numbers, others names")
        first = 0 if numbers[0] == 0 else 1
        if numbers != list(range(first, first + len(numbers))):
            raise FileFormatError(f"{source}: {what}: joints {_listed(numbers)}: they should be numbered without holes")
        if robot is not None and len(numbers) < robot.dof:
            raise FileFormatError(
                f"{source}: {what} of {len(numbers)} joints; {robot.name} has {robot.dof}: of another robot?"
            )
        names = robot.joint_names if robot is not None else tuple(f"joint{k}" for k in numbers)
        if len(numbers) > len(names):
            _left_out(source, [f"{what} {k}" for k in numbers[len(names) :]])
        return names, [*numbers[: len(names)]]
    if robot is None:
        return tuple(map(str, tokens)), tokens
    called = {joint_of(str(token), robot.joint_names): token for token in tokens}
    if missing := [name for name in robot.joint_names if name not in called]:
        raise FileFormatError(
            f"{source}: {what}: no joint {_listed(missing)} of {robot.name}; it has {_listed(tokens) or 'none'}"
        )
    if unused := [token for token in tokens if joint_of(str(token), robot.joint_names) is None]:
        _left_out(source, unused)
    return robot.joint_names, [called[name] for name in robot.joint_names]


def log_of(
    source: str,
    times: Array,
    tables: Mapping[str, Array],
    names: tuple[str, ...],
    *,
    robot: Robot | None = None,
    spread: Mapping[str, Array] | None = None,
    unit_said: bool = True,
) -> Log:
    """A log of what a file held, in SI units. Tables that hold no number at all are none.

    Raises:
        FileFormatError: no log is like this (see `Log`); positions without a unit that only make sense as degrees.
    """
    known = {name: table for name, table in tables.items() if name == "positions" or not np.isnan(table).all()}
    if robot is not None:
        _check_limits(source, known["positions"], robot, unit_said)
    try:
        return Log(
            names,
            times,
            known["positions"],
            **{name: known[name] for name in OPTIONAL if name in known},
            source=source,
            spread=spread or {},
        )
    except InvalidInputError as error:
        raise FileFormatError(str(error)) from None


def _check_limits(source: str, positions: Array, robot: Robot, unit_said: bool) -> None:
    """Beyond a turn and the limits as radians, within them as degrees: nobody meant radians."""
    q = np.where(np.isfinite(positions), positions, 0.0)
    beyond = robot.beyond_limits(q).max(axis=0)
    worst, turning = int(beyond.argmax()), np.array([joint.kind == "revolute" for joint in robot.joints])
    if beyond[worst] < _BEYOND:
        return
    about = f"{source}: {robot.joint_names[worst]} goes {beyond[worst]:.3g} beyond its limits"
    in_degrees = robot.beyond_limits(np.where(turning, _TURN, 1.0) * q).max() < _BEYOND
    if in_degrees and not unit_said and np.abs(q[:, turning]).max(initial=0.0) > 2.0 * math.pi:
        raise FileFormatError(
            f"{about}, but not if the numbers are degrees: say the unit, in the name of the column or in columns=: "
            "[deg] or [rad]"
        )
    warnings.warn(f"{about}: another robot, another order of joints, or another unit?", EdmpWarning, stacklevel=5)


def renamed(columns: Mapping[str, str] | None, valid: Iterable[str], source: str) -> dict[str, tuple[str, str | None]]:
    """What `read_log` was told of a file's names, for files with one name a table: table -> (name, unit).

    Raises:
        UnknownNameError: a table that there is none of, a name that the file does not have.
    """
    valid, found = list(valid), {}
    for table, text in (columns or {}).items():
        table = "times" if table == "time" else table
        if table not in (*TABLES, "times"):
            raise unknown_name("table in columns", table, (*TABLES, "times"))
        name, unit = (text, None) if text in valid else split_unit(text)
        if name not in valid:
            raise unknown_name(f"column in {source}", name, valid)
        found[table] = (name, unit)
    return found


def _left_out(source: str, what: Iterable[object]) -> None:
    warnings.warn(f"{source}: not read: {_listed(what)}", EdmpWarning, stacklevel=5)


def _listed(what: Iterable[object]) -> str:
    shown = [str(one) for one in what]
    return ", ".join(shown[:20]) + (f", and {len(shown) - 20} more" if len(shown) > 20 else "")
