"""The judge against brute force, on random robots, scenes and paths."""

from __future__ import annotations

import numpy as np
import pytest
from validate_cases import random_path, random_robot, random_scene

from edmp.robots import load_robot
from edmp.validate import CONTACT_TOLERANCE, Judge
from edmp.validate.bodies import Arm, Environment
from edmp.validate.dense import dense_collisions, dense_samples
from edmp.validate.proof import Proof
from edmp.validate.separation import best_direction


def signed_distance(robot, scene, q) -> tuple[float, float]:
    """Smallest gap to an obstacle and between links at ``q``, by trying every separating axis and FCL's."""
    arm, environment = Arm(robot), Environment(scene, robot.X_W0)
    proof = Proof(arm, environment, arm.motion_bound(np.abs(q)), q[None], None)
    proof.add(q[None])
    gaps: list[list[float]] = [[np.inf], [np.inf]]
    for pair in range(proof.env_pairs + len(arm.self_moving)):
        answer = proof.prober.separate(proof.poses, 0, pair)
        gaps[pair >= proof.env_pairs].append(getattr(answer, "gap", None) or getattr(answer, "distance", 0.0))
    return min(gaps[0]), min(gaps[1])


@pytest.mark.parametrize("seed", range(40))
def test_valid_means_free_and_invalid_means_touching(seed: int) -> None:
    rng = np.random.default_rng(seed)
    robot = random_robot(rng) if seed % 2 else load_robot("panda")
    scene = random_scene(rng, int(rng.integers(0, 7)), 0.7, meshes=seed % 4 == 3)
    path = random_path(rng, robot, int(rng.integers(2, 30)), rng.uniform(0.02, 0.3))
    verdict = Judge(robot, scene).check_path(path)
    hits = dense_collisions(robot, scene, path, 0.02, first_only=True)
    if verdict.valid:
        assert not hits
        assert verdict.min_clearance > 0
    else:
        contact = verdict.contacts[0]
        if contact.link == "panda_link0" and not contact.with_self:
            return  # the base stands in an obstacle: found at once, and by the judge only
        assert dense_collisions(robot, scene, contact.q[None]) or contact.depth < 2 * CONTACT_TOLERANCE
        a, b = path[contact.edge], path[contact.edge + 1]
        t = np.linspace(0, 1, 4001)[:, None]
        assert np.abs(a + t * (b - a) - contact.q).max(axis=1).min() < np.abs(b - a).max() / 4000 + 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_clearance_is_a_tight_lower_bound(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    robot = random_robot(rng) if seed % 2 else load_robot("panda")
    for _ in range(30):
        scene = random_scene(rng, 3, 0.9, meshes=seed % 4 == 3)
        path = random_path(rng, robot, 8, 0.08)
        judge = Judge(robot, scene)
        if judge.check_path(path).valid:
            break
    loose, tight = judge.check_path(path).min_clearance, judge.clearance(path)
    samples, _ = dense_samples(path, 0.02)
    brute = min(signed_distance(robot, scene, q)[0] for q in samples)
    assert 0 < loose <= brute + 1e-5
    # 0.02 rad of motion lies between the samples; FCL's own distance is not exact either.
    assert brute - 0.03 <= tight <= brute + 1e-5
    assert tight >= judge.clearance(path, tightness=1e-4) - 1.2e-3


@pytest.mark.parametrize("seed", range(8))
def test_motion_bounds_hold(seed: int) -> None:
    """Every vertex stays within `stray` of its chord, and travels no further than `travel`, seen from every body."""
    rng = np.random.default_rng(seed)
    robot = random_robot(rng, 6) if seed % 2 else load_robot("panda")
    arm = Arm(robot)
    path = random_path(rng, robot, 2, [0.02, 0.1, 0.4, 1.0][seed // 2])
    bound = arm.motion_bound(np.abs(path).max(axis=0))
    t = np.linspace(0, 1, 41)
    poses = arm.tree.poses(path[0] + t[:, None] * (path[1] - path[0]))
    rho = bound.axis_distance(poses)
    width = np.abs(path[1:] - path[:1])
    motion = bound.between(rho[:1], rho[-1:], width, np.zeros_like(width))
    for k in range(arm.moving):
        piece = arm.pieces[k]
        for f in range(piece.body):
            x = piece.polytope.vertices @ poses.R[:, piece.body].transpose(0, 2, 1) + poses.p[:, piece.body, None]
            x = (x - poses.p[:, f, None]) @ poses.R[:, f]
            chord = x[0] + t[:, None, None] * (x[-1] - x[0])
            assert np.linalg.norm(x - chord, axis=2).max() <= motion.stray[0, k, f]
            assert np.linalg.norm(np.diff(x, axis=0), axis=2).sum(axis=0).max() <= motion.travel[0, k, f]
        # The axis distances bound those of the vertices.
        x = piece.polytope.vertices @ poses.R[:, piece.body].transpose(0, 2, 1) + poses.p[:, piece.body, None]
        for j in range(piece.body):
            if robot.joints[j].kind == "revolute":
                offset = np.cross(poses.R[:, j + 1, None, :, 2], x - poses.p[:, j + 1, None])
                assert (np.linalg.norm(offset, axis=2).max(axis=1) <= rho[:, k, j] + 1e-12).all()
                assert rho[:, k, j].max() <= bound.reach[k, j] + 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_merged_waypoints_deviate_no_more_than_stated(seed: int) -> None:
    """A path of many short edges is judged in larger intervals: the bound must cover the waypoints left out."""
    rng = np.random.default_rng(seed)
    robot = load_robot("panda")
    arm = Arm(robot)
    path = random_path(rng, robot, 300, 0.2) + 0.003 * rng.normal(size=(300, 7))
    environment = Environment(random_scene(rng, 1, 1.0), np.eye(4))
    proof = Proof(arm, environment, arm.motion_bound(np.pi * np.ones(7)), path, None)
    intervals = proof.first_intervals()
    assert len(intervals) < 299
    assert (intervals.last[:-1] == intervals.first[1:]).all()
    assert intervals.first[0] == 0
    assert intervals.last[-1] == 299
    motion = proof.motion(intervals)
    for i in range(len(intervals)):
        a, b = proof.q[intervals.a[i]], proof.q[intervals.b[i]]
        inner = path[intervals.first[i] : intervals.last[i] + 1]
        ends, middle = arm.tree.poses(np.stack([a, b])), arm.tree.poses(inner)
        for k in range(arm.moving):
            body, vertices = arm.pieces[k].body, arm.pieces[k].polytope.vertices
            xa, xb = (vertices @ ends.R[e, body].T + ends.p[e, body] for e in (0, 1))
            x = vertices @ middle.R[:, body].transpose(0, 2, 1) + middle.p[:, body, None]
            t = np.clip(np.sum((x - xa) * (xb - xa), axis=2) / np.sum((xb - xa) ** 2, axis=1).clip(1e-12), 0, 1)
            off = np.linalg.norm(x - xa - t[..., None] * (xb - xa), axis=2)
            assert off.max() <= motion.stray[i, k, 0]


def test_best_direction_is_exact_for_boxes() -> None:
    """Two axis-aligned boxes overlap by the smallest of their three overlaps."""
    from validate_cases import BOX_CORNERS

    from edmp.geometry.shapes import Box
    from edmp.validate.pieces import Polytope, convex_of_shape

    rng = np.random.default_rng(3)
    for _ in range(30):
        a, b, p = rng.uniform(0.1, 1.0, 3), rng.uniform(0.1, 1.0, 3), rng.uniform(-0.5, 0.5, 3)
        overlap = 0.5 * (a + b) - np.abs(p)
        if (overlap < 0).any():
            continue
        B = convex_of_shape(Box(tuple(b)))
        gap, n = best_direction(Polytope.of(BOX_CORNERS * a), np.eye(3), p, B, np.empty((0, 3)))
        assert gap == pytest.approx(-overlap.min(), abs=1e-9)
        assert np.abs(n).argmax() == overlap.argmin()
