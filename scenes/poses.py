"""Poses of obstacles as (4, 4) arrays: from positions, quaternions (x, y, z, w) and roll-pitch-yaw, each checked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.robots.arguments import numbers
from edmp.robots.errors import InvalidInputError
from edmp.robots.transforms import quaternion_from_rotation, rotation_from_quaternion, rotation_from_rpy

Array = NDArray[np.float64]


QUATERNION_TOLERANCE = 1e-3
"""How far from 1 the norm of a quaternion may be; within it the quaternion is normalised."""


def pose(position: ArrayLike, quaternion: ArrayLike | None = None) -> Array:
    """(4, 4) pose from ``position`` (3,) [m] and unit ``quaternion`` (x, y, z, w), identity rotation if None.

    Raises:
        InvalidInputError: for non-finite numbers, wrong lengths, or a quaternion that is not of unit length.
    """
    X = np.eye(4)
    X[:3, 3] = finite_vector(position, 3, "position")
    if quaternion is not None:
        X[:3, :3] = rotation_from_quaternion(unit_quaternion(quaternion))
    return X


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
