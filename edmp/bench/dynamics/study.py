"""Errors, scores and times of all forecasters on all test sets: a line of JSON for each pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.bench.dynamics.forecasters import Forecaster
from edmp.bench.dynamics.test_sets import TestSet
from edmp.bench.provenance import describe_run
from edmp.bench.records import read_results
from edmp.files.json_lines import Layout, LineWriter, or_null
from edmp.files.json_nodes import JsonNode

Array = NDArray[np.float64]

HORIZONS = (0.5, 1.0, 2.0)
"""After the context [s]; and the whole of what is forecast."""


@dataclass(frozen=True, kw_only=True)
class ForecastRecord:
    """One line: a forecaster on a test set. Errors are of the mean of its samples, over all windows and joints.

    Attributes:
        set: name of the test set.
        forecaster: name of the row.
        windows: forecast.
        samples: of each.
        rmse_05, rmse_1, rmse_2, rmse: root mean square error up to 0.5, 1, 2 s after the context, and of all [deg].
        crps: continuous ranked probability score, the mean absolute error if there is one sample [deg].
        covered_50, covered_90: share of the truth within the samples' middle 50 and 90 %; None of one sample. From 19
            samples on a band can be as wide as that; fewer reach (k - 1) / (k + 1) at most.
        latency_ms: wall time of one window's forecast, median [ms].
    """

    set: str
    forecaster: str
    windows: int
    samples: int
    rmse_05: float
    rmse_1: float
    rmse_2: float
    rmse: float
    crps: float
    covered_50: float | None
    covered_90: float | None
    latency_ms: float | None

    def to_line(self) -> dict[str, Any]:
        """The line as plain data for JSON."""
        return asdict(self)


def measure(test: TestSet, forecaster: Forecaster, *, repeats: int) -> ForecastRecord:
    """One line; ``repeats`` forecasts of one window give its time, 0 leaves it out."""
    samples, truth = forecaster.run(test), test.truth
    error = np.degrees(samples.mean(axis=0) - truth)
    rmse = [float(np.sqrt(np.mean(error[:, : round(h / test.dt)] ** 2))) for h in HORIZONS]
    many = len(samples) > 1
    return ForecastRecord(
        set=test.name,
        forecaster=forecaster.name,
        windows=len(truth),
        samples=len(samples),
        rmse_05=rmse[0],
        rmse_1=rmse[1],
        rmse_2=rmse[2],
        rmse=float(np.sqrt(np.mean(error**2))),
        crps=float(np.degrees(crps(samples, truth))),
        covered_50=covered(samples, truth, 0.5) if many else None,
        covered_90=covered(samples, truth, 0.9) if many else None,
        latency_ms=_latency(test.first(1), forecaster, repeats) if repeats else None,
    )


def crps(samples: Array, truth: Array) -> float:
    """Mean of E|X - y| - E|X - X'| / 2 over all entries (Gneiting and Raftery 2007), without bias; samples (k, ...)."""
    k = len(samples)
    own = np.abs(samples - truth).mean()
    if k == 1:
        return float(own)
    ordered = np.sort(samples, axis=0)
    weights = (2.0 * np.arange(1, k + 1) - k - 1).reshape(-1, *[1] * truth.ndim)
    between = 2.0 * (weights * ordered).sum(axis=0) / (k * (k - 1))
    return float(own - 0.5 * between.mean())


def covered(samples: Array, truth: Array, share: float) -> float:
    """Share of ``truth`` between the samples' quantiles (1 - share) / 2 and (1 + share) / 2; samples (k, ...)."""
    low, high = np.quantile(samples, [(1 - share) / 2, (1 + share) / 2], axis=0, method="weibull")
    return float(np.mean((truth >= low) & (truth <= high)))


def _latency(one: TestSet, forecaster: Forecaster, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        forecaster.run(one)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times))


def run_study(
    tests: Sequence[TestSet],
    forecasters: Sequence[Forecaster],
    out: Path,
    *,
    command: str,
    repeats: int = 5,
    on_record: Callable[[ForecastRecord], None] = lambda _: None,
) -> list[ForecastRecord]:
    """All forecasters on all test sets, a line each in ``out``; times are taken on the first test set."""
    records = []
    with LineWriter(out, append=False) as writer:
        writer.write(describe_run([], command=command, robot=tests[0].robot, seed=0, workers=1, timeout=0.0).to_line())
        for number, test in enumerate(tests):
            for forecaster in forecasters:
                record = measure(test, forecaster, repeats=0 if number else repeats)
                writer.write(record.to_line())
                records.append(record)
                on_record(record)
    return records


_LAYOUT = Layout(
    ForecastRecord,
    {
        **dict.fromkeys(("set", "forecaster"), JsonNode.text),
        **dict.fromkeys(("windows", "samples"), lambda node: node.integer(1)),
        **dict.fromkeys(("rmse_05", "rmse_1", "rmse_2", "rmse"), lambda node: node.number(0)),
        "crps": JsonNode.number,
        **dict.fromkeys(("covered_50", "covered_90"), or_null(lambda node: node.number(0, 1))),
        "latency_ms": or_null(lambda node: node.number(0)),
    },
)


def read_study(path: str | Path) -> list[ForecastRecord]:
    """The lines of a file. Raises as `edmp.bench.records.read_records`."""
    return read_results(path, "forecasts", _LAYOUT.parse, known=set(_LAYOUT.fields))
