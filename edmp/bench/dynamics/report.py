"""The study as a table in Markdown, and forecasts of one window as bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edmp.bench.dynamics.forecasters import Forecaster
from edmp.bench.dynamics.study import ForecastRecord
from edmp.bench.dynamics.test_sets import TestSet
from edmp.files.writing import written_whole


def table(records: Sequence[ForecastRecord]) -> str:
    """A row for each forecaster and set: errors [deg], score [deg], coverage [%], time of one window [ms]."""
    lines = [
        "| test set | forecaster | RMSE 0.5 s | 1 s | 2 s | whole [deg] | CRPS [deg] | in 50 / 90 % band | time [ms] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        bands = "" if r.covered_50 is None or r.covered_90 is None else f"{r.covered_50:.0%} / {r.covered_90:.0%}"
        spent = "" if r.latency_ms is None else f"{r.latency_ms:.1f}"
        errors = " | ".join(f"{value:.2f}" for value in (r.rmse_05, r.rmse_1, r.rmse_2, r.rmse, r.crps))
        lines.append(f"| {r.set} | {r.forecaster} | {errors} | {bands} | {spent} |")
    return "\n".join(lines)


def summary(records: Sequence[ForecastRecord]) -> str:
    """A row for each forecaster, a column for each set: RMSE of the whole window [deg]."""
    sets = list(dict.fromkeys(r.set for r in records))
    value = {(r.forecaster, r.set): f"{r.rmse:.2f}" for r in records}
    lines = [f"| RMSE [deg] | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    for name in dict.fromkeys(r.forecaster for r in records):
        lines.append(f"| {name} | {' | '.join(value.get((name, each), '') for each in sets)} |")
    return "\n".join(lines)


def draw_bands(test: TestSet, forecasters: Sequence[Forecaster], path: Path, *, joints: Sequence[int] = (1, 4)) -> None:
    """Forecasts of a set's first window against what happened: mean, and the middle 90 % of the samples."""
    from matplotlib.figure import Figure

    one, names = test.first(1), load_names(test.robot)
    t = test.dt * (np.arange(test.positions.shape[1]) - test.context + 1)
    figure = Figure(figsize=(2.2 * len(forecasters), 1.9 * len(joints)), layout="constrained")
    axes = figure.subplots(len(joints), len(forecasters), sharex=True, sharey="row", squeeze=False)
    for column, forecaster in enumerate(forecasters):
        samples = np.degrees(forecaster.run(one)[:, 0])
        ahead = t[test.context :]
        for row, joint in enumerate(joints):
            axis = axes[row, column]
            axis.axvspan(t[0], 0, color="0.93", lw=0)
            axis.plot(t, np.degrees(one.positions[0, :, joint]), color="k", lw=1, label="truth")
            axis.plot(ahead, samples[..., joint].mean(axis=0), color="C0", lw=1.2, label="forecast")
            if len(samples) > 1:
                low, high = np.quantile(samples[..., joint], [0.05, 0.95], axis=0)
                axis.fill_between(ahead, low, high, color="C0", alpha=0.25, lw=0, label="90 %")
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(f"{names[joint]} [deg]", fontsize=8)
            axis.tick_params(labelsize=7)
        axes[0, column].set_title(forecaster.name, fontsize=9)
        axes[-1, column].set_xlabel("time after the context [s]", fontsize=8)
    axes[0, 0].legend(fontsize=7, loc="best")
    figure.suptitle(test.name, fontsize=9)
    with written_whole(path) as file:
        figure.savefig(file, dpi=90, format="png")


def load_names(robot: str) -> tuple[str, ...]:
    """Of the joints."""
    from edmp.robots import load_robot

    return tuple(load_robot(robot).joint_names)
