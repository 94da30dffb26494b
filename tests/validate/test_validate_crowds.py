"""Obstacles of many parts: what is free is proved, what touches is refused, however they are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from validate_cases import pose, random_path, random_robot, random_scene

import edmp
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.robots import load_robot
from edmp.scenes import as_clouds, as_voxels
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import CONTACT_TOLERANCE, Judge, crowds
from edmp.validate.dense import dense_collisions, dense_distances, dense_samples
from edmp.validate.probe import Direction, Prober

TIGHT = 1e-3  # [m]
SEEN = {
    "clouds": lambda scene: as_clouds(scene, spacing=0.02),
    "voxels": lambda scene: as_voxels(scene, resolution=0.02),
}


def case(kind: str, seed: int, *, merged: bool = False) -> tuple[edmp.Robot, Scene, np.ndarray]:
    """An arm, six bodies as points or cells (one obstacle each, or one for all), and a path."""
    rng = np.random.default_rng(100 + seed)
    robot = random_robot(rng, 4) if seed % 2 else load_robot("panda")
    scene = SEEN[kind](random_scene(rng, 6, 0.7))
    if merged:
        points = [one.shape.points @ one.X_WO[:3, :3].T + one.X_WO[:3, 3] for one in scene]
        X = pose(Rotation.random(random_state=seed), rng.normal(size=3) * 0.1)
        merged_points = (np.concatenate(points) - X[:3, 3]) @ X[:3, :3]
        scene = Scene((Obstacle("seen", PointCloud(merged_points, next(iter(scene)).shape.radius), X),))
    return robot, scene, random_path(rng, robot, 5, rng.uniform(0.02, 0.15))


def least(robot: edmp.Robot, scene: Scene, path: np.ndarray, step: float) -> float:
    """The least distance from any obstacle that samples of the path show [m]."""
    samples = dense_samples(path, step)[0]
    return min(dense_distances(robot, scene, one.name, samples).min() for one in scene)


@pytest.mark.parametrize(
    ("kind", "merged", "seed"),
    [*(("clouds", k % 2 == 0, k) for k in range(6)), *(("voxels", False, k) for k in range(3))],
)
def test_the_judge_and_a_dense_look_agree(kind: str, merged: bool, seed: int) -> None:
    robot, scene, path = case(kind, seed, merged=merged)
    verdict = Judge(robot, scene).check_path(path, tightness=TIGHT)
    sampled = least(robot, scene, path, 0.1)
    if verdict.valid:
        assert not dense_collisions(robot, scene, path, 0.02, first_only=True)
        # Between samples the arm may come nearer, by no more than it moves.
        assert verdict.min_clearance <= sampled + 1e-6
    elif verdict.contacts[0].with_self or verdict.contacts[0].link == robot.links[0].name:
        return
    else:
        contact = verdict.contacts[0]
        assert dense_distances(robot, scene, contact.other, contact.q[None])[0] <= CONTACT_TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_by_its_box_or_part_by_part_the_verdict_is_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    robot, scene, path = case("clouds" if seed % 3 else "voxels", seed)
    judge = Judge(robot, scene)
    by_box = judge.check_path(path, tightness=TIGHT)
    monkeypatch.setattr(Prober, "separate_box", lambda *_: Direction(np.zeros(3), 0.0, 0, -np.inf))
    by_parts = judge.check_path(path, tightness=TIGHT)
    assert by_box.valid == by_parts.valid
    assert by_box.min_clearance == pytest.approx(by_parts.min_clearance, abs=TIGHT)


def test_what_is_looked_at_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long edges among many points: far more triples than may be looked at, and still the same verdict."""
    most, seen = 2000, []
    box_bounds = crowds.CrowdView.box_bounds
    verdicts = []
    for few in (crowds.AT_ONCE, most):
        monkeypatch.setattr(crowds, "AT_ONCE", few)
        seen.clear()
        monkeypatch.setattr(
            crowds.CrowdView, "box_bounds", lambda *given: (seen.append(len(given[2])), box_bounds(*given))[1]
        )
        for seed in (0, 6):
            robot, scene, path = case("clouds", seed, merged=True)
            verdict = Judge(robot, scene).check_path(path[[0, -1]])
            verdicts.append((verdict.valid, verdict.contacts[0].with_self if verdict.contacts else None))
        verdicts.append(max(seen) <= few)
    assert verdicts[:3] == verdicts[3:]
    assert verdicts[2]


PLATE = np.array([[0.3, -0.4], [0.9, 0.4]])
"""Corners of what lies below the hand in the tests below (x, y) [m]."""


def plate(kind: str, top: float) -> Obstacle:
    """A plate whose upper side is at z = ``top``, as points (nowhere above it), cells and distances."""
    turn, resolution = Rotation.from_euler("z", 0.4), 0.02
    size = np.array([0.6, 0.8])
    corner = turn.apply([*(-size / 2), 0.0])[:2] + PLATE.mean(axis=0)
    if kind == "cloud":
        x, y = np.meshgrid(np.arange(0, size[0], 0.004), np.arange(0, size[1], 0.004))
        points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
        return Obstacle("plate", PointCloud(points, 0.003), pose(turn, [*corner, top - 0.003]))
    cells = np.rint(size / resolution).astype(int)
    if kind == "voxels":
        shape: edmp.Shape = Voxels(np.ones((*cells, 2), dtype=bool), resolution)
    else:
        z = np.broadcast_to((np.arange(5) - 2) * resolution, (*(cells + 1), 5))
        shape = DistanceField(z, resolution)
    return Obstacle("plate", shape, pose(turn, [*corner, top - 2 * resolution]))


DIP = np.array(
    [
        [0.1, 0.15, 0.0, -2.2, 0.0, 2.5, 0.785],
        [0.05, 0.3, 0.05, -2.2, 0.02, 2.5, 0.785],
        [-0.1, 0.12, 0.0, -2.2, 0.0, 2.4, 0.785],
    ]
)
"""The hand goes down and up again [rad]."""


@pytest.mark.parametrize("kind", ["cloud", "voxels", "field"])
def test_a_tenth_of_a_millimetre_is_proved(kind: str) -> None:
    """Free by 0.101 mm, by the vertices of the arm, which a plane has to be below, is free.

    Of points and cells the clearance is known within the tightness; the solid of a field is larger by `FINEST` at most.
    """
    panda = load_robot("panda")
    arm = Judge(panda, Scene(()))._arm
    samples = dense_samples(DIP, 1e-3)[0]
    poses = arm.tree.poses(samples)
    lowest = min(
        (poses.R[:, piece.body, 2] @ piece.polytope.vertices.T + poses.p[:, piece.body, 2, None]).min()
        for piece in arm.pieces[: arm.moving]
    )
    free = Judge(panda, Scene((plate(kind, lowest - 1.01e-4),))).check_path(DIP)
    assert free.valid, free.message()
    if kind != "field":
        tight = Judge(panda, Scene((plate(kind, lowest - 1.01e-4),))).check_path(DIP, tightness=1e-5)
        assert tight.min_clearance >= 0.9e-4
    touching = Judge(panda, Scene((plate(kind, lowest + 2e-3),))).check_path(DIP)
    assert not touching.valid
    assert touching.contacts[0].other == "plate"
