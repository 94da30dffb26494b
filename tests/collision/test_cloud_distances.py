"""Clouds of points in the collision engine: distances against a k-d tree, costs, and plans through the front door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cost_cases import random_motion, random_scene
from scipy.spatial import cKDTree

import edmp
from edmp.collision import World
from edmp.collision.kernels.obstacles import Obstacles, obstacle_distance
from edmp.costs import IntersectionVolume, Margins, SphereClearance
from edmp.robots.kinematics import tool_pose
from edmp.scenes import as_clouds
from edmp.validate.dense import dense_collisions
from edmp.warp_start import wp


@wp.kernel
def distances(obstacles: Obstacles, p_W: wp.array(dtype=wp.vec3), reach: float, out: wp.array(dtype=wp.vec4)):
    i = wp.tid()
    nd = obstacle_distance(obstacles, 0, (p_W[i] - obstacles.p_WO[0]) * obstacles.R_WO[0], reach)
    n = obstacles.R_WO[0] * wp.vec3(nd[0], nd[1], nd[2])
    out[i] = wp.vec4(n[0], n[1], n[2], nd[3])


@pytest.fixture(scope="module")
def panda() -> edmp.Robot:
    return edmp.load_robot("panda")


def walls(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points on two walls and a ball."""
    u, v = rng.uniform(-0.8, 0.8, (2, count))
    kind = rng.integers(3, size=count)
    ball = rng.normal(size=(count, 3))
    ball *= 0.2 / np.linalg.norm(ball, axis=1, keepdims=True)
    wall = np.stack([u, v, 0.2 * u], axis=1)
    other = np.stack([np.full(count, 0.4), u, v], axis=1)
    return np.where((kind == 0)[:, None], wall, np.where((kind == 1)[:, None], other, ball)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7, 65, 700, 30_000])
def test_the_nearest_point_is_found_wherever_it_is(count: int, panda: edmp.Robot) -> None:
    rng = np.random.default_rng(count)
    points, reach, margin = walls(count, rng), 0.15, 0.01
    scene = edmp.Scene.of({"it": (edmp.PointCloud(points, 0.004), (0.3, -0.2, 0.5), (0.5, 0.5, 0.5, 0.5))})
    world = World.of(panda, scene, margins={"it": margin})
    p_W = np.concatenate(
        [rng.uniform(-1.5, 1.5, (20_000, 3)), [[50.0, 0, 0]], points[:50] + np.array([0.3, -0.2, 0.5])]
    )
    given = wp.array(p_W.astype(np.float32), dtype=wp.vec3)
    out = wp.zeros(len(p_W), dtype=wp.vec4)
    wp.launch(distances, dim=len(p_W), inputs=[world.obstacles, given, reach], outputs=[out])
    gradient, d = out.numpy()[:, :3], out.numpy()[:, 3]
    X_WO = scene["it"].X_WO
    posed = points @ X_WO[:3, :3].T + X_WO[:3, 3]
    away, nearest = cKDTree(posed).query(given.numpy())
    expected = away - 0.004 - margin
    near = expected < reach - 1e-5
    assert near.sum() > 10
    over = (d - expected)[near]
    assert over.min() > -2e-6
    assert np.quantile(over, 0.99) < (2e-6 if count < 100 else 4e-3)  # a cell holds eight points at most
    assert over.max() < 0.03  # the edge of a cell
    far = expected > reach + 1e-5
    assert (d[far] <= expected[far] + 2e-6).all()  # a lower bound
    assert (np.abs(gradient[far]).max(axis=1) == 0).all()
    clear = near & (away > 1e-3)
    direction = (p_W - posed[nearest]) / np.maximum(away, 1e-9)[:, None]
    along = np.einsum("ni,ni->n", direction, gradient)[clear]
    assert (along > (0.999 if count < 100 else 0.9)).mean() > 0.98


@pytest.mark.parametrize("cost", [SphereClearance(), IntersectionVolume()], ids=lambda cost: cost.name)
def test_costs_agree_with_their_definitions(cost, panda: edmp.Robot) -> None:
    rng = np.random.default_rng(1)
    shapes = random_scene(rng, count=6, with_mesh=False)
    scene = edmp.Scene((*as_clouds(edmp.Scene(shapes.obstacles[:4]), spacing=0.02), *shapes.obstacles[4:]))
    margins = {scene.names[0]: 0.03, scene.names[5]: 0.01}
    q = random_motion(panda, rng, batch=12, waypoints=16)
    wanted = Margins.of(q, clearance=0.05)
    world = World.of(panda, scene, margins=margins)
    value, gradient = cost.value_and_gradient(world, q, wanted)
    expected, by_definition = super(type(cost), cost).value_and_gradient(world, q, wanted)
    assert (expected > 0).any()
    torch.testing.assert_close(value, expected, rtol=0.02, atol=1e-3)  # cells of a few millimetres
    error = (gradient - by_definition).abs().max(dim=-1).values / by_definition.abs().max()
    assert error.quantile(0.9) < 0.01


def test_a_packed_cloud_is_kept(panda: edmp.Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning in it again, or in the same points read again, costs nothing."""
    from edmp.collision import clouds

    points = walls(500, np.random.default_rng(0))
    World.of(panda, edmp.Scene.of({"it": (edmp.PointCloud(points, 0.004), (0, 0, 0))}))
    monkeypatch.setattr(clouds, "packed_cloud", None)
    World.of(panda, edmp.Scene.of({"other": (edmp.PointCloud(points.copy(), 0.004), (0, 0, 1))}))


def test_a_motion_through_clouds_is_certified() -> None:
    problem = edmp.load_example("bookshelf")
    clouds = as_clouds(problem.scene)
    result = edmp.plan(clouds, problem.start, problem.goal, robot=problem.robot)
    assert result.solved, result.message
    assert edmp.Judge(problem.robot, clouds).check_path(result.path).valid
    assert not dense_collisions(problem.robot, problem.scene, result.path)  # what the points were taken from


@pytest.fixture(scope="module")
def shelf() -> tuple[edmp.Problem, edmp.Scene]:
    problem = edmp.load_example("bookshelf")
    return problem, as_clouds(problem.scene, spacing=0.01)


def test_a_margin_round_a_cloud_is_kept(shelf: tuple[edmp.Problem, edmp.Scene]) -> None:
    """A cloud that is named by a constraint is that much bigger, for the optimiser as for the judge."""
    problem, clouds = shelf
    name = next(iter(clouds.names))
    keep = edmp.KeepDistance(name, 0.005)
    result = edmp.plan(clouds, problem.start, problem.goal, robot=problem.robot, constraints=[keep])
    assert result.solved, result.message
    alone = edmp.Scene((clouds[name],))
    assert edmp.Judge(problem.robot, alone).clearance(result.path) >= 0.005


def test_one_cloud_of_all_and_an_object_in_the_hand(shelf: tuple[edmp.Problem, edmp.Scene]) -> None:
    """All obstacles as one cloud in the world, as a camera gives it; and what is held is kept out of it, too."""
    problem, clouds = shelf
    seen = np.concatenate([o.shape.points @ o.X_WO[:3, :3].T + o.X_WO[:3, 3] for o in clouds])
    seen = np.unique(seen.astype(np.float32), axis=0)
    scene = edmp.Scene.of({"seen": (edmp.PointCloud(seen, clouds.obstacles[0].shape.radius), (0, 0, 0))})
    X_LA = np.eye(4)
    X_LA[:3, 3] = [0.0, 0.0, 0.09]
    held = problem.robot.with_attachment("ball", edmp.Sphere(0.01), X_LA, link="panda_hand")
    result = edmp.plan(scene, problem.start, problem.goal, robot=held)
    assert result.solved, result.message
    assert not dense_collisions(held, problem.scene, result.path)


def test_a_start_in_a_cloud_is_told(shelf: tuple[edmp.Problem, edmp.Scene]) -> None:
    problem, _ = shelf
    hand = tool_pose(problem.robot, torch.as_tensor(np.array(problem.start))).numpy()[:3, 3]
    blob = as_clouds(edmp.Scene.of({"blob": (edmp.Sphere(0.06), hand)}))
    result = edmp.plan(blob, problem.start, problem.goal, robot=problem.robot)
    assert result.status is edmp.Status.START_IN_COLLISION
    assert '"blob"' in result.message
