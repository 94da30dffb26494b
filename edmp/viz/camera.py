"""Where to look from: a perspective camera, fitted to what matters, on the side from which the robot is seen best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import triangles
from edmp.scenes.scene import Obstacle, Scene
from edmp.viz.sensed import blockers, is_sensed

Array = NDArray[np.float64]

Box3 = tuple[Array, Array, Array]
"""A box: (4, 4) pose of the world in its frame, and its lower and upper corners (3,) there [m]."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Pinhole camera.

    Attributes:
        eye: (3,) its place in the world [m].
        axes: (3, 3) rows: right, down, forward, in the world.
        scale: pixels for a slope of one.
        centre: (2,) pixel that the forward axis meets.
        size: (width, height) of the picture [pixels].
    """

    eye: Array
    axes: Array
    scale: float
    centre: Array
    size: tuple[int, int]

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...) along the forward axis [m] of points (..., 3)."""
        p = (points - self.eye) @ self.axes.T
        depth = np.maximum(p[..., 2], 1e-6)
        return p[..., :2] / depth[..., None] * self.scale + self.centre, depth

    def enlarged(self, factor: int) -> Camera:
        """The same view with ``factor`` times as many pixels each way."""
        width, height = self.size
        centre = (self.centre + 0.5) * factor - 0.5
        return Camera(self.eye, self.axes, self.scale * factor, centre, (width * factor, height * factor))

    def part(self, window: tuple[slice, slice]) -> Camera:
        """The camera of some rows and columns of the picture alone."""
        rows, columns = window
        corner = np.array([columns.start, rows.start])
        size = (columns.stop - columns.start, rows.stop - rows.start)
        return Camera(self.eye, self.axes, self.scale, self.centre - corner, size)

    def rays(self) -> Array:
        """(height, width, 3) directions through the pixels, in the world, with forward component 1."""
        width, height = self.size
        x = (np.arange(width) - self.centre[0]) / self.scale
        y = (np.arange(height) - self.centre[1]) / self.scale
        right, down, forward = self.axes
        return forward + x[None, :, None] * right + y[:, None, None] * down


def direction(azimuth: float, elevation: float) -> Array:
    """(3,) unit vector from the target towards the camera; angles in [rad]."""
    c = np.cos(elevation)
    return np.array([c * np.cos(azimuth), c * np.sin(azimuth), np.sin(elevation)])


def fitted(points: Array, towards: Array, size: tuple[int, int], *, margin: float = 0.05) -> Camera:
    """The camera on the side ``towards`` (3,) that has all ``points`` (n, 3) in the picture, as large as they go."""
    target = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = float(np.linalg.norm(points - target, axis=1).max())
    eye = target + towards * (4.0 * radius)
    forward = -towards
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    p = (points - eye) @ axes.T
    slope = p[:, :2] / p[:, 2:]
    low, high = slope.min(axis=0), slope.max(axis=0)
    width, height = size
    room = np.array([width, height]) * (1 - 2 * margin)
    scale = float((room / (high - low)).min())
    centre = np.array([width, height]) / 2 - scale * 0.5 * (low + high)
    return Camera(eye, axes, scale, centre, size)


def best_direction(points: Array, scene: Scene, tool_path: Array, links: Sequence[Box3]) -> Array:
    """The direction from which most of ``points`` (n, 3) on the robot is not behind an obstacle.

    Among views about as good, one that shows the tool path (m, 3) wide and not behind the robot's own ``links`` is
    taken, from a moderate height.
    """
    elevations = np.radians([18, 30, 42])
    candidates = [direction(a, e) for e in elevations for a in np.radians(np.arange(0, 360, 20))]
    obstacles = [box for obstacle in scene for box in _boxes_of(obstacle)]
    scores = []
    for k, towards in enumerate(candidates):
        hidden = _any_blocks(points, towards, obstacles).mean()
        path_hidden = _any_blocks(tool_path, towards, [*obstacles, *links]).mean()
        right = np.cross(towards, (0.0, 0.0, 1.0))
        across = tool_path @ (right / np.linalg.norm(right))
        width = np.ptp(across) / max(float(np.linalg.norm(np.ptp(tool_path, axis=0))), 1e-6)
        scores.append(-hidden - 0.3 * path_hidden + 0.12 * width - (0.0, 0.0, 0.05)[k // 18])
    return candidates[int(np.argmax(scores))]


def _any_blocks(points: Array, towards: Array, boxes: Sequence[Box3]) -> NDArray[np.bool_]:
    hidden = np.zeros(len(points), dtype=bool)
    for X_OW, low, high in boxes:
        hidden |= _blocked(points, towards, X_OW, low, high)
    return hidden


def _boxes_of(obstacle: Obstacle) -> list[Box3]:
    """The box round an obstacle, in its own frame; of what a sensor saw, which may be all round, a few."""
    X_OW = np.linalg.inv(obstacle.X_WO).astype(np.float64)
    if is_sensed(obstacle.shape):
        return [(X_OW, low, high) for low, high in blockers(obstacle.shape)]
    points, _ = triangles(obstacle.shape)
    return [(X_OW, points.min(axis=0), points.max(axis=0))]


def _blocked(points: Array, towards: Array, X_OW: Array, low: Array, high: Array) -> NDArray[np.bool_]:
    """(n,) whether the ray from each point towards the camera meets the box (the slab test)."""
    p = points @ X_OW[:3, :3].T + X_OW[:3, 3]
    d = X_OW[:3, :3] @ towards
    d = np.where(np.abs(d) < 1e-9, 1e-9, d)
    a, b = (low - p) / d, (high - p) / d
    enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
    return (leave > np.maximum(enter, 1e-3)) & (leave > 0)
