"""Arms that plan while something crosses their way: do they arrive, do they touch, and is a warm start worth it?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import edmp
from edmp.bench.crossings import CrossingRecord, ReplanEvent, TimedRequest, read_crossings
from edmp.bench.provenance import describe_run
from edmp.errors import InvalidInputError
from edmp.execution.company import company_of
from edmp.execution.crossing import Crossing, CrossingSettings, CrossingWorld, make_crossing
from edmp.execution.drivers import make_driver
from edmp.execution.planner_process import PlannerProcess
from edmp.execution.receding import HorizonSettings, RecedingHorizon, ReplannedExecution
from edmp.execution.replanning import PlanRequest, Plans, Replan
from edmp.files.json_lines import LineWriter
from edmp.planfile import finite_or_none
from edmp.planner import PlannerSettings
from edmp.problem import Goal
from edmp.ranges import Range, check_fields
from edmp.result import PlanResult
from edmp.robots import load_robot
from edmp.robots.parts import Array
from edmp.threads import kernel_threads


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
        company = company_of(arm, stopwatch=time.thread_time, slowdown=settings.slowdown)
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
    on_record: Callable[[CrossingRecord], None] = lambda _: None,
) -> list[CrossingRecord]:
    """Run crossings, a line each in ``out``.

    Args:
        out: the file; it begins with a line ``{"run": ...}``.
        settings: see `ReplanBenchSettings`; the same for all lines of a file.
        runs: how many, those in the file included.
        command: for the description of the run.
        resume: go on with an existing file.
        on_record: called for each new line.
    """
    records = read_crossings(out) if resume and Path(out).is_file() else []
    done = {record.index for record in records}
    robot = load_robot(settings.robot)
    with planner_for(settings) as (own, planner), LineWriter(out, append=bool(records)) as writer:
        described = describe_run([], command=command, robot=settings.robot, seed=settings.seed, workers=1, timeout=0.0)
        writer.write(replace(described, replan=asdict(settings)).to_line())
        for seed in range(settings.seed, settings.seed + runs):
            if seed in done:
                continue
            begin = time.perf_counter()
            run = run_crossing(make_crossing(robot, seed, settings.crossing), planner, settings)
            record = describe_crossing(run, own, begin=begin)
            writer.write(record.to_line())
            records.append(record)
            on_record(record)
    return records


def describe_crossing(run: CrossingRun, planner: edmp.Planner, *, begin: float) -> CrossingRecord:
    """What became of a crossing that began at ``begin`` [s]; ``planner`` is asked again what was asked on the way."""
    done, after = run.done, run.world.examine(run.done.recording)
    run_s = time.perf_counter() - begin
    times = done.recording.seen
    first = float(times[0]) if len(times) else 0.0
    asked = [request for one in done.replans if (request := _asked_warm(one)) is not None]
    return CrossingRecord(
        index=run.crossing.seed,
        outcome=done.outcome.value,
        fault=done.violation.fault.value if done.violation else None,
        message=done.message,
        touched=after.touched,
        contacts=len(done.recording.contacts),
        closest_m=finite_or_none(after.closest),
        duration_s=float(times[-1] - times[0]) if len(times) else 0.0,
        replans=tuple(_event(one, first) for one in done.replans),
        run_s=run_s,
        queries=tuple(timed_request(planner, request, run.crossing.goal) for request in asked),
    )


def _event(replan: Replan, begin: float) -> ReplanEvent:
    """What is told of ``replan``, in an execution that began at ``begin`` on its clock [s]."""
    return ReplanEvent(
        time=replan.time - begin,
        latency=replan.latency,
        planning=replan.planning,
        why=replan.why,
        accepted=replan.accepted,
        retreat=replan.retreat,
        warm=_asked_warm(replan) is not None,
        outcome=replan.outcome,
    )


def _asked_warm(replan: Replan) -> PlanRequest | None:
    """What the planner was asked with a warm start; None if it was not."""
    return replan.request if replan.request is not None and replan.request.warm is not None else None


def timed_request(planner: edmp.Planner, request: PlanRequest, goal: Goal, *, seed: int = 0) -> TimedRequest:
    """``request``, asked again with and without its warm start."""

    def ask(warm: Array | None) -> tuple[float, PlanResult]:
        begin = time.process_time()
        result = planner.plan(request.scene, request.start, goal, seed=seed, warm=warm)
        return time.process_time() - begin, result

    warm_s, warm = ask(request.warm)
    cold_s, cold = ask(None)
    return TimedRequest(
        warm_s=warm_s,
        warm_solved=warm.solved,
        warm_rad=warm.best.length if warm.best else None,
        cold_s=cold_s,
        cold_solved=cold.solved,
        cold_rad=cold.best.length if cold.best else None,
    )
