"""VAMP: RRT-Connect and path simplification on SIMD collision checks (Thomason, Kingston, Kavraki 2024, ICRA).

An adapter to the package ``vamp-planner``, which plans on its own models, not on edmp's:

- Its robots are spheres that it brings along: `BASES` names those that edmp knows too. They stand at a fixed place, so
  obstacles are moved into the frame of the problem's base. The Panda's fingers are 0.13 m apart whatever the problem's
  gripper does; the UR5 carries a gripper of VAMP's. An attached object is refused.
- Its joint limits are its own: wider than the manufacturer's for the Panda, +-pi for the UR5.
- It knows balls, boxes, capsules, and clouds of points, which it looks up in a tree of its own (Ramsey et al. 2024,
  "Collision-Affording Point Trees", RSS). A cylinder becomes the box or the capsule around it, other convex kinds the
  box; occupied cells become a cloud, with the ball round each. A mesh is refused, and so is a field of distances.
- It looks at edges every 1/32 rad of joint-space distance, and proves nothing in between.

So a path that VAMP claims may touch something, or pass a limit: that is for the judge to say. Conversely a start or
goal that is free may not be so in VAMP's model; then nothing is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.errors import InvalidInputError, MissingDependencyError, unknown_name
from edmp.geometry.kinds import bounds, kind_of
from edmp.geometry.poses import inverse, rpy_from_rotation
from edmp.geometry.sensed import PointCloud, Voxels
from edmp.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from edmp.problem import MOVEIT_BASES
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

BASES = {"panda": np.eye(4), "ur5": MOVEIT_BASES["ur5"]}
"""(4, 4) where VAMP's robots of these names stand in VAMP's world."""

CYLINDERS = ("box", "capsule")


@dataclass(frozen=True)
class VampSettings:
    """Settings of `Vamp`. What is not here stays as VAMP's own defaults have it.

    Attributes:
        cylinders: ``box`` or ``capsule``, what stands in for a cylinder. A capsule is longer by its two caps, a box
            wider by its corners. VAMP's own benchmark takes boxes for one problem set and capsules for the others.
        margin: obstacles grow by this on every side [m]; by a half of it, or nothing, where VAMP's model of the robot
            would not stand free at the start and a goal otherwise. 0 is VAMP as it comes.
        max_iterations: of one attempt, and as many samples; attempts go on along the same sequence of samples.
        time_budget: no new attempt after this [s]; VAMP cannot be interrupted in one.
    """

    cylinders: str = "box"
    margin: float = 0.01
    max_iterations: int = 100_000
    time_budget: float = 10.0

    def __post_init__(self) -> None:
        if self.cylinders not in CYLINDERS:
            raise unknown_name("stand-in for cylinders", self.cylinders, CYLINDERS)
        ranges = {"margin": Range(0), "max_iterations": Range(1, whole=True), "time_budget": Range(0, above=True)}
        check_fields(self, ranges)


class Vamp(Baseline):
    """VAMP's RRT-Connect with its Halton sampler, then its simplification."""

    def __init__(self, settings: VampSettings | None = None) -> None:
        self.settings = settings or VampSettings()
        self._vamp = _import_vamp()

    def search(self, task: Task) -> Claim:
        """The seed moves the start of the sample sequence.

        Raises:
            InvalidInputError: robot or scene is nothing that VAMP can take.
        """
        s = self.settings
        begin = time.perf_counter()
        name = self._robot_name(task.robot)
        robot, rrtc, plan_settings, simplify_settings = self._vamp.configure_robot_and_planner_with_kwargs(name, "rrtc")
        plan_settings.max_iterations = plan_settings.max_samples = s.max_iterations
        start = task.start.tolist()
        for margin in (s.margin, s.margin / 2, 0.0):
            environment = self.environment(task.robot, task.scene, margin=margin)
            goals = [goal for goal in task.goals.tolist() if robot.validate(goal, environment)]
            start_free = robot.validate(start, environment)
            if goals and start_free:
                break
        else:
            which = "every goal" if start_free else "the start"
            return Claim(Status.NO_PATH_FOUND, f"VAMP's own model of the robot finds {which} in collision")
        sampler = robot.halton()
        sampler.skip(task.seed % 10_000)
        attempts = 0
        while attempts == 0 or time.perf_counter() < begin + s.time_budget:
            attempts += 1
            found = rrtc(start, goals, environment, plan_settings, sampler)
            if found.solved:
                break
        searched = time.perf_counter() - begin
        timings = {"search": searched}
        if not found.solved:
            return Claim(Status.TIMEOUT, f"no path in {attempts} attempts, {searched:.2f} s", timings=timings)
        simplified = robot.simplify(found.path, environment, simplify_settings, sampler)
        timings["simplify"] = time.perf_counter() - begin - searched
        return Claim(Status.SOLVED, path=_waypoints(simplified.path, task), timings=timings)

    def environment(self, robot: Robot, scene: Scene, *, margin: float = 0.0) -> Any:
        """A ``vamp.Environment`` of the obstacles of ``scene``, grown by ``margin`` [m], as seen from the robot's base.

        Raises:
            InvalidInputError: a mesh or a field of distances, which VAMP does not know.
        """
        name = self._robot_name(robot)
        X_VW = BASES[name] @ inverse(robot.X_W0)  # V: VAMP's world
        environment = self._vamp.Environment()
        for obstacle in scene:
            shape = obstacle.shape
            if isinstance(shape, PointCloud | Voxels):
                points, radius = _balls(shape, X_VW @ obstacle.X_WO)
                radii = getattr(self._vamp, name).min_max_radii()
                environment.add_pointcloud(points.tolist(), *radii, radius + margin)
                continue
            add = _ADD.get(type(shape), _add_box_around)
            if add is _add_box_around and not kind_of(shape).convex:
                kind, known = type(shape).__name__, ", ".join(s.__name__ for s in (*_ADD, PointCloud, Voxels))
                raise InvalidInputError(f"obstacle {obstacle.name!r}: VAMP knows no {kind}; only {known}")
            if isinstance(shape, Cylinder) and self.settings.cylinders == "capsule":
                add, shape = _add_capsule, Capsule(shape.radius, shape.length)
            add(self._vamp, environment, shape, X_VW @ obstacle.X_WO, margin)
        return environment

    def _robot_name(self, robot: Robot) -> str:
        """VAMP's name of the robot, if that is the same arm as far as names tell."""
        known = sorted(set(BASES) & set(self._vamp.robots))
        if robot.name not in known:
            raise InvalidInputError(f"VAMP has no model of robot {robot.name!r}; it has {', '.join(known)}")
        names = tuple(getattr(self._vamp, robot.name).joint_names())
        if names != tuple(robot.joint_names):
            raise InvalidInputError(f"robot {robot.name!r} has joints {robot.joint_names}, VAMP's has {names}")
        if attached := [link.name for link in robot.links if link.attached]:
            raise InvalidInputError(f"VAMP plans for the bare arm; this robot carries {', '.join(attached)}")
        return robot.name


def _add_sphere(vamp: Any, environment: Any, shape: Sphere, X_VO: Array, margin: float) -> None:
    environment.add_sphere(vamp.Sphere(X_VO[:3, 3].tolist(), shape.radius + margin))


def _add_box(vamp: Any, environment: Any, shape: Box, X_VO: Array, margin: float) -> None:
    half = [extent / 2 + margin for extent in shape.size]
    environment.add_cuboid(vamp.Cuboid(*_position_and_euler_xyz(X_VO), half))


def _add_box_around(vamp: Any, environment: Any, shape: Shape, X_VO: Array, margin: float) -> None:
    lower, upper = bounds(shape)
    x, y, z = (upper - lower).tolist()
    X_VC = X_VO.copy()
    X_VC[:3, 3] += X_VO[:3, :3] @ ((lower + upper) / 2)
    _add_box(vamp, environment, Box((x, y, z)), X_VC, margin)


def _add_capsule(vamp: Any, environment: Any, shape: Capsule, X_VO: Array, margin: float) -> None:
    """What VAMP calls a cylinder. Of its two constructors, the one from two end points crashes in version 0.6.4."""
    environment.add_capsule(vamp.Cylinder(*_position_and_euler_xyz(X_VO), shape.radius + margin, shape.length))


_ADD: dict[type, Callable[..., None]] = {
    Sphere: _add_sphere,
    Box: _add_box,
    Cylinder: _add_box_around,
    Capsule: _add_capsule,
}
"""Puts a shape with pose ``X_VO`` in VAMP's world, grown by a margin, into a ``vamp.Environment``."""


def _balls(shape: PointCloud | Voxels, X_VO: Array) -> tuple[Array, float]:
    """(n, 3) points in VAMP's world, and the radius of the balls round them: of a cell, the least that contains it."""
    if isinstance(shape, PointCloud):
        points, radius = shape.points.astype(np.float64), shape.radius
    else:
        points = (np.argwhere(shape.occupancy).astype(np.float64) + 0.5) * shape.resolution
        radius = shape.resolution * 0.75**0.5
    return points @ X_VO[:3, :3].T + X_VO[:3, 3], radius


def _position_and_euler_xyz(X: Array) -> tuple[list[float], list[float]]:
    """VAMP turns about the fixed axes x, then y, then z: roll, pitch and yaw."""
    return X[:3, 3].tolist(), rpy_from_rotation(X[:3, :3]).tolist()


def _waypoints(path: Any, task: Task) -> Array:
    """(n, dof), with start and goal as they were asked for: VAMP computes in single precision."""
    q = np.array([path[i] for i in range(len(path))], dtype=np.float64)
    q[0] = task.start
    q[-1] = task.goals[np.abs(task.goals - q[-1]).max(axis=1).argmin()]
    return q


def _import_vamp() -> Any:
    """VAMP's module.

    Raises:
        MissingDependencyError: it is not installed, or something else of the same name is.
    """
    needed = "the baseline vamp needs VAMP: pip install vamp-planner (compiles; needs CMake, a C++ compiler and Eigen)"
    try:
        import vamp
    except ImportError as error:
        raise MissingDependencyError(f"{needed} ({error})") from None
    if not hasattr(vamp, "configure_robot_and_planner_with_kwargs"):
        raise MissingDependencyError(f"{needed}; the module 'vamp' that is installed is another package")
    return vamp
