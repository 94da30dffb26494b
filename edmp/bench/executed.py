"""Plans executed in simulation: does what was certified stay clear of everything when an arm with mass runs it?"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.bench.problems import BenchProblem
from edmp.bench.provenance import describe_run
from edmp.bench.records import Writer
from edmp.errors import InvalidInputError
from edmp.execution import ExecutionSettings, Outcome, TubeSettings, prepare, summarise
from edmp.execution.drivers import make_driver
from edmp.execution.effort import SHARE
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.reading import read_text
from edmp.planfile import finite_or_none
from edmp.problem import Problem
from edmp.validate import Judge

Row = dict[str, Any]
"""One line: a plan and what became of it; `execute_problem` lists the keys."""

NO_PLAN = "NO_PLAN"
"""Outcome of a problem that was not solved, so that nothing was executed."""


@dataclass(frozen=True)
class ExecuteSettings:
    """How plans are executed.

    Attributes:
        robot: name or description file.
        seed: of the planner.
        driver: a simulated one, by name.
        options: of the driver.
        execution: see `edmp.execution.ExecutionSettings`.
        tube: see `edmp.execution.TubeSettings`; None executes without one.
        effort: motions that need more than this share of an effort limit are slowed down until they do not [1].
    """

    robot: str = "panda"
    seed: int = 0
    driver: str = "drake-sim"
    options: dict[str, Any] = field(default_factory=dict)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    tube: TubeSettings | None = field(default_factory=TubeSettings)
    effort: float = SHARE


def execute_problems(
    problems: Sequence[BenchProblem],
    out: str | Path,
    settings: ExecuteSettings,
    *,
    count: int,
    command: str = "",
    resume: bool = False,
    on_row: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Plan and execute problems until ``count`` of them have been executed; a line each in ``out``.

    Args:
        problems: tried by number, set after set, so that each set has its share.
        out: the file; it begins with a line ``{"run": ...}``.
        settings: see `ExecuteSettings`; the same for all lines of a file.
        count: how many plans to execute.
        command: for the description of the run.
        resume: go on with an existing file.
        on_row: called for each new line.
    """
    rows = read_rows(out) if resume and Path(out).is_file() else []
    done = {(row["set"], row["index"]) for row in rows}
    planners: dict[object, edmp.Planner] = {}
    with Writer(out, append=bool(rows)) as writer:
        described = describe_run([], command=command, robot=settings.robot, seed=settings.seed, workers=1, timeout=0.0)
        writer.write({"run": {**described, "execute": dataclasses.asdict(settings)}})
        for entry in sorted(problems, key=lambda entry: (entry.index, entry.set)):
            if sum(row["outcome"] != NO_PLAN for row in rows) >= count:
                break
            if (entry.set, entry.index) in done:
                continue
            problem = entry.load(settings.robot)
            if problem.robot not in planners:
                planners[problem.robot] = edmp.Planner(problem.robot)
            row = {
                "set": entry.set,
                "index": entry.index,
                **execute_problem(problem, planners[problem.robot], settings),
            }
            writer.write(row)
            rows.append(row)
            on_row(row)
    return rows


def execute_problem(problem: Problem, planner: edmp.Planner, settings: ExecuteSettings) -> Row:
    """Plan, execute, measure.

    Keys: status (of the plan), outcome, fault, message, contacts (ticks), touched (what first), speed (share of
    the planned one), planned_duration_s,
    duration_s, tracking_rms_mrad, tracking_peak_mrad, peak_torque_share, planned_clearance_m and measured_clearance_m
    (both proved by the judge within 0.1 mm; None without obstacles), plan_s, prepare_s, execute_s (wall times).
    """
    begin = time.perf_counter()
    result = planner.plan(
        problem.scene,
        problem.start,
        problem.goal,
        seed=settings.seed,
        velocity_scale=problem.velocity_scale,
        acceleration_scale=problem.acceleration_scale,
        constraints=problem.constraints,
        escape=problem.escape,
        tool_speed=problem.tool_speed,
        tool_acceleration=problem.tool_acceleration,
    )
    row: Row = {"status": result.status.value, "outcome": NO_PLAN, "message": result.message}
    row["plan_s"] = time.perf_counter() - begin
    if result.best is None:
        return row
    motion, robot, scene = result.best.trajectory, problem.robot, problem.scene
    begin = time.perf_counter()
    speed = settings.execution.speed
    ready = prepare(result, speed=speed, effort=settings.effort, tube=settings.tube, settings=settings.execution)
    row["prepare_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    arm = make_driver(settings.driver, robot, positions=motion.positions[0], scene=scene, options=settings.options)
    if arm.hardware:
        raise InvalidInputError(f"driver {arm.name} moves a real arm: only simulated ones are for benchmarks")
    done = ready.run(arm)
    row["execute_s"] = time.perf_counter() - begin
    summary = summarise(done.recording, robot=robot)
    contacts = done.recording.contacts
    return row | {
        "outcome": done.outcome.value,
        "fault": done.violation.fault.value if done.violation else None,
        "message": done.message,
        "contacts": summary.num_contacts,
        "touched": list(contacts[0][1:]) if contacts else None,
        "speed": ready.settings.speed,
        "planned_duration_s": motion.duration,
        "duration_s": summary.duration,
        "tracking_rms_mrad": summary.tracking_rms,
        "tracking_peak_mrad": summary.tracking_peak,
        "peak_torque_share": summary.torque_share,
        "planned_clearance_m": _clearance(problem, motion.positions),
        "measured_clearance_m": _clearance(problem, _measured(done.recording.measured, done.recording.times)),
    }


def _measured(positions: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Rows some 5 ms apart, the last among them; the judge proves what lies between."""
    if len(times) == 0:
        return positions
    rows = np.searchsorted(times, np.arange(times[0], times[-1], 0.005))
    return positions[np.append(rows, len(times) - 1)]


def _clearance(problem: Problem, path: np.ndarray) -> float | None:
    inside = problem.robot.clipped(path)  # a goal at a limit may be overshot by a hair
    return finite_or_none(Judge(problem.robot, problem.scene).clearance(inside, tightness=1e-4)) if len(path) else None


def read_rows(path: str | Path) -> list[Row]:
    """The lines of a file, without those that describe runs.

    Raises:
        FileFormatError: with the line that is none.
    """
    rows = []
    for number, text in enumerate(read_text(Path(path), "file of executed plans").splitlines(), start=1):
        line = parse_json(text, f"{path}:{number}: not a line of executed plans")
        if not line.has("run"):
            _check_row(line)
            rows.append(line.keys_plain())
    return rows


_EXECUTED = ("tracking_peak_mrad", "tracking_rms_mrad", "peak_torque_share")
_NULLABLE = ("planned_clearance_m", "measured_clearance_m", "closest_m")


def _check_row(line: JsonNode) -> None:
    """What summaries read of a line is there, and what it should be; lines of `edmp.bench.replanned` have queries."""
    line["set"].text()
    line["index"].integer()
    if line["outcome"].text() == NO_PLAN:
        return
    line["contacts"].integer()
    if not line["fault"].is_null:
        line["fault"].text()
    replanned = line.has("queries")
    for key in _NULLABLE[2:] if replanned else _NULLABLE[:2]:
        if not line[key].is_null:
            line[key].number()
    for key in ("duration_s",) if replanned else _EXECUTED:
        line[key].number()
    if replanned:
        line["touched"]
        for one in line["replans"].entries():
            one["accepted"].boolean()
        for one in line["queries"].entries():
            for name in ("warm", "cold"):
                one[f"{name}_solved"].boolean()
                one[f"{name}_s"].number(0)


@dataclass(frozen=True)
class ExecutedSummary:
    """A row of the table. NaN is what nothing is known of.

    Attributes:
        set: name, or ``all``.
        executed, reached, stopped: plans.
        touched: plans with a contact at any tick.
        tracking_peak: largest of the plans [mrad].
        tracking_rms: median of the plans [mrad].
        torque_share: largest [1].
        clearance_loss: most by which a reached motion, measured, came nearer to anything than planned [m].
        min_clearance: smallest measured [m].
        faults: what stopped how many.
    """

    set: str
    executed: int
    reached: int
    stopped: int
    touched: int
    tracking_peak: float
    tracking_rms: float
    torque_share: float
    clearance_loss: float
    min_clearance: float
    faults: dict[str, int]


def summarise_rows(rows: Iterable[Row]) -> list[ExecutedSummary]:
    """One summary a set, and one for all."""
    executed = [row for row in rows if row["outcome"] != NO_PLAN]
    sets = sorted({row["set"] for row in executed})
    groups = [(name, [row for row in executed if row["set"] == name]) for name in sets] + [("all", executed)]
    return [_summary(name, group) for name, group in groups]


def _summary(name: str, rows: list[Row]) -> ExecutedSummary:
    reached = [row for row in rows if row["outcome"] == Outcome.REACHED.value]
    faults: dict[str, int] = {}
    for row in rows:
        if row["fault"]:
            faults[row["fault"]] = faults.get(row["fault"], 0) + 1
    loss = [
        row["planned_clearance_m"] - row["measured_clearance_m"]
        for row in reached
        if row["planned_clearance_m"] is not None and row["measured_clearance_m"] is not None
    ]
    measured = [row["measured_clearance_m"] for row in rows if row["measured_clearance_m"] is not None]
    return ExecutedSummary(
        set=name,
        executed=len(rows),
        reached=len(reached),
        stopped=len(rows) - len(reached),
        touched=sum(row["contacts"] > 0 for row in rows),
        tracking_peak=max((row["tracking_peak_mrad"] for row in rows), default=math.nan),
        tracking_rms=float(np.median([row["tracking_rms_mrad"] for row in rows])) if rows else math.nan,
        torque_share=max((row["peak_torque_share"] for row in rows), default=math.nan),
        clearance_loss=max(loss, default=math.nan),
        min_clearance=min(measured, default=math.nan),
        faults=faults,
    )
