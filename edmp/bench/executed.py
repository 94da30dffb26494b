"""Plans executed in simulation: does what was certified stay clear of everything when an arm with mass runs it?"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.bench.problems import BenchProblem
from edmp.bench.provenance import describe_run
from edmp.bench.records import ProblemKey, read_results, read_time
from edmp.dynamics import ArmModel
from edmp.dynamics.identification import arm_model
from edmp.errors import InvalidInputError
from edmp.execution import AdaptSettings, ExecutionSettings, Outcome, TubeSettings, prepare, summarise
from edmp.execution.drivers import make_driver
from edmp.execution.effort import SHARE
from edmp.files.json_lines import Layout, LineWriter, or_null
from edmp.files.json_nodes import JsonNode
from edmp.planfile import finite_or_none
from edmp.problem import Problem
from edmp.recordings.recording import spaced_rows
from edmp.validate import Judge

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
        adapt: file of a model of the arm, or of a recording of it, to which motions are adapted; None adapts none.
        adapting: how, see `edmp.execution.AdaptSettings`.
    """

    robot: str = "panda"
    seed: int = 0
    driver: str = "drake-sim"
    options: dict[str, Any] = field(default_factory=dict)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    tube: TubeSettings | None = field(default_factory=TubeSettings)
    effort: float = SHARE
    adapt: str | None = None
    adapting: AdaptSettings = field(default_factory=AdaptSettings)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of a plan that was executed. Lines of older files leave some fields out.

    Attributes:
        prepare_s, execute_s: wall times of what comes before the motion, and of it [s].
        fault: what stopped it, or that it was refused; None if nothing did.
        contacts: ticks at which anything touched.
        touched: the two that touched first.
        speed: share of the planned speed [1].
        adaptation: what was chosen for the arm, in words; None if nothing was.
        planned_duration_s, duration_s: of the motion [s].
        tracking_rms_mrad, tracking_peak_mrad: distance of the joints from where they should have been [mrad].
        peak_torque_share: largest share of a joint's effort limit [1].
        planned_clearance_m, measured_clearance_m: proved by the judge within 0.1 mm [m]; None without obstacles.
    """

    prepare_s: float | None = None
    execute_s: float | None = None
    fault: str | None
    contacts: int
    touched: tuple[str, ...] | None = None
    speed: float | None = None
    adaptation: str | None = None
    planned_duration_s: float | None = None
    duration_s: float
    tracking_rms_mrad: float
    tracking_peak_mrad: float
    peak_torque_share: float
    planned_clearance_m: float | None
    measured_clearance_m: float | None


@dataclass(frozen=True, kw_only=True)
class ExecutedRecord:
    """One line: a plan and what became of it.

    Attributes:
        set, index: the problem.
        status: of the plan.
        outcome: of its execution, or `NO_PLAN`.
        message: the cause, in words.
        plan_s: wall time of the plan [s].
        measured: on the way; in the file, its fields stand among the others. None if nothing was executed.
    """

    set: str
    index: int
    status: str = ""
    outcome: str
    message: str = ""
    plan_s: float | None = None
    measured: Measured | None = None

    @property
    def problem(self) -> ProblemKey:
        """Which problem the line is about."""
        return self.set, self.index

    def to_line(self) -> dict[str, Any]:
        """The line as plain data for JSON."""
        line = asdict(self)
        return line | (line.pop("measured") or {})


def execute_problems(
    problems: Sequence[BenchProblem],
    out: str | Path,
    settings: ExecuteSettings,
    *,
    count: int,
    command: str = "",
    resume: bool = False,
    on_record: Callable[[ExecutedRecord], None] = lambda _: None,
) -> list[ExecutedRecord]:
    """Plan and execute problems until ``count`` of them have been executed; a line each in ``out``.

    Args:
        problems: tried by number, set after set, so that each set has its share.
        out: the file; it begins with a line ``{"run": ...}``.
        settings: see `ExecuteSettings`; the same for all lines of a file.
        count: how many plans to execute.
        command: for the description of the run.
        resume: go on with an existing file.
        on_record: called for each new line.
    """
    records = read_executed(out) if resume and Path(out).is_file() else []
    done = {record.problem for record in records}
    planners: dict[object, edmp.Planner] = {}
    model = None if settings.adapt is None else arm_model(settings.adapt)
    with LineWriter(out, append=bool(records)) as writer:
        described = describe_run([], command=command, robot=settings.robot, seed=settings.seed, workers=1, timeout=0.0)
        writer.write(replace(described, execute=asdict(settings)).to_line())
        for entry in sorted(problems, key=lambda entry: (entry.index, entry.set)):
            if sum(record.measured is not None for record in records) >= count:
                break
            if (entry.set, entry.index) in done:
                continue
            problem = entry.load(settings.robot)
            if problem.robot not in planners:
                planners[problem.robot] = edmp.Planner(problem.robot)
            record = execute_problem(
                problem, planners[problem.robot], settings, key=(entry.set, entry.index), model=model
            )
            writer.write(record.to_line())
            records.append(record)
            on_record(record)
    return records


def execute_problem(
    problem: Problem,
    planner: edmp.Planner,
    settings: ExecuteSettings,
    *,
    key: ProblemKey,
    model: ArmModel | None = None,
) -> ExecutedRecord:
    """Plan, execute, measure; ``key`` is what the record calls the problem, ``model`` the arm that is adapted to."""
    begin = time.perf_counter()
    result = planner.plan(
        problem.scene,
        problem.start,
        problem.goal,
        seed=settings.seed,
        **problem.options,
    )
    record = ExecutedRecord(
        set=key[0],
        index=key[1],
        status=result.status.value,
        outcome=NO_PLAN,
        message=result.message,
        plan_s=time.perf_counter() - begin,
    )
    if result.best is None:
        return record
    motion, robot, scene = result.best.trajectory, problem.robot, problem.scene
    begin = time.perf_counter()
    speed = settings.execution.speed
    ready = prepare(
        result,
        speed=speed,
        effort=settings.effort,
        tube=settings.tube,
        settings=settings.execution,
        adapt=model,
        adapting=settings.adapting,
    )
    prepared = time.perf_counter()
    arm = make_driver(settings.driver, robot, positions=motion.positions[0], scene=scene, options=settings.options)
    if arm.hardware:
        raise InvalidInputError(f"driver {arm.name} moves a real arm: only simulated ones are for benchmarks")
    done = ready.run(arm)
    executed = time.perf_counter()
    summary = summarise(done.recording, robot=robot)
    contacts = done.recording.contacts
    measured = Measured(
        prepare_s=prepared - begin,
        execute_s=executed - prepared,
        fault=done.violation.fault.value if done.violation else None if done.reached else done.outcome.value,
        contacts=summary.num_contacts,
        touched=tuple(contacts[0][1:]) if contacts else None,
        speed=ready.settings.speed,
        adaptation=None if ready.adaptation is None else ready.adaptation.message,
        planned_duration_s=motion.duration,
        duration_s=summary.duration,
        tracking_rms_mrad=summary.tracking_rms,
        tracking_peak_mrad=summary.tracking_peak,
        peak_torque_share=summary.torque_share or 0.0,  # of what was refused: it never moved
        planned_clearance_m=_clearance(problem, motion.positions),
        measured_clearance_m=_clearance(problem, done.recording.measured[spaced_rows(done.recording.times, 0.005)]),
    )
    return replace(record, outcome=done.outcome.value, message=done.message, measured=measured)


def _clearance(problem: Problem, path: np.ndarray) -> float | None:
    """Of a path (n, dof), which may have no rows; the judge proves what lies between them."""
    inside = problem.robot.clipped(path)  # a goal at a limit may be overshot by a hair
    return finite_or_none(Judge(problem.robot, problem.scene).clearance(inside, tightness=1e-4)) if len(path) else None


_MEASURED = Layout(
    Measured,
    {
        "prepare_s": read_time,
        "execute_s": read_time,
        "fault": or_null(JsonNode.text),
        "contacts": JsonNode.integer,
        "touched": lambda node: tuple(name.text() for name in node.entries()),
        "speed": lambda node: node.number(0, 1),
        "adaptation": or_null(JsonNode.text),
        "planned_duration_s": read_time,
        "duration_s": read_time,
        "tracking_rms_mrad": JsonNode.number,
        "tracking_peak_mrad": JsonNode.number,
        "peak_torque_share": JsonNode.number,
        "planned_clearance_m": or_null(JsonNode.number),
        "measured_clearance_m": or_null(JsonNode.number),
    },
)

_LAYOUT = Layout(
    ExecutedRecord,
    {
        "set": JsonNode.text,
        "index": JsonNode.integer,
        "status": JsonNode.text,
        "outcome": JsonNode.text,
        "message": JsonNode.text,
        "plan_s": read_time,
    },
)


def parse_executed(node: JsonNode) -> ExecutedRecord:
    """A line, every field checked.

    Raises:
        FileFormatError: names the field.
    """
    record = _LAYOUT.parse(node)
    return record if record.outcome == NO_PLAN else replace(record, measured=_MEASURED.parse(node))


def read_executed(path: str | Path) -> list[ExecutedRecord]:
    """The lines of a file, without those that describe runs. Raises as `edmp.bench.records.read_records`."""
    return read_results(path, "executed plans", parse_executed, known={*_LAYOUT.fields, *_MEASURED.fields})


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
        speed: median share of the planned speed [1].
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
    speed: float = math.nan


def summarise_executed(records: Iterable[ExecutedRecord]) -> list[ExecutedSummary]:
    """One summary a set, and one for all."""
    executed = [(record, record.measured) for record in records if record.measured is not None]
    sets = sorted({record.set for record, _ in executed})
    groups = [(name, [pair for pair in executed if pair[0].set == name]) for name in sets] + [("all", executed)]
    return [_summary(name, group) for name, group in groups]


def _summary(name: str, executed: list[tuple[ExecutedRecord, Measured]]) -> ExecutedSummary:
    every = [measured for _, measured in executed]
    reached = [measured for record, measured in executed if record.outcome == Outcome.REACHED.value]
    loss = [
        one.planned_clearance_m - one.measured_clearance_m
        for one in reached
        if one.planned_clearance_m is not None and one.measured_clearance_m is not None
    ]
    clearances = [one.measured_clearance_m for one in every if one.measured_clearance_m is not None]
    speeds = [one.speed for one in every if one.speed is not None]
    return ExecutedSummary(
        set=name,
        executed=len(every),
        reached=len(reached),
        stopped=len(every) - len(reached),
        touched=sum(one.contacts > 0 for one in every),
        tracking_peak=max((one.tracking_peak_mrad for one in every), default=math.nan),
        tracking_rms=float(np.median([one.tracking_rms_mrad for one in every])) if every else math.nan,
        torque_share=max((one.peak_torque_share for one in every), default=math.nan),
        clearance_loss=max(loss, default=math.nan),
        min_clearance=min(clearances, default=math.nan),
        faults=dict(Counter(one.fault for one in every if one.fault)),
        speed=float(np.median(speeds)) if speeds else math.nan,
    )
