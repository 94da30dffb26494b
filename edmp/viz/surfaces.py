"""Triangles of everything that can be drawn: obstacles and the links of the robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere

Array = NDArray[np.float64]

SIDES = 40
"""Facets round a cylinder."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Closed triangle surface in the world.

    Attributes:
        vertices: (V, 3) [m].
        faces: (F, 3) vertex indices, counter-clockwise from outside.
        color: (3,) red, green, blue in 0..1.
        smooth: whether neighbouring facets share their shading (round things), or keep their edges (boxes).
    """

    vertices: Array
    faces: NDArray[np.int64]
    color: tuple[float, float, float]
    smooth: bool = False


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


def _box(shape: Box) -> Array:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    return corners * np.array(shape.size)


def _cylinder(shape: Cylinder) -> Array:
    ring, h = _ring(shape.radius), shape.length / 2
    return np.concatenate([np.column_stack([ring, np.full(SIDES, z)]) for z in (-h, h)])


def _ball(radius: float) -> Array:
    rows = []
    for latitude in np.linspace(-np.pi / 2, np.pi / 2, 15):
        ring = _ring(radius * np.cos(latitude)) if abs(latitude) < 1.57 else np.zeros((1, 2))
        rows.append(np.column_stack([ring, np.full(len(ring), radius * np.sin(latitude))]))
    return np.concatenate(rows)


def _capsule(shape: Capsule) -> Array:
    ball = _ball(shape.radius)
    up = np.array([0.0, 0.0, shape.length / 2])
    return np.concatenate([ball[ball[:, 2] >= 0] + up, ball[ball[:, 2] <= 0] - up])


_CONVEX: Mapping[type, Callable[[Any], Array]] = {
    Box: _box,
    Cylinder: _cylinder,
    Capsule: _capsule,
    Sphere: lambda shape: _ball(shape.radius),
}
"""Vertices of each convex shape, in its own frame."""


def triangles_of(shape: Shape) -> tuple[Array, NDArray[np.int64]]:
    """Vertices (V, 3) and outward faces (F, 3) of a shape in its own frame."""
    if isinstance(shape, Mesh):
        return shape.vertices, shape.faces.astype(np.int64)
    points = _CONVEX[type(shape)](shape)
    return points, hull_faces(points)


def obstacle_surface(obstacle: Obstacle, color: tuple[float, float, float]) -> Surface:
    """An obstacle where it stands."""
    vertices, faces = triangles_of(obstacle.shape)
    return Surface(_moved(vertices, obstacle.X_WO), faces, color, smooth=not isinstance(obstacle.shape, Box))


def scene_surfaces(scene: Scene, colors: Sequence[tuple[float, float, float]]) -> list[Surface]:
    """Every obstacle, each with its colour."""
    return [obstacle_surface(obstacle, color) for obstacle, color in zip(scene, colors, strict=True)]


def robot_surfaces(
    robot: Robot, q: Array, colors: Mapping[str, tuple[float, float, float]], *, fixed: bool = True
) -> list[Surface]:
    """The convex pieces of the links at configuration ``q`` (dof,).

    Args:
        robot, q: what and where.
        colors: by link name.
        fixed: whether to include the pieces that no joint moves.
    """
    X_WB = body_poses(robot, np.atleast_2d(q))[0]
    return [
        Surface(_moved(points, X_WB[link.body]), faces, colors[link.name], smooth=True)
        for link, pieces in zip(robot.links, _robot_pieces(robot), strict=True)
        if fixed or link.body > 0
        for points, faces in pieces
    ]


@lru_cache(maxsize=8)
def _robot_pieces(robot: Robot) -> tuple[tuple[tuple[Array, NDArray[np.int64]], ...], ...]:
    """Vertices and faces of the pieces of each link, in its body frame."""
    return tuple(tuple((hull, hull_faces(hull)) for hull in link.hulls_B) for link in robot.links)


def body_poses(robot: Robot, q: Array) -> Array:
    """(n, dof + 1, 4, 4) poses ``X_WB`` of the bodies at ``q`` (n, dof), in numpy: drawing must not need torch."""
    X_WB = np.broadcast_to(robot.X_W0, (len(q), 4, 4))
    poses = [X_WB]
    for i, joint in enumerate(robot.joints):
        motion = np.broadcast_to(np.eye(4), (len(q), 4, 4)).copy()
        if joint.kind == "prismatic":
            motion[:, 2, 3] = q[:, i]
        else:
            c, s = np.cos(q[:, i]), np.sin(q[:, i])
            motion[:, 0, 0], motion[:, 0, 1], motion[:, 1, 0], motion[:, 1, 1] = c, -s, s, c
        X_WB = X_WB @ joint.X_PJ @ motion
        poses.append(X_WB)
    return np.stack(poses, axis=1)


def tool_positions(robot: Robot, q: Array) -> Array:
    """(n, 3) origin of the tool frame in the world, for ``q`` (n, dof) [m]."""
    return (body_poses(robot, q)[:, robot.tool.body] @ robot.tool.X_BT)[:, :3, 3]


def _moved(points: Array, X: Array) -> Array:
    return points @ X[:3, :3].T + X[:3, 3]
