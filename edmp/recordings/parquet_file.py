"""Logs in parquet, in the layout of LeRobot: ``observation.state``, ``action``, ``timestamp``, ``episode_index``.

The names of the joints are in ``meta/info.json`` of the data set. Versions 2 (a file an episode) and 3 (several
episodes in a file) are read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, EdmpWarning, FileFormatError, MissingDependencyError, UnknownNameError
from edmp.files.json_nodes import JsonNode, read_json
from edmp.files.reading import MAX_BYTES, read_bytes
from edmp.recordings.columns import Joint, log_of, order, renamed, scale_of, seconds
from edmp.recordings.log import TABLES, Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_USUAL = {
    "positions": "observation.state",
    "velocities": "observation.velocity",
    "torques": "observation.effort",
    "commanded": "action",
    "times": "timestamp",
}
_EPISODE = "episode_index"


def read_parquet(
    path: Path, *, robot: Robot | None, episode: int, columns: Mapping[str, str] | None, rate: float | None
) -> Log:
    """See `edmp.recordings.read_log`; ``path`` is a file, or the folder of a data set.

    Raises:
        FileFormatError: not such a file, or damaged; no times and no rate.
        UnknownNameError: an episode or column that it does not have.
        MissingDependencyError: pyarrow is not installed.
    """
    file, info = _file_of(path, episode), _info(path)
    source = f"{file}: episode {episode}"
    names, table = _table(file, columns, episode, source)
    found = {key: (name, None) for key, name in _USUAL.items() if name in names} | renamed(columns, names, source)
    if "positions" not in found:
        raise FileFormatError(f"{source}: no {_USUAL['positions']}; it has {', '.join(names)[:500]}")
    said = {key: _names(info, name) for key, (name, _) in found.items()}
    arrays = {key: _matrix(table[name], f"{source}: {name}") for key, (name, _) in found.items() if name in table}
    width = arrays["positions"].shape[1]
    measured: Sequence[Joint] = said["positions"] or range(width)
    if len(measured) != width:
        raise FileFormatError(f"{source}: {width} numbers in {found['positions'][0]}, {len(measured)} names of them")
    joint_names, tokens = order(measured, robot, source, "positions")
    tables = {}
    for key in (key for key in TABLES if key in arrays):
        calls = [*(said[key] or (measured if arrays[key].shape[1] == width else ()))]
        if len(calls) != arrays[key].shape[1] or any(token not in calls for token in tokens):
            warnings.warn(f"{source}: {found[key][0]} not read: it is not of these joints", EdmpWarning, stacklevel=3)
            continue
        name, unit = found[key]
        scale = scale_of(unit, key, source, name)
        tables[key] = arrays[key][:, [calls.index(token) for token in tokens]] * (1.0 if scale is None else scale)
    times = _times(arrays, found, info, rate, source)
    return log_of(source, times, tables, joint_names, robot=robot, unit_said=found["positions"][1] is not None)


def _table(
    file: Path, columns: Mapping[str, str] | None, episode: int, source: str
) -> tuple[list[str], dict[str, Any]]:
    """Names of all columns, and those that may be needed, of one episode."""
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(f"reading {file} needs pyarrow: pip install 'edmp[logs]'") from error
    data = read_bytes(file, "log")
    try:
        with pq.ParquetFile(io.BytesIO(data)) as parquet:
            size = sum(parquet.metadata.row_group(k).total_byte_size for k in range(parquet.metadata.num_row_groups))
            if not 0 <= size <= MAX_BYTES:
                raise FileFormatError(f"{file}: unpacked it has {size} bytes; at most {MAX_BYTES}")
            names = list(parquet.schema_arrow.names)
            wanted = {*_USUAL.values(), _EPISODE, *(name for name, _ in renamed(columns, names, source).values())}
            table = parquet.read([name for name in names if name in wanted], use_threads=False)
            if _EPISODE in table.column_names:
                table = table.filter(pc.equal(table[_EPISODE], episode))
            if not table.num_rows:
                raise UnknownNameError(f"{file}: no episode {episode}")
            table.validate(full=True)
            return names, {name: table[name].combine_chunks() for name in table.column_names}
    except EdmpError:
        raise
    # pyarrow's own errors derive from these; it raises them wherever it stumbles over damage.
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise FileFormatError(f"{file}: cannot be read as parquet, or damaged: {str(error)[:300]}") from None


def _matrix(column: Any, place: str) -> Array:
    """A column of lists of one length, or of numbers, (n, m)."""
    import pyarrow as pa

    kind = column.type
    try:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            lengths = {0 if row is None else len(row) for row in column.to_pylist()}
            if len(lengths) != 1 or column.null_count:
                raise FileFormatError(f"{place}: expected lists of one length, got lengths {sorted(lengths)[:5]}")
            flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
            return flat.reshape(len(column), lengths.pop())
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)[:, None]
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise FileFormatError(f"{place}: not numbers: {str(error)[:200]}") from None
    raise FileFormatError(f"{place}: expected numbers or lists of numbers, got {kind}")


def _times(
    arrays: Mapping[str, Array],
    found: Mapping[str, tuple[str, str | None]],
    info: JsonNode | None,
    rate: float | None,
    source: str,
) -> Array:
    rows = len(arrays["positions"])
    if rows < 2:
        raise FileFormatError(f"{source}: {rows} rows; a log has 2 or more")
    if rate is None and "times" in arrays:
        name, unit = found["times"]
        scale = scale_of(unit, "times", source, name)
        return seconds(arrays["times"][:, 0], 1.0 if name == "timestamp" and scale is None else scale, source)
    frames = None if info is None else info.get("fps")
    if rate is None and frames is None:
        raise FileFormatError(f"{source}: says neither times nor the rate of its rows: give rate= (--rate) [Hz]")
    return np.arange(rows) / (rate or frames.number(1e-3, 1e6))  # type: ignore[union-attr]


# --- the data set ----------------------------------------------------------------------------------------------------


def _file_of(path: Path, episode: int) -> Path:
    """The file of an episode."""
    if not path.is_dir():
        return path
    own = sorted(path.glob(f"data/*/episode_{episode:06d}.parquet"))
    if own:
        return own[0]
    files = sorted(path.glob("data/*/file-*.parquet"))
    for file in files:
        if episode in _episodes(file):
            return file
    raise UnknownNameError(f"{path}: no episode {episode} in {len(files)} files under data/")


def _episodes(file: Path) -> set[int]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(f"reading {file} needs pyarrow: pip install 'edmp[logs]'") from error
    try:
        return set(pq.read_table(io.BytesIO(read_bytes(file, "log")), columns=[_EPISODE])[_EPISODE].to_pylist())
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise FileFormatError(f"{file}: cannot be read as parquet, or damaged: {str(error)[:300]}") from None


def _info(path: Path) -> JsonNode | None:
    """``meta/info.json`` of the data set that the file is in; None if there is none."""
    for folder in (path, *path.absolute().parents[:3]):
        if (folder / "meta" / "info.json").is_file():
            return read_json(folder / "meta" / "info.json", "description of a data set")
    return None


def _names(info: JsonNode | None, column: str) -> list[Joint]:
    """What the numbers of a column are called; none if nothing says. ``shoulder_pan.pos`` is ``shoulder_pan``."""
    features = None if info is None else info.get("features")
    feature = None if features is None else features.get(column)
    names = None if feature is None else feature.get("names")
    if names is None:
        return []
    return [text.removesuffix(".pos") for text in _texts(names)]


def _texts(names: JsonNode) -> Iterator[str]:
    """A list, or an object of lists such as ``{"motors": [...]}``."""
    if isinstance(names.value, dict):
        for _, inner in names.items():
            yield from _texts(inner)
    else:
        yield from (name.text() for name in names.entries())
