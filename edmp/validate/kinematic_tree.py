"""Forward kinematics and motion bounds of an arm, or a tree of arms, in numpy, of the judge's own.

Everything here is expressed in the frame of body 0 (the fixed base, frame 0); scenes are moved into it.

Motion bounds. A point ``p`` fixed to body ``m`` and seen from body ``f`` moves with the joints between the two only:
the chain from ``f`` to ``m``, in this order. If ``f`` does not carry ``m``, it leads down from ``f`` to the body that
carries both, and up from there; a joint that is passed downwards turns what follows about the same axis. While the
joints go straight from ``q_a`` to ``q_b`` (``w_j = |q_b - q_a|_j``, ``t`` from 0 to 1),

    |p'(t)|  <=  sum_j w_j rho_j                                         (the bound of Schwarzer, Saha, Latombe 2005)
    |p''(t)| <=  sum_j w_j rho_j (w_j + 2 sum_{i before j} w_i)          (revolute joints)

with ``rho_j`` the distance of ``p`` from axis ``j``, because ``d2p/dq_i dq_j = z_i x (z_j x (p - o_j))`` for i before
j. A sliding joint j has ``rho_j = 1`` and no second derivative of its own, nor does it turn what follows. So ``p(t)``
stays within ``max|p''| / 8`` of the straight segment from ``p(a)`` to ``p(b)``: for the short edges of a path this is a
few millimetres where the first bound says decimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.robots.robot import Robot

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Poses:
    """Poses of all bodies in the base frame: ``R`` (n, bodies, 3, 3) and ``p`` (n, bodies, 3)."""

    R: Array
    p: Array

    def then(self, other: Poses) -> Poses:
        return Poses(np.concatenate([self.R, other.R]), np.concatenate([self.p, other.p]))


class KinematicTree:
    """The joints of a robot as arrays."""

    def __init__(self, robot: Robot) -> None:
        X_PJ = np.array([joint.X_PJ for joint in robot.joints], dtype=np.float64).reshape(-1, 4, 4)
        self.R_PJ, self.p_PJ = X_PJ[:, :3, :3].copy(), X_PJ[:, :3, 3].copy()
        self.revolute = np.array([joint.kind == "revolute" for joint in robot.joints])
        self.dof = robot.dof
        self.parents, self.moves = robot.parents, robot.moves

    def poses(self, q: Array) -> Poses:
        """Poses of the dof + 1 bodies at configurations ``q`` (n, dof)."""
        n = len(q)
        R, p = np.empty((n, self.dof + 1, 3, 3)), np.empty((n, self.dof + 1, 3))
        R[:, 0], p[:, 0] = np.eye(3), 0.0
        cos, sin = np.cos(q), np.sin(q)
        for j, parent in enumerate(self.parents):
            R_WP = R[:, parent]
            A = (R_WP.reshape(-1, 3) @ self.R_PJ[j]).reshape(n, 3, 3)
            p[:, j + 1] = p[:, parent] + R_WP @ self.p_PJ[j]
            if self.revolute[j]:
                c, s = cos[:, j, None], sin[:, j, None]
                x, y = A[:, :, 0] * c + A[:, :, 1] * s, A[:, :, 1] * c - A[:, :, 0] * s
                A[:, :, 0], A[:, :, 1] = x, y
            else:
                p[:, j + 1] += A[:, :, 2] * q[:, j, None]
            R[:, j + 1] = A
        return Poses(R, p)

    def reach(self, body: int, vertices_B: Array, q_bound: Array) -> Array:
        """Upper bounds of the distance of the vertices of a piece from each joint axis, in every configuration.

        Args:
            body: the body that carries the piece.
            vertices_B: (V, 3) in that body's frame [m].
            q_bound: (dof,) largest absolute joint value; it matters for sliding joints only.

        Returns:
            (dof,) bounds [m]; 1 for sliding joints, 0 for joints that do not move the body.
        """
        reach = np.zeros(self.dof)
        if body == 0:
            return reach
        radial = np.linalg.norm(vertices_B[:, :2], axis=1).max()  # from the axis of the body's own joint
        distance = np.linalg.norm(vertices_B, axis=1).max()  # from the origin of the joint frame
        for j in self.joints_between(0, body)[::-1]:
            reach[j] = radial if self.revolute[j] else 1.0
            slide = 0.0 if self.revolute[j] else float(q_bound[j])
            # From frame j to the frame of the body that carries it (its own joint frame, after its motion).
            distance += slide
            radial = np.linalg.norm(self.p_PJ[j, :2]) + distance
            distance += np.linalg.norm(self.p_PJ[j])
        return reach

    def joints_between(self, f: int, m: int) -> list[int]:
        """The joints on the way from body ``f`` to body ``m``, in this order."""
        both = self.moves[:, f] & self.moves[:, m]
        down = np.flatnonzero(self.moves[:, f] & ~both)[::-1]
        return [*down.tolist(), *np.flatnonzero(self.moves[:, m] & ~both).tolist()]

    def length(self, joints: list[int], q_bound: Array) -> float:
        """How far the two ends of a chain of joints can be apart at most [m]; ``q_bound`` as for `reach`."""
        fixed = np.linalg.norm(self.p_PJ[joints], axis=1).sum() if joints else 0.0
        return float(fixed + sum(float(q_bound[j]) for j in joints if not self.revolute[j]))

    def reach_across(self, f: int, body: int, vertices_B: Array, q_bound: Array) -> Array:
        """As `reach`, seen from body ``f``: of every joint between the two, which no more than bound the distance.

        From the axis of a joint that is passed downwards it is no further to the piece than from a point of the axis,
        the origin of the body that the joint moves, over the body that carries both.
        """
        reach = np.zeros(self.dof)
        both = self.moves[:, f] & self.moves[:, body]
        up = np.flatnonzero(self.moves[:, body] & ~both).tolist()
        reach[up] = self.reach(body, vertices_B, q_bound)[up]
        beyond = self.length(up, q_bound) + np.linalg.norm(vertices_B, axis=1).max()
        down = np.flatnonzero(self.moves[:, f] & ~both)  # outwards
        for k, j in enumerate(down):
            reach[j] = beyond + self.length(down[: k + 1].tolist(), q_bound) if self.revolute[j] else 1.0
        return reach


@dataclass(frozen=True)
class PieceMotion:
    """How far the convex pieces can stray during each interval of a path.

    Attributes:
        stray: (intervals, pieces, dof + 1): seen from body f (last index), every point of the piece stays within this
            distance of the straight segment between its two end positions [m]. It holds for bodies that carry the
            piece, and those that `MotionBound` was told of.
        travel: same shape: no point travels further than this [m].
    """

    stray: Array
    travel: Array


class MotionBound:
    """Motion bounds for a fixed set of pieces.

    Args:
        tree: the joints.
        bodies: (pieces,) that carry them.
        centres_B, radii: (pieces, 3) and (pieces,) balls round them, in the frames of their bodies [m].
        reach: (pieces, dof) `KinematicTree.reach` of each.
        across: `KinematicTree.reach_across` by (piece, body), for bodies that see the piece without carrying it.
    """

    def __init__(
        self,
        tree: KinematicTree,
        bodies: NDArray[np.int64],
        centres_B: Array,
        radii: Array,
        reach: Array,
        across: Mapping[tuple[int, int], Array] | None = None,
    ) -> None:
        self.tree = tree
        self.bodies = bodies
        self.centres_B, self.radii = centres_B, radii
        self.reach = reach
        self.across = dict(across or {})
        self.moves = tree.moves.T[bodies]  # (pieces, dof): joint j moves the piece

    def seen_from(self, pieces: NDArray[np.int64], bodies: NDArray[np.int64]) -> Array:
        """(rows, dof) reach of each joint that moves ``pieces[r]`` as seen from body ``bodies[r]``; 0 of the others."""
        rows = np.zeros((len(pieces), self.tree.dof))
        for row, piece, f in zip(rows, pieces.tolist(), bodies.tolist(), strict=True):
            between = self.tree.joints_between(f, int(self.bodies[piece]))
            row[between] = self.across.get((piece, f), self.reach[piece])[between]
        return rows

    def axis_distance(self, poses: Poses) -> Array:
        """(n, pieces, dof): upper bound of the distance of any point of a piece from each axis [m]; 1 if sliding."""
        R_m, p_m = poses.R[:, self.bodies], poses.p[:, self.bodies]
        c = p_m + np.einsum("nhij,hj->nhi", R_m, self.centres_B)
        z, o = poses.R[:, 1:, :, 2], poses.p[:, 1:]
        # |z x (c - o)|^2 = |c - o|^2 - (z.(c - o))^2, written with products (n, h, 3) x (n, 3, j).
        along = c @ z.transpose(0, 2, 1) - np.sum(o * z, axis=2)[:, None, :]
        squared = (
            np.sum(c * c, axis=2)[:, :, None] - 2.0 * (c @ o.transpose(0, 2, 1)) + np.sum(o * o, axis=2)[:, None, :]
        )
        rho = np.sqrt(np.maximum(squared - along * along, 0.0)) + self.radii[:, None] + 1e-7
        rho = np.where(self.moves, np.minimum(rho, self.reach), rho)
        rho[:, :, ~self.tree.revolute] = 1.0
        return rho

    def between(self, rho_a: Array, rho_b: Array, width: Array, deviation: Array) -> PieceMotion:
        """Bounds over intervals.

        Args:
            rho_a: (intervals, pieces, dof) `axis_distance` where the interval begins.
            rho_b: the same where it ends.
            width: (intervals, dof) |q_b - q_a|.
            deviation: (intervals, dof): the path stays within this of the straight joint-space line, joint by joint.
        """
        w = width[:, None, :] * self.moves  # (intervals, pieces, dof)
        turning = np.where(self.tree.revolute, w, 0.0)
        # Joint j's axis distance changes with the later joints only: by at most their travel.
        travel_static = _suffix_sum(w * self.reach)
        rho = 0.5 * (rho_a + rho_b + travel_static[:, :, 1:])
        rho = np.where(self.tree.revolute, np.minimum(rho, self.reach), 1.0)
        before = np.cumsum(turning, axis=2) - turning  # sum over i < j
        step = w * rho
        first = _suffix_sum(step)
        second = _suffix_sum(step * (turning + 2.0 * before))
        before_f = np.concatenate([before, before[:, :, -1:] + turning[:, :, -1:]], axis=2)
        second = np.maximum(second - 2.0 * before_f * first, 0.0)
        bulge = _suffix_sum(deviation[:, None, :] * self.moves * self.reach)
        found = PieceMotion(stray=second / 8.0 + bulge + 1e-9, travel=first + 2.0 * bulge + 1e-9)
        for (piece, f), reach in self.across.items():
            order = self.tree.joints_between(f, int(self.bodies[piece]))
            ends = 0.5 * (rho_a[:, piece, order] + rho_b[:, piece, order])
            across = self._along(order, ends, width[:, order], reach[order], deviation[:, order])
            found.stray[:, piece, f], found.travel[:, piece, f] = across
        return found

    def _along(self, order: list[int], ends: Array, w: Array, reach: Array, deviation: Array) -> tuple[Array, Array]:
        """Stray and travel (intervals,) of one piece along a chain of joints in this order; columns are its joints."""
        revolute = self.tree.revolute[order]
        turning = np.where(revolute, w, 0.0)
        rho = ends + 0.5 * _suffix_sum(w * reach)[:, 1:]
        rho = np.where(revolute, np.minimum(rho, reach), 1.0)
        before = np.cumsum(turning, axis=1) - turning
        step = w * rho
        bulge = (deviation * reach).sum(axis=1)
        stray = (step * (turning + 2.0 * before)).sum(axis=1) / 8.0 + bulge + 1e-9
        return stray, step.sum(axis=1) + 2.0 * bulge + 1e-9


def _suffix_sum(x: Array) -> Array:
    """(..., d) -> (..., d + 1): sums over j >= f, for f = 0 .. d."""
    out = np.zeros((*x.shape[:-1], x.shape[-1] + 1))
    out[..., :-1] = np.cumsum(x[..., ::-1], axis=-1)[..., ::-1]
    return out
