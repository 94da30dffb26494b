"""Grasps that are made, and many poses reached at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edmp
from edmp.collision import World
from edmp.collision.reach import reach_poses
from edmp.geometry.distance import signed_distance
from edmp.robots import tool_pose

PANDA = edmp.load_robot("panda")
SHAPES = (edmp.Box((0.04, 0.06, 0.1)), edmp.Cylinder(0.03, 0.12), edmp.Sphere(0.03), edmp.Capsule(0.02, 0.08))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_grasps_are_antipodal_and_fit_the_gripper(shape: edmp.Sphere) -> None:
    """Going out from the tool to both sides, the way the fingers close, one leaves the object at the same time."""
    assert PANDA.gripper is not None
    grasps = edmp.grasps_for(shape, PANDA.gripper)
    X_OT, opening = np.asarray(grasps.X_OT), np.asarray(grasps.opening)
    assert len(grasps) >= 50
    assert (opening <= PANDA.gripper.widest).all()
    steps = np.linspace(0.0, 0.05, 501)
    for X, gap in zip(X_OT, opening, strict=True):
        left, right = (X[:3, 3] + side * steps[:, None] * X[:3, 1] for side in (1.0, -1.0))
        exits = [steps[(signed_distance(shape, torch.as_tensor(p)).numpy() > 1e-6).argmax()] for p in (left, right)]
        assert abs(exits[0] - exits[1]) < 3e-4
        assert 2 * max(exits) < gap


def test_what_does_not_fit_is_left_out() -> None:
    assert PANDA.gripper is not None
    assert len(edmp.grasps_for(edmp.Box((0.2, 0.2, 0.2)), PANDA.gripper)) == 0
    flat = edmp.grasps_for(edmp.Box((0.2, 0.2, 0.03)), PANDA.gripper)
    assert (np.abs(np.asarray(flat.X_OT)[:, 2, 1]) > 0.99).all()


def test_a_mesh_needs_grasps_of_ones_own() -> None:
    from plan_cases import TETRAHEDRON

    with pytest.raises(edmp.InvalidInputError, match="Mesh; give grasps of your own"):
        edmp.grasps_for(TETRAHEDRON, PANDA.gripper)


def test_many_poses_are_reached_at_once() -> None:
    rng = np.random.default_rng(0)
    limits = PANDA.limits
    q = rng.uniform(limits.lower, limits.upper, (60, 7))
    X_WT = tool_pose(PANDA, torch.as_tensor(q)).numpy()
    seeds = rng.uniform(limits.lower, limits.upper, (60, 8, 7))
    found, reached, _ = reach_poses(World.of(PANDA, edmp.Scene()), X_WT, seeds)
    assert reached.any(axis=1).mean() > 0.95
    there = tool_pose(PANDA, torch.as_tensor(found[reached])).numpy()
    wanted = np.repeat(X_WT[:, None], 8, axis=1)[reached]
    np.testing.assert_allclose(there, wanted, atol=3e-4)
    assert (found >= limits.lower).all()
    assert (found <= limits.upper).all()
