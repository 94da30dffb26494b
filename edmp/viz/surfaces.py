"""Triangles of everything that can be drawn: obstacles and the links of the robot."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import triangles
from edmp.geometry.sensed import PointCloud
from edmp.geometry.shapes import Shape, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.viz.sensed import MOST_POINTS, drawn, is_sensed, points_drawn

Array = NDArray[np.float64]
Color = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Surface:
    """Closed triangle surface, in the world or in the frame of what carries it.

    Attributes:
        vertices: (V, 3) [m].
        faces: (F, 3) vertex indices, counter-clockwise from outside.
        color: (3,) red, green, blue in 0..1.
        face_colors: (F, 3), where the triangles differ in colour.
        normals: (F, 3, 3) unit normals at the corners of each triangle, for shading; None shades each triangle flat.
        recede: share of its distance from the camera by which it is taken to be farther, to settle which of two
            surfaces at the same place is seen.
        outlined: whether its outline is drawn dark; thin things are better without.
    """

    vertices: Array
    faces: NDArray[np.int64]
    color: Color
    face_colors: Array | None = None
    normals: Array | None = None
    recede: float = 0.0
    outlined: bool = True

    def at(self, X: Array) -> Surface:
        """The surface moved by the pose ``X`` (4, 4)."""
        turned = None if self.normals is None else self.normals @ X[:3, :3].T
        return dataclasses.replace(self, vertices=moved(self.vertices, X), normals=turned)

    def colored(self, color: Color, face_colors: Array | None = None) -> Surface:
        """The same in another colour."""
        return dataclasses.replace(self, color=color, face_colors=face_colors)


CREASE = np.radians(40)
"""Triangles that meet at a greater angle than this keep an edge between them."""


def corner_normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """(F, 3, 3) normals at the corners of triangles: the mean over those around the vertex that no crease divides."""
    corners = vertices[faces]
    area = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-15)
    grid = np.round((vertices - vertices.min(axis=0)) / 1e-5).astype(np.int64)
    _, place = np.unique((grid[:, 0] << 42) | (grid[:, 1] << 21) | grid[:, 2], return_inverse=True)
    at = place[faces].reshape(-1)  # the place of each corner; corner c belongs to triangle c // 3
    order = np.argsort(at, kind="stable")
    first, count = np.unique(at[order], return_index=True, return_counts=True)[1:]
    around, begins = np.empty(len(order), dtype=int), np.empty(len(order), dtype=int)
    around[order], begins[order] = np.repeat(count, count), np.repeat(first, count)
    total = np.zeros((len(order), 3))
    for k in range(int(count.max())):
        corner = np.flatnonzero(around > k)
        neighbour = order[begins[corner] + k] // 3
        alike = np.einsum("ci,ci->c", unit[corner // 3], unit[neighbour]) > np.cos(CREASE)
        total[corner[alike]] += area[neighbour[alike]]
    total = np.where(np.linalg.norm(total, axis=1, keepdims=True) > 1e-12, total, np.repeat(unit, 3, axis=0))
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-15)).reshape(-1, 3, 3)


@lru_cache(maxsize=512)
def _shape_surface(shape: Shape) -> Surface:
    """A shape in its own frame, uncoloured."""
    vertices, faces = triangles(shape)
    return Surface(vertices, faces, (1.0, 1.0, 1.0), normals=corner_normals(vertices, faces))


@lru_cache(maxsize=64)
def _sensed_surface(shape: Shape, name: str, most: int) -> Surface:
    """What a sensor saw, uncoloured."""
    vertices, faces, normals = drawn(shape, name, most)
    return Surface(vertices, faces, (1.0, 1.0, 1.0), normals=normals, outlined=not isinstance(shape, PointCloud))


def obstacle_surface(obstacle: Obstacle, color: Color, *, most: int = MOST_POINTS) -> Surface:
    """An obstacle where it stands; of a cloud so many points at most."""
    shape = obstacle.shape
    surface = _sensed_surface(shape, obstacle.name, most) if is_sensed(shape) else _shape_surface(shape)
    return surface.colored(color).at(obstacle.X_WO)


def scene_surfaces(scene: Scene, colors: Sequence[Color]) -> list[Surface]:
    """Every obstacle, each with its colour."""
    most = points_drawn([obstacle.shape for obstacle in scene])
    return [
        obstacle_surface(obstacle, color, most=count)
        for obstacle, color, count in zip(scene, colors, most, strict=True)
    ]


def tube(points: Array, radius: float, color: Color, *, sides: int = 8) -> Surface:
    """A tube of ``radius`` [m] round a polyline (n, 3), closed at its ends; a polyline without length is a ball."""
    distinct = np.concatenate([[True], np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6])
    points = points[distinct]
    if len(points) < 2:
        return _shape_surface(Sphere(radius)).colored(color).at(_at(points[0]))
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.empty_like(along)
    across[0] = np.cross(along[0], np.eye(3)[np.argmin(np.abs(along[0]))])
    for k in range(1, len(along)):  # carried along without twist
        across[k] = across[k - 1] - (across[k - 1] @ along[k]) * along[k]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(along, across)
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(angles)[None, :, None] * across[:, None] + np.sin(angles)[None, :, None] * other[:, None]
    n = len(points)
    vertices = np.concatenate([(points[:, None] + radius * ring).reshape(-1, 3), points[[0, -1]]])
    around, row = np.arange(sides), np.arange(n - 1)[:, None] * sides
    a, b = row + around, row + (around + 1) % sides
    quads = [np.stack([a, b, b + sides], axis=-1), np.stack([a, b + sides, a + sides], axis=-1)]
    caps = [
        np.stack([np.full(sides, n * sides), (around + 1) % sides, around], axis=1),
        np.stack(
            [np.full(sides, n * sides + 1), (n - 1) * sides + around, (n - 1) * sides + (around + 1) % sides], axis=1
        ),
    ]
    faces = np.concatenate([*(quad.reshape(-1, 3) for quad in quads), *caps])
    return Surface(vertices, faces, color, normals=corner_normals(vertices, faces), outlined=False)


def body_poses(robot: Robot, q: Array) -> Array:
    """(n, dof + 1, 4, 4) poses ``X_WB`` of the bodies at ``q`` (n, dof), in numpy: drawing must not need torch."""
    poses = [np.broadcast_to(robot.X_W0, (len(q), 4, 4))]
    for i, (joint, parent) in enumerate(zip(robot.joints, robot.parents, strict=True)):
        motion = np.broadcast_to(np.eye(4), (len(q), 4, 4)).copy()
        if joint.kind == "prismatic":
            motion[:, 2, 3] = q[:, i]
        else:
            c, s = np.cos(q[:, i]), np.sin(q[:, i])
            motion[:, 0, 0], motion[:, 0, 1], motion[:, 1, 0], motion[:, 1, 1] = c, -s, s, c
        poses.append(poses[parent] @ joint.X_PJ @ motion)
    return np.stack(poses, axis=1)


def tool_positions(robot: Robot, q: Array) -> Array:
    """(n, 3) origin of the tool frame in the world, for ``q`` (n, dof) [m]."""
    return (body_poses(robot, q)[:, robot.tool.body] @ robot.tool.X_BT)[:, :3, 3]


def cross(a: Array, b: Array) -> Array:
    """Cross products (n, 3), several times as fast as numpy's."""
    (x, y, z), (u, v, w) = a.T, b.T
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)


def moved(points: Array, X: Array) -> Array:
    """``points`` (n, 3) moved by the pose ``X`` (4, 4)."""
    return points @ X[:3, :3].T + X[:3, 3]


def _at(point: Array) -> Array:
    X = np.eye(4)
    X[:3, 3] = point
    return X
