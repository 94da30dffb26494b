"""Results on disk: one JSON object a line, one line a problem, flushed as they come."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.bench.problems import BenchProblem
from edmp.planfile import finite_or_none
from edmp.problem import Problem
from edmp.result import PlanResult, Status
from edmp.robots.errors import FileFormatError, InvalidInputError

Record = dict[str, Any]
"""Keys: set, index, planner, robot, gripper_width, seed, options, version, solved, status, message, stage,
time_s [s], timings [s], path [rad], times [s], length_rad, duration_s, min_clearance_m, num_alternatives,
best_known_rad, peak_rss_mb."""

ERROR = "ERROR"
"""Status of a problem on which the planner raised an exception."""

INVALID = frozenset(
    status.value
    for status in (
        Status.START_OUT_OF_LIMITS,
        Status.GOAL_OUT_OF_LIMITS,
        Status.START_IN_COLLISION,
        Status.GOAL_IN_COLLISION,
        Status.START_IN_SELF_COLLISION,
        Status.GOAL_IN_SELF_COLLISION,
        Status.GOAL_UNREACHABLE,
    )
)
"""Statuses that say that the problem itself has no solution."""


def record_of(
    entry: BenchProblem, problem: Problem, planner: str, result: PlanResult, time_s: float, *, seed: int
) -> Record:
    """One line of a results file. ``time_s`` is the wall time that the caller measured [s]."""
    best = result.best
    return {
        **_heading(entry, planner, problem.robot.name, seed),
        "gripper_width": problem.robot.gripper.width if problem.robot.gripper else None,
        "solved": result.solved,
        "status": result.status.value,
        "message": result.message,
        "stage": result.stats.stage.value if result.stats.stage else None,
        "time_s": time_s,
        "timings": {name: float(value) for name, value in result.stats.timings.items()},
        "path": np.asarray(best.path, dtype=np.float64).tolist() if best else None,
        "times": np.asarray(best.trajectory.times, dtype=np.float64).tolist() if best else None,
        "length_rad": float(best.length) if best else None,
        "duration_s": float(best.duration) if best else None,
        "min_clearance_m": finite_or_none(best.min_clearance) if best else None,
        "num_alternatives": len(result.alternatives),
        "best_known_rad": entry.best_known,
        "peak_rss_mb": peak_rss_mb(),
    }


def error_record(
    entry: BenchProblem, planner: str, error: Exception, time_s: float, *, robot: str, seed: int
) -> Record:
    """The line of a problem on which something raised."""
    empty = dict.fromkeys(("stage", "path", "times", "length_rad", "duration_s", "min_clearance_m"))
    return {
        **_heading(entry, planner, robot, seed),
        "solved": False,
        "status": ERROR,
        "message": f"{type(error).__name__}: {error}",
        "time_s": time_s,
        **empty,
        "best_known_rad": entry.best_known,
        "peak_rss_mb": peak_rss_mb(),
    }


def _heading(entry: BenchProblem, planner: str, robot: str, seed: int) -> Record:
    return {
        "set": entry.set,
        "index": entry.index,
        "planner": planner,
        "robot": robot,
        "seed": seed,
        "version": edmp.__version__,
    }


def key_of(record: Record) -> tuple[str, str, int]:
    """What makes a line of a results file unique."""
    return record["planner"], record["set"], record["index"]


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def read_records(path: str | Path) -> list[Record]:
    """The lines of a results file; a last line that was cut off in the middle is left out.

    Raises:
        InvalidInputError: there is no such file.
        FileFormatError: with the line that is not a record.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(f"results: no such file: {path}")
    lines = path.read_bytes().split(b"\n")
    whole, records = lines[:-1], []  # what follows the last newline was never finished
    for number, line in enumerate(whole, start=1):
        try:
            record = json.loads(line)
            key_of(record)
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{path}:{number}: not a line of bench results: {error!r}") from None
        records.append(record)
    return records


class Writer:
    """Appends records to a file, each flushed to disk before the next problem starts."""

    def __init__(self, path: str | Path, *, append: bool) -> None:
        self._path = Path(path)
        if append and self._path.exists():
            _cut_unfinished_line(self._path)
        self._file = self._path.open("a" if append else "w", encoding="utf-8")

    def write(self, record: Record) -> None:
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _cut_unfinished_line(path: Path) -> None:
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def refuse_mixture(records: Iterable[Record], *, robot: str, seed: int, options: dict[str, Any], path: Path) -> None:
    """Refuse to go on with other settings than those of the lines already there."""
    for record in records:
        for name, value in (("robot", robot), ("seed", seed), ("options", options)):
            if record.get(name, value) != value:
                raise InvalidInputError(f"{path} was made with {name} {record[name]}, now {value}; use another file")
