"""Formulas of the shapes that have some: points around them, triangles, samples, distances.

Each is about the shape's own frame, in which its box is centred at the origin. Only the distances need torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from edmp.geometry.shapes import Box, Capsule, Cylinder, Sphere

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Triangles = tuple[Array, NDArray[np.int64]]
"""Vertices (V, 3) [m] and faces (F, 3) of a closed surface, counter-clockwise from outside."""


# --- points whose convex hull contains the shape, and leaves it by little ---------------------------------------------

_SEGMENTS = 24


def box_points(shape: Box) -> Array:
    corners = np.stack(np.meshgrid(*([[-0.5, 0.5]] * 3), indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(corners * np.asarray(shape.size))


def cylinder_points(shape: Cylinder) -> Array:
    """A prism around it, which leaves it by up to 0.9 % of its radius."""
    angle = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    rim = np.column_stack([np.cos(angle), np.sin(angle)]) * shape.radius / np.cos(np.pi / _SEGMENTS)
    half = shape.length / 2
    return np.concatenate([np.column_stack([rim, np.full(_SEGMENTS, z)]) for z in (-half, half)])


def capsule_points(shape: Capsule) -> Array:
    ball, half = _ball_points(shape.radius), np.array([0.0, 0.0, shape.length / 2])
    return np.concatenate([ball + half, ball - half])


def sphere_points(shape: Sphere) -> Array:
    return _ball_points(shape.radius)


def _ball_points(radius: float) -> Array:
    """(162, 3) corners of a polytope around it, which leaves it by up to 2 % of its radius."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    nearest = np.abs(np.einsum("fi,fi->f", ball.face_normals, ball.triangles[:, 0])).min()
    return np.asarray(ball.vertices, dtype=np.float64) * radius / nearest


# --- triangles to look at, with their corners on the surface ----------------------------------------------------------

SIDES = 40
"""Facets round a cylinder."""


def box_triangles(shape: Box) -> Triangles:
    return _box_corners(shape), _box_faces()


def cylinder_triangles(shape: Cylinder) -> Triangles:
    return _cylinder_rims(shape), _cylinder_faces()


def capsule_triangles(shape: Capsule) -> Triangles:
    return _capsule_rings(shape), _capsule_faces()


def sphere_triangles(shape: Sphere) -> Triangles:
    return _ball_rings(shape.radius), _ball_faces()


def hull_faces(points: Array) -> NDArray[np.int64]:
    """(F, 3) outward triangles of the convex hull of ``points`` (V, 3)."""
    hull = ConvexHull(points)
    faces = hull.simplices.astype(np.int64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    flipped = np.einsum("fi,fi->f", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
    faces[flipped] = faces[flipped][:, ::-1]
    return faces


def _ring(radius: float) -> Array:
    angles = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _box_corners(shape: Box) -> Array:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    return corners * np.array(shape.size)


def _cylinder_rims(shape: Cylinder) -> Array:
    ring, h = _ring(shape.radius), shape.length / 2
    return np.concatenate([np.column_stack([ring, np.full(SIDES, z)]) for z in (-h, h)])


def _ball_rings(radius: float) -> Array:
    rows = []
    for latitude in np.linspace(-np.pi / 2, np.pi / 2, 15):
        ring = _ring(radius * np.cos(latitude)) if abs(latitude) < 1.57 else np.zeros((1, 2))
        rows.append(np.column_stack([ring, np.full(len(ring), radius * np.sin(latitude))]))
    return np.concatenate(rows)


def _capsule_rings(shape: Capsule) -> Array:
    ball = _ball_rings(shape.radius)
    up = np.array([0.0, 0.0, shape.length / 2])
    return np.concatenate([ball[ball[:, 2] >= 0] + up, ball[ball[:, 2] <= 0] - up])


# Whatever the size, the faces are those of a shape of good proportions: the hull of a tiny or thin one would fail.
_box_faces = cache(lambda: hull_faces(_box_corners(Box((1.0, 1.0, 1.0)))))
_cylinder_faces = cache(lambda: hull_faces(_cylinder_rims(Cylinder(1.0, 2.0))))
_capsule_faces = cache(lambda: hull_faces(_capsule_rings(Capsule(1.0, 2.0))))
_ball_faces = cache(lambda: hull_faces(_ball_rings(1.0)))


# --- points drawn uniformly from the surface --------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampler:
    """The area of a surface [m^2], and ``sample(count, rng)``: (count, 3) points drawn uniformly from it [m]."""

    area: float
    sample: Callable[[int, np.random.Generator], Array]


def box_sampler(shape: Box) -> Sampler:
    half = np.array(shape.size) / 2
    face = np.array([half[1] * half[2], half[2] * half[0], half[0] * half[1]]) * 4

    def sample(count: int, rng: np.random.Generator) -> Array:
        points = rng.uniform(-1.0, 1.0, (count, 3))
        axis = rng.choice(3, size=count, p=face / face.sum())
        points[np.arange(count), axis] = rng.choice([-1.0, 1.0], size=count)
        return points * half

    return Sampler(2 * face.sum(), sample)


def cylinder_sampler(shape: Cylinder) -> Sampler:
    r, length = shape.radius, shape.length
    side, cap = 2 * np.pi * r * length, np.pi * r**2

    def sample(count: int, rng: np.random.Generator) -> Array:
        on_side = rng.random(count) * (side + 2 * cap) < side
        angle = rng.uniform(0, 2 * np.pi, count)
        radius = np.where(on_side, r, r * np.sqrt(rng.random(count)))
        end = rng.choice([-0.5, 0.5], size=count)
        z = length * np.where(on_side, rng.uniform(-0.5, 0.5, count), end)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)

    return Sampler(side + 2 * cap, sample)


def capsule_sampler(shape: Capsule) -> Sampler:
    r, length = shape.radius, shape.length
    side, ball = 2 * np.pi * r * length, 4 * np.pi * r**2

    def sample(count: int, rng: np.random.Generator) -> Array:
        on_side = rng.random(count) * (side + ball) < side
        angle = rng.uniform(0, 2 * np.pi, count)
        height = np.where(on_side, 0.0, rng.uniform(-1.0, 1.0, count))  # Archimedes: uniform along the axis of a ball
        radius = r * np.sqrt(1 - height**2)
        along = np.where(on_side, rng.uniform(-0.5, 0.5, count), np.where(height > 0, 0.5, -0.5))
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), r * height + length * along], axis=1)

    return Sampler(side + ball, sample)


def sphere_sampler(shape: Sphere) -> Sampler:
    def sample(count: int, rng: np.random.Generator) -> Array:
        direction = rng.normal(size=(count, 3))
        return np.asarray(shape.radius * direction / np.linalg.norm(direction, axis=1, keepdims=True))

    return Sampler(4 * np.pi * shape.radius**2, sample)


def triangle_sampler(vertices: Array, faces: NDArray[Any]) -> Sampler:
    """Of triangles, rows ``faces`` (F, 3) of ``vertices`` (V, 3)."""
    area = float(_triangle_areas(vertices, faces).sum())
    return Sampler(area, lambda count, rng: sample_triangles(vertices, faces, count, rng))


def sample_triangles(vertices: Array, faces: NDArray[Any], count: int, rng: np.random.Generator) -> Array:
    """(count, 3) points drawn uniformly from triangles, rows ``faces`` (F, 3) of ``vertices`` (V, 3)."""
    area = _triangle_areas(vertices, faces)
    chosen = faces[rng.choice(len(faces), size=count, p=area / area.sum())]
    u, v = rng.random((2, count, 1))
    outside = u + v > 1  # fold the other half of the parallelogram back
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = (vertices[chosen[:, k]] for k in range(3))
    return np.asarray(a + u * (b - a) + v * (c - a))


def _triangle_areas(vertices: Array, faces: NDArray[Any]) -> Array:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


# --- signed distances of points (..., 3), given the numbers (..., k) of a shape, broadcast ----------------------------


def box_distance(p: Tensor, half: Tensor) -> Tensor:
    return _cuboid(_abs(p) - half)


def cylinder_distance(p: Tensor, size: Tensor) -> Tensor:
    import torch

    radius, half_length = size.unbind(-1)
    return _cuboid(torch.stack([_norm(p[..., :2]) - radius, _abs(p[..., 2]) - half_length], dim=-1))


def capsule_distance(p: Tensor, size: Tensor) -> Tensor:
    import torch

    radius, half_length = size.unbind(-1)
    z = p[..., 2]
    beyond = z - torch.minimum(torch.maximum(z, -half_length), half_length)
    return _norm(torch.stack([p[..., 0], p[..., 1], beyond], dim=-1)) - radius


def sphere_distance(p: Tensor, radius: Tensor) -> Tensor:
    return _norm(p) - radius[..., 0]


def _cuboid(excess: Tensor) -> Tensor:
    """Signed distance from an axis-aligned cuboid, of points that lie ``excess`` (..., k) beyond its faces."""
    import torch

    outside = torch.linalg.vector_norm(excess.clamp(min=0.0), dim=-1)  # its gradient at zero is zero
    # max over a dim sends the gradient to one face, where amax would split it among ties
    inside = excess.max(dim=-1).values.clamp(max=0.0)
    return outside + inside


def _abs(x: Tensor) -> Tensor:
    """|x|, with slope 1 at zero."""
    import torch

    return torch.where(x >= 0, x, -x)


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm over the last dim, whose gradient at zero, or where squares lose digits, is the first axis."""
    import torch

    norm = torch.linalg.vector_norm(x, dim=-1)
    finfo = torch.finfo(x.dtype)
    return torch.where(norm > math.sqrt(finfo.tiny / finfo.eps), norm, x[..., 0])
