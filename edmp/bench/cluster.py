"""Dealing problems out over a Ray cluster: the same processes as on one machine, each beside a Ray actor.

An actor holds one CPU of the cluster and supervises one process, so that time-outs, crashes and records are those of a
run without Ray. The nodes need edmp, the planners' packages, and the problems at the same paths as here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from edmp.bench.problems import BenchProblem
from edmp.bench.records import CRASHED, blank_record
from edmp.bench.worker import Event, Job, Worker
from edmp.errors import EdmpError, InvalidInputError, MissingDependencyError


class Supervisor:
    """What an actor does: it keeps one `Worker` for the planner that it was last asked for.

    Args:
        folder: the working folder of the run, for relative paths; left alone where it does not exist.
        python_path: where the run imports from, for planners that are not installed.
    """

    def __init__(self, folder: str, python_path: list[str]) -> None:
        if os.path.isdir(folder):  # noqa: PTH112
            os.chdir(folder)
        sys.path += [place for place in python_path if place not in sys.path]
        self._worker: Worker | None = None

    def solve(self, job: Job, entry: BenchProblem) -> list[Event]:
        """All that comes of one problem; the record is last."""
        if self._worker is None or self._worker.job != job:
            if self._worker is not None:
                self._worker.end()
            self._worker = Worker(job)
        worker = self._worker
        events: list[Event] = []
        worker.give(entry)
        while worker.busy:
            wait(worker.waitables, timeout=max(0.0, worker.left))
            events += worker.collect()
        return events


def import_ray() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(f"running on a Ray cluster needs Ray: pip install edmp[ray] ({error})") from None
    return ray


@contextlib.contextmanager
def connected(count: int | None) -> Iterator[int]:
    """A Ray cluster, and how many of its CPUs to use.

    It is the one that the environment variable RAY_ADDRESS names (``auto`` finds the one this machine belongs to), all
    of it unless ``count`` is given. Without that variable, one of ``count`` CPUs is started here, and ended again.

    Raises:
        MissingDependencyError: Ray is not installed.
        InvalidInputError: there is no cluster at that address, or it has not so many CPUs.
    """
    ray = import_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, count)
    try:
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < (count or 1):
            raise InvalidInputError(f"--workers: {count or 1} wanted, but the Ray cluster has {there} CPUs")
        yield count or there
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, count: int | None) -> None:
    if address := os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(log_to_driver=False)  # Ray itself reads the variable
        except ConnectionError as error:
            raise InvalidInputError(f"no Ray cluster at RAY_ADDRESS={address}: {error}") from None
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of one run tells nobody
    ray.init(address="local", num_cpus=count or 1, include_dashboard=False, log_to_driver=False)


def deal_over_ray(todo: deque[tuple[Job, BenchProblem]], count: int) -> Generator[Event, None, None]:
    """Deal tasks out to ``count`` CPUs of the connected cluster; what comes of them, as it comes.

    Raises:
        EdmpError: a process could not be started.
    """
    ray = import_ray()
    make = ray.remote(num_cpus=1)(Supervisor).remote
    here = (os.getcwd(), sys.path)  # noqa: PTH109
    actors = [make(*here) for _ in range(min(count, len(todo)))]
    idle = list(actors)
    running: dict[Any, tuple[Any, Job, BenchProblem, float]] = {}
    again: set[tuple[str, BenchProblem]] = set()
    try:
        while todo or running:
            while todo and idle:
                actor, (job, entry) = idle.pop(), todo.popleft()
                running[actor.solve.remote(job, entry)] = actor, job, entry, time.monotonic()
            (ready,), _ = ray.wait(list(running), num_returns=1)
            actor, job, entry, since = running.pop(ready)
            try:
                events = ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise EdmpError(str(error.cause)) from error
            except ray.exceptions.RayActorError as error:
                actors.remove(actor)
                actor = make(*here)
                actors.append(actor)
                events = []
                if (job.spec.text, entry) in again:
                    events = [_lost(job, entry, str(error), time.monotonic() - since)]
                else:  # perhaps the node went down: once more, elsewhere
                    again.add((job.spec.text, entry))
                    todo.appendleft((job, entry))
            idle.append(actor)
            yield from events
    finally:
        for actor in actors:
            ray.kill(actor)  # its process goes with it


def _lost(job: Job, entry: BenchProblem, why: str, seconds: float) -> Event:
    record = blank_record(entry, job.spec, robot=job.robot_name, seed=job.seed)
    return replace(
        record, status=CRASHED, message=f"its Ray worker was lost twice: {why.splitlines()[0]}", time_s=seconds
    )
