"""The third checker: what a constraint says, at samples 1 mrad apart, by its definition, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from edmp.constraints import Band, BandKind, Constraint, bands_of
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot

Array = NDArray[np.float64]


def band_value(robot: Robot, band: Band, q: Array) -> Array:
    """(n,) the value of ``band`` at ``q`` (n, dof)."""
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


def dense(path: Array, *, step: float = 1e-3) -> Array:
    """(n, dof) the polyline ``path``, no joint moving farther than ``step`` [rad or m] between samples."""
    at = np.concatenate([[0.0], np.abs(np.diff(path, axis=0)).max(axis=1).cumsum()])
    s = np.union1d(np.linspace(0.0, at[-1], 2 + int(at[-1] / step)), at)
    return np.stack([np.interp(s, at, column) for column in path.T], axis=1)


def worst_violation(robot: Robot, constraints: Sequence[Constraint], path: Array) -> float:
    """How far out of its worst band the polyline ``path`` (n, dof) gets; negative where it stays inside all."""
    q = dense(path)
    worst = -np.inf
    for band in bands_of(robot, constraints):
        value = band_value(robot, band, q)
        worst = max(worst, float((value - band.upper).max()), float((band.lower - value).max()))
    return worst
