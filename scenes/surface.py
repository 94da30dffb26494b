"""Points spread evenly over the surfaces of obstacles: what depth cameras without noise or blind spots would see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import sampler
from edmp.scenes.scene import Scene


def sample_scene(scene: Scene, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(count, 3) points in the world drawn uniformly from the surfaces of all obstacles, in random order [m].

    Obstacles count whole, also where they lie inside one another. An empty scene has no surface: (0, 3).
    """
    if len(scene) == 0:
        return np.empty((0, 3))
    samplers = [sampler(obstacle.shape) for obstacle in scene]
    area = np.array([one.area for one in samplers])
    shares = rng.multinomial(count, area / area.sum())
    points = [
        one.sample(share, rng) @ obstacle.X_WO[:3, :3].T + obstacle.X_WO[:3, 3]
        for obstacle, one, share in zip(scene, samplers, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(points))
