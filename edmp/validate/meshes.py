"""Meshes that are not convex: a surface for FCL, and the question whether a point is inside."""

from __future__ import annotations

import fcl
import numpy as np
from numpy.typing import NDArray

from edmp.scenes.shapes import Mesh

Array = NDArray[np.float64]


class MeshSolid:
    """A closed mesh placed in the base frame. FCL sees its surface only; `contains` sees its inside."""

    def __init__(self, name: str, shape: Mesh, R: Array, p: Array) -> None:
        self.name, self.R, self.p = name, R, p
        self.vertices = np.asarray(shape.vertices, dtype=np.float64) @ R.T + p
        self.faces = np.asarray(shape.faces, dtype=np.int64)
        self.geometry = fcl.BVHModel()
        self.geometry.beginModel(len(self.faces), len(self.vertices))
        self.geometry.addSubModel(np.asarray(shape.vertices, dtype=np.float64), self.faces)
        self.geometry.endModel()

    def support(self, n: Array) -> Array:
        """h(n) of the convex hull in the base frame, for directions ``n`` (..., 3)."""
        return (n @ self.vertices.T).max(axis=-1)

    def contains(self, point: Array) -> bool:
        """Whether ``point`` (3,) in the base frame is inside: its winding number (van Oosterom and Strackee 1983)."""
        a, b, c = (self.vertices[self.faces[:, i]] - point for i in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        volume = np.sum(a * np.cross(b, c), axis=1)
        cosines = la * lb * lc + np.sum(a * b, axis=1) * lc + np.sum(b * c, axis=1) * la + np.sum(c * a, axis=1) * lb
        return bool(abs(np.arctan2(volume, cosines).sum()) > np.pi)  # solid angle is twice the sum; 4 pi inside

    def depth(self, points: Array) -> float:
        """Largest distance from the surface among those of ``points`` (n, 3) that are inside; 0 if none is [m]."""
        inside = [point for point in points if self.contains(point)]
        return max((self._surface_distance(point) for point in inside), default=0.0)

    def _surface_distance(self, point: Array) -> float:
        """Distance of a point (3,) from the nearest triangle: its plane if it projects inside, else its edges [m]."""
        corners = self.vertices[self.faces]  # (F, 3, 3)
        edges = np.roll(corners, -1, axis=1) - corners
        normal = np.cross(edges[:, 0], edges[:, 1])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
        offset = point - corners
        t = np.clip(np.sum(offset * edges, axis=2) / np.maximum(np.sum(edges * edges, axis=2), 1e-300), 0.0, 1.0)
        to_edges = np.linalg.norm(offset - t[:, :, None] * edges, axis=2).min(axis=1)
        side = np.sum(np.cross(edges, offset) * normal[:, None], axis=2)
        to_plane = np.abs(np.sum(offset[:, 0] * normal, axis=1))
        return float(np.where((side >= 0.0).all(axis=1), to_plane, to_edges).min())
