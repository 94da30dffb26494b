"""Points, cells and fields as obstacles: what they take, what they say, and the cells that stand for them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import edmp
from edmp.geometry import cells
from edmp.geometry.kinds import bounds, triangles

RNG = np.random.default_rng(5)
POINTS = RNG.uniform(-0.4, 0.3, (300, 3)).astype(np.float32)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def test_what_is_not_a_point_is_dropped_and_said() -> None:
    dirty = np.concatenate([POINTS, [[np.nan, 0, 0], [0, np.inf, 0]], POINTS[:7]])
    with pytest.warns(edmp.EdmpWarning) as told:
        cloud = edmp.PointCloud(dirty, 0.01)
    assert [str(one.message) for one in told] == [
        "PointCloud: 2 of 309 points are not finite and were dropped",
        "PointCloud: 7 of 307 points are there twice and count once",
    ]
    assert cloud == edmp.PointCloud(POINTS, 0.01)
    assert hash(cloud) == hash(pickle.loads(pickle.dumps(edmp.PointCloud(POINTS, 0.01))))
    assert cloud != edmp.PointCloud(POINTS, 0.02)
    with pytest.raises(ValueError, match="read-only"):
        cloud.points[0] = 0


def test_equal_hashes_are_not_taken_for_equal_content() -> None:
    """The hash is a sum, which does not know the order: what is the same by chance must still be told apart."""
    occupied = np.zeros((1, 1, 16), bool)
    occupied[0, 0, 0] = True
    here, there = edmp.Voxels(occupied, 0.05), edmp.Voxels(np.roll(occupied, 8), 0.05)
    assert hash(here) == hash(there)
    assert here != there
    q, X = [0, -0.785, 0, -2.356, 0, 1.571, 0.785], (0.3, 0.0, 0.1)
    free = [edmp.Judge(edmp.load_robot("panda"), edmp.Scene.of({"cell": (one, X)})).check(q) for one in (there, here)]
    assert [verdict.valid for verdict in free] == [False, True]


def test_millimetres_are_noticed() -> None:
    with pytest.warns(edmp.EdmpWarning, match=r"extends over 69\d(\.\d)? m; is it in millimetres"):
        edmp.PointCloud(1000 * POINTS, 0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: edmp.PointCloud(np.empty((0, 3)), 0.01), "has no points"),
        (lambda: edmp.PointCloud(np.full((4, 3), np.nan), 0.01), "has no points"),
        (lambda: edmp.PointCloud(np.ones((4, 2)), 0.01), r"\(n, 3\) \[m\], got shape \(4, 2\)"),
        (lambda: edmp.PointCloud(POINTS, 0.0), "radius must be positive"),
        (lambda: edmp.PointCloud(1e9 * POINTS, 0.01), "within 1e"),
        (lambda: edmp.Voxels(np.zeros((2, 2, 2), bool), 0.1), "no cell is occupied"),
        (lambda: edmp.Voxels(np.ones((2, 2, 2)), 0.1), "true and false"),
        (lambda: edmp.Voxels(np.ones((2, 2), bool), 0.1), r"3 axes, got shape \(2, 2\)"),
        (lambda: edmp.Voxels(np.broadcast_to(True, (1024, 1024, 129)), 0.1), "1024 x 1024 x 129 has more than"),
        (lambda: edmp.DistanceField(np.broadcast_to(-1.0, (1024, 1024, 129)), 0.1), "has more than 134217728 cells"),
        (lambda: edmp.DistanceField(np.ones((2, 2, 2)), 0.1), "nothing is there"),
        (lambda: edmp.DistanceField(-np.ones((2, 1, 2)), 0.1), "at least two nodes"),
        (lambda: edmp.DistanceField(np.full((2, 2, 2), np.nan), 0.1), r"node \(0, 0, 0\) is nan"),
    ],
)
def test_what_makes_no_obstacle_is_refused(make, message: str) -> None:
    with pytest.raises(edmp.InvalidInputError, match=message):
        make()


def test_the_surface_of_cells_encloses_just_them() -> None:
    occupancy = RNG.random((9, 7, 8)) < 0.4
    vertices, faces = cells.surface(occupancy, 0.05)
    assert volume(vertices, faces) == pytest.approx(occupancy.sum() * 0.05**3)
    lower, upper = bounds(edmp.Voxels(occupancy, 0.05))
    np.testing.assert_allclose([lower, upper], [vertices.min(axis=0), vertices.max(axis=0)])


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_few_boxes_fill_just_the_cells(share: float) -> None:
    occupancy = RNG.random((9, 7, 8)) < share
    low, high = cells.boxes(occupancy)
    filled = np.zeros(occupancy.shape, dtype=int)
    for (i, j, k), (u, v, w) in zip(low, high, strict=True):
        filled[i:u, j:v, k:w] += 1
    assert (filled == occupancy).all()
    assert len(low) <= occupancy.sum()
    assert share < 1 or len(low) == 1


def test_cells_round_a_cloud_contain_its_balls() -> None:
    cloud = edmp.PointCloud(POINTS, 0.02)
    occupancy, edge, corner = cells.of_cloud(cloud.points, cloud.radius)
    direction = RNG.normal(size=(len(POINTS), 3))
    rim = POINTS + 0.02 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    assert occupancy[tuple(((rim - corner) / edge).astype(int).T)].all()
    vertices = triangles(cloud)[0]
    lower, upper = rim.min(axis=0), rim.max(axis=0)
    assert (vertices.min(axis=0) <= lower + 1e-9).all()
    assert (vertices.max(axis=0) >= upper - 1e-9).all()


def test_cells_of_a_field_are_where_it_may_be_inside() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(12) * 0.05] * 3, indexing="ij"), axis=-1)
    field = edmp.DistanceField(np.linalg.norm(grid - 0.27, axis=-1) - 0.13, 0.05)
    occupancy = cells.of_field(field.distances)
    inside = RNG.normal(size=(500, 3))
    inside = 0.27 + 0.12 * inside / np.linalg.norm(inside, axis=1, keepdims=True) * RNG.random((500, 1))
    assert occupancy[tuple((inside / 0.05).astype(int).T)].all()
    assert not occupancy[0].any()
