"""Which configuration an expert reaches a tool pose with: of those that are free, the one nearest to where it starts.

An expert that chooses at random among the configurations of a pose teaches their mean, which is none of them. This
choice is a function of scene, start and pose alone: the seeds are fixed, nothing is drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.collision.free import free
from edmp.collision.world import World
from edmp.robots.damped_least_squares import solve
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

NUM_SEEDS = 6
"""Configurations, the same for every query, that the search for a pose's configurations begins at, beside the start."""
ITERATIONS = 25
POSITION_TOLERANCE, ROTATION_TOLERANCE = 1e-3, 1e-3
"""[m], [rad]."""
OFF_LIMITS = 0.01
"""Goals keep this distance from the joint limits [rad or m]."""
APART = 0.1
"""Nearer to its start than this a goal is nothing to plan to [rad]."""


def nearest_goals(robot: Robot, world: World, starts: Array, goals: Array, *, margin: float) -> tuple[Array, Array]:
    """Goals exchanged for the nearest free configurations with the tool at the same poses.

    Each seed is moved along the arm's self-motion towards the start as far as its pose allows, so that what it ends at
    is the nearest of its branch. Collisions are the sphere model's.

    Args:
        robot: the arm.
        world: its scene.
        starts: (n, dof) [rad or m].
        goals: (n, dof) configurations of which only the tool poses count.
        margin: distance that a goal keeps from obstacles [m].

    Returns:
        (m, dof) starts and (m, dof) goals of the m <= n queries that have one.
    """
    if not len(starts):
        return starts, goals
    limits, n = robot.limits, len(starts)
    starts_within = np.clip(starts, limits.lower, limits.upper)
    fixed = np.random.default_rng(0).uniform(limits.lower, limits.upper, (NUM_SEEDS, robot.dof))
    fixed = np.broadcast_to(fixed, (n, NUM_SEEDS, robot.dof))
    seeds = np.concatenate([starts_within[:, None], fixed, goals[:, None], fixed], axis=1)
    drawn = 2 + NUM_SEEDS  # the rest stay near their seeds, for where the nearest of a branch touches something
    towards = np.concatenate([starts_within[:, None].repeat(drawn, axis=1), fixed], axis=1)
    each = seeds.shape[1]
    found = solve(
        robot,
        torch.as_tensor(seeds.reshape(-1, robot.dof)),
        tool_pose(robot, torch.as_tensor(goals)).repeat_interleave(each, dim=0),
        towards=torch.as_tensor(towards.reshape(-1, robot.dof)),
        max_iterations=ITERATIONS,
        position_tolerance=POSITION_TOLERANCE,
        rotation_tolerance=ROTATION_TOLERANCE,
    )
    q = np.concatenate([found.q.numpy().reshape(n, each, -1), goals[:, None]], axis=1)
    good = np.concatenate([found.within.numpy().reshape(n, each), np.ones((n, 1), bool)], axis=1)
    good &= ((q >= limits.lower + OFF_LIMITS) & (q <= limits.upper - OFF_LIMITS)).all(axis=2)
    good[good] = free(world, q[good], margin=margin) if good.any() else good[good]
    distance = np.where(good, np.linalg.norm(q - starts_within[:, None], axis=2), np.inf)
    best = q[np.arange(n), distance.argmin(axis=1)]
    kept = np.isfinite(distance.min(axis=1)) & (distance.min(axis=1) > APART)
    return starts[kept], best[kept]
