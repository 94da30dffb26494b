"""What a hard problem is before anybody has looked for its motion, and what all kinds draw with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.bench.expert import END_CLEARANCE, free_ones
from edmp.cartesian.chain import ToolChain
from edmp.data.task_poses import task_configurations
from edmp.geometry.poses import apply, inverse
from edmp.geometry.shapes import Shape
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate import Judge

Array = NDArray[np.float64]
Rng = np.random.Generator

OFF_LIMITS = 0.02
"""What is drawn keeps this far from the joint limits [rad or m]."""

TRACKED = 1e-6
"""A tool that is led along a line is where it should be within this [m]."""


@dataclass(frozen=True)
class Draft:
    """A question, and what is known of its answer.

    Attributes:
        scene: the obstacles.
        start: (dof,) [rad].
        ends: (k, dof) configurations that answer it, the first the one that it was drawn with.
        pose_goal: the goal is the pose of the tool there, else the first configuration.
        what: in a word or two, for people.
        known: paths (n, dof) from the start to one of the ends that came with the drawing; nobody has judged them.
        least_ratio: the shortest certified motion must be so many times as long as the line to the first end [1].
    """

    scene: Scene
    start: Array
    ends: Array
    pose_goal: bool
    what: str
    known: tuple[Array, ...] = ()
    least_ratio: float = 0.0


def free_at(judge: Judge, configurations: Array) -> Array | None:
    """The first configuration that is free with room to spare, if there is one."""
    return next(free_ones(judge, configurations), None)


def configurations_at(robot: Robot, X_WT: Array, rng: Rng) -> Array:
    """(m, dof) configurations with the tool at poses (n, 4, 4), in no order, clear of limits and of the arm itself."""
    q = rng.permutation(task_configurations(robot, X_WT, rng))
    limits = robot.limits
    q = q[((q > limits.lower + OFF_LIMITS) & (q < limits.upper - OFF_LIMITS)).all(axis=1)]
    alone = Judge(robot, Scene())
    return q[[alone.check(row).valid for row in q]] if len(q) else q


def spread(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def pose_at(position: Array, approach: Array, roll: float) -> Array:
    """(4, 4) a tool at a position whose z axis points along ``approach``; at roll 0 its y axis lies level."""
    z = approach / np.linalg.norm(approach)
    y = np.cross([0.0, 0.0, 1.0], z)
    if np.linalg.norm(y) < 1e-6:
        y = np.array([0.0, 1.0, 0.0])
    y = y / np.linalg.norm(y)
    x = np.cross(y, z)
    X = np.eye(4)
    X[:3, 0], X[:3, 1] = math.cos(roll) * x + math.sin(roll) * y, math.cos(roll) * y - math.sin(roll) * x
    X[:3, 2], X[:3, 3] = z, position
    return X


def retreat(robot: Robot, q: Array, distance: float, *, step: float = 0.02) -> Array | None:
    """(n, dof) from ``q`` (dof,) straight back against the tool's approach, or None where the arm cannot follow.

    Args:
        robot: the arm, all of whose joints move its tool.
        q: where it begins.
        distance: how far the tool goes [m].
        step: between two waypoints [m].
    """
    chain = ToolChain(robot, inside=OFF_LIMITS / 2)
    (X,) = chain.poses(q[None])
    rows = [q]
    for back in np.linspace(0.0, distance, 1 + math.ceil(distance / step))[1:]:
        wanted = X.copy()
        wanted[:3, 3] -= back * X[:3, 2]
        reached = chain.reach(rows[-1][None], wanted[None])
        if reached.error[0] > TRACKED or np.abs(reached.q[0] - rows[-1]).max() > 0.25:
            return None
        rows.append(reached.q[0])
    way = np.stack(rows)
    return way if Judge(robot, Scene()).check_path(way).valid else None


def home_like(robot: Robot, rng: Rng, count: int = 12) -> Array:
    """(count, dof) configurations about home, each joint by 8 % of its range (one standard deviation)."""
    limits = robot.limits
    q = robot.home + rng.normal(size=(count, robot.dof)) * 0.08 * (limits.upper - limits.lower)
    return np.clip(q, limits.lower + OFF_LIMITS, limits.upper - OFF_LIMITS)


def covering_balls(robot: Robot, q: Array) -> Array:
    """(m, 4) centres in the world and radii of the spheres that cover the moving arm at all of ``q`` (n, dof) [m]."""
    import torch

    from edmp.robots.kinematics import body_poses

    moving = robot.sphere_body > 0
    spheres, bodies = robot.spheres[moving], robot.sphere_body[moving]
    X = body_poses(robot, torch.as_tensor(q)).numpy()[:, bodies]
    p_W = np.einsum("nsij,sj->nsi", X[..., :3, :3], spheres[:, :3]) + X[..., :3, 3]
    radii = np.broadcast_to(spheres[:, 3:], (*p_W.shape[:2], 1))
    return np.concatenate([p_W, radii], axis=-1).reshape(-1, 4)


def gap(balls: Array, shape: Shape, X_WO: Array) -> float:
    """Distance between balls (m, 4) and a shape at ``X_WO``, negative where they overlap [m]."""
    import torch

    from edmp.geometry.distance import signed_distance

    p_O = apply(inverse(X_WO), balls[:, :3])
    return float((signed_distance(shape, torch.as_tensor(p_O)).numpy() - balls[:, 3]).min())


def worth_asking(judge: Judge, draft: Draft) -> bool:
    """Are start and goal free with room to spare, and is there something to plan?"""
    ends = np.vstack([draft.start, draft.ends])
    if any(not (v := judge.check(q)).valid or v.min_clearance < END_CLEARANCE for q in ends):
        return False
    return not any(judge.check_path(np.stack([draft.start, end])).valid for end in draft.ends)
