"""One process that runs one planner, and its supervisor, who ends it when it hangs and starts it again when it died.

A planner has its process to itself: memory, threads and caches are its own, and a crash ends nothing but one problem.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edmp.bench.examine import examine
from edmp.bench.planners import BenchPlanner, PlannerSpec, make_planner
from edmp.bench.problems import BenchProblem
from edmp.bench.records import (
    CRASHED,
    ERROR,
    HUNG,
    Record,
    blank_record,
    peak_rss_mb,
    with_claim,
    with_examination,
    with_problem,
    with_sight,
)
from edmp.bench.sight import seen
from edmp.errors import EdmpError
from edmp.problem import Problem
from edmp.threads import set_kernel_threads

LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that say how many threads numerical libraries use; read when these are imported."""

STARTING, LOADING, WARMING_UP = "starting", "loading the problem", "warming up"
PLANNING, JUDGING = "planning", "judging"
"""What a process is at."""

_PR_SET_PDEATHSIG = 1  # of prctl(2)


@dataclass(frozen=True)
class WarmUp:
    """The first plan of a process, which compiles and caches and is not counted.

    Attributes:
        planner: whose, as a spec.
        seconds: since the process was started, imports included; of later arms, since their own plan began [s].
    """

    planner: str
    seconds: float


Event = WarmUp | Record


@dataclass(frozen=True)
class Job:
    """What a process is for.

    Attributes:
        spec: its planner.
        robot: name or description file.
        robot_name: of that robot.
        seed: given to every plan.
        timeout: wall time for one plan before the process is killed [s].
        allowance: what comes before and after it may take so much longer: imports, compiling, judging [s].
        one_thread: every numerical library gets one thread, for processes that share the cores.
    """

    spec: PlannerSpec
    robot: str
    robot_name: str
    seed: int
    timeout: float
    allowance: float
    one_thread: bool


# --- in the process --------------------------------------------------------------------------------------------------


class Solver:
    """Loads, plans and examines one problem after the other with one planner.

    Args:
        job: what for.
        started: when the process was, on the monotonic clock [s].
        say: told what comes next (one of the words above) and about each `WarmUp`.
    """

    def __init__(self, job: Job, started: float, say: Callable[[str | WarmUp], None] = lambda _: None) -> None:
        self._job, self._started, self._say = job, started, say
        self._phase = STARTING
        self._made: BenchPlanner | None = None
        self._warm: set[tuple[str, float | None]] = set()

    def solve(self, entry: BenchProblem) -> Record:
        """One problem. A planner that raises on it must not end the comparison: its error is the record."""
        job = self._job
        record = blank_record(entry, job.spec, robot=job.robot_name, seed=job.seed)
        self._enter(LOADING)
        begin = time.perf_counter()
        try:
            true = entry.load(job.robot)
            record = with_problem(record, true)
            problem = seen(true, job.spec.sight)
            record = with_sight(record, problem)
            planner = self._planner(problem, (problem.robot.name, record.gripper_width))
            self._enter(PLANNING)
            begin = time.perf_counter()
            claim = planner.plan(problem, job.seed)
            record = replace(record, time_s=time.perf_counter() - begin, peak_rss_mb=peak_rss_mb())
            self._enter(JUDGING)
            record = with_claim(record, claim)
            record = with_examination(record, examine(problem, claim, true=true))
        except Exception as error:
            place = "" if self._phase == PLANNING else f" while {self._phase}"
            message = f"{type(error).__name__}{place}: {error}"
            record = replace(record, solved=False, status=ERROR, message=message)
            if record.time_s is None:
                record = replace(record, time_s=time.perf_counter() - begin, peak_rss_mb=peak_rss_mb())
        return record

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._say(phase)

    def _planner(self, problem: Problem, arm: tuple[str, float | None]) -> BenchPlanner:
        """The planner, after a first plan for this arm: what it keeps may have to be made anew for another opening."""
        self._enter(WARMING_UP)
        begin = time.monotonic() if self._warm else self._started
        if self._made is None:
            self._made = make_planner(self._job.spec)
        if arm not in self._warm:
            with contextlib.suppress(Exception):  # an error will show again, in the record
                self._made.plan(problem, self._job.seed)
            self._warm.add(arm)
            self._say(WarmUp(self._job.spec.text, time.monotonic() - begin))
        return self._made


def _serve(connection: Connection, job: Job, started: float) -> None:
    """Solve the problems that come through the connection, until it is closed."""
    os.setsid()  # so that whatever a planner starts can be ended with it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the supervisor may be killed, too
    os.dup2(2, 1)  # what planners print must not stand among results
    if job.one_thread:
        import torch

        set_kernel_threads(1)
        torch.set_num_threads(1)
    connection.send(STARTING)
    solver = Solver(job, started, connection.send)
    while True:
        try:
            entry = connection.recv()
        except EOFError:
            return
        connection.send(solver.solve(entry))


# --- its supervisor --------------------------------------------------------------------------------------------------


class Worker:
    """The process of one job, started when there is something to do, and again after it was lost."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._entry: BenchProblem | None = None
        self._phase, self._since = STARTING, 0.0
        self._up = False

    @property
    def busy(self) -> bool:
        return self._entry is not None

    @property
    def left(self) -> float:
        """Time until the process is taken for hanging [s]."""
        limit = self.job.timeout + (0.0 if self._phase == PLANNING else self.job.allowance)
        return self._since + limit - time.monotonic()

    @property
    def waitables(self) -> list[Any]:
        """For `multiprocessing.connection.wait`: ready when there is something to collect."""
        return [self._connection, self._process.sentinel] if self._connection and self._process else []

    def give(self, entry: BenchProblem) -> None:
        """Have a problem solved; the worker must not be busy."""
        if self._process is None or self._connection is None or not self._process.is_alive():
            self.end()
            self._start()
        self._entry = entry
        self._phase, self._since = STARTING, time.monotonic()
        with contextlib.suppress(OSError):  # it died idle: its silence will be collected
            self._connection.send(entry)  # type: ignore[union-attr]

    def collect(self) -> Iterator[Event]:
        """What has come of the problem: never waits; the worker is free again after a record.

        Raises:
            EdmpError: the process could not even start.
        """
        if self._entry is None or self._connection is None or self._process is None:
            return
        try:
            while self._entry is not None and self._connection.poll():
                message = self._connection.recv()
                self._up = True
                if isinstance(message, str):
                    self._phase, self._since = message, time.monotonic()
                else:
                    if not isinstance(message, WarmUp):
                        self._entry = None
                    yield message
        except (EOFError, OSError):
            yield self._crashed()
            return
        if self._entry is None:
            return
        if not self._process.is_alive() and not self._connection.poll():  # what it started may hold the connection
            yield self._crashed()
        elif self.left <= 0:
            yield self._hung()

    def end(self) -> None:
        """End the process and all that it started, whatever it is at."""
        if self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()  # it may not have come to `setsid` yet
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = self._entry = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.job, time.monotonic()))
        self._up = False
        with _environment(dict.fromkeys(LIBRARY_THREADS, "1") if self.job.one_thread else {}), _sigint_blocked():
            self._process.start()
        theirs.close()  # so that its end is seen

    def _crashed(self) -> Record:
        assert self._process is not None
        self._process.join(5.0)  # it may live on, deaf and dumb
        how = cause_of_death(self._process.exitcode)
        if not self._up:
            self.end()
            raise EdmpError(f"a process for planner {self.job.spec.text!r} {how} before it could begin")
        return self._lost(CRASHED, f"the process {how} while {self._phase}", peak=None)

    def _hung(self) -> Record:
        assert self._process is not None
        message = f"no answer after {time.monotonic() - self._since:.0f} s of {self._phase}; the process was killed"
        return self._lost(HUNG, message, peak=_peak_rss_mb_of(self._process.pid))

    def _lost(self, status: str, message: str, *, peak: float | None) -> Record:
        assert self._entry is not None
        record = blank_record(self._entry, self.job.spec, robot=self.job.robot_name, seed=self.job.seed)
        taken = time.monotonic() - self._since
        self.end()
        return replace(record, status=status, message=message, time_s=taken, peak_rss_mb=peak)


def cause_of_death(code: int | None) -> str:
    """How a process ended, by its exit code as `multiprocessing` has it."""
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _peak_rss_mb_of(pid: int | None) -> float | None:
    """Largest resident memory of a running process so far [MB]."""
    with contextlib.suppress(OSError), Path(f"/proc/{pid}/status").open(encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The environment that a process inherits which is started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """A process that is started meanwhile never sees Ctrl-C, which its supervisor answers; here it only waits."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
