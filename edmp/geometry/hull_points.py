"""Points whose convex hull contains a shape, and leaves it by little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere

Array = NDArray[np.float64]

_SEGMENTS = 24


def hull_points(shape: Shape) -> Array:
    """(n, 3) points in the frame of the shape, whose convex hull contains it [m].

    Round shapes are left by up to 0.9 % (cylinders) and 2 % (balls) of their radius.
    """
    return _POINTS[type(shape)](shape)


def _box(shape: Box) -> Array:
    corners = np.stack(np.meshgrid(*([[-0.5, 0.5]] * 3), indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(corners * np.asarray(shape.size))


def _cylinder(shape: Cylinder) -> Array:
    """A prism around it."""
    angle = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * shape.radius / np.cos(np.pi / _SEGMENTS)
    half = shape.length / 2
    return np.concatenate([np.column_stack([rim, np.full(_SEGMENTS, z)]) for z in (-half, half)])


def _ball(radius: float) -> Array:
    """(162, 3) corners of a polytope around it."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    nearest = np.abs(np.einsum("fi,fi->f", ball.face_normals, ball.triangles[:, 0])).min()
    return np.asarray(ball.vertices, dtype=np.float64) * radius / nearest


def _capsule(shape: Capsule) -> Array:
    ball, half = _ball(shape.radius), np.array([0.0, 0.0, shape.length / 2])
    return np.concatenate([ball + half, ball - half])


_POINTS: Mapping[type[Shape], Callable[[Any], Array]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: lambda shape: _ball(shape.radius),
    Mesh: lambda shape: np.asarray(shape.vertices),
}
