"""Logs in MCAP: recordings of edmp, and bags of ROS 2 that hold ``sensor_msgs/msg/JointState`` as CDR or JSON."""

from __future__ import annotations

import dataclasses
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError, InvalidInputError
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.recordings.columns import log_of, order, renamed, scale_of, seconds
from edmp.recordings.log import Log
from edmp.recordings.mcap_file import load_recording, mcap_module, mcap_records
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_FIELDS = {"positions": "position", "velocities": "velocity", "torques": "effort"}


@dataclass(frozen=True)
class JointState:
    """One message: when [ns], and for each joint what is known, an empty list where nothing is."""

    stamp: int
    names: Sequence[str]
    tables: Mapping[str, Sequence[float]]


@dataclass
class _Topic:
    """Messages of a topic, undecoded: (log time [ns], data)."""

    name: str
    encoding: str
    messages: list[tuple[int, bytes]] = field(default_factory=list)


def read_mcap(path: Path, *, robot: Robot | None, columns: Mapping[str, str] | None) -> Log:
    """See `edmp.recordings.read_log`; ``columns={"positions": TOPIC}`` chooses among topics.

    Raises:
        FileFormatError: neither a recording of edmp nor a bag with joint states, or damaged.
    """
    source, records = str(path), mcap_module("records")
    schemas: dict[int, str] = {}
    topics: dict[int, _Topic] = {}
    for record in mcap_records(path):
        if isinstance(record, records.Metadata) and record.name == "edmp":
            return _own(path, robot)
        if isinstance(record, records.Schema):
            schemas[record.id] = record.name
        elif isinstance(record, records.Channel) and schemas.get(record.schema_id, "").endswith("/JointState"):
            topics.setdefault(record.id, _Topic(record.topic, record.message_encoding))
        elif isinstance(record, records.Message) and record.channel_id in topics:
            topics[record.channel_id].messages.append((record.log_time, record.data))
    topic, unit = _chosen([*topics.values()], columns, source)
    place = f"{source}: {topic.name}"
    states = [state_of(data, topic.encoding, f"{place}: message {k}") for k, (_, data) in enumerate(topic.messages)]
    stamped = all(state.stamp != 0 for state in states)
    stamps = [state.stamp if stamped else at for state, (at, _) in zip(states, topic.messages, strict=True)]
    return _assembled(place, states, stamps, robot, scale_of(unit, "positions", source, topic.name))


def _own(path: Path, robot: Robot | None) -> Log:
    file = load_recording(path)
    try:
        log = dataclasses.replace(Log.of(file.recording, source=str(path)), spread=file.spread)
    except InvalidInputError as error:
        raise FileFormatError(str(error)) from None
    return log if robot is None else log.for_robot(robot)


def _chosen(topics: list[_Topic], columns: Mapping[str, str] | None, source: str) -> tuple[_Topic, str | None]:
    """The topic of states, and the unit that is said of it."""
    topics = [topic for topic in topics if len(topic.messages) > 1]
    if not topics:
        raise FileFormatError(
            f"{source}: neither a recording of edmp nor a bag with messages of sensor_msgs/msg/JointState"
        )
    names = {topic.name: topic for topic in topics}
    told = renamed(columns, names, source)
    if "positions" in told:
        name, unit = told["positions"]
        return names[name], unit
    if len(topics) > 1:
        raise FileFormatError(
            f'{source}: joint states in topics {", ".join(names)}: choose one by columns={{"positions": TOPIC}}'
        )
    return topics[0], None


def _assembled(
    source: str, states: Sequence[JointState], stamps: Sequence[int], robot: Robot | None, scale: float | None
) -> Log:
    """Messages that are about these joints; others, such as a gripper's on the same topic, are left out."""
    if robot is None:
        names, calls = order(states[0].names, None, source, "positions")
    else:
        fitting = [state for state in states if len(state.names) >= robot.dof] or states[:1]
        names, calls = order(fitting[0].names, robot, source, "positions")
    kept = [(state, stamp) for state, stamp in zip(states, stamps, strict=True) if set(calls) <= set(state.names)]
    if len(kept) < len(states):
        other = len(states) - len(kept)
        warnings.warn(f"{source}: {other} messages about other joints left out", EdmpWarning, stacklevel=4)
    if len(kept) < 2:
        raise FileFormatError(f"{source}: {len(kept)} messages about {', '.join(names)}; a log has 2 or more")
    tables = {}
    for table in _FIELDS:
        rows = [_row(state, table, calls, source) for state, _ in kept]
        if table == "positions" or not np.isnan(rows).all():
            tables[table] = np.array(rows) * (scale if scale is not None and table != "torques" else 1.0)
    times = seconds([stamp for _, stamp in kept], 1e-9, source)
    return log_of(source, times, tables, names, robot=robot, unit_said=scale is not None)


def _row(state: JointState, table: str, calls: Sequence[Any], source: str) -> list[float]:
    values = state.tables[table]
    if not values:
        return [np.nan] * len(calls)
    if len(values) != len(state.names):
        raise FileFormatError(f"{source}: {len(values)} {table} of {len(state.names)} joints at {state.stamp} ns")
    return [values[state.names.index(call)] for call in calls]


# --- encodings -------------------------------------------------------------------------------------------------------


def state_of(data: bytes, encoding: str, source: str) -> JointState:
    """A message, as ``cdr`` or ``json``.

    Raises:
        FileFormatError: it is none, or of another encoding.
    """
    if encoding not in _DECODERS:
        raise FileFormatError(f"{source}: encoded as {encoding!r}; understood: {', '.join(_DECODERS)}")
    return _DECODERS[encoding](data, source)


def _from_json(data: bytes, source: str) -> JointState:
    node = parse_json(data, source)
    stamp = node["header"]["stamp"]
    nanoseconds = next((stamp[key] for key in ("nanosec", "nsec", "nsecs") if stamp.has(key)), None)
    at = stamp["sec"].integer(0, 2**32) * 10**9 + (0 if nanoseconds is None else nanoseconds.integer(0, 10**9))
    tables = {table: _floats(node.get(key)) for table, key in _FIELDS.items()}
    return JointState(at, [name.text() for name in node["name"].entries()], tables)


def _floats(node: JsonNode | None) -> list[float]:
    return [] if node is None else node.array(None).tolist()


def _from_cdr(data: bytes, source: str) -> JointState:
    """Common Data Representation (OMG, DDS-XTypes 1.3, 7.4), plain, of either byte order."""
    cursor = _Cdr(data, source)
    at = cursor.number("i") * 10**9 + cursor.number("I")
    cursor.text()  # the frame
    names = [cursor.text() for _ in range(cursor.count(5))]
    tables = {table: cursor.doubles() for table in _FIELDS}
    return JointState(at, names, tables)


class _Cdr:
    """A message, read from its beginning; never beyond its end."""

    def __init__(self, data: bytes, source: str) -> None:
        if len(data) < 4 or data[0] != 0 or data[1] not in (0, 1):
            raise FileFormatError(f"{source}: not plain CDR")
        self._order = "<" if data[1] else ">"
        self._data, self._at, self._source = data[4:], 0, source

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack(self._order + kind, self._take(struct.calcsize(kind), struct.calcsize(kind)))
        return value

    def count(self, size: int) -> int:
        """Of entries that take at least ``size`` bytes each."""
        count = self.number("I")
        if count * size > len(self._data):
            raise FileFormatError(f"{self._source}: {count} entries in {len(self._data)} bytes")
        return count

    def text(self) -> str:
        content = self._take(self.count(1), 1)
        try:
            return content.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            raise FileFormatError(f"{self._source}: a name that is no text") from None

    def doubles(self) -> list[float]:
        count = self.count(8)
        return list(struct.unpack(f"{self._order}{count}d", self._take(8 * count, 8))) if count else []

    def _take(self, size: int, aligned: int) -> bytes:
        begin = -(-self._at // aligned) * aligned
        if begin + size > len(self._data):
            raise FileFormatError(f"{self._source}: ends before its fields do")
        self._at = begin + size
        return self._data[begin : self._at]


_DECODERS = {"json": _from_json, "cdr": _from_cdr}
