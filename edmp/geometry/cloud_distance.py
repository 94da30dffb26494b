"""Signed distance from clouds of points, and points on the surface of their balls: a k-d tree, in scipy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from edmp.geometry.measured import measured
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.primitives import Sampler, sphere_sampler
from edmp.geometry.sensed import PointCloud
from edmp.geometry.shapes import Sphere

_tree: ShapeCache[PointCloud, cKDTree] = ShapeCache(
    lambda shape: cKDTree(shape.points.astype(np.float64)), size=lambda shape: len(shape.points), most=2_000_000
)


def _distances(shape: PointCloud, p_O: Tensor) -> tuple[Tensor, Tensor]:
    points = p_O.cpu().double().numpy()
    tree = _tree(shape)
    distance, nearest = map(np.asarray, tree.query(points))
    away = points - np.asarray(tree.data)[nearest]
    away = np.where(distance[..., None] > 0, away / np.maximum(distance, 1e-300)[..., None], [1.0, 0.0, 0.0])
    return torch.as_tensor(distance - shape.radius).to(p_O), torch.as_tensor(away).to(p_O)


def cloud_signed_distance(shape: PointCloud, p_O: Tensor) -> Tensor:
    """(...,) distance [m] of points ``p_O`` (..., 3) from the balls of a cloud: exact outside, and within a ball the
    depth below the one that they are deepest in. It can be differentiated once.
    """
    return measured(_distances, shape, p_O)


def cloud_sampler(shape: PointCloud) -> Sampler:
    """Of the surface of all balls together, without what lies inside another; its area is estimated by samples."""
    ball = sphere_sampler(Sphere(shape.radius))

    def bare(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        chosen = rng.integers(len(shape.points), size=count)
        points = shape.points[chosen] + ball.sample(count, rng)
        return points[_tree(shape).query(points)[0] > shape.radius * (1 - 1e-6)]

    share = len(bare(10_000, np.random.default_rng(0))) / 10_000

    def sample(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        found = [np.empty((0, 3))]
        while (missing := count - sum(map(len, found))) > 0:
            found.append(bare(int(missing / max(share, 0.01)) + 10, rng)[:missing])
        return np.concatenate(found)

    return Sampler(ball.area * len(shape.points) * share, sample)
