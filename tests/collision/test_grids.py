"""Occupied cells and fields of distances in the collision engine: against brute force, and through the front door."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edmp
from edmp.collision import World
from edmp.collision.kernels.obstacles import Obstacles, obstacle_distance
from edmp.geometry.distance import signed_distance
from edmp.geometry.kinds import bounds, sampler
from edmp.geometry.shapes import Shape
from edmp.validate.dense import dense_collisions
from edmp.warp_start import wp

HOME, ASIDE = (-0.8, 0.2, 0.0, -1.9, 0.0, 2.1, 0.8), (0.8, 0.2, 0.0, -1.9, 0.0, 2.1, 0.8)


@wp.kernel
def _query(obstacles: Obstacles, p_O: wp.array(dtype=wp.vec3), reach: float, found: wp.array(dtype=wp.vec4)):
    i = wp.tid()
    found[i] = obstacle_distance(obstacles, 0, p_O[i], reach)


def query(shape: Shape, p_O: np.ndarray, reach: float = 1e3) -> tuple[np.ndarray, np.ndarray]:
    """Distance (n,) and gradient (n, 3) of the kernels, at points in the frame of the shape."""
    world = World.of(edmp.load_robot("panda"), edmp.Scene.of({"it": (shape, (0, 0, 0))}))
    about = (p_O - np.mean(bounds(shape), axis=0)).astype(np.float32)
    found = wp.zeros(len(p_O), dtype=wp.vec4, device="cpu")
    inputs = [world.obstacles, wp.array(about, dtype=wp.vec3, device="cpu"), reach]
    wp.launch(_query, dim=len(p_O), inputs=inputs, outputs=[found], device="cpu")
    return found.numpy()[:, 3], found.numpy()[:, :3]


def brute_force(shape: edmp.Voxels, p_O: np.ndarray) -> np.ndarray:
    """Signed distance (n,) to the union of the occupied cells, every cell looked at."""
    padded, u = np.pad(shape.occupancy, 1), p_O / shape.resolution
    cell = np.clip(np.floor(u).astype(int) + 1, 0, np.array(padded.shape) - 1)
    inside = padded[tuple(cell.T)]
    taken, free = np.argwhere(padded) - 0.5, np.argwhere(~padded) - 0.5
    nearest = [
        np.array([np.linalg.norm(np.maximum(np.abs(p - cells) - 0.5, 0), axis=1).min() for p in u])
        for cells in (taken, free)
    ]
    return np.where(inside, -nearest[1], nearest[0]) * shape.resolution


@pytest.mark.parametrize("density", [0.003, 0.03, 0.3])
def test_cells_against_brute_force(density: float) -> None:
    rng = np.random.default_rng(0)
    shape = edmp.Voxels(rng.random((14, 12, 10)) < density, 0.04)
    p_O = rng.uniform([-0.15] * 3, [0.75, 0.65, 0.55], (3000, 3))
    exact = brute_force(shape, p_O)
    distance, gradient = query(shape, p_O)
    assert (distance - exact).max() < 1e-6  # never more than there is
    near = exact < shape.resolution
    assert near.sum() > 20
    np.testing.assert_allclose(distance[near], exact[near], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(gradient[near], axis=1), 1.0, atol=1e-4)
    moved = brute_force(shape, p_O + 1e-3 * gradient)
    assert (moved > exact)[near].mean() > 0.97  # leads away, and out
    cut, _ = query(shape, p_O, reach=0.1)
    np.testing.assert_array_equal(np.minimum(cut, 0.1), np.minimum(distance, 0.1))


def ball_field(truncated: float = np.inf) -> edmp.DistanceField:
    """A ball of 12 cm, its middle at (0.2, 0.2, 0.2) m, and a plate of 2 cm below it."""
    at = np.moveaxis(np.indices((41, 41, 41)), 0, -1) * 0.01
    distances = np.minimum(np.linalg.norm(at - 0.2, axis=-1) - 0.12, at[..., 2] - 0.02)
    return edmp.DistanceField(np.clip(distances, -truncated, truncated), 0.01)


def test_a_field_is_interpolated_and_bounds_what_is_beyond_it() -> None:
    shape, rng = ball_field(), np.random.default_rng(0)
    p_O = rng.uniform(-0.15, 0.55, (4000, 3))
    distance, gradient = query(shape, p_O)
    np.testing.assert_allclose(distance, signed_distance(shape, torch.tensor(p_O)).numpy(), atol=1e-6)
    true = np.minimum(
        np.linalg.norm(p_O - 0.2, axis=1) - 0.12,
        np.linalg.norm(p_O - np.clip(p_O, 0, [0.4, 0.4, 0.02]), axis=1),
    )
    known = ((p_O > 0) & (p_O < 0.4)).all(axis=1)
    assert (distance - true)[~known].max() < 1e-4
    outside = known & (true > 0.0)
    assert (distance - true)[outside].max() < 3e-4  # curved between nodes 1 cm apart
    assert (distance - true)[outside].min() > -0.005  # where ball and plate are equally near
    assert np.linalg.norm(gradient[outside], axis=1).mean() == pytest.approx(1.0, abs=0.03)


def test_a_field_that_is_cut_off_leads_out_all_the_same() -> None:
    shape = ball_field(truncated=0.03)
    p_O = np.random.default_rng(0).normal(size=(500, 3))
    p_O /= np.linalg.norm(p_O, axis=1, keepdims=True)
    distance, gradient = query(shape, 0.2 + 0.05 * p_O)
    assert (distance <= -0.03 + 1e-6).all()
    assert (np.einsum("ij,ij->i", gradient, p_O) > 0).all()
    away, _ = query(shape, 0.2 + 0.17 * p_O)
    assert (away <= 0.03 + 1e-6).all()  # no more than the field says


def test_a_field_with_a_hole_tells_of_what_is_round_it() -> None:
    """Where nothing is known the value is large; a distance cannot be, 2 cm from something solid."""
    distances = ball_field().distances.copy()
    distances[18:23, 18:23, 18:23] = 10.0
    distance, _ = query(edmp.DistanceField(distances, 0.01), np.array([[0.2, 0.2, 0.2]]))
    assert -0.12 < distance[0] < 0.03


def test_signed_distance_of_cells_is_exact() -> None:
    rng = np.random.default_rng(1)
    shape = edmp.Voxels(rng.random((9, 8, 7)) < 0.2, 0.05)
    p_O = torch.tensor(rng.uniform(-0.2, 0.6, (2000, 3)), requires_grad=True)
    found = signed_distance(shape, p_O)
    (gradient,) = torch.autograd.grad(found.sum(), p_O)
    points = p_O.detach().numpy()
    np.testing.assert_allclose(found.detach().numpy(), brute_force(shape, points), atol=1e-12)
    ahead = brute_force(shape, points + 1e-6 * gradient.numpy())
    assert (np.abs((ahead - found.detach().numpy()) / 1e-6 - 1) < 1e-3).mean() > 0.99


def test_a_long_grid_counts_as_wider_cells() -> None:
    """Never more distance than there is, and less by no more than the wider cells stick out."""
    cells = np.zeros((2100, 3, 5), dtype=bool)
    cells[::7, 1, 2] = cells[-1] = True
    shape, rng = edmp.Voxels(cells, 0.01), np.random.default_rng(0)
    p_O = rng.uniform([9.0, -0.05, -0.05], [12.0, 0.1, 0.1], (300, 3))
    exact = brute_force(shape, p_O)
    distance, _ = query(shape, p_O)
    assert (distance - exact).max() < 1e-5
    outside = exact > 0.05
    assert (distance - exact)[outside].min() > -0.05


def test_the_surface_of_a_field_is_drawn_from_evenly() -> None:
    drawn = sampler(shape := ball_field()).sample(20_000, np.random.default_rng(0))
    assert np.abs(signed_distance(shape, torch.tensor(drawn)).numpy()).max() < 2e-7
    height = (drawn[drawn[:, 2] > 0.075, 2] - 0.2) / 0.12  # of the ball: uniform (Archimedes)
    np.testing.assert_allclose(np.quantile(height, [0.25, 0.5, 0.75]), [-0.5, 0.0, 0.5], atol=0.04)
    area = 0.4**2 + 4 * np.pi * 0.12**2
    assert sampler(shape).area == pytest.approx(area, rel=0.02)
    hole = edmp.DistanceField(np.where(shape.distances > 0.1, 1e3, shape.distances), shape.resolution)
    assert (hole.distances == 1e3).any()  # nobody looked there
    drawn = sampler(hole).sample(2000, np.random.default_rng(0))
    assert np.abs(signed_distance(shape, torch.tensor(drawn)).numpy()).max() < 1e-6
    assert sampler(hole).area == pytest.approx(area, rel=0.02)


@pytest.fixture(scope="module")
def wall() -> dict[str, edmp.Scene]:
    """A post between `HOME` and `ASIDE`, as occupied cells and as a field."""
    cells = np.zeros((20, 16, 50), dtype=bool)
    cells[6:14, 6:10, :45] = True
    X_WO = ((0.35, -0.16, 0.0),)
    centre, half = np.array([10.0, 8.0, 22.5]) * 0.02, np.array([4.0, 2.0, 22.5]) * 0.02
    excess = np.abs(np.moveaxis(np.indices((21, 17, 51)), 0, -1) * 0.02 - centre) - half
    distances = np.linalg.norm(np.maximum(excess, 0), axis=-1) + np.minimum(excess.max(axis=-1), 0)
    shapes = {"voxels": edmp.Voxels(cells, 0.02), "field": edmp.DistanceField(distances, 0.02)}
    return {name: edmp.Scene.of({"post": (shape, *X_WO)}) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", ["voxels", "field"])
def test_plans_round_what_a_grid_holds(wall: dict[str, edmp.Scene], kind: str) -> None:
    """The straight way leads through it; what is found does not touch it."""
    panda = edmp.load_robot("panda")
    assert dense_collisions(panda, wall[kind], np.array([HOME, ASIDE]), first_only=True)
    result = edmp.plan(wall[kind], HOME, ASIDE, robot=panda)
    assert result.solved, result.message
    assert not dense_collisions(panda, wall[kind], result.path)
