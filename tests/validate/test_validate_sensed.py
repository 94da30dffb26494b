"""The judge on points, occupied cells and fields of distances, against brute force that only looks at samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from validate_cases import pose, random_path, random_robot

from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.robots import load_robot
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import CONTACT_TOLERANCE, Judge
from edmp.validate.bodies import Arm, Crowd
from edmp.validate.crowds import depth_of_base
from edmp.validate.dense import dense_collisions, dense_distances, dense_samples
from edmp.validate.part_tree import part_tree


def cloud(rng: np.random.Generator) -> PointCloud:
    """Patches of planes and stray points, at distances that random arms just reach."""
    patches = []
    for _ in range(4):
        R = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
        flat = np.stack([*rng.uniform(-0.15, 0.15, (2, 400)), 1e-3 * rng.normal(size=400)], axis=1)
        out = rng.normal(size=3)
        patches.append(flat @ R.T + out / np.linalg.norm(out) * rng.uniform(0.35, 0.9))
    patches.append(rng.uniform(-1, 1, (60, 3)))
    return PointCloud(np.concatenate(patches), float(rng.choice([0.001, 0.004, 0.02])))


def ball_field(resolution: float, radius: float, size: int) -> DistanceField:
    """Exact distances from a ball in the middle of the grid."""
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1) * resolution
    return DistanceField(np.linalg.norm(grid - 0.5 * (size - 1) * resolution, axis=-1) - radius, resolution)


def voxels(rng: np.random.Generator) -> Voxels:
    return Voxels(rng.random((24, 20, 16)) < 0.02, 0.06)


def field(rng: np.random.Generator) -> DistanceField:
    """Smooth waves: solid blobs with hollows."""
    grid = np.stack(np.meshgrid(*[np.arange(17)] * 3, indexing="ij"), axis=-1) * 0.08
    waves = sum(np.cos(grid @ rng.normal(size=3) * 8.0 + rng.uniform(0, 6)) for _ in range(4))
    return DistanceField(0.05 * (waves + 2.0), 0.08)


MAKERS = {"cloud": cloud, "voxels": voxels, "field": field}


def scene_of(kind: str, rng: np.random.Generator) -> Scene:
    X = pose(Rotation.random(random_state=int(rng.integers(1 << 30))), rng.normal(size=3) * 0.1)
    if kind != "cloud":
        X[:3, 3] += X[:3, :3] @ [-0.7, -0.6, -0.5]
    return Scene((Obstacle("seen", MAKERS[kind](rng), X),))


@pytest.mark.parametrize(
    ("kind", "seed"), [(kind, k) for kind in MAKERS for k in range(16) if kind != "field" or k < 4]
)
def test_valid_means_free_and_invalid_means_touching(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    robot = random_robot(rng, 4) if seed % 2 else load_robot("panda")
    scene = scene_of(kind, rng)
    path = random_path(rng, robot, int(rng.integers(2, 12)), rng.uniform(0.02, 0.15))
    verdict = Judge(robot, scene).check_path(path)
    if verdict.valid:
        assert not dense_collisions(robot, scene, path, 0.02, first_only=True)
        samples = dense_samples(path, 0.05)[0]
        assert 0.0 < verdict.min_clearance <= dense_distances(robot, scene, "seen", samples).min() + 1e-6
    else:
        contact = verdict.contacts[0]
        if contact.with_self or contact.link == "panda_link0":
            return
        assert contact.other == "seen"
        tolerance = CONTACT_TOLERANCE if kind != "field" else 1e-2  # the sampled solid is a few millimetres smaller
        assert dense_distances(robot, scene, "seen", contact.q[None])[0] <= tolerance


@pytest.mark.parametrize("seed", [4, 29, 35])
def test_the_base_is_as_deep_in_a_cloud_as_in_its_deepest_point(seed: int) -> None:
    """Beside its edges the bounds of points are loose: that of a shallow one may be below that of the deepest."""
    arm, rng = Arm.of(load_robot("panda")), np.random.default_rng(seed)
    (k,) = range(arm.moving, len(arm.pieces))
    polytope = arm.pieces[k].polytope
    weights = rng.dirichlet(np.full(3, 0.3), size=30)
    faces = polytope.faces[rng.integers(len(polytope.faces), size=30)]
    points = np.einsum("ni,nij->nj", weights, polytope.vertices[faces])
    out = points - polytope.vertices.mean(axis=0)
    points += out / np.linalg.norm(out, axis=1, keepdims=True) * rng.uniform(0.008, 0.03, (30, 1))

    def depth(some: np.ndarray) -> float:
        crowd = Crowd("seen", part_tree(PointCloud(some, 0.02)), np.eye(3), np.zeros(3))
        return depth_of_base(arm, k, crowd, 0.005)

    assert depth(points) == pytest.approx(max(depth(point[None]) for point in points), abs=1e-9)
