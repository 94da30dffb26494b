"""A second, dumb checker of constraints: look at a path every milliradian. For benchmarks and tests.

It shares nothing with the judge's proof but the data: homogeneous transforms one joint at a time over all samples, each
band's value from its definition, FCL's distance for `KeepDistance`. What it does not see between its samples it misses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from edmp.constraints import Band, BandKind, Constraint, KeepDistance
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate.dense import dense_distances, dense_samples

Array = NDArray[np.float64]

CONSTRAINT_STEP = 1e-3
"""No joint moves more than this between two looks [rad or m]."""

ROUNDING = 1e-9
"""What both sides of a bound may differ by from rounding alone [unit of the value]."""


@dataclass(frozen=True, eq=False)
class Breach:
    """The worst sample of a path at which a constraint does not hold.

    Attributes:
        constraint: which.
        excess: how far out of its band the worst of its values is [rad or m].
        edge: of the path.
        q: (dof,) the sample.
        samples: at how many of all samples it does not hold.
    """

    constraint: Constraint
    excess: float
    edge: int
    q: Array
    samples: int

    def __str__(self) -> str:
        return f"{self.constraint}: out by {self.excess:.3g} on edge {self.edge}, at {self.samples} samples"


def dense_breaches(
    robot: Robot, scene: Scene, constraints: Sequence[Constraint], path: Array, step: float = CONSTRAINT_STEP
) -> list[Breach]:
    """The constraints that a path breaks at some sample, each at its worst.

    Args:
        robot, scene: what the constraints are about.
        constraints: what has to hold all along.
        path: (n, dof) waypoints with straight edges between them [rad or m].
        step: no joint moves more than this between samples [rad or m].
    """
    samples, edges = dense_samples(np.atleast_2d(path), step)
    breaches = []
    for constraint in constraints:
        if isinstance(constraint, KeepDistance):
            apart = dense_distances(robot, scene, constraint.obstacle, samples)
            excess = constraint.distance - apart
        else:
            excess = np.max([_excess(robot, band, samples) for band in constraint.bands(robot)], axis=0, initial=0.0)
        worst = int(excess.argmax())
        if excess[worst] > ROUNDING:
            count = int((excess > ROUNDING).sum())
            breaches.append(Breach(constraint, float(excess[worst]), int(edges[worst]), samples[worst], count))
    return breaches


def _excess(robot: Robot, band: Band, q: Array) -> Array:
    """(m,) how far outside a band each configuration of ``q`` (m, dof) is; negative within it."""
    value = q[:, band.index] if band.kind is BandKind.JOINT else _VALUES[band.kind](band, _frame(robot, band, q))
    return np.maximum(value - band.upper, band.lower - value)


def _frame(robot: Robot, band: Band, q: Array) -> Array:
    """(m, 4, 4) pose X_WF of the band's frame at each configuration."""
    carried_by = []
    body = band.body
    while body > 0:
        carried_by.append(body - 1)
        body = robot.parents[body - 1]
    X = np.tile(np.asarray(robot.X_W0, dtype=np.float64), (len(q), 1, 1))
    for i in reversed(carried_by):
        X_JB = np.tile(np.eye(4), (len(q), 1, 1))
        if robot.joints[i].kind == "prismatic":
            X_JB[:, 2, 3] = q[:, i]
        else:
            c, s = np.cos(q[:, i]), np.sin(q[:, i])
            X_JB[:, 0, 0], X_JB[:, 0, 1], X_JB[:, 1, 0], X_JB[:, 1, 1] = c, -s, s, c
        X = X @ robot.joints[i].X_PJ @ X_JB
    return X @ band.X_BF


def _between(a: Array, b: Array) -> Array:
    """(m,) angles between the vectors ``a`` and ``b`` (m, 3)."""
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1))


def _offset(band: Band, X_WF: Array) -> Array:
    v = X_WF[:, :3, 3] - band.point
    return np.linalg.norm(v - (v @ band.direction)[:, None] * band.direction, axis=1)


_VALUES: dict[BandKind, Callable[[Band, Array], Array]] = {
    BandKind.ANGLE: lambda band, X: _between(X[:, :3, :3] @ band.axis, band.direction[None]),
    BandKind.COORDINATE: lambda band, X: (X[:, :3, 3] - band.point) @ band.direction,
    BandKind.OFFSET: _offset,
    BandKind.ROTATION: lambda band, X: Rotation.from_matrix(band.rotation.T @ X[:, :3, :3]).as_rotvec()[:, band.index],
    BandKind.GAZE: lambda band, X: _between(X[:, :3, :3] @ band.axis, band.point - X[:, :3, 3]),
}
"""The value of each kind of band, from its definition, at frames (m, 4, 4)."""
