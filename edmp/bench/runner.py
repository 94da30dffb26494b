"""Running planners over problems: dealt out to processes, timed alike, written by one hand."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import edmp
from edmp.bench.planners import PlannerSpec, make_planner, row
from edmp.bench.problems import BenchProblem
from edmp.bench.provenance import describe_run
from edmp.bench.records import Record, read_records
from edmp.bench.worker import Event, Job, WarmUp, Worker
from edmp.errors import InvalidInputError
from edmp.files.json_lines import LineWriter
from edmp.files.writing import check_writable
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot

Assignment = tuple[Job, BenchProblem]


@dataclass(frozen=True)
class RunSettings:
    """How a benchmark is run.

    Attributes:
        robot: name or description file.
        seed: given to every plan.
        workers: processes side by side; with more than one, each keeps to one thread. By default one, or all that a
            Ray cluster has CPUs for.
        timeout: wall time for one plan before its process is killed [s].
        allowance: what comes before and after a plan may take so much longer: imports, compiling, judging [s].
        ray: run the processes on a Ray cluster.
        resume: go on with an existing file, skipping what it holds.
        force: overwrite an existing file.
    """

    robot: str = "panda"
    seed: int = 0
    workers: int | None = None
    timeout: float = 120.0
    allowance: float = 180.0
    ray: bool = False
    resume: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        ranges = {"timeout": Range(0, above=True), "allowance": Range(0)}
        check_fields(self, ranges if self.workers is None else ranges | {"workers": Range(1, whole=True)})


def run(
    problems: Sequence[BenchProblem],
    specs: Sequence[PlannerSpec],
    out: str | Path,
    settings: RunSettings = RunSettings(),
    *,
    command: str = "",
    on_warm_up: Callable[[WarmUp], None] = lambda _: None,
    on_record: Callable[[Record], None] = lambda _: None,
) -> list[Record]:
    """Plan every problem with every planner and append one line each to ``out``, as they are finished.

    Before its first counted problem with an arm, a process plans that problem once for nothing. Times apart, the
    results do not depend on the number of workers, as far as the planners do not stop by the clock. Interrupting the
    run keeps the lines already written and leaves no process behind.

    Args:
        problems: to be solved.
        specs: of `edmp.bench.planners.parse_specs`.
        out: the file of results.
        settings: see `RunSettings`.
        command: for the description of the run.
        on_warm_up, on_record: called as they come.

    Returns:
        All records of the file, those of earlier runs included.

    Raises:
        InvalidInputError: ``out`` cannot be written, exists without ``resume`` or ``force``, or was made with other
            settings; or a setting of a planner makes no sense.
        UnknownNameError: no such robot, ensemble or prior.
        MissingDependencyError: a planner, or Ray, is not installed.
        EdmpError: a process cannot be started.
    """
    out = check_writable(out, "--out")
    robot = load_robot(settings.robot).name
    for spec in specs:
        make_planner(spec)  # misuse must end the run before its first line, not stand in every line of it
    records = _earlier(out, specs, settings, robot)
    todo = deque(_assignments(problems, specs, settings, robot, records))
    if not todo:
        return records
    with contextlib.ExitStack() as stack:
        deal, workers = _deal, settings.workers or 1
        if settings.ray:
            from edmp.bench.cluster import connected, deal_over_ray

            deal, workers = deal_over_ray, stack.enter_context(connected(settings.workers))
        writer = stack.enter_context(LineWriter(out, append=settings.resume))
        about = describe_run(
            specs, command=command, robot=robot, seed=settings.seed, workers=workers, timeout=settings.timeout
        )
        writer.write(about.to_line())
        for event in stack.enter_context(contextlib.closing(deal(todo, workers))):
            if isinstance(event, WarmUp):
                on_warm_up(event)
                continue
            writer.write(event.to_line())
            records.append(event)
            on_record(event)
    return records


def count_todo(problems: Sequence[BenchProblem], specs: Sequence[PlannerSpec], records: Iterable[Record]) -> int:
    """How many plans are still to be made."""
    done = {record.key for record in records}
    return sum((spec.text, entry.set, entry.index) not in done for spec in specs for entry in problems)


def _assignments(
    problems: Sequence[BenchProblem],
    specs: Sequence[PlannerSpec],
    settings: RunSettings,
    robot: str,
    records: Iterable[Record],
) -> Iterator[Assignment]:
    """What is not done yet, planner by planner."""
    done = {record.key for record in records}
    for spec in specs:
        one_thread = settings.ray or (settings.workers or 1) > 1
        job = Job(spec, settings.robot, robot, settings.seed, settings.timeout, settings.allowance, one_thread)
        for entry in problems:
            if (spec.text, entry.set, entry.index) not in done:
                yield job, entry


def _deal(todo: deque[Assignment], count: int) -> Generator[Event, None, None]:
    """Deal tasks out to processes on this machine; what comes of them, as it comes."""
    workers: list[Worker] = []
    try:
        while todo or any(worker.busy for worker in workers):
            for worker in [w for w in workers if not w.busy]:
                if not todo or worker.job is not todo[0][0]:  # a process serves one planner
                    worker.end()
                    workers.remove(worker)
                else:
                    worker.give(todo.popleft()[1])
            while todo and len(workers) < count:
                job, entry = todo.popleft()
                workers.append(Worker(job))
                workers[-1].give(entry)
            patience = min((worker.left for worker in workers), default=0.0)
            wait([item for worker in workers for item in worker.waitables], timeout=max(0.0, patience))
            for worker in workers:
                yield from worker.collect()
    finally:
        for worker in workers:
            worker.end()


def _earlier(out: Path, specs: Sequence[PlannerSpec], settings: RunSettings, robot: str) -> list[Record]:
    if settings.force or not out.exists() or out.stat().st_size == 0:
        return []
    if not settings.resume:
        raise InvalidInputError(f"--out: {out} exists; go on with --resume or overwrite it with --force")
    records = read_records(out)
    refuse_mixture(records, specs, robot=robot, seed=settings.seed, path=out)
    return records


def refuse_mixture(
    records: Iterable[Record], specs: Sequence[PlannerSpec], *, robot: str, seed: int, path: Path
) -> None:
    """Refuse to go on with another robot or seed than the lines already there, or with a planner that has changed.

    Raises:
        InvalidInputError: says what differs.
    """
    mine = {spec.text: {**row(spec.name).defaults(), **spec.options} for spec in specs}
    for record in records:
        compared: list[tuple[str, Any, Any]] = [("robot", record.robot, robot), ("seed", record.seed, seed)]
        if (options := mine.get(record.planner)) is not None:
            compared.append(("version", record.version, edmp.__version__))
            # Older files hold all options of edmp, newer ones those that were chosen.
            compared += [(key, was, options.get(key)) for key, was in record.options.items()]
        for name, was, now in compared:
            if was != now:
                raise InvalidInputError(f"{path} was made with {name} {was}, now {now}; use another file")
