"""Inverse kinematics under constraints: a pose is bands, too, so that both are met by one projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.collision.bands import PackedBands
from edmp.collision.world import World
from edmp.constraints import Constraint, InBox, Oriented, bands_of
from edmp.robots.ik import distinct_rows, unwound
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]

POSITION, ROTATION = 5e-5, 5e-4
"""Half of what inverse kinematics is content with, along and about each axis [m], [rad]."""
NUM_NEAR, NUM_UNIFORM = 24, 72
"""Seeds about the start, ever farther, and anywhere within the limits."""
DRAWN = 2
"""So many times solutions are drawn half the way to the start, and led back; they count beside what they were."""
ITERATIONS = 20
"""What has not arrived by then mostly never does."""
DISTINCT = 0.1
"""Solutions with no joint farther apart than this count as one [rad or m]."""


def configurations_at(
    robot: Robot, X_WT: Array, constraints: Sequence[Constraint], *, near: Array, seed: int, effort: int = 1
) -> Array:
    """(n, dof) distinct configurations with the tool at a pose that keep the constraints, the nearest first.

    Args:
        robot: the arm.
        X_WT: (4, 4) of the tool.
        constraints: what to keep to; distances from obstacles are the judge's business.
        near: (dof,) what to be near to.
        seed: of the random seeds.
        effort: so many times the usual number of seeds.
    """
    at_pose = bands_of(robot, [InBox((2.0 * POSITION,) * 3, X_WT), Oriented(X_WT[:3, :3], (ROTATION,) * 3)])
    bands = PackedBands.of(World.of(robot, Scene()), (*at_pose, *bands_of(robot, constraints)))
    assert bands is not None
    rng, limits = np.random.default_rng(seed), robot.limits
    spread = np.linspace(0.0, 1.0, effort * NUM_NEAR)[:, None]
    about = near + spread * rng.standard_normal((len(spread), robot.dof))
    anywhere = rng.uniform(limits.lower, limits.upper, (effort * NUM_UNIFORM, robot.dof))
    seeds = np.vstack([about.clip(limits.lower, limits.upper), anywhere])
    found, holds = bands.projected(seeds, max_iterations=ITERATIONS)
    q = drawn = found[holds]
    for _ in range(DRAWN):
        found, holds = bands.projected(0.5 * (drawn + near), max_iterations=ITERATIONS)
        drawn = np.where(holds[:, None], found, drawn)
    # Drawn to the start they gather in a few places; something may be in the way in all of these.
    q = np.vstack([drawn, q])
    turned, holds = bands.projected(unwound(robot, q, near))
    q = np.where(holds[:, None], turned, q)
    q = q[np.argsort(np.linalg.norm(q - near, axis=1), kind="stable")]
    return q[distinct_rows(q, DISTINCT)]
