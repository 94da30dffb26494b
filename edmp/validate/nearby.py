"""What is near at one configuration, how near, and how the motion of the joints changes that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.validate.probe import Direction, Key, Touch
from edmp.validate.proof import Proof

Array = NDArray[np.float64]

_NEARLY, _AT_MOST = 1e-3, 6
"""Vertices of a piece are as good as the nearest if they are nearer than this [m], and how many of them are taken."""
_DEEPEST = 0.1
"""Depths in meshes that are not convex are looked for up to here [m]."""


@dataclass(frozen=True, eq=False)
class Near:
    """A convex piece of a link near an obstacle, or near a piece of another link.

    Attributes:
        link, other, with_self: as of a `Contact`.
        key: the pair, as told from all others.
        distance: signed [m]; minus the depth of a contact.
        away: (3,) where the piece has to move to get away, in the world.
        moves: (k, 3, dof) how its k nearest points move with the joints, as seen from the other, in the world [m/rad,
            or m/m].
    """

    link: str
    other: str
    with_self: bool
    key: Key
    distance: float
    away: Array
    moves: Array

    @property
    def rates(self) -> Array:
        """(k, dof) how fast each of these points gets away."""
        return np.einsum("i,kij->kj", self.away, self.moves)


def near_pairs(proof: Proof, within: float) -> tuple[Near, ...]:
    """What is within a distance [m] at the first configuration of a proof's path."""
    found = (_near(proof, pair, answer) for pair, answer in proof.close(within))
    return tuple(one for one in found if one.distance <= within)


def _near(proof: Proof, pair: int, answer: Touch | Direction) -> Near:
    prober, poses, arm = proof.prober, proof.poses, proof.arm
    distance = answer.distance if isinstance(answer, Direction) else answer.gap
    n_f = answer.n
    if not n_f.any():  # a mesh that is not convex
        if isinstance(answer, Direction):
            n_f = prober.solid_direction(poses, 0, pair)
        else:
            depth, n_f = prober.excess(poses, answer, _DEEPEST) or (_DEEPEST, n_f)
            distance = -depth
    (moving,), (ref,) = (one.tolist() for one in proof.bodies_of(np.array([pair])))
    piece = arm.pieces[moving]
    R, p = poses.R[0], poses.p[0]
    n = R[ref] @ n_f
    points = piece.polytope.vertices @ R[piece.body].T + p[piece.body]
    height = points @ n
    chosen = np.argsort(height, kind="stable")[:_AT_MOST]
    points = points[chosen[height[chosen] <= height.min() + _NEARLY]]
    tree, R_W0 = arm.tree, arm.robot.X_W0[:3, :3]
    moves = np.zeros((len(points), 3, tree.dof))
    for j in np.flatnonzero(tree.moves[:, piece.body] != tree.moves[:, ref]):
        axis = R[j + 1][:, 2]
        turn = np.cross(axis, points - p[j + 1]) if tree.revolute[j] else np.tile(axis, (len(points), 1))
        moves[:, :, j] = (turn if tree.moves[j, piece.body] else -turn) @ R_W0.T
    return Near(*prober.names(pair), prober.key(pair), distance, R_W0 @ n, moves)
