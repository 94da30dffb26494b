"""Poses and rotations against an independent implementation."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from edmp.geometry.poses import quaternion_from_rotation, rotation_from_quaternion, rotation_from_rpy


def test_rotation_conversions_agree_with_scipy() -> None:
    for R in Rotation.random(50, random_state=0).as_matrix():
        np.testing.assert_allclose(rotation_from_quaternion(quaternion_from_rotation(R)), R, atol=1e-12)
    np.testing.assert_allclose(
        rotation_from_rpy([0.1, -0.4, 2.0]), Rotation.from_euler("xyz", [0.1, -0.4, 2.0]).as_matrix(), atol=1e-12
    )
