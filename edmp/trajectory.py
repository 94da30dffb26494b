"""`Trajectory`: a timed joint motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Joint motion over time, sampled.

    Attributes:
        joint_names: (dof) names, the column order of the arrays.
        times: (n,) strictly increasing, from 0 [s].
        positions: (n, dof) [rad or m].
        velocities: (n, dof) [rad/s or m/s].
        accelerations: (n, dof) [rad/s^2 or m/s^2].
    """

    joint_names: tuple[str, ...]
    times: Array
    positions: Array
    velocities: Array
    accelerations: Array

    @property
    def duration(self) -> float:
        """[s]"""
        return float(self.times[-1])


def path_length(path: Array) -> float:
    """Joint-space length of a polyline (n, dof): the sum of the Euclidean norms of its edges [rad]."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
