"""What the kernels promise beyond gradients: FCL agrees, no NaN where geometry degenerates, threads change nothing."""

from __future__ import annotations

import dataclasses

import fcl
import numpy as np
import pytest
import torch
from cost_cases import TETRAHEDRON, random_motion, random_scene

from edmp.collision import edges_free, paths_free
from edmp.collision.kernels import free as kernels
from edmp.collision.launch import launch_rows
from edmp.costs import IntersectionVolume, Margins, SelfCollision, SphereClearance, SweptVolume, World
from edmp.robots import Link, LinkBox, Motion, Robot
from edmp.scenes import Box, Capsule, Cylinder, Scene, Sphere
from edmp.warp_start import wp


def with_links(panda: Robot, links: tuple[Link, ...]) -> Robot:
    return dataclasses.replace(panda, links=links, collision_pairs=())


def box_link(name: str, body: int, X_BX: np.ndarray, size: np.ndarray) -> Link:
    return Link(name, body, np.eye(4), (), np.zeros((0, 4)), LinkBox(X_BX, size))


def free_rows(world: World, q: torch.Tensor, *, margin: float = 0.0) -> torch.Tensor:
    free = torch.empty(q.shape[:2], dtype=torch.bool)
    inputs = [world.chain, world.obstacles, wp.from_torch(q.contiguous()), margin]
    launch_rows(kernels.rows_free, len(q), (q.shape[1],), inputs, [wp.from_torch(free)], world.device)
    return free


def test_positive_volume_iff_fcl_finds_a_collision(panda: Robot) -> None:
    """Axis-aligned boxes: one on the arm, undone from its body's turn so that it stands straight, and one obstacle."""
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(300):
        q = random_motion(panda, rng, batch=1, waypoints=1)
        X_WB = Motion.of(panda, q.double()).X_WB[0, 0, 4].numpy()
        X_BX = np.eye(4)
        X_BX[:3, :3] = X_WB[:3, :3].T
        size, other = rng.uniform(0.02, 0.4, (2, 3))
        position = X_WB[:3, 3] + rng.uniform(-0.35, 0.35, 3)
        world = World.of(
            with_links(panda, (box_link("box", 4, X_BX, size),)), Scene.of({"other": (Box(tuple(other)), position)})
        )
        volume, _ = IntersectionVolume().value_and_gradient(world, q, Margins.of(q))
        ours = fcl.CollisionObject(fcl.Box(*size), fcl.Transform(np.eye(3), X_WB[:3, 3]))
        theirs = fcl.CollisionObject(fcl.Box(*other), fcl.Transform(np.eye(3), position))
        hit = fcl.collide(ours, theirs) > 0
        assert bool(volume > 0) == hit
        outcomes.add(hit)
    assert outcomes == {True, False}


def test_volume_of_known_boxes(panda: Robot) -> None:
    """A turned box is taken with its world box; the obstacle grows to max(size, expansion) + clearance."""
    q = torch.zeros(1, 1, 7)
    X_WB = Motion.of(panda, q.double()).X_WB[0, 0, 1].numpy()
    turn = np.array([[np.cos(np.pi / 4), -np.sin(np.pi / 4), 0], [np.sin(np.pi / 4), np.cos(np.pi / 4), 0], [0, 0, 1]])
    X_BX = np.eye(4)
    X_BX[:3, :3] = X_WB[:3, :3].T @ turn
    robot = with_links(panda, (box_link("box", 1, X_BX, np.array([0.2, 0.2, 0.2])),))
    world = World.of(robot, Scene.of({"other": (Box((0.01, 1.0, 1.0)), X_WB[:3, 3])}))
    volume, _ = IntersectionVolume().value_and_gradient(world, q, Margins.of(q, clearance=0.02, expansion=0.05))
    assert volume.item() == pytest.approx(0.07 * (0.2 * np.sqrt(2)) * 0.2, rel=1e-5)


def test_swept_volume_of_a_still_arm_is_the_intersection_volume(world: World) -> None:
    q = random_motion(world.robot, np.random.default_rng(1), batch=5, waypoints=1).expand(5, 3, 7)
    margins = Margins.of(q, clearance=0.05)
    swept, swept_gradient = SweptVolume().value_and_gradient(world, q, margins)
    still, still_gradient = IntersectionVolume().value_and_gradient(world, q, margins)
    torch.testing.assert_close(swept, still * 2 / 3)
    torch.testing.assert_close(swept_gradient.sum(1), still_gradient.sum(1) * 2 / 3)


@pytest.mark.parametrize(
    "shape",
    [Box((0.2, 0.2, 0.2)), Cylinder(0.1, 0.2), Capsule(0.1, 0.2), Sphere(0.1), TETRAHEDRON],
    ids=lambda s: type(s).__name__,
)
def test_coincident_centres_give_finite_gradients(panda: Robot, shape) -> None:
    """A sphere of the arm exactly at an obstacle's centre, and two spheres of the arm at one place."""
    link = Link("ball", 7, np.eye(4), (), np.array([[0.0, 0.0, 0.0, 0.05]]), LinkBox(np.eye(4), np.full(3, 0.1)))
    spheres = np.array([[*panda.joints[6].X_PJ[:3, 3], 0.05]])
    other = dataclasses.replace(link, name="other", body=6, spheres_B=spheres)
    robot = dataclasses.replace(panda, links=(link, other), collision_pairs=((0, 1),))
    q = torch.zeros(1, 1, 7)
    position = Motion.of(robot, q.double()).X_WB[0, 0, 7, :3, 3].numpy()
    world = World.of(robot, Scene.of({"here": (shape, position)}))
    for cost in (SphereClearance(), SelfCollision(), IntersectionVolume(), SweptVolume()):
        for clearance in (0.0, 0.05):
            value, gradient = cost.value_and_gradient(world, q, Margins.of(q, clearance=clearance))
            assert torch.isfinite(value).all()
            assert torch.isfinite(gradient).all()
            if isinstance(cost, SphereClearance | SelfCollision):
                assert value > 0.05


def test_a_sphere_deep_inside_a_mesh_is_seen(panda: Robot) -> None:
    corners = np.array([[x, y, z] for x in (-2.0, 2.0) for y in (-2.0, 2.0) for z in (-2.0, 2.0)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))], dtype=np.int32)
    mesh = type(TETRAHEDRON)(corners, faces)
    q = random_motion(panda, np.random.default_rng(0), batch=2, waypoints=2)
    for shape in (mesh, Box((4.0, 4.0, 4.0))):
        world = World.of(panda, Scene.of({"all": (shape, (0.0, 0.0, 0.0))}))
        assert not free_rows(world, q).any()
    values = [
        SphereClearance().value_and_gradient(World.of(panda, Scene.of({"all": (s, (0, 0, 0))})), q, Margins.of(q))[0]
        for s in (mesh, Box((4.0, 4.0, 4.0)))
    ]
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_free_means_no_gap_below_zero(panda: Robot, seed: int) -> None:
    """rows_free against the gaps of every sphere, computed without any culling; margins and shrunk spheres too."""
    rng = np.random.default_rng(seed)
    world = World.of(panda, random_scene(rng, count=9)).shrunk(np.full(len(panda.spheres), 0.01))
    q = random_motion(panda, rng, batch=40, waypoints=10)
    gaps = [wp.empty((400, len(panda.spheres)), dtype=float, device="cpu") for _ in range(2)]
    flat = wp.from_torch(q.reshape(400, 7).contiguous())
    wp.launch(kernels.sphere_gaps, dim=400, inputs=[world.chain, world.obstacles, flat, *gaps], device="cpu")
    environment, pairs = (wp.to_torch(gap).amin(1).reshape(40, 10) for gap in gaps)
    for margin in (0.0, 0.03):
        expected = (environment >= margin) & (pairs >= 0)
        unsure = ((environment - margin).abs() < 1e-5) | (pairs.abs() < 1e-5)
        free = free_rows(world, q, margin=margin)
        assert (free == expected)[~unsure].all()
        assert free.any()
        assert not free.all()


def test_edges_free_agrees_with_dense_samples(world: World) -> None:
    rng = np.random.default_rng(7)
    ends = random_motion(world.robot, rng, batch=300, waypoints=12)[:, :2].contiguous()
    free = torch.empty(300, 1, dtype=torch.bool)
    step = 0.02
    inputs = [world.chain, world.obstacles, wp.from_torch(ends), step, 0.0]
    launch_rows(kernels.edges_free, 300, (1,), inputs, [wp.from_torch(free)], world.device)
    outcomes = torch.zeros(300, dtype=torch.bool)
    for i in range(300):
        a, b = ends[i]
        travel = float(((b - a).abs() * torch.tensor(world.chain.joint_reach.numpy())).sum())
        count = max(int(np.ceil(travel / step)), 1)
        t = torch.arange(1, count + 1) / count
        outcomes[i] = free_rows(world, (a + t[:, None] * (b - a))[:, None]).all()
    assert (free[:, 0] == outcomes).float().mean() > 0.99  # grazing contacts may round either way
    assert outcomes.any()
    assert not outcomes.all()


@pytest.mark.parametrize("waypoints", [2, 3, 8, 40])
def test_paths_are_free_where_all_their_edges_are(world: World, waypoints: int) -> None:
    q = random_motion(world.robot, np.random.default_rng(9), batch=200, waypoints=40)[:, :waypoints].contiguous()
    for margin in (0.0, 0.02):
        free = paths_free(world, q, margin=margin)
        assert (free == edges_free(world, q, margin=margin).all(dim=1)).all()
        assert not free.all()
    if waypoints < 8:
        assert free.any()


@pytest.mark.parametrize("cost", [SphereClearance(), IntersectionVolume(), SweptVolume()], ids=lambda c: c.name)
def test_threads_change_nothing(cost, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    q = random_motion(world.robot, np.random.default_rng(8), batch=33, waypoints=16)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setenv("EDMP_NUM_THREADS", str(threads))
        results.append(cost.value_and_gradient(world, q, Margins.of(q, clearance=0.05)))
    for value, gradient in results[1:]:
        assert torch.equal(value, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_shrinking_a_world_leaves_the_robot_as_it_was(panda: Robot) -> None:
    """What is packed for a robot is kept for all its worlds."""
    world = World.of(panda, Scene())
    before = world.chain.pack_radius.numpy().copy()
    shrunk = world.shrunk(np.full(len(panda.spheres), 0.02))
    np.testing.assert_array_equal(World.of(panda, Scene()).chain.pack_radius.numpy(), before)
    assert (shrunk.chain.pack_radius.numpy() < before).any()
