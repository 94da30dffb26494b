"""Small objects that stand on things, without touching one another, and the grasps that go with them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import half_extents
from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box, Cylinder, Shape
from edmp.scenes.generators.base import ANY, DOWN, FLAT, UPRIGHT, Builder, Interval

Array = NDArray[np.float64]


class SupportSurface:
    """A horizontal rectangle, and the discs on it that are taken.

    Args:
        X_FS: (4, 4) pose of its centre in the builder's frame, z up.
        size: (2,) extents along x and y of S [m].
    """

    def __init__(self, X_FS: Array, size: tuple[float, float]) -> None:
        self.X_FS = X_FS
        self.size = size
        self.taken: list[tuple[float, float, float]] = []

    def place(self, rng: np.random.Generator, shape: Shape, *, gap: float = 0.005) -> Array | None:
        """(4, 4) pose ``X_FO`` for ``shape`` to stand on a free spot, turned at random, or None if none was found."""
        half = half_extents(shape)
        radius = float(half[0]) if isinstance(shape, Cylinder) else math.hypot(half[0], half[1])
        room = [self.size[0] / 2 - radius, self.size[1] / 2 - radius]
        if min(room) < 0:
            return None
        for _ in range(12):
            x, y = rng.uniform(-room[0], room[0]), rng.uniform(-room[1], room[1])
            if all((x - u) ** 2 + (y - v) ** 2 > (radius + r + gap) ** 2 for u, v, r in self.taken):
                self.taken.append((x, y, radius))
                return self.X_FS @ pose_yaw((x, y, half[2] + 1e-3), rng.uniform(-math.pi, math.pi))
        return None


def can(rng: np.random.Generator) -> Cylinder:
    """A can, glass or bottle."""
    return Cylinder(radius=rng.uniform(0.022, 0.05), length=rng.uniform(0.08, 0.22))


def thing(rng: np.random.Generator) -> Shape:
    """Something of graspable size."""
    if rng.random() < 0.6:
        return can(rng)
    return Box((rng.uniform(0.03, 0.1), rng.uniform(0.03, 0.1), rng.uniform(0.04, 0.2)))


def grasp_from_side(
    builder: Builder, shape: Shape, X_FO: Array, *, azimuth: Interval = ANY, upright: bool = True, weight: float = 1.0
) -> None:
    """Tool poses a little before a standing object, level or tilted slightly down, coming in along ``azimuth`` of F."""
    half = half_extents(shape)
    X_FV = pose_yaw(X_FO[:3, 3].tolist(), 0.0)
    reach = float(max(half[0], half[1]))
    builder.region(
        X_FV,
        (0.01, 0.01, 1.2 * half[2]),
        azimuth,
        (-0.6, 0.1),
        rolls=FLAT + UPRIGHT if upright else FLAT,
        standoff=(reach + 0.005, reach + 0.06),
        weight=weight,
    )


def grasp_from_top(builder: Builder, shape: Shape, X_FO: Array, *, weight: float = 1.0) -> None:
    """Tool poses a little above an object, pointing down."""
    half = half_extents(shape)
    X_FV = X_FO @ pose_yaw((0.0, 0.0, half[2]), 0.0)
    builder.region(X_FV, (0.02, 0.02, 0.0), ANY, DOWN, rolls=(ANY,), standoff=(0.006, 0.08), weight=weight)


def above_surface(
    builder: Builder,
    surface: SupportSurface,
    *,
    height: Interval = (0.01, 0.12),
    margin: float = 0.03,
    weight: float = 1.0,
) -> None:
    """Tool poses ``height`` above a surface, pointing down."""
    low, high = height
    size = (surface.size[0] - 2 * margin, surface.size[1] - 2 * margin, high - low)
    X_FV = surface.X_FS @ pose_yaw((0.0, 0.0, (low + high) / 2), 0.0)
    builder.region(X_FV, size, ANY, DOWN, rolls=(ANY,), weight=weight)
