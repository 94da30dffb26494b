"""Arms that plan while something crosses their way: do they arrive, do they touch, and is a warm start worth it?"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.bench.executed import Row, read_rows
from edmp.bench.provenance import describe_run
from edmp.bench.records import Writer
from edmp.errors import InvalidInputError
from edmp.execution import Outcome
from edmp.execution.company import Turns, company_of
from edmp.execution.crossing import Crossing, CrossingSettings, CrossingWorld, make_crossing
from edmp.execution.drivers import make_driver
from edmp.execution.planner_process import PlannerProcess
from edmp.execution.receding import HorizonSettings, RecedingHorizon, ReplannedExecution
from edmp.execution.replanning import PlanRequest, Plans
from edmp.planfile import finite_or_none
from edmp.planner import PlannerSettings
from edmp.problem import Goal
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot
from edmp.threads import kernel_threads

SET = "crossing"
"""What the runs call their set of problems."""


@dataclass(frozen=True)
class ReplanBenchSettings:
    """How crossings are run.

    Attributes:
        robot: name or description file.
        seed: of the first crossing; the next have the next.
        driver: a simulated one, by name.
        options: of the driver. With ``real_time=True`` planner, guard and control loop run side by side on this
            machine; else they take turns on the driver's clock (`edmp.execution.company.Turns`).
        slowdown: without real time, what computing is charged, as a multiple of the processor time that it took [1].
        position_noise, velocity_noise: standard deviations of what is observed of the obstacle [m], [m/s].
        crossing: see `CrossingSettings`.
        horizon: see `HorizonSettings`.
    """

    robot: str = "panda"
    seed: int = 0
    driver: str = "drake-sim"
    options: dict[str, Any] = field(default_factory=dict)
    slowdown: float = 1.0
    position_noise: float = 0.003
    velocity_noise: float = 0.02
    crossing: CrossingSettings = field(default_factory=CrossingSettings)
    horizon: HorizonSettings = field(default_factory=HorizonSettings)

    def __post_init__(self) -> None:
        check_fields(self, {"slowdown": Range(0), "position_noise": Range(0), "velocity_noise": Range(0)})


@dataclass(frozen=True, eq=False)
class CrossingRun:
    """A crossing and what became of it."""

    crossing: Crossing
    world: CrossingWorld
    done: ReplannedExecution


def run_crossing(
    crossing: Crossing, planner: Plans, settings: ReplanBenchSettings, *, driver_options: dict[str, Any] | None = None
) -> CrossingRun:
    """Send the arm to the goal of a crossing.

    Args:
        crossing: the problem.
        planner: see `planner_for`.
        settings: see `ReplanBenchSettings`.
        driver_options: instead of ``settings.options``.
    """
    options = settings.options if driver_options is None else driver_options
    arm = make_driver(settings.driver, crossing.robot, positions=crossing.start, scene=crossing.scene, options=options)
    if arm.hardware:
        raise InvalidInputError(f"driver {arm.name} moves a real arm: only simulated ones are for benchmarks")
    with arm:
        world = CrossingWorld(
            crossing, arm, position_noise=settings.position_noise, velocity_noise=settings.velocity_noise
        )
        company = (
            company_of(arm) if arm.real_time else Turns(arm, stopwatch=time.process_time, slowdown=settings.slowdown)
        )
        horizon = RecedingHorizon(planner, arm, world, settings.horizon, company=company)
        done = horizon.run(crossing.goal, seed=crossing.seed)
    return CrossingRun(crossing, world, done)


PLANNER = PlannerSettings(num_alternatives=2)
"""Where things move, another way may be the one that stays free."""


@contextlib.contextmanager
def planner_for(settings: ReplanBenchSettings) -> Iterator[tuple[edmp.Planner, Plans]]:
    """A planner in this process, and the one for the runs: the same, or a process of its own if they are in real time.

    Kernels get one thread meanwhile, as on an arm's computer whose other cores are busy, and so that processor time is
    the time that one core needs.
    """
    with kernel_threads(1):
        own = edmp.Planner(settings.robot, settings=PLANNER)
        if settings.options.get("real_time"):
            with PlannerProcess(settings.robot, settings=PLANNER) as process:
                yield own, process
        else:
            yield own, own


def replan_crossings(
    out: str | Path,
    settings: ReplanBenchSettings,
    *,
    runs: int,
    command: str = "",
    resume: bool = False,
    on_row: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Run crossings, a line each in ``out``.

    Args:
        out: the file; it begins with a line ``{"run": ...}``.
        settings: see `ReplanBenchSettings`; the same for all lines of a file.
        runs: how many, those in the file included.
        command: for the description of the run.
        resume: go on with an existing file.
        on_row: called for each new line.
    """
    rows = read_rows(out) if resume and Path(out).is_file() else []
    done = {row["index"] for row in rows}
    robot = load_robot(settings.robot)
    with planner_for(settings) as (own, planner), Writer(out, append=bool(rows)) as writer:
        described = describe_run([], command=command, robot=settings.robot, seed=settings.seed, workers=1, timeout=0.0)
        writer.write({"run": {**described, "replan": dataclasses.asdict(settings)}})
        for seed in range(settings.seed, settings.seed + runs):
            if seed in done:
                continue
            begin = time.perf_counter()
            crossing = make_crossing(robot, seed, settings.crossing)
            row = {"set": SET, "index": seed, **describe_crossing(run_crossing(crossing, planner, settings))}
            row["run_s"] = time.perf_counter() - begin
            row["queries"] = [timed_request(own, request, crossing.goal) for request in row.pop("asked")]
            writer.write(row)
            rows.append(row)
            on_row(row)
    return rows


def describe_crossing(run: CrossingRun) -> Row:
    """What became of a crossing.

    Keys: outcome, fault, message, touched (what the measured motion really touched, standing or moving; None if
    nothing), contacts (ticks at which the simulator saw any), closest_m (distance from the moving obstacle),
    duration_s, replans (time since the beginning, latency, planning [s], why, accepted, retreat, warm, outcome), asked
    (`PlanRequest` of those with a warm start).
    """
    done, after = run.done, run.world.examine(run.done.recording)
    times = done.recording.seen
    begin = float(times[0]) if len(times) else 0.0
    return {
        "outcome": done.outcome.value,
        "fault": done.violation.fault.value if done.violation else None,
        "message": done.message,
        "touched": after.touched,
        "contacts": len(done.recording.contacts),
        "closest_m": finite_or_none(after.closest),
        "duration_s": float(times[-1] - times[0]) if len(times) else 0.0,
        "replans": [
            {
                "time": one.time - begin,
                "latency": one.latency,
                "planning": one.planning,
                "why": one.why,
                "accepted": one.accepted,
                "retreat": one.retreat,
                "warm": one.request is not None and one.request.warm is not None,
                "outcome": one.outcome,
            }
            for one in done.replans
        ],
        "asked": [one.request for one in done.replans if one.request is not None and one.request.warm is not None],
    }


def timed_request(planner: edmp.Planner, request: PlanRequest, goal: Goal, *, seed: int = 0) -> Row:
    """A question that was asked on the way, asked again with and without its warm start.

    Keys: warm_s, cold_s (processor time), warm_solved, cold_solved, warm_rad, cold_rad (length of the path).
    """
    row: Row = {}
    for name, warm in (("warm", request.warm), ("cold", None)):
        begin = time.process_time()
        result = planner.plan(request.scene, request.start, goal, seed=seed, warm=warm)
        row[f"{name}_s"] = time.process_time() - begin
        row[f"{name}_solved"] = result.solved
        row[f"{name}_rad"] = result.best.length if result.best else None
    return row


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


def summarise_replans(rows: Iterable[Row]) -> ReplanSummary:
    """The summary of a file's lines."""
    rows = list(rows)
    faults: dict[str, int] = {}
    for row in rows:
        if row["fault"]:
            faults[row["fault"]] = faults.get(row["fault"], 0) + 1
    both = [q for row in rows for q in row["queries"] if q["warm_solved"] and q["cold_solved"]]
    closest = [row["closest_m"] for row in rows if row["closest_m"] is not None]

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else float("nan")

    return ReplanSummary(
        runs=len(rows),
        reached=sum(row["outcome"] == Outcome.REACHED.value for row in rows),
        touched=sum(row["touched"] is not None or row["contacts"] > 0 for row in rows),
        replans=sum(one["accepted"] for row in rows for one in row["replans"][1:]),
        closest=min(closest, default=float("nan")),
        duration=median([row["duration_s"] for row in rows]),
        queries=len(both),
        warm=median([q["warm_s"] for q in both]),
        cold=median([q["cold_s"] for q in both]),
        faults=faults,
    )
