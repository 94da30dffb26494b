"""A scripted world: something crosses the arm's way, seen through noise; and whether the arm really kept clear."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.execution.driver import ArmDriver
from edmp.execution.prediction import Observation
from edmp.geometry.shapes import Box, Shape, Sphere
from edmp.ranges import Range, check_fields
from edmp.recordings.recording import Recording, motion_as_seen
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.timing import retime_waypoints
from edmp.trajectory import Trajectory
from edmp.validate import Judge
from edmp.validate.spacetime import MovingObstacle, first_encounter

Array = NDArray[np.float64]

_ATTEMPTS = 50
"""To draw a way, and to draw something that crosses it."""
_REST_MARGIN = 0.08
"""The obstacle passes a start and a goal at this distance at least [m]."""
_BASE_MARGIN = 0.3
"""And the axis of the base [m]."""
_SHOW = 8.0
"""For this long it must [s]."""
_FIRST_PLAN = 0.15
"""About so long the arm rests at first [s]."""
_LOOK = 0.02
"""How near things came is looked at this often [s]."""


@dataclass(frozen=True, eq=False)
class Crossing:
    """A problem in which something crosses the straight way.

    Attributes:
        robot: the arm.
        scene: what stands still.
        start, goal: (dof,) [rad or m].
        mover: what moves, as it really is; it was at its place at time 0.
        appears: before this time nobody sees it: it comes from behind something [s].
        seed: that it was drawn from.
    """

    robot: Robot
    scene: Scene
    start: Array
    goal: Array
    mover: MovingObstacle
    appears: float
    seed: int


@dataclass(frozen=True)
class CrossingSettings:
    """What crossings are drawn.

    Attributes:
        speed: lowest and highest speed of what moves [m/s].
        size: smallest and largest radius of a ball, or half side of a box [m].
        swing: smallest and largest angle of the first joint on both sides of its home [rad].
        spread: standard deviation of the other joints about home [rad].
        latest: the arm is met at a time up to this share of its way, and from 1 minus this [1].
        notice: shortest and longest time from when the obstacle is first seen to when it would meet the arm [s].
    """

    speed: tuple[float, float] = (0.1, 0.4)
    size: tuple[float, float] = (0.05, 0.09)
    swing: tuple[float, float] = (0.7, 1.3)
    spread: float = 0.15
    latest: float = 0.7
    notice: tuple[float, float] = (0.4, 1.0)

    def __post_init__(self) -> None:
        positive = Range(0, above=True, several=True)
        check_fields(self, dict.fromkeys(("speed", "size", "swing", "notice"), positive))
        check_fields(self, {"spread": Range(0), "latest": Range(0.5, 1.0)})


def make_crossing(robot: Robot, seed: int, settings: CrossingSettings | None = None) -> Crossing:
    """Draw a problem: the arm swings over a table from one side to the other, and something crosses its way.

    The obstacle meets the straight motion from start to goal, so that an arm that does not look is hit or hits it, and
    is first seen shortly before, while the arm moves. It
    stays clear of an arm that rests at the start or at the goal, and of the base, so that there is a way to succeed:
    the arm can wait.

    Raises:
        InvalidInputError: nothing of the kind could be drawn for this robot.
    """
    settings = settings or CrossingSettings()
    rng = np.random.default_rng(seed)
    scene = Scene.of({"table": (Box((1.4, 1.8, 0.05)), (0.35, 0.0, -0.1))})
    judge = Judge(robot, scene)
    for _ in range(_ATTEMPTS):
        start, goal = _ends(robot, rng, settings)
        if not judge.check_path([start, goal]).valid:
            continue
        way = retime_waypoints([start, goal], robot.limits, joint_names=robot.joint_names)
        for _ in range(_ATTEMPTS):
            mover = _mover(robot, way, rng, settings)
            if not _passes_base(robot, mover):
                continue
            met = _crosses(robot, mover, way)
            if met is not None and met - settings.notice[0] > _FIRST_PLAN:
                appears = met - rng.uniform(settings.notice[0], min(settings.notice[1], met - _FIRST_PLAN))
                return Crossing(robot, scene, start, goal, mover, appears, seed)
    raise InvalidInputError(f"found no crossing for {robot.name} in {_ATTEMPTS**2} attempts; try other settings")


def _ends(robot: Robot, rng: np.random.Generator, settings: CrossingSettings) -> tuple[Array, Array]:
    limits, side = robot.limits, rng.choice([-1.0, 1.0])
    ends = []
    for sign in (-side, side):
        q = robot.home + rng.normal(scale=settings.spread, size=robot.dof)
        q[0] = robot.home[0] + sign * rng.uniform(*settings.swing)
        ends.append(q.clip(limits.lower + 0.05, limits.upper - 0.05))
    return ends[0], ends[1]


def _mover(robot: Robot, way: Trajectory, rng: np.random.Generator, settings: CrossingSettings) -> MovingObstacle:
    """Where some point of the arm will be at some time, something will be too."""
    time = rng.uniform(1.0 - settings.latest, settings.latest) * way.duration
    X_WT = tool_pose(robot, torch.as_tensor(way.at(time), dtype=torch.float32))
    target = X_WT.numpy().astype(np.float64)[:3, 3] + rng.normal(scale=0.05, size=3)
    heading = rng.uniform(0.0, 2.0 * np.pi)
    direction = np.array([np.cos(heading), np.sin(heading), rng.uniform(-0.3, 0.3)])
    velocity = rng.uniform(*settings.speed) * direction / np.linalg.norm(direction)
    size = rng.uniform(*settings.size)
    shape: Shape = Sphere(size) if rng.random() < 0.5 else Box((2 * size, 2 * size, 2 * size))
    return MovingObstacle(Obstacle.at("mover", shape, target - velocity * (time + _FIRST_PLAN)), velocity, 0.0)


def _passes_base(robot: Robot, mover: MovingObstacle) -> bool:
    """A quick look at whether the mover's way, seen from above, passes the base."""
    p, v = (mover.obstacle.X_WO[:2, 3] - robot.X_W0[:2, 3]), mover.velocity[:2]
    nearest = p - v * np.clip((p @ v) / (v @ v), -_SHOW, 0.0)
    return bool(np.linalg.norm(nearest) > _BASE_MARGIN)


def _crosses(robot: Robot, mover: MovingObstacle, way: Trajectory) -> float | None:
    """When does the mover meet the motion [s]? None if never, or if it meets the arm that rests at one end of it."""
    met = first_encounter(robot, [mover], way, begin=_FIRST_PLAN, end=_FIRST_PLAN + way.duration)
    if met is None:
        return None
    offsets = (-_SHOW, way.duration + 1.0)  # at which the motion rests at its start, or at its goal
    clear = all(
        first_encounter(robot, [mover], way, begin=0.0, end=_SHOW, offset=offset, margin=_REST_MARGIN) is None
        for offset in offsets
    )
    return met.time if clear else None


class CrossingWorld:
    """The scene source of a crossing, and the judge of what was done in it.

    Its time begins with the first observation.

    Args:
        crossing: what happens.
        driver: whose clock tells the time.
        position_noise: standard deviation of the observed position [m].
        velocity_noise: standard deviation of the observed velocity [m/s].
    """

    def __init__(
        self, crossing: Crossing, driver: ArmDriver, *, position_noise: float = 0.003, velocity_noise: float = 0.02
    ) -> None:
        self.crossing, self._driver = crossing, driver
        self._noise = (position_noise, velocity_noise)
        check = Range(0)
        if not all(check.holds(sigma) for sigma in self._noise):
            raise InvalidInputError(f"noise must be {check}, got {self._noise}")
        self._rng = np.random.default_rng(crossing.seed)
        self._begin: float | None = None

    def __call__(self) -> Observation:
        """What a camera with a tracker would say now."""
        now = self._driver.now()
        self._begin = now if self._begin is None else self._begin
        if now - self._begin < self.crossing.appears:
            return Observation(self.crossing.scene, (), now)
        mover = self.crossing.mover
        there = mover.at(now - self._begin)
        X_WO = there.X_WO.copy()
        X_WO[:3, 3] += self._rng.normal(scale=self._noise[0], size=3)
        velocity = mover.velocity + self._rng.normal(scale=self._noise[1], size=3)
        seen = MovingObstacle(dataclasses.replace(there, X_WO=X_WO), velocity, now)
        return Observation(self.crossing.scene, (seen,), now)

    def mover(self) -> MovingObstacle:
        """What really moves, on the driver's clock."""
        return dataclasses.replace(self.crossing.mover, time=self._begin or 0.0)

    def examine(self, recording: Recording) -> Aftermath:
        """Did the measured motion keep clear of what stood and of what moved, really, at every time?"""
        crossing = self.crossing
        if len(recording.seen) < 2:
            return Aftermath(None, np.inf)
        motion = motion_as_seen(recording)
        begin = float(recording.seen[0])
        end = begin + motion.duration
        hit = first_encounter(crossing.robot, [self.mover()], motion, begin=begin, end=end)
        limits = crossing.robot.limits
        verdict = Judge(crossing.robot, crossing.scene).check_path(motion.positions.clip(limits.lower, limits.upper))
        touched = hit.message if hit else None if verdict.valid else verdict.message()
        return Aftermath(touched, self._closest(motion, begin))

    def _closest(self, motion: Trajectory, begin: float) -> float:
        robot, mover = self.crossing.robot, self.mover()
        limits, closest = robot.limits, np.inf
        for time in np.arange(0.0, motion.duration, _LOOK):
            q = motion.at(time).clip(limits.lower, limits.upper)
            verdict = Judge(robot, Scene((mover.at(begin + time),))).check(q)
            closest = min(closest, verdict.min_clearance)
        return closest


@dataclass(frozen=True)
class Aftermath:
    """What came of a crossing.

    Attributes:
        touched: what the arm touched, and when; None if nothing.
        closest: smallest distance from what moved, sampled [m].
    """

    touched: str | None
    closest: float
