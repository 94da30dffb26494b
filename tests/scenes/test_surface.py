"""Scenes as points on their surfaces: nothing is left open, and nothing is anywhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plan_cases import every_shape
from scipy.spatial import cKDTree

import edmp
from edmp.geometry.distance import signed_distance
from edmp.geometry.kinds import sampler
from edmp.scenes import as_clouds, as_voxels

SPACING = 0.006
LONG = edmp.Mesh(  # thin triangles, obtuse ones
    np.array([[0.0, 0, 0], [0.7, 0, 0.01], [0.31, 0.004, 0], [0.02, 0.05, 0.3]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


@pytest.fixture(scope="module")
def scene() -> edmp.Scene:
    return edmp.Scene.of({"thin": (LONG, (0, 0, 0)), "disc": (edmp.Cylinder(0.2, 0.001), (0, 0, 0))}).with_obstacle(
        "pea", edmp.Sphere(0.003)
    )


@pytest.fixture(scope="module")
def both(scene: edmp.Scene) -> tuple[edmp.Scene, edmp.Scene]:
    scene = edmp.Scene((*every_shape(), *scene))
    return scene, as_clouds(scene, spacing=SPACING)


def test_balls_round_the_points_leave_no_gap(both: tuple[edmp.Scene, edmp.Scene]) -> None:
    scene, clouds = both
    assert clouds.names == scene.names
    rng = np.random.default_rng(0)
    for true, cloud in zip(scene, clouds, strict=True):
        assert np.array_equal(true.X_WO, cloud.X_WO)
        assert cloud.shape.radius == pytest.approx(SPACING / np.sqrt(2), rel=1e-3)
        drawn = sampler(true.shape).sample(50_000, rng)
        assert cKDTree(cloud.shape.points).query(drawn)[0].max() <= cloud.shape.radius + 1e-7, true.name
        points = torch.tensor(cloud.shape.points, dtype=torch.float64)
        assert signed_distance(true.shape, points).abs().max() < 1e-4, (
            true.name
        )  # of thin triangles in single precision
        assert len(points) < 4 * sampler(true.shape).area / SPACING**2 + 200, true.name  # and not many more


def test_the_same_scene_gives_the_same_points(both: tuple[edmp.Scene, edmp.Scene]) -> None:
    scene, clouds = both
    assert as_clouds(scene, spacing=SPACING) == clouds
    assert as_clouds(clouds) == clouds  # what are points already stay as they are


def test_cells_contain_the_surface_and_are_near_it(scene: edmp.Scene) -> None:
    scene = edmp.Scene((*every_shape(), *scene))
    seen = as_voxels(scene, resolution=0.01)
    assert seen.names == scene.names
    assert as_voxels(seen) == seen  # what are cells already stay as they are
    rng = np.random.default_rng(0)
    for true, found in zip(scene, seen, strict=True):
        voxels = found.shape
        assert voxels.resolution == pytest.approx(0.01, rel=1e-4)
        X_VO = np.linalg.inv(found.X_WO) @ true.X_WO
        drawn = sampler(true.shape).sample(20_000, rng) @ X_VO[:3, :3].T + X_VO[:3, 3]
        i, j, k = np.floor(drawn / voxels.resolution).astype(int).T
        assert voxels.occupancy[i, j, k].all(), true.name
        middles = (np.argwhere(voxels.occupancy) + 0.5) * voxels.resolution
        X_OV = np.linalg.inv(X_VO)
        away = signed_distance(true.shape, torch.tensor(middles @ X_OV[:3, :3].T + X_OV[:3, 3]))
        assert away.abs().max() < 0.02, true.name


def test_spacings_that_make_no_cloud_are_refused() -> None:
    scene = edmp.Scene.of({"hall": (edmp.Box((90, 90, 5)), (0, 0, 0))})
    with pytest.raises(edmp.InvalidInputError, match=r"'hall' would have 7\.2e\+08 points 0\.005 m apart.*wider"):
        as_clouds(scene)
    for spacing in (0.0, -1.0, float("inf")):
        with pytest.raises(edmp.InvalidInputError, match="spacing must be"):
            as_clouds(scene, spacing=spacing)
        with pytest.raises(edmp.InvalidInputError, match="resolution must be"):
            as_voxels(scene, resolution=spacing)
