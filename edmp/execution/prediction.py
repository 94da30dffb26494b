"""What is known of the surroundings at one time, and what that says about the next seconds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edmp.geometry.kinds import kind_of
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.trajectory import Trajectory
from edmp.validate import Judge
from edmp.validate.spacetime import Encounter, MovingObstacle, first_encounter

_MOST_COPIES = 16
"""Of one obstacle along its way."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What was seen.

    Attributes:
        scene: what stands still.
        moving: what moves, with its velocity; its times are on the same clock as ``time``.
        time: when it was seen, by `ArmDriver.now` [s].
    """

    scene: Scene
    moving: tuple[MovingObstacle, ...] = ()
    time: float = 0.0


SceneSource = Callable[[], Observation]
"""Asked again and again, from a thread of its own, for the latest observation; must not block for long."""


class Outlook:
    """A motion among what was seen: judged once against what stands still, which takes most of the time, and asked what
    it would meet first as often as needed.

    Args:
        robot: the arm.
        seen: what it could meet.
        motion: before and after it the arm rests at its ends.
        begin, end: the time to look at, on the clock of the observation [s]; the motion begins at ``begin``.
        escape: depth of contacts with what stands still that it may begin in, if it leads out of them and never deeper
            [m].
        judged: it is known to be free of what stands still.
    """

    def __init__(
        self,
        robot: Robot,
        seen: Observation,
        motion: Trajectory,
        *,
        begin: float,
        end: float,
        escape: float = 0.0,
        judged: bool = False,
    ) -> None:
        self._robot, self._seen, self._motion, self._begin = robot, seen, motion, begin
        self._standing = None if judged else _standing(robot, seen.scene, motion, begin, escape)
        hit = self._standing
        self._until = max(begin, end if hit is None else min(end, hit.time))

    def meets(self, margin: float) -> Encounter | None:
        """What the motion would first meet, standing or moving; None if it is proved to meet nothing until the end.

        Args:
            margin: distance to keep from what moves [m].
        """
        met = first_encounter(
            self._robot, self._seen.moving, self._motion, begin=self._begin, end=self._until, margin=margin
        )
        return met or self._standing


def _standing(robot: Robot, scene: Scene, motion: Trajectory, begin: float, escape: float) -> Encounter | None:
    """Where the motion, which begins at time ``begin`` [s], hits what stands still."""
    verdict = Judge(robot, scene, escape=escape).check_path(motion.positions)
    if verdict.valid:
        return None
    edge = verdict.contacts[0].edge if verdict.contacts else None
    time = begin + float(motion.times[edge or 0])
    name = verdict.contacts[0].other if verdict.contacts else robot.name
    return Encounter(time, name, f"{verdict.message()} at {time:.2f} s")


def predicted_scene(
    robot: Robot,
    observation: Observation,
    start: Any,
    *,
    begin: float,
    end: float,
    grow: float = 0.0,
    spacing: float = 0.08,
) -> Scene:
    """The scene for a planner that knows no time: what moves stands everywhere it will be from ``begin`` to ``end``.

    Copies that the arm would touch at the start are left out: nothing could be planned from there, and at other times
    they are elsewhere. Whoever uses the plan has to look at it in space-time.

    Args:
        robot: the arm.
        observation: what was seen.
        start: (dof,) where the plan begins [rad or m].
        begin, end: on the clock of the observation [s].
        grow: copies are this much larger, on all sides [m].
        spacing: distance between copies [m].
    """
    copies = [copy for one in observation.moving for copy in _copies(one, begin, end, grow, spacing)]
    if not copies:
        return observation.scene
    verdict = Judge(robot, Scene(tuple(copies))).check(start)
    touched = {contact.other for contact in verdict.contacts if not contact.with_self}
    return dataclasses.replace(
        observation.scene,
        obstacles=(*observation.scene, *(copy for copy in copies if copy.name not in touched)),
    )


def _copies(one: MovingObstacle, begin: float, end: float, grow: float, spacing: float) -> list[Obstacle]:
    count = 1 + min(_MOST_COPIES - 1, math.ceil(one.speed * (end - begin) / spacing))
    step = (end - begin) / max(1, count - 1)
    shape = kind_of(one.obstacle.shape).grown(one.obstacle.shape, grow)  # or as it is: the judge asks for the margin
    return [
        dataclasses.replace(one.at(begin + k * step), name=f"{one.obstacle.name} in {k * step:.2f} s", shape=shape)
        for k in range(count)
    ]
