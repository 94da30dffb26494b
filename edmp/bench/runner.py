"""Running planners over problems, one after the other, timed alike."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edmp.bench.planners import BenchPlanner, PlannerOptions, make_planner
from edmp.bench.problems import BenchProblem
from edmp.bench.records import Record, Writer, error_record, key_of, read_records, record_of, refuse_mixture
from edmp.outfile import check_writable
from edmp.robots import load_robot
from edmp.robots.errors import InvalidInputError


@dataclass(frozen=True)
class RunSettings:
    """How a benchmark is run.

    Attributes:
        robot: name or description file.
        seed: given to every plan.
        options: of the planners.
        resume: go on with an existing file, skipping what it holds.
        force: overwrite an existing file.
    """

    robot: str = "panda"
    seed: int = 0
    options: PlannerOptions = field(default_factory=PlannerOptions)
    resume: bool = False
    force: bool = False


@dataclass(frozen=True)
class WarmUp:
    """The first plan of a planner, which compiles and caches and is not counted; ``seconds`` [s]."""

    planner: str
    seconds: float


def run(
    problems: Sequence[BenchProblem],
    planners: Sequence[str],
    out: str | Path,
    settings: RunSettings,
    *,
    on_warm_up: Callable[[WarmUp], None] = lambda _: None,
    on_record: Callable[[Record], None] = lambda _: None,
) -> list[Record]:
    """Plan every problem with every planner and append one line each to ``out``.

    Interrupting it keeps the lines already written. Before a planner's first counted problem, that problem is planned
    once for nothing.

    Returns:
        All records of the file, those of earlier runs included.

    Raises:
        InvalidInputError: ``out`` cannot be written, exists without ``resume`` or ``force``, or was made with other
            settings; or an option makes no sense.
        UnknownNameError: no such robot, planner, ensemble or prior.
    """
    out = check_writable(out, "--out")
    if not planners:
        raise InvalidInputError("planners: name at least one")
    robot = load_robot(settings.robot).name
    made = {name: make_planner(name, settings.options) for name in dict.fromkeys(planners)}
    records = _earlier(out, settings, robot)
    done = {key_of(record) for record in records}
    with Writer(out, append=settings.resume) as writer:
        for name, planner in made.items():
            todo = [entry for entry in problems if (name, entry.set, entry.index) not in done]
            if todo:
                on_warm_up(_warm_up(name, planner, todo[0], settings))
            for entry in todo:
                record = _one(name, planner, entry, settings, robot)
                writer.write(record)
                records.append(record)
                on_record(record)
    return records


def count_todo(problems: Sequence[BenchProblem], planners: Sequence[str], records: Sequence[Record]) -> int:
    """How many plans are still to be made."""
    done = {key_of(record) for record in records}
    return sum((name, entry.set, entry.index) not in done for name in dict.fromkeys(planners) for entry in problems)


def _earlier(out: Path, settings: RunSettings, robot: str) -> list[Record]:
    if settings.force or not out.exists() or out.stat().st_size == 0:
        return []
    if not settings.resume:
        raise InvalidInputError(f"--out: {out} exists; go on with --resume or overwrite it with --force")
    records = read_records(out)
    refuse_mixture(records, robot=robot, seed=settings.seed, options=settings.options.given(), path=out)
    return records


def _warm_up(name: str, planner: BenchPlanner, entry: BenchProblem, settings: RunSettings) -> WarmUp:
    begin = time.perf_counter()
    with contextlib.suppress(Exception):  # an error will show again, in the record of this problem
        planner.plan(entry.load(settings.robot), settings.seed)
    return WarmUp(name, time.perf_counter() - begin)


def _one(name: str, planner: BenchPlanner, entry: BenchProblem, settings: RunSettings, robot: str) -> Record:
    begin = time.perf_counter()
    try:
        problem = entry.load(settings.robot)
        begin = time.perf_counter()
        result = planner.plan(problem, settings.seed)
        seconds = time.perf_counter() - begin
        record = record_of(entry, problem, name, result, seconds, seed=settings.seed)
    except Exception as error:  # a planner that breaks on one problem must not end the comparison
        record = error_record(entry, name, error, time.perf_counter() - begin, robot=robot, seed=settings.seed)
    record["options"] = settings.options.given()
    return record
