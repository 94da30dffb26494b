"""Logs as others write them: bags of ROS 2, robomimic's HDF5, LeRobot's parquet."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
JOINTS = tuple(f"panda_joint{k}" for k in range(1, 8))
HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])


def motion(n: int = 40, period: float = 0.02) -> tuple[Array, Array, Array]:
    """Times (n,), positions and velocities (n, 7) of a Panda that swings about its home."""
    times, w = period * np.arange(n), 2.0 + 0.3 * np.arange(7)
    return times, HOME + 0.2 * np.sin(w * times[:, None]), 0.2 * w * np.cos(w * times[:, None])


def cdr(stamp: int, names: Sequence[str], *tables: Sequence[float], sign: str = "<") -> bytes:
    """A JointState as DDS writes it: stamp [ns], names, positions, velocities, efforts."""
    body = io.BytesIO()

    def put(kind: str, *values: float) -> None:
        size = struct.calcsize(kind)
        body.write(b"\0" * (-body.tell() % size) + b"".join(struct.pack(sign + kind, value) for value in values))

    def text(value: str) -> None:
        put("I", len(value) + 1)
        body.write(value.encode() + b"\0")

    put("i", stamp // 10**9)
    put("I", stamp % 10**9)
    text("base")
    put("I", len(names))
    for name in names:
        text(name)
    for table in tables:
        put("I", len(table))
        if len(table):
            put("d", *table)
    return (b"\0\1\0\0" if sign == "<" else b"\0\0\0\0") + body.getvalue()


def write_bag(
    path: Path,
    *,
    encoding: str = "cdr",
    names: Sequence[str] = JOINTS,
    topics: Sequence[str] = ("/joint_states",),
    stamped: bool = True,
    sign: str = "<",
) -> None:
    """Positions of `motion`, columns in the order of ``names``; what is no joint of a Panda stands still."""
    from mcap.writer import Writer

    times, q, v = motion()
    columns = [JOINTS.index(name) if name in JOINTS else None for name in names]
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="ros2", library="test")
        kind = "ros2msg" if encoding == "cdr" else "jsonschema"
        schema = writer.register_schema("sensor_msgs/msg/JointState", kind, b"{}" if kind == "jsonschema" else b"")
        channels = [writer.register_channel(topic, encoding, schema) for topic in topics]
        for k, time in enumerate(times):
            at = 1_700_000_000_000_000_000 + round(time * 1e9)
            stamp = at if stamped else 0
            rows = [[float(x[k, c]) if c is not None else 0.04 for c in columns] for x in (q, v, 10 * v)]
            if encoding == "cdr":
                data = cdr(stamp, names, *rows, sign=sign)
            else:
                header = {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": ""}
                data = json.dumps(
                    {"header": header, "name": [*names], "position": rows[0], "velocity": rows[1], "effort": rows[2]}
                ).encode()
            for channel in channels:
                writer.add_message(channel, at, data, at)
        writer.finish()


def write_robomimic(path: Path, *, rate: float | None = 50.0, demos: int = 2) -> None:
    import h5py

    _, q, v = motion()
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        arguments = {"env_name": "Lift", "env_kwargs": {"controller_configs": {"type": "OSC_POSE"}}}
        if rate is not None:
            arguments["env_kwargs"]["control_freq"] = rate  # type: ignore[index]
        data.attrs["env_args"] = json.dumps(arguments)
        for k in range(demos):
            demo = data.create_group(f"demo_{k}")
            demo["actions"] = np.zeros((len(q), 7))
            demo["obs/robot0_joint_pos"] = q + 0.01 * k
            demo["obs/robot0_joint_vel"] = v
            demo["obs/robot0_eef_pos"] = np.zeros((len(q), 3))


def write_lerobot(folder: Path, *, version: int = 2, degrees: bool = False, names: Sequence[str] = JOINTS) -> Path:
    """A data set of two episodes; returns the file of the second. The gripper is the last of its numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times, q, _ = motion()
    q = (np.degrees(q) if degrees else q)[:, [JOINTS.index(name) for name in names]]
    features = {key: {"dtype": "float32", "shape": [8], "names": {"motors": [*names, "gripper"]}} for key in (
        "observation.state", "action")}  # fmt: skip
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps({"fps": 50, "features": features}))
    chunk = folder / "data" / "chunk-000"
    chunk.mkdir(parents=True)
    tables = []
    for k in range(2):
        state = np.column_stack([q + 0.01 * k, np.full(len(q), 0.04)]).astype(np.float32)
        tables.append(
            pa.table(
                {
                    "observation.state": pa.array([*state], pa.list_(pa.float32())),
                    "action": pa.array([*np.roll(state, -1, axis=0)], pa.list_(pa.float32())),
                    "timestamp": pa.array(times.astype(np.float32)),
                    "episode_index": pa.array(np.full(len(q), k)),
                }
            )
        )
    if version == 3:
        pq.write_table(pa.concat_tables(tables), chunk / "file-000.parquet")
        return chunk / "file-000.parquet"
    for k, table in enumerate(tables):
        pq.write_table(table, chunk / f"episode_{k:06d}.parquet")
    return chunk / "episode_000001.parquet"
