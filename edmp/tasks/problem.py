"""Tasks as files: a scene in edmp's own format with the keys ``start`` and ``pick``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.constraints import Constraint
from edmp.errors import FileFormatError, InvalidInputError
from edmp.geometry.poses import rigid
from edmp.problem import load_scene_constraints, load_start
from edmp.robots.robot import Robot
from edmp.scenes.native import RobotEntry, SceneFile, save_scene_file
from edmp.scenes.native_pick import PickEntry
from edmp.scenes.scene import Scene
from edmp.taskplan import TaskPlan
from edmp.tasks.grip import carrier
from edmp.tasks.picking import pick, pick_and_place

Array = NDArray[np.float64]


@checked
@dataclass(frozen=True, eq=False)
class PickProblem:
    """An object to be picked up, and where it is to go.

    Attributes:
        robot, scene, start: as for `edmp.pick_and_place`.
        object: name of the obstacle.
        at: poses (4, 4) of its frame in the world, one of which is where it is to go; empty if it is only lifted.
        name: for reports.
        constraints: what it keeps to while it is carried.
        velocity_scale, acceleration_scale: shares of the robot's limits.
    """

    robot: Robot
    scene: Scene
    start: Array
    object: str
    at: tuple[Array, ...] = ()
    name: str = ""
    constraints: tuple[Constraint, ...] = ()
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(rigid(X, "at") for X in self.at))

    @checked
    def plan(self, *, seed: int = 0, time_budget: float = 10.0) -> TaskPlan:
        """`edmp.pick_and_place`, or `edmp.pick` where it goes nowhere."""
        if self.at:
            return pick_and_place(
                self.scene,
                self.start,
                self.object,
                np.array(self.at),
                robot=self.robot,
                constraints=self.constraints,
                velocity_scale=self.velocity_scale,
                acceleration_scale=self.acceleration_scale,
                seed=seed,
                time_budget=time_budget,
            )
        return pick(
            self.scene,
            self.start,
            self.object,
            robot=self.robot,
            constraints=self.constraints,
            velocity_scale=self.velocity_scale,
            acceleration_scale=self.acceleration_scale,
            seed=seed,
            time_budget=time_budget,
        )


def holding(robot: Robot, scene: Scene, object: str) -> Robot:
    """The arm with an object in its hand somehow: what constraints on the carried object may name."""
    return robot.with_attachment(object, scene[object].shape, np.eye(4), link=carrier(robot))


@checked
def load_pick(path: str | Path, *, robot: str | Robot | None = None) -> PickProblem:
    """Read a task from a file in edmp's own format.

    Raises:
        FileFormatError: with file and line; or it has no ``start``, or says nothing of picking.
    """
    arm, content, start = load_start(path, robot=robot)
    if not isinstance(content, SceneFile) or content.pick is None or start is None:
        raise FileFormatError(f"{path}: a task needs the keys start and pick, such as pick: {{object: can, at: ...}}")
    if content.pick.object not in content.scene:
        raise FileFormatError(
            f"{path}: pick: there is no obstacle {content.pick.object!r}; there are {', '.join(content.scene.names)}"
        )
    constraints = load_scene_constraints(path, holding(arm, content.scene, content.pick.object))
    name = content.name or Path(path).stem
    scales = content.velocity_scale, content.acceleration_scale
    return PickProblem(arm, content.scene, start, content.pick.object, content.pick.at, name, constraints, *scales)


@checked
def save_pick(path: str | Path, problem: PickProblem) -> None:
    """Write a task without constraints in edmp's own format. The robot goes by its name, with gripper and base pose.

    Raises:
        InvalidInputError: the file cannot be written, or the robot is not one that these give back.
    """
    from edmp.robots.description_writer import departs_from_built_in

    arm = problem.robot
    if reason := departs_from_built_in(arm):
        raise InvalidInputError(f"cannot write task {str(path)!r}: the format names its robot, but {reason}")
    base = None if np.array_equal(arm.X_W0, np.eye(4)) else arm.X_W0
    entry = RobotEntry(arm.name, arm.gripper.width if arm.gripper else None, base)
    start = tuple(map(float, problem.start))
    content = SceneFile(
        problem.scene,
        problem.name,
        entry,
        start,
        velocity_scale=problem.velocity_scale,
        acceleration_scale=problem.acceleration_scale,
        pick=PickEntry(problem.object, problem.at),
    )
    save_scene_file(path, content)
