"""Planning while the arm moves: where a new motion begins, which one is taken, and what to do if there is none."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edmp.execution.buffer import Buffered, CommandBuffer
from edmp.execution.monitor import Fault, Violation
from edmp.execution.prediction import Observation, Outlook, predicted_scene
from edmp.execution.splice import splices
from edmp.execution.watchers import Eyes, Guard
from edmp.problem import Goal
from edmp.ranges import Range, check_fields
from edmp.result import PlanResult
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.timing import retime_waypoints
from edmp.trajectory import Trajectory, slowed

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_MOST_SPLICES = 3
"""Of one motion, that are put before the judge."""
_TOO_LATE = "the plan came too late"
_SHARE = 0.9
"""Of the planned speed: splices need room below the limits."""


class Plans(Protocol):
    """What plans: `edmp.Planner`, or `PlannerProcess`."""

    def plan(
        self,
        scene: Scene,
        start: Array,
        goal: Goal | Sequence[Goal],
        *,
        seed: int,
        time_budget: float,
        warm: Array | None,
        escape: float,
    ) -> PlanResult: ...


@dataclass(frozen=True)
class ReplanSettings:
    """Settings of `Replanner`.

    Attributes:
        margin: distance that new motions keep from what moves [m]; more than the guard's, or they will not last.
        growth: obstacles that move are this much larger for the planner [m]; more than the margin, as splices cut
            corners.
        horizon: how far ahead predictions are believed [s].
        look_ahead: the planner's scene holds copies of what moves, for this long ahead [s].
        speeds: shares of the planned speed to try.
        time_budget: of one call of the planner [s].
        first_latency: how long planning on the way is thought to take before it was measured [s].
        latency_factor: planning may take this much longer than it did lately [1].
        patience: longest time without a motion to the goal before it is given up [s].
        retreats: distances to go back along the way, if the arm is in the way of something [rad].
        retreat_margins: distances to keep from what moves when backing off, tried in this order [m].
    """

    margin: float = 0.03
    growth: float = 0.05
    horizon: float = 2.0
    look_ahead: float = 1.5
    speeds: tuple[float, ...] = (1.0, 0.6, 0.35)
    time_budget: float = 2.0
    first_latency: float = 0.12
    latency_factor: float = 1.5
    patience: float = 10.0
    retreats: tuple[float, ...] = (0.15, 0.3, 0.6, 1.0, 1.5, 2.5)
    retreat_margins: tuple[float, ...] = (0.05, 0.025, 0.005)

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        names = ("horizon", "look_ahead", "time_budget", "first_latency", "patience")
        check_fields(self, {**dict.fromkeys(names, positive), "latency_factor": Range(1)})
        check_fields(self, {"margin": Range(0), "growth": Range(0)})
        check_fields(self, {"speeds": Range(0, 1, above=True, several=True)})
        check_fields(self, {"retreats": Range(0, above=True, several=True)})
        check_fields(self, {"retreat_margins": Range(0, several=True)})


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """What the planner was asked.

    Attributes:
        scene: with copies of what moves.
        start: (dof,) [rad or m].
        warm: (n, dof) what was left of the motion under way; None for a plan from scratch.
    """

    scene: Scene
    start: Array
    warm: Array | None


@dataclass(frozen=True, eq=False)
class Replan:
    """One attempt at a new motion.

    Attributes:
        time: when it began, by `ArmDriver.now` [s].
        latency: until a motion was handed over, or none found [s].
        planning: of which the planner took [s].
        why: what made it necessary.
        accepted: did the arm get a new motion?
        retreat: does that lead out of the way, not to the goal?
        outcome: a sentence.
        request: what the planner was asked last; None if it was not.
    """

    time: float
    latency: float
    planning: float
    why: str
    accepted: bool
    retreat: bool
    outcome: str
    request: PlanRequest | None


@dataclass(frozen=True)
class _Place:
    """Where on what is buffered a new motion begins."""

    snap: Buffered
    at: float
    start: Array
    moving: bool

    def begins(self, now: float) -> float:
        """When the arm is there, at the earliest [s]."""
        return now + max(0.0, self.at - self.snap.position) if self.moving else now


class Replanner:
    """Finds motions to the goal, and hands them over to the buffer.

    Args:
        planner: asked for paths in scenes that stand still.
        robot: the arm.
        buffer: what the arm does.
        eyes: what is known of the surroundings.
        guard: which sees what the buffered motion meets.
        goal: where to go.
        settings: see `ReplanSettings`.
        speed: share of the planned speed.
        seed: of the plans; each has its own.
        now: tells the time on the driver's clock [s].
        escape: depth of contacts with what stands still that motions may lead out of [m]; see `edmp.plan`.
    """

    def __init__(
        self,
        planner: Plans,
        robot: Robot,
        buffer: CommandBuffer,
        eyes: Eyes,
        guard: Guard,
        goal: Goal | Sequence[Goal],
        *,
        settings: ReplanSettings,
        speed: float,
        seed: int,
        now: Callable[[], float],
        escape: float = 0.0,
    ) -> None:
        self._planner, self._robot, self._buffer, self._now = planner, robot, buffer, now
        self._escape = escape
        self._eyes, self._guard, self._goal = eyes, guard, goal
        self._settings, self._speed, self._seed = settings, speed, seed
        self._latencies: deque[float] = deque([settings.first_latency], maxlen=3)
        self._way: Trajectory | None = None
        self._waiting_since: float | None = None
        self._outcome = ""
        self.replans: list[Replan] = []

    # -- one step -------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Plan if there is need to."""
        snap, now = self._buffer.snapshot(), self._now()
        if snap.over:
            return
        seen = self._eyes.look()
        why = self._eyes.complaint if seen is None else self._need(snap)
        if why is None:
            self._waiting_since = None
            return
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if now - self._waiting_since > self._settings.patience:
            self._give_up(seen, now)
        elif seen is not None and not self._early(snap):
            self._replan(snap, seen, now, why)

    def _early(self, snap: Buffered) -> bool:
        """Would a plan be there long before the arm, which brakes, can take it?"""
        braking = snap.braking and not snap.at_rest
        return braking and self._buffer.after_braking().duration > min(self._latencies)

    def _need(self, snap: Buffered) -> str | None:
        if snap.at_rest and not snap.pending:
            return "at rest, not at the goal"
        if snap.braking:
            return "braking"
        if not snap.final:
            return "no motion to the goal"
        return self._guard.ahead.message if self._guard.ahead else None

    def _give_up(self, seen: Observation | None, now: float) -> None:
        patience = self._settings.patience
        if seen is None:
            violation = Violation(Fault.SCENE_STALE, now, self._eyes.complaint)
        else:
            violation = Violation(Fault.NO_WAY, now, f"no way to the goal for {patience:g} s: {self._outcome}")
        log.warning("giving up: %s", violation.message)
        self._buffer.close(violation)

    def _replan(self, snap: Buffered, seen: Observation, begin: float, why: str) -> None:
        place = self._place(snap)
        result, request, planning = self._ask(place, seen)
        accepted = retreat = False
        if result is not None and not result.solved:
            self._outcome = result.message
        if result is not None and result.best and result.best.trajectory.joint_names != self._robot.joint_names:
            self._outcome = f"the planner's motion is of {', '.join(result.best.trajectory.joint_names)}"
            result = None
        for k, motion in enumerate(self._motions(result)):
            outcome = self._try(motion, place)
            if k == 0 and place.moving:  # those after it begin too late more often than not
                self._latencies.append(self._now() - begin)
            if outcome is None:
                accepted, self._outcome = True, f"{motion.duration:.2f} s to the goal"
                break
            self._outcome = outcome
            if outcome == _TOO_LATE:
                break
        if not accepted and not place.moving and self._guard.ahead is not None:
            accepted = retreat = self._retreat(place)
        now = self._now()
        self.replans.append(Replan(begin, now - begin, planning, why, accepted, retreat, self._outcome, request))
        log.info("replan at %.2f s (%s): %s in %.2f s", begin, why, self._outcome, now - begin)

    # -- asking the planner ---------------------------------------------------------------------------------------

    def _place(self, snap: Buffered) -> _Place:
        """Where the arm will be once a plan is there."""
        if snap.braking or snap.at_rest:
            return _Place(snap, snap.position, self._buffer.after_braking().positions[-1], moving=False)
        at = min(snap.position + self._settings.latency_factor * max(self._latencies), snap.trajectory.duration)
        return _Place(snap, at, snap.trajectory.at(at), moving=True)

    def _ask(self, place: _Place, seen: Observation) -> tuple[PlanResult | None, PlanRequest | None, float]:
        """A plan round where obstacles are going to be; if there is none, one past those that stand still."""
        now = self._now()
        settings = self._settings
        around = predicted_scene(
            self._robot, seen, place.start, begin=now, end=now + settings.look_ahead, grow=settings.growth
        )
        warm = self._left(place)
        escape = 0.0 if place.moving else self._escape  # who moves need not go in
        result, request = None, None
        for scene in (around, seen.scene) if around is not seen.scene else (around,):
            request = PlanRequest(scene, place.start, warm)
            self._seed += 1
            try:
                result = self._planner.plan(
                    scene,
                    place.start,
                    self._goal,
                    seed=self._seed,
                    time_budget=settings.time_budget,
                    warm=warm,
                    escape=escape,
                )
            except Exception as error:  # a planner that crashes must not take the arm with it
                log.exception("the planner failed")
                self._outcome = f"the planner raised {type(error).__name__}: {error}"
                return None, request, self._now() - now
            if result.solved:
                break
        return result, request, self._now() - now

    def _left(self, place: _Place) -> Array | None:
        """(n, dof) what is left of the last way to the goal; None if the arm is not on it."""
        if self._way is None:
            return None
        path = self._way.positions
        nearest = int(np.abs(path - place.start).max(axis=1).argmin())
        left = np.concatenate([place.start[None], path[nearest + 1 :]])
        return left if len(left) > 2 else None

    # -- choosing a motion ----------------------------------------------------------------------------------------

    def _motions(self, result: PlanResult | None) -> Iterator[Trajectory]:
        """What could be done, what arrives first at first."""
        found = [] if result is None or result.best is None else [result.best, *result.alternatives]
        shares = [_SHARE * self._speed * share for share in self._settings.speeds]
        options = [(one.trajectory.duration / share, one.trajectory, share) for one in found for share in shares]
        for _, trajectory, share in sorted(options, key=lambda option: option[0]):
            yield slowed(trajectory, share)

    def _try(self, motion: Trajectory, place: _Place, *, margin: float | None = None, final: bool = True) -> str | None:
        """Put a motion before the judge, and hand it over; None if the buffer took it, else why not."""
        settings, robot = self._settings, self._robot
        margin = settings.margin if margin is None else margin
        state = place.snap.trajectory if place.moving else None
        candidates = [motion] if state is None else splices(state, place.at, motion, robot.limits)
        outcome = "no splice within the limits"
        for k, joined in enumerate(candidates):
            seen = self._eyes.look()
            if k == _MOST_SPLICES or seen is None:
                break
            now = self._now()
            begin = place.begins(now)
            if place.moving and self._buffer.snapshot().position > place.at:
                return _TOO_LATE
            end = max(now + settings.horizon, begin)
            hit = Outlook(robot, seen, joined, begin=begin, end=end, escape=self._escape).meets(margin)
            if hit is None:
                return None if self._hand_over(joined, place, final) else _TOO_LATE
            outcome = hit.message
        return outcome

    def _hand_over(self, motion: Trajectory, place: _Place, final: bool) -> bool:
        if not place.moving and not self._buffer.snapshot().at_rest:
            return False  # it brakes still: the next attempt begins from the same place
        taken = self._buffer.offer(motion, version=place.snap.version, at=place.at, final=final)
        if taken:
            self._guard.ahead = None  # it spoke of what was buffered until now
        if taken and final:
            self._way = motion
        return taken

    # -- out of the way -------------------------------------------------------------------------------------------

    def _retreat(self, place: _Place) -> bool:
        """Back along the way that the arm has come, until nothing comes by."""
        trail = self._buffer.trail()[::-1]
        trail = np.concatenate([place.start[None], trail[1:]])
        arc = np.concatenate([[0.0], np.linalg.norm(np.diff(trail, axis=0), axis=1).cumsum()])
        robot = self._robot
        for margin in self._settings.retreat_margins:
            for distance in self._settings.retreats:
                if arc[-1] < 0.02:
                    return False
                back = trail[: 1 + int(np.searchsorted(arc, min(distance, arc[-1])))]
                motion = retime_waypoints(
                    back,
                    robot.limits,
                    joint_names=robot.joint_names,
                    velocity_scale=_SHARE * self._speed,
                    acceleration_scale=_SHARE * self._speed,
                )
                if self._try(motion, place, margin=margin, final=False) is None:
                    self._outcome = f"{min(distance, arc[-1]):.2f} rad back, out of the way"
                    return True
                if distance >= arc[-1]:
                    break
        return False
