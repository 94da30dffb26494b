"""Outer convex polytopes with few vertices: they contain a convex hull and hardly stick out of it.

Progressive hulls (Sander et al., Silhouette Clipping, SIGGRAPH 2000): collapse an edge u, v into one new vertex w that
lies on the outer side of every face around the edge. Then w alone reaches around u and v, so that no part of the old
polytope is lost. The position of w is a linear program; the collapse that leaves the original hull least goes first.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, QhullError

from edmp.robots.errors import InvalidInputError

Array = NDArray[np.float64]

GRID = 1e-5
"""Vertices are stored on this grid [m]; the fit keeps a margin for the rounding."""

_Collapse = tuple[float, Array]
"""Distance of the new vertex from the original hull [m], and the vertex (3,)."""


def halfspaces(vertices: Array) -> Array:
    """(F, 4) rows ``[n, d]`` with ``n @ x + d <= 0`` inside the convex hull of ``vertices`` (V, 3); n is unit [m]."""
    try:
        equations = ConvexHull(vertices).equations
    except QhullError as error:
        raise InvalidInputError(f"{len(vertices)} points span no volume: no convex hull") from error
    # Triangles of one flat face repeat its plane.
    _, first = np.unique(np.round(equations, 6), axis=0, return_index=True)
    return equations[np.sort(first)]


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


def outer_polytope(points: Array, *, tolerance: float = 5e-4) -> Array:
    """Vertices of a convex polytope that contains ``points`` and sticks out of their hull by at most ``tolerance``.

    Args:
        points: (n, 3) [m].
        tolerance: how far the polytope may leave the hull [m].

    Returns:
        (V, 3) vertices, rounded to `GRID`.
    """
    try:
        original = points[ConvexHull(points).vertices]
    except QhullError as error:
        raise InvalidInputError(f"{len(points)} points span no volume: no convex hull") from error
    vertices, names, fresh = original, list(range(len(original))), len(original)
    known: dict[tuple, _Collapse] = {}
    while len(vertices) > 8:
        hull = ConvexHull(vertices)
        rings, faces = _neighbourhoods(hull)
        collapses = []
        for u, v in sorted((u, v) for u, ring in enumerate(rings) for v in ring if u < v):
            # What an edge collapses to depends on the faces around it: known as long as the vertices there stay.
            key = tuple((names[end], frozenset(names[k] for k in rings[end])) for end in (u, v))
            if key not in known:
                planes = hull.equations[sorted(faces[u] | faces[v])]
                known[key] = _solve_collapse(planes, vertices[[u, v]], original, tolerance)
            collapses.append((known[key], (u, v)))
        (distance, vertex), edge = min(collapses, key=lambda item: item[0][0])
        if distance > tolerance - 4 * GRID:
            break
        merged = np.vstack([np.delete(vertices, edge, axis=0), vertex])
        names = [name for k, name in enumerate(names) if k not in edge] + [fresh]
        fresh += 1
        kept = np.sort(ConvexHull(merged).vertices)
        vertices, names = merged[kept], [names[k] for k in kept]
    return _rounded_outward(vertices, original)


def _neighbourhoods(hull: ConvexHull) -> tuple[list[set[int]], list[set[int]]]:
    """For each vertex, the vertices that share an edge with it, and the triangles around it."""
    rings: list[set[int]] = [set() for _ in hull.points]
    faces: list[set[int]] = [set() for _ in hull.points]
    for face, triangle in enumerate(hull.simplices.tolist()):
        for vertex in triangle:
            rings[vertex].update(triangle)
            faces[vertex].add(face)
    return [ring - {vertex} for vertex, ring in enumerate(rings)], faces


def _solve_collapse(planes: Array, ends: Array, original: Array, tolerance: float) -> _Collapse:
    """A linear program in three unknowns: least sum of heights over the planes, every height zero or more.

    With a dozen planes, trying the corners of the feasible set (all triples of planes) is faster than a solver.
    """
    # Triangles of one flat face repeat its plane.
    planes = planes[np.sort(np.unique(np.round(planes, 7), axis=0, return_index=True)[1])]
    middle = ends.mean(axis=0)
    normals, heights = planes[:, :3], planes[:, :3] @ middle + planes[:, 3]
    triples = _triples(len(planes))
    matrices = normals[triples]
    regular = np.abs(np.linalg.det(matrices)) > 1e-6
    corners = np.linalg.solve(matrices[regular], -heights[triples[regular]][..., None])[..., 0]
    feasible = (corners @ normals.T + heights).min(axis=1) >= -1e-10
    if not feasible.any():
        return np.inf, middle
    corners = corners[feasible]
    vertex = middle + corners[np.argmin(corners @ normals.sum(axis=0))]
    if np.linalg.norm(vertex - middle) > np.linalg.norm(ends[0] - ends[1]) + 20 * tolerance:
        return np.inf, middle
    return float(np.linalg.norm(vertex - project_to_hull(vertex[None], original)[0])), vertex


@functools.cache
def _triples(n: int) -> NDArray[np.int64]:
    """(m, 3) all choices of three of ``n``; of the first 24, for a corner where very many faces meet."""
    return np.array(list(itertools.combinations(range(min(n, 24)), 3)), dtype=np.int64).reshape(-1, 3)


def _rounded_outward(vertices: Array, original: Array) -> Array:
    """Vertices on the grid, pushed out just far enough that the polytope still contains ``original``."""
    grown = vertices
    centre = original.mean(axis=0)
    for _ in range(20):
        rounded = np.round(grown / GRID) * GRID
        hull = ConvexHull(rounded)
        missing = float((original @ hull.equations[:, :3].T + hull.equations[:, 3]).max())
        if missing <= 0:
            return rounded[np.sort(hull.vertices)]
        outward = grown - centre
        grown = grown + outward / np.linalg.norm(outward, axis=1, keepdims=True) * (missing + 0.5 * GRID)
    raise AssertionError("pushing the vertices outwards did not make the polytope contain the points")
