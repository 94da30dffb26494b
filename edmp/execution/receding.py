"""Going to a goal among things that move: plan while the arm moves, and stop in time if there is no plan."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from edmp.execution.buffer import CommandBuffer
from edmp.execution.company import Company, Duty, company_of
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.executor import ControlLoop, Execution, ExecutionSettings, Outcome
from edmp.execution.monitor import Fault, Violation
from edmp.execution.prediction import SceneSource
from edmp.execution.recorder import Recorder
from edmp.execution.replanning import Plans, Replan, Replanner, ReplanSettings
from edmp.execution.watchers import Eyes, Guard, GuardSettings
from edmp.problem import DEEPEST_ESCAPE, Goal
from edmp.ranges import Range, check_fields
from edmp.trajectory import Trajectory

log = logging.getLogger(__name__)

_SWITCH = 5e-4
"""Python lets another thread in after this time, so that planning does not hold up the control loop [s]."""


@dataclass(frozen=True)
class HorizonSettings:
    """Settings of `RecedingHorizon`.

    Attributes:
        scene_age: an observation older than this is no observation [s].
        scene_period: shortest time between two questions to the scene source [s].
        plan_period: shortest time between two plans [s].
        plan_silence: a planner that has not answered for this long hangs, and the goal is given up [s].
        escape: an arm this deep in what stands still, or less, is led out of it [m]. Padded obstacles ask for as much:
            the arm may come to rest in the padding of what was put down next to it. See `edmp.plan`.
        guard: see `GuardSettings`.
        replan: see `ReplanSettings`.
        execution: see `ExecutionSettings`.
    """

    scene_age: float = 0.3
    scene_period: float = 0.02
    plan_period: float = 0.02
    plan_silence: float = 15.0
    escape: float = 0.0
    guard: GuardSettings = field(default_factory=GuardSettings)
    replan: ReplanSettings = field(default_factory=ReplanSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)

    def __post_init__(self) -> None:
        names = ("scene_age", "scene_period", "plan_period", "plan_silence")
        check_fields(self, {**dict.fromkeys(names, Range(0, above=True)), "escape": Range(0, DEEPEST_ESCAPE)})


@dataclass(frozen=True, eq=False)
class ReplannedExecution(Execution):
    """An execution with plans made on the way.

    Attributes:
        replans: every attempt at a new motion, the first included.
    """

    replans: tuple[Replan, ...] = ()


class RecedingHorizon:
    """Moves an arm to a goal while things around it move.

    Four threads: the caller's is the control loop; one asks the scene source; one guards the buffered motion and brakes
    it in time; one plans. All they share is the command buffer, and what is in it always ends at rest. If planning is
    late, hangs or fails, the arm comes to rest where nothing is predicted to pass. With a driver whose time passes with
    its ticks the four take turns instead (`Turns`), each charged what its computing took.

    Args:
        planner: `edmp.Planner`, or better a `PlannerProcess`, which leaves the control loop its core and can be ended.
        driver: connected.
        scene_source: gives the latest `Observation`, on the clock of `ArmDriver.now`.
        settings: see `HorizonSettings`.
        company: who does what runs beside the control loop; by default as fits the driver (`company_of`).
    """

    def __init__(
        self,
        planner: Plans,
        driver: ArmDriver,
        scene_source: SceneSource,
        settings: HorizonSettings | None = None,
        *,
        company: Company | None = None,
    ) -> None:
        self._planner, self._driver, self._source = planner, driver, scene_source
        self._settings, self._company = settings or HorizonSettings(), company

    def run(
        self,
        goal: Goal | Sequence[Goal],
        *,
        seed: int = 0,
        interrupt: threading.Event | None = None,
        on_tick: Callable[[ArmState, Command], None] | None = None,
    ) -> ReplannedExecution:
        """Go to ``goal``; returns when the arm is at rest, there or elsewhere.

        Args:
            goal: as for `Planner.plan`.
            seed: of the plans.
            interrupt: set it, from a signal handler or another thread, for a controlled stop.
            on_tick: called at every tick with what was measured and what was commanded.
        """
        settings, driver = self._settings, self._driver
        recorder = Recorder(driver.robot)
        loop = ControlLoop(driver, settings.execution, recorder, interrupt, on_tick)
        try:
            state = loop.wait()
        except DriverError as error:
            return _with(loop.lost(error), [])
        if not np.isfinite(state.positions).all():
            message = f"the arm reports positions {np.array2string(state.positions, precision=3)}"
            return _with(Execution(Outcome.REFUSED, message, None, recorder.recording()), [])
        limits = driver.robot.limits
        still = _resting(driver, driver.robot.clipped(state.positions))
        company = self._company or company_of(driver)
        buffer = CommandBuffer(still, limits, final=False, lock=company.lock())
        buffer.advance(driver.period)  # to its end: at rest
        eyes = Eyes(self._source, company.now, max_age=settings.scene_age)
        guard = Guard(driver.robot, buffer, eyes, settings.guard, company.now, escape=settings.escape)
        replanner = Replanner(
            self._planner,
            driver.robot,
            buffer,
            eyes,
            guard,
            goal,
            settings=settings.replan,
            speed=settings.execution.speed,
            seed=seed,
            now=company.now,
            escape=settings.escape,
        )
        with _beside(company, buffer, eyes, guard, replanner, settings) as awake:
            loop.also = awake
            try:
                loop.follow(buffer, state)
            except DriverError as error:
                buffer.close()
                return _with(loop.lost(error), replanner.replans)
        return _with(loop.conclude(buffer.snapshot().trajectory.positions[-1]), replanner.replans)


@contextmanager
def _beside(
    company: Company, buffer: CommandBuffer, eyes: Eyes, guard: Guard, replanner: Replanner, settings: HorizonSettings
) -> Iterator[Callable[[], Violation | None]]:
    """The company of the control loop; gives a function for every tick, which tells whether all are awake."""

    def failed(error: Exception) -> None:
        buffer.close(Violation(Fault.GUARD, company.now(), f"an error inside: {type(error).__name__}: {error}"))

    duties = (
        Duty("edmp-eyes", eyes.step, settings.scene_period),
        Duty("edmp-guard", guard.step, settings.guard.period),
        Duty("edmp-replanner", replanner.step, settings.plan_period),
    )

    def awake() -> Violation | None:
        company.tick()
        if (silence := company.silence("edmp-guard")) > settings.guard.silence:
            return Violation(Fault.GUARD, company.now(), f"the guard has not looked for {silence:.2f} s")
        if (silence := company.silence("edmp-replanner")) > settings.plan_silence:
            return Violation(Fault.NO_WAY, company.now(), f"the planner has not answered for {silence:.2f} s")
        return None

    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH))
    try:
        company.start(duties, failed)
        yield awake
    finally:
        buffer.close()
        sys.setswitchinterval(before)
        for name in company.stop(settings.replan.time_budget + 1.0):
            log.error("%s does not end: what it waits for hangs", name)


def _resting(driver: ArmDriver, q: np.ndarray) -> Trajectory:
    zero = np.zeros((2, len(q)))
    return Trajectory(driver.robot.joint_names, np.array([0.0, driver.period]), np.stack([q, q]), zero, zero.copy())


def _with(done: Execution, replans: list[Replan]) -> ReplannedExecution:
    return ReplannedExecution(done.outcome, done.message, done.violation, done.recording, tuple(replans))
