"""Detour: the shortest motion known is at least twice as long as the straight line in joint space.

Three of four problems lead from one deep compartment into its neighbour, the fourth to the other side of a wall that
stands up beside the arm.
"""

from __future__ import annotations

import math

import numpy as np

from edmp.bench.hard.containers import WIDEST, section
from edmp.bench.hard.draft import OFF_LIMITS, Array, Draft, Rng, configurations_at, pose_at, retreat, spread
from edmp.bench.hard.narrow import joined
from edmp.cartesian.chain import ToolChain
from edmp.geometry.poses import pose_yaw
from edmp.robots.robot import Robot
from edmp.scenes.generators.base import Builder
from edmp.scenes.scene import Scene

RATIO = 2.0
"""Of the shortest certified motion to the straight line, at least [1]."""


def draw(robot: Robot, number: int, rng: Rng) -> Draft | None:
    """Every fourth number leads round a wall, the others into the compartment beside."""
    return _beside(robot, rng) if number % 4 else _round_a_wall(robot, rng)


def _led(robot: Robot, q: Array, X_WT: Array) -> Array | None:
    """(dof,) the configuration at a pose that is reached from ``q`` (dof,) with least motion of the joints."""
    chain = ToolChain(robot, inside=0.02)
    (X,) = chain.poses(q[None])
    steps = 12
    for i in range(1, steps + 1):
        wanted = X.copy()
        wanted[:3, 3] += i / steps * (X_WT[:3, 3] - X[:3, 3])
        turn = chain.twist_to(X[None], X_WT[None])[0, 3:] * i / steps
        wanted[:3, :3] = _rotation(turn) @ X[:3, :3]
        reached = chain.reach(q[None], wanted[None])
        if reached.error[0] > 1e-6:
            return None
        q = reached.q[0]
    return q


def _rotation(vector: Array) -> Array:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vector).as_matrix()


# --- beside ----------------------------------------------------------------------------------------------------------


def _beside(robot: Robot, rng: Rng) -> Draft | None:
    """Two compartments with a wall between them, both deeper than the hand; their mouths level or up."""
    down = rng.random() < 0.4
    azimuth, radius = spread(rng, -2.2, 2.2), spread(rng, 0.45, 0.7)
    height = spread(rng, 0.08, 0.3) if down else spread(rng, 0.2, 0.7)
    position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), height])
    approach = np.array([0.0, 0.0, -1.0] if down else [math.cos(azimuth), math.sin(azimuth), 0.0])
    X = pose_at(position, approach, float(rng.choice([0.0, math.pi / 2])) + (spread(rng, -3, 3) if down else 0.0))
    depth, axis, apart = spread(rng, 0.14, 0.3), int(rng.integers(2)), spread(rng, 0.05, 0.12)
    for q in configurations_at(robot, np.tile(X, (5, 1, 1)), rng)[:3]:
        out = retreat(robot, q, depth + 0.05)
        bounds = None if out is None else section(robot, out, X, (-depth, 0.0))
        if out is None or bounds is None or np.ptp(bounds[:, axis]) > WIDEST:
            continue
        aside = X.copy()
        aside[:3, 3] += (np.ptp(bounds[:, axis]) + apart) * X[:3, axis]
        other = _led(robot, q, aside)
        also = None if other is None else retreat(robot, other, depth + 0.05)
        walls = None if also is None else _compartments(robot, (out, also), X, axis, depth, rng)
        if other is None or also is None or walls is None:
            continue
        known = joined(robot, walls, out, also, int(rng.integers(2**30)))
        if known is not None:
            return Draft(walls, q, other[None], False, "beside", (known,), RATIO)
    return None


def _compartments(
    robot: Robot, ways: tuple[Array, Array], X_WG: Array, axis: int, depth: float, rng: Rng
) -> Scene | None:
    """Walls about two ways into a block, in the frame of the first tool; None if one would be in the way of an arm."""
    t, beyond = spread(rng, 0.01, 0.03), spread(rng, 0.03, 0.08)
    inside = (-depth, beyond)
    first, second = (section(robot, way, X_WG, inside) for way in ways)
    if first is None or second is None:
        return None
    between = (first[1, axis] + second[0, axis]) / 2
    if second[0, axis] - first[1, axis] < t + 0.02:
        return None
    low = np.minimum(first[0], second[0]) - rng.uniform(0.02, 0.1, 2)
    high = np.maximum(first[1], second[1]) + rng.uniform(0.02, 0.1, 2)
    builder = Builder(np.eye(4))

    def wall(name: str, a: Array, b: Array) -> None:
        builder.panel(name, (*a, inside[0]), (*b, inside[1]), X_WG)

    for i, name in enumerate("xy"):
        for side, at in (("low", low[i] - t), ("high", high[i])):
            a, b = low - t, high + t
            a[i], b[i] = at, at + t
            wall(f"{name}_{side}", a, b)
    a, b = low.copy(), high.copy()
    a[axis], b[axis] = between - t / 2, between + t / 2
    wall("between", a, b)
    builder.panel("end", (*(low - t), beyond), (*(high + t), beyond + t), X_WG)
    return None if builder.spoiled else Scene(tuple(builder.obstacles))


# --- round a wall ----------------------------------------------------------------------------------------------------


def _round_a_wall(robot: Robot, rng: Rng) -> Draft | None:
    """The arm turned about its base, and between both a wall that stands radially and high, at times with a roof."""
    azimuth, radius, height = spread(rng, -1.6, 1.6), spread(rng, 0.45, 0.7), spread(rng, 0.1, 0.5)
    elevation = spread(rng, -1.3, 0.0)
    c, s = math.cos(elevation), math.sin(elevation)
    position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), height])
    approach = np.array([c * math.cos(azimuth), c * math.sin(azimuth), s])
    X = pose_at(position, approach, float(rng.choice([0.0, math.pi / 2])) + spread(rng, -0.4, 0.4))
    between = next(iter(configurations_at(robot, np.tile(X, (3, 1, 1)), rng)), None)
    if between is None:
        return None
    ends = between + rng.normal(size=(2, robot.dof)) * 0.08
    ends[:, 0] = between[0] + spread(rng, 0.36, 0.6) * np.array([-1.0, 1.0])
    limits = robot.limits
    if (ends < limits.lower + OFF_LIMITS).any() or (ends > limits.upper - OFF_LIMITS).any():
        return None
    builder = Builder(np.eye(4))
    X_FG = pose_yaw((0.0, 0.0, 0.0), azimuth)
    t, inner, outer = spread(rng, 0.01, 0.03), spread(rng, 0.2, 0.3), spread(rng, 0.9, 1.1)
    top = height + spread(rng, 0.2, 0.6)
    builder.panel("wall", (inner, -t / 2, -0.3), (outer, t / 2, top), X_FG)
    if rng.random() < 0.5:
        wide = spread(rng, 0.03, 0.15)
        builder.panel("roof", (inner + 0.05, -wide, top), (outer, wide, top + t), X_FG)
    if builder.spoiled:
        return None
    return Draft(Scene(tuple(builder.obstacles)), ends[0], ends[1][None], False, "round a wall", (), RATIO)
