"""Beside the control loop: one looks at the surroundings, one guards the motion against what it sees."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edmp.execution.buffer import CommandBuffer
from edmp.execution.prediction import Observation, Outlook, SceneSource
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory
from edmp.validate.spacetime import Encounter

log = logging.getLogger(__name__)


class Eyes:
    """Keeps the latest observation, however slow or broken its source may be."""

    def __init__(self, source: SceneSource, now: Callable[[], float], *, max_age: float) -> None:
        self._source, self._now, self._max_age = source, now, max_age
        self._latest: Observation | None = None
        self._trouble = "none came yet"

    def step(self) -> None:
        """Ask the source once."""
        try:
            seen = self._source()
        except Exception as error:  # whatever it is, the arm must come to rest and say so
            self._say(f"the scene source raised {type(error).__name__}: {error}")
            return
        if not isinstance(seen, Observation):
            self._say(f"the scene source gave {type(seen).__name__}, not an Observation")
            return
        self._trouble, self._latest = "", seen

    def look(self) -> Observation | None:
        """What was seen last; None if that is too old."""
        return self._latest if self._latest is not None and self._age(self._latest) <= self._max_age else None

    @property
    def complaint(self) -> str:
        """Why there is no observation."""
        if self._latest is None:
            return f"no observation of the scene: {self._trouble or 'none came yet'}"
        what = f"; {self._trouble}" if self._trouble else ""
        return f"the last observation of the scene is {self._age(self._latest):.2f} s old{what}"

    def _age(self, seen: Observation) -> float:
        return self._now() - seen.time

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


@dataclass(frozen=True)
class GuardSettings:
    """Settings of `Guard`.

    Attributes:
        period: time between two looks [s].
        horizon: how far ahead predictions are believed [s].
        margin: distance to keep from what moves [m].
        reaction: time in which the guard's word takes effect, beside that of its own looks [s].
        silence: the control loop brakes if the guard has not looked for this long [s].
    """

    period: float = 0.02
    horizon: float = 2.0
    margin: float = 0.02
    reaction: float = 0.08
    silence: float = 0.5

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        check_fields(self, {**dict.fromkeys(("period", "horizon", "silence"), positive)})
        check_fields(self, {"margin": Range(0), "reaction": Range(0)})


class Guard:
    """Brakes the arm before what is buffered meets something, and before braking would no longer help.

    It works whether or not anybody plans. Where neither going on nor braking keeps the margin, the arm does what
    touches later, or not at all.
    """

    def __init__(
        self,
        robot: Robot,
        buffer: CommandBuffer,
        eyes: Eyes,
        settings: GuardSettings,
        now: Callable[[], float],
        *,
        escape: float = 0.0,
    ) -> None:
        self._robot, self._buffer, self._eyes, self._settings, self._now = robot, buffer, eyes, settings, now
        self._escape = escape
        self._took: deque[float] = deque([settings.period], maxlen=20)
        self._judged: tuple[int, bool, Scene] | None = None
        self.ahead: Encounter | None = None
        """What the buffered motion meets within the horizon, as last seen."""

    def step(self) -> None:
        """Look once."""
        begin = self._now()
        seen = self._eyes.look()
        if seen is None:
            if not self._buffer.snapshot().at_rest:
                self._brake(self._eyes.complaint)
            return
        self._look(seen, begin)
        self._took.append(max(self._settings.period, self._now() - begin))

    def _look(self, seen: Observation, now: float) -> None:
        before, motion = self._buffer.snapshot(), self._buffer.ahead()
        judged = self._judged == (before.version, before.pending, seen.scene)
        ahead = self._outlook(seen, motion, now, judged=judged)
        self.ahead = hit = ahead.meets(self._settings.margin)
        if hit is None:
            self._judged = (before.version, before.pending, seen.scene)
        elif not before.at_rest and not before.braking:
            self._decide(seen, now, ahead, hit)

    def _decide(self, seen: Observation, now: float, ahead: Outlook, hit: Encounter) -> None:
        """Brake if it is time to."""
        margin = self._settings.margin
        cycle = max(self._took) + self._settings.reaction
        stop = self._buffer.after_braking()
        braked = self._outlook(seen, stop, now)
        if braked.meets(margin) is not None:
            later, sooner = ahead.meets(0.0), braked.meets(0.0)
            if later is not None and (sooner is None or sooner.time >= later.time):
                self._brake(f"{later.message}, and braking does not keep the margin")
        elif hit.time - now < stop.duration + cycle:
            self._brake(hit.message)
        elif self._outlook(seen, self._buffer.after_braking(delay=cycle), now).meets(margin) is not None:
            self._brake(f"{hit.message}, and later there is no safe place to stop")

    def _outlook(self, seen: Observation, motion: Trajectory, now: float, *, judged: bool = False) -> Outlook:
        end = now + self._settings.horizon
        return Outlook(self._robot, seen, motion, begin=now, end=end, escape=self._escape, judged=judged)

    def _brake(self, why: str) -> None:
        if not self._buffer.snapshot().braking:
            log.info("guard brakes: %s", why)
        self._buffer.brake()
