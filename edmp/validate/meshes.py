"""Meshes as the judge sees them: convex ones as polytopes, others as a surface for FCL and the question what is inside.

What takes a while to make (hull, bounding volumes, search structures) is made once for each content, in the frame of
the mesh, when it is first needed; `MeshSolid` places it.
"""

from __future__ import annotations

import fcl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from edmp.cached import cached_property
from edmp.geometry.mesh_cache import MeshCache
from edmp.geometry.shapes import Mesh
from edmp.validate.pieces import Convex, Polytope, convex_polytope

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MAX_CONVEX_FACES = 4000
"""A convex mesh with more faces is treated like one that is not: directions are tried face by face."""
_RAY = np.linalg.qr(np.array([[0.31, 0.74, 0.59], [-0.83, 0.52, -0.21], [0.46, 0.43, -0.78]]))[0]
"""Axes (columns) of which none is along an edge of anything that people build; rays go along the last."""


class PreparedMesh:
    """A closed mesh in its own frame: ``vertices`` (V, 3), ``faces`` (F, 3), ``corners`` (k, 3) of its convex hull."""

    def __init__(self, mesh: Mesh) -> None:
        self.vertices, self.faces = mesh.vertices, np.asarray(mesh.faces, dtype=np.int64)
        hull = ConvexHull(self.vertices)
        self.corners = self.vertices[hull.vertices]
        self.lower, self.upper = self.corners.min(axis=0), self.corners.max(axis=0)
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        volume = abs(float(np.sum(np.cross(a, b) * c))) / 6.0
        self.is_convex = volume >= hull.volume * (1.0 - 1e-6)
        self.as_convex = self.is_convex and len(hull.simplices) <= _MAX_CONVEX_FACES

    @cached_property
    def convex(self) -> Convex:
        """Its hull as a convex body; the judge uses it if ``as_convex``."""
        return convex_polytope(Polytope.of(self.corners))

    @cached_property
    def geometry(self) -> fcl.BVHModel:
        """The surface."""
        model = fcl.BVHModel()
        model.beginModel(len(self.faces), len(self.vertices))
        model.addSubModel(np.array(self.vertices), self.faces)
        model.endModel()
        return model

    def contains(self, point: Array) -> bool:
        """Whether ``point`` (3,) is inside: its winding number is not zero."""
        if (point < self.lower).any() or (point > self.upper).any():
            return False
        winding = self._rays.winding(point)
        return self._winds(point) if winding is None else winding != 0

    def surface_distance(self, point: Array) -> float:
        """Distance of a point (3,) from the nearest triangle [m]."""
        tree, radius = self._centroids
        near = tree.query(point, k=min(8, len(self.faces)))[1]
        bound = self._distances(point, np.atleast_1d(near)).min()
        return float(self._distances(point, np.array(tree.query_ball_point(point, bound + radius))).min())

    def _distances(self, point: Array, faces: Index) -> Array:
        """Distances from some triangles: the plane of each if the point projects inside, else its edges [m]."""
        corners = self.vertices[self.faces[faces]]  # (F, 3, 3)
        edges = np.roll(corners, -1, axis=1) - corners
        normal = np.cross(edges[:, 0], edges[:, 1])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
        offset = point - corners
        t = np.clip(np.sum(offset * edges, axis=2) / np.maximum(np.sum(edges * edges, axis=2), 1e-300), 0.0, 1.0)
        to_edges = np.linalg.norm(offset - t[:, :, None] * edges, axis=2).min(axis=1)
        side = np.sum(np.cross(edges, offset) * normal[:, None], axis=2)
        to_plane = np.abs(np.sum(offset[:, 0] * normal, axis=1))
        return np.where((side >= 0.0).all(axis=1), to_plane, to_edges)

    @cached_property
    def _centroids(self) -> tuple[cKDTree, float]:
        """The centroids of the faces, and how far a point of a face is from its centroid at most [m]."""
        corners = self.vertices[self.faces]
        centroids = corners.mean(axis=1)
        reach = np.linalg.norm(corners - centroids[:, None], axis=2).max()
        return cKDTree(centroids), float(reach) * (1 + 1e-9) + 1e-12

    @cached_property
    def _rays(self) -> _RayGrid:
        return _RayGrid(self.vertices @ _RAY, self.faces)

    def _winds(self, point: Array) -> bool:
        """The winding number from the solid angles of all faces (van Oosterom and Strackee 1983): exact, but slow."""
        a, b, c = (self.vertices[self.faces[:, i]] - point for i in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        volume = np.sum(a * np.cross(b, c), axis=1)
        cosines = la * lb * lc + np.sum(a * b, axis=1) * lc + np.sum(b * c, axis=1) * la + np.sum(c * a, axis=1) * lb
        return bool(abs(np.arctan2(volume, cosines).sum()) > np.pi)  # solid angle is twice the sum; 4 pi inside


class _RayGrid:
    """Winding numbers by a ray along z through a grid over x and y that lists the faces above each cell."""

    def __init__(self, vertices: Array, faces: Index) -> None:
        self._triangles = vertices[faces]  # (F, 3, 3)
        flat = self._triangles[:, :, :2]
        low, high = flat.min(axis=1), flat.max(axis=1)
        self._origin, top = low.min(axis=0), high.max(axis=0)
        self._cells = max(1, int(np.sqrt(len(faces))))
        while True:  # long thin faces lie in many cells: a coarser grid keeps the lists short
            self._scale = self._cells / np.maximum(top - self._origin, 1e-300)
            first, last = self._cell(low), self._cell(high)
            span = last - first + 1
            count = span.prod(axis=1)
            if count.sum() <= 8 * len(faces) or self._cells == 1:
                break
            self._cells //= 2
        face = np.repeat(np.arange(len(faces)), count)
        k = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
        x, y = first[face, 0] + k % span[face, 0], first[face, 1] + k // span[face, 0]
        cell = x * self._cells + y
        order = np.argsort(cell, kind="stable")
        self._faces = face[order]
        self._starts = np.searchsorted(cell[order], np.arange(self._cells**2 + 1))
        self._small = 1e-12 * float(np.square(top - self._origin).sum())
        self._thin = 1e-9 * float(np.ptp(vertices[:, 2]))

    def _cell(self, xy: Array) -> Index:
        return np.clip(((xy - self._origin) * self._scale).astype(np.int64), 0, self._cells - 1)

    def winding(self, point: Array) -> int | None:
        """How often the surface winds round ``point`` (3,); None where the ray meets an edge, or the point a face."""
        p = point @ _RAY
        x, y = self._cell(p[:2])
        cell = x * self._cells + y
        t = self._triangles[self._faces[self._starts[cell] : self._starts[cell + 1]]]
        d = t[:, :, :2] - p[:2]
        after = np.roll(d, -1, axis=1)
        area = d[:, :, 0] * after[:, :, 1] - d[:, :, 1] * after[:, :, 0]  # of the point with each edge, doubled
        low, high = area.min(axis=1), area.max(axis=1)
        if ((np.abs(low) < self._small) | (np.abs(high) < self._small)).any():
            return None
        crossed = (low > 0.0) | (high < 0.0)
        area, t = area[crossed], t[crossed]
        weight = np.roll(area, -1, axis=1) / area.sum(axis=1, keepdims=True)  # an edge's area belongs to the far corner
        above = np.sum(weight * t[:, :, 2], axis=1) - p[2]
        if (np.abs(above) < self._thin).any():
            return None
        return int(np.sign(area[above > 0.0, 0]).sum())


prepared = MeshCache(PreparedMesh)
"""The mesh, prepared for the judge."""


class MeshSolid:
    """A closed mesh that is not convex, placed in the base frame: ``R`` (3, 3), ``p`` (3,)."""

    def __init__(self, name: str, mesh: PreparedMesh, R: Array, p: Array) -> None:
        self.name, self.mesh, self.R, self.p = name, mesh, R, p

    @property
    def point(self) -> Array:
        """(3,) a point of its surface, in the base frame."""
        return self.mesh.vertices[0] @ self.R.T + self.p

    def support(self, n: Array) -> Array:
        """h(n) of the convex hull in the base frame, for directions ``n`` (..., 3)."""
        return ((n @ self.R) @ self.mesh.corners.T).max(axis=-1) + n @ self.p

    def contains(self, point: Array) -> bool:
        """Whether ``point`` (3,) in the base frame is inside."""
        return self.mesh.contains((point - self.p) @ self.R)

    def depth(self, points: Array) -> float:
        """Largest distance from the surface among those of ``points`` (n, 3) that are inside; 0 if none is [m]."""
        inside = [point for point in (points - self.p) @ self.R if self.mesh.contains(point)]
        return max((self.mesh.surface_distance(point) for point in inside), default=0.0)
