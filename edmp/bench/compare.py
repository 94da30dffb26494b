"""Is a change a regression? Old and new results of the same problems, problem by problem; a gate for CI.

The seed is fixed, so the same code gives the same motions, up to the rounding of another machine. A problem that was
solved and no longer is, is therefore a change of the code and not bad luck, however few problems there are: by default
one such problem fails the gate. Over many problems a change wins some and loses some; a tolerance then allows a net
loss, and a test asks whether it is more than chance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edmp.bench.records import Record
from edmp.bench.statistics import (
    Pairs,
    ProblemKey,
    by_planner,
    by_problem,
    geometric_mean,
    mcnemar,
    pairs,
    signed_rank,
)
from edmp.errors import InvalidInputError, unknown_name
from edmp.files.writing import written_whole
from edmp.ranges import Range, check_fields

BASELINE_KEYS = ("set", "index", "planner", "robot", "seed", "version", "solved", "status", "refuted", "length_rad")
"""What a committed baseline holds of each record: what `compare` needs, and where it comes from."""


@dataclass(frozen=True)
class CompareSettings:
    """When the gate fails.

    Attributes:
        success_tolerance: share of the problems that success may drop by, newly solved ones made up for [1]. 0 is
            stricter: no problem may be newly failed, whatever else is newly solved.
        length_tolerance: the geometric mean of new / old length may exceed 1 by this [1].
        length_noise: lengths that differ by less than this, relatively, count as equal: rounding [1].
        alpha: a drop in success, or a growth in length, that is more than chance at this level is a regression, too
            (one-sided tests: McNemar's, exact; Wilcoxon's signed ranks on the logarithms of the ratios).
        common: compare the problems that both files have; otherwise one that is missing from the new one fails.
    """

    success_tolerance: float = 0.0
    length_tolerance: float = 0.02
    length_noise: float = 0.005
    alpha: float = 0.05
    common: bool = False

    def __post_init__(self) -> None:
        share = Range(0, 1)
        check_fields(self, {"success_tolerance": share, "alpha": share})
        check_fields(self, {"length_tolerance": Range(0), "length_noise": Range(0)})


@dataclass(frozen=True)
class Comparison:
    """What changed for one planner, and what of it is a regression.

    Attributes:
        planner: its spec.
        pairs: old results first, new ones second.
        old, new: records by problem.
        missing: problems of the old results that the new ones lack.
        newly_refuted: claims that the judge refuted, on problems where it did not before.
        p_success, p_length: one-sided p-values of a drop and of a growth.
        regressions: what fails the gate, a sentence each.
    """

    planner: str
    pairs: Pairs
    old: dict[ProblemKey, Record]
    new: dict[ProblemKey, Record]
    missing: tuple[ProblemKey, ...]
    newly_refuted: tuple[ProblemKey, ...]
    p_success: float
    p_length: float
    regressions: tuple[str, ...]

    @property
    def length_ratio(self) -> float:
        """Geometric mean of new / old over problems solved in both; NaN of none."""
        return geometric_mean(self.pairs.length_ratios)


def compare(
    old: Sequence[Record],
    new: Sequence[Record],
    settings: CompareSettings = CompareSettings(),
    *,
    planner: str | None = None,
) -> list[Comparison]:
    """Compare planners with themselves.

    Args:
        old, new: results.
        settings: see `CompareSettings`.
        planner: only this one; else every planner of the old results.

    Raises:
        UnknownNameError: ``planner`` is not in the old results.
        InvalidInputError: there is no planner that both have, a problem is there twice, or robot or seed differ.
    """
    before, after = by_planner(old), by_planner(new)
    if planner is not None:
        if planner not in before:
            raise unknown_name("planner in the old results", planner, before)
        before = {planner: before[planner]}
    if not before.keys() & after.keys():
        raise InvalidInputError(
            f"no planner to compare: the old results have {', '.join(before) or 'none'}, "
            f"the new ones {', '.join(after) or 'none'}"
        )
    if settings.common:
        before = {name: records for name, records in before.items() if name in after}
    return [_compare(name, records, after.get(name, []), settings) for name, records in before.items()]


def _compare(planner: str, old: Sequence[Record], new: Sequence[Record], settings: CompareSettings) -> Comparison:
    before, after = by_problem(old), by_problem(new)
    _refuse_mixture(planner, before, after)
    paired = pairs(old, new)
    missing = () if settings.common else tuple(sorted(before.keys() - after.keys()))
    refuted = tuple(
        key for key in sorted(before.keys() & after.keys()) if after[key].refuted and not before[key].refuted
    )
    lost, won = len(paired.only_first), len(paired.only_second)
    p_success = mcnemar(lost, won, alternative="greater")
    logs = np.log(paired.length_ratios).tolist()
    p_length = signed_rank(logs, noise=float(np.log1p(settings.length_noise)), alternative="greater")
    ratio = geometric_mean(paired.length_ratios)

    found = []
    if missing:
        found.append(f"{len(missing)} of {len(before)} problems are missing from the new results")
    if lost and settings.success_tolerance == 0:
        found.append(f"{lost} newly failed, none allowed")
    elif lost - won > settings.success_tolerance * paired.problems:
        drop = 100 * (lost - won) / paired.problems
        found.append(f"success dropped by {drop:.1f} %, more than {100 * settings.success_tolerance:g} %")
    if p_success < settings.alpha:
        found.append(f"the drop in success is significant (p = {p_success:.2g} < {settings.alpha:g})")
    if len(refuted) > settings.success_tolerance * paired.problems:
        found.append(f"{len(refuted)} claims newly refuted by the judge")
    if ratio > 1 + settings.length_tolerance:
        found.append(f"paths are {100 * (ratio - 1):.1f} % longer, more than {100 * settings.length_tolerance:g} %")
    if p_length < settings.alpha and ratio > 1 + settings.length_noise:
        found.append(f"the growth in length is significant (p = {p_length:.2g} < {settings.alpha:g})")
    return Comparison(planner, paired, before, after, missing, refuted, p_success, p_length, tuple(found))


def _refuse_mixture(planner: str, old: dict[ProblemKey, Record], new: dict[ProblemKey, Record]) -> None:
    for key in ("robot", "seed"):
        values = [{v for r in records.values() if (v := getattr(r, key)) is not None} for records in (old, new)]
        if all(values) and values[0] != values[1]:
            was, now = (", ".join(sorted(map(str, some))) for some in values)
            raise InvalidInputError(f"{planner}: {key} {was} in the old results, {now} in the new ones: no comparison")


# --- in words --------------------------------------------------------------------------------------------------------


def describe(comparison: Comparison, settings: CompareSettings) -> list[str]:
    """The comparison as lines of text: verdict, changes, tolerances."""
    c, paired = comparison, comparison.pairs
    old, new = (sum(c_[key].solved for key in c.old.keys() & c.new.keys()) for c_ in (c.old, c.new))
    lines = [
        f"{c.planner}: {'REGRESSION' if c.regressions else 'ok'}",
        *(f"  regression: {sentence}" for sentence in c.regressions),
        f"  solved: {old} -> {new} of {paired.problems} problems "
        f"({len(paired.only_first)} newly failed, {len(paired.only_second)} newly solved; "
        f"McNemar exact, one-sided: p = {c.p_success:.2g})",
    ]
    if len(paired.length_ratios):
        ratios = paired.length_ratios
        longer = int((ratios > 1 + settings.length_noise).sum())
        shorter = int((ratios < 1 - settings.length_noise).sum())
        lines.append(
            f"  length: new / old {c.length_ratio:.4f} (geometric mean of {len(ratios)} solved in both; "
            f"{longer} longer, {shorter} shorter, the rest equal; Wilcoxon's signed ranks, one-sided: "
            f"p = {c.p_length:.2g})"
        )
    if len(paired.time_ratios):
        lines.append(
            f"  time: new / old {np.median(paired.time_ratios):.2f} (median; for information, never a regression)"
        )
    lines += [f"  newly failed: {_name(key)}: {_cause(c.new[key])}" for key in paired.only_first]
    lines += [f"  newly solved: {_name(key)}, was {c.old[key].status}" for key in paired.only_second]
    lines += [f"  newly refuted: {_name(key)}: {c.new[key].refuted}" for key in c.newly_refuted]
    lines += [f"  missing: {_name(key)}" for key in c.missing]
    lines += [
        f"  {_name(key)}: {was:.3f} -> {now:.3f} rad ({now / was - 1:+.1%})" for key, was, now in _moved(c, settings)
    ]
    return lines


def rules(settings: CompareSettings) -> str:
    """What the gate asks for, in one sentence."""
    s = settings
    success = "no problem newly failed"
    if s.success_tolerance:
        success = f"success down by no more than {s.success_tolerance:.1%} of the problems, and not significantly"
    return (
        f"Gate: {success}; paths no more than {s.length_tolerance:.1%} longer (geometric mean), and not significantly "
        f"(differences up to {s.length_noise:.1%} count as none); alpha = {s.alpha:g}."
    )


MOST_MOVED = 10
"""Paths whose lengths are listed."""


def _moved(c: Comparison, settings: CompareSettings) -> list[tuple[ProblemKey, float, float]]:
    """The lengths that changed most, both ways, beyond noise."""
    lengths = [(key, c.old[key].length_rad, c.new[key].length_rad) for key in c.pairs.both]
    known = [(key, was, now) for key, was, now in lengths if was and now]
    changed = [row for row in known if abs(np.log(row[2] / row[1])) > np.log1p(settings.length_noise)]
    return sorted(changed, key=lambda row: -abs(np.log(row[2] / row[1])))[:MOST_MOVED]


def _name(key: ProblemKey) -> str:
    return f"{key[0]}/{key[1]}"


def _cause(record: Record) -> str:
    return f"{record.status}: {record.message}" if record.message else record.status


# --- baselines -------------------------------------------------------------------------------------------------------


def write_baseline(records: Sequence[Record], path: str | Path) -> None:
    """Write what `compare` needs of some results, sorted, a line a record; lengths to a tenth of a milliradian.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    lines = []
    for record in sorted(records, key=lambda record: record.key):
        kept = {key: getattr(record, key) for key in BASELINE_KEYS}
        if kept["length_rad"] is not None:
            kept["length_rad"] = round(kept["length_rad"], 4)
        lines.append(json.dumps(kept, allow_nan=False) + "\n")
    with written_whole(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
