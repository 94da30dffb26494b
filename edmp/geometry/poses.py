"""Rigid transforms as (4, 4) arrays: from and to positions, quaternions (x, y, z, w), roll-pitch-yaw and rotations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import numbers, shown
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

RIGID_TOLERANCE = 1e-5
"""How far from orthonormal, entry by entry, the rotation part of a pose may be."""
QUATERNION_TOLERANCE = 1e-3
"""How far from 1 the norm of a quaternion may be; within it the quaternion is normalised."""
FARTHEST = 1e6
"""Nothing is farther from the origin, or longer, than this [m]: beyond, distances overflow or mean nothing."""


def pose(position: ArrayLike = (0.0, 0.0, 0.0), rotation: ArrayLike | None = None) -> Array:
    """(4, 4) pose from a position (3,) [m] and a rotation: a unit quaternion (x, y, z, w), a matrix (3, 3), or none.

    Raises:
        InvalidInputError: for non-finite numbers, wrong lengths, or a quaternion that is not of unit length. Whether a
            matrix is a rotation is asked by `rigid`.
    """
    X = np.eye(4)
    X[:3, 3] = finite_vector(position, 3, "position")
    if rotation is not None:
        X[:3, :3] = _rotation(rotation)
    return X


def _rotation(given: ArrayLike) -> Array:
    if isinstance(given, np.ndarray) and given.shape == (3, 3):
        return given
    return rotation_from_quaternion(unit_quaternion(given))


def pose_rpy(position: ArrayLike, rpy: ArrayLike) -> Array:
    """(4, 4) pose from ``position`` [m] and fixed-axis roll, pitch, yaw [rad]: R = Rz(yaw) Ry(pitch) Rx(roll)."""
    X = pose(position)
    X[:3, :3] = rotation_from_rpy(finite_vector(rpy, 3, "rpy"))
    return X


def finite_vector(value: ArrayLike, length: int, what: str) -> Array:
    """``value`` as a finite float array (length,), or an `InvalidInputError` naming ``what``."""
    vector = numbers(value)
    if vector is None:
        raise InvalidInputError(f"{what} must be {length} numbers, got {value!r}")
    if vector.shape != (length,):
        raise InvalidInputError(f"{what} must be {length} numbers, got shape {vector.shape}: {value!r}")
    if not np.isfinite(vector).all():
        raise InvalidInputError(f"{what} must be finite, got {vector.tolist()}")
    return vector


def unit_quaternion(quaternion: ArrayLike) -> Array:
    """(4,) the quaternion (x, y, z, w), normalised; refused if its norm is off by more than the tolerance."""
    q = finite_vector(quaternion, 4, "quaternion (x, y, z, w)")
    norm = float(np.linalg.norm(q))
    if abs(norm - 1.0) > QUATERNION_TOLERANCE:
        raise InvalidInputError(f"quaternion (x, y, z, w) must have unit length, got {q.tolist()} of length {norm:.6g}")
    return q / norm


def quaternion_of(X: ArrayLike) -> Array:
    """(4,) unit quaternion (x, y, z, w), w >= 0, of the rotation of a pose (4, 4)."""
    return quaternion_from_rotation(np.asarray(X, dtype=np.float64)[:3, :3])


def pose_yaw(position: Sequence[float], yaw: float) -> Array:
    """(4, 4) pose at ``position`` [m], turned about z by ``yaw`` [rad]; unchecked, for generators."""
    c, s = math.cos(yaw), math.sin(yaw)
    x, y, z = position
    return np.array([[c, -s, 0.0, x], [s, c, 0.0, y], [0.0, 0.0, 1.0, z], [0.0, 0.0, 0.0, 1.0]])


def rotation_from_rpy(rpy: ArrayLike) -> Array:
    """(3, 3) from roll, pitch, yaw [rad] about the fixed axes x, y, z, in this order (the URDF's convention)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rotation_from_quaternion(quaternion: ArrayLike) -> Array:
    """(3, 3) from a unit quaternion (x, y, z, w)."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(R: ArrayLike) -> Array:
    """(4,) unit quaternion (x, y, z, w), w >= 0, of a rotation matrix (3, 3)."""
    R = np.asarray(R, dtype=np.float64)
    # The symmetric matrix whose leading eigenvector is the quaternion (Bar-Itzhack 2000): no case distinction.
    K = np.array(
        [
            [R[0, 0] - R[1, 1] - R[2, 2], R[1, 0] + R[0, 1], R[2, 0] + R[0, 2], R[2, 1] - R[1, 2]],
            [R[1, 0] + R[0, 1], R[1, 1] - R[0, 0] - R[2, 2], R[2, 1] + R[1, 2], R[0, 2] - R[2, 0]],
            [R[2, 0] + R[0, 2], R[2, 1] + R[1, 2], R[2, 2] - R[0, 0] - R[1, 1], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], np.trace(R)],
        ]
    )
    quaternion = np.linalg.eigh(K)[1][:, -1]
    return quaternion if quaternion[3] >= 0 else -quaternion


def rpy_from_rotation(R: ArrayLike) -> Array:
    """(3,) roll, pitch, yaw [rad] of a rotation matrix; at the singularity the yaw is zero."""
    R = np.asarray(R, dtype=np.float64)
    horizontal = np.hypot(R[0, 0], R[1, 0])
    if horizontal < 1e-9:
        return np.array([np.arctan2(-R[1, 2], R[1, 1]) * 1.0, np.arctan2(-R[2, 0], horizontal), 0.0])
    return np.array([np.arctan2(R[2, 1], R[2, 2]), np.arctan2(-R[2, 0], horizontal), np.arctan2(R[1, 0], R[0, 0])])


def inverse(X: Array) -> Array:
    """(..., 4, 4) inverse of rigid transforms."""
    R_T = np.swapaxes(X[..., :3, :3], -1, -2)
    inverted = np.zeros_like(X)
    inverted[..., :3, :3] = R_T
    inverted[..., :3, 3] = -(R_T @ X[..., :3, 3, None])[..., 0]
    inverted[..., 3, 3] = 1.0
    return inverted


def apply(X: Array, points: Array) -> Array:
    """(n, 3) points mapped by one transform X (4, 4)."""
    return points @ X[:3, :3].T + X[:3, 3]


def rotation_to_z(axis: ArrayLike) -> Array:
    """(3, 3) rotation R whose z column is ``axis`` (3,), the shortest turn from z; identity for z itself."""
    z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    if z[2] < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    # Rodrigues' formula for the turn from e_z to z.
    v = np.array([-z[1], z[0], 0.0])
    skew = np.array([[0.0, 0.0, v[1]], [0.0, 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.eye(3) + skew + skew @ skew / (1 + z[2])


def rigid(given: ArrayLike, what: str) -> Array:
    """``given`` copied to a float (4, 4) array, or an `InvalidInputError` that says why ``what`` is no rigid pose."""
    X = numbers(given)
    if X is None:
        raise InvalidInputError(f"{what} must be a (4, 4) pose of numbers, got {shown(given)}")
    if X.shape != (4, 4):
        raise InvalidInputError(f"{what} must be a (4, 4) pose, got shape {X.shape}")
    if not np.isfinite(X).all():
        raise InvalidInputError(f"{what} must be finite, got {X.tolist()}")
    if np.abs(X[:3, 3]).max() > FARTHEST:
        raise InvalidInputError(f"{what} must be within {FARTHEST:.0e} m of the origin, got p = {X[:3, 3].tolist()} m")
    if np.abs(X[3] - (0, 0, 0, 1)).max() > RIGID_TOLERANCE:
        raise InvalidInputError(f"{what} is not rigid: its last row must be 0 0 0 1, got {X[3].tolist()}")
    R = X[:3, :3]
    error = float(np.abs(R.T @ R - np.eye(3)).max())
    if error > RIGID_TOLERANCE:
        raise InvalidInputError(f"{what} is not rigid: R^T R is off the identity by {error:.3g}, R = {R.tolist()}")
    if np.linalg.det(R) < 0:
        raise InvalidInputError(f"{what} is not rigid: its rotation mirrors (determinant -1), R = {R.tolist()}")
    return X
