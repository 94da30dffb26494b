"""Outer convex polytopes with few vertices: they contain a convex hull and hardly stick out of it.

Progressive hulls (Sander et al., Silhouette Clipping, SIGGRAPH 2000): collapse an edge u, v into one new vertex w that
lies on the outer side of every face around the edge. Then w alone reaches around u and v, so that no part of the old
polytope is lost. The position of w is a linear program; the collapse that leaves the original hull least goes first.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial import ConvexHull, QhullError

from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

GRID = 1e-5
"""Vertices are stored on this grid [m]; the fit keeps a margin for the rounding."""

_MANY = 256
"""A hull of more vertices is thinned first, and its edges collapse many at a time."""

_FEW = 40
"""The closest point of a hull is first looked for among so many vertices."""

_DIAGONALS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))

_Collapse = tuple[float, Array]
"""Distance of the new vertex from the original hull [m], and the vertex (3,)."""

_Edge = tuple[int, int]


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
        target = np.append(point, heavy)
        # The nearest vertices are usually the ones that count; whether they are is easy to tell.
        near = system
        if len(vertices) > _FEW:
            near = system[:, np.argpartition(((system[:3].T - point) ** 2).sum(axis=1), _FEW)[:_FEW]]
        found = _nearest_combination(near, target)
        away = target[:3] - found
        if near is not system and (away @ system[:3]).max() > away @ found + 1e-12:
            found = _nearest_combination(system, target)
        closest[i] = found * scale + centre
    return closest


def _nearest_combination(system: Array, target: Array) -> Array:
    weights, _ = nnls(system, target)
    return system[:3] @ weights / weights.sum()


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
    if len(original) <= _MANY:
        return rounded_outward(_collapsed(original, original, tolerance, share=0.0), original)
    thin, outside = _thinned(original, tolerance)
    return rounded_outward(_collapsed(outside, thin, tolerance, share=0.1), original)


def _thinned(original: Array, tolerance: float) -> tuple[Array, Array]:
    """Fewer points: some vertices (n, 3) of a hull, and the same number moved out until the hull is inside again.

    Quickhull, stopped early: what lies farthest outside comes in next, until what is out is a small part of the
    tolerance; of a body that is round all over, a larger part.
    """
    extremes = [pick(original[:, k]) for k in range(3) for pick in (np.argmin, np.argmax)]
    chosen = np.unique([*extremes, *(int(np.argmax(original @ d)) for d in _DIAGONALS)])
    while True:
        hull = ConvexHull(original[chosen])
        height = original @ hull.equations[:, :3].T + hull.equations[:, 3]
        share = 0.08 if len(chosen) <= 2 * _MANY else 0.25
        outermost = height.argmax(axis=0)[height.max(axis=0) > share * tolerance]
        if not len(outermost):
            break
        chosen = np.union1d(chosen, outermost)
    thin = original[np.sort(chosen)]
    outside = thin
    for _ in range(20):
        hull = ConvexHull(outside)
        missing = float((original @ hull.equations[:, :3].T + hull.equations[:, 3]).max())
        if missing <= 0:
            break
        faces = _neighbourhoods(hull)[1]
        moved = [_above(hull.equations[sorted(faces[i])], outside[i], missing + GRID / 10) for i in range(len(outside))]
        outside = np.array(moved)
    return thin, outside


def _above(planes: Array, vertex: Array, height: float) -> Array:
    """The vertex, moved as little as it takes to lie ``height`` above all of its faces."""
    raised = planes - np.array([0.0, 0.0, 0.0, height])
    corner = _lowest_corner(_distinct(raised), vertex)
    return vertex + height * planes[:, :3].mean(axis=0) if corner is None else corner


def _collapsed(vertices: Array, original: Array, tolerance: float, *, share: float) -> Array:
    """The vertices after collapses, the best first: one a step, or so large a share of the edges at once."""
    names, fresh = list(range(len(vertices))), len(vertices)
    original_faces = halfspaces(original)
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
                known[key] = _solve_collapse(planes, vertices[[u, v]], original, original_faces, tolerance)
            collapses.append((known[key], (u, v)))
        collapses.sort(key=lambda item: item[0][0])
        useful = [item for item in collapses if item[0][0] <= tolerance - 4 * GRID]
        chosen = _apart(useful[: max(1, int(share * len(collapses)))], rings)
        if not chosen:
            break
        merged, gone = _merged(vertices, chosen)
        names = [name for k, name in enumerate(names) if k not in gone] + list(range(fresh, fresh + len(gone) // 2))
        fresh += len(gone) // 2
        kept = np.sort(ConvexHull(merged).vertices)
        vertices, names = merged[kept], [names[k] for k in kept]
    return vertices


def _apart(collapses: Sequence[tuple[_Collapse, _Edge]], rings: Sequence[set[int]]) -> list[tuple[_Collapse, _Edge]]:
    """Those that do not touch what an earlier one removes."""
    chosen, touched = [], set()
    for collapse, (u, v) in collapses:
        if u not in touched and v not in touched:
            chosen.append((collapse, (u, v)))
            touched |= {u, v} | rings[u] | rings[v]
    return chosen


def _merged(vertices: Array, collapses: Sequence[tuple[_Collapse, _Edge]]) -> tuple[Array, set[int]]:
    """The points with the collapses made, and which vertices are gone; fewer collapses if together they lose a part."""
    gone = sorted(end for _, edge in collapses for end in edge)
    merged = np.vstack([np.delete(vertices, gone, axis=0), [vertex for (_, vertex), _ in collapses]])
    if len(collapses) > 1:
        planes = ConvexHull(merged).equations
        if (vertices[gone] @ planes[:, :3].T + planes[:, 3]).max() > 1e-9:
            return _merged(vertices, collapses[: len(collapses) // 2])
    return merged, set(gone)


def _neighbourhoods(hull: ConvexHull) -> tuple[list[set[int]], list[set[int]]]:
    """For each vertex, the vertices that share an edge with it, and the triangles around it."""
    rings: list[set[int]] = [set() for _ in hull.points]
    faces: list[set[int]] = [set() for _ in hull.points]
    for face, triangle in enumerate(hull.simplices.tolist()):
        for vertex in triangle:
            rings[vertex].update(triangle)
            faces[vertex].add(face)
    return [ring - {vertex} for vertex, ring in enumerate(rings)], faces


def _solve_collapse(planes: Array, ends: Array, original: Array, faces: Array, tolerance: float) -> _Collapse:
    """A linear program in three unknowns: least sum of heights over the planes, every height zero or more.

    With a dozen planes, trying the corners of the feasible set (all triples of planes) is faster than a solver.
    """
    middle = ends.mean(axis=0)
    vertex = _lowest_corner(_distinct(planes), middle)
    if vertex is None:
        return np.inf, middle
    if np.linalg.norm(vertex - middle) > np.linalg.norm(ends[0] - ends[1]) + 20 * tolerance:
        return np.inf, middle
    if (faces @ np.append(vertex, 1.0)).max() > tolerance:
        return np.inf, middle
    return float(np.linalg.norm(vertex - project_to_hull(vertex[None], original)[0])), vertex


def _distinct(planes: Array) -> Array:
    """Without the repetitions that the triangles of one flat face make."""
    first = {row.tobytes(): i for i, row in reversed(list(enumerate(np.round(planes, 7) + 0.0)))}
    return planes[sorted(first.values())]


def _lowest_corner(planes: Array, origin: Array) -> Array | None:
    """The point above all planes with the least sum of heights; None if no three planes meet in one."""
    normals, heights = planes[:, :3], planes[:, :3] @ origin + planes[:, 3]
    triples = _triples(len(planes))
    matrices = normals[triples]
    regular = np.abs(np.linalg.det(matrices)) > 1e-6
    corners = np.linalg.solve(matrices[regular], -heights[triples[regular]][..., None])[..., 0]
    feasible = (corners @ normals.T + heights).min(axis=1) >= -1e-10
    if not feasible.any():
        return None
    corners = corners[feasible]
    return origin + corners[np.argmin(corners @ normals.sum(axis=0))]


@functools.cache
def _triples(n: int) -> NDArray[np.int64]:
    """(m, 3) all choices of three of ``n``; of the first 24, for a corner where very many faces meet."""
    return np.array(list(itertools.combinations(range(min(n, 24)), 3)), dtype=np.int64).reshape(-1, 3)


def rounded_outward(vertices: Array, original: Array | None = None) -> Array:
    """Vertices on the grid, pushed out just far enough that the polytope still contains ``original``, or itself."""
    original = vertices if original is None else original
    grown = vertices
    centre, extent = original.mean(axis=0), np.ptp(original, axis=0)
    for attempt in range(20):
        rounded = np.round(grown / GRID) * GRID
        hull = ConvexHull(rounded)
        missing = float((original @ hull.equations[:, :3].T + hull.equations[:, 3]).max())
        if missing <= 0:
            return rounded[np.sort(hull.vertices)]
        # Away from the centre; that is hardly outwards on a thin plate, where it is away from each middle plane.
        outward = (grown - centre) / (1.0 if attempt < 5 else extent)
        grown = grown + outward / np.linalg.norm(outward, axis=1, keepdims=True) * (missing + 0.5 * GRID)
    raise AssertionError("pushing the vertices outwards did not make the polytope contain the points")
