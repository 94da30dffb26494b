"""Families of furniture with insides: cubbies, bookshelves and dressers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import half_extents
from edmp.geometry.poses import pose_yaw
from edmp.scenes.generators.base import DOWN, FLAT, UPRIGHT, Builder, around
from edmp.scenes.generators.objects import SupportSurface, grasp_from_side, thing

Array = NDArray[np.float64]
Cell = tuple[float, float, float, float]  # y low, y high, z low, z high


def cubby(rng: np.random.Generator) -> Builder:
    """A 2 x 2 rack of open bays (Fishman et al. 2022, Motion Policy Networks, appendix)."""
    return _cubby(rng, merged=False)


def merged_cubby(rng: np.random.Generator) -> Builder:
    """A `cubby` in which one piece of shelf or wall between two bays is missing."""
    return _cubby(rng, merged=True)


def _near(rng: np.random.Generator, centre: float, spread: float) -> float:
    return centre + rng.uniform(-spread, spread)


def _cubby(rng: np.random.Generator, *, merged: bool) -> Builder:
    builder = Builder(around(rng))
    left, right = _near(rng, 0.7, 0.1), -_near(rng, 0.7, 0.1)
    bottom, top = _near(rng, 0.2, 0.1), _near(rng, 0.7, 0.1)
    front, depth = _near(rng, 0.55, 0.1), _near(rng, 0.35, 0.2)
    shelf, wall, t = _near(rng, 0.45, 0.1), _near(rng, 0.0, 0.1), _near(rng, 0.02, 0.01)
    X_FG = pose_yaw((front, 0.0, 0.0), rng.uniform(-math.pi / 18, math.pi / 18))
    h = t / 2
    builder.panel("bottom", (0, right, bottom - h), (depth, left, bottom + h), X_FG)
    builder.panel("top", (0, right, top - h), (depth, left, top + h), X_FG)
    builder.panel("left", (0, left - h, bottom), (depth, left + h, top), X_FG)
    builder.panel("right", (0, right - h, bottom), (depth, right + h, top), X_FG)
    builder.panel("back", (depth, right, bottom), (depth + t, left, top), X_FG)
    separators = {
        "shelf_left": ((0, wall, shelf - h), (depth, left, shelf + h)),
        "shelf_right": ((0, right, shelf - h), (depth, wall, shelf + h)),
        "wall_lower": ((0, wall - h, bottom), (depth, wall + h, shelf)),
        "wall_upper": ((0, wall - h, shelf), (depth, wall + h, top)),
    }
    if merged:
        del separators[str(rng.choice(list(separators)))]
    for name, (low, high) in separators.items():
        builder.panel(name, low, high, X_FG)
    for y in ((right, wall), (wall, left)):
        for z in ((bottom, shelf), (shelf, top)):
            _bay(builder, X_FG, (y[0] + h, y[1] - h, z[0] + h, z[1] - h), depth)
    return builder


def _bay(builder: Builder, X_FG: Array, cell: Cell, depth: float, weight: float = 1.0) -> None:
    """Tool poses inside a bay that is open towards -x of G, from a little before its front to near its back."""
    y0, y1, z0, z1 = cell
    size = (depth + 0.03, y1 - y0 - 0.08, z1 - z0 - 0.06)
    X_FV = X_FG @ pose_yaw((depth / 2 - 0.03, (y0 + y1) / 2, (z0 + z1) / 2), 0.0)
    quarter = (-math.pi / 4, math.pi / 4)
    builder.region(X_FV, size, quarter, (-0.35, 0.2), weight=0.8 * weight)
    builder.region(X_FV, size, quarter, (-0.35, 0.2), rolls=UPRIGHT, weight=0.2 * weight)


def shelf(rng: np.random.Generator) -> Builder:
    """A bookshelf: boards between legs or sides, sometimes a back and a divider, cans in its bays."""
    builder = Builder(around(rng))
    kind = rng.choice(("small", "tall", "thin"))
    width = rng.uniform(0.45, 1.3)
    depth = rng.uniform(0.25, 0.65)
    spacing = {"small": rng.uniform(0.28, 0.45), "tall": rng.uniform(0.3, 0.5), "thin": rng.uniform(0.2, 0.32)}[kind]
    bays = {"small": rng.integers(1, 4), "tall": rng.integers(3, 5), "thin": rng.integers(3, 6)}[kind]
    t = rng.uniform(0.015, 0.04)
    base = rng.uniform(-0.45, 0.3) if kind != "small" else rng.uniform(-0.3, 0.45)
    X_FG = pose_yaw((rng.uniform(0.22, 0.6), rng.uniform(-0.3, 0.3), 0.0), rng.uniform(-0.6, 0.6))
    levels = [base + i * spacing for i in range(bays + 1)]
    for i, z in enumerate(levels):
        builder.panel(f"board{i + 1}", (0, -width / 2, z - t), (depth, width / 2, z), X_FG)
    _shelf_sides(rng, builder, X_FG, (depth, width), (levels[0] - t, levels[-1]), t)
    walls = [-width / 2 + t, width / 2 - t]
    if width > 0.7 and rng.random() < 0.6:
        y = rng.uniform(-0.1, 0.1)
        builder.panel("divider", (0, y - t / 2, levels[0]), (depth, y + t / 2, levels[-1] - t), X_FG)
        walls.insert(1, y)
    for level, (low, high) in enumerate(pairwise(levels)):
        for side, (y0, y1) in enumerate(pairwise(walls)):
            _bay(builder, X_FG, (y0 + t, y1 - t, low, high - t), depth)
            spot = SupportSurface(
                X_FG @ pose_yaw((depth / 2, (y0 + y1) / 2, low), 0.0), (depth - 0.04, y1 - y0 - 2 * t)
            )
            for _ in range(rng.integers(0, 3)):
                if len(builder.obstacles) >= 24:
                    break
                shape = thing(rng)
                X_FO = spot.place(rng, shape)
                if X_FO is None or X_FO[2, 3] + half_extents(shape)[2] > high - t - 0.01:  # taller than the bay
                    continue
                if builder.add(f"can{level}{side}{len(builder.obstacles)}", shape, X_FO, optional=True):
                    yaw = math.atan2(X_FG[1, 0], X_FG[0, 0])
                    grasp_from_side(builder, shape, X_FO, azimuth=(yaw - math.pi / 4, yaw + math.pi / 4), weight=1.0)
    return builder


def _shelf_sides(
    rng: np.random.Generator, builder: Builder, X_FG: Array, size: tuple[float, float], z: tuple[float, float], t: float
) -> None:
    """Closed sides, or a leg at each corner; a back half of the time."""
    depth, width = size
    if rng.random() < 0.6:
        for name, y in (("left", width / 2), ("right", -width / 2 - t)):
            builder.panel(name, (0, y, z[0]), (depth, y + t, z[1]), X_FG)
    else:
        leg = rng.uniform(0.03, 0.05)
        for i, (x, y) in enumerate(((0, -1), (0, 1), (1, -1), (1, 1))):
            x0, y0 = x * (depth - leg), y * width / 2 - leg / 2
            builder.panel(f"leg{i + 1}", (x0, y0, z[0] - 0.1), (x0 + leg, y0 + leg, z[1]), X_FG)
    if rng.random() < 0.5:
        builder.panel("back", (depth, -width / 2, z[0]), (depth + t, width / 2, z[1]), X_FG)


def dresser(rng: np.random.Generator) -> Builder:
    """A chest of drawers, two of them pulled out (Fishman et al. 2022, Motion Policy Networks, appendix)."""
    builder = Builder(around(rng))
    width, depth, height = _near(rng, 1.0, 0.2), _near(rng, 0.3, 0.1), _near(rng, 0.7, 0.15)
    t = 0.01
    X_FG = pose_yaw((_near(rng, 0.65, 0.1), _near(rng, 0.0, 0.1), 0.0), rng.uniform(-math.pi / 3, math.pi / 3))
    x0, x1 = -depth / 2, depth / 2
    builder.panel("left", (x0, width / 2 - t, 0), (x1, width / 2, height), X_FG)
    builder.panel("right", (x0, -width / 2, 0), (x1, -width / 2 + t, height), X_FG)
    builder.panel("top", (x0, -width / 2, height - t), (x1, width / 2, height), X_FG)
    builder.panel("bottom", (x0, -width / 2, 0), (x1, width / 2, t), X_FG)
    builder.panel("back", (x1 - t, -width / 2, 0), (x1, width / 2, height), X_FG)
    cells = _split(rng, (-width / 2 + t, width / 2 - t, t, height - t), 0.7)
    drawers = rng.permutation(len(cells))[: min(2, len(cells))]
    for i, cell in enumerate(cells):
        if i in drawers:
            _open_drawer(rng, builder, X_FG @ pose_yaw((x0, 0.0, 0.0), 0.0), f"drawer{i + 1}", cell, depth, t)
        else:  # a closed drawer is as good as solid
            y_low, y_high, z_low, z_high = cell
            builder.panel(f"drawer{i + 1}", (x0, y_low, z_low), (x1 - t, y_high, z_high), X_FG)
    return builder


def _split(rng: np.random.Generator, cell: Cell, chance: float, smallest: float = 0.3) -> list[Cell]:
    """A rectangle, split at random along y or z as long as chance has it and both halves stay wide enough."""
    y0, y1, z0, z1 = cell
    # Halves less than `smallest` wide would not admit a gripper; a drawer may be half as high as it must be wide.
    axes = [axis for axis, room in (("y", (y1 - y0) / 2 / smallest), ("z", (z1 - z0) / smallest)) if room >= 1.0]
    if not axes or rng.random() > chance:
        return [cell]
    if rng.choice(axes) == "y":
        y = rng.uniform(y0 + smallest, y1 - smallest)
        halves = [(y0, y, z0, z1), (y, y1, z0, z1)]
    else:
        z = rng.uniform(z0 + smallest / 2, z1 - smallest / 2)
        halves = [(y0, y1, z0, z), (y0, y1, z, z1)]
    return [leaf for half in halves for leaf in _split(rng, half, 0.8 * chance, smallest)]


def _open_drawer(
    rng: np.random.Generator, builder: Builder, X_FG: Array, name: str, cell: Cell, depth: float, t: float
) -> None:
    """A drawer pulled out towards -x of G, whose origin lies in the front plane of the dresser."""
    y0, y1, z0, z1 = cell
    length = 0.9 * depth
    out = rng.uniform(0.6, 0.98) * length
    gap = 0.004
    y0, y1, z0, z1 = y0 + gap, y1 - gap, z0 + gap, z1 - gap
    rim = z0 + (z1 - z0) * rng.uniform(0.5, 0.9)
    back = length - out
    builder.panel(f"{name}_front", (-out - t, y0, z0), (-out, y1, z1), X_FG)
    builder.panel(f"{name}_bottom", (-out, y0, z0), (back, y1, z0 + t), X_FG)
    builder.panel(f"{name}_left", (-out, y1 - t, z0 + t), (back, y1, rim), X_FG)
    builder.panel(f"{name}_right", (-out, y0, z0 + t), (back, y0 + t, rim), X_FG)
    low, high = z0 + t + 0.01, rim + 0.08
    X_FV = X_FG @ pose_yaw((-out / 2, (y0 + y1) / 2, (low + high) / 2), 0.0)
    size = (out - 0.04, y1 - y0 - 0.06, high - low)
    turn = ((-math.pi / 4, math.pi / 4), (math.pi * 3 / 4, math.pi * 5 / 4))
    builder.region(X_FV, size, (0.0, 0.0), DOWN, rolls=turn, weight=2.0)
    # Hands also come in from above and in front; the pull on the front panel itself.
    builder.region(X_FV, size, (-0.5, 0.5), (-1.5, -0.9), rolls=FLAT + UPRIGHT, weight=0.5)
