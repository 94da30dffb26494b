"""Summaries of results: one row a set and planner, one for all sets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edmp.bench.records import Record
from edmp.bench.sight import SHAPES
from edmp.bench.statistics import (
    DEADLINES,
    ProblemKey,
    best_known,
    by_planner,
    checked_deadlines,
    invalid_problems,
    share_within,
    wilson,
)
from edmp.result import Stage

ALL_SETS = "all"


@dataclass(frozen=True)
class TableRow:
    """What a row of the table says. Times are wall times of one plan, warm; what is NaN is not known.

    Attributes:
        planner, set: whose and where.
        solved: problems solved, certified by the judge.
        valid: problems, without those that a planner says have no solution (start or goal out of limits, ...) and that
            none was certified to solve.
        invalid: the others.
        interval: 95 % confidence interval of the success rate (Wilson) [%].
        coarse: solved part of the valid problems by the criterion of Motion Policy Networks [%].
        refuted: claimed paths that the judge refuted.
        time_median, time_mean, time_p95, time_max: over valid problems, solved or not [s].
        ready_median: of solved problems, until there is a motion both judged and timed, by the planner or by us [s].
        length: mean joint path length of solved problems [rad].
        length_ratio: sum of the lengths through the sum of the best known ones, where these are known [1].
        duration: mean of solved problems [s].
        clearance: median over solved problems of the smallest clearance along the path [m].
        sparc: median of solved problems, see `edmp.bench.metrics` [1].
        rms_jerk: median of solved problems [rad/s^3].
        stages: solved problems by the stage that solved them.
        peak_rss_mb: largest resident memory [MB].
    """

    planner: str
    set: str
    solved: int
    valid: int
    invalid: int
    interval: tuple[float, float]
    coarse: float
    refuted: int
    time_median: float
    time_mean: float
    time_p95: float
    time_max: float
    ready_median: float
    length: float
    length_ratio: float
    duration: float
    clearance: float
    sparc: float
    rms_jerk: float
    stages: dict[str, int]
    peak_rss_mb: float

    @property
    def success(self) -> float:
        """Solved part of the valid problems [%]."""
        return 100.0 * self.solved / self.valid if self.valid else math.nan


def summarise(records: Sequence[Record]) -> list[TableRow]:
    """By planner and set, each planner's sets followed by all of them together."""
    rows = []
    invalid = invalid_problems(records)
    best = best_known(records).lengths
    for planner, mine in by_planner(records).items():
        sets = sorted({record.set for record in mine})
        rows += [_summary(planner, name, [r for r in mine if r.set == name], invalid, best) for name in sets]
        if len(sets) > 1:
            rows.append(_summary(planner, ALL_SETS, mine, invalid, best))
    return rows


def _summary(
    planner: str,
    name: str,
    records: Sequence[Record],
    no_solution: Collection[ProblemKey],
    best: Mapping[ProblemKey, float],
) -> TableRow:
    valid = [record for record in records if record.problem not in no_solution]
    solved = [record for record in valid if record.solved]
    times = np.array(_known(valid, "time_s") or [math.nan])
    compared = [record for record in solved if record.problem in best and record.length_rad is not None]
    known = sum(best[record.problem] for record in compared)
    low, high = wilson(len(solved), len(valid))
    coarse = _known(valid, "coarse_solved")
    return TableRow(
        planner=planner,
        set=name,
        solved=len(solved),
        valid=len(valid),
        invalid=len(records) - len(valid),
        interval=(100.0 * low, 100.0 * high),
        coarse=100.0 * sum(coarse) / len(coarse) if coarse else math.nan,
        refuted=sum(record.refuted is not None for record in records),
        time_median=float(np.median(times)),
        time_mean=float(times.mean()),
        time_p95=float(np.percentile(times, 95)),
        time_max=float(times.max()),
        ready_median=_median(_known(solved, "ready_s")),
        length=_mean(_known(solved, "length_rad")),
        length_ratio=sum(_known(compared, "length_rad")) / known if compared else math.nan,
        duration=_mean(_known(solved, "duration_s")),
        clearance=_median(_known(solved, "min_clearance_m")),
        sparc=_median(_known(solved, "sparc")),
        rms_jerk=_median(_known(solved, "rms_jerk")),
        stages=dict(Counter(record.stage or "?" for record in solved)),
        peak_rss_mb=max(_known(records, "peak_rss_mb"), default=math.nan),
    )


def _known(records: Sequence[Record], key: str) -> list[float]:
    return [value for record in records if (value := getattr(record, key)) is not None]


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
    "ready [s]",
    "length [rad]",
    "ratio",
    "duration [s]",
    "clearance [mm]",
    "stages",
    "RSS [MB]",
)


def cells(row: TableRow) -> tuple[str, ...]:
    """The row as text, in the order of `HEADINGS`."""
    invalid = f" (+{row.invalid} invalid)" if row.invalid else ""
    return (
        row.planner,
        row.set,
        f"{row.solved}/{row.valid}{invalid}",
        number(row.success, 1),
        *(number(value, 3) for value in (row.time_median, row.time_mean, row.time_p95, row.time_max, row.ready_median)),
        number(row.length, 2),
        number(row.length_ratio, 3),
        number(row.duration, 2),
        number(row.clearance * 1e3, 1),
        "/".join(str(row.stages.get(name, 0)) for name in STAGES),
        number(row.peak_rss_mb, 0),
    )


def number(value: float, digits: int) -> str:
    """Fixed point; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def report(records: Sequence[Record], deadlines: Sequence[float] = DEADLINES) -> Group:
    """The table and, below it, success within deadlines [s], and the unsolved problems with their causes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in HEADINGS:
        justify: Literal["left", "right"] = "left" if heading in ("planner", "set", "stages") else "right"
        # In a narrow window names are folded, so that numbers stay whole.
        table.add_column(heading, justify=justify, no_wrap=heading not in ("planner", "set"), overflow="fold")
    for row in summarise(records):
        table.add_row(*cells(row), style="bold" if row.set == ALL_SETS else "")
    notes = Text(
        "% of valid problems solved; times over valid problems, warm; ready: median until judged and timed; "
        "ratio: sum of lengths / sum of best known ones; "
        f"clearance: median of the proved minima; stages: solved by {'/'.join(STAGES)}."
    )
    return Group(
        table, notes, *_within(records, deadlines), *_constrained(records), *_seen(records), *_failures(records)
    )


WITHIN_NOTE = (
    "Valid problems solved within a deadline [%]: one run of each plan, and the time until its first answer is "
    "certified and timed decides."
)


def within_headings(deadlines: Sequence[float] = DEADLINES) -> tuple[str, ...]:
    """Of the table of success within deadlines [s]."""
    return ("planner", "set", "problems", *(f"{deadline:g} s" for deadline in checked_deadlines(deadlines)), "ever")


def within_rows(records: Sequence[Record], deadlines: Sequence[float] = DEADLINES) -> list[tuple[str, ...]]:
    """A row a planner and set, in the order of `within_headings`: success within each deadline, and at all [%].

    One run of a plan tells for all deadlines: when its first answer was certified and timed. It is not that the plan
    was told to be done by then.

    Raises:
        InvalidInputError: a deadline that is no time.
    """
    deadlines, invalid = checked_deadlines(deadlines), invalid_problems(records)
    rows = []
    for planner, all_of_them in by_planner(records).items():
        valid = [record for record in all_of_them if record.problem not in invalid]
        sets = sorted({record.set for record in all_of_them})
        for name in [*sets, *[ALL_SETS] * (len(sets) > 1)]:
            mine = [record for record in valid if name in (record.set, ALL_SETS)]
            shares = [share_within(mine, deadline) for deadline in (*deadlines, math.inf)]
            rows.append((planner, name, str(len(mine)), *(number(100.0 * share, 1) for share in shares)))
    return rows


def within_markdown(records: Sequence[Record], deadlines: Sequence[float] = DEADLINES) -> str:
    """`within_rows` in Markdown."""
    return _as_markdown(within_headings(deadlines), within_rows(records, deadlines))


def _within(records: Sequence[Record], deadlines: Sequence[float]) -> list[Table | Text]:
    return [*_smaller_table(within_headings(deadlines), within_rows(records, deadlines)), Text(WITHIN_NOTE)]


CONSTRAINED_HEADINGS = ("planner", "set", "solved", "%", "ready median [s]", "ready p95 [s]", "refuted", "broken")


CONSTRAINED_NOTE = (
    "With constraints, all problems; ready: until judged and timed, unsolved as never; refuted: claims that the judge "
    "refuted; broken: motions that it certified and in which a look every 1 mrad finds a constraint broken."
)


def constrained_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A row a planner and set of the problems with constraints, in the order of `CONSTRAINED_HEADINGS`.

    All problems count, also those of which a planner says that they have no solution. Times are until a motion is
    judged and timed, one that is not solved counting as never. ``refuted`` are claims that the judge refuted,
    ``broken`` the motions believed in which the dumb checker found a constraint broken.
    """
    asked = [record for record in records if record.num_constraints]
    rows = []
    for row in summarise(asked):
        mine = [r for r in asked if r.planner == row.planner and row.set in (r.set, ALL_SETS)]
        ready = np.sort([r.ready_s if r.solved and r.ready_s is not None else math.inf for r in mine])
        median, p95 = ((ready[math.ceil(share * len(ready)) - 1] if len(ready) else math.nan) for share in (0.5, 0.95))
        times = ("never" if math.isinf(value) else number(value, 3) for value in (median, p95))
        broken = sum(bool(r.breaches) for r in mine)
        solved = sum(r.solved for r in mine)
        success = (f"{solved}/{len(mine)}", number(100.0 * solved / len(mine), 1))
        rows.append((row.planner, row.set, *success, *times, str(row.refuted), str(broken)))
    return rows


def constrained_markdown(records: Sequence[Record]) -> str:
    """`constrained_rows` in Markdown."""
    return _as_markdown(CONSTRAINED_HEADINGS, constrained_rows(records))


def _constrained(records: Sequence[Record]) -> list[Table | Text]:
    rows = constrained_rows(records)
    return [*_smaller_table(CONSTRAINED_HEADINGS, rows), Text(CONSTRAINED_NOTE)] if rows else []


def _smaller_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Table | Text]:
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for row in rows:
        table.add_row(*row, style="bold" if row[1] == ALL_SETS else "")
    return [table]


SEEN_HEADINGS = (
    "planner",
    "set",
    "solved",
    "%",
    "unseen [%]",
    "untrue",
    "median [s]",
    "of shapes [s]",
    "times as long",
)

SEEN_NOTE = (
    "Seen otherwise than as shapes; unseen: mean share of the space that cameras did not see; untrue: motions that the "
    "judge believed there, and refutes among the true shapes; medians of the problems that both have tried, solved or "
    "not, and of the same planner as shapes."
)


def seen_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """A row a planner, that saw problems otherwise than as shapes, and set, in the order of `SEEN_HEADINGS`.

    What is valid is as in `summarise`: also a problem of which it says that it has no solution as it is seen, if a
    planner solved it.
    """
    times = {record.key: record.time_s for record in records if record.time_s is not None}
    rows: list[tuple[str, ...]] = []
    for row in summarise(records):
        mine = [r for r in records if r.planner == row.planner and row.set in (r.set, ALL_SETS)]
        if not mine or mine[0].sight in (None, SHAPES):
            continue
        plain = row.planner.removesuffix(f" as {mine[0].sight}")
        pairs = [(times[r.key], times[plain, *r.problem]) for r in mine if {r.key, (plain, *r.problem)} <= times.keys()]
        here, there = (_median([pair[i] for pair in pairs]) for i in (0, 1))
        unseen = number(100.0 * _mean(_known(mine, "unseen_share")), 1)
        untrue = str(sum(r.untrue is not None for r in mine))
        success = (f"{row.solved}/{row.valid}", number(row.success, 1))
        rows.append(
            (row.planner, row.set, *success, unseen, untrue, number(here, 3), number(there, 3), number(here / there, 2))
        )
    return rows


def _seen(records: Sequence[Record]) -> list[Table | Text]:
    rows = seen_rows(records)
    if not rows:
        return []
    lines = [Text(f"{r.planner} {r.set}/{r.index}: untrue: {r.untrue}") for r in records if r.untrue is not None]
    return [*_smaller_table(SEEN_HEADINGS, rows), Text(SEEN_NOTE), *lines]


def _failures(records: Sequence[Record]) -> list[Text]:
    lines = [Text(f"{r.planner} {r.set}/{r.index}: {r.status}: {r.message}") for r in records if not r.solved]
    return [Text(f"\nNot solved ({len(lines)}):"), *lines] if lines else []


def markdown(records: Sequence[Record]) -> str:
    """The same table in Markdown, for a README."""
    return _as_markdown(HEADINGS, [cells(row) for row in summarise(records)])


def _as_markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
