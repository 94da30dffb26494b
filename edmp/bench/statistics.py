"""What numbers from some problems say about others: intervals, paired tests, best known lengths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from edmp.bench.records import INVALID, ProblemKey, Record
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution: two-sided 95 %."""


def wilson(successes: int, count: int, *, z: float = Z95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927), both ends in [0, 1]; NaN for no trials.

    With p = successes / count, (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n). Unlike the interval
    p +- z sqrt(p (1 - p)/n), it does not shrink to nothing when all problems are solved.
    """
    if not 0 <= successes <= count:
        raise InvalidInputError(f"{successes} successes of {count} trials")
    if count == 0:
        return math.nan, math.nan
    p = successes / count
    middle = p + z**2 / (2 * count)
    half = z * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mcnemar(lost: int, won: int, *, alternative: str = "two-sided") -> float:
    """McNemar's exact test (1947): p-value of as many problems lost, if lost and won were equally likely.

    Args:
        lost, won: problems that only the first, or only the second of two planners solves.
        alternative: ``two-sided``, or ``greater``: the first solves more.
    """
    return float(stats.binomtest(lost, lost + won, alternative=alternative).pvalue) if lost + won else 1.0


def signed_rank(differences: Sequence[float], *, noise: float = 0.0, alternative: str = "two-sided") -> float:
    """Wilcoxon's signed-rank test (1945) that paired differences are symmetric about 0; its p-value.

    Args:
        differences: one a pair.
        noise: differences of this magnitude or less are dropped, as zeros are.
        alternative: ``two-sided``, or ``greater``: differences tend to be positive.

    Returns:
        1 where no difference is left.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.abs(d) > noise]
    return float(stats.wilcoxon(d, alternative=alternative).pvalue) if len(d) else 1.0


def geometric_mean(ratios: Sequence[float] | Array) -> float:
    """NaN of none. The mean for ratios: twice as long and half as long cancel."""
    return float(np.exp(np.log(ratios).mean())) if len(ratios) else math.nan


# --- problems --------------------------------------------------------------------------------------------------------


def invalid_problems(records: Iterable[Record]) -> set[ProblemKey]:
    """Problems of which a planner says that start or goal is at fault, and which nobody was certified to solve.

    Neither a planner, nor the expert whose certified path came with the problem.
    """
    records = list(records)
    solved = {record.problem for record in records if record.solved or record.solvable}
    return {record.problem for record in records if record.status in INVALID} - solved


@dataclass(frozen=True)
class BestKnown:
    """Shortest known lengths, to measure others by.

    Attributes:
        lengths: by problem [rad].
        given: how many came with the problems.
        found: how many are the shortest certified path of any planner in the results.
    """

    lengths: Mapping[ProblemKey, float]
    given: int
    found: int


def best_known(records: Iterable[Record]) -> BestKnown:
    """The length given with a problem; where there is none, the shortest certified one of several planners.

    Results of one planner alone are no measure of that planner: they give none.
    """
    records = list(records)
    given = {r.problem: float(r.best_known_rad) for r in records if r.best_known_rad}
    found: dict[ProblemKey, float] = {}
    if len({record.planner for record in records}) > 1:
        for record in records:
            key = record.problem
            if key not in given and record.solved and record.length_rad:
                found[key] = min(found.get(key, math.inf), record.length_rad)
    return BestKnown(found | given, len(given), len(found))


# --- pairs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Two planners, or two versions of one, on the problems that both have tried.

    Attributes:
        problems: how many.
        both, only_first, only_second: solved.
        p_success: McNemar's exact test, two-sided.
        length_ratios: second / first, of the problems that both solved [1].
        p_length: signed-rank test on the logarithms of these, two-sided.
        clearance_changes: second - first, of the same problems [m]; where both are known.
        time_ratios: second / first, of the same problems [1].
    """

    problems: int
    both: tuple[ProblemKey, ...]
    only_first: tuple[ProblemKey, ...]
    only_second: tuple[ProblemKey, ...]
    length_ratios: Array
    clearance_changes: Array
    time_ratios: Array

    @property
    def p_success(self) -> float:
        return mcnemar(len(self.only_first), len(self.only_second))

    @property
    def p_length(self) -> float:
        return signed_rank(np.log(self.length_ratios).tolist())


def pairs(first: Iterable[Record], second: Iterable[Record]) -> Pairs:
    """Records of one planner beside those of another, problem by problem.

    Raises:
        InvalidInputError: there are two records for one problem.
    """
    a, b = by_problem(first), by_problem(second)
    common = sorted(a.keys() & b.keys())
    both = [key for key in common if a[key].solved and b[key].solved]

    def known(key: str) -> Array:
        """(n, 2) both planners' values where both have one."""
        rows = [row for k in both if None not in (row := (getattr(a[k], key), getattr(b[k], key)))]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    return Pairs(
        problems=len(common),
        both=tuple(both),
        only_first=tuple(key for key in common if a[key].solved and not b[key].solved),
        only_second=tuple(key for key in common if b[key].solved and not a[key].solved),
        length_ratios=_ratios(known("length_rad")),
        clearance_changes=np.diff(known("min_clearance_m"), axis=1)[:, 0],
        time_ratios=_ratios(known("time_s")),
    )


def _ratios(values: Array) -> Array:
    """Second over first column; a motion of no length, or no time, is left out."""
    values = values[(values > 0).all(axis=1)]
    return values[:, 1] / values[:, 0]


def by_problem(records: Iterable[Record]) -> dict[ProblemKey, Record]:
    """One planner's records by problem.

    Raises:
        InvalidInputError: there are two for one problem.
    """
    records = list(records)
    counts = Counter(record.problem for record in records)
    if twice := [key for key, count in counts.items() if count > 1]:
        name, index = twice[0]
        raise InvalidInputError(f"results: {records[0].planner} is there twice for problem {name}/{index}")
    return {record.problem: record for record in records}


def by_planner(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by planner, in the order in which planners appear."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.planner, []).append(record)
    return found


# --- series ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeedPoint:
    """Attributes:
    num_seeds: candidates of one round.
    solved, valid: problems.
    time_median: over valid problems [s].
    """

    num_seeds: int
    solved: int
    valid: int
    time_median: float


def seed_series(records: Iterable[Record], default_seeds: Mapping[str, int]) -> dict[str, list[SeedPoint]]:
    """Planners whose specs differ in ``num_seeds=`` only, by what they share, ascending; two points at least.

    Args:
        records: of any planners.
        default_seeds: ``num_seeds`` of planners whose spec does not say it.
    """
    records = list(records)
    invalid = invalid_problems(records)
    series: dict[str, dict[int, SeedPoint]] = {}
    for planner, mine in by_planner(records).items():
        rest, count = split_seeds(planner)
        count = default_seeds.get(planner) if count is None else count
        valid = [record for record in mine if record.problem not in invalid]
        if count is None or not valid:
            continue
        times = [record.time_s for record in valid if record.time_s is not None]
        median = float(np.median(times)) if times else math.nan
        point = SeedPoint(count, sum(record.solved for record in valid), len(valid), median)
        series.setdefault(rest, {}).setdefault(count, point)
    return {rest: [points[n] for n in sorted(points)] for rest, points in series.items() if len(points) > 1}


def split_seeds(spec: str) -> tuple[str, int | None]:
    """A planner's spec without ``num_seeds=``, and what that says; ``edmp:num_seeds=8:prior=x``: (edmp:prior=x, 8)."""
    words = [word.strip() for word in spec.split(":")]
    values = [word.removeprefix("num_seeds=") for word in words if word.startswith("num_seeds=")]
    rest = ":".join(word for word in words if not word.startswith("num_seeds="))
    return rest, int(values[0]) if values and values[0].isdigit() else None


DEADLINES = (0.05, 0.1, 0.2, 0.5)
"""Budgets that success is told for, unless others are asked for [s]."""


def checked_deadlines(deadlines: Sequence[float]) -> tuple[float, ...]:
    """The same, ascending.

    Raises:
        InvalidInputError: there is none, or one is not a time.
    """
    if not deadlines:
        raise InvalidInputError("deadlines: name one at least, such as 0.05,0.1,0.2,0.5")
    for deadline in deadlines:
        if not 0 < deadline < math.inf:
            raise InvalidInputError(f"deadlines: each must be a time above 0 in seconds, got {deadline:g}")
    return tuple(sorted(set(deadlines)))


def ready_time(record: Record) -> float:
    """When there was a certified answer, judged and timed: one run, the time until its first one; never if none [s].

    A planner that says when it had its first certified motion is taken at its word, for the last one was judged here,
    too, and the others count by that one. Lines of older files count by the time of the plan.
    """
    if not record.solved:
        return math.inf
    known = next((t for t in (record.first_s, record.ready_s, record.time_s) if t is not None), None)
    return math.inf if known is None else known


def solved_within(records: Sequence[Record]) -> tuple[Array, Array]:
    """Steps of the share of problems that are ready within t: times (n,) [s] and shares (n,) [1], both ascending."""
    times = np.sort([ready_time(record) for record in records])
    times = times[np.isfinite(times)]
    return times.astype(np.float64), np.arange(1, len(times) + 1) / max(1, len(records))


def share_within(records: Sequence[Record], deadline: float) -> float:
    """Share of problems that are ready within a deadline [s]; NaN of none [1]."""
    ready = sum(math.isfinite(time) and time <= deadline for time in map(ready_time, records))
    return ready / len(records) if records else math.nan
