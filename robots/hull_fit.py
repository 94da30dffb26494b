"""Outer convex polytopes with few faces: they contain a point cloud's convex hull and hardly stick out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from edmp.robots.errors import InvalidInputError

Array = NDArray[np.float64]

GRID = 1e-5
"""Vertices are stored on this grid [m]; the fit keeps a margin for the rounding."""


def project_to_hull(points: Array, vertices: Array) -> Array:
    """The closest points of a convex hull.

    Args:
        points: (n, 3) queries [m].
        vertices: (V, 3) points whose convex hull is meant [m].

    Returns:
        (n, 3) closest points of the hull; a query inside is its own closest point.
    """
    scale = max(float(np.ptp(vertices, axis=0).max()), 1e-9)
    centre = vertices.mean(axis=0)
    # A convex combination is a non-negative one with weights that sum to 1: a heavy extra row asks for the sum.
    heavy = 1e3
    system = np.vstack([(vertices - centre).T / scale, np.full(len(vertices), heavy)])
    closest = np.empty_like(points)
    for i, point in enumerate((points - centre) / scale):
        weights, _ = nnls(system, np.append(point, heavy))
        closest[i] = weights @ vertices / weights.sum()
    return closest


def halfspaces(vertices: Array) -> Array:
    """(F, 4) rows ``[n, d]`` with ``n @ x + d <= 0`` inside the convex hull of ``vertices`` (V, 3); n is unit [m]."""
    try:
        equations = ConvexHull(vertices).equations
    except QhullError as error:
        raise InvalidInputError(f"{len(vertices)} points span no volume: no convex hull") from error
    # Triangles of one flat face repeat its plane.
    _, first = np.unique(np.round(equations, 6), axis=0, return_index=True)
    return equations[np.sort(first)]


def outer_polytope(points: Array, *, tolerance: float = 5e-4, max_faces: int = 120) -> Array:
    """Vertices of a convex polytope that contains ``points`` and sticks out of their hull by at most ``tolerance``.

    Cutting planes: begin with the bounding box; while a vertex lies farther than the tolerance from the hull, cut it
    off with the plane that touches the hull at the vertex's closest point. That plane is the deepest cut there is for
    this vertex.

    Args:
        points: (n, 3) [m].
        tolerance: wanted stick-out [m].
        max_faces: cutting stops here; the stick-out is then larger than the tolerance.

    Returns:
        (V, 3) vertices, rounded to `GRID`.
    """
    hull = ConvexHull(points)
    corners = points[hull.vertices]
    # A hull that is simple already is kept as it is.
    planes = halfspaces(corners)
    if len(planes) <= 12:
        return _rounded_outward(corners, planes)
    inside = corners.mean(axis=0)
    normals = np.concatenate([np.eye(3), -np.eye(3)])
    cuts = np.column_stack([normals, -(normals @ corners.T).max(axis=1)])
    known: dict[tuple[float, ...], tuple[float, Array]] = {}
    while True:
        vertices = _intersection_vertices(cuts, inside)
        distance, normal = _distances(vertices, corners, known)
        order = np.argsort(-distance)
        if distance[order[0]] <= tolerance - 2 * GRID or len(cuts) >= max_faces:
            return _rounded_outward(vertices, cuts)
        worst = order[0]
        direction = _snap(normal[worst], planes)
        cuts = np.vstack([cuts, [*direction, -(corners @ direction).max()]])


def _snap(direction: Array, planes: Array) -> Array:
    """The normal of a face of the hull if it is nearly this direction: flat faces are then met exactly."""
    cosine = planes[:, :3] @ direction
    return planes[np.argmax(cosine), :3] if cosine.max() > 1 - 1e-4 else direction


def _distances(vertices: Array, corners: Array, known: dict) -> tuple[Array, Array]:
    """Distance of each vertex from the hull (V,) and the unit direction from its closest point (V, 3)."""
    keys = [tuple(row) for row in np.round(vertices, 9)]
    fresh = [i for i, key in enumerate(keys) if key not in known]
    if fresh:
        offset = vertices[fresh] - project_to_hull(vertices[fresh], corners)
        for i, row in zip(fresh, offset, strict=True):
            length = float(np.linalg.norm(row))
            known[keys[i]] = (length, row / max(length, 1e-12))
    return np.array([known[key][0] for key in keys]), np.array([known[key][1] for key in keys])


def _intersection_vertices(cuts: Array, inside: Array) -> Array:
    vertices = HalfspaceIntersection(cuts, inside).intersections
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    _, first = np.unique(np.round(vertices, 7), axis=0, return_index=True)
    return vertices[np.sort(first)]


def _rounded_outward(vertices: Array, planes: Array) -> Array:
    """The polytope grown so that rounding its vertices to the grid takes nothing away from it."""
    grown = planes.copy()
    grown[:, 3] -= GRID
    corners = np.round(_intersection_vertices(grown, vertices.mean(axis=0)) / GRID) * GRID
    corners = corners[np.sort(np.unique(corners, axis=0, return_index=True)[1])]
    return corners[np.sort(ConvexHull(corners).vertices)]
