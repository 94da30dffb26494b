"""Scenes and motions that the cost tests share."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from edmp.robots import Robot
from edmp.scenes import Box, Capsule, Cylinder, Mesh, Scene, Sphere

TETRAHEDRON = Mesh(
    np.array([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [0.0, 0.5, 0.0], [0.1, 0.1, 0.6]]),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], dtype=np.int32),
)


def random_scene(rng: np.random.Generator, *, count: int = 10, with_mesh: bool = True) -> Scene:
    """Obstacles of every kind, turned any way, within reach of a Panda."""
    makers = [
        lambda: Box(tuple(rng.uniform(0.05, 0.4, 3))),
        lambda: Cylinder(rng.uniform(0.03, 0.15), rng.uniform(0.1, 0.5)),
        lambda: Capsule(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.4)),
        lambda: Sphere(rng.uniform(0.05, 0.2)),
        *([lambda: TETRAHEDRON] if with_mesh else []),
    ]
    obstacles = {}
    while len(obstacles) < count:
        position = rng.uniform([-0.8, -0.8, 0.0], [0.8, 0.8, 1.0])
        if np.linalg.norm(position[:2]) > 0.3:
            quaternion = Rotation.random(rng=rng).as_quat()
            obstacles[f"obstacle_{len(obstacles)}"] = (makers[len(obstacles) % len(makers)](), position, quaternion)
    return Scene.of(obstacles)


def random_motion(robot: Robot, rng: np.random.Generator, *, batch: int, waypoints: int) -> torch.Tensor:
    """(batch, waypoints, dof) straight lines between random configurations, float32."""
    low, high = robot.limits.lower, robot.limits.upper
    a, b = rng.uniform(low, high, (2, batch, 1, robot.dof))
    return torch.tensor(a + np.linspace(0, 1, waypoints)[None, :, None] * (b - a), dtype=torch.float32)
