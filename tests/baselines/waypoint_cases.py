"""Tasks and reference formulas that the tests of the optimisers over waypoints share."""

from __future__ import annotations

import numpy as np
import torch

from edmp.baselines import Task
from edmp.costs.clearance import hinge, sphere_centers
from edmp.problem import Problem
from edmp.robots import Motion, Robot, load_robot
from edmp.scenes import Box, Scene
from edmp.scenes.distance import scene_distance

START = np.array([0.9, 0.3, 0.0, -1.9, 0.0, 2.2, 0.8])
GOAL = np.array([-0.9, 0.3, 0.0, -1.9, 0.0, 2.2, 0.8])
TABLE = (Box((0.8, 1.6, 0.04)), (0.65, 0.0, -0.05))


def over_the_box() -> Problem:
    """A Panda over a table; one box stands between start and goal, lower than the arm can lift itself."""
    scene = Scene.of({"table": TABLE, "box": (Box((0.1, 0.2, 0.34)), (0.55, 0.0, 0.14))})
    return Problem(load_robot("panda"), scene, START, GOAL)


def behind_a_wall() -> Problem:
    """The same arm with a wall between start and goal: no room to go around, and none above the shoulder to go over."""
    obstacles = {
        "table": TABLE,
        "wall": (Box((3.0, 0.04, 1.0)), (1.68, 0.0, 0.47)),
        "wall_behind": (Box((3.0, 0.02, 0.7)), (-1.63, 0.0, 0.65)),
        "wall_above": (Box((0.5, 0.02, 0.32)), (0.0, 0.0, 0.82)),
        "ceiling": (Box((6.0, 4.0, 0.04)), (0.0, 0.0, 0.99)),
    }
    return Problem(load_robot("panda"), Scene.of(obstacles), START, GOAL)


def task(problem: Problem, *, seed: int = 0) -> Task:
    return Task(problem.robot, problem.scene, np.asarray(problem.start), np.asarray(problem.goal)[None], seed)


def smooth_trajectory(robot: Robot, num_interior: int, *, seed: int) -> np.ndarray:
    """(num_interior + 2, dof) the same smooth curve whatever the number of waypoints."""
    rng = np.random.default_rng(seed)
    middle, half = (robot.limits.upper + robot.limits.lower) / 2, (robot.limits.upper - robot.limits.lower) / 2
    a, b = middle + half * rng.uniform(-0.8, 0.8, (2, robot.dof))
    t = np.linspace(0.0, 1.0, num_interior + 2)[:, None]
    return a + t * (b - a) + 0.3 * np.sin(np.pi * t) * rng.normal(size=robot.dof)


def arc_length_cost(robot: Robot, scene: Scene, q: np.ndarray, epsilon: float, self_epsilon: float, kind: str) -> float:
    """dt sum over interior waypoints and body points of c ||x'||: the discretised functional, in double precision."""
    X_WB = Motion.of(robot, torch.as_tensor(q)[None])
    p_W = sphere_centers(X_WB)[0]
    dt = 1.0 / (len(q) - 1)
    radius = torch.as_tensor(robot.spheres[:, 3])

    def cost(p: torch.Tensor, gap: torch.Tensor, margin: float) -> torch.Tensor:
        speed = torch.linalg.vector_norm(p[2:] - p[:-2], dim=-1) / (2 * dt)
        c = hinge(gap, gap.new_tensor(margin)) if kind == "chomp" else (margin - gap).clamp(min=0)
        return dt * (c[1:-1] * speed).sum()

    moving = torch.as_tensor(robot.sphere_body > 0)
    gap = scene_distance(scene, p_W)[0] - radius
    total = cost(p_W[:, moving], gap[:, moving], epsilon)
    order = sorted(range(len(robot.links)), key=lambda i: robot.links[i].body)
    for pair in robot.collision_pairs:
        i, j = sorted(pair, key=order.index)
        X_Wj = X_WB.X_WB[0, :, robot.links[j].body]
        to_j = lambda p, X=X_Wj: (p - X[:, None, :3, 3]) @ X[:, :3, :3]  # noqa: E731
        mine, theirs = torch.as_tensor(robot.sphere_link == i), torch.as_tensor(robot.sphere_link == j)
        p_j, other = to_j(p_W[:, mine]), to_j(p_W[:, theirs])
        gap = (torch.cdist(p_j, other) - radius[theirs]).amin(-1) - radius[mine]
        total = total + cost(p_j, gap, self_epsilon)
    return float(total)
