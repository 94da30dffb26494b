"""Logs as tables of text: a line of names, then a line for each time."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpWarning, FileFormatError, unknown_name
from edmp.files.reading import read_text
from edmp.files.writing import written_whole
from edmp.recordings.columns import STD, Column, column_of, log_of, order, seconds, split_unit
from edmp.recordings.log import TABLES, Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

_WRITTEN = {
    "positions": ("position", "rad"),
    "velocities": ("velocity", "rad/s"),
    "torques": ("torque", "Nm"),
    "commanded": ("commanded_position", "rad"),
    "commanded_velocities": ("commanded_velocity", "rad/s"),
}


def read_csv(path: Path, *, robot: Robot | None, columns: Mapping[str, str] | None) -> Log:
    """See `edmp.recordings.read_log`.

    Raises:
        FileFormatError: no such table; says which line or column.
        UnknownNameError: a name in ``columns`` that the file does not have, or that means nothing.
    """
    source = str(path)
    lines = _lines(read_text(path, "log"), source)
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    meaning = _meaning(header, robot, columns, source)
    clocks = [k for k, column in enumerate(meaning) if column is not None and column.table == "times"]
    if not clocks:
        raise FileFormatError(f"{source}: no column of times, such as time[s]; it has {', '.join(header)[:500]}")
    clock = clocks[0]
    cells = [row[clock] for row in rows]
    times = seconds(_times(cells, header[clock], source), meaning[clock].scale, source)  # type: ignore[union-attr]
    return _assembled(rows, header, meaning, times, robot, source)


def _lines(text: str, source: str) -> list[list[str]]:
    """Cells, line by line, all lines alike."""
    head = text.partition("\n")[0]
    counts = {sign: head.count(sign) for sign in ",;\t"}
    sign = max(counts, key=lambda sign: counts[sign])
    try:
        if counts[sign]:
            lines = [(k, row) for k, row in enumerate(csv.reader(io.StringIO(text), delimiter=sign), 1) if row]
        else:
            lines = [(k, row.split()) for k, row in enumerate(text.splitlines(), 1) if row.strip()]
    except csv.Error as error:
        raise FileFormatError(f"{source}: not a table: {error}") from None
    if len(lines) < 3:
        raise FileFormatError(f"{source}: {max(len(lines) - 1, 0)} rows; a log has a line of names and 2 rows or more")
    for number, row in lines:
        if len(row) != len(lines[0][1]):
            raise FileFormatError(f"{source}:{number}: {len(row)} cells; the first line has {len(lines[0][1])}")
    return [row for _, row in lines]


def _meaning(
    header: Sequence[str], robot: Robot | None, columns: Mapping[str, str] | None, source: str
) -> list[Column | None]:
    """What each column holds; what the caller says of one comes first."""
    joints = () if robot is None else robot.joint_names
    plain = [split_unit(name)[0] for name in header]
    found = [column_of(name, joints, source) for name in header]
    for meant, theirs in (columns or {}).items():
        name = theirs if theirs in header else split_unit(theirs)[0]
        if name not in (*header, *plain):
            raise unknown_name(f"column in {source}", theirs, header)
        k = header.index(name) if name in header else plain.index(name)
        found[k] = column_of(theirs if split_unit(theirs)[1] else header[k], joints, source, meant=meant)
        if found[k] is None:
            raise unknown_name(
                "quantity in columns", meant, ("time", *(f"{word}_JOINT" for word, _ in _WRITTEN.values()))
            )
    seen: dict[tuple[str, bool, object], str] = {}
    for name, column in zip(header, found, strict=True):
        if column is not None and column.table != "times":
            before = seen.setdefault((column.table, column.spread, column.joint), name)
            if before != name or header.count(name) > 1:
                raise FileFormatError(
                    f"{source}: columns {before!r} and {name!r}: both are {column.table} of one joint"
                )
    return found


def _times(cells: Sequence[str], name: str, source: str) -> Sequence[int] | Array:
    """Whole numbers as they are, as long as 64 bits hold them."""
    stripped = [cell.strip() for cell in cells]
    if all(cell.isascii() and cell.lstrip("-").isdigit() and len(cell) < 20 for cell in stripped):
        try:
            return [int(cell) for cell in stripped]
        except ValueError:  # such as --1
            pass
    return _numbers(cells, name, source)


def _numbers(cells: Sequence[str], name: str, source: str) -> Array:
    """A column; empty cells are not a number."""
    values = np.empty(len(cells))
    for k, cell in enumerate(cells):
        try:
            values[k] = float(cell) if cell.strip() else np.nan
        except ValueError:
            raise FileFormatError(f"{source}: row {k}: {name}: {cell[:50]!r} is not a number") from None
    return values


def _assembled(
    rows: Sequence[Sequence[str]],
    header: Sequence[str],
    meaning: Sequence[Column | None],
    times: Array,
    robot: Robot | None,
    source: str,
) -> Log:
    places = {(c.table, c.spread, c.joint): k for k, c in enumerate(meaning) if c is not None and c.table != "times"}
    measured = [joint for table, spread, joint in places if table == "positions" and not spread]
    if not measured:
        raise FileFormatError(
            f"{source}: no column of positions, such as position_JOINT[rad] or q0; it has {', '.join(header)[:500]}"
        )
    names, tokens = order(measured, robot, source, "positions")
    if unused := [n for n, c in zip(header, meaning, strict=True) if c is None or c.joint not in (*measured, "")]:
        warnings.warn(f"{source}: columns not read: {', '.join(unused)[:500]}", EdmpWarning, stacklevel=4)
    tables: dict[tuple[str, bool], Array] = {}
    for table, spread in sorted({(table, spread) for table, spread, _ in places}):
        there = [joint for joint in tokens if (table, spread, joint) in places]
        if not there:
            continue
        if missing := [str(joint) for joint in tokens if joint not in there]:
            raise FileFormatError(f"{source}: {table} of some joints only: none of {', '.join(missing)}")
        values = []
        for joint in tokens:
            k = places[table, spread, joint]
            scale = meaning[k].scale  # type: ignore[union-attr]
            values.append(_numbers([row[k] for row in rows], header[k], source) * (1.0 if scale is None else scale))
        tables[table, spread] = np.stack(values, axis=1)
    said = all(meaning[places["positions", False, joint]].scale is not None for joint in tokens)  # type: ignore[union-attr]
    plain = {table: values for (table, spread), values in tables.items() if not spread}
    spreads = {table: values for (table, spread), values in tables.items() if spread}
    return log_of(source, times, plain, names, robot=robot, spread=spreads, unit_said=said)


def write_csv(path: Path, log: Log) -> None:
    """A log as `read_csv` reads it, whole or not at all; the units of sliding joints are [m] where [rad] is written."""
    titles, values = ["time[s]"], [log.times]
    for table in TABLES:
        word, unit = _WRITTEN[table]
        for held, ending in ((getattr(log, table), ""), (log.spread.get(table), STD)):
            if held is not None:
                titles += [f"{word}{ending}_{joint}[{unit}]" for joint in log.joint_names]
                values += [*held.T]
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(titles)
        writer.writerows([f"{number:.10g}" for number in row] for row in np.stack(values, axis=1))
