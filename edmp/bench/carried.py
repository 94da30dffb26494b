"""Tasks of picking and placing, executed in Drake: where the objects end, and what was touched."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edmp.errors import EdmpError, InvalidInputError
from edmp.execution import execute
from edmp.taskfile import load_task

NEAR = 5e-3
"""An object that ends nearer to its place than this is there [m]."""


@dataclass(frozen=True)
class CarriedRow:
    """What became of one task.

    Attributes:
        name: of its file.
        outcome: of the execution; NOT_PLANNED if the file holds no whole task, FAILED if it could not be run at all.
        phase, fault, message: where and why it ended.
        error_m: the farthest that an object is from its place in the end [m]; None if nobody knows.
        turned_rad: the largest angle by which one is turned [rad].
        touched: the first two things that touched and should not have.
        duration_s: of the motion as it was run [s].
        wall_s: wall time of all, judging included [s].
    """

    name: str
    outcome: str
    phase: str
    fault: str
    message: str
    error_m: float | None
    turned_rad: float | None
    touched: tuple[str, str] | None
    duration_s: float
    wall_s: float

    @property
    def good(self) -> bool:
        """The object is at its place, and nothing else was touched."""
        return self.outcome == "REACHED" and self.error_m is not None and self.error_m < NEAR and self.touched is None


def task_files(folder: str | Path) -> list[Path]:
    """The task files of a folder and those below it.

    Raises:
        InvalidInputError: there is none.
    """
    found = sorted(Path(folder).rglob("*.json"))
    found = [path for path in found if path.name != "suite.json"]
    if not found:
        raise InvalidInputError(f"{folder}: no task files (.json) in it; edmp bench pick --plans writes some")
    return found


def run(
    files: Sequence[Path],
    out: str | Path,
    *,
    speed: float = 1.0,
    options: Mapping[str, Any] | None = None,
    on_row: Callable[[CarriedRow], None] = lambda row: None,
) -> list[CarriedRow]:
    """Execute task files in Drake, one line of JSON each.

    Args:
        files: of tasks.
        out: file of the results.
        speed: share of the planned speed.
        options: of the driver ``drake-sim``.
        on_row: called with each row.
    """
    rows: list[CarriedRow] = []
    with Path(out).open("w") as lines:
        for path in files:
            rows.append(execute_task(path, speed=speed, options=options or {}))
            lines.write(json.dumps(asdict(rows[-1]), allow_nan=False) + "\n")
            lines.flush()
            on_row(rows[-1])
    return rows


def execute_task(path: Path, *, speed: float = 1.0, options: Mapping[str, Any]) -> CarriedRow:
    """Execute one task file in Drake, from where it begins, with nothing known of how it will go."""
    begin, plan = time.perf_counter(), load_task(path)
    if not plan.solved:
        return CarriedRow(path.stem, "NOT_PLANNED", plan.failed, "", plan.message, None, None, None, 0.0, 0.0)
    try:
        done: Any = execute(plan, "drake-sim", speed=speed, options=options)
    except EdmpError as error:
        took = time.perf_counter() - begin
        return CarriedRow(path.stem, "FAILED", "", "", str(error), None, None, None, 0.0, took)
    contacts, times = done.recording.contacts, done.recording.times
    return CarriedRow(
        name=path.stem,
        outcome=done.outcome.value,
        phase=done.phase,
        fault=done.violation.fault.value if done.violation else "",
        message=done.message,
        error_m=max((one.error for one in done.objects), default=None),
        turned_rad=max((one.turned for one in done.objects), default=None),
        touched=tuple(contacts[0][1:]) if contacts else None,
        duration_s=float(times[-1] - times[0]) if len(times) else 0.0,
        wall_s=time.perf_counter() - begin,
    )


def summary(rows: Sequence[CarriedRow]) -> list[str]:
    """Lines for a person."""
    planned = [row for row in rows if row.outcome != "NOT_PLANNED"]
    good = sum(row.good for row in planned)
    lines = [f"{good} of {len(planned)} tasks: the object within {1e3 * NEAR:g} mm of its place, nothing else touched"]
    errors = np.array([row.error_m for row in planned if row.outcome == "REACHED" and row.error_m is not None])
    if len(errors):
        quantiles = 1e3 * np.array([np.median(errors), np.quantile(errors, 0.95), errors.max()])
        lines.append("error of its position: median {:.1f} mm, p95 {:.1f} mm, largest {:.1f} mm".format(*quantiles))
        turned = np.degrees(
            [row.turned_rad for row in planned if row.outcome == "REACHED" and row.turned_rad is not None]
        )
        lines.append(f"turned: median {np.median(turned):.1f} degrees, largest {turned.max():.1f} degrees")
    ends = Counter((row.outcome, row.phase, row.fault) for row in planned if not row.good)
    lines += [f"{count} x {' '.join(filter(None, end))}" for end, count in ends.most_common()]
    touched = sum(row.touched is not None for row in planned)
    lines.append(f"{touched} touched what they should not")
    return lines
