"""Running a trajectory on an arm: stream it, watch every tick, and come to rest whatever happens."""

from __future__ import annotations

import enum
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.execution.ahead import Ahead
from edmp.execution.buffer import CommandBuffer
from edmp.execution.driver import ArmDriver, ArmState, Command, DriverError
from edmp.execution.monitor import Fault, Monitor, MonitorSettings, Violation
from edmp.execution.recorder import Recorder
from edmp.execution.tube import Tube
from edmp.ranges import Range, check_fields
from edmp.recordings.recording import Recording
from edmp.robots.parts import START_TOLERANCE
from edmp.robots.robot import Robot
from edmp.timing import retime_waypoints, sampled_shares
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_AT_START = 1e-3
"""An arm this close to the start of a motion is there [rad or m]; farther away it is led there first."""
_LIMIT_ROUNDING = 1.005
"""A trajectory may pass a limit by this factor, which is what lies between its samples."""


class Outcome(enum.Enum):
    """How an execution ended. In every case the arm is at rest, or was told to stop by its driver."""

    REACHED = "REACHED"
    REFUSED = "REFUSED"
    STOPPED = "STOPPED"
    INTERRUPTED = "INTERRUPTED"
    LOST = "LOST"


@dataclass(frozen=True, eq=False)
class Execution:
    """What came of it.

    Attributes:
        outcome: REACHED; REFUSED before anything moved; STOPPED by a violation or INTERRUPTED by the user, in both
            cases braked within limits; LOST when the driver failed and only its own stop was left.
        message: one sentence for a person.
        violation: what stopped it.
        recording: every tick.
    """

    outcome: Outcome
    message: str
    violation: Violation | None
    recording: Recording

    @property
    def reached(self) -> bool:
        return self.outcome is Outcome.REACHED


@checked
@dataclass(frozen=True)
class ExecutionSettings:
    """Settings of `run`.

    Attributes:
        speed: share of the planned speed, in (0, 1].
        start_tolerance: how far a joint may be from the start of the motion [rad or m].
        goal_tolerance: how far a joint may end from its end [rad or m].
        settle_time: longest wait for the arm to come to rest at the end [s].
        rest_velocity: an arm slower than this is at rest [rad/s or m/s].
        grip_force: with which fingers press on what they hold [N].
        lead: commands are sent this much before they are to be reached, for an arm that takes them late [s].
        monitor: see `MonitorSettings`.
    """

    speed: float = 1.0
    start_tolerance: float = 0.02
    goal_tolerance: float = 0.02
    settle_time: float = 1.0
    rest_velocity: float = 0.02
    grip_force: float = 40.0
    lead: float = 0.0
    monitor: MonitorSettings = field(default_factory=MonitorSettings)

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        names = ("start_tolerance", "goal_tolerance", "settle_time", "rest_velocity", "grip_force")
        check_fields(self, {"speed": Range(0, 1, above=True), "lead": Range(0, 1), **dict.fromkeys(names, positive)})


@checked
def run(
    trajectory: Trajectory,
    driver: ArmDriver,
    *,
    settings: ExecutionSettings | None = None,
    tube: Tube | None = None,
    correct: Callable[[Command], Command] | None = None,
    interrupt: threading.Event | None = None,
    on_tick: Callable[[ArmState, Command], None] | None = None,
    recorder: Recorder | None = None,
) -> Execution:
    """Stream a timed trajectory to a connected arm.

    On any violation the arm brakes along the path, within its limits. It does not start if it is not at the start of
    the motion, or if the motion breaks the arm's limits. What it is off the start by, within the tolerance, it makes up
    for in a motion of its own: no command jumps.

    Args:
        trajectory: from rest to rest.
        driver: connected.
        settings: see `ExecutionSettings`.
        tube: room round the motion that the arm must not leave; made for this trajectory and used once.
        correct: what is sent in place of each command, such as one with a feed-forward; the arm is watched by the
            command itself.
        interrupt: set it, from a signal handler or another thread, for a controlled stop.
        on_tick: called at every tick with what was measured and what was to be reached.
        recorder: collects every tick; give one to have what was recorded even if something here raises.
    """
    settings = settings or ExecutionSettings()
    recorder = recorder or Recorder(driver.robot)
    loop = ControlLoop(driver, settings, recorder, interrupt, on_tick, tube=tube, correct=correct)
    refusal = refuse(trajectory, driver.robot)
    try:
        state = loop.wait()
        refusal = refusal or _not_at_start(state, trajectory, settings, driver.robot)
        if refusal:
            return Execution(Outcome.REFUSED, refusal, None, recorder.recording())
        limits, start = driver.robot.limits, trajectory.positions[0]
        if np.abs(state.positions - start).max() > _AT_START:
            here = driver.robot.clipped(state.positions)
            there = retime_waypoints([here, start], limits, joint_names=trajectory.joint_names)
            loop.follow(CommandBuffer(there, limits, speed=settings.speed), state)
            if loop.violation is not None:
                return loop.conclude(trajectory.positions[-1])
            state = loop.exchange(Command.hold(start))
        loop.follow(CommandBuffer(trajectory, limits, speed=settings.speed), state)
    except DriverError as error:
        return loop.lost(error)
    return loop.conclude(trajectory.positions[-1])


@checked
def refuse(trajectory: Trajectory, robot: Robot) -> str | None:
    """Why this robot must not run this trajectory; None if it may.

    Looks at joint names, finite numbers, position, velocity, acceleration and jerk limits on and between samples, and
    rest at both ends.
    """
    if trajectory.joint_names != robot.joint_names:
        return (
            f"the trajectory is for joints {', '.join(trajectory.joint_names)}; {robot.name} has "
            f"{', '.join(robot.joint_names)}, in this order"
        )
    arrays = (trajectory.times, trajectory.positions, trajectory.velocities, trajectory.accelerations)
    if not all(np.isfinite(values).all() for values in arrays):
        return "the trajectory holds numbers that are not finite"
    if not (np.diff(trajectory.times) > 0).all():
        return "the times of the trajectory do not increase"
    names = robot.joint_names
    q = trajectory.at(np.linspace(0.0, trajectory.duration, 4 * len(trajectory.times) + 1))
    beyond = robot.beyond_limits(q, lead=START_TOLERANCE)
    if beyond.max() > 1e-6:
        j = int(beyond.max(axis=0).argmax())
        return f"the trajectory takes {names[j]} {beyond.max():.2g} rad beyond its position limit"
    shares = sampled_shares(trajectory, robot.limits)
    for what, share in zip(("velocity", "acceleration", "jerk"), shares, strict=True):
        if share.max() > _LIMIT_ROUNDING:
            j = int(share.argmax())
            return f"the trajectory takes {names[j]} to {share[j]:.0%} of its {what} limit"
    for end, name in ((0, "begin"), (-1, "end")):
        if np.abs(trajectory.velocities[end]).max() > 1e-6:
            return f"the trajectory does not {name} at rest"
    return None


def _not_at_start(state: ArmState, trajectory: Trajectory, settings: ExecutionSettings, robot: Robot) -> str | None:
    if not np.isfinite(state.positions).all():
        return f"the arm reports positions {np.array2string(state.positions, precision=3)}"
    off = np.abs(state.positions - trajectory.positions[0])
    j = int(off.argmax())
    if off[j] <= settings.start_tolerance:
        return None
    return (
        f"the arm is not at the start of the motion: {robot.joint_names[j]} is at {state.positions[j]:.3f} rad, the "
        f"motion starts at {trajectory.positions[0, j]:.3f} (tolerance {settings.start_tolerance:g}). Move it there, "
        "or plan from where it is"
    )


class ControlLoop:
    """Ticks: wait for a state, look at it, command the next. Brakes at the first violation and remembers it.

    Args:
        driver: connected.
        settings: see `ExecutionSettings`.
        recorder: of every tick.
        interrupt: set for a controlled stop.
        on_tick: called at every tick.

    Attributes:
        violation: the first fault.
        also: asked at every tick for something wrong beside what the monitor sees; None if there is nobody to ask.
    """

    def __init__(
        self,
        driver: ArmDriver,
        settings: ExecutionSettings,
        recorder: Recorder,
        interrupt: threading.Event | None = None,
        on_tick: Callable[[ArmState, Command], None] | None = None,
        *,
        tube: Tube | None = None,
        correct: Callable[[Command], Command] | None = None,
    ) -> None:
        self.driver, self.settings, self._recorder = driver, settings, recorder
        self._correct = correct
        recorder.lead = settings.lead
        self._monitor = Monitor(driver.robot, driver.period, settings.monitor)
        self._interrupt = interrupt or threading.Event()
        self._on_tick = on_tick
        self._tube = tube
        self.violation: Violation | None = None
        self.also: Callable[[], Violation | None] | None = None
        self._last: tuple[ArmState, Command] | None = None

    def follow(self, buffer: CommandBuffer, state: ArmState) -> ArmState:
        """Do what is buffered until that is over, then wait until the arm is at rest; the last state.

        After a fault nothing is taken over any more: the arm brakes on the motion it is on. An arm that does not come
        to rest where it is told to, because something holds it or it lags by more than `ExecutionSettings.settle_time`,
        is brought to rest by its driver.
        """
        command = buffer.advance(0.0)
        ahead = Ahead(self.settings.lead, self.driver.period)
        settle = math.ceil((self.settings.settle_time + self.settings.lead) / self.driver.period)
        while True:
            if self.tick_fault(state, ahead.due(command)) and buffer.cause is None:
                buffer.close(self.violation)
            if buffer.snapshot().over:
                settle -= 1
                slow = bool(np.abs(state.velocities).max() < self.settings.rest_velocity)
                arrived = bool(np.abs(state.positions - command.positions).max() <= self.settings.goal_tolerance)
                if slow and arrived:
                    break
                if settle <= 0 or (slow and self.violation is not None):
                    state = self._stopped_by_driver(command)
                    break
            command = buffer.advance(self.driver.period)
            state = self.exchange(command)
        self.violation = self.violation or buffer.cause
        return state

    def _stopped_by_driver(self, command: Command) -> ArmState:
        """The state after the driver's stop, which is recorded; what was commanded before does not count any more."""
        log.warning("driver %s: the arm does not come to rest where it is told to; told it to stop", self.driver.name)
        self.driver.stop()
        state = self.wait()
        self._recorder.add(state, command, self.driver.now())
        self._last = (state, command)
        return state

    def exchange(self, command: Command) -> ArmState:
        """Command, and wait for the state at the next tick."""
        self.driver.command(command if self._correct is None else self._correct(command))
        return self.wait()

    def wait(self) -> ArmState:
        """The state at the next tick.

        Raises:
            DriverError: none came, or one that is not of this arm: it has another number of joints.
        """
        state, dof = self.driver.wait(), self.driver.robot.dof
        for name in ("positions", "velocities", "torques", "external_torques"):
            if (shape := getattr(state, name).shape) != (dof,):
                raise DriverError(f"the arm reports {name} of shape {shape}; {self.driver.robot.name} has {dof} joints")
        return state

    def tick_fault(self, state: ArmState, command: Command) -> Violation | None:
        """Record a tick and look at it; the first violation of all, if there has been one."""
        now = self.driver.now()
        self._recorder.add(state, command, now)
        self._last = (state, command)
        if self._on_tick is not None:
            self._on_tick(state, command)
        found = self._monitor.check(state, command, now)
        if found is None and self._tube is not None and (strayed := self._tube.check(state)):
            found = Violation(Fault.OFF_PATH, state.time, strayed)
        if self.also is not None:
            also = self.also()
            found = found or also
        if self._interrupt.is_set():
            found = found or Violation(Fault.INTERRUPTED, state.time, "stopped by the user")
        if found is not None and self.violation is None:
            self.violation = found
            log.warning("%s at %.3f s: %s; braking", found.fault.value, found.time, found.message)
        return self.violation

    def conclude(self, goal: Array) -> Execution:
        """The outcome once the arm is at rest."""
        recording = self._recorder.recording()
        if self.violation is not None:
            interrupted = self.violation.fault is Fault.INTERRUPTED
            outcome = Outcome.INTERRUPTED if interrupted else Outcome.STOPPED
            return Execution(outcome, self.violation.message, self.violation, recording)
        assert self._last is not None
        off = np.abs(self._last[0].positions - goal)
        j = int(off.argmax())
        if off[j] > self.settings.goal_tolerance:
            name = self.driver.robot.joint_names[j]
            message = f"the arm came to rest with {name} {off[j] * 1e3:.1f} mrad from its goal"
            violation = Violation(Fault.TRACKING, self._last[0].time, message)
            return Execution(Outcome.STOPPED, message, violation, recording)
        return Execution(Outcome.REACHED, f"at the goal within {off[j] * 1e3:.1f} mrad", None, recording)

    def lost(self, error: DriverError) -> Execution:
        """The driver failed: all that is left is its own stop."""
        log.error("driver %s: %s; told it to stop", self.driver.name, error)
        try:
            self.driver.stop()
        except DriverError as second:
            log.error("driver %s did not take the stop: %s", self.driver.name, second)
        now = self._last[0].time if self._last else 0.0
        violation = Violation(Fault.DRIVER, now, str(error))
        return Execution(Outcome.LOST, str(error), violation, self._recorder.recording())
