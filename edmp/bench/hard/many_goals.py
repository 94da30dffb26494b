"""Many goals: a pose of the tool, most of whose configurations are blocked."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from edmp.bench.expert import END_CLEARANCE, free_ones, tool_goal
from edmp.bench.hard.draft import Array, Draft, Rng, covering_balls, free_at, gap, home_like, spread
from edmp.data.task_poses import task_configurations
from edmp.geometry.shapes import Box, Shape, Sphere
from edmp.robots.ik import solve_ik
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot
from edmp.scenes.generators import generate
from edmp.scenes.generators.base import GeneratedScene, clear_of_base
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import Judge

FAMILIES = ("shelf", "cubby", "box", "cage", "bin", "table_under", "dresser", "clutter")
LEAST_CONFIGURATIONS = 16
"""So many configurations a pose has at least, blocked ones included."""

FREE_SHARE = 0.1
"""At most this share of them is free."""

SEEDS = 320
BLOCKERS = 12
ROOM = 0.015
"""What the start, and the goal configuration that is to stay free, keep from what is put in the way [m]."""

DEEP = 0.01
"""Spheres stick out of the arm: where they overlap something by so much, the arm touches it [m]."""


def draw(robot: Robot, number: int, rng: Rng) -> Draft | None:
    """A scene of a family; then things in the way of the elbows of all goal configurations but one."""
    generated = generate(str(rng.choice(FAMILIES)), rng)
    judge = Judge(robot, generated.scene)
    start = free_at(judge, home_like(robot, rng))
    goal = _goal(judge, generated, rng)
    if start is None or goal is None:
        return None
    all_of_them = _configurations(robot, goal, start, int(rng.integers(2**30)))
    if len(all_of_them) < LEAST_CONFIGURATIONS:
        return None
    scene = _blocked(judge, start, goal, all_of_them, rng)
    judge = Judge(robot, scene)
    if not judge.check(goal).valid or judge.check(goal).min_clearance < END_CLEARANCE:
        return None
    free = list(free_ones(judge, all_of_them))
    if len(free) > FREE_SHARE * len(all_of_them):
        return None
    others = [q for q in free if np.abs(q - goal).max() > 0.05]
    return Draft(scene, start, np.stack([goal, *others[:3]]), True, f"{len(free)} of {len(all_of_them)} free")


def _goal(judge: Judge, generated: GeneratedScene, rng: Rng) -> Array | None:
    """A free configuration at one of the scene's targets."""
    targets = generated.targets(rng, 8)
    q = task_configurations(judge.robot, targets, rng) if len(targets) else np.empty((0, judge.robot.dof))
    return free_at(judge, rng.permutation(q))


def _configurations(robot: Robot, goal: Array, near: Array, seed: int) -> Array:
    """(n, dof) distinct configurations with the tool where it is at ``goal``."""
    X_WT = tool_goal(robot, goal).X_WT
    return solve_ik(robot, X_WT, near=near, num_seeds=SEEDS, seed=seed, enough=1.0, distinct=0.2).q


def _blocked(judge: Judge, start: Array, goal: Array, others: Array, rng: Rng) -> Scene:
    """The scene with things where the elbows and wrists of free configurations other than the goal's are."""
    robot, scene = judge.robot, judge.scene
    keep = covering_balls(robot, np.stack([start, goal]))
    free = np.array(list(free_ones(judge, others))).reshape(-1, robot.dof)
    for number in range(1, BLOCKERS + 1):
        if len(free) <= FREE_SHARE / 2 * len(others):
            break
        for _ in range(12):
            shape, X_WO = _thing_at_elbow(robot, free[rng.integers(min(3, len(free)))], rng)
            obstacle = Obstacle(f"blocker{number}", shape, X_WO)
            if gap(keep, shape, X_WO) > ROOM and clear_of_base(obstacle):
                scene = dataclasses.replace(scene, obstacles=(*scene.obstacles, obstacle))
                free = free[[gap(covering_balls(robot, q[None]), shape, X_WO) > -DEEP for q in free]]
                break
    return scene


def _thing_at_elbow(robot: Robot, q: Array, rng: Rng) -> tuple[Shape, Array]:
    """Something small where body 4, 5 or 6 of the arm is at ``q`` (dof,)."""
    X = body_poses(robot, torch.as_tensor(q)).numpy()[int(rng.integers(3, robot.dof))].copy()
    X[:3, 3] += rng.normal(size=3) * 0.04
    if rng.random() < 0.5:
        return Sphere(spread(rng, 0.03, 0.07)), X
    x, y, z = rng.uniform(0.04, 0.14, 3)
    return Box((x, y, z)), X
