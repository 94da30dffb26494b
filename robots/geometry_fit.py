"""Fitted collision geometry of a link: outer polytopes, covering spheres, bounding box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import HalfspaceIntersection

from edmp.arguments import checked
from edmp.geometry.poses import pose
from edmp.robots.hull_fit import halfspaces, outer_polytope
from edmp.robots.parts import Array
from edmp.robots.pieces import convex_pieces
from edmp.robots.sphere_fit import cover


@dataclass(frozen=True)
class SourceGeometry:
    """Geometry in the link frame.

    Attributes:
        points: (n, 3), whose convex hull contains it [m].
        triangles: (F, 3) rows of ``points`` for a mesh; None for a primitive, which is convex.
    """

    points: Array
    triangles: NDArray[np.int64] | None


@checked
@dataclass(frozen=True)
class FitSettings:
    """How closely to fit.

    Attributes:
        hull_stick_out: how far the outer polytope may leave the convex hull of the geometry [m].
        max_pieces: a concave mesh is cut into at most so many convex pieces.
        sphere_stick_out: how far spheres may leave the polytope [m].
        max_spheres: at most so many spheres a convex piece; the stick-out gives way.
        restarts: searches for sphere centres, of which the best counts.
        relocations: tries to move a sphere to a better place, for each number of spheres.
        num_samples: points of the surface that the search for centres looks at.
        seed: of every random choice.
    """

    hull_stick_out: float = 8e-4
    max_pieces: int = 3
    sphere_stick_out: float = 0.015
    max_spheres: int = 14
    restarts: int = 1
    relocations: int = 4
    num_samples: int = 600
    seed: int = 0


@dataclass(frozen=True)
class Interface:
    """A round joint between a link and a neighbour that turns about it.

    Attributes:
        p: (3,) a point of the axis, in the link's frame [m].
        axis: (3,) unit direction from the link towards the neighbour.
        profile: (F, 3) rows [a, b, d]: a point at height z along ``axis`` from ``p`` and at distance rho from the axis
            is inside the neighbour at every joint angle if ``a * z + b * rho + d <= 0`` for all rows.
    """

    p: Array
    axis: Array
    profile: Array

    def admits(self, corners: Array, end: float, slack: float) -> bool:
        """Whether all of the corners (n, 3), beyond the link's end face at ``end`` [m], are in the neighbour."""
        along, across, offset = self.profile.T
        # The gap between the links is nobody's: the neighbour may begin a little farther out.
        height = np.maximum((corners - self.p) @ self.axis, end + slack)
        radius = np.linalg.norm(np.cross(corners - self.p, self.axis), axis=1) - slack
        return bool((np.outer(height, along) + np.outer(np.maximum(radius, 0), across) + offset).max() <= 0)

    @classmethod
    def of(cls, neighbour: Array, p: Array, axis: Array) -> Interface:
        """From the neighbour's vertices (V, 3) in the link's frame at any joint angle."""
        planes = halfspaces(neighbour)
        along = planes[:, :3] @ axis
        across = np.linalg.norm(planes[:, :3] - along[:, None] * axis, axis=1)
        return cls(p, axis, np.column_stack([along, across, planes[:, 3] + planes[:, :3] @ p]))


@dataclass(frozen=True)
class Seam:
    """The plane in which two pieces of one link meet.

    Attributes:
        p: (3,) any point, in the link's frame [m].
        axis: (3,) unit normal of the plane, towards the other piece.
        planes: (F, 4) halfspaces of the other piece.
    """

    p: Array
    axis: Array
    planes: Array

    def admits(self, corners: Array, end: float, slack: float) -> bool:
        """Whether all of the corners (n, 3) are in the other piece."""
        return bool((corners @ self.planes[:, :3].T + self.planes[:, 3]).max() <= slack)


def seams(hulls: Sequence[Array], piece: int) -> list[Seam]:
    """Where a piece may touch the other pieces of its link: across the axes of the link's frame."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    others = [halfspaces(hull) for i, hull in enumerate(hulls) if i != piece]
    return [Seam(np.zeros(3), axis, planes) for planes in others for axis in axes]


def buried_allowance(vertices: Array, interfaces: Sequence[Interface | Seam], *, slack: float = 5e-3) -> Array:
    """How far a ball may leave each face of `halfspaces(vertices)` without leaving the neighbours, (F,) [m].

    Only faces square to a joint axis get one: the end of a link, extruded along the axis by that much, then lies in
    the neighbour at every joint angle but for ``slack`` [m] (the gap between the two, the difference of their radii).
    """
    planes = halfspaces(vertices)
    allowance = np.zeros(len(planes))
    for interface in interfaces:
        square = planes[:, :3] @ interface.axis > 0.98
        if not square.any():
            continue
        # Farther and farther out, as long as all that the moved faces add lies in the neighbour.
        end = float(((vertices - interface.p) @ interface.axis).max())
        for reach in np.arange(2e-3, 0.1, 2e-3):
            moved = planes - np.outer(square * reach, [0.0, 0.0, 0.0, 1.0])
            corners = HalfspaceIntersection(moved, vertices.mean(axis=0)).intersections
            added = corners[(corners - interface.p) @ interface.axis > end + 1e-6]
            # Where faces meet in a needle qhull may find no corners: then nothing is known to be buried.
            if not len(added) or not interface.admits(added, end, slack):
                break
            allowance[square] = np.maximum(allowance[square], reach)
    return allowance


def pieces_of(geometry: SourceGeometry, settings: FitSettings) -> list[Array]:
    """(n, 3) points of one convex piece, or of several for a concave mesh."""
    if geometry.triangles is None:
        return [geometry.points]
    return convex_pieces(geometry.points, geometry.triangles, max_pieces=settings.max_pieces)


def fit_hull(points: Array, settings: FitSettings) -> Array:
    """(V, 3) vertices of an outer polytope of the convex hull of ``points`` (n, 3)."""
    return outer_polytope(points, tolerance=settings.hull_stick_out)


def fit_spheres(hulls: Sequence[Array], interfaces: Sequence[Interface], settings: FitSettings) -> Array:
    """(S, 4) spheres that cover every convex piece."""
    pieces = [
        cover(
            hull,
            stick_out=settings.sphere_stick_out,
            max_spheres=settings.max_spheres,
            allowance=buried_allowance(hull, [*interfaces, *seams(hulls, i)]),
            restarts=settings.restarts,
            relocations=settings.relocations,
            num_samples=settings.num_samples,
            seed=settings.seed,
        )
        for i, hull in enumerate(hulls)
    ]
    return np.concatenate(pieces) if pieces else np.empty((0, 4))


def fit_box(hulls: Sequence[Array]) -> tuple[Array, Array]:
    """Pose (4, 4) and size (3,) of a small oriented box around all pieces.

    The box's axes are those of the link frame, or turned about one of them, or a face of the hull lies on the box:
    the smallest of these, the link's own axes winning ties.
    """
    vertices = np.concatenate(list(hulls))
    candidates = [np.eye(3)]
    angles = np.linspace(0, np.pi / 2, 90, endpoint=False)[1:]
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        for angle in angles:
            R = np.eye(3)
            R[i, i] = R[j, j] = np.cos(angle)
            R[j, i], R[i, j] = np.sin(angle), -np.sin(angle)
            candidates.append(R)
    sizes = np.array([np.ptp(vertices @ R, axis=0) for R in candidates])
    volume = sizes.prod(axis=1)
    volume[0] *= 0.97
    R = candidates[int(volume.argmin())]
    low, high = (vertices @ R).min(axis=0), (vertices @ R).max(axis=0)
    return pose(R @ (low + high) / 2, R), np.ceil((high - low) / 1e-6) * 1e-6
