"""Cluttered: 30 to 80 obstacles in reach, most of them about where a straight motion would go."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from edmp.bench.hard.draft import Array, Draft, Rng, configurations_at, covering_balls, gap, pose_at, spread
from edmp.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.generators.base import Builder

OBSTACLES = (30, 80)
ROOM = 0.012
"""What start and goal keep from each obstacle [m]."""

ON_THE_WAY = 0.65
"""This share of the obstacles is drawn about the arm on the straight line."""

APART = (1.2, 4.5)
"""Of start and goal, in joint space [rad]."""


def draw(robot: Robot, number: int, rng: Rng) -> Draft | None:
    """Two configurations first, then obstacles that leave them free."""
    q = configurations_at(robot, np.stack([_anywhere(rng) for _ in range(12)]), rng)
    if len(q) < 2:
        return None
    start, goal = q[0], None
    for other in q[1:]:
        if APART[0] <= np.linalg.norm(other - start) <= APART[1]:
            goal = other
            break
    if goal is None:
        return None
    ends = covering_balls(robot, np.stack([start, goal]))
    line = covering_balls(robot, start + np.linspace(0.15, 0.85, 15)[:, None] * (goal - start))
    wanted = int(rng.integers(OBSTACLES[0], OBSTACLES[1] + 1))
    scale = spread(rng, 0.8, 1.25)
    builder = Builder(np.eye(4))
    for _ in range(12 * wanted):
        if len(builder.obstacles) == wanted:
            break
        shape = _shape(rng, scale)
        X_WO = np.eye(4)
        X_WO[:3, :3] = Rotation.random(random_state=rng).as_matrix()
        if rng.random() < ON_THE_WAY:
            X_WO[:3, 3] = line[rng.integers(len(line)), :3] + rng.normal(size=3) * 0.07
        else:
            azimuth, radius = spread(rng, -math.pi, math.pi), spread(rng, 0.25, 0.9)
            X_WO[:3, 3] = radius * math.cos(azimuth), radius * math.sin(azimuth), spread(rng, -0.05, 1.05)
        if gap(ends, shape, X_WO) > ROOM:
            builder.add(f"object{len(builder.obstacles) + 1}", shape, X_WO, optional=True)
    if len(builder.obstacles) < wanted:
        return None
    return Draft(builder.finish("").scene, start, goal[None], False, f"{wanted} obstacles")


def _anywhere(rng: Rng) -> Array:
    """(4, 4) a tool somewhere about the arm, pointing outwards or down."""
    azimuth, radius = spread(rng, -math.pi, math.pi), spread(rng, 0.35, 0.7)
    position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), spread(rng, 0.1, 0.75)])
    turned, elevation = azimuth + spread(rng, -0.8, 0.8), spread(rng, -1.5, 0.3)
    c = math.cos(elevation)
    approach = np.array([c * math.cos(turned), c * math.sin(turned), math.sin(elevation)])
    return pose_at(position, approach, spread(rng, -math.pi, math.pi))


def _shape(rng: Rng, scale: float) -> Shape:
    kind = rng.choice(("box", "plate", "cylinder", "capsule", "sphere"), p=(0.35, 0.15, 0.2, 0.15, 0.15))
    if kind == "box":
        x, y, z = scale * rng.uniform(0.03, 0.16, 3)
        return Box((x, y, z))
    if kind == "plate":
        x, y = scale * rng.uniform(0.1, 0.3, 2)
        return Box((x, y, spread(rng, 0.008, 0.02)))
    if kind == "sphere":
        return Sphere(scale * spread(rng, 0.02, 0.08))
    radius, length = scale * spread(rng, 0.012, 0.05), scale * spread(rng, 0.08, 0.35)
    return Cylinder(radius, length) if kind == "cylinder" else Capsule(radius, length)
