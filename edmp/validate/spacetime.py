"""The judge in space-time: does a timed motion keep clear of obstacles that move?

Conservative advancement (Mirtich 2000) along the time axis: with distance ``d`` between arm and obstacle now, nothing
can touch until arm and obstacle together have travelled ``d``. Where the steps reach the end, the whole motion is
proved free under the prediction; what the obstacle really does is another matter, so a margin can be asked for. Boxes
round the pieces of the arm, in the frame of the obstacle, say first for which times distances need to be asked at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.geometry.poses import finite_vector
from edmp.ranges import Range
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.trajectory import Trajectory
from edmp.validate.bodies import Arm, Environment, extents
from edmp.validate.kinematic_tree import Poses
from edmp.validate.probe import Prober, Touch

Array = NDArray[np.float64]

_GRID = 2e-3
"""The way of the joints is summed up in steps of this [s]."""
_BOXES = 5
"""Boxes are drawn at every so many points of that grid."""
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

    The fixed base is not looked at: whatever the arm does, it cannot get out of the way.

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
    found = [hit for one in moving if (hit := _advance(robot, one, way, margin)) is not None]
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


class _Gaps:
    """Distances from one moving obstacle, in whose frame it is the arm that moves.

    Attributes:
        both: (times,) upper bound of how far arm and obstacle together have travelled [m].
    """

    def __init__(self, robot: Robot, one: MovingObstacle, way: _Way) -> None:
        self._robot, self._arm = robot, Arm.of(robot)
        self.both = way.travelled + one.speed * (way.times - way.times[0])  # increases
        environment = Environment(Scene((one.at(float(way.times[0])),)), robot.X_W0)
        poses = self._arm.tree.poses(way.q)
        drift = (way.times - way.times[0])[:, None] * (one.velocity @ robot.X_W0[:3, :3])
        poses.p[:, 1:] -= drift[:, None]  # body 0 stays: its frame is that of the obstacle now
        self._poses = poses
        self._prober = Prober(self._arm, environment)
        self._at = np.unique(np.append(np.arange(0, len(way.times), _BOXES), len(way.times) - 1))
        few = Poses(self._poses.R[self._at], self._poses.p[self._at])
        lower, upper = extents(self._arm, few, environment.frames[environment.frame_of[0]])
        beyond = np.maximum(lower - environment.upper[0][:, None, None], environment.lower[0][:, None, None] - upper)
        self._apart = np.linalg.norm(np.maximum(beyond, 0.0), axis=0)  # (boxes, pieces)

    def doubtful(self, least: float) -> NDArray[np.bool_]:
        """(times,) false where boxes prove that the distance is ``least`` until the next time."""
        apart = self._apart.min(axis=1, initial=np.inf)
        between = 0.5 * (apart[:-1] + apart[1:] - np.diff(self.both[self._at]))
        doubtful: NDArray[np.bool_] = (between < least).repeat(np.diff(self._at))
        return np.append(doubtful, apart[-1] < least)

    def at(self, k: int) -> tuple[float, str]:
        """The distance at one time, negative in contact, and the nearest link."""
        box = int(np.searchsorted(self._at, k, side="right")) - 1
        bounds = self._apart[box] - (self.both[k] - self.both[self._at[box]])
        closest, link = np.inf, self._robot.name
        for piece in np.argsort(bounds):
            if bounds[piece] >= closest:
                break
            answer = self._prober.separate(self._poses, k, int(piece))
            gap = -1.0 if isinstance(answer, Touch) else answer.distance
            if gap < closest:
                closest, link = gap, self._robot.links[self._arm.pieces[piece].link].name
        return closest, link


def _advance(robot: Robot, one: MovingObstacle, way: _Way, margin: float) -> Encounter | None:
    gaps = _Gaps(robot, one, way)
    doubtful = np.flatnonzero(gaps.doubtful(margin + _LEAST_STEP))
    k = 0
    while (after := int(np.searchsorted(doubtful, k))) < len(doubtful):
        k = int(doubtful[after])
        gap, who = gaps.at(k)
        if gap < margin + _LEAST_STEP:
            return _encounter(one, float(way.times[k]), who, gap, margin)
        k = max(k + 1, int(np.searchsorted(gaps.both, gaps.both[k] + gap - margin, side="right")) - 1)
    return None


def _encounter(one: MovingObstacle, time: float, who: str, gap: float, margin: float) -> Encounter:
    name = one.obstacle.name
    if gap < 0.0:
        return Encounter(time, name, f'{who} meets "{name}" at {time:.2f} s')
    return Encounter(
        time, name, f'"{name}" comes within {gap * 1e3:.0f} mm at {time:.2f} s (margin {margin * 1e3:.0f})'
    )
