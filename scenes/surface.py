"""Points on the surfaces of obstacles: what depth cameras without noise or blind spots would see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.geometry import cells
from edmp.geometry.covering import REACH
from edmp.geometry.kinds import cover, sampler
from edmp.geometry.poses import FARTHEST
from edmp.geometry.sensed import PointCloud, Voxels
from edmp.geometry.shapes import Shape
from edmp.ranges import Range
from edmp.scenes.scene import Obstacle, Scene


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


MOST_POINTS = 30_000_000
"""A finer cover of one obstacle is not made."""


@checked
def as_clouds(scene: Scene, *, spacing: float = 0.005) -> Scene:
    """The same scene as points on its surfaces: each obstacle, by its name, a `PointCloud`; regions stay.

    The same scene gives the same points. They are at most ``spacing`` apart along the surface, and balls of the clouds'
    radius, ``spacing / sqrt(2)``, leave no gap: they contain the whole surface. Clouds of the scene stay as they are.

    Args:
        scene: the obstacles.
        spacing: of the points [m].

    Raises:
        InvalidInputError: no such spacing, or too many points.
    """
    if not _SPACING.holds(spacing):
        raise InvalidInputError(f"spacing must be {_SPACING} [m], got {spacing!r}")
    clouds = [
        obstacle
        if isinstance(obstacle.shape, PointCloud)
        else Obstacle(obstacle.name, _cloud(obstacle.name, obstacle.shape, spacing), obstacle.X_WO)
        for obstacle in scene
    ]
    return Scene(tuple(clouds), scene.regions, scene.unseen)


@checked
def as_voxels(scene: Scene, *, resolution: float = 0.005) -> Scene:
    """The same scene as cells that its surfaces reach into: each obstacle, by its name, `Voxels` along its own axes.

    The cells contain the whole surface, and are within two of it; what is inside is not seen. Cells of the scene stay
    as they are, and so do regions.

    Args:
        scene: the obstacles.
        resolution: edge of a cell, or more, for what would have too many [m].

    Raises:
        InvalidInputError: no such resolution, or too many cells.
    """
    if not _SPACING.holds(resolution):
        raise InvalidInputError(f"resolution must be {_SPACING} [m], got {resolution!r}")
    seen = [obstacle if isinstance(obstacle.shape, Voxels) else _voxels(obstacle, resolution) for obstacle in scene]
    return Scene(tuple(seen), scene.regions, scene.unseen)


def _voxels(obstacle: Obstacle, resolution: float) -> Obstacle:
    shape = obstacle.shape
    if not isinstance(shape, PointCloud):
        shape = _cloud(obstacle.name, shape, resolution / (2 * REACH))  # its balls are as wide as a cell
    occupancy, edge, corner = cells.of_cloud(shape.points, shape.radius)
    X_OV = np.eye(4)
    X_OV[:3, 3] = corner
    return Obstacle(obstacle.name, Voxels(occupancy, edge), obstacle.X_WO @ X_OV)


_SPACING = Range(1e-5, FARTHEST)


def _cloud(name: str, shape: Shape, spacing: float) -> PointCloud:
    count = sampler(shape).area / spacing**2
    if count > MOST_POINTS:
        raise InvalidInputError(
            f"obstacle {name!r} would have {count:.2g} points {spacing:g} m apart, more than {MOST_POINTS}: "
            "choose a wider spacing"
        )
    # Single precision rounds: two points of a thin shape may then be the same.
    points = np.unique(cover(shape, spacing).astype(np.float32), axis=0)
    rounding = float(np.abs(points).max()) * 1e-7
    return PointCloud(points, REACH * spacing + rounding)
