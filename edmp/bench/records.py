"""Results on disk: one JSON object a line: one line a problem and planner, one for each run."""

from __future__ import annotations

import resource
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import edmp
from edmp.baselines.base import Claim
from edmp.bench.examine import Examination
from edmp.bench.planners import PlannerSpec
from edmp.bench.problems import BenchProblem
from edmp.bench.provenance import RunDescription, parse_run
from edmp.files.json_lines import Layout, read_lines, warn_of_unknown
from edmp.files.json_nodes import JsonNode
from edmp.planfile import finite_or_none
from edmp.problem import Problem
from edmp.result import Status

T = TypeVar("T")

REFUTED = "REFUTED"
"""Status of a problem whose claimed path the judge found wanting."""

ERROR, CRASHED, HUNG = "ERROR", "CRASHED", "HUNG"
"""Statuses of problems on which the planner raised an exception, took its process down, or never came back."""

INVALID = frozenset(
    status.value
    for status in (
        Status.START_OUT_OF_LIMITS,
        Status.GOAL_OUT_OF_LIMITS,
        Status.START_IN_COLLISION,
        Status.GOAL_IN_COLLISION,
        Status.START_IN_SELF_COLLISION,
        Status.GOAL_IN_SELF_COLLISION,
        Status.GOAL_UNREACHABLE,
    )
)
"""Statuses that say that the problem itself has no solution."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of results: a problem and what a planner made of it. Lines of older files leave some fields out.

    Attributes:
        set, index: the problem.
        planner: its spec.
        robot, gripper_width: the arm, and how far its gripper is open [m].
        seed: given to the plan.
        options: those that the spec chose.
        version: of edmp.
        claimed: the planner said SOLVED.
        solved: and the judge found nothing wrong.
        refuted: what the judge found wrong.
        status: the planner's, or one of REFUTED, ERROR, CRASHED, HUNG.
        message: the cause, in words.
        stage: of edmp.
        time_s: wall time of the plan [s].
        timings: by part [s].
        judge_s: wall time of the harness's judge, not in ``time_s`` [s].
        ready_s: ``time_s``, with judging and timing here where the planner does not do it itself [s].
        first_s: when the planner had its first certified motion, if it says so [s].
        path: (n, dof) [rad].
        times: (m,) of the timed motion's samples [s].
        length_rad, duration_s: of the motion [rad], [s].
        min_clearance_m: proved along the motion [m]; None also without obstacles.
        sparc: see `edmp.bench.metrics`.
        rms_jerk, max_jerk: of all joints, of any joint [rad/s^3].
        breaches: samples of path and timed motion at which a dumb checker found a constraint broken, a look every 1
            mrad; None without constraints, and of motions that were refuted.
        sight: how the planner was given the problem, see `edmp.bench.sight`.
        unseen_share: of the space in the bounds of the map that the planner was given, 0..1; None if it got no map.
        untrue: what the judge found wrong with the motion among the true shapes, if the planner saw others.
        coarse_solved: by the criterion of Motion Policy Networks; None in lines that do not say.
        num_alternatives: motions besides the best.
        num_obstacles: in the scene.
        num_constraints: of the problem.
        best_known_rad: length that came with the problem [rad].
        solvable: a path that the judge has certified came with the problem.
        peak_rss_mb: largest resident memory of the process [MB].
    """

    # which plan
    set: str
    index: int
    planner: str
    robot: str | None = None
    gripper_width: float | None = None
    seed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    # what came of it
    claimed: bool = False
    solved: bool
    refuted: str | None = None
    status: str = ""
    message: str = ""
    stage: str | None = None
    time_s: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    judge_s: float | None = None
    ready_s: float | None = None
    first_s: float | None = None
    # the motion
    path: list[list[float]] | None = None
    times: list[float] | None = None
    length_rad: float | None = None
    duration_s: float | None = None
    min_clearance_m: float | None = None
    sparc: float | None = None
    rms_jerk: float | None = None
    max_jerk: float | None = None
    breaches: int | None = None
    sight: str | None = None
    unseen_share: float | None = None
    untrue: str | None = None
    coarse_solved: bool | None = None
    num_alternatives: int = 0
    # the problem and the process
    num_obstacles: int | None = None
    num_constraints: int | None = None
    best_known_rad: float | None = None
    solvable: bool = False
    peak_rss_mb: float | None = None

    @property
    def problem(self) -> ProblemKey:
        """Which problem the line is about."""
        return self.set, self.index

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes a line of a results file unique."""
        return self.planner, self.set, self.index

    def to_line(self) -> dict[str, Any]:
        """The line as plain data for JSON."""
        return asdict(self)


ProblemKey = tuple[str, int]
"""Set and number of a problem."""


def blank_record(entry: BenchProblem, spec: PlannerSpec, *, robot: str, seed: int) -> Record:
    """A line before anything is known."""
    return Record(
        set=entry.set,
        index=entry.index,
        planner=spec.text,
        robot=robot,
        seed=seed,
        options=dict(spec.options),
        sight=spec.sight,
        version=edmp.__version__,
        solved=False,
        status=ERROR,
        coarse_solved=False,
        best_known_rad=entry.best_known,
        solvable=entry.solvable,
    )


def with_problem(record: Record, problem: Problem) -> Record:
    """The line with what is known of a problem once it is read."""
    return replace(
        record,
        robot=problem.robot.name,
        gripper_width=problem.robot.gripper.width if problem.robot.gripper else None,
        num_obstacles=len(problem.scene.obstacles),
        num_constraints=len(problem.constraints),
    )


def with_sight(record: Record, seen: Problem) -> Record:
    """The line with what is known of a problem as the planner sees it."""
    return replace(record, unseen_share=seen.scene.unseen.share if seen.scene.unseen else None)


def with_claim(record: Record, claim: Claim) -> Record:
    """The line with what the planner said."""
    claimed, path = claim.status is Status.SOLVED, None
    if claimed and claim.path is not None:
        values = np.asarray(claim.path, dtype=np.float64)
        path = values.tolist() if np.isfinite(values).all() else None
    return replace(
        record,
        claimed=claimed,
        status=claim.status.value,
        message=claim.message,
        stage=claim.stage.value if claim.stage else None,
        timings={name: float(value) for name, value in claim.timings.items()},
        num_alternatives=claim.num_alternatives,
        first_s=claim.first_s,
        path=path,
    )


def with_examination(record: Record, found: Examination) -> Record:
    """The line with what was found about the claim."""
    solved = record.claimed and found.refuted is None
    ready = None
    if solved and record.time_s is not None:
        ready = record.time_s + (0.0 if found.timing_s is None else found.judge_s + found.timing_s)
    return replace(
        record,
        refuted=found.refuted,
        solved=solved,
        status=record.status if found.refuted is None else REFUTED,
        message=record.message if found.refuted is None else found.refuted,
        judge_s=found.judge_s if record.claimed else None,
        ready_s=ready,
        times=found.trajectory.times.tolist() if found.trajectory else None,
        duration_s=found.duration,
        length_rad=found.length,
        min_clearance_m=finite_or_none(found.min_clearance),
        sparc=found.sparc,
        rms_jerk=found.rms_jerk,
        max_jerk=found.max_jerk,
        breaches=found.breaches,
        untrue=found.untrue,
        coarse_solved=found.coarse_solved,
    )


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


# --- reading ---------------------------------------------------------------------------------------------------------


def read_time(node: JsonNode) -> float:
    """Wall time or duration [s]."""
    return node.number(0, LONGEST)


def _motion_number(node: JsonNode) -> float:
    return node.number(-1e12, 1e12)


LONGEST = 1e7
"""No plan and no motion takes longer [s]."""

_READ: Mapping[str, Callable[[JsonNode], Any]] = {
    "set": lambda node: node.text(least=1),
    "index": JsonNode.integer,
    "planner": lambda node: node.text(least=1),
    "robot": JsonNode.text,
    "gripper_width": lambda node: node.number(0),
    "seed": lambda node: node.integer(0, 2**64),
    "options": lambda node: {name: value.plain() for name, value in node.items()},
    "version": JsonNode.text,
    "claimed": JsonNode.boolean,
    "solved": JsonNode.boolean,
    "refuted": JsonNode.text,
    "status": JsonNode.text,
    "message": JsonNode.text,
    "stage": JsonNode.text,
    "time_s": read_time,
    "timings": lambda node: {name: value.number(-LONGEST, LONGEST) for name, value in node.items()},
    "judge_s": read_time,
    "ready_s": read_time,
    "first_s": read_time,
    "path": lambda node: node.array(None, None).tolist(),
    "times": lambda node: node.array(None).tolist(),
    "length_rad": lambda node: node.number(0),
    "duration_s": read_time,
    "min_clearance_m": JsonNode.number,
    "sparc": _motion_number,
    "rms_jerk": _motion_number,
    "max_jerk": _motion_number,
    "breaches": JsonNode.integer,
    "sight": JsonNode.text,
    "unseen_share": lambda node: node.number(0, 1),
    "untrue": JsonNode.text,
    "coarse_solved": JsonNode.boolean,
    "num_alternatives": JsonNode.integer,
    "num_obstacles": JsonNode.integer,
    "num_constraints": JsonNode.integer,
    "best_known_rad": lambda node: node.number(0),
    "solvable": JsonNode.boolean,
    "peak_rss_mb": lambda node: node.number(0),
}
"""What each field of a line must be."""

LAYOUT = Layout(Record, _READ)


def parse_record(node: JsonNode) -> Record:
    """A line of results, every field checked; keys that this edmp does not know are left out.

    Raises:
        FileFormatError: names the field.
    """
    record = LAYOUT.parse(node)
    if node.get("claimed") is None:  # an older file: only what was solved counted
        record = replace(record, claimed=record.solved)
    if record.solved and record.path is not None and len(record.path) == 0:
        node["path"].fail("a motion has one waypoint at least")
    return record


def read_records(path: str | Path) -> list[Record]:
    """The results in a file, fields that an older file does not have at their defaults.

    A last line cut off is left out. Keys that this edmp does not know are those of a newer one: a warning names them.

    Raises:
        InvalidInputError: there is no such file.
        FileFormatError: with line and field of what is not a record.
    """
    return read_results(path, "bench results", parse_record, known=_READ)


def read_results(path: str | Path, what: str, parse: Callable[[JsonNode], T], *, known: Collection[str]) -> list[T]:
    """The lines of a file that do not describe runs, each by ``parse``; a warning names keys that are not ``known``.

    Raises as `edmp.files.json_lines.read_lines`, and ``parse``.
    """
    found, unknown = [], set()
    for node in read_lines(path, what):
        if not node.has("run"):
            found.append(parse(node))
            unknown |= node.value.keys() - set(known)
    warn_of_unknown(path, unknown, stacklevel=3)
    return found


def read_runs(path: str | Path) -> list[RunDescription]:
    """What is known of the runs that made a file, in order; none in older files. Raises as `read_records`."""
    return [parse_run(node["run"]) for node in read_lines(path, "bench results") if node.has("run")]
