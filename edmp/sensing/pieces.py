"""Convex pieces as half spaces: the arm at a configuration, an object where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from edmp.geometry.kinds import hull_points
from edmp.geometry.shapes import Shape
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Piece:
    """A convex solid: where ``planes`` (P, 4), rows (n, d) with unit normals, say n x <= d; ``vertices`` (V, 3) [m]."""

    planes: Array
    vertices: Array

    @classmethod
    def of(cls, points: Array) -> Piece:
        """The convex hull of points (n, 3)."""
        hull = ConvexHull(points)
        equations = np.unique(np.round(hull.equations, 9), axis=0)  # triangles of one facet have one plane
        return cls(np.column_stack([equations[:, :3], -equations[:, 3]]), points[hull.vertices])

    def at(self, X: Array) -> Piece:
        """The piece whose frame has the pose ``X`` (4, 4)."""
        normals = self.planes[:, :3] @ X[:3, :3].T
        return Piece(
            np.column_stack([normals, self.planes[:, 3] + normals @ X[:3, 3]]),
            self.vertices @ X[:3, :3].T + X[:3, 3],
        )

    def grown(self, distance: float) -> Piece:
        """What is within a distance [m] of it, and a little more at its corners."""
        planes = self.planes + np.array([0.0, 0.0, 0.0, distance])
        return Piece(planes, np.concatenate([self.vertices + side * distance for side in _CORNERS]))


_CORNERS = np.stack(np.meshgrid(*([[-1.0, 1.0]] * 3), indexing="ij"), axis=-1).reshape(-1, 3)


def arm_pieces(robot: Robot, q: Array) -> list[Piece]:
    """The convex pieces of every link, and of what the arm holds, at ``q`` (dof,), in the world."""
    X_WB = body_poses(robot, torch.as_tensor(q, dtype=torch.float64)).numpy()
    return [piece.at(X_WB[body]) for body, piece in _pieces_of(robot)]


def near_robot(robot: Robot, q: Array, points: Array, distance: float) -> NDArray[np.bool_]:
    """(n,) whether points (n, 3) in the world are within a distance [m] of the robot at ``q`` (dof,), or of what it
    holds; at the corners of its pieces from a little farther away, too."""
    near = np.zeros(len(points), dtype=np.bool_)
    for piece in (one.grown(distance) for one in arm_pieces(robot, q)):
        lower, upper = piece.vertices.min(axis=0), piece.vertices.max(axis=0)
        some = np.flatnonzero(((points >= lower) & (points <= upper)).all(axis=1) & ~near)
        near[some] = (points[some] @ piece.planes[:, :3].T <= piece.planes[:, 3]).all(axis=1)
    return near


@lru_cache(maxsize=16)
def _pieces_of(robot: Robot) -> tuple[tuple[int, Piece], ...]:
    return tuple((link.body, Piece.of(hull)) for link in robot.links for hull in link.hulls_B)


def shape_piece(shape: Shape, X_WO: Array) -> Piece:
    """The convex hull of a shape whose frame has the pose ``X_WO`` (4, 4)."""
    return Piece.of(hull_points(shape)).at(X_WO)


def packed(pieces: Sequence[Piece], corner: Array, edge: float, shape: tuple[int, int, int]) -> tuple[Array, ...]:
    """What `kernels.mark_inside` takes: planes (P, 4) in the grid's frame, where each piece's begin, columns (C, 3).

    Args:
        pieces: in the world.
        corner: (3,) the grid's, in the world [m].
        edge: of a cell [m].
        shape: cells of the grid along each axis.
    """
    planes, begins, columns = [], [0], [np.zeros((0, 3), np.int32)]
    for number, piece in enumerate(pieces):
        shifted = piece.planes.copy()
        shifted[:, 3] -= piece.planes[:, :3] @ corner
        planes.append(shifted)
        begins.append(begins[-1] + len(shifted))
        low = np.floor((piece.vertices.min(axis=0) - corner) / edge).astype(int)[:2].clip(0)
        high = np.minimum(np.floor((piece.vertices.max(axis=0) - corner) / edge).astype(int)[:2] + 1, shape[:2])
        i, j = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij")
        columns.append(np.column_stack([np.full(i.size, number), i.ravel(), j.ravel()]).astype(np.int32))
    return np.concatenate(planes), np.array(begins, np.int32), np.concatenate(columns)
