"""Logs in HDF5, in the layout of robomimic: ``data/demo_0/obs/robot0_joint_pos`` and the like, an episode a group."""

from __future__ import annotations

import contextlib
import math
import mmap
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, EdmpWarning, FileFormatError, MissingDependencyError, unknown_name
from edmp.files.reading import read_bytes
from edmp.recordings.columns import log_of, order, renamed, scale_of, seconds
from edmp.recordings.log import OPTIONAL, Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_USUAL = {
    "positions": "obs/robot0_joint_pos",
    "velocities": "obs/robot0_joint_vel",
    "torques": "obs/robot0_joint_torque",
    "times": "obs/time",
}
_MAX_NUMBERS = 1 << 26
"""A data set has at most so many."""


def read_hdf5(
    path: Path, *, robot: Robot | None, episode: int, columns: Mapping[str, str] | None, rate: float | None
) -> Log:
    """See `edmp.recordings.read_log`. Actions are read only if ``columns={"commanded": "actions"}`` says what they are.

    Raises:
        FileFormatError: not such a file, or damaged; no times and no rate.
        UnknownNameError: an episode or data set that it does not have.
        MissingDependencyError: h5py is not installed.
    """
    with _open(path) as file:
        demo, source = _demo(file, episode, str(path))
        names = _names(demo)
        told = renamed(columns, names, source)
        found = {table: told.get(table, (name, None)) for table, name in _USUAL.items() if name in names}
        found |= told
        if "positions" not in found:
            raise FileFormatError(f"{source}: no {_USUAL['positions']}; it has {', '.join(names)[:500]}")
        arrays = {table: _array(demo[name], f"{source}/{name}") for table, (name, _) in found.items()}
        if "actions" in names and "commanded" not in found:
            warnings.warn(f"{source}: {_unread_actions(file)}", EdmpWarning, stacklevel=4)
        times = _times(arrays, found, file, rate, source)
    joints = arrays["positions"].shape[1]
    joint_names, tokens = order(range(joints), robot, source, "positions")
    tables = {}
    for table in ("positions", *OPTIONAL):
        if table in arrays:
            scale = scale_of(found[table][1], table, source, found[table][0])
            tables[table] = arrays[table][:, [int(token) for token in tokens]] * (1.0 if scale is None else scale)
    return log_of(source, times, tables, joint_names, robot=robot, unit_said=found["positions"][1] is not None)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(f"reading {path} needs h5py: pip install 'edmp[logs]'") from error
    if not path.is_file():
        read_bytes(path, "log")  # says what is there instead
    try:
        with h5py.File(path, "r") as file:
            yield file
    except EdmpError:
        raise
    # What h5py raises wherever it stumbles over damage; a data set is only read when it is asked for.
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
        AttributeError,
    ) as error:
        raise FileFormatError(f"{path}: cannot be read as HDF5, or damaged: {error}") from error


def _demo(file: Any, episode: int, path: str) -> tuple[Any, str]:
    data = file.get("data")
    if data is None or not hasattr(data, "keys"):
        raise FileFormatError(f"{path}: not in the layout of robomimic: no group data; it has {', '.join(file)[:500]}")
    name = f"demo_{episode}"
    if name not in data:
        demos = sorted((key for key in data if key.startswith("demo_")), key=lambda key: (len(key), key))
        raise unknown_name(f"episode in {path}", name, demos[:20] + ["..."] * (len(demos) > 20))
    if not hasattr(data[name], "keys"):
        raise FileFormatError(f"{path}: data/{name} is no group")
    return data[name], f"{path}: data/{name}"


def _names(demo: Any) -> list[str]:
    """Data sets of an episode, those of its groups of observations included."""
    names = []
    for key, value in demo.items():
        names += [f"{key}/{inner}" for inner in value] if hasattr(value, "keys") else [key]
    return names


def _array(data: Any, place: str) -> Array:
    """Numbers (n, m); a single column may be flat."""
    shape = getattr(data, "shape", None)
    if not shape or len(shape) > 2 or data.dtype.kind not in "fiu" or math.prod(shape) > _MAX_NUMBERS:
        raise FileFormatError(f"{place}: expected numbers (n, joints), at most {_MAX_NUMBERS}")
    array = np.asarray(data[...], dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _times(
    arrays: dict[str, Array],
    found: Mapping[str, tuple[str, str | None]],
    file: Any,
    rate: float | None,
    source: str,
) -> Array:
    rows = len(arrays["positions"])
    joints = arrays["positions"].shape[1]
    if rows < 2:
        raise FileFormatError(f"{source}: {rows} rows; a log has 2 or more")
    for table, array in arrays.items():
        if len(array) != rows or (table != "times" and array.shape[1] < joints):
            raise FileFormatError(f"{source}: {found[table][0]}: {array.shape} where positions are ({rows}, {joints})")
    if rate is None and "times" in arrays:
        name, unit = found["times"]
        return seconds(arrays["times"][:, 0], scale_of(unit, "times", source, name), source)
    rate = rate or _control_rate(file)
    if rate is None:
        raise FileFormatError(f"{source}: says neither times nor the rate of its rows: give rate= (--rate) [Hz]")
    return np.arange(rows) / rate


def _said(file: Any, pattern: bytes) -> str | None:
    """What the description of the environment, JSON in an attribute, says once or always alike; else None.

    Looked for in the bytes of the file, where attributes lie as they are: HDF5's own reader of texts of any length
    never comes back from some damaged heaps.
    """
    with Path(file.filename).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = {match[1] for match in re.finditer(pattern, content)}
    return found.pop().decode("ascii") if len(found) == 1 else None


def _control_rate(file: Any) -> float | None:
    """Of the environment's controller [Hz]; None where nothing, or nothing sensible, is said."""
    said = _said(file, rb'"control_freq"\s{0,9}:\s{0,9}([0-9]{1,9}(?:\.[0-9]{0,9})?)')
    rate = 0.0 if said is None else float(said)
    return rate if 1e-3 <= rate <= 1e6 else None


def _unread_actions(file: Any) -> str:
    kind = _said(file, rb'"type"\s{0,9}:\s{0,9}"((?:OSC|JOINT|IK)_[A-Z_]{1,40})"')
    about = f"they are of a controller {kind}" if kind else "nothing says what they are"
    return f'actions not read, {about}; if they are joint positions [rad] say columns={{"commanded": "actions"}}'
