"""Bands in kernels: values by definition, gradients by finite differences, projection."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from edmp.collision.bands import MAX_BANDS, PackedBands
from edmp.collision.world import World
from edmp.constraints import (
    Band,
    BandKind,
    InBox,
    InSphere,
    JointRange,
    LookAt,
    OnLine,
    OnPlane,
    Oriented,
    Upright,
    bands_of,
)
from edmp.errors import InvalidInputError
from edmp.robots import load_robot
from edmp.robots.kinematics import body_poses
from edmp.scenes import Scene
from tests.branching_robot import branching_robot

ROBOTS = {"panda": lambda: load_robot("panda"), "ur5": lambda: load_robot("ur5"), "tree": branching_robot}


def band_value(robot, band: Band, q: np.ndarray) -> np.ndarray:
    """(n,) the value of ``band`` at ``q`` (n, dof), by its definition, in numpy."""
    if band.kind is BandKind.JOINT:
        return q[:, band.index]
    X_WF = body_poses(robot, torch.as_tensor(q)).numpy()[:, band.body] @ band.X_BF
    R, p = X_WF[:, :3, :3], X_WF[:, :3, 3]
    axis, away = R @ band.axis, p - band.point
    if band.kind is BandKind.ANGLE:
        return np.arccos(np.clip(axis @ band.direction, -1.0, 1.0))
    if band.kind is BandKind.COORDINATE:
        return away @ band.direction
    if band.kind is BandKind.OFFSET:
        return np.linalg.norm(away - np.outer(away @ band.direction, band.direction), axis=1)
    if band.kind is BandKind.GAZE:
        cosine = -np.sum(axis * away, axis=1) / np.linalg.norm(away, axis=1)
        return np.arccos(np.clip(cosine, -1.0, 1.0))
    return Rotation.from_matrix(band.rotation.T @ R).as_rotvec()[:, band.index]


def every_kind(robot):
    """One constraint of each kind, each of which holds at home."""
    X_WT = body_poses(robot, torch.as_tensor(robot.home)[None]).numpy()[0, robot.tool.body] @ robot.tool.X_BT
    R, p = X_WT[:3, :3], X_WT[:3, 3]
    axis = np.array((0.3, -0.2, 0.9))
    return [
        Upright(0.1, axis=axis, up=R @ axis),
        Oriented(R, (0.1, 0.2, 0.3)),
        InBox((0.1, 0.2, 0.3), X_WT),
        InSphere(0.05, p),
        OnPlane(p, normal=(0.2, 0.1, 1.0)),
        OnLine(p, (0.0, 1.0, 0.3)),
        LookAt(p + R @ (0.0, 0.3, 0.4), 0.1, axis=(0.0, 0.6, 0.8)),
        JointRange(robot.joint_names[2], robot.home[2] - 0.1, robot.home[2] + 0.05),
    ]


def random_rows(robot, num: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(robot.limits.lower, robot.limits.upper, (num, robot.dof))


@pytest.mark.parametrize("name", ROBOTS)
def test_values_and_gradients(name):
    robot = ROBOTS[name]()
    bands = bands_of(robot, every_kind(robot))
    assert {band.kind for band in bands} == set(BandKind)
    packed = PackedBands.of(World.of(robot, Scene()), bands)
    q = random_rows(robot, 200)
    value, gradient = (x[:, 0].numpy() for x in packed.values(torch.as_tensor(q, dtype=torch.float32)[:, None]))
    for k, band in enumerate(bands):
        exact = band_value(robot, band, q)
        # A rotation of almost half a turn may be read either way.
        clear = np.abs(exact) < (2.0 if band.kind is BandKind.ROTATION else np.inf)
        clear &= exact > (0.02 if band.kind in (BandKind.ANGLE, BandKind.GAZE, BandKind.OFFSET) else -np.inf)
        assert clear.mean() > 0.5
        np.testing.assert_allclose(value[clear, k], exact[clear], atol=2e-5)
        for j, step in enumerate(1e-5 * np.eye(robot.dof)):
            slope = (band_value(robot, band, q + step) - band_value(robot, band, q - step)) / 2e-5
            # A column of J^T; the sharpest bends of a gaze are close to the point that is looked at.
            smooth = clear & (np.abs(slope) < 5.0)
            np.testing.assert_allclose(gradient[smooth, k, j], slope[smooth], atol=5e-3)


@pytest.mark.parametrize("name", ROBOTS)
def test_projection(name):
    robot = ROBOTS[name]()
    limits = robot.limits
    near = 0.7 * robot.home + 0.3 * random_rows(robot, 40)
    for constraint in every_kind(robot):
        bands = bands_of(robot, [constraint])
        packed = PackedBands.of(World.of(robot, Scene()), bands)
        q, holds = packed.projected(near)
        assert holds.mean() > 0.6, str(constraint)
        np.testing.assert_allclose(q, q.clip(limits.lower, limits.upper), atol=1e-6)
        for band in bands:
            value = band_value(robot, band, q[holds])
            assert ((band.lower < value) & (value < band.upper)).all()
        inside, again = packed.projected(q[holds])
        assert again.all()
        np.testing.assert_array_equal(inside.astype(np.float32), q[holds].astype(np.float32))  # nothing to do


def test_room_of_the_kernels_is_told():
    robot = load_robot("panda")
    bands = bands_of(robot, [OnPlane((0, 0, 0))]) * (MAX_BANDS + 1)
    with pytest.raises(InvalidInputError, match=f"at most {MAX_BANDS}"):
        PackedBands.of(World.of(robot, Scene()), bands)
