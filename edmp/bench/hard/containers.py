"""Containers built about an arm that is in them: passages a little wider than what of the arm goes through.

An arm is led straight back out of a place. What of it passes a plane on the way has a cross section, exactly that of
the judge's convex pieces; a window, shaft or slot is cut a centimetre or so wider than that. So a motion into the
container is known before the container is built, and how narrow it is does not depend on luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edmp.bench.hard.draft import Array, Rng, configurations_at, pose_at, retreat, spread
from edmp.robots.kinematics import body_poses, tool_pose
from edmp.robots.robot import Robot
from edmp.scenes.generators.base import Builder
from edmp.scenes.scene import Obstacle
from edmp.validate.bodies import Arm

WIDEST = 0.30
"""A passage is at most so wide where it is to be narrow [m]: what is wider holds an elbow, and is no hand's passage."""


WRIST = 3
"""The last so many bodies of an arm are its wrist and hand."""


@dataclass(frozen=True)
class Container:
    """Obstacles about a way out.

    Attributes:
        obstacles: its walls.
        way: (n, dof) from inside straight out.
        kind: one of `KINDS`.
        room: how much wider each narrow side of the passage is than what goes through it [m].
    """

    obstacles: tuple[Obstacle, ...]
    way: Array
    kind: str
    room: tuple[float, ...]


def section(robot: Robot, q: Array, X_WG: Array, z: tuple[float, float]) -> Array | None:
    """Bounds (2, 2) of x and y in a frame G of what hand and wrist have between two heights z of it, at any of ``q``.

    The rest of the arm may be at these heights too, but elsewhere: whether it is in the way is for the judge to say.

    Args:
        robot: the arm, as the judge sees it.
        q: (n, dof).
        X_WG: (4, 4).
        z: lower and upper height in G [m].

    Returns:
        Lowest and highest x and y [m]; None if nothing is there.
    """
    arm = Arm.of(robot)
    X_GB = np.linalg.inv(X_WG) @ body_poses(robot, torch.as_tensor(q)).numpy()
    found = []
    for piece in (piece for piece in arm.pieces[: arm.moving] if piece.body > robot.dof - WRIST):
        X = X_GB[:, piece.body]
        p = piece.polytope.vertices @ X[:, :3, :3].transpose(0, 2, 1) + X[:, None, :3, 3]
        found.append(p[(p[..., 2] >= z[0]) & (p[..., 2] <= z[1])])
        faces = piece.polytope.faces
        a, b = p[:, faces].reshape(-1, 3), p[:, np.roll(faces, 1, axis=1)].reshape(-1, 3)
        for height in z:
            cut = (a[:, 2] - height) * (b[:, 2] - height) < 0
            share = (height - a[cut, 2]) / (b[cut, 2] - a[cut, 2])
            found.append(a[cut] + share[:, None] * (b[cut] - a[cut]))
    points = np.concatenate(found)[:, :2]
    return np.stack([points.min(axis=0), points.max(axis=0)]) if len(points) else None


def container(robot: Robot, kind: str, rng: Rng, *, prefix: str, room: tuple[float, float]) -> Container | None:
    """A container of a kind of `KINDS` about an arm that is in it, or None if this draw comes to nothing.

    Args:
        robot: the arm.
        kind: of container.
        rng: source of all that is random.
        prefix: of the names of its walls.
        room: range of how much wider than the arm a passage is [m].
    """
    poses, build = KINDS[kind]
    q = configurations_at(robot, poses(rng), rng)
    for inside in q[:3]:
        depth, t = spread(rng, 0.11, 0.2), spread(rng, 0.015, 0.035)
        way = retreat(robot, inside, depth + t + spread(rng, 0.03, 0.07))
        if way is None:
            continue
        X_WG = tool_pose(robot, torch.as_tensor(inside)).numpy()
        beyond = spread(rng, 0.03, 0.08)
        high = -depth if kind == "cage" else beyond
        bounds = section(robot, way, X_WG, (-depth - t, high))
        if bounds is None:
            continue
        extra = rng.uniform(*room, 2)
        window = bounds + np.array([[-0.5], [0.5]]) * extra
        builder = Builder(np.eye(4))
        narrow = build(builder, X_WG, window, (depth, t, beyond), rng, prefix)
        if builder.spoiled or (window[1] - window[0])[list(narrow)].max() > WIDEST:
            continue
        return Container(tuple(builder.obstacles), way, kind, tuple(float(extra[i]) for i in narrow))
    return None


# --- kinds -----------------------------------------------------------------------------------------------------------

Size = tuple[float, float, float]
"""Of a container [m]: from its mouth to the tool's tip, thickness of walls, from the tip to its end."""


def _level(rng: Rng, *, count: int = 10) -> Array:
    """(count, 4, 4) poses of a tool that comes in level, at one place, fingers side by side or one above the other."""
    azimuth, radius = spread(rng, -2.4, 2.4), spread(rng, 0.5, 0.74)
    position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), spread(rng, 0.15, 0.75)])
    turned = azimuth + spread(rng, -0.5, 0.5)
    roll = float(rng.choice([0.0, math.pi, math.pi / 2, -math.pi / 2]))
    X = pose_at(position, np.array([math.cos(turned), math.sin(turned), 0.0]), roll)
    return np.tile(X, (count, 1, 1))


def _level_fingers(rng: Rng, *, count: int = 10) -> Array:
    """As `_level`, fingers side by side: the hand lies flat."""
    X = _level(rng, count=count)
    if abs(X[0, 2, 1]) > 0.5:
        X[:, :3, 0], X[:, :3, 1] = X[:, :3, 1].copy(), -X[:, :3, 0]
    return X


def _down(rng: Rng, *, count: int = 10) -> Array:
    """(count, 4, 4) poses of a tool that points straight down, at one place."""
    azimuth, radius = spread(rng, -2.4, 2.4), spread(rng, 0.42, 0.66)
    position = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), spread(rng, 0.03, 0.3)])
    return np.tile(pose_at(position, np.array([0.0, 0.0, -1.0]), spread(rng, -math.pi, math.pi)), (count, 1, 1))


def _cage(builder: Builder, X_WG: Array, window: Array, size: Size, rng: Rng, prefix: str) -> tuple[int, ...]:
    """A plate with a window across the way, and a cage behind it; some of its sides may be missing."""
    depth, t, beyond = size
    (x0, y0), (x1, y1) = window
    around = rng.uniform(0.1, 0.25, (2, 2))
    (X0, Y0), (X1, Y1) = window + np.array([[-1.0], [1.0]]) * around
    front, end = -depth, beyond
    plate = {
        "front_a": ((X0, Y0), (x0, Y1)),
        "front_b": ((x1, Y0), (X1, Y1)),
        "front_c": ((x0, Y0), (x1, y0)),
        "front_d": ((x0, y1), (x1, Y1)),
    }
    for name, (low, high) in plate.items():
        builder.panel(f"{prefix}{name}", (*low, front - t), (*high, front), X_WG)
    sides = {
        "side_a": ((X0 - t, Y0), (X0, Y1)),
        "side_b": ((X1, Y0), (X1 + t, Y1)),
        "side_c": ((X0, Y0 - t), (X1, Y0)),
        "side_d": ((X0, Y1), (X1, Y1 + t)),
    }
    left_out = str(rng.choice(list(sides))) if rng.random() < 0.5 else ""
    for name, (low, high) in sides.items():
        if name != left_out:
            builder.panel(f"{prefix}{name}", (*low, front - t), (*high, end), X_WG)
    if rng.random() < 0.7:
        builder.panel(f"{prefix}back", (X0, Y0, end), (X1, Y1, end + t), X_WG)
    return 0, 1


def _bin(builder: Builder, X_WG: Array, window: Array, size: Size, rng: Rng, prefix: str) -> tuple[int, ...]:
    """Four walls that keep as near to the arm all the way down, a rim about them, and a bottom."""
    depth, t, beyond = size
    (x0, y0), (x1, y1) = window
    mouth, end = -depth - t, beyond
    rim = spread(rng, 0.05, 0.2)
    walls = {"a": ((x0 - t, y0), (x0, y1)), "b": ((x1, y0), (x1 + t, y1))}
    walls |= {"c": ((x0 - t, y0 - t), (x1 + t, y0)), "d": ((x0 - t, y1), (x1 + t, y1 + t))}
    for name, (low, high) in walls.items():
        builder.panel(f"{prefix}wall_{name}", (*low, mouth), (*high, end), X_WG)
    builder.panel(f"{prefix}bottom", (x0 - t, y0 - t, end), (x1 + t, y1 + t, end + t), X_WG)
    rims = {"a": ((x0 - rim, y0 - rim), (x0 - t, y1 + rim)), "b": ((x1 + t, y0 - rim), (x1 + rim, y1 + rim))}
    rims |= {"c": ((x0 - t, y0 - rim), (x1 + t, y0 - t)), "d": ((x0 - t, y1 + t), (x1 + t, y1 + rim))}
    for name, (low, high) in rims.items() if rim > t else ():
        builder.panel(f"{prefix}rim_{name}", (*low, mouth), (*high, mouth + t), X_WG)
    return 0, 1


def _shelf(builder: Builder, X_WG: Array, window: Array, size: Size, rng: Rng, prefix: str) -> tuple[int, ...]:
    """Two boards as near to the arm all the way, further ones above and below, sides and a back farther off."""
    depth, t, beyond = size
    (x0, y0), (x1, y1) = window
    left, right = rng.uniform(0.08, 0.25, 2)
    wide = (y0 - left, y1 + right)
    front, end = -depth - t, beyond + spread(rng, 0.0, 0.06)
    levels = [x0 - t, x1]
    levels += [x1 + spread(rng, 0.15, 0.3)] * (rng.random() < 0.7) + [x0 - t - spread(rng, 0.15, 0.3)] * (
        rng.random() < 0.7
    )
    for i, x in enumerate(levels):
        builder.panel(f"{prefix}board{i + 1}", (x, wide[0], front), (x + t, wide[1], end), X_WG)
    low, high = min(levels), max(levels) + t
    for name, (a, b) in {"left": (wide[0] - t, wide[0]), "right": (wide[1], wide[1] + t)}.items():
        builder.panel(f"{prefix}{name}", (low, a, front), (high, b, end), X_WG)
    if rng.random() < 0.7:
        builder.panel(f"{prefix}back", (low, wide[0], end), (high, wide[1], end + t), X_WG)
    return (0,)


KINDS: dict[str, tuple[Callable[[Rng], Array], Callable[..., tuple[int, ...]]]] = {
    "cage": (_level, _cage),
    "bin": (_down, _bin),
    "shelf": (_level_fingers, _shelf),
}
"""Poses of the tool inside, and what builds the walls in the tool's frame there; it returns which axes are narrow."""
