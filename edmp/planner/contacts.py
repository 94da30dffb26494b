"""Leaving and meeting what is touched: short straight motions of the tool before and after what is searched for.

The sphere model cannot tell a block that rests on its table from one that is pressed into it. Where a motion begins or
ends in a contact that is allowed, it is taken straight away from there, without turning, as far as the spheres need;
between these places the planner searches as ever, and the judge sees the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.errors import unknown_name
from edmp.planner.goals import Query, Refusal
from edmp.result import Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate import Contact, Judge
from edmp.validate.contacts import REST_TOLERANCE
from edmp.validate.kinematic_tree import KinematicTree

Array = NDArray[np.float64]

_HEIGHTS = (0.03, 0.015, 0.006)
"""How far away to go, if there is room [m]."""
_SHARES = np.array([0.0, 0.1, 0.25, 0.45, 0.7, 1.0])
"""Where the control points stand along that."""


def check_names(robot: Robot, scene: Scene) -> None:
    """Every obstacle that the robot may touch must be there.

    Raises:
        UnknownNameError: one is not.
    """
    for contact in robot.allowed_contacts:
        if contact.obstacle not in scene:
            what = f"obstacle of this scene, or link, that {contact.link!r} may touch:"
            raise unknown_name(what, contact.obstacle, (*scene.names, *robot.link_names))


def leave_contacts(query: Query, judge: Judge) -> Query | Refusal:
    """The query, between places that are clear of what its start and goals touch; the same if they touch nothing."""
    if judge.clear(np.vstack([query.start, query.goals])).all():
        return query
    resting = judge.check(query.start).allowed
    touched = [judge.check(goal).allowed for goal in query.goals]
    if not resting and not any(touched):
        return query
    depth = {(contact.link, contact.other): contact.depth for contact in resting}
    keep = []
    for row, contacts in enumerate(touched):
        deep = [c for c in contacts if c.depth > depth.get((c.link, c.other), 0.0) + REST_TOLERANCE]
        if not deep:
            keep.append(row)
        elif row == len(touched) - 1 and not keep:
            return Refusal(Status.GOAL_IN_COLLISION, f"goal: {deep[0].message()}, which is deeper than at the start")
    departure = _away(judge, query.start, resting) if query.departure is None else query.departure
    arrivals = [_away(judge, query.goals[row], touched[row])[::-1] for row in keep]
    return query.between(departure, keep, arrivals)


def _away(judge: Judge, q: Array, contacts: Sequence[Contact]) -> Array:
    """(n, dof) from ``q`` straight away from what it touches; ``q`` alone if it touches nothing, or cannot."""
    pushes = [(contact, contact.direction) for contact in contacts if contact.direction is not None]
    direction = sum((push for _, push in pushes), np.zeros(3))
    if not np.linalg.norm(direction) > 1e-3:
        return q[None]
    direction = direction / np.linalg.norm(direction)
    robot = judge.robot
    body = max(robot.links[robot.link_index(contact.link)].body for contact, _ in pushes)
    for height in _HEIGHTS:
        for turning in (False, True):  # an arm with few joints cannot but turn
            points = _straight(robot, q, body, height * _SHARES[:, None] * direction, turning=turning)
            if points is None:
                continue
            there = judge.check(points[-1])
            if there.valid and not there.allowed and judge.check_path(points).valid:
                return points
    return q[None]


def _straight(robot: Robot, q: Array, body: int, shift_W: Array, *, turning: bool) -> Array | None:
    """(n, dof) configurations that move a body by ``shift_W`` (n, 3) from where it is at ``q``, by Newton's method."""
    tree, limits = KinematicTree(robot), robot.limits
    here = tree.poses(q[None])
    R, p = here.R[0, body], here.p[0, body]
    points = [q]
    for shift in shift_W[1:] @ robot.X_W0[:3, :3]:
        q = points[-1].copy()
        for _ in range(20):
            poses = tree.poses(q[None])
            turn = R @ poses.R[0, body].T
            error = p + shift - poses.p[0, body]
            J = _jacobian(tree, poses.R[0], poses.p[0], body)
            if not turning:
                error = np.append(error, 0.5 * (turn - turn.T)[[2, 0, 1], [1, 2, 0]])
            else:
                J = J[:3]
            if np.abs(error).max() < 1e-9:
                break
            q = q + np.linalg.pinv(J, rcond=1e-4) @ error
        else:
            return None
        if (q < limits.lower).any() or (q > limits.upper).any() or np.abs(q - points[-1]).max() > 0.3:
            return None
        points.append(q)
    return np.array(points)


def _jacobian(tree: KinematicTree, R: Array, p: Array, body: int) -> Array:
    """(6, dof) velocity of the origin of a body, and its turning, in the base frame."""
    J = np.zeros((6, tree.dof))
    for j in np.flatnonzero(tree.moves[:, body]):
        axis = R[j + 1][:, 2]
        J[:3, j] = np.cross(axis, p[body] - p[j + 1]) if tree.revolute[j] else axis
        J[3:, j] = axis if tree.revolute[j] else 0.0
    return J
