"""What came of crossings: a line each in a file, and all of them in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edmp.bench.records import read_results, read_time
from edmp.execution import Outcome
from edmp.files.json_lines import Layout, each, or_null
from edmp.files.json_nodes import JsonNode

SET = "crossing"
"""What the runs call their set of problems."""


@dataclass(frozen=True, kw_only=True)
class ReplanEvent:
    """One attempt at a new motion on the way, as `edmp.execution.replanning.Replan` tells of it.

    Attributes:
        time: since the beginning [s].
        latency, planning: until a motion was handed over, and of that the planner's share [s].
        why: what made it necessary.
        accepted: did the arm get a new motion?
        retreat: does that lead out of the way, not to the goal?
        warm: was the planner given what was left of the motion under way?
        outcome: a sentence.
    """

    time: float | None = None
    latency: float | None = None
    planning: float | None = None
    why: str = ""
    accepted: bool
    retreat: bool = False
    warm: bool = False
    outcome: str = ""


@dataclass(frozen=True, kw_only=True)
class TimedRequest:
    """A question that was asked on the way, asked again with and without its warm start.

    Attributes:
        warm_s, cold_s: processor time [s].
        warm_solved, cold_solved: was there a plan?
        warm_rad, cold_rad: length of its path [rad]; None without one.
    """

    warm_s: float
    warm_solved: bool
    warm_rad: float | None = None
    cold_s: float
    cold_solved: bool
    cold_rad: float | None = None


@dataclass(frozen=True, kw_only=True)
class CrossingRecord:
    """One line: a crossing and what became of it.

    Attributes:
        set: always `SET`.
        index: the crossing's seed.
        outcome: of the execution.
        fault: what stopped it; None if nothing did.
        message: the cause, in words.
        touched: what the measured motion really touched, standing or moving; None if nothing.
        contacts: ticks at which the simulator saw any.
        closest_m: distance from the moving obstacle [m]; None if it was never there.
        duration_s: of the motion [s].
        replans: motions that were looked for, the first among them.
        run_s: wall time of all [s].
        queries: those with a warm start, asked again.
    """

    set: str = SET
    index: int
    outcome: str
    fault: str | None
    message: str = ""
    touched: str | None
    contacts: int
    closest_m: float | None
    duration_s: float
    replans: tuple[ReplanEvent, ...]
    run_s: float | None = None
    queries: tuple[TimedRequest, ...]

    def to_line(self) -> dict[str, Any]:
        """The line as plain data for JSON."""
        return asdict(self)


# --- reading ---------------------------------------------------------------------------------------------------------

_EVENT = Layout(
    ReplanEvent,
    {
        "time": JsonNode.number,
        "latency": read_time,
        "planning": read_time,
        "why": JsonNode.text,
        "accepted": JsonNode.boolean,
        "retreat": JsonNode.boolean,
        "warm": JsonNode.boolean,
        "outcome": JsonNode.text,
    },
)

_REQUEST = Layout(
    TimedRequest,
    {
        "warm_s": read_time,
        "warm_solved": JsonNode.boolean,
        "warm_rad": JsonNode.number,
        "cold_s": read_time,
        "cold_solved": JsonNode.boolean,
        "cold_rad": JsonNode.number,
    },
)

_LAYOUT = Layout(
    CrossingRecord,
    {
        "set": JsonNode.text,
        "index": JsonNode.integer,
        "outcome": JsonNode.text,
        "fault": or_null(JsonNode.text),
        "message": JsonNode.text,
        "touched": or_null(JsonNode.text),
        "contacts": JsonNode.integer,
        "closest_m": or_null(JsonNode.number),
        "duration_s": read_time,
        "replans": each(_EVENT),
        "run_s": read_time,
        "queries": each(_REQUEST),
    },
)


def read_crossings(path: str | Path) -> list[CrossingRecord]:
    """The lines of a file, without those that describe runs. Raises as `edmp.bench.records.read_records`."""
    return read_results(path, "crossings", _LAYOUT.parse, known=_LAYOUT.fields)


# --- summary ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReplanSummary:
    """All runs in numbers. NaN is what nothing is known of.

    Attributes:
        runs, reached, touched: runs; touched counts what the judge or the simulator saw.
        replans: motions handed over on the way, the first not counted.
        closest: smallest distance from the moving obstacle [m].
        duration: median [s].
        queries: asked warm and cold, both solved.
        warm, cold: median processor time of those [s].
        faults: what stopped how many.
    """

    runs: int
    reached: int
    touched: int
    replans: int
    closest: float
    duration: float
    queries: int
    warm: float
    cold: float
    faults: dict[str, int]

    @property
    def speed_up(self) -> float:
        """Cold time per warm time, of the medians."""
        return self.cold / self.warm


def summarise_replans(records: Iterable[CrossingRecord]) -> ReplanSummary:
    """The summary of a file's lines."""
    records = list(records)
    both = [query for record in records for query in record.queries if query.warm_solved and query.cold_solved]
    closest = [record.closest_m for record in records if record.closest_m is not None]

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else float("nan")

    return ReplanSummary(
        runs=len(records),
        reached=sum(record.outcome == Outcome.REACHED.value for record in records),
        touched=sum(record.touched is not None or record.contacts > 0 for record in records),
        replans=sum(one.accepted for record in records for one in record.replans[1:]),
        closest=min(closest, default=float("nan")),
        duration=median([record.duration_s for record in records]),
        queries=len(both),
        warm=median([query.warm_s for query in both]),
        cold=median([query.cold_s for query in both]),
        faults=dict(Counter(record.fault for record in records if record.fault)),
    )
