"""Families with tables: objects on them, objects below them."""

from __future__ import annotations

import math

import numpy as np

from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box, Cylinder, Shape
from edmp.scenes.generators.base import Builder, around
from edmp.scenes.generators.objects import SupportSurface, above_surface, grasp_from_side, grasp_from_top, thing


def tabletop(rng: np.random.Generator) -> Builder:
    """Tables with 3 to 14 boxes and cylinders on them (Fishman et al. 2022, Motion Policy Networks, appendix)."""
    builder = Builder(around(rng))
    height = 0.0 if rng.random() < 0.35 else rng.uniform(0.0, 0.4)
    surfaces = [_table(rng, builder, "table", height, 0.0)]
    if rng.random() < 0.5:
        side = rng.choice((-1.0, 1.0)) * rng.uniform(1.3, 1.9)
        surfaces.append(_table(rng, builder, "side_table", height if rng.random() < 0.5 else rng.uniform(0, 0.4), side))
    for i in range(rng.integers(3, 15)):
        surface = surfaces[rng.integers(len(surfaces))]
        shape: Shape
        if rng.random() < 0.3:
            shape = Cylinder(radius=rng.uniform(0.03, 0.15), length=rng.uniform(0.05, 0.35))
        else:
            shape = Box((rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.35)))
        X_FO = surface.place(rng, shape)
        if X_FO is not None and builder.add(f"object{i + 1}", shape, X_FO, optional=True):
            grasp_from_top(builder, shape, X_FO)
            grasp_from_side(builder, shape, X_FO, weight=0.5)
    for surface in surfaces:
        above_surface(builder, surface, weight=5.0)
    return builder


def _table(rng: np.random.Generator, builder: Builder, name: str, height: float, azimuth: float) -> SupportSurface:
    """A table whose front edge crosses the direction ``azimuth`` of F; solid to the ground, or a slab on four legs.
    At height 0 it may reach under the robot."""
    depth, width = rng.uniform(0.45, 1.0), rng.uniform(0.6, 1.7)
    top = height - 0.006
    under_robot = height < 0.001 and azimuth == 0.0 and rng.random() < 0.5
    front = rng.uniform(-0.5, 0.0) if under_robot else rng.uniform(0.2, 0.4)
    X_FG = pose_yaw((0.0, 0.0, 0.0), azimuth) @ pose_yaw(
        (front, rng.uniform(-0.25, 0.25), 0.0), rng.uniform(-0.15, 0.15)
    )
    depth += 0.5 if under_robot else 0.0
    thick = rng.uniform(0.02, 0.06)
    bottom = top - thick if rng.random() < 0.5 or height < 0.1 else top - rng.uniform(thick, height + 0.3)
    builder.panel(name, (0, -width / 2, bottom), (depth, width / 2, top), X_FG)
    if bottom > 0.1 and rng.random() < 0.5:
        _legs(builder, name, X_FG, (depth, width), -rng.uniform(0.0, 0.6), bottom)
    return SupportSurface(X_FG @ pose_yaw((depth / 2, 0.0, top), 0.0), (depth, width))


def _legs(
    builder: Builder, name: str, X_FG: np.ndarray, size: tuple[float, float], low: float, high: float, leg: float = 0.05
) -> None:
    """Four legs at the corners of a table top that spans x in (0, size[0]) and y about 0 in G."""
    for i, (x, y) in enumerate(((0, -1), (0, 1), (1, -1), (1, 1))):
        x0 = x * (size[0] - leg)
        y0 = y * (size[1] - leg) / 2 - leg / 2
        builder.panel(f"{name}_leg{i + 1}", (x0, y0, low), (x0 + leg, y0 + leg, high), X_FG)


def table_under(rng: np.random.Generator) -> Builder:
    """Objects below a table top, on the ground or on a lower board, and objects on top of it."""
    builder = Builder(around(rng))
    depth, width, thick = rng.uniform(0.5, 1.3), rng.uniform(0.7, 2.0), rng.uniform(0.02, 0.05)
    top = rng.uniform(0.15, 0.6)
    floor = top - thick - rng.uniform(0.3, 0.75)
    front = rng.uniform(0.2, 0.5)
    X_FG = pose_yaw((front, rng.uniform(-0.3, 0.3), 0.0), rng.uniform(-0.4, 0.4))
    builder.panel("table_top", (0, -width / 2, top - thick), (depth, width / 2, top), X_FG)
    _legs(builder, "table", X_FG, (depth, width), floor, top - thick)
    if rng.random() < 0.5 and floor < -0.02:
        builder.box("ground", (3.0, 3.0, 0.02), (0.0, 0.0, floor - 0.011))
    else:
        builder.panel("lower_board", (0.06, -width / 2 + 0.06, floor - 0.03), (depth, width / 2 - 0.06, floor), X_FG)
    below = SupportSurface(X_FG @ pose_yaw((depth / 4 + 0.05, 0.0, floor), 0.0), (depth / 2 - 0.1, width - 0.2))
    above = SupportSurface(X_FG @ pose_yaw((depth / 2, 0.0, top), 0.0), (depth, width))
    for i in range(rng.integers(1, 6)):
        shape = thing(rng)
        X_FO = below.place(rng, shape)
        if X_FO is not None and builder.add(f"low_object{i + 1}", shape, X_FO, optional=True):
            grasp_from_side(builder, shape, X_FO, azimuth=(-0.9, 0.9), weight=2.0)
    for i in range(rng.integers(0, 8)):
        shape = thing(rng) if rng.random() < 0.4 else Box((0.2, rng.uniform(0.02, 0.1), rng.uniform(0.2, 0.4)))
        X_FO = above.place(rng, shape)
        if X_FO is not None and builder.add(f"object{i + 1}", shape, X_FO, optional=True):
            grasp_from_top(builder, shape, X_FO, weight=0.5)
            grasp_from_side(builder, shape, X_FO, weight=0.5)
    above_surface(builder, above, weight=1.5)
    gap = top - thick - floor
    X_FV = X_FG @ pose_yaw((min(depth, 0.6) / 2, 0.0, floor + gap / 2), 0.0)
    size = (min(depth, 0.6), width - 0.2, gap - 0.12)
    builder.region(X_FV, size, (-0.8, 0.8), (-0.7, 0.2), weight=4.0)
    builder.region(X_FV, size, (-0.8, 0.8), (-math.pi / 2, -0.5), rolls=((-math.pi, math.pi),), weight=1.0)
    return builder
