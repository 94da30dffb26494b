"""Logs of every kind of file, by its ending."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edmp.arguments import checked
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.npz import read_npz, write_npz
from edmp.ranges import Range
from edmp.recordings.columns import STD, log_of
from edmp.recordings.csv_file import read_csv, write_csv
from edmp.recordings.hdf5_file import read_hdf5
from edmp.recordings.log import TABLES, Log
from edmp.recordings.mcap_file import RecordingFile, save_recording
from edmp.recordings.parquet_file import read_parquet
from edmp.recordings.recording import Recording
from edmp.recordings.ros_file import read_mcap
from edmp.robots.description import load_robot
from edmp.robots.robot import Robot

READ = (".csv", ".txt", ".tsv", ".mcap", ".npz", ".hdf5", ".h5", ".parquet")
WRITTEN = (".csv", ".mcap", ".npz")
_RATE = Range(0.0, 1e6, above=True)


@checked
def read_log(
    path: str | Path,
    *,
    robot: Robot | str | None = None,
    episode: int = 0,
    columns: Mapping[str, str] | None = None,
    rate: float | None = None,
) -> Log:
    """Read what an arm did from a file that anybody wrote; times begin at 0 unless edmp wrote them.

    - ``.mcap``: recordings of edmp, and bags of ROS 2 with ``sensor_msgs/msg/JointState`` (CDR or JSON).
    - ``.csv``, ``.tsv``, ``.txt``: a line of names such as ``time[s]``, ``position_panda_joint1[deg]``,
      ``panda_joint1/velocity``, ``q0``, ``tau_3``; then a line for each time.
    - ``.hdf5``: robomimic's layout, ``data/demo_0/obs/robot0_joint_pos``.
    - ``.parquet``, or the folder of a data set: LeRobot's layout, ``observation.state`` by ``meta/info.json``.
    - ``.npz``: what `write_log` wrote.

    What is not read is told by an `EdmpWarning`, as are times whose unit had to be read off their steps.

    Args:
        path: of the file.
        robot: whose joints they are, a robot or its name: columns are put in its order by their names, joints that it
            does not have are left out. None takes all joints, in the order of the file.
        episode: which, of files that hold several.
        columns: what the file calls things, by what edmp calls them, with a unit if need be: for tables of text
            ``{"position_elbow": "A3 actual[deg]", "time": "Zeit[ms]"}``, for the others
            ``{"positions": "observation.state[deg]"}``; those that are not there keep their usual names.
        rate: of the rows, for files that hold no times [Hz].

    Raises:
        FileFormatError: no such file, or not such a log: says where and why.
        UnknownNameError: an episode, a robot, or a name in ``columns`` that there is not.
        InvalidInputError: a rate that is none.
        MissingDependencyError: the package that reads this kind of file is not installed.
    """
    path = Path(path)
    if rate is not None and not _RATE.holds(rate):
        raise InvalidInputError(f"rate must be {_RATE} [Hz], got {rate}")
    arm = load_robot(robot) if isinstance(robot, str) else robot
    suffix = path.suffix.lower()
    if suffix == ".mcap":
        return read_mcap(path, robot=arm, columns=columns)
    if suffix in (".hdf5", ".h5"):
        return read_hdf5(path, robot=arm, episode=episode, columns=columns, rate=rate)
    if suffix == ".parquet" or (path / "meta" / "info.json").is_file():
        return read_parquet(path, robot=arm, episode=episode, columns=columns, rate=rate)
    if suffix == ".npz":
        return _read_npz(path, arm)
    if suffix not in READ:
        raise FileFormatError(f"{path}: not a log: expected a file {', '.join(READ)}, or a folder with meta/info.json")
    return read_csv(path, robot=arm, columns=columns)


@checked
def write_log(path: str | Path, log: Log, *, about: Mapping[str, str] | None = None) -> None:
    """Write a log as ``.csv``, ``.npz``, or a recording ``.mcap``; whole or not at all. `read_log` reads it.

    Args:
        path: of the file.
        log: what is written.
        about: what else a recording says, see `RecordingFile`.

    Raises:
        InvalidInputError: it cannot be written, or has another ending.
        MissingDependencyError: the package mcap is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        write_csv(path, log)
    elif suffix == ".npz":
        arrays = {name: getattr(log, name) for name in ("times", *TABLES) if getattr(log, name) is not None}
        arrays |= {name + STD: values for name, values in log.spread.items()}
        write_npz(path, {"joint_names": np.array(log.joint_names), **arrays})
    elif suffix == ".mcap":
        save_recording(path, RecordingFile(_recording(log), about=about or {}, spread=log.spread))
    else:
        raise InvalidInputError(f"{path}: expected a name that ends in {', '.join(WRITTEN)}")


def _read_npz(path: Path, robot: Robot | None) -> Log:
    source, arrays = str(path), read_npz(path, "log")
    names = arrays.pop("joint_names", np.zeros(0))
    if names.ndim != 1 or names.dtype.kind != "U" or not len(names):
        raise FileFormatError(f"{source}: joint_names: expected an array of names")
    if missing := [name for name in ("times", "positions") if name not in arrays]:
        raise FileFormatError(f"{source}: holds no {missing[0]}; it has {', '.join(arrays)[:500]}")
    for name, values in arrays.items():
        if name.removesuffix(STD) not in ("times", *TABLES) or values.dtype.kind not in "fiu":
            raise FileFormatError(f"{source}: {name}: not numbers of a log")
    tables = {name: values for name, values in arrays.items() if name in TABLES}
    spread = {name.removesuffix(STD): values for name, values in arrays.items() if name.endswith(STD)}
    log = log_of(source, arrays["times"], tables, tuple(map(str, names)), spread=spread)
    return log if robot is None else log.for_robot(robot)


def _recording(log: Log) -> Recording:
    """What is not known is not a number."""
    unknown = np.full(log.positions.shape, np.nan)
    tables = {name: getattr(log, name) for name in TABLES}
    known = {name: unknown if value is None else value for name, value in tables.items()}
    return Recording(
        log.joint_names,
        log.times,
        log.times,
        known["commanded"],
        known["positions"],
        known["commanded_velocities"],
        known["velocities"],
        known["torques"],
        unknown,
    )
