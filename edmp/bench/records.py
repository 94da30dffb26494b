"""Results on disk: one JSON object a line, flushed as they come: one line a problem and planner, one for each run."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.baselines.base import Claim
from edmp.bench.examine import Examination
from edmp.bench.planners import PlannerSpec
from edmp.bench.problems import BenchProblem
from edmp.planfile import finite_or_none
from edmp.problem import Problem
from edmp.result import Status
from edmp.robots.errors import FileFormatError, InvalidInputError

Record = dict[str, Any]
"""One line of results; `blank_record` lists the keys and says what they mean."""

Run = dict[str, Any]
"""What is known of one run; `edmp.bench.provenance.describe_run` lists the keys."""

REFUTED = "REFUTED"
"""Status of a problem whose claimed path the judge found wanting."""

ERROR, CRASHED, HUNG = "ERROR", "CRASHED", "HUNG"
"""Statuses of problems on which the planner raised an exception, took its process down, or never came back."""

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


def blank_record(entry: BenchProblem, spec: PlannerSpec, *, robot: str, seed: int) -> Record:
    """A line with every key, before anything is known."""
    return {
        # which plan
        "set": entry.set,
        "index": entry.index,
        "planner": spec.text,
        "robot": robot,
        "gripper_width": None,  # [m]
        "seed": seed,
        "options": dict(spec.options),  # those that the spec chose
        "version": edmp.__version__,
        # what came of it
        "claimed": False,  # the planner said SOLVED
        "solved": False,  # and the judge found nothing wrong
        "refuted": None,  # what the judge found wrong
        "status": ERROR,  # the planner's, or one of REFUTED, ERROR, CRASHED, HUNG
        "message": "",
        "stage": None,  # of edmp
        "time_s": None,  # wall time of the plan [s]
        "timings": {},  # by part [s]
        "judge_s": None,  # wall time of the harness's judge, not in time_s [s]
        "ready_s": None,  # time_s, with judging and timing here where the planner does not do it itself [s]
        # the motion
        "path": None,  # (n, dof) [rad]
        "times": None,  # (m,) of the timed motion's samples [s]
        "length_rad": None,
        "duration_s": None,
        "min_clearance_m": None,  # None also without obstacles
        "sparc": None,
        "rms_jerk": None,  # [rad/s^3]
        "max_jerk": None,  # of any joint [rad/s^3]
        "coarse_solved": False,
        "num_alternatives": 0,
        # the problem and the process
        "num_obstacles": None,
        "best_known_rad": entry.best_known,
        "peak_rss_mb": None,
    }


def add_problem(record: Record, problem: Problem) -> None:
    """Write down what is known of a problem once it is read."""
    record["robot"] = problem.robot.name
    record["gripper_width"] = problem.robot.gripper.width if problem.robot.gripper else None
    record["num_obstacles"] = len(problem.scene.obstacles)


def add_claim(record: Record, claim: Claim) -> None:
    """Write down what the planner said."""
    record["claimed"] = claim.status is Status.SOLVED
    record["status"] = claim.status.value
    record["message"] = claim.message
    record["stage"] = claim.stage.value if claim.stage else None
    record["timings"] = {name: float(value) for name, value in claim.timings.items()}
    record["num_alternatives"] = claim.num_alternatives
    if record["claimed"] and claim.path is not None:
        path = np.asarray(claim.path, dtype=np.float64)
        record["path"] = path.tolist() if np.isfinite(path).all() else None


def add_examination(record: Record, found: Examination) -> None:
    """Write down what was found about the claim."""
    record["refuted"] = found.refuted
    record["solved"] = record["claimed"] and found.refuted is None
    if found.refuted is not None:
        record["status"], record["message"] = REFUTED, found.refuted
    record["judge_s"] = found.judge_s if record["claimed"] else None
    if record["solved"] and record["time_s"] is not None:
        ours = 0.0 if found.timing_s is None else found.judge_s + found.timing_s
        record["ready_s"] = record["time_s"] + ours
    record["times"] = found.trajectory.times.tolist() if found.trajectory else None
    record["duration_s"] = found.duration
    record["length_rad"] = found.length
    record["min_clearance_m"] = finite_or_none(found.min_clearance)
    record["sparc"], record["rms_jerk"], record["max_jerk"] = found.sparc, found.rms_jerk, found.max_jerk
    record["coarse_solved"] = found.coarse_solved


def key_of(record: Record) -> tuple[str, str, int]:
    """What makes a line of a results file unique."""
    return record["planner"], record["set"], record["index"]


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


# --- reading ---------------------------------------------------------------------------------------------------------

_ABSENT: Record = {
    "robot": None,
    "seed": None,
    "options": {},
    "version": None,
    "refuted": None,
    "status": "",
    "message": "",
    "stage": None,
    "time_s": None,
    "timings": {},
    "judge_s": None,
    "ready_s": None,
    "length_rad": None,
    "duration_s": None,
    "min_clearance_m": None,
    "num_alternatives": 0,
    "num_obstacles": None,
    "gripper_width": None,
    "sparc": None,
    "rms_jerk": None,
    "max_jerk": None,
    "coarse_solved": None,  # not known; new lines say true or false
    "best_known_rad": None,
    "peak_rss_mb": None,
}
"""What lines of older files, and of baselines for `edmp.bench.compare`, leave out."""


def read_records(path: str | Path) -> list[Record]:
    """The results in a file, keys that an older file does not have filled in; a last line cut off is left out.

    Raises:
        InvalidInputError: there is no such file.
        FileFormatError: with the line that is not a record.
    """
    return [{**_ABSENT, "claimed": line["solved"], **line} for line in _lines(path) if "run" not in line]


def read_runs(path: str | Path) -> list[Run]:
    """What is known of the runs that made a file, in order; none in older files. Raises as `read_records`."""
    return [line["run"] for line in _lines(path) if "run" in line]


def _lines(path: str | Path) -> Iterator[dict[str, Any]]:
    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(f"results: no such file: {path}")
    whole = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was never finished
    for number, text in enumerate(whole, start=1):
        try:
            line = json.loads(text)
            if "run" not in line:
                key_of(line), line["solved"]
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{path}:{number}: not a line of bench results: {error!r}") from None
        yield line


# --- writing ---------------------------------------------------------------------------------------------------------


class Writer:
    """Appends lines to a file, each flushed to disk before the next problem starts."""

    def __init__(self, path: str | Path, *, append: bool) -> None:
        self._path = Path(path)
        if append and self._path.exists():
            _cut_unfinished_line(self._path)
        self._file = self._path.open("a" if append else "w", encoding="utf-8")

    def write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
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
