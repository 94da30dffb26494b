"""Depth images of boxes, by arithmetic: what a camera without faults would measure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import edmp
from edmp.sensing import DepthCamera, Map

READY = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
TABLE = ("table", (edmp.Box((1.2, 1.6, 0.1)), (0.5, 0.0, -0.06)))
WALL = ("wall", (edmp.Box((0.1, 0.3, 0.5)), (0.5, 0.0, 0.24)))
BOUNDS = ((-0.6, -0.9, -0.13), (1.1, 0.9, 1.2))


def scene(*obstacles: tuple) -> edmp.Scene:
    return edmp.Scene.of(dict(obstacles or (TABLE, WALL)))


def eyes(count: int = 3, width: int = 320) -> list[DepthCamera]:
    """Cameras round the table, the first before it."""
    places = ((1.7, 0.3, 1.3), (0.2, 1.6, 1.2), (0.2, -1.6, 1.2))
    return [
        DepthCamera.looking(eye, (0.4, 0.0, 0.3), width=width, height=width * 3 // 4, angle=1.2, far_is_free=True)
        for eye in places[:count]
    ]


def image(camera: DepthCamera, *scenes: edmp.Scene) -> NDArray[np.float32]:
    """(height, width) depth of the nearest of axis-aligned boxes [m], +inf where none is within range."""
    (fx, _, cx), (_, fy, cy) = camera.intrinsics[:2]
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(u.shape)], axis=-1) @ camera.X_WC[:3, :3].T
    depth = np.full(u.shape, np.inf)
    for obstacle in (one for shown in scenes for one in shown):
        half, middle = np.array(obstacle.shape.size) / 2, obstacle.X_WO[:3, 3] - camera.X_WC[:3, 3]
        with np.errstate(divide="ignore"):
            ends = (middle - half) / rays, (middle + half) / rays
        enter, leave = np.minimum(*ends).max(axis=-1), np.maximum(*ends).min(axis=-1)
        depth = np.where((enter < leave) & (enter > 0), np.minimum(depth, enter), depth)
    return np.where(depth > camera.far, np.inf, depth).astype(np.float32)


def seen(*scenes: edmp.Scene, resolution: float = 0.02, count: int = 3, frames: int = 1) -> Map:
    """A map of boxes, without a robot."""
    result = Map(BOUNDS, resolution)
    for _ in range(frames):
        for camera in eyes(count):
            result.integrate(image(camera, *scenes), camera)
    return result
