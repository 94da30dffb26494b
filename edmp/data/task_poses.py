"""Configurations for the tool poses that a scene family calls useful, many poses at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.robots.configuration import one_turn
from edmp.robots.damped_least_squares import solve
from edmp.robots.robot import Robot

SEEDS_EACH = 4
"""Configurations that the descent starts from, for each pose."""
ITERATIONS = 30
"""Seeds that have not arrived after so many steps are left alone: others have."""
POSITION_TOLERANCE, ROTATION_TOLERANCE = 1e-3, 1e-3
"""[m], [rad]: a task's pose is a proposal, and what is made of it is the configuration."""


def task_configurations(robot: Robot, X_WT: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(m, dof) configurations with the tool at some of the poses ``X_WT`` (n, 4, 4), off the limits by 0.01 [rad or m].

    Joints that turn further than once are within `edmp.robots.configuration.one_turn`. Collisions are not looked at. m
    is at most ``SEEDS_EACH`` n; several may belong to one pose.
    """
    limits = robot.limits
    lower, upper = one_turn(robot)
    q0 = rng.uniform(lower, upper, (len(X_WT) * SEEDS_EACH, robot.dof))
    q0[::2] = np.clip(robot.home + rng.normal(size=q0[::2].shape) * 0.5, lower, upper)
    found = solve(
        robot,
        torch.as_tensor(q0),
        torch.as_tensor(np.repeat(X_WT, SEEDS_EACH, axis=0)),
        max_iterations=ITERATIONS,
        position_tolerance=POSITION_TOLERANCE,
        rotation_tolerance=ROTATION_TOLERANCE,
    )
    q = found.q[found.within].numpy()
    narrowed = (lower > limits.lower) | (upper < limits.upper)
    q[:, narrowed] = lower[narrowed] + (q[:, narrowed] - lower[narrowed]) % (2 * np.pi)
    return q[((q >= limits.lower + 0.01) & (q <= limits.upper - 0.01)).all(axis=1)]
