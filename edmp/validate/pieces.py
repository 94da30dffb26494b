"""Convex pieces as the judge sees them: support function, bounding sphere, FCL geometry.

The support function ``h(n) = max over points x of n . x`` is what the proofs rest on: for ANY unit direction ``n``,

    g(n) = min over x in A of n . x  -  max over y in B of n . y

is a lower bound of the distance between A and B, and g(n) > 0 proves them apart. FCL only proposes directions; a
wrong answer of its GJK can cost time but cannot make a proof wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import fcl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from edmp.cached import cached_property
from edmp.geometry.kinds import as_mesh
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Polytope:
    """Convex hull of ``vertices`` (V, 3) [m]; ``faces`` (F, 3) turn outward, ``normals`` (F, 3) are theirs."""

    vertices: Array
    faces: NDArray[np.int64]
    normals: Array

    @classmethod
    def of(cls, points: Array) -> Polytope:
        """The hull of ``points`` (n, 3); flat sets (a plate, a triangle) are thickened by 1e-6 m."""
        points = np.asarray(points, dtype=np.float64)
        try:
            hull = ConvexHull(points)
        except (QhullError, ValueError):
            nudge = 1e-6 * np.concatenate([np.eye(3), -np.eye(3)])
            points = (points[:, None] + nudge).reshape(-1, 3)
            hull = ConvexHull(points)
        index = np.full(len(points), -1)
        index[hull.vertices] = np.arange(len(hull.vertices))
        vertices, faces, normals = points[hull.vertices], index[hull.simplices], hull.equations[:, :3]
        edge1, edge2 = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
        inward = np.sum(np.cross(edge1, edge2) * normals, axis=1) < 0
        faces[inward] = faces[inward][:, ::-1]
        return cls(np.ascontiguousarray(vertices), faces, normals)

    @cached_property
    def sphere(self) -> tuple[Array, float]:
        """Centre (3,) and radius of a small bounding sphere (Ritter 1990, started from the box centre) [m]."""
        centre = 0.5 * (self.vertices.min(axis=0) + self.vertices.max(axis=0))
        for step in 0.5 ** np.arange(1, 10):  # walk towards the farthest vertex, ever more timidly
            offset = self.vertices - centre
            distance = np.linalg.norm(offset, axis=1)
            trial = centre + 0.3 * step * offset[distance.argmax()]
            if np.linalg.norm(self.vertices - trial, axis=1).max() < distance.max():
                centre = trial
        return centre, float(np.linalg.norm(self.vertices - centre, axis=1).max())

    @cached_property
    def planes(self) -> Array:
        """(k, 4) distinct planes of the faces: outward normal, and minus its largest coordinate [m]."""
        offsets = np.sum(self.normals * self.vertices[self.faces[:, 0]], axis=1)
        first = np.unique(np.column_stack([self.normals, offsets]).round(9), axis=0, return_index=True)[1]
        return np.column_stack([self.normals, -offsets])[first]

    @cached_property
    def edges(self) -> Array:
        """(k, 3) distinct unit directions of the edges between faces that are not coplanar."""
        sides: dict[tuple[int, int], int] = {}
        directions = []
        for f, (a, b, c) in enumerate(self.faces):
            for u, v in ((a, b), (b, c), (c, a)):
                other = sides.setdefault((min(u, v), max(u, v)), f)
                if other != f and self.normals[f] @ self.normals[other] < 1.0 - 1e-9:
                    directions.append(self.vertices[v] - self.vertices[u])
        e = np.array(directions).reshape(-1, 3)
        return e / np.linalg.norm(e, axis=1, keepdims=True)

    @cached_property
    def fcl_convex(self) -> fcl.Convex:
        flat = np.concatenate([np.full((len(self.faces), 1), 3), self.faces], axis=1).ravel()
        return fcl.Convex(self.vertices, len(self.faces), flat)

    @cached_property
    def fcl_surface(self) -> fcl.BVHModel:
        """The boundary as triangles, for triangle-to-triangle queries."""
        model = fcl.BVHModel()
        model.beginModel(len(self.faces), len(self.vertices))
        model.addSubModel(self.vertices, self.faces)
        model.endModel()
        return model

    def contains(self, point: Array) -> bool:
        """Whether ``point`` (3,) is inside."""
        corners = self.vertices[self.faces[:, 0]]
        return bool((np.sum((point - corners) * self.normals, axis=1) <= 0.0).all())

    def support(self, n: Array) -> Array:
        """h(n) for directions ``n`` (..., 3)."""
        return (n @ self.vertices.T).max(axis=-1)


@lru_cache(maxsize=256)
def shrunk(polytope: Polytope, depth: float) -> Polytope | None:
    """What is left of a polytope when all its faces move inward by ``depth`` [m]; None if nothing is."""
    offsets = np.sum(polytope.normals * polytope.vertices[polytope.faces[:, 0]], axis=1) - depth
    planes = np.unique(np.column_stack([polytope.normals, -offsets]).round(12), axis=0)
    inside = polytope.vertices.mean(axis=0)
    if (planes[:, :3] @ inside + planes[:, 3] > -1e-6).any():
        return None
    return Polytope.of(HalfspaceIntersection(planes, inside).intersections)


@dataclass(frozen=True, eq=False)
class Convex:
    """A convex obstacle or robot piece in its own frame.

    Attributes:
        support: h(n) for unit directions (..., 3).
        centre, radius: bounding sphere [m].
        geometry: for FCL.
        normals, edges: (k, 3) directions of the faces and edges: candidates of separating axes.
        axis: half length of a round shape's axis, which lies along z; None for polytopes.
    """

    support: Callable[[Array], Array]
    centre: Array
    radius: float
    geometry: fcl.CollisionGeometry
    normals: Array
    edges: Array
    axis: float | None = None


def convex_polytope(polytope: Polytope) -> Convex:
    centre, radius = polytope.sphere
    return Convex(polytope.support, centre, radius, polytope.fcl_convex, polytope.normals, polytope.edges)


def cylinder_support(n: Array, radius: Array | float, half_length: Array | float) -> Array:
    """h(n) of a cylinder about z."""
    return radius * np.hypot(n[..., 0], n[..., 1]) + half_length * np.abs(n[..., 2])


def capsule_support(n: Array, radius: Array | float, half_length: Array | float) -> Array:
    """h(n) of a capsule about z; of a ball if its half length is 0."""
    return radius * np.linalg.norm(n, axis=-1) + half_length * np.abs(n[..., 2])


_BOX_NORMALS, _BOX_EDGES = np.concatenate([np.eye(3), -np.eye(3)]), np.eye(3)
_ROUND_NORMALS, _ROUND_EDGES = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), np.array([[0.0, 0.0, 1.0]])
_ORIGIN = np.zeros(3)


def _box(shape: Box) -> Convex:
    half = 0.5 * np.asarray(shape.size, dtype=np.float64)
    radius = float(np.linalg.norm(half))
    return Convex(lambda n: np.abs(n) @ half, _ORIGIN, radius, fcl.Box(*(2 * half)), _BOX_NORMALS, _BOX_EDGES)


def _round(
    support: Callable[[Array, float, float], Array],
    radius: float,
    half_length: float,
    reach: float,
    geometry: fcl.CollisionGeometry,
) -> Convex:
    """A body of revolution about z."""
    return Convex(
        lambda n: support(n, radius, half_length), _ORIGIN, reach, geometry, _ROUND_NORMALS, _ROUND_EDGES, half_length
    )


def _cylinder(s: Cylinder) -> Convex:
    half = 0.5 * s.length
    return _round(cylinder_support, s.radius, half, float(np.hypot(s.radius, half)), fcl.Cylinder(s.radius, s.length))


def _capsule(s: Capsule) -> Convex:
    half = 0.5 * s.length
    return _round(capsule_support, s.radius, half, s.radius + half, fcl.Capsule(s.radius, s.length))


_MAKERS: dict[type, Callable[..., Convex]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: lambda s: _round(capsule_support, s.radius, 0.0, s.radius, fcl.Sphere(s.radius)),
}

SIZES_AND_SUPPORT: dict[type, tuple[Callable[[Any], tuple[Any, ...]], Callable[..., Array]]] = {
    Box: (lambda s: (_half(s.size),), lambda n, half: (np.abs(n) @ half[:, :, None])[:, :, 0]),
    Cylinder: (lambda s: ((s.radius,), (0.5 * s.length,)), cylinder_support),
    Capsule: (lambda s: ((s.radius,), (0.5 * s.length,)), capsule_support),
    Sphere: (lambda s: ((s.radius,), (0.0,)), capsule_support),
}
"""How to ask many primitives of a kind at once: numbers of each, and h(n) for directions (many, k, 3) and columns of
those numbers."""


def _half(size: tuple[float, float, float]) -> tuple[float, float, float]:
    return 0.5 * size[0], 0.5 * size[1], 0.5 * size[2]


def judged_as(shape: Shape) -> Shape:
    """What the judge takes for a shape: itself, or, of a kind that it has no view of, the mesh that contains it."""
    return shape if isinstance(shape, Mesh) or type(shape) in _MAKERS else as_mesh(shape)


def convex_of_shape(shape: Shape) -> Convex:
    """The judge's view of a shape that is not a mesh."""
    return _MAKERS[type(shape)](shape)
