"""Random shapes floating and standing all around the arm: no structure to learn by heart."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from edmp.scenes.generators.base import ANY, Builder
from edmp.scenes.generators.objects import grasp_from_side


def clutter(rng: np.random.Generator) -> Builder:
    """3 to 22 boxes, cylinders, capsules and spheres in any pose within reach; sometimes a ground."""
    builder = Builder(np.eye(4))
    if rng.random() < 0.4:
        builder.box("ground", (2.5, 2.5, 0.02), (0.0, 0.0, -0.01 - rng.uniform(0.006, 0.4)))
    scale = rng.uniform(0.5, 1.3)
    for i in range(rng.integers(3, 23)):
        shape = _shape(rng, scale)
        radius, azimuth = rng.uniform(0.3, 1.0), rng.uniform(-math.pi, math.pi)
        X_FO = pose_yaw((radius * math.cos(azimuth), radius * math.sin(azimuth), rng.uniform(-0.3, 1.1)), azimuth)
        if rng.random() < 0.5:
            X_FO[:3, :3] = Rotation.random(random_state=rng).as_matrix()
        if builder.add(f"object{i + 1}", shape, X_FO, optional=True) and rng.random() < 0.3:
            grasp_from_side(builder, shape, X_FO, weight=0.3)
    for height, weight in ((0.15, 1.0), (0.5, 1.0), (0.8, 0.5)):
        X_FV = pose_yaw((0.0, 0.0, height), 0.0)
        builder.region(X_FV, (1.5, 1.5, 0.3), ANY, (-math.pi / 2, 0.5), rolls=(ANY,), weight=weight)
    return builder


def _shape(rng: np.random.Generator, scale: float) -> Shape:
    kind = rng.choice(("box", "plate", "cylinder", "capsule", "sphere"), p=(0.4, 0.15, 0.2, 0.1, 0.15))
    if kind == "box":
        x, y, z = scale * rng.uniform(0.05, 0.4, 3)
        return Box((x, y, z))
    if kind == "plate":
        x, y = scale * rng.uniform(0.2, 0.7, 2)
        return Box((x, y, rng.uniform(0.01, 0.04)))
    if kind == "sphere":
        return Sphere(scale * rng.uniform(0.03, 0.18))
    radius, length = scale * rng.uniform(0.02, 0.12), scale * rng.uniform(0.1, 0.6)
    return Cylinder(radius, length) if kind == "cylinder" else Capsule(radius, length)
