"""From results to the sections of a report, and to files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from edmp.bench.records import REFUTED, Record
from edmp.bench.report import figures
from edmp.bench.report.content import Block, Paragraph, Picture, Report, Section, Table
from edmp.bench.report.definitions import METRICS
from edmp.bench.report.html import as_html
from edmp.bench.report.markdown import as_markdown
from edmp.bench.report.sources import Results
from edmp.bench.report.style import MAX_PLANNERS, Look, looks, png
from edmp.bench.statistics import (
    DEADLINES,
    Array,
    best_known,
    by_planner,
    geometric_mean,
    invalid_problems,
    pairs,
    seed_series,
)
from edmp.bench.table import (
    ALL_SETS,
    CONSTRAINED_HEADINGS,
    CONSTRAINED_NOTE,
    SEEN_HEADINGS,
    SEEN_NOTE,
    STAGES,
    WITHIN_NOTE,
    TableRow,
    constrained_rows,
    number,
    seen_rows,
    summarise,
    within_headings,
    within_rows,
)
from edmp.errors import InvalidInputError
from edmp.files.writing import written_whole

ALL_PAIRS = 8
"""Up to so many planners are compared each with each, more only with the first."""

MAX_FAILURES = 500
"""Failures that are listed one by one."""


def write_report(results: Results, folder: str | Path, deadlines: Sequence[float] = DEADLINES) -> list[Path]:
    """Write ``index.html``, which stands alone, and ``report.md`` with its figures into a folder, made if missing.

    Args:
        results: what to report on.
        folder: where to.
        deadlines: success within these is told [s].

    Returns:
        The files.

    Raises:
        InvalidInputError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out: cannot make folder {folder}: {error.strerror or error}") from error
    report = build(results, deadlines)
    contents = {f"{picture.name}.png": png(picture.figure) for picture in report.pictures}
    contents |= {"report.md": as_markdown(report).encode(), "index.html": as_html(report).encode()}
    for name, content in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(content)
    return [folder / name for name in contents]


def build(results: Results, deadlines: Sequence[float] = DEADLINES) -> Report:
    """The report on some results, with success within deadlines [s]."""
    records = results.records
    summaries = summarise(records)
    planners = looks(by_planner(records))
    drawn = dict(list(planners.items())[:MAX_PLANNERS])
    invalid = invalid_problems(records)
    valid = [record for record in records if record.problem not in invalid]
    groups = by_planner(valid)
    problems = len({record.problem for record in records})
    robots = sorted({record.robot for record in records if record.robot})
    title = f"{len(planners)} planner{'s' * (len(planners) > 1)}, {problems} problems" + "".join(
        f", {robot}" for robot in robots
    )
    sections = [
        _overview(results, summaries, groups, drawn, len(planners), deadlines),
        _success(summaries, drawn),
        _within(records, groups, drawn, deadlines),
        _constrained(records),
        _seen(records),
        _time(summaries, groups, drawn),
        _length(records, summaries, groups, drawn),
        _seeds(results),
        _pairs(records),
        _failures(records),
        _runs(results),
        _definitions(),
    ]
    return Report(title, [section for section in sections if section is not None])


# --- sections --------------------------------------------------------------------------------------------------------


def _overview(
    results: Results,
    summaries: Sequence[TableRow],
    groups: Mapping[str, Sequence[Record]],
    drawn: Mapping[str, Look],
    count: int,
    deadlines: Sequence[float],
) -> Section:
    headings = (
        "planner", "solved", "success [%]", "95 % interval [%]", "time median [s]", "p95 [s]", "ready [s]",
        "length ratio", "duration [s]", "clearance [mm]", "refuted",
    )  # fmt: skip
    rows = [
        (
            row.planner, _solved(row), number(row.success, 1), _interval(row), number(row.time_median, 3),
            number(row.time_p95, 3), number(row.ready_median, 3), number(row.length_ratio, 3), number(row.duration, 2),
            number(1e3 * row.clearance, 1), str(row.refuted),
        )
        for row in _overall(summaries)
    ]  # fmt: skip
    blocks: list[Block] = [Paragraph(_provenance(results)), Table(headings, rows)]
    if count > len(drawn):
        blocks.append(Paragraph(f"Figures show the first {len(drawn)} of the {count} planners; tables show all."))
    caption = (
        "Share of all valid problems for which a certified and timed motion is there within a time. Higher and further "
        "left is better; a curve ends at the planner's success. Upright lines are the deadlines of the table below."
    )
    if any(record.time_s for group in groups.values() for record in group):
        figure = figures.solved_over_time({ALL_SETS: groups}, drawn, deadlines)
        blocks.append(Picture("solved-over-time", caption, figure))
    return Section("Overview", blocks)


def _provenance(results: Results) -> str:
    """One sentence on where the numbers come from."""
    dates = sorted(run.date[:10] for _, run in results.runs if run.date)
    machines = sorted({f"{run.cpu or 'unknown CPU'}, {run.cores or '?'} cores" for _, run in results.runs})
    seeds = sorted({record.seed for record in results.records if record.seed is not None})
    versions = sorted({record.version for record in results.records if record.version})
    parts = [
        f"Measured {dates[0] if dates[0] == dates[-1] else f'{dates[0]} to {dates[-1]}'}" if dates else "Undated",
        f"on {' and '.join(machines)}" if machines else "on a machine that the files do not name",
    ]
    details = [f"edmp {' and '.join(versions)}"] * bool(versions)
    details += [f"seed {', '.join(map(str, seeds))}"] * bool(seeds)
    return " ".join(parts) + "".join(f"; {detail}" for detail in details) + "."


def _success(summaries: Sequence[TableRow], drawn: Mapping[str, Look]) -> Section:
    headings = (
        "planner", "set", "solved", "success [%]", "95 % interval [%]", "coarse success [%]", "refuted", "stages",
    )  # fmt: skip
    rows = [
        (
            row.planner, row.set, _solved(row), number(row.success, 1), _interval(row), number(row.coarse, 1),
            str(row.refuted), "/".join(str(row.stages.get(name, 0)) for name in STAGES) if _staged(row) else "-",
        )
        for row in summaries
    ]  # fmt: skip
    blocks: list[Block] = [Table(headings, rows, left=2, strong=_totals(summaries))]
    if any(row.valid for row in summaries if row.planner in drawn):
        caption = "Success by set. Bars are 95 % confidence intervals."
        blocks.append(Picture("success-by-set", caption, figures.success_by_set(summaries, drawn)))
    return Section("Success", blocks)


def _within(
    records: Sequence[Record],
    groups: Mapping[str, Sequence[Record]],
    drawn: Mapping[str, Look],
    deadlines: Sequence[float],
) -> Section:
    rows = within_rows(records, deadlines)
    totals = frozenset(i for i, row in enumerate(rows) if row[1] == ALL_SETS)
    blocks: list[Block] = [Paragraph(WITHIN_NOTE), Table(within_headings(deadlines), rows, left=2, strong=totals)]
    timed = [record for planner in drawn for record in groups.get(planner, ()) if record.time_s]
    sets = sorted({record.set for record in timed})
    if len(sets) > 1:
        by_set = {name: by_planner([r for r in timed if r.set == name]) for name in sets}
        figure = figures.solved_over_time(by_set, drawn, deadlines)
        blocks.append(
            Picture("solved-over-time-by-set", "Share of the problems of a set solved within a time.", figure)
        )
    return Section("Success within a deadline", blocks)


def _constrained(records: Sequence[Record]) -> Section | None:
    rows = constrained_rows(records)
    totals = frozenset(i for i, row in enumerate(rows) if row[1] == ALL_SETS)
    table = Table(CONSTRAINED_HEADINGS, rows, left=2, strong=totals)
    return Section("With constraints", [Paragraph(CONSTRAINED_NOTE), table]) if rows else None


def _seen(records: Sequence[Record]) -> Section | None:
    rows = seen_rows(records)
    totals = frozenset(i for i, row in enumerate(rows) if row[1] == ALL_SETS)
    table = Table(SEEN_HEADINGS, rows, left=2, strong=totals)
    return Section("Seen otherwise than as shapes", [Paragraph(SEEN_NOTE), table]) if rows else None


def _time(summaries: Sequence[TableRow], groups: Mapping[str, Sequence[Record]], drawn: Mapping[str, Look]) -> Section:
    headings = ("planner", "set", "median [s]", "mean [s]", "p95 [s]", "max [s]", "ready [s]", "memory [MB]")
    rows = [
        (
            row.planner, row.set,
            *(number(value, 3) for value in (row.time_median, row.time_mean, row.time_p95, row.time_max)),
            number(row.ready_median, 3),
            number(row.peak_rss_mb, 0),
        )
        for row in summaries
    ]  # fmt: skip
    blocks: list[Block] = [Table(headings, rows, left=2, strong=_totals(summaries))]
    timed = [record for planner in drawn for record in groups.get(planner, ()) if record.time_s]
    if len({record.num_obstacles for record in timed if figures.is_placed(record)}) > 1:
        caption = "Time over the number of obstacles: medians of groups of valid problems, solved or not."
        if len(drawn) <= figures.MAX_BANDS:
            caption += " Bands span the quartiles."
        figure = figures.time_over_obstacles(groups, drawn)
        blocks.append(Picture("time-over-obstacles", caption, figure))
    return Section("Time", blocks)


def _length(
    records: Sequence[Record],
    summaries: Sequence[TableRow],
    groups: Mapping[str, Sequence[Record]],
    drawn: Mapping[str, Look],
) -> Section:
    headings = (
        "planner", "set", "length [rad]", "length ratio", "duration [s]", "clearance [mm]", "SPARC",
        "rms jerk [rad/s^3]",
    )  # fmt: skip
    rows = [
        (
            row.planner, row.set, number(row.length, 2), number(row.length_ratio, 3), number(row.duration, 2),
            number(1e3 * row.clearance, 1), number(row.sparc, 2), number(row.rms_jerk, 1),
        )
        for row in summaries
    ]  # fmt: skip
    best = best_known(records)
    origin = [f"given with {best.given} problems"] * bool(best.given)
    origin += [f"for {best.found} problems the shortest certified path of any planner here"] * bool(best.found)
    text = f"Best known lengths: {'; '.join(origin)}." if origin else "No best known lengths: nothing to compare with."
    text += " Each planner is measured on the problems that it solves itself; pairs, below, on those that both solve."
    blocks: list[Block] = [Table(headings, rows, left=2, strong=_totals(summaries)), Paragraph(text)]
    ratios: dict[str, Array] = {
        planner: np.array(
            [
                r.length_rad / best.lengths[r.problem]
                for r in group
                if r.solved and r.length_rad is not None and r.problem in best.lengths
            ]
        )
        for planner, group in groups.items()
    }
    if any(len(ratios.get(planner, ())) for planner in drawn):
        caption = (
            "Path length over the best known one. A dot a solved problem; the bar spans the quartiles round the median."
        )
        blocks.append(Picture("length-ratios", caption, figures.length_ratios(ratios, drawn)))
    return Section("Length, clearance, smoothness", blocks)


def _seeds(results: Results) -> Section | None:
    series = seed_series(results.records, results.default_seeds)
    if not series:
        return None
    series = dict(list(series.items())[:MAX_PLANNERS])
    caption = "Success and time over the number of seeds, for planners that differ in num_seeds only."
    return Section("Number of seeds", [Picture("over-seeds", caption, figures.over_seeds(series))])


def _pairs(records: Sequence[Record]) -> Section | None:
    groups = by_planner(records)
    names = list(groups)
    if len(names) < 2:
        return None
    chosen = list(combinations(names, 2)) if len(names) <= ALL_PAIRS else [(names[0], name) for name in names[1:]]
    headings = (
        "A", "B", "problems", "both", "only A", "only B", "p (success)", "length B/A", "B shorter", "p (length)",
        "clearance B - A [mm]", "time B/A",
    )  # fmt: skip
    rows = []
    for a, b in chosen:
        pair = pairs(groups[a], groups[b])
        shorter = f"{int((pair.length_ratios < 1).sum())}/{len(pair.length_ratios)}"
        rows.append(
            (
                a, b, str(pair.problems), str(len(pair.both)), str(len(pair.only_first)), str(len(pair.only_second)),
                p_value(pair.p_success), number(geometric_mean(pair.length_ratios), 3),
                shorter if len(pair.length_ratios) else "-", p_value(pair.p_length) if pair.both else "-",
                number(1e3 * _median(pair.clearance_changes), 1), number(_median(pair.time_ratios), 2),
            )
        )  # fmt: skip
    text = (
        "Problems that both planners tried. Lengths (geometric mean of the ratios), clearance and time (medians) on "
        "those that both solved."
    )
    if len(names) > ALL_PAIRS:
        text += f" All planners are compared with the first, {names[0]}."
    return Section("Pairs of planners", [Paragraph(text), Table(headings, rows, left=2)])


def _failures(records: Sequence[Record]) -> Section:
    failed = [record for record in records if not record.solved]
    if not failed:
        return Section("Failures", [Paragraph("None: every planner solved every problem.")])
    statuses = sorted({record.status for record in failed}, key=lambda s: (s != REFUTED, s))
    counts = {planner: Counter(r.status for r in mine) for planner, mine in by_planner(failed).items()}
    overview = Table(
        ("planner", *statuses), [(planner, *(str(n[status]) for status in statuses)) for planner, n in counts.items()]
    )
    listed = failed[:MAX_FAILURES]
    rows = [(r.planner, f"{r.set}/{r.index}", r.status, r.message) for r in listed]
    blocks: list[Block] = [overview, Table(("planner", "problem", "status", "cause"), rows, left=4)]
    if len(failed) > len(listed):
        blocks.append(Paragraph(f"{len(failed) - len(listed)} more are in the results files."))
    return Section("Failures", blocks)


def _runs(results: Results) -> Section:
    if not results.runs:
        return Section("Runs", [Paragraph("The files are of an older version and do not say how they were made.")])
    blocks: list[Block] = []
    for name, run in results.runs:
        versions = ", ".join(f"{package} {version}" for package, version in run.versions.items())
        facts = [("file", name)]
        told = ("command", "date", "machine", "cpu", "cores", "workers", "robot", "seed")
        facts += [(key, str(value)) for key in told if (value := getattr(run, key)) is not None]
        facts += [("time-out", f"{run.timeout:g} s")] if run.timeout is not None else []
        facts += [("versions", versions)] if versions else []
        facts += [
            (f"settings of {planner}", ", ".join(f"{key}={value}" for key, value in options.items()))
            for planner, options in run.options.items()
        ]
        blocks.append(Table(("run", ""), facts, left=2))
    return Section("Runs", blocks)


def _definitions() -> Section:
    rows = [(m.name, m.unit, m.better or "-", m.definition) for m in METRICS]
    return Section("Definitions", [Table(("metric", "unit", "better", "definition"), rows, left=4)])


# --- cells -----------------------------------------------------------------------------------------------------------


def _overall(summaries: Sequence[TableRow]) -> list[TableRow]:
    """One row a planner: over all its sets."""
    return list({row.planner: row for row in summaries}.values())  # the last row of a planner sums up the others


def _totals(summaries: Sequence[TableRow]) -> frozenset[int]:
    return frozenset(i for i, row in enumerate(summaries) if row.set == ALL_SETS)


def _solved(row: TableRow) -> str:
    return f"{row.solved}/{row.valid}" + (f" (+{row.invalid} invalid)" if row.invalid else "")


def _interval(row: TableRow) -> str:
    return "-" if math.isnan(row.interval[0]) else f"{row.interval[0]:.1f} to {row.interval[1]:.1f}"


def _staged(row: TableRow) -> bool:
    return any(name in STAGES for name in row.stages)


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else math.nan


def p_value(p: float) -> str:
    """Two significant digits, not below a thousandth."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
