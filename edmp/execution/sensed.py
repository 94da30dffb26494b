"""A cell that is known by its cameras alone: something is put down while the arm works, and the map has to tell.

The arm swings from one side of a table to the other; on the way a post is put down where it would pass. What is planned
and guarded is the map; what is judged afterwards is the truth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.errors import InvalidInputError
from edmp.execution.company import company_of
from edmp.execution.driver import ArmDriver, ArmState, Command
from edmp.execution.drivers import make_driver
from edmp.execution.executor import ExecutionSettings
from edmp.execution.prediction import Observation
from edmp.execution.receding import HorizonSettings, RecedingHorizon, ReplannedExecution
from edmp.execution.replanning import Plans
from edmp.geometry.shapes import Box
from edmp.recordings.recording import Recording, motion_as_seen
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.sensing import DepthCamera, Map, MapSettings, SensorFaults, SimulatedCameras
from edmp.threads import kernel_threads
from edmp.timing import retime_waypoints
from edmp.validate import Judge

Array = NDArray[np.float64]

RESOLUTION = 0.02
"""Of the map [m]."""
BOUNDS = ((-0.6, -1.0, -0.2), (1.1, 1.0, 1.3))
"""Of the map [m]."""
EYES = ((1.7, 0.2, 1.2), (0.3, 1.6, 1.2), (0.3, -1.6, 1.2))
_LOOK_AT = (0.4, 0.0, 0.3)
_PADDING = 0.03
_ARM_PADDING = 0.035
"""What is measured this near to the arm is the arm [m]: five sigma of the noise from where the cameras are."""
_APPEARED, _VANISHED = 8, 0.05
"""More new cells than this outside of what the last scene took, or a larger share of that gone, make a scene new."""
_TURNS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Before it works the arm has been at home, turned so about its first joint, where that is free [rad]: cameras saw what
it hides at its start."""
_ATTEMPTS = 200
SPEED = 0.4
"""Share of its limits that the arm moves with."""
_CLEAR = 0.08
"""The post stays clear of start and goal, and of the arm when it is put down, by this [m]."""


@dataclass(frozen=True, eq=False)
class SensedCell:
    """What happens.

    Attributes:
        robot: the arm.
        before, after: what stands there, really, before something is put down, and from then on.
        start, goal: (dof,) [rad or m].
        put_down: when, after the first look [s].
        cameras: that look.
        seed: that it was drawn from.
    """

    robot: Robot
    before: Scene
    after: Scene
    start: Array
    goal: Array
    put_down: float
    cameras: tuple[DepthCamera, ...]
    seed: int


def make_cell(robot: Robot, seed: int) -> SensedCell:
    """Draw where the post stands, how large it is, and when it is put down.

    Raises:
        InvalidInputError: nothing of the kind could be drawn for this robot.
    """
    rng = np.random.default_rng(seed)
    before = Scene.of({"table": (Box((1.3, 1.7, 0.06)), (0.4, 0.0, -0.1))})
    cameras = tuple(
        DepthCamera.looking(eye, _LOOK_AT, width=200, height=150, angle=1.2, far_is_free=True) for eye in EYES
    )
    tool = tool_pose(robot, torch.as_tensor(robot.home, dtype=torch.float64)).numpy()[:3, 3] - robot.X_W0[:3, 3]
    reach = float(np.hypot(*tool[:2]))
    for _ in range(_ATTEMPTS):
        side = rng.choice([-1.0, 1.0])
        start, goal = robot.home.copy(), robot.home.copy()
        start[0], goal[0] = -side * rng.uniform(0.8, 1.2), side * rng.uniform(0.8, 1.2)
        bearing, radius = rng.uniform(-0.3, 0.3), reach + rng.uniform(-0.02, 0.06)
        width, height = rng.uniform(0.06, 0.12), tool[2] + rng.uniform(0.07, 0.2)
        at = (radius * math.cos(bearing), radius * math.sin(bearing), height / 2 - 0.07)
        after = before.with_obstacle("post", Box((width, width, height)), at)
        if not _clear(robot, after, (start, goal)):
            continue
        way = retime_waypoints(
            [start, goal],
            robot.limits,
            joint_names=robot.joint_names,
            velocity_scale=SPEED,
            acceleration_scale=SPEED,
        )
        judge = Judge(robot, after)
        hit = [time for time in np.arange(0.0, way.duration, 0.05) if not judge.check(way.at(time)).valid]
        if not hit:
            continue
        # Before the arm comes near, with time to see it, and to brake.
        put_down = float(hit[0]) - rng.uniform(0.6, 1.0)
        if put_down > 0.0 and _clear(robot, after, [way.at(put_down), way.at(put_down + 0.1)]):
            return SensedCell(robot, before, after, start, goal, 0.15 + put_down, cameras, seed)
    raise InvalidInputError(f"found no such cell for {robot.name} in {_ATTEMPTS} attempts")


def _clear(robot: Robot, scene: Scene, configurations: Iterable[Array]) -> bool:
    judge = Judge(robot, scene.without("table"))
    verdicts = [judge.check(q) for q in configurations]
    return all(verdict.valid and verdict.min_clearance > _CLEAR for verdict in verdicts)


class SensedWorld:
    """The scene source of such a cell: at each question the next camera looks, and the map takes its image in.

    Before, the cameras have looked round while the arm was turned about its first joint: where unseen space counts as
    occupied, it could go nowhere that it hides itself.

    A scene is a new one only if some cells were seen outside of what the last one has taken with its padding, or if
    some of that has vanished: noise at surfaces makes none.

    Args:
        cell: what happens.
        driver: whose clock tells the time.
        unseen: see `Map.scene`.
        faults: of the cameras.

    Attributes:
        map: what the cameras saw.
        first: the map as a scene before the arm set off, without padding and unseen space: to look at.
        scenes: how many there were.
    """

    def __init__(
        self, cell: SensedCell, driver: ArmDriver, *, unseen: str = "occupied", faults: SensorFaults | None = None
    ) -> None:
        self.cell, self._driver, self._unseen = cell, driver, unseen
        worlds = (cell.before, cell.after)
        self._sights = [
            [
                SimulatedCameras([camera], scene, robot=cell.robot, faults=faults or SensorFaults(), seed=cell.seed)
                for camera in cell.cameras
            ]
            for scene in worlds
        ]
        self.map = Map(BOUNDS, RESOLUTION, robot=cell.robot, settings=MapSettings(robot_padding=_ARM_PADDING))
        self._begin: float | None = None
        self._looks = 0
        judge = Judge(cell.robot, cell.before)
        turned = (cell.robot.home + turn * np.eye(cell.robot.dof)[0] for turn in _TURNS)
        for self._q in (*(q for q in turned if judge.check(q).valid), cell.start, cell.start):
            for _ in cell.cameras:
                self._look(0)
        self._scene = self._made()
        self.first = self.map.scene(unseen="free")
        self.scenes = 1

    @property
    def begin(self) -> float:
        """When it was asked first, on the driver's clock [s]."""
        return 0.0 if self._begin is None else self._begin

    def watch(self, state: ArmState, _: Command) -> None:
        """Where the arm was measured last."""
        self._q = state.positions

    def __call__(self) -> Observation:
        """What the map says now."""
        now = self._driver.now()
        self._begin = now if self._begin is None else self._begin
        self._look(int(now - self._begin >= self.cell.put_down))
        known = self._occupancy(self._scene)
        seen = self.map.occupied
        made = self._made()
        if (seen & ~known).sum() > _APPEARED or (known & ~self._occupancy(made)).sum() > _VANISHED * known.sum():
            self._scene = made
            self.scenes += 1
        return Observation(self._scene, (), now)

    def close(self) -> None:
        """The cameras look no more."""
        for sight in (sight for sights in self._sights for sight in sights):
            sight.close()

    def examine(self, recording: Recording) -> str | None:
        """What the measured motion touched, really; None if nothing."""
        cell = self.cell
        if len(recording.seen) < 2 or self._begin is None:
            return None
        motion = motion_as_seen(recording)
        q = cell.robot.clipped(motion.positions)
        times = motion.times - motion.times[0] + float(recording.seen[0]) - self._begin
        late = int(np.searchsorted(times, cell.put_down))
        for scene, part in ((cell.before, q[: late + 1]), (cell.after, q[late:])):
            if len(part) > 1 and not (verdict := Judge(cell.robot, scene).check_path(part)).valid:
                return verdict.message()
        return None

    def _look(self, after: int) -> None:
        which = self._looks % len(self.cell.cameras)
        self._looks += 1
        self.map.integrate(self._sights[after][which].look(self._q)[0], self.cell.cameras[which], self._q)

    def _made(self) -> Scene:
        return self.map.scene(unseen=self._unseen, padding=_PADDING)

    def _occupancy(self, scene: Scene) -> NDArray[np.bool_]:
        return scene["map"].shape.occupancy if "map" in scene else np.zeros(self.map.shape, np.bool_)  # type: ignore


@dataclass(frozen=True, eq=False)
class SensedRun:
    """A cell and what became of it.

    Attributes:
        cell: what happened.
        world: what was seen.
        done: the execution.
        touched: what the arm touched of the truth; None if nothing.
        seconds: that it took to compute [s].
    """

    cell: SensedCell
    world: SensedWorld
    done: ReplannedExecution
    touched: str | None
    seconds: float = field(default=0.0)

    @property
    def good(self) -> bool:
        """It arrived, and touched nothing."""
        return self.done.reached and self.touched is None


def run_cell(
    cell: SensedCell,
    planner: Plans,
    *,
    driver: str = "drake-sim",
    unseen: str = "occupied",
    horizon: HorizonSettings | None = None,
    slowdown: float = 1.0,
) -> SensedRun:
    """Send the arm to the goal of a cell, by what the map says.

    Planner, guard, cameras and arm take turns on the arm's clock, each charged the processor time of its thread.

    Args:
        cell: what happens.
        planner: `edmp.Planner`; of one in another process no time would be charged.
        driver: a simulated one, by name.
        unseen: see `Map.scene`.
        horizon: see `HorizonSettings`; by default the arm moves with `SPEED`, and is led out of the map's padding if it
            came to rest there.
        slowdown: see `Turns`.
    """
    horizon = horizon or HorizonSettings(escape=_PADDING + RESOLUTION, execution=ExecutionSettings(speed=SPEED))
    begin = time.perf_counter()
    made = make_driver(driver, cell.robot, positions=cell.start, scene=cell.before, options={})
    with kernel_threads(1), made as arm:
        if arm.hardware:
            raise InvalidInputError(f"driver {arm.name} moves a real arm: only simulated ones are for this")
        world = SensedWorld(cell, arm, unseen=unseen)
        company = company_of(arm, stopwatch=time.thread_time, slowdown=slowdown)
        loop = RecedingHorizon(planner, arm, world, horizon, company=company)
        try:
            done = loop.run(cell.goal, seed=cell.seed, on_tick=world.watch)
        finally:
            world.close()
    return SensedRun(cell, world, done, world.examine(done.recording), time.perf_counter() - begin)
