"""The judge on points, occupied cells and fields of distances, against brute force that only looks at samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from validate_cases import pose, random_path, random_robot

import edmp
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


def ball(kind: str) -> tuple[edmp.Obstacle, float]:
    """A ball of 10 cm in front of the arm, as a sensor would have it, and by how much that may be larger [m]."""
    centre = np.array([0.55, 0.0, 0.45])
    if kind == "cloud":
        i = np.arange(4000) + 0.5  # Fibonacci's spiral: about 5 mm apart
        z, turn = 1 - 2 * i / 4000, np.pi * (1 + 5**0.5) * i
        flat = np.sqrt(1 - z * z)
        points = centre + 0.096 * np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
        return edmp.Obstacle.at("ball", PointCloud(points, 0.004)), 0.0
    if kind == "voxels":
        grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), axis=-1) * 0.01 + 0.005 - 0.1
        return edmp.Obstacle.at("ball", Voxels(np.linalg.norm(grid, axis=-1) <= 0.1, 0.01), tuple(centre - 0.1)), 0.009
    return edmp.Obstacle.at("ball", ball_field(0.02, 0.1, 16), tuple(centre - 0.15)), 0.002


BESIDE = np.array([[-0.6, 0.3, 0.0, -2.0, 0.0, 2.3, 0.7], [-0.5, -0.1, 0.0, -2.0, 0.0, 2.3, 0.7]])
ASIDE = ([-0.6, 0.3, 0.0, -2.0, 0.0, 2.3, 0.7], [0.6, 0.3, 0.0, -2.0, 0.0, 2.3, 0.7])


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_planned_is_proved_and_a_path_into_it_is_refused(kind: str, tmp_path: Path) -> None:
    """Through the front door, and through a plan file that somebody edits."""
    obstacle, _ = ball(kind)
    scene, panda = edmp.Scene((obstacle,)), load_robot("panda")
    straight = edmp.Judge(panda, scene).check_path(np.array(ASIDE))
    assert straight.message().startswith(("panda_hand ", "panda_l", "panda_r")), straight.message()
    assert '"ball"' in straight.message()
    assert dense_collisions(panda, scene, straight.contacts[0].q[None])
    result = edmp.plan(scene, *ASIDE, robot=panda)
    assert result.solved, result.message
    assert not dense_collisions(panda, scene, result.path)
    file = tmp_path / "plan.json"
    result.save(file)
    again = edmp.load_result(file)
    assert edmp.Judge(panda, again.problem.scene).check_path(again.path).valid
    edited = np.array([again.path[0], again.path[-1]])
    verdict = edmp.Judge(panda, again.problem.scene).check_path(edited)
    assert not verdict.valid
    assert verdict.contacts[0].other == "ball"


@pytest.mark.parametrize("kind", MAKERS)
def test_the_clearance_is_the_distance_from_the_ball(kind: str) -> None:
    """Tight, and hardly less than from the ball itself: free by a tenth of a millimetre is free."""
    obstacle, larger = ball(kind)
    panda = load_robot("panda")
    sphere = Scene((Obstacle.at("ball", edmp.Sphere(0.1), (0.55, 0.0, 0.45)),))
    true = Judge(panda, sphere).clearance(BESIDE, tightness=1e-5)
    assert true > 0.0
    found = Judge(panda, Scene((obstacle,))).clearance(BESIDE, tightness=1e-3 if kind == "field" else 1e-5)
    assert true - larger - (1.3e-3 if kind == "field" else 3e-4) <= found <= true + 1e-3


@pytest.mark.parametrize("kind", MAKERS)
def test_distances_are_kept_from_it(kind: str) -> None:
    obstacle, _ = ball(kind)
    panda, scene = load_robot("panda"), Scene((obstacle,))
    free = Judge(panda, scene).clearance(BESIDE, tightness=1e-3)
    kept = Judge(panda, scene, constraints=(edmp.KeepDistance("ball", free - 1e-3),)).check_path(BESIDE)
    assert kept.valid
    assert kept.kept[0].worst >= free - 1.02e-3
    broken = Judge(panda, scene, constraints=(edmp.KeepDistance("ball", free + 3e-3),)).check_path(BESIDE)
    assert not broken.valid
    assert broken.broken[0].link is not None
    assert broken.broken[0].value == pytest.approx(free, abs=3e-3)


def table(depth: float) -> edmp.Obstacle:
    """A plane of points whose balls reach ``depth`` above the lowest point of the hand where the arm reaches down."""
    panda = load_robot("panda")
    arm = Judge(panda, Scene(()))._arm
    poses = arm.tree.poses(DOWN[None])
    low = min(
        (piece.polytope.vertices @ poses.R[0, piece.body].T + poses.p[0, piece.body])[:, 2].min()
        for piece in arm.pieces
        if piece.body == 7
    )
    x, y = np.meshgrid(np.arange(0.3, 0.9, 0.005), np.arange(-0.3, 0.3, 0.005))
    points = np.stack([x, y, np.full_like(x, low + depth - 0.004)], axis=-1).reshape(-1, 3)
    return edmp.Obstacle.at("table", PointCloud(points, 0.004))


DOWN = np.array([0.0, 0.3, 0.0, -2.2, 0.0, 2.5, 0.785])
SHOULDER = np.eye(7)[1]
UP = DOWN - 0.2 * SHOULDER


def test_the_arm_may_rest_on_points_and_leave_them() -> None:
    panda = load_robot("panda")
    judge = Judge(panda, Scene((table(5e-5),)))
    assert judge.check(DOWN).allowed[0].other == "table"
    verdict = judge.check_path(np.array([DOWN, UP]))
    assert verdict.valid, verdict.message()
    assert verdict.allowed
    down = judge.check_path(np.array([DOWN, DOWN + 0.02 * SHOULDER]))
    assert not down.valid


def test_a_way_leads_out_of_points() -> None:
    panda = load_robot("panda")
    scene = edmp.Scene((table(3e-3),))
    assert not edmp.plan(scene, DOWN, UP, robot=panda).solved
    result = edmp.plan(scene, DOWN, UP, robot=panda, escape=0.01)
    assert result.solved, result.message
    # Out of it, but deeper first: refused.
    deeper = np.array([DOWN, DOWN + 0.01 * SHOULDER, UP])
    assert not Judge(panda, scene, escape=0.01).check_path(deeper).valid
    assert Judge(panda, scene, escape=0.01).check_path(np.array([DOWN, UP])).valid


def test_margins_of_a_path_beside_it_are_no_more_than_the_distance_and_nearly_those_beside_a_ball() -> None:
    from edmp.validate.margins import path_margins

    obstacle, _ = ball("cloud")
    panda, path = load_robot("panda"), np.linspace(*BESIDE, 60)
    true = Scene.of({"ball": (edmp.Sphere(0.1), (0.55, 0.0, 0.45))})

    def by_link(scene: Scene) -> dict[str, float]:
        margins = path_margins(panda, scene, path, far=0.3)
        least = margins.clearance.min(axis=0)
        return {link: least[[one == link for one in margins.links]].min() for link in set(margins.links)}

    beside_cloud, beside_ball = by_link(Scene((obstacle,))), by_link(true)
    assert min(beside_cloud.values()) <= dense_distances(panda, Scene((obstacle,)), "ball", path).min() + 1e-6
    for link, margin in beside_ball.items():
        assert beside_cloud[link] >= 0.8 * margin - 0.005, link


def test_no_point_is_lost_in_the_tree() -> None:
    """What the coarse grid and the boxes leave out is far away: the nearest point is that of a search tree."""
    from scipy.spatial import cKDTree

    from edmp.validate.part_tree import GROUP, PartTree

    rng = np.random.default_rng(0)
    points = rng.normal(size=(40_000, 3)).astype(np.float32)
    points[0] = 50.0  # one far away makes the cells of the grid wide
    tree, brute = PartTree(points, points, 0.01), cKDTree(points.astype(np.float64))
    for p in rng.normal(size=(20, 3)):
        nodes = np.zeros(1, dtype=np.int64)
        best = np.inf
        while len(nodes):
            apart = np.linalg.norm(p - np.clip(p, tree.lower[nodes], tree.upper[nodes]), axis=1)
            group = tree.kind[nodes] == GROUP
            best = min(best, apart[~group].min(initial=np.inf))
            nodes = tree.children(nodes[group & (apart <= best)])[1]
        assert best == pytest.approx(brute.query(p)[0], abs=1e-9)
