"""Recordings on disk: MCAP, the container of ROS 2 and Foxglove, with JSON messages that any of its readers takes.

Topics ``/commanded`` and ``/measured`` hold a message a tick, in the manner of ROS' JointState; ``/contact`` one for
each tick with a contact. The plan that was run is attached as ``plan.json``, a plan file with robot, scene and result,
so that a recording can be shown and summarised alone; what else there is to say is metadata of name ``edmp``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.execution.recording import Recording
from edmp.outfile import written_whole
from edmp.planfile import PlanFile, plan_document, plan_from_document
from edmp.robots.errors import FileFormatError, MissingDependencyError

Array = NDArray[np.float64]

VERSION = 1
SUFFIX = ".mcap"
COMMANDED, MEASURED, CONTACT = "/commanded", "/measured", "/contact"

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
}
_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}
"""JSON has no words for these; those of protobuf's JSON mapping."""


@dataclass(frozen=True, eq=False)
class RecordingFile:
    """A recording and where it comes from.

    Attributes:
        recording: every tick.
        plan: the plan that was run; None if there was none.
        about: driver, outcome, message, speed and the like, as text.
    """

    recording: Recording
    plan: PlanFile | None = None
    about: Mapping[str, str] = field(default_factory=dict)


def save_recording(path: str | Path, file: RecordingFile) -> None:
    """Write a recording (.mcap), whole or not at all.

    Raises:
        InvalidInputError: the file cannot be written.
        MissingDependencyError: the package mcap is not installed.
    """
    writing = _mcap("writer")
    recording = file.recording
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        writer = writing.Writer(stream)
        writer.start(profile="", library="edmp")
        about = {**file.about, "version": str(VERSION), "joint_names": json.dumps(recording.joint_names)}
        writer.add_metadata("edmp", about)
        if file.plan is not None:
            text = json.dumps(plan_document(file.plan.problem, file.plan.result), allow_nan=False)
            writer.add_attachment(0, 0, "plan.json", "application/json", text.encode())
        channels = {topic: _channel(writer, topic) for topic in _SCHEMAS}
        stamps = _nanoseconds(recording.times)
        for topic, rows in _messages(recording).items():
            for sequence, (tick, row) in enumerate(rows):
                writer.add_message(
                    channels[topic], stamps[tick], json.dumps(row, allow_nan=False).encode(), stamps[tick], sequence
                )
        writer.finish()


def load_recording(path: str | Path) -> RecordingFile:
    """Read what `save_recording` wrote.

    Raises:
        FileFormatError: it is no such file, or damaged.
        MissingDependencyError: the package mcap is not installed.
    """
    reading, mcap_error = _mcap("reader"), _mcap("exceptions").McapError
    try:
        with Path(path).open("rb") as stream:
            reader = reading.make_reader(stream)
            about = {
                name: value for m in reader.iter_metadata() if m.name == "edmp" for name, value in m.metadata.items()
            }
            if about.pop("version", None) != str(VERSION):
                raise FileFormatError(f"{path}: not a recording of edmp, or of another version")
            attached = [entry.data for entry in reader.iter_attachments() if entry.name == "plan.json"]
            rows: dict[str, list[dict[str, Any]]] = {topic: [] for topic in _SCHEMAS}
            for _, channel, message in reader.iter_messages(log_time_order=False):
                rows[channel.topic].append(json.loads(message.data))
        names = tuple(json.loads(about.pop("joint_names")))
        plan = plan_from_document(json.loads(attached[0])) if attached else None
        return RecordingFile(_recording(names, rows), plan, about)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (mcap_error, KeyError, IndexError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: not a recording, or damaged: {error}") from error


def _mcap(module: str) -> Any:
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
    }


def _words(value: Any) -> Any:
    """Plain numbers, those that are not finite by name."""
    if np.ndim(value):
        return [_words(entry) for entry in value]
    number = float(value)
    return number if math.isfinite(number) else _WORDS.get(number, "NaN")


def _recording(names: tuple[str, ...], rows: Mapping[str, list[dict[str, Any]]]) -> Recording:
    dof = len(names)

    def table(topic: str, key: str) -> Array:
        values = [row[key] for row in rows[topic]]
        return np.array(values, dtype=np.float64).reshape(len(values), dof)  # numpy reads the words, too

    def column(key: str) -> Array:
        return np.array([row[key] for row in rows[MEASURED]], dtype=np.float64)

    if len(rows[COMMANDED]) != len(rows[MEASURED]):
        raise ValueError(f"{len(rows[COMMANDED])} commands and {len(rows[MEASURED])} states")
    return Recording(
        names,
        column("stamp"),
        column("seen"),
        table(COMMANDED, "position"),
        table(MEASURED, "position"),
        table(COMMANDED, "velocity"),
        table(MEASURED, "velocity"),
        table(MEASURED, "effort"),
        table(MEASURED, "external_effort"),
        tuple((row["tick"], row["one"], row["other"]) for row in rows[CONTACT]),
    )
