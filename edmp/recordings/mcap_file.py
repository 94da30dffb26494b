"""Recordings on disk: MCAP, the container of ROS 2 and Foxglove, with JSON messages that any of its readers takes.

Topics ``/commanded`` and ``/measured`` hold a message a tick, in the manner of ROS' JointState; ``/contact`` one for
each tick with a contact, ``/handled`` one for each look at gripper and objects while a task is run. The plan that was
run is attached as ``plan.json``, a plan file with robot, scene and result (its arrays as ``plan.npz``), or the task as
``task.json``, so that a recording can be shown and summarised alone; what else there is to say is metadata of name
``edmp``.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import FileFormatError, MissingDependencyError
from edmp.files.beside import Arrays, set_aside
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.npz import npz_arrays, npz_bytes
from edmp.files.reading import MAX_BYTES, read_bytes
from edmp.files.writing import written_whole
from edmp.geometry.poses import FARTHEST, rigid
from edmp.planfile import PlanFile, plan_document, plan_of
from edmp.recordings.recording import Handled, Recording
from edmp.taskfile import task_document, task_of
from edmp.taskplan import TaskPlan

Array = NDArray[np.float64]

VERSION = 1
COMMANDED, MEASURED, CONTACT, HANDLED = "/commanded", "/measured", "/contact", "/handled"

_NUMBERS = {"type": "array", "items": {"type": ["number", "string"]}}
_SCHEMAS: Mapping[str, tuple[str, dict[str, Any]]] = {
    COMMANDED: ("edmp.JointCommand", {"position": _NUMBERS, "velocity": _NUMBERS}),
    MEASURED: (
        "edmp.JointState",
        {
            "stamp": {"type": "number"},
            "seen": {"type": "number"},
            "position": _NUMBERS,
            "velocity": _NUMBERS,
            "effort": _NUMBERS,
            "external_effort": _NUMBERS,
        },
    ),
    CONTACT: (
        "edmp.Contact",
        {"tick": {"type": "integer"}, "one": {"type": "string"}, "other": {"type": "string"}},
    ),
    HANDLED: (
        "edmp.Handled",
        {
            "tick": {"type": "integer"},
            "width": {"type": ["number", "string"]},
            "objects": {"type": "object", "additionalProperties": {"type": "array"}},
        },
    ),
}
_SPREAD = "spread.npz"
_NOT_FINITE = ("Infinity", "-Infinity", "NaN")
_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}
"""JSON has no words for these; those of protobuf's JSON mapping."""


@checked
@dataclass(frozen=True, eq=False)
class RecordingFile:
    """A recording and where it comes from.

    Attributes:
        recording: every tick.
        plan: the plan that was run; None if there was none.
        about: driver, outcome, message, speed and the like, as text.
        task: the task that was run, if it was one.
        spread: standard deviations (n, dof) of what was computed, not measured, by the names of `Log`'s tables.
    """

    recording: Recording
    plan: PlanFile | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    task: TaskPlan | None = None
    spread: Mapping[str, Array] = field(default_factory=dict)


@checked
def save_recording(path: str | Path, file: RecordingFile) -> None:
    """Write a recording (.mcap), whole or not at all.

    Raises:
        InvalidInputError: the file cannot be written.
        MissingDependencyError: the package mcap is not installed.
    """
    writing = mcap_module("writer")
    recording = file.recording
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        writer = writing.Writer(stream)
        writer.start(profile="", library="edmp")
        about = {**file.about, "version": str(VERSION), "joint_names": json.dumps(recording.joint_names)}
        if recording.lead:
            about["lead"] = repr(recording.lead)
        writer.add_metadata("edmp", about)
        if file.plan is not None:
            _attach(writer, "plan", plan_document(file.plan.problem, file.plan.result))
        if file.task is not None:
            _attach(writer, "task", task_document(file.task))
        if file.spread:
            data = npz_bytes({name: np.asarray(values) for name, values in file.spread.items()})
            writer.add_attachment(0, 0, _SPREAD, "application/octet-stream", data)
        channels = {topic: _channel(writer, topic) for topic in _SCHEMAS}
        stamps = _nanoseconds(recording.times)
        for topic, rows in _messages(recording).items():
            for sequence, (tick, row) in enumerate(rows):
                writer.add_message(
                    channels[topic], stamps[tick], json.dumps(row, allow_nan=False).encode(), stamps[tick], sequence
                )
        writer.finish()


def _attach(writer: Any, name: str, whole: Any) -> None:
    document, arrays = set_aside(whole)
    text = json.dumps(document, allow_nan=False)
    writer.add_attachment(0, 0, f"{name}.json", "application/json", text.encode())
    if arrays:
        writer.add_attachment(0, 0, f"{name}.npz", "application/octet-stream", npz_bytes(arrays))


@checked
def load_recording(path: str | Path) -> RecordingFile:
    """Read what `save_recording` wrote.

    Raises:
        FileFormatError: it is no such file, or damaged; names file and place.
        MissingDependencyError: the package mcap is not installed.
    """
    about: dict[str, str] = {}
    attached: dict[str, bytes] = {}
    rows: dict[str, list[JsonNode]] = {topic: [] for topic in _SCHEMAS}
    topics: dict[int, str] = {}
    records = mcap_module("records")
    for record in mcap_records(Path(path)):
        if isinstance(record, records.Metadata) and record.name == "edmp":
            about |= record.metadata
        elif isinstance(record, records.Attachment):
            attached.setdefault(record.name, record.data)
        elif isinstance(record, records.Channel):
            topics[record.id] = record.topic
        elif isinstance(record, records.Message):
            topic = topics.get(record.channel_id, "")
            if topic not in rows:
                raise FileFormatError(f"{path}: a message of topic {topic!r}; edmp's have {', '.join(rows)}")
            rows[topic].append(parse_json(record.data, f"{path}: message {len(rows[topic])} of {topic}"))
    if about.pop("version", None) != str(VERSION):
        raise FileFormatError(f"{path}: not a recording of edmp, or of another version")
    names = parse_json(about.pop("joint_names", "[]"), f"{path}: joint_names")
    nodes = {name: _attached(path, name, attached) for name in ("plan", "task") if f"{name}.json" in attached}
    plan = plan_of(nodes["plan"]) if "plan" in nodes else None
    task = task_of(nodes["task"]) if "task" in nodes else None
    lead = parse_json(about["lead"], f"{path}: lead").number(0.0) if "lead" in about else 0.0
    recording = _recording(names, rows, str(path), lead)
    return RecordingFile(recording, plan, about, task, _spread(attached.get(_SPREAD), recording, str(path)))


def _spread(data: bytes | None, recording: Recording, path: str) -> dict[str, Array]:
    """Standard deviations by table, of as many rows and joints as there are."""
    arrays = {} if data is None else npz_arrays(data, f"{path}: {_SPREAD}", "recording")
    for name, values in arrays.items():
        if values.shape != recording.measured.shape or values.dtype.kind not in "fiu":
            raise FileFormatError(
                f"{path}: {_SPREAD}: {name}: expected numbers {recording.measured.shape}, got {values.shape}"
            )
    return {name: values.astype(np.float64) for name, values in arrays.items()}


def _attached(path: str | Path, name: str, attached: Mapping[str, bytes]) -> JsonNode:
    data = attached.get(f"{name}.npz")
    inside = npz_arrays(data, f"{path}: {name}.npz", "recording") if data else None
    return parse_json(attached[f"{name}.json"], f"{path}: {name}.json", arrays=Arrays(inside=inside))


def mcap_records(path: Path) -> Iterator[Any]:
    """What an MCAP file holds, in order; chunks are taken apart once their sizes are known to be sane."""
    streams, mcap_error = mcap_module("stream_reader"), mcap_module("exceptions").McapError
    import zstandard

    # In memory, where no read takes more than there is; checksums tell most damage.
    stream = io.BytesIO(read_bytes(path, "recording"))
    chunks = mcap_module("records").Chunk
    left = MAX_BYTES
    try:
        for record in streams.StreamReader(stream, emit_chunks=True, validate_crcs=True).records:
            if not isinstance(record, chunks):
                yield record
                continue
            left -= record.uncompressed_size
            if left < 0:
                raise FileFormatError(f"{path}: unpacked it has more than {MAX_BYTES} bytes")
            if record.compression == "zstd":
                size = zstandard.get_frame_parameters(record.data).content_size
                if size not in (record.uncompressed_size, zstandard.CONTENTSIZE_UNKNOWN):
                    raise FileFormatError(f"{path}: a chunk of {size} bytes is said to have {record.uncompressed_size}")
            yield from streams.breakup_chunk(record, validate_crc=True)
    except FileFormatError:
        raise
    # All that the package raises on damaged files, besides errors of its own.
    except (mcap_error, zstandard.ZstdError, struct.error, ValueError, KeyError, OverflowError, RuntimeError) as error:
        raise FileFormatError(f"{path}: not a recording, or damaged: {error or type(error).__name__}") from None


def mcap_module(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"mcap.{module}")
    except ImportError as error:
        raise MissingDependencyError(f"recordings need the package mcap: pip install 'edmp[sim]' ({error})") from error


def _channel(writer: Any, topic: str) -> int:
    name, properties = _SCHEMAS[topic]
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    identity = writer.register_schema(name, "jsonschema", json.dumps(schema).encode())
    return writer.register_channel(topic, "json", identity)


def _nanoseconds(times: Array) -> list[int]:
    """For viewers; a time that is not a number takes that of the tick before."""
    stamps, last = [], 0
    for seconds in times.tolist():
        last = round(seconds * 1e9) if math.isfinite(seconds) and seconds >= 0 else last
        stamps.append(last)
    return stamps


def _messages(recording: Recording) -> dict[str, Iterable[tuple[int, dict[str, Any]]]]:
    """For each topic (tick, message) in order."""
    commanded = zip(recording.commanded, recording.commanded_velocities, strict=True)
    states = zip(
        recording.times,
        recording.seen,
        recording.measured,
        recording.measured_velocities,
        recording.torques,
        recording.external_torques,
        strict=True,
    )
    properties = list(_SCHEMAS[MEASURED][1])
    return {
        COMMANDED: ((k, {"position": _words(q), "velocity": _words(v)}) for k, (q, v) in enumerate(commanded)),
        MEASURED: (
            (k, {name: _words(value) for name, value in zip(properties, state, strict=True)})
            for k, state in enumerate(states)
        ),
        CONTACT: ((tick, {"tick": tick, "one": a, "other": b}) for tick, a, b in recording.contacts),
        HANDLED: () if recording.handled is None else _looks(recording.handled),
    }


def _looks(handled: Handled) -> Iterator[tuple[int, dict[str, Any]]]:
    for k, (tick, width) in enumerate(zip(handled.ticks.tolist(), handled.widths.tolist(), strict=True)):
        objects = {name: X_WO[k].tolist() for name, X_WO in handled.objects.items()}
        yield tick, {"tick": tick, "width": _words(width), "objects": objects}


def _words(value: Any) -> Any:
    """Plain numbers, those that are not finite by name."""
    if np.ndim(value):
        return [_words(entry) for entry in value]
    number = float(value)
    return number if math.isfinite(number) else _WORDS.get(number, "NaN")


def _recording(names: JsonNode, rows: Mapping[str, list[JsonNode]], path: str, lead: float) -> Recording:
    joints = tuple(name.text() for name in names.entries())
    commands, states = len(rows[COMMANDED]), len(rows[MEASURED])
    if commands != states:
        raise FileFormatError(f"{path}: {commands} commands and {states} states")

    def table(topic: str, key: str) -> Array:
        values = [_from_words(row[key], len(joints)) for row in rows[topic]]
        return np.array(values, dtype=np.float64).reshape(len(values), len(joints))

    def column(key: str) -> Array:
        return np.array([_from_word(row[key]) for row in rows[MEASURED]], dtype=np.float64)

    return Recording(
        joints,
        column("stamp"),
        column("seen"),
        table(COMMANDED, "position"),
        table(MEASURED, "position"),
        table(COMMANDED, "velocity"),
        table(MEASURED, "velocity"),
        table(MEASURED, "effort"),
        table(MEASURED, "external_effort"),
        tuple(
            (row["tick"].integer(0, max(0, states - 1)), row["one"].text(), row["other"].text())
            for row in rows[CONTACT]
        ),
        _handled(rows[HANDLED], states),
        lead,
    )


def _handled(rows: list[JsonNode], states: int) -> Handled | None:
    """The looks at gripper and objects, all of the same objects."""
    if not rows:
        return None
    ticks = [row["tick"].integer(0, max(0, states - 1)) for row in rows]
    for row, before, tick in zip(rows[1:], ticks, ticks[1:], strict=False):
        if tick <= before:
            row["tick"].fail(f"expected a tick after {before}, that of the look before")
    poses = {}
    for name, _ in rows[0]["objects"].items():
        found = []
        for row in rows:
            node = row["objects"][name]
            with node.blamed():
                found.append(rigid(node.array(4, 4, limit=FARTHEST), f"pose of {name}"))
        poses[name] = np.array(found)
    widths = np.array([_from_word(row["width"]) for row in rows], dtype=np.float64)
    return Handled(np.array(ticks, dtype=np.int64), widths, poses)


def _from_words(node: JsonNode, count: int) -> list[float]:
    """So many numbers, those that are not finite by name."""
    values = node.entries()
    if len(values) != count:
        node.fail(f"expected {count} numbers, one a joint, got {len(values)}")
    return [_from_word(value) for value in values]


def _from_word(node: JsonNode) -> float:
    return float(node.one_of(_NOT_FINITE)) if isinstance(node.value, str) else node.number(-1e300, 1e300)
