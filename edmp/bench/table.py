"""Summaries of results: one row a set and planner, one for all sets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edmp.bench.records import INVALID, Record
from edmp.result import Stage

ALL_SETS = "all"


@dataclass(frozen=True)
class Summary:
    """What a row of the table says. Times are wall times of one plan, warm; means are over solved problems.

    Attributes:
        planner, set: whose and where.
        solved: problems solved.
        valid: problems that the planner did not declare to have no solution (start or goal out of limits, ...).
        invalid: the others.
        time_median, time_mean, time_p95, time_max: over valid problems, solved or not [s].
        length: mean joint path length [rad].
        length_ratio: sum of the lengths through the sum of the best known ones, where these are known [1].
        duration: mean [s].
        clearance: median over problems of the smallest clearance along the path [m].
        stages: solved problems by the stage that solved them.
        peak_rss_mb: largest resident memory [MB].
    """

    planner: str
    set: str
    solved: int
    valid: int
    invalid: int
    time_median: float
    time_mean: float
    time_p95: float
    time_max: float
    length: float
    length_ratio: float
    duration: float
    clearance: float
    stages: dict[str, int]
    peak_rss_mb: float

    @property
    def success(self) -> float:
        """Solved part of the valid problems [%]."""
        return 100.0 * self.solved / self.valid if self.valid else math.nan


def summarise(records: Sequence[Record]) -> list[Summary]:
    """By planner and set, each planner's sets followed by all of them together."""
    rows = []
    for planner in dict.fromkeys(record["planner"] for record in records):
        mine = [record for record in records if record["planner"] == planner]
        sets = sorted({record["set"] for record in mine})
        rows += [_summary(planner, name, [r for r in mine if r["set"] == name]) for name in sets]
        if len(sets) > 1:
            rows.append(_summary(planner, ALL_SETS, mine))
    return rows


def _summary(planner: str, name: str, records: Sequence[Record]) -> Summary:
    valid = [record for record in records if record["status"] not in INVALID]
    solved = [record for record in valid if record["solved"]]
    times = np.array([record["time_s"] for record in valid] or [math.nan])
    compared = [record for record in solved if record.get("best_known_rad")]
    best = sum(record["best_known_rad"] for record in compared)
    return Summary(
        planner=planner,
        set=name,
        solved=len(solved),
        valid=len(valid),
        invalid=len(records) - len(valid),
        time_median=float(np.median(times)),
        time_mean=float(times.mean()),
        time_p95=float(np.percentile(times, 95)),
        time_max=float(times.max()),
        length=_mean([record["length_rad"] for record in solved]),
        length_ratio=sum(record["length_rad"] for record in compared) / best if compared else math.nan,
        duration=_mean([record["duration_s"] for record in solved]),
        clearance=_median([r["min_clearance_m"] for r in solved if r["min_clearance_m"] is not None]),
        stages=dict(Counter(record["stage"] or "?" for record in solved)),
        peak_rss_mb=max((r["peak_rss_mb"] for r in records if r["peak_rss_mb"] is not None), default=math.nan),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan


STAGES = tuple(stage.value for stage in Stage)

HEADINGS = (
    "planner",
    "set",
    "solved",
    "%",
    "median [s]",
    "mean [s]",
    "p95 [s]",
    "max [s]",
    "length [rad]",
    "ratio",
    "duration [s]",
    "clearance [mm]",
    "stages",
    "RSS [MB]",
)


def cells(row: Summary) -> tuple[str, ...]:
    """The row as text, in the order of `HEADINGS`."""
    invalid = f" (+{row.invalid} invalid)" if row.invalid else ""
    return (
        row.planner,
        row.set,
        f"{row.solved}/{row.valid}{invalid}",
        _number(row.success, 1),
        *(_number(value, 3) for value in (row.time_median, row.time_mean, row.time_p95, row.time_max)),
        _number(row.length, 2),
        _number(row.length_ratio, 3),
        _number(row.duration, 2),
        _number(row.clearance * 1e3, 1),
        "/".join(str(row.stages.get(name, 0)) for name in STAGES),
        _number(row.peak_rss_mb, 0),
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def report(records: Sequence[Record]) -> Group:
    """The table and, below it, the unsolved problems with their causes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("planner", "set", "stages") else "right", no_wrap=True)
    for row in summarise(records):
        table.add_row(*cells(row), style="bold" if row.set == ALL_SETS else "")
    notes = Text(
        "% of valid problems solved; times over valid problems, warm; ratio: sum of lengths / sum of best known ones; "
        f"clearance: median of the proved minima; stages: solved by {'/'.join(STAGES)}."
    )
    return Group(table, notes, *_failures(records))


def _failures(records: Sequence[Record]) -> list[Text]:
    lines = [
        Text(f"{r['planner']} {r['set']}/{r['index']}: {r['status']}: {r['message']}")
        for r in records
        if not r["solved"]
    ]
    return [Text(f"\nNot solved ({len(lines)}):"), *lines] if lines else []


def markdown(records: Sequence[Record]) -> str:
    """The same table in Markdown, for a README."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in summarise(records)]
    return "\n".join(lines)
