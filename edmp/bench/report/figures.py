"""The figures of a report; each function draws one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edmp.bench.records import CRASHED, ERROR, HUNG, Record
from edmp.bench.report.style import FAINT, Look, in_style, legend, looks, subplots
from edmp.bench.statistics import Array, SeedPoint, ready_time, solved_within, wilson
from edmp.bench.table import ALL_SETS, TableRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 7.6
"""Of every figure: a page's [inch]."""

MAX_BANDS = 4
"""More bands than this in one figure hide each other."""

BINS = 7
"""At most so many groups of problems by their number of obstacles."""

ByPlanner = Mapping[str, Sequence[Record]]


@in_style
def success_by_set(summaries: Sequence[TableRow], planners: Mapping[str, Look]) -> Figure:
    """Success with its confidence interval, a row a set, a dot a planner."""
    drawn = [row for row in summaries if row.planner in planners and row.valid]
    sets = sorted({row.set for row in drawn} - {ALL_SETS}) + [ALL_SETS] * any(row.set == ALL_SETS for row in drawn)
    each = min(0.2, 0.8 / len(planners))
    figure, (axes,) = subplots(1, 1, width=WIDTH, height=1.1 + len(sets) * max(0.26, 0.09 * len(planners)))
    place = {name: i for i, name in enumerate(planners)}
    for row in drawn:
        y = sets.index(row.set) + each * (place[row.planner] - (len(planners) - 1) / 2)
        look = planners[row.planner]
        axes.plot(row.interval, (y, y), color=look.color, linewidth=1.4, alpha=0.55, solid_capstyle="butt")
        axes.plot(row.success, y, look.marker, color=look.color, markersize=3.6, clip_on=False)
    for i in range(1, len(sets)):
        axes.axhline(i - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)
    axes.set_yticks(range(len(sets)), sets)
    axes.set_ylim(len(sets) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlim(0, 100)
    axes.set_xlabel("solved, with 95 % interval [%]")
    legend(figure, planners, markers=True)
    return figure


@in_style
def solved_over_time(sets: Mapping[str, ByPlanner], planners: Mapping[str, Look], deadlines: Sequence[float]) -> Figure:
    """Share of the problems ready within a time, deadlines [s] marked; one panel a set."""
    columns = min(3, len(sets))
    rows = math.ceil(len(sets) / columns)
    single = len(sets) == 1
    figure, panels = subplots(rows, columns, width=WIDTH, height=3.9 if single else 0.9 + 1.95 * rows)
    shown = [r for group in sets.values() for p in planners for r in group.get(p, ()) if r.time_s]
    ready = [time for record in shown if math.isfinite(time := ready_time(record)) and time > 0]
    low = 0.8 * min(ready, default=0.1)
    high = 1.25 * max([*ready, *(r.time_s for r in shown if r.time_s)], default=1.0)
    for i, (axes, (name, group)) in enumerate(zip(panels, sets.items(), strict=False)):
        for planner, look in planners.items():
            at, share = solved_within(group.get(planner, ()))
            x = np.concatenate([[low], at, [high]])
            y = 100 * np.concatenate([[0.0], share, share[-1:] if len(share) else [0.0]])
            axes.plot(x, y, drawstyle="steps-post", color=look.color, linestyle=look.dashes, linewidth=1.6)
        for deadline in deadlines:
            if low < deadline < high:
                axes.axvline(deadline, color=FAINT, linewidth=0.8, linestyle=":")
        axes.set_ylim(-2, 103)
        axes.set_yticks(range(0, 101, 25))
        axes.tick_params(labelleft=i % columns == 0)
        _log_axis(axes, "x", low, high, most=7 if single else 5)
        if not single:
            axes.set_title(name)
        if i % columns == 0:
            axes.set_ylabel("solved [%]")
        if i + columns >= len(sets):
            axes.set_xlabel("time until certified and timed [s]")
    for axes in panels[len(sets) :]:
        axes.set_visible(False)
    legend(figure, planners)
    return figure


@in_style
def length_ratios(ratios: Mapping[str, Array], planners: Mapping[str, Look]) -> Figure:
    """Path lengths over the best known ones: a dot a problem, median and quartiles; a row a planner."""
    shown = [name for name in planners if len(ratios.get(name, ()))]
    figure, (axes,) = subplots(1, 1, width=WIDTH, height=0.9 + 0.42 * len(shown))
    everything = np.concatenate([ratios[name] for name in shown])
    top = max(1.1, float(np.percentile(everything, 95)))
    bottom = min(0.98, float(everything.min()) - 0.01)
    jitter = np.random.default_rng(0)
    for y, name in enumerate(shown):
        look, values = planners[name], ratios[name]
        height = y + jitter.uniform(-0.26, 0.26, len(values))
        for beyond, marker in ((False, "o"), (True, ">")):
            here = (values > top) == beyond
            kind: dict[str, Any] = {"color": look.color, "alpha": 0.5, "markersize": 5 if beyond else 3.2, "mew": 0}
            axes.plot(np.minimum(values[here], top), height[here], marker, clip_on=not beyond, **kind)
        low, middle, high = np.minimum(np.percentile(values, [25, 50, 75]), top)
        axes.plot((low, high), (y, y), color=look.color, linewidth=5, solid_capstyle="butt", alpha=0.5)
        axes.plot((middle, middle), (y - 0.3, y + 0.3), color=look.color, linewidth=2.2)
    axes.axvline(1.0, color=FAINT, linewidth=1.0)
    axes.set_yticks(range(len(shown)), [_folded(name) for name in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlim(bottom, top)
    note = f"; triangles: beyond {top:.2f}" if everything.max() > top else ""
    axes.set_xlabel(f"path length / best known length{note}")
    return figure


@in_style
def time_over_obstacles(records: ByPlanner, planners: Mapping[str, Look]) -> Figure:
    """Median time of problems with about as many obstacles; quartiles as bands, if these are few."""
    figure, (axes,) = subplots(1, 1, width=WIDTH, height=3.9)
    placed = [r for p in planners for r in records.get(p, ()) if is_placed(r)]
    edges = _bins([r.num_obstacles for r in placed if r.num_obstacles is not None])
    everything: list[float] = []
    for planner, look in planners.items():
        mine = [r for r in records.get(planner, ()) if is_placed(r)]
        counts, times = np.array([r.num_obstacles for r in mine]), np.array([r.time_s for r in mine])
        group = np.searchsorted(edges, counts, side="right")
        present = np.unique(group)
        x = [counts[group == g].mean() for g in present]
        quartiles = np.array([np.percentile(times[group == g], [25, 50, 75]) for g in present]).reshape(-1, 3)
        if len(planners) <= MAX_BANDS:
            axes.fill_between(x, quartiles[:, 0], quartiles[:, 2], color=look.color, alpha=0.13, linewidth=0)
        axes.plot(x, quartiles[:, 1], look.marker, color=look.color, linestyle=look.dashes, markersize=4, linewidth=1.5)
        everything += quartiles[:, 1].tolist() if len(planners) > MAX_BANDS else quartiles.ravel().tolist()
    axes.set_xlabel("obstacles in the scene")
    axes.set_ylabel("time for one plan [s]")
    axes.locator_params(axis="x", integer=True)
    _log_axis(axes, "y", min(everything, default=0.1) * 0.8, max(everything, default=1.0) * 1.25, most=7)
    legend(figure, planners, markers=True)
    return figure


def is_placed(record: Record) -> bool:
    """Can a plan be drawn over the number of obstacles? Not one that broke: its time is not one of planning."""
    broken = record.status in (ERROR, CRASHED, HUNG)
    return record.num_obstacles is not None and bool(record.time_s) and not broken


def _bins(counts: Sequence[int]) -> Array:
    """Inner edges between groups of about equally many problems."""
    distinct = np.unique(counts)
    if len(distinct) <= BINS:
        return (distinct[1:] + distinct[:-1]) / 2
    return np.unique(np.quantile(counts, np.linspace(0, 1, BINS + 1)[1:-1])) + 0.5


@in_style
def over_seeds(series: Mapping[str, Sequence[SeedPoint]]) -> Figure:
    """Success and median time over the number of seeds; a line for each planner that was given several."""
    figure, (success, time) = subplots(1, 2, width=WIDTH, height=3.3)
    planners = looks(series)
    for name, look in planners.items():
        points = series[name]
        seeds = [point.num_seeds for point in points]
        shares = np.array([100 * point.solved / point.valid for point in points])
        intervals = 100 * np.array([wilson(point.solved, point.valid) for point in points])
        kind: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": look.marker, "markersize": 4.5}
        success.fill_between(seeds, intervals[:, 0], intervals[:, 1], color=look.color, alpha=0.15, linewidth=0)
        success.plot(seeds, shares, clip_on=False, **kind)
        time.plot(seeds, [point.time_median for point in points], **kind)
    ticks = sorted({point.num_seeds for points in series.values() for point in points})
    for axes in (success, time):
        axes.set_xscale("log", base=2)
        axes.set_xticks(_apart(ticks), [str(n) for n in _apart(ticks)])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("seeds (num_seeds)")
    lows = [100 * wilson(point.solved, point.valid)[0] for points in series.values() for point in points]
    success.set_ylim(max(0, 10 * math.floor(min(lows) / 10 - 0.5)), 100)
    success.locator_params(axis="y", integer=True, nbins=6)
    success.set_title("solved, with 95 % interval [%]")
    time.set_ylim(bottom=0)
    time.set_title("median time for one plan [s]")
    legend(figure, planners, markers=True)
    return figure


def _folded(name: str) -> str:
    """A long spec on several lines."""
    return name if len(name) <= 26 else name.replace(":", ":\n  ")


def _apart(ticks: Sequence[int]) -> list[int]:
    """Ticks on a logarithmic axis, without those too near to the one before."""
    return [*ticks[:1], *(b for a, b in itertools.pairwise(ticks) if b > 1.3 * a)]


def _log_axis(axes: Axes, which: str, low: float, high: float, *, most: int) -> None:
    """A logarithmic axis with at most about ``most`` round numbers on it: 1, 2, 5, or powers of ten."""
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis: Axis = getattr(axes, f"{which}axis")
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) <= most:
            break
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)
