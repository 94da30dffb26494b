"""A third, dumb checker of constraints: look at the motion every milliradian, and ask of each what it says.

It knows the kinds, not their bands, and shares nothing with the judge or the planner but the data: transforms one joint
at a time, each constraint by its definition, FCL's distances. What lies between its samples it misses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import fcl
import numpy as np

from edmp.constraints import (
    Constraint,
    InBox,
    InRegion,
    InSphere,
    JointRange,
    KeepDistance,
    LookAt,
    OnLine,
    OnPlane,
    Oriented,
    Upright,
)
from edmp.robots.robot import Robot
from edmp.scenes import Scene
from edmp.validate.dense import _body_poses, _geometry, _hull, _transform, dense_samples

Array = np.ndarray


def excesses(
    robot: Robot, scene: Scene, constraints: Sequence[Constraint], path: Array, *, step: float = 1e-3
) -> list[float]:
    """By how much each constraint is broken at the worst sample; negative: what is left at the least [rad or m].

    Args:
        robot, scene, constraints: as for `edmp.plan`.
        path: (n, dof) waypoints, straight in joint space between them [rad or m].
        step: no joint moves more than this between samples [rad or m].
    """
    samples, _ = dense_samples(np.atleast_2d(np.asarray(path, dtype=np.float64)), step)
    worst = [-math.inf] * len(constraints)
    for q in samples:
        X_WB = _body_poses(robot, q)
        for k, constraint in enumerate(constraints):
            worst[k] = max(worst[k], excess(robot, scene, constraint, q, X_WB))
    return worst


def excess(robot: Robot, scene: Scene, constraint: Constraint, q: Array, X_WB: Sequence[Array]) -> float:
    """By how much ``constraint`` is broken at ``q`` (dof,), with body poses ``X_WB``; negative: what is left."""
    match constraint:
        case JointRange():
            value = q[robot.joint_names.index(constraint.joint)]
            return float(max(constraint.lower - value, value - constraint.upper))
        case KeepDistance():
            return constraint.distance - _distance(robot, scene, constraint.obstacle, X_WB)
    X_WF = _frame(robot, constraint.frame, X_WB)  # type: ignore[attr-defined]
    R, p = X_WF[:3, :3], X_WF[:3, 3]
    p = p + R @ getattr(constraint, "offset", np.zeros(3))
    match constraint:
        case Upright():
            return _angle(R @ constraint.axis, constraint.up) - constraint.tolerance
        case Oriented():
            return max(float(x) for x in np.abs(_rotation_vector(constraint.rotation.T @ R)) - constraint.tolerance)
        case InBox():
            p_O = np.linalg.inv(constraint.X_WO) @ np.append(p, 1.0)
            return max(float(x) for x in np.abs(p_O[:3]) - 0.5 * np.asarray(constraint.size))
        case InSphere():
            return float(np.linalg.norm(p - constraint.point)) - constraint.radius
        case InRegion():
            region = scene.region(constraint.region)
            p_R = np.linalg.inv(region.X_WR) @ np.append(p, 1.0)
            return max(float(x) for x in np.abs(p_R[:3]) - 0.5 * region.size)
        case OnPlane():
            return abs(float(constraint.normal @ (p - constraint.point))) - constraint.tolerance
        case OnLine():
            return float(np.linalg.norm(np.cross(constraint.direction, p - constraint.point))) - constraint.tolerance
        case LookAt():
            return _angle(R @ constraint.axis, constraint.point - p) - constraint.tolerance
    raise AssertionError(f"the checker does not know {constraint}")


def _frame(robot: Robot, name: str | None, X_WB: Sequence[Array]) -> Array:
    if name is None:
        return X_WB[robot.tool.body] @ robot.tool.X_BT
    for tool in robot.tools:
        if tool.name == name:
            return X_WB[tool.body] @ tool.X_BT
    link = next(link for link in robot.links if link.name == name)
    return X_WB[link.body] @ link.X_BL


def _angle(a: Array, b: Array) -> float:
    """By the half-angle formula (Kahan 2006), which loses no digits."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2.0 * math.atan2(float(np.linalg.norm(a - b)), float(np.linalg.norm(a + b)))


def _rotation_vector(R: Array) -> Array:
    s = 0.5 * np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    sine, cosine = float(np.linalg.norm(s)), 0.5 * (float(np.trace(R)) - 1.0)
    return s if sine < 1e-9 else s * (math.atan2(sine, cosine) / sine)


def _distance(robot: Robot, scene: Scene, obstacle: str, X_WB: Sequence[Array]) -> float:
    other = fcl.CollisionObject(_geometry(scene[obstacle].shape), _transform(scene[obstacle].X_WO))
    nearest = math.inf
    for body, hull in _moving(robot):
        piece = fcl.CollisionObject(hull, _transform(X_WB[body]))
        nearest = min(nearest, fcl.distance(piece, other, fcl.DistanceRequest(), fcl.DistanceResult()))
    return nearest


def _moving(robot: Robot) -> Iterable[tuple[int, fcl.CollisionGeometry]]:
    if robot not in _HULLS:
        links = [link for link in robot.links if link.body > 0]
        _HULLS[robot] = [(link.body, _hull(points)) for link in links for points in link.hulls_B]
    return _HULLS[robot]


_HULLS: dict[Robot, list[tuple[int, fcl.CollisionGeometry]]] = {}
