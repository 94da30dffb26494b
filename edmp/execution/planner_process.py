"""A planner in a process of its own: it leaves the control loop its core, and can be ended when it hangs."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from edmp.constraints import Constraint
from edmp.errors import EdmpError, InvalidInputError
from edmp.planner.planner import Planner
from edmp.planner.settings import PlannerSettings
from edmp.problem import GoalLike, StartLike, as_problem, escape_depth
from edmp.ranges import Range
from edmp.result import PlanResult, Stats, Status
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.threads import set_kernel_threads

log = logging.getLogger(__name__)

_READY = "ready"
_NICENESS = 5
"""So much nicer than the control loop is the planner, where both want the same core."""
_ORPHAN_CHECK = 0.5
"""Time between two looks whether the parent still lives [s]."""


@dataclass(frozen=True)
class _Made:
    """What the planner of the other process is made of."""

    robot: Robot | str | Path
    prior: str | Path | None
    ensemble: str
    settings: PlannerSettings | None


class PlannerProcess:
    """Plans as `edmp.Planner` does, in another process; use it as a context manager, or `close` it.

    A process that crashes, or does not answer in time, is killed and started anew, and the call returns a failure that
    says so. On Windows and macOS, as always with new processes, the program's main module must be importable.

    Args:
        robot, prior, ensemble, settings: as for `Planner`; a prior by name or file.
        grace: the process is killed this much after a call's time budget [s].
        start_timeout: longest time to load the planner, which may have to compile its kernels [s].

    Raises:
        EdmpError: the planner cannot be made; the message says why.
    """

    def __init__(
        self,
        robot: Robot | str | Path = "panda",
        *,
        prior: str | Path | None = None,
        ensemble: str = "default",
        settings: PlannerSettings | None = None,
        grace: float = 0.5,
        start_timeout: float = 120.0,
    ) -> None:
        if not Range(0).holds(grace) or not Range(0, above=True).holds(start_timeout):
            raise InvalidInputError(f"needs grace >= 0 and start_timeout > 0, got {grace!r}, {start_timeout!r}")
        self._made = _Made(robot, prior, ensemble, settings)
        self._grace = grace
        self._lock = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._ready = self._closed = False
        self._start()
        try:
            if not self._wait_ready(start_timeout):
                raise EdmpError(f"the planner's process was not ready after {start_timeout:g} s")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """Of the process; None if there is none."""
        return self._process.pid if self._process else None

    def plan(
        self,
        scene: Scene,
        start: StartLike,
        goal: GoalLike | Sequence[GoalLike],
        *,
        seed: int = 0,
        time_budget: float = 10.0,
        fallback: bool = True,
        warm: ArrayLike | None = None,
        constraints: Sequence[Constraint] = (),
        escape: bool | float = False,
    ) -> PlanResult:
        """As `Planner.plan`. A process that died gives NO_PATH_FOUND, one that hung or is not ready again TIMEOUT.

        Raises:
            EdmpError: what the planner raised; or the process has been closed.
        """
        begin = time.perf_counter()
        keywords = {
            "seed": seed,
            "time_budget": time_budget,
            "fallback": fallback,
            "warm": warm,
            "constraints": tuple(constraints),
            "escape": escape,
        }
        with self._lock:
            if self._closed:
                raise EdmpError("the planner's process has been closed")
            try:
                if not self._wait_ready(time_budget):
                    return _failure(Status.TIMEOUT, "the planner's process is being started again", begin)
                assert self._connection is not None
                self._connection.send(((scene, start, goal), keywords))
                limit = time_budget + self._grace
                if not self._connection.poll(max(0.0, begin + limit - time.perf_counter())):
                    message = f"the planner did not answer within {limit:.2f} s; its process was killed"
                    self._restart()
                    return _failure(Status.TIMEOUT, message, begin)
                answer = self._connection.recv()
            except (EOFError, OSError):
                message = f"the planner's process {self._how_it_ended()}; it is being started again"
                self._restart()
                return _failure(Status.NO_PATH_FOUND, message, begin)
        if isinstance(answer, PlanResult):
            made = self._made.robot
            robot = made if isinstance(made, Robot) else load_robot(made)
            depth = escape_depth(escape)
            problem = as_problem(robot, scene, start, goal, constraints=constraints, escape=depth)
            return dataclasses.replace(answer, problem=problem)
        raise answer

    def close(self) -> None:
        """End the process, whatever it is at. Safe to call twice."""
        self._closed = True
        self._end()

    def __enter__(self) -> PlannerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._made, os.getpid()), name="edmp-planner", daemon=True
        )
        self._ready = False
        self._process.start()
        theirs.close()  # so that its end is seen

    def _wait_ready(self, timeout: float) -> bool:
        """Has the planner been loaded?

        Raises:
            EdmpError: it cannot be made.
            EOFError, OSError: its process has died.
        """
        if not self._ready:
            assert self._connection is not None
            if not self._connection.poll(timeout):
                return False
            answer = self._connection.recv()
            if answer != _READY:
                raise answer
            self._ready = True
        return True

    def _restart(self) -> None:
        log.warning("the planner's process is started again")
        self._end()
        if not self._closed:
            self._start()

    def _end(self) -> None:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None and process.pid is not None:
            process.kill()
            process.join()
        if connection is not None:
            connection.close()

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "has been closed"
        self._process.join(1.0)
        code = self._process.exitcode
        if code is None:
            return "closed its connection"
        return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


def _failure(status: Status, message: str, begin: float) -> PlanResult:
    return PlanResult(status, message, None, (), Stats(None, time.perf_counter() - begin))


# -- the other process ------------------------------------------------------------------------------------------------


def _serve(connection: Connection, made: _Made, parent: int) -> None:
    """Plan what comes through the connection, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    set_kernel_threads(1)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    try:
        planner = Planner(made.robot, prior=made.prior, ensemble=made.ensemble, settings=made.settings)
    except Exception as error:
        connection.send(_portable(error))
        return
    connection.send(_READY)
    while True:
        try:
            arguments, keywords = connection.recv()
        except EOFError:
            return
        answer: Any
        try:
            answer = planner.plan(*arguments, **keywords)
            answer = dataclasses.replace(answer, problem=None)  # who asked knows it, and it need not be sent back
        except Exception as error:
            answer = _portable(error)
        connection.send(answer)


def _end_with(parent: int) -> None:
    """A parent that was killed cannot end its children; a hanging planner would live on."""
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK)
    os._exit(1)


def _portable(error: Exception) -> EdmpError:
    """The same message in an exception that any process can read."""
    if isinstance(error, InvalidInputError):
        return InvalidInputError(str(error))
    return EdmpError(str(error) if isinstance(error, EdmpError) else f"{type(error).__name__}: {error}")
