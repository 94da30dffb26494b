"""Points spread evenly over the surfaces of obstacles: what depth cameras without noise or blind spots would see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.scenes.scene import Scene

Array = NDArray[np.float64]


def surface_area(shape: Shape) -> float:
    """[m^2]"""
    return float(_SURFACES[type(shape)](shape).area)


def sample_surface(shape: Shape, count: int, rng: np.random.Generator) -> Array:
    """(count, 3) points drawn uniformly from the surface of a shape, in its own frame [m]."""
    return _SURFACES[type(shape)](shape).sample(count, rng)


def sample_scene(scene: Scene, count: int, rng: np.random.Generator) -> Array:
    """(count, 3) points in the world drawn uniformly from the surfaces of all obstacles, in random order [m].

    Obstacles count whole, also where they lie inside one another. An empty scene has no surface: (0, 3).
    """
    if len(scene) == 0:
        return np.empty((0, 3))
    area = np.array([surface_area(obstacle.shape) for obstacle in scene])
    shares = rng.multinomial(count, area / area.sum())
    points = [
        sample_surface(obstacle.shape, share, rng) @ obstacle.X_WO[:3, :3].T + obstacle.X_WO[:3, 3]
        for obstacle, share in zip(scene, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(points))


def triangle_areas(vertices: Array, faces: NDArray[Any]) -> Array:
    """(F,) areas of triangles, rows ``faces`` (F, 3) of ``vertices`` (V, 3) [m^2]."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def sample_triangles(vertices: Array, faces: NDArray[Any], count: int, rng: np.random.Generator) -> Array:
    """(count, 3) points drawn uniformly from triangles, rows ``faces`` (F, 3) of ``vertices`` (V, 3)."""
    area = triangle_areas(vertices, faces)
    chosen = faces[rng.choice(len(faces), size=count, p=area / area.sum())]
    u, v = rng.random((2, count, 1))
    outside = u + v > 1  # fold the other half of the parallelogram back
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = (vertices[chosen[:, k]] for k in range(3))
    return np.asarray(a + u * (b - a) + v * (c - a))


# --- shapes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sampler:
    """The area [m^2], and ``sample(count, rng)`` (count, 3)."""

    area: float
    sample: Callable[[int, np.random.Generator], Array]


def _box(shape: Box) -> _Sampler:
    half = np.array(shape.size) / 2
    face = np.array([half[1] * half[2], half[2] * half[0], half[0] * half[1]]) * 4

    def sample(count: int, rng: np.random.Generator) -> Array:
        points = rng.uniform(-1.0, 1.0, (count, 3))
        axis = rng.choice(3, size=count, p=face / face.sum())
        points[np.arange(count), axis] = rng.choice([-1.0, 1.0], size=count)
        return points * half

    return _Sampler(2 * face.sum(), sample)


def _cylinder(shape: Cylinder) -> _Sampler:
    r, length = shape.radius, shape.length
    side, cap = 2 * np.pi * r * length, np.pi * r**2

    def sample(count: int, rng: np.random.Generator) -> Array:
        on_side = rng.random(count) * (side + 2 * cap) < side
        angle = rng.uniform(0, 2 * np.pi, count)
        radius = np.where(on_side, r, r * np.sqrt(rng.random(count)))
        end = rng.choice([-0.5, 0.5], size=count)
        z = length * np.where(on_side, rng.uniform(-0.5, 0.5, count), end)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)

    return _Sampler(side + 2 * cap, sample)


def _capsule(shape: Capsule) -> _Sampler:
    r, length = shape.radius, shape.length
    side, ball = 2 * np.pi * r * length, 4 * np.pi * r**2

    def sample(count: int, rng: np.random.Generator) -> Array:
        on_side = rng.random(count) * (side + ball) < side
        angle = rng.uniform(0, 2 * np.pi, count)
        height = np.where(on_side, 0.0, rng.uniform(-1.0, 1.0, count))  # Archimedes: uniform along the axis of a ball
        radius = r * np.sqrt(1 - height**2)
        along = np.where(on_side, rng.uniform(-0.5, 0.5, count), np.where(height > 0, 0.5, -0.5))
        return np.stack([radius * np.cos(angle), radius * np.sin(angle), r * height + length * along], axis=1)

    return _Sampler(side + ball, sample)


def _sphere(shape: Sphere) -> _Sampler:
    def sample(count: int, rng: np.random.Generator) -> Array:
        direction = rng.normal(size=(count, 3))
        return np.asarray(shape.radius * direction / np.linalg.norm(direction, axis=1, keepdims=True))

    return _Sampler(4 * np.pi * shape.radius**2, sample)


def _mesh(shape: Mesh) -> _Sampler:
    area = float(triangle_areas(shape.vertices, shape.faces).sum())
    return _Sampler(area, lambda count, rng: sample_triangles(shape.vertices, shape.faces, count, rng))


_SURFACES: Mapping[type[Shape], Callable[[Any], _Sampler]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: _sphere,
    Mesh: _mesh,
}
