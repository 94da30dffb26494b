"""Points on surfaces that leave no gap: nothing of the surface is farther from the nearest than ``REACH`` spacings.

As points on a square grid do. Each function takes a shape and the spacing [m], and returns (n, 3) points in the shape's
own frame, always the same ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.primitives import Triangles
from edmp.geometry.shapes import Box, Capsule, Cylinder, Sphere

Array = NDArray[np.float64]

REACH = math.sqrt(0.5)
"""Half the diagonal of a square of a grid, in spacings."""


def box_cover(shape: Box, spacing: float) -> Array:
    x, y, z = (np.linspace(-extent / 2, extent / 2, math.ceil(extent / spacing) + 1) for extent in shape.size)
    ends = np.array([0, -1])
    parts = (_grid(x[ends], y, z), _grid(x[1:-1], y[ends], z), _grid(x[1:-1], y[1:-1], z[ends]))
    return np.concatenate(parts)


def cylinder_cover(shape: Cylinder, spacing: float) -> Array:
    radius, half = shape.radius, shape.length / 2
    heights = np.linspace(-half, half, math.ceil(shape.length / spacing) + 1)
    steps = math.ceil(radius / spacing)
    side = [_ring(radius, z, radius, spacing) for z in heights]
    within = [(radius * k / steps, z) for k in range(steps) for z in (-half, half)]
    # Seen from half a step farther out, where points are the farthest apart.
    return np.concatenate(side + [_ring(r, z, r + radius / steps / 2, spacing) for r, z in within])


def capsule_cover(shape: Capsule, spacing: float) -> Array:
    half = shape.length / 2
    heights = np.linspace(-half, half, math.ceil(shape.length / spacing) + 1)[1:-1]
    side = [_ring(shape.radius, z, shape.radius, spacing) for z in heights]
    cap = _half_ball(shape.radius, spacing) + np.array([0.0, 0.0, half])
    return np.concatenate([*side, cap, -cap])


def sphere_cover(shape: Sphere, spacing: float) -> Array:
    cap = _half_ball(shape.radius, spacing)
    return np.concatenate([cap, -cap[cap[:, 2] > 1e-9 * shape.radius]])


def triangle_cover(surface: Triangles, spacing: float) -> Array:
    """Corners of triangles that are halved across their longest edge until that is short.

    A triangle's points are within l / sqrt(3) of its corners, l being its longest edge (the equilateral one's are).
    """
    vertices, faces = surface
    open_, done = np.asarray(vertices, dtype=np.float64)[faces], []
    while len(open_):
        edge = np.linalg.norm(open_ - np.roll(open_, -1, axis=1), axis=2)
        far = edge.max(axis=1) > math.sqrt(3) * REACH * spacing
        done.append(open_[~far])
        rows, first = np.flatnonzero(far), edge[far].argmax(axis=1)
        a, b, c = (open_[rows, (first + k) % 3] for k in range(3))
        middle = (a + b) / 2
        open_ = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
    return np.unique(np.concatenate(done).reshape(-1, 3), axis=0)


def _grid(x: Array, y: Array, z: Array) -> Array:
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)


def _ring(radius: float, z: float, widest: float, spacing: float) -> Array:
    """Points on a circle, as many as keep their spacing on one of radius ``widest``."""
    if radius == 0:
        return np.array([[0.0, 0.0, z]])
    angle = np.linspace(0, 2 * np.pi, math.ceil(2 * np.pi * widest / spacing), endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(len(angle), z)], axis=1)


def _half_ball(radius: float, spacing: float) -> Array:
    """The upper half of a sphere, its equator included."""
    steps = math.ceil(np.pi / 2 * radius / spacing)
    latitudes = np.pi / 2 * np.arange(steps) / steps
    nearer = np.maximum(latitudes - np.pi / 4 / steps, 0.0)  # to the equator, by half a step
    rings = [
        _ring(radius * math.cos(at), radius * math.sin(at), radius * math.cos(low), spacing)
        for at, low in zip(latitudes, nearer, strict=True)
    ]
    return np.concatenate([*rings, [[0.0, 0.0, radius]]])
