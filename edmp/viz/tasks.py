"""A task for viewers: one robot whose fingers slide, with the object as a body that moves by itself, and one motion.

Viewers know an arm that moves among things that stand. So the fingers and every object that is ever held become joints
of one tree, which any viewer shows: pictures, movies, the window and the page have the object in the hand while it is
held, and where it was put down after. Collisions of this robot mean nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.poses import apply, inverse, pose, rotation_to_z, rpy_from_rotation
from edmp.robots.attachment import shape_points
from edmp.robots.parts import Joint, Limits, Link
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.taskplan import Phase, TaskPlan
from edmp.trajectory import Trajectory
from edmp.viz.surfaces import body_poses

Array = NDArray[np.float64]

_FAR = 1e3
"""Joints that only show something may be anywhere [rad or m]."""
_STEP = 0.02
"""What is shown is known at least so often [s]."""


@dataclass(frozen=True, eq=False)
class ShownTask:
    """What viewers show of a task.

    Attributes:
        robot: see `shown_robot`.
        scene: what stands all the time.
        motion: of that robot.
        arm: as it is at first, its hand empty.
    """

    robot: Robot
    scene: Scene
    motion: Trajectory
    arm: Robot


def shown_task(plan: TaskPlan) -> ShownTask:
    """All the phases that there are, at least one."""
    objects = _moved(plan)
    arm = _empty(plan.phases[0].robot, objects)
    robot = shown_robot(arm, tuple(objects.values()))
    scene = plan.scene.without(*(name for name in objects if name in plan.scene))
    begins = plan.begins[:-1]
    times = np.unique(np.concatenate([_times(*one) for one in zip(plan.phases, begins, strict=True)]))
    times = times[np.concatenate([[True], np.diff(times) > 1e-6])]
    return ShownTask(robot, scene, _motion(plan, robot, objects, times), arm)


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured at a moment: time [s], the arm's joints (dof,), the gap between its fingers [m], and poses X_WO
    (4, 4) of what can be moved, by name."""

    time: float
    q: Array
    width: float | None
    objects: Mapping[str, Array]


def measured_task(plan: TaskPlan, seen: Sequence[Seen]) -> ShownTask:
    """A task as it was measured, at two moments at least, for viewers."""
    planned = shown_task(plan)
    names = list(_moved(plan))
    fingers = len(plan.robot.gripper.fingers) if plan.robot.gripper else 0
    rows = [shown_positions(one.q, one.width, fingers, [one.objects[name] for name in names]) for one in seen]
    times = np.array([one.time - seen[0].time for one in seen])
    motion = _smooth(planned.robot, np.array(rows), times, plan.robot.dof + fingers, len(names))
    return ShownTask(planned.robot, planned.scene, motion, planned.arm)


def shown_robot(robot: Robot, objects: tuple[Obstacle, ...]) -> Robot:
    """The arm with sliding fingers, and objects on six joints of their own each: along x, y, z, about z, y, x."""
    arm = robot if robot.gripper is None else robot.with_gripper(0.0)
    joints, links = list(arm.joints), list(arm.links)
    parents = list(arm.parents)
    joints = [dataclasses.replace(joint, parent=parent) for joint, parent in zip(joints, parents, strict=True)]
    for finger in arm.gripper.fingers if arm.gripper else ():
        i = arm.link_index(finger.link)
        X_BJ = pose((0.0, 0.0, 0.0), rotation_to_z(links[i].X_BL[:3, :3] @ finger.axis))
        joints.append(Joint(f"{finger.link} slides", "prismatic", X_BJ, parent=links[i].body))
        links[i] = _on(links[i], len(joints), inverse(X_BJ))
    X_0W = inverse(arm.X_W0)
    for obstacle in objects:
        axes = {"prismatic": np.eye(3), "revolute": np.eye(3)[::-1]}
        R_before = X_0W[:3, :3]
        for kind, rows in axes.items():
            for axis in rows:
                R = rotation_to_z(axis)
                X_PJ = pose((0.0, 0.0, 0.0), R_before @ R)
                joints.append(Joint(f"{obstacle.name} {kind} {axis.argmax()}", kind, X_PJ, parent=len(joints)))
                R_before = R.T
        joints[-6] = dataclasses.replace(joints[-6], X_PJ=X_0W @ pose((0, 0, 0), rotation_to_z(np.eye(3)[0])), parent=0)
        hull = shape_points(obstacle.shape, obstacle.name) @ rotation_to_z(np.eye(3)[0])  # in the last joint's frame
        links.append(Link(obstacle.name, len(joints), np.eye(4), (hull,), np.zeros((0, 4)), None, attached=True))
    return dataclasses.replace(
        arm,
        joints=tuple(joints),
        limits=_with_more(arm.limits, len(joints) - arm.dof),
        links=tuple(links),
        collision_pairs=(),
        allowed_contacts=(),
        gripper=None,
        home=np.concatenate([arm.home, np.zeros(len(joints) - arm.dof)]),
    )


def shown_positions(arm: Array, width: float | None, fingers: int, poses: list[Array]) -> Array:
    """(dof,) joints of what `shown_robot` made, for the arm's, the gap between its fingers, and poses X_WO (4, 4)."""
    slides = np.full(fingers, 0.0 if width is None else width / 2)
    places = [np.concatenate([X[:3, 3], rpy_from_rotation(X[:3, :3])[::-1]]) for X in poses]
    return np.concatenate([arm, slides, *places])


def _on(link: Link, body: int, X_JB: Array) -> Link:
    """A link on another body, whose frame is ``X_JB`` from that of the one it was on."""
    hulls = tuple(apply(X_JB, hull) for hull in link.hulls_B)
    spheres = link.spheres_B.copy()
    if len(spheres):
        spheres[:, :3] = apply(X_JB, spheres[:, :3])
    box = link.box and dataclasses.replace(link.box, X_BX=X_JB @ link.box.X_BX)
    return dataclasses.replace(link, body=body, X_BL=X_JB @ link.X_BL, hulls_B=hulls, spheres_B=spheres, box=box)


def _moved(plan: TaskPlan) -> dict[str, Obstacle]:
    """Everything that is ever held, where it is at first."""
    found: dict[str, Obstacle] = {}
    for phase in plan.phases:
        held = phase.held
        if held is not None and held.name not in found:
            known = held.name in plan.scene
            X_WO = plan.scene[held.name].X_WO if known else _in_hand(phase, phase.start)
            found[held.name] = Obstacle(held.name, held.shape, X_WO)
    return found


def _in_hand(phase: Phase, q: Array) -> Array:
    """(4, 4) X_WO of what a phase holds, at ``q`` (dof,)."""
    assert phase.held is not None
    link = phase.robot.links[phase.robot.link_index(phase.held.link)]
    X_WB = body_poses(phase.robot, q[None])[0, link.body]
    return np.asarray(X_WB @ link.X_BL @ phase.held.X_LA)


def _empty(robot: Robot, objects: dict[str, Obstacle]) -> Robot:
    for name in objects:
        if name in robot.link_names:
            robot = robot.without_attachment(name)
    return robot


def _times(phase: Phase, begin: float) -> Array:
    own = phase.trajectory.times
    return begin + np.union1d(own, np.linspace(0.0, phase.duration, 2 + int(phase.duration / _STEP)))


def _motion(plan: TaskPlan, robot: Robot, objects: dict[str, Obstacle], times: Array) -> Trajectory:
    at = {name: obstacle.X_WO for name, obstacle in objects.items()}
    fingers = len(plan.robot.gripper.fingers) if plan.robot.gripper else 0
    rows = []
    for time in times:
        moment = plan.at(float(time))
        if moment.phase.held is not None:
            at[moment.phase.held.name] = _in_hand(moment.phase, moment.q)
        rows.append(shown_positions(moment.q, moment.width, fingers, list(at.values())))
    return _smooth(robot, np.array(rows), times, plan.robot.dof + fingers, len(objects))


def _smooth(robot: Robot, q: Array, times: Array, first: int, objects: int) -> Trajectory:
    """A motion through ``q`` (n, dof), whose joints from ``first`` on are objects', their angles without jumps."""
    for k in range(objects):
        angles = slice(first + 6 * k + 3, first + 6 * k + 6)
        q[:, angles] = np.unwrap(q[:, angles], axis=0)
    v = np.gradient(q, times, axis=0)
    v[[0, -1]] = 0.0
    return Trajectory(robot.joint_names, times, q, v, np.gradient(v, times, axis=0))


def _with_more(limits: Limits, count: int) -> Limits:
    far = np.full(count, _FAR)
    names = [field.name for field in dataclasses.fields(limits) if field.name != "tool"]
    ends = {name: -far if name == "lower" else far for name in names}
    arrays: Any = {name: np.concatenate([getattr(limits, name), end]) for name, end in ends.items()}
    return Limits(**arrays)
