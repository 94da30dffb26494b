"""The judge in space-time: does a timed motion keep clear of obstacles that move?

Conservative advancement (Mirtich 2000) along the time axis: with distance ``d`` between arm and obstacle now, nothing
can touch until arm and obstacle together have travelled ``d``. Where the steps reach the end, the whole motion is
proved free under the prediction; what the obstacle really does is another matter, so a margin can be asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edmp.ranges import Range
from edmp.robots.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.scenes.poses import finite_vector
from edmp.scenes.scene import Obstacle, Scene
from edmp.trajectory import Trajectory
from edmp.validate.bodies import Arm
from edmp.validate.judge import Judge

Array = NDArray[np.float64]

_GRID = 2e-3
"""The way of the joints is summed up in steps of this [s]."""
_LEAST_STEP = 1e-3
"""Closer than this to the margin, something counts as touching [m]."""


@dataclass(frozen=True, eq=False)
class MovingObstacle:
    """An obstacle and a prediction: it goes on at constant velocity, without turning.

    Attributes:
        obstacle: as it was seen.
        velocity: (3,) in the world [m/s].
        time: when it was seen [s].
    """

    obstacle: Obstacle
    velocity: Array
    time: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "velocity", finite_vector(self.velocity, 3, f"velocity of {self.obstacle.name!r}"))

    @property
    def speed(self) -> float:
        """[m/s]"""
        return float(np.linalg.norm(self.velocity))

    def at(self, time: float) -> Obstacle:
        """Where it is predicted to be at ``time`` [s]."""
        X_WO = self.obstacle.X_WO.copy()
        X_WO[:3, 3] += self.velocity * (time - self.time)
        return dataclasses.replace(self.obstacle, X_WO=X_WO)


@dataclass(frozen=True)
class Encounter:
    """Where a motion and a moving obstacle come too close.

    Attributes:
        time: when, on the clock of the obstacles [s].
        obstacle: its name.
        message: a sentence for a person.
    """

    time: float
    obstacle: str
    message: str


def first_encounter(
    robot: Robot,
    moving: Sequence[MovingObstacle],
    trajectory: Trajectory,
    *,
    begin: float,
    end: float,
    offset: float = 0.0,
    margin: float = 0.0,
) -> Encounter | None:
    """The first time at which the arm comes within ``margin`` of a moving obstacle; None if it is proved never to.

    Args:
        robot: the arm.
        moving: what moves, with its prediction.
        trajectory: of the arm; before and after it the arm rests at its ends.
        begin, end: the time to look at, on the clock of the obstacles [s].
        offset: time along the trajectory at ``begin`` [s].
        margin: distance to keep [m].
    """
    if not (np.isfinite([begin, end, offset]).all() and begin <= end and Range(0).holds(margin)):
        raise InvalidInputError(f"needs begin <= end and margin >= 0, got {begin}, {end}, {margin}")
    way = _Way(robot, trajectory, begin, end, offset)
    arm = _without_itself(robot)
    found = [hit for one in moving if (hit := _advance(arm, one, way, begin, margin)) is not None]
    return min(found, key=lambda hit: hit.time, default=None)


class _Way:
    """Configurations over time, and an upper bound of how far any point of the arm has travelled."""

    def __init__(self, robot: Robot, trajectory: Trajectory, begin: float, end: float, offset: float) -> None:
        self.times = np.linspace(begin, end, max(2, 1 + int(np.ceil((end - begin) / _GRID))))
        q, v, _ = trajectory.sample(self.times - begin + offset)
        self.q = q
        reach = Arm.of(robot).motion_bound(np.abs(q).max(axis=0)).reach.max(axis=0, initial=0.0)
        # Between grid points a joint moves at most as far as the faster end says, or it turned round in between.
        step = np.maximum(
            np.abs(np.diff(q, axis=0)), np.diff(self.times)[:, None] * np.maximum(abs(v[1:]), abs(v[:-1]))
        )
        self.travelled = np.concatenate([[0.0], np.cumsum(step @ reach)])


@lru_cache(maxsize=8)
def _without_itself(robot: Robot) -> Robot:
    """The arm for distances to others only: without self-collision and limits."""
    far = np.full(robot.dof, 1e6)
    limits = dataclasses.replace(robot.limits, lower=-far, upper=far)
    return dataclasses.replace(robot, collision_pairs=(), limits=limits)


def _advance(robot: Robot, one: MovingObstacle, way: _Way, begin: float, margin: float) -> Encounter | None:
    both = way.travelled + one.speed * (way.times - begin)  # increases
    k = 0
    while True:
        verdict = Judge(robot, Scene((one.at(float(way.times[k])),))).check(way.q[k])
        gap = verdict.min_clearance if verdict.valid else -1.0
        if gap < margin + _LEAST_STEP:
            who = verdict.contacts[0].link if verdict.contacts else robot.name
            return _encounter(one, float(way.times[k]), who, gap, margin)
        if k == len(way.times) - 1:
            return None
        k = max(k + 1, int(np.searchsorted(both, both[k] + gap - margin, side="right")) - 1)
        k = min(k, len(way.times) - 1)


def _encounter(one: MovingObstacle, time: float, who: str, gap: float, margin: float) -> Encounter:
    name = one.obstacle.name
    if gap < 0.0:
        return Encounter(time, name, f'{who} meets "{name}" at {time:.2f} s')
    return Encounter(
        time, name, f'"{name}" comes within {gap * 1e3:.0f} mm at {time:.2f} s (margin {margin * 1e3:.0f})'
    )
