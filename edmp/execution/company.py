"""What runs beside a control loop: threads on a clock that is real, or turns on a clock that is simulated."""

from __future__ import annotations

import gc
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from edmp.errors import InvalidInputError
from edmp.execution.driver import ArmDriver
from edmp.ranges import Range

log = logging.getLogger(__name__)

Failed = Callable[[Exception], None]
"""Told what a duty raised."""


@dataclass(frozen=True)
class Duty:
    """One step that is done again and again.

    Attributes:
        name: for messages.
        step: does it once.
        period: shortest time from one step to the next [s].
    """

    name: str
    step: Callable[[], None]
    period: float


class Company(ABC):
    """Does duties beside a control loop until it is told to stop.

    Duties tell the time by `now`, and share things with the control loop under `lock` only: this is where a simulated
    company makes them wait.
    """

    @abstractmethod
    def now(self) -> float:
        """The time on the driver's clock [s]."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[object]:
        """For whatever control loop and duties share."""

    @abstractmethod
    def start(self, duties: Sequence[Duty], failed: Failed) -> None:
        """Begin. A duty that raises is not done any more, and ``failed`` is told."""

    @abstractmethod
    def tick(self) -> None:
        """Called by the control loop at every tick."""

    @abstractmethod
    def silence(self, name: str) -> float:
        """Time since a step of this duty ended [s]."""

    @abstractmethod
    def stop(self, timeout: float) -> list[str]:
        """Let the steps under way end, and no other begin; names of those that do not end within ``timeout`` [s]."""


def company_of(
    driver: ArmDriver, *, stopwatch: Callable[[], float] = time.perf_counter, slowdown: float = 1.0
) -> Company:
    """Threads beside an arm whose clock is that on the wall, `Turns` beside one whose time passes with its ticks."""
    return Threads(driver) if driver.real_time else Turns(driver, stopwatch=stopwatch, slowdown=slowdown)


# -- in real time -----------------------------------------------------------------------------------------------------


class _Beat:
    """A thread for one duty."""

    def __init__(self, duty: Duty, failed: Failed) -> None:
        self._duty, self._failed = duty, failed
        self._ending = threading.Event()
        self.last = time.monotonic()
        self.thread = threading.Thread(target=self._run, name=duty.name, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            begin = time.monotonic()
            try:
                self._duty.step()
            except Exception as error:
                log.exception("%s failed", self._duty.name)
                self._failed(error)
                return
            self.last = time.monotonic()
            self._ending.wait(max(0.0, self._duty.period - (self.last - begin)))


class Threads(Company):
    """Each duty has a thread of its own."""

    def __init__(self, driver: ArmDriver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._beats: dict[str, _Beat] = {}

    def now(self) -> float:
        return self._driver.now()

    def lock(self) -> AbstractContextManager[object]:
        return self._lock

    def start(self, duties: Sequence[Duty], failed: Failed) -> None:
        gc.freeze()  # a collection of all that was ever imported would hold up the control loop
        self._beats = {duty.name: _Beat(duty, failed) for duty in duties}

    def tick(self) -> None:
        """Nothing: threads need no help."""

    def silence(self, name: str) -> float:
        return time.monotonic() - self._beats[name].last

    def stop(self, timeout: float) -> list[str]:
        for beat in self._beats.values():
            beat.end()
        limit = time.monotonic() + timeout
        for beat in self._beats.values():
            beat.thread.join(max(0.0, limit - time.monotonic()))
        gc.unfreeze()
        return [name for name, beat in self._beats.items() if beat.thread.is_alive()]


# -- in simulated time ------------------------------------------------------------------------------------------------


class _Worker:
    """A duty that runs only when it is let, and is charged the time that it takes.

    It has a thread, because its step must be able to wait in the middle, but never runs at the same time as another or
    as the control loop.
    """

    def __init__(self, duty: Duty, turns: Turns, failed: Failed) -> None:
        self.duty, self._turns, self._failed = duty, turns, failed
        self.time = self.last = turns.driver.now()
        self.ending = self.ended = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._charged = 0.0
        self.thread = threading.Thread(target=self._run, name=duty.name, daemon=True)
        self.thread.start()

    def resume(self, limit: float) -> bool:
        """Let it work until it has to wait for time to pass; False if it does not come back within ``limit`` [s]."""
        self._go.release()
        return self._back.acquire(timeout=limit)

    def charge(self) -> None:
        """In its own thread: what was computed since it was resumed takes until now; wait until it is that late."""
        spent = self._turns.stopwatch()
        self.time += max(0.0, spent - self._charged) * self._turns.slowdown
        self._charged = spent
        if self.time > self._turns.driver.now():
            self._wait()

    def _wait(self) -> None:
        if not self.ending:
            self._back.release()
            self._go.acquire()
            self._charged = self._turns.stopwatch()

    def _run(self) -> None:
        self._go.acquire()
        self._charged = self._turns.stopwatch()
        while not self.ending:
            begin = self.time
            try:
                self.duty.step()
            except Exception as error:
                log.exception("%s failed", self.duty.name)
                self._failed(error)
                break
            self.charge()
            self.last = self.time
            self.time = max(self.time, begin + self.duty.period)
            self._wait()
        self.ended = True
        self._back.release()


class Turns(Company):
    """Control loop and duties take turns on the driver's clock, which stands still while a duty computes.

    A duty is charged what its computing took on the stopwatch: it sees, and changes, what it shares with the control
    loop only once the driver's clock has come that far. So a run is as it would be if every duty had a core of its own,
    however busy this machine is, and whatever the speed of the simulation.

    Args:
        driver: one whose time passes with its ticks.
        stopwatch: read in a duty's own thread, tells the time that computing takes [s]: `time.perf_counter`, or
            `time.thread_time` if nothing is computed in other threads or processes (`edmp.threads`), which then counts
            neither what other programs take of the machine nor threads of libraries that spin while they wait.
        slowdown: charge so many times what was measured, for the question what a slower computer would do.
        patience: a step that takes longer than this at a stretch hangs [s].
    """

    def __init__(
        self,
        driver: ArmDriver,
        *,
        stopwatch: Callable[[], float] = time.perf_counter,
        slowdown: float = 1.0,
        patience: float = 60.0,
    ) -> None:
        if not Range(0).holds(slowdown) or not Range(0, above=True).holds(patience):
            raise InvalidInputError(f"needs slowdown >= 0 and patience > 0, got {slowdown!r}, {patience!r}")
        self.driver, self.stopwatch, self.slowdown, self._patience = driver, stopwatch, slowdown, patience
        self._workers: dict[str, _Worker] = {}
        self._hanging: list[str] = []
        self._failed: Failed = lambda _: None

    def now(self) -> float:
        worker = self._mine()
        if worker is None:
            return self.driver.now()
        worker.charge()
        return worker.time

    def lock(self) -> AbstractContextManager[object]:
        return _TurnLock(self)

    def start(self, duties: Sequence[Duty], failed: Failed) -> None:
        self._failed = failed
        self._workers = {duty.name: _Worker(duty, self, failed) for duty in duties}

    def tick(self) -> None:
        """Let everybody work who is not ahead of the driver's clock, who is farthest behind first."""
        now = self.driver.now()
        while ready := [one for one in self._workers.values() if self._willing(one) and one.time <= now]:
            one = min(ready, key=lambda worker: worker.time)
            if not one.resume(self._patience):
                self._hanging.append(one.duty.name)
                self._failed(TimeoutError(f"{one.duty.name} hangs: no answer for {self._patience:g} s"))

    def silence(self, name: str) -> float:
        return self.driver.now() - self._workers[name].last

    def stop(self, timeout: float) -> list[str]:
        for one in self._workers.values():
            one.ending = True
        for one in self._workers.values():
            while self._willing(one):
                if not one.resume(timeout):
                    self._hanging.append(one.duty.name)
        for one in self._workers.values():
            one.thread.join(timeout if one.ended else 0.0)
        return [name for name, one in self._workers.items() if one.thread.is_alive()]

    def charge(self) -> None:
        """If a duty asks: make it wait until the clock shows what its computing took."""
        if (worker := self._mine()) is not None:
            worker.charge()

    def _mine(self) -> _Worker | None:
        me = threading.current_thread()
        return next((one for one in self._workers.values() if one.thread is me), None)

    def _willing(self, one: _Worker) -> bool:
        return not one.ended and one.duty.name not in self._hanging


class _TurnLock:
    """Only one runs at a time anyway; but who wants it must wait for the time to have come."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._turns.charge()
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()
