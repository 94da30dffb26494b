"""Scenes in which something is to be picked up and put down elsewhere: on tables, in shelves, out of bins.

All are made for a Panda at the origin, and for a gripper that opens 8 cm; the obstacle ``thing`` is to be moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box, Cylinder, Shape
from edmp.scenes.generators.base import Builder
from edmp.scenes.generators.objects import SupportSurface
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]

THING = "thing"


@dataclass(frozen=True, eq=False)
class Handling:
    """A scene with something to move: the obstacle ``thing``, and the pose (4, 4) in the world where it is to go."""

    scene: Scene
    at: Array


def graspable(rng: np.random.Generator) -> Shape:
    """A box or a can that a hand of 8 cm gets round."""
    if rng.random() < 0.5:
        return Cylinder(radius=rng.uniform(0.018, 0.033), length=rng.uniform(0.06, 0.16))
    return Box((rng.uniform(0.025, 0.065), rng.uniform(0.025, 0.09), rng.uniform(0.04, 0.16)))


def _clutter(rng: np.random.Generator, builder: Builder, surface: SupportSurface, count: int, prefix: str) -> None:
    """Things that stand about; they leave a gripper some room."""
    for i in range(count):
        shape: Shape
        if rng.random() < 0.5:
            shape = Cylinder(radius=rng.uniform(0.02, 0.06), length=rng.uniform(0.05, 0.2))
        else:
            shape = Box((rng.uniform(0.03, 0.12), rng.uniform(0.03, 0.12), rng.uniform(0.04, 0.2)))
        X_FO = surface.place(rng, shape, gap=0.04)
        if X_FO is not None:
            builder.add(f"{prefix}{i + 1}", shape, X_FO, optional=True)


def _spots(
    rng: np.random.Generator, shape: Shape, source: SupportSurface, target: SupportSurface
) -> tuple[Array, Array] | None:
    """Poses in the builder's frame where ``shape`` stands, and where it is to stand: 0.2 mm above what carries it."""
    here, there = source.place(rng, shape, gap=0.04), target.place(rng, shape, gap=0.04)
    if here is None or there is None:
        return None
    for X in (here, there):
        X[2, 3] -= 8e-4  # `SupportSurface` leaves 1 mm
    return here, there


def _finished(builder: Builder, shape: Shape, spots: tuple[Array, Array] | None, family: str) -> Handling | None:
    if spots is None or not builder.add(THING, shape, spots[0]) or builder.spoiled:
        return None
    return Handling(builder.finish(family).scene, builder.X_WF @ spots[1])


def table(rng: np.random.Generator) -> Handling | None:
    """A table with things on it; one goes elsewhere on the same table."""
    builder = Builder(pose_yaw((0.0, 0.0, 0.0), rng.uniform(-0.8, 0.8)))
    height = rng.uniform(0.0, 0.35)
    builder.panel("table", (0.28, -0.5, height - 0.04), (0.85, 0.5, height))
    surface = SupportSurface(pose_yaw((0.5, 0.0, height), 0.0), (0.34, 0.8))
    shape = graspable(rng)
    spots = _spots(rng, shape, surface, surface)
    _clutter(rng, builder, surface, int(rng.integers(2, 8)), "object")
    return _finished(builder, shape, spots, "table")


def shelf(rng: np.random.Generator) -> Handling | None:
    """Boards between two sides; something goes from one board, or from a table before it, to another."""
    builder = Builder(pose_yaw((0.0, 0.0, 0.0), rng.uniform(-0.8, 0.8)))
    front, depth, width = rng.uniform(0.42, 0.5), rng.uniform(0.22, 0.3), rng.uniform(0.6, 0.9)
    bottom, gaps = rng.uniform(0.1, 0.25), rng.uniform(0.26, 0.36, size=2)
    heights = [bottom, bottom + gaps[0], bottom + gaps.sum()]
    for k, z in enumerate(heights):
        builder.panel(f"board{k + 1}", (front, -width / 2, z - 0.02), (front + depth, width / 2, z))
    for name, side in (("left", 1), ("right", -1)):
        y = side * width / 2
        low, high = min(y, y + 0.02 * side), max(y, y + 0.02 * side)
        builder.panel(f"{name}_side", (front, low, bottom - 0.02), (front + depth, high, heights[2]))
    builder.panel("back", (front + depth, -width / 2, bottom - 0.02), (front + depth + 0.02, width / 2, heights[2]))
    boards = [
        SupportSurface(pose_yaw((front + depth / 2 - 0.02, 0.0, z), 0.0), (depth - 0.08, width - 0.16))
        for z in heights[:2]
    ]
    source, target = rng.permutation(2) if rng.random() < 0.7 else np.repeat(rng.integers(2), 2)
    shape = graspable(rng)
    spots = _spots(rng, shape, boards[source], boards[target])
    for k, board in enumerate(boards):
        _clutter(rng, builder, board, int(rng.integers(0, 3)), f"object{k + 1}_")
    return _finished(builder, shape, spots, "shelf")


def bins(rng: np.random.Generator) -> Handling | None:
    """Two bins on a table; something goes from one to the other, or between a bin and the table."""
    builder = Builder(pose_yaw((0.0, 0.0, 0.0), rng.uniform(-0.8, 0.8)))
    height, wall = rng.uniform(0.0, 0.25), 0.01
    builder.panel("table", (0.25, -0.6, height - 0.04), (0.85, 0.6, height))
    surfaces = []
    for k, side in enumerate((1, -1)):
        size = rng.uniform((0.22, 0.22, 0.06), (0.34, 0.34, 0.16))
        X_FG = pose_yaw((rng.uniform(0.45, 0.55), side * rng.uniform(0.2, 0.3), height), rng.uniform(-0.3, 0.3))
        x, y = size[:2] / 2
        builder.panel(f"bin{k + 1}_floor", (-x, -y, 0.0), (x, y, wall), X_FG)
        for name, low, high in (
            ("front", (-x, -y, wall), (-x + wall, y, size[2])),
            ("back", (x - wall, -y, wall), (x, y, size[2])),
            ("right", (-x + wall, -y, wall), (x - wall, -y + wall, size[2])),
            ("left", (-x + wall, y - wall, wall), (x - wall, y, size[2])),
        ):
            builder.panel(f"bin{k + 1}_{name}", low, high, X_FG)
        inner = (size[0] - 2 * wall - 0.06, size[1] - 2 * wall - 0.06)
        surfaces.append(SupportSurface(X_FG @ pose_yaw((0.0, 0.0, wall), 0.0), inner))
    surfaces.append(SupportSurface(pose_yaw((0.45, 0.0, height), 0.0), (0.2, 0.12)))
    source, target = rng.permutation(3)[:2] if rng.random() < 0.5 else rng.permutation(2)
    shape = graspable(rng)
    spots = _spots(rng, shape, surfaces[source], surfaces[target])
    for k, surface in enumerate(surfaces[:2]):
        _clutter(rng, builder, surface, int(rng.integers(0, 3)), f"object{k + 1}_")
    return _finished(builder, shape, spots, "bins")


HANDLING: Mapping[str, Callable[[np.random.Generator], Handling | None]] = {
    "table": table,
    "shelf": shelf,
    "bins": bins,
}
"""Families by name; each draws a scene and a place from a random generator, None where nothing fits."""
