"""Families of containers: open boxes, bins and cages, with objects inside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box
from edmp.scenes.generators.base import ANY, FLAT, UPRIGHT, Builder, around
from edmp.scenes.generators.objects import SupportSurface, above_surface, grasp_from_side, grasp_from_top, thing

Array = NDArray[np.float64]

STEEP = (-math.pi / 2 - 0.5, -math.pi / 2 + 0.5)


def box(rng: np.random.Generator) -> Builder:
    """A tall box, open on top or only by a slot above its front, with objects on its bottom."""
    builder = Builder(around(rng))
    depth, width = rng.uniform(0.4, 0.75), rng.uniform(0.4, 0.8)
    t = rng.uniform(0.01, 0.04)
    bottom = rng.uniform(-0.55, 0.05)
    rim = bottom + rng.uniform(0.25, 0.65)
    X_FG = pose_yaw((rng.uniform(0.2, 0.45), rng.uniform(-0.2, 0.2), 0.0), rng.uniform(-0.5, 0.5))
    capped = rng.random() < 0.5
    wall = rim + (rng.uniform(0.05, 0.2) if rng.random() < 0.5 else 0.0)
    y0, y1 = -width / 2, width / 2
    builder.panel("bottom", (0, y0, bottom - t), (depth, y1, bottom), X_FG)
    builder.panel("front", (0, y0, bottom), (t, y1, rim), X_FG)
    builder.panel("back", (depth - t, y0, bottom), (depth, y1, wall), X_FG)
    builder.panel("left", (t, y1 - t, bottom), (depth - t, y1, wall), X_FG)
    builder.panel("right", (t, y0, bottom), (depth - t, y0 + t, wall), X_FG)
    if capped:
        lid = max(wall, rim + rng.uniform(0.3, 0.5))
        setback = rng.uniform(0.0, 0.2)
        builder.panel("cap", (setback, y0, lid), (depth + setback, y1, lid + t), X_FG)
    inside = SupportSurface(X_FG @ pose_yaw((depth / 2, 0.0, bottom), 0.0), (depth - 2 * t, width - 2 * t))
    _contents(rng, builder, inside, int(rng.integers(1, 5)))
    _inside(builder, inside, rim - bottom, weight=4.0)
    return builder


def bins(rng: np.random.Generator) -> Builder:
    """One to three low bins side by side or around the robot, on a table or on the ground."""
    builder = Builder(around(rng))
    ground = rng.uniform(-0.35, 0.25)
    count = int(rng.integers(1, 4))
    spread = rng.uniform(0.75, 1.2)
    for i in range(count):
        azimuth = spread * (i - (count - 1) / 2) + rng.uniform(-0.1, 0.1)
        X_FG = pose_yaw((0.0, 0.0, 0.0), azimuth) @ pose_yaw(
            (rng.uniform(0.4, 0.7), 0.0, ground), rng.uniform(-0.3, 0.3)
        )
        size = (rng.uniform(0.25, 0.45), rng.uniform(0.28, 0.5), rng.uniform(0.08, 0.28))
        t = rng.uniform(0.006, 0.02)
        inside = _tray(builder, X_FG, f"bin{i + 1}", size, t)
        _contents(rng, builder, inside, int(rng.integers(0, 4)), prefix=f"bin{i + 1}_object")
        _inside(builder, inside, size[2], weight=3.0)
    if ground < -0.03 and rng.random() < 0.5:
        builder.box("ground", (2.5, 2.5, 0.02), (0.0, 0.0, ground - 0.011))
    elif rng.random() < 0.5:
        builder.panel("table", (0.2, -0.9, ground - 0.05), (1.0, 0.9, ground - 0.001))
    return builder


def _tray(builder: Builder, X_FG: Array, name: str, size: tuple[float, float, float], t: float) -> SupportSurface:
    """Five panels about the z axis of G, bottom at its origin; returns the surface inside."""
    x, y, z = size[0] / 2, size[1] / 2, size[2]
    builder.panel(f"{name}_bottom", (-x, -y, 0), (x, y, t), X_FG)
    builder.panel(f"{name}_front", (-x, -y, t), (-x + t, y, z), X_FG)
    builder.panel(f"{name}_back", (x - t, -y, t), (x, y, z), X_FG)
    builder.panel(f"{name}_left", (-x + t, y - t, t), (x - t, y, z), X_FG)
    builder.panel(f"{name}_right", (-x + t, -y, t), (x - t, -y + t, z), X_FG)
    return SupportSurface(X_FG @ pose_yaw((0.0, 0.0, t), 0.0), (size[0] - 2 * t, size[1] - 2 * t))


def _contents(
    rng: np.random.Generator, builder: Builder, surface: SupportSurface, count: int, *, prefix: str = "object"
) -> None:
    """Objects on a surface, to be grasped from above."""
    for i in range(count):
        shape = thing(rng)
        X_FO = surface.place(rng, shape)
        if X_FO is not None and builder.add(f"{prefix}{i + 1}", shape, X_FO, optional=True):
            grasp_from_top(builder, shape, X_FO)
            grasp_from_side(builder, shape, X_FO, weight=0.4)


def _inside(builder: Builder, surface: SupportSurface, height: float, *, weight: float) -> None:
    """Tool poses anywhere inside a container open above, and a little over its rim, pointing steeply down."""
    X_FV = surface.X_FS @ pose_yaw((0.0, 0.0, height / 2 + 0.04), 0.0)
    size = (surface.size[0] - 0.05, surface.size[1] - 0.05, height + 0.06)
    builder.region(X_FV, size, ANY, STEEP, rolls=(ANY,), weight=weight)
    above_surface(builder, surface, height=(height + 0.01, height + 0.2), weight=0.3 * weight)


def cage(rng: np.random.Generator) -> Builder:
    """An object in a cage: closed or barred sides, bars across the front, sometimes a lid, wide enough for a hand."""
    builder = Builder(around(rng))
    depth, width, height = rng.uniform(0.4, 0.75), rng.uniform(0.4, 0.75), rng.uniform(0.45, 0.8)
    t = rng.uniform(0.02, 0.04)
    base = rng.uniform(-0.1, 0.4)
    X_FG = pose_yaw((rng.uniform(0.28, 0.48), rng.uniform(-0.15, 0.15), base), rng.uniform(-0.5, 0.5))
    y0, y1 = -width / 2, width / 2
    builder.panel("base", (0, y0, -t), (depth, y1, 0), X_FG)
    walls = {
        "back": ((depth - t, y0, 0), (depth, y1, height), 1),
        "left": ((0, y1 - t, 0), (depth, y1, height), 0),
        "right": ((0, y0, 0), (depth, y0 + t, height), 0),
    }
    for name, (low, high, along) in walls.items():
        if rng.random() < 0.6:
            builder.panel(name, low, high, X_FG)
        else:
            _bars(builder, name, np.array(low), np.array(high), along, int(rng.integers(2, 4)), X_FG)
    if rng.random() < 0.7:
        builder.panel("cap", (rng.uniform(0.0, 0.15), y0, height), (depth, y1, height + t), X_FG)
    if rng.random() < 0.6:  # bars lying across the front: the hand goes between them
        lowest = rng.uniform(0.1, 0.25)
        for i, z in enumerate((lowest, min(lowest + rng.uniform(0.25, 0.35), height - t))):
            builder.panel(f"front{i + 1}", (0, y0, z), (t, y1, z + t), X_FG)
    else:
        _bars(builder, "front", np.array((0, y0, 0)), np.array((t, y1, height)), 1, int(rng.integers(2, 4)), X_FG)
    inside = SupportSurface(X_FG @ pose_yaw((depth * 0.5, 0.0, 0.0), 0.0), (0.6 * depth, 0.6 * width))
    yaw = math.atan2(X_FG[1, 0], X_FG[0, 0])
    for i in range(rng.integers(1, 4)):
        side = rng.uniform(0.04, 0.09)
        shape = thing(rng) if rng.random() < 0.3 else Box((side, side, side))
        X_FO = inside.place(rng, shape)
        if X_FO is not None and builder.add(f"object{i + 1}", shape, X_FO, optional=True):
            grasp_from_side(builder, shape, X_FO, azimuth=(yaw - 0.6, yaw + 0.6), weight=2.0)
            grasp_from_top(builder, shape, X_FO, weight=1.0)
    X_FV = X_FG @ pose_yaw((depth / 2 - 0.05, 0.0, height / 2), 0.0)
    size = (depth, width - 0.15, height - 0.1)
    builder.region(X_FV, size, (-0.6, 0.6), (-0.8, 0.2), rolls=FLAT + UPRIGHT, weight=3.0)
    return builder


def _bars(builder: Builder, name: str, low: Array, high: Array, along: int, count: int, X_FG: Array) -> None:
    """``count`` upright bars spread over a wall from corner ``low`` to ``high``, side by side along axis ``along``."""
    thick = float(min(high[0] - low[0], high[1] - low[1]))
    for i, start in enumerate(np.linspace(low[along], high[along] - thick, count)):
        a, b = low.copy(), high.copy()
        a[along], b[along] = start, start + thick
        builder.panel(f"{name}{i + 1}", a.tolist(), b.tolist(), X_FG)
