"""How far off a free path the arm may be and still be free: the judge's proof, kept edge by edge.

For each edge of the path and each piece of the arm, `PathMargins.clearance` is a proven lower bound of the distance to
whatever the piece must not touch, at every configuration of the edge. A configuration q' that differs from one on the
edge by d moves no point of the piece by more than

    sum_j |d_j| (rho_j + sum_i |d_i| reach_i),

rho_j being the distance from axis j of the piece's farthest point anywhere on the edge (`edmp.validate.kinematic_tree`;
the inner sum is by how much rho_j changes on the way). While that is less than the clearance, q' is free, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate.bodies import Arm, Environment
from edmp.validate.path_table import Intervals
from edmp.validate.probe import Direction
from edmp.validate.proof import Proof

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_GROUP = 3
"""So many edges in a row share the directions that FCL proposes at the middle one, if they prove enough."""
_GOOD = 0.9
"""Enough is this share of the distance there."""


@dataclass(frozen=True, eq=False)
class PathMargins:
    """Margins of a path of n waypoints; R rows, one for each piece and the body that it is seen from.

    Attributes:
        path: (n, dof) [rad or m].
        links: (R,) name of the link of each row.
        clearance: (n - 1, R) proven distances [m]; at most what `path_margins` was asked to look at, and not positive
            where nothing is proven.
        rho: (n - 1, R, dof) largest distances of the piece from each axis along the edge [m]; 1 for sliding joints, 0
            for those that do not move the piece against the other.
        reach: (R, dof) the same, anywhere.
    """

    path: Array
    links: tuple[str, ...]
    clearance: Array
    rho: Array
    reach: Array

    def displacement(self, edges: Index, offsets: Array) -> Array:
        """(e, R) no point of a row's piece moves further than this [m], from edge ``edges[k]`` by ``offsets[k]``.

        Args:
            edges: (e,) edge numbers.
            offsets: (e, dof) from a configuration on the edge [rad or m].
        """
        d = np.abs(offsets)
        bulge = d.sum(axis=1)[:, None] * (d @ self.reach.T)
        return np.einsum("erj,ej->er", self.rho[edges], d) + bulge


def path_margins(
    robot: Robot, scene: Scene, path: ArrayLike, *, far: float = 0.05, touching: Collection[frozenset[str]] = ()
) -> PathMargins:
    """The margins of a path that the judge has found free.

    Args:
        robot, scene: as for `edmp.validate.Judge`.
        path: (n, dof), n at least 2, straight lines in joint space in between; short edges give good bounds [rad or m].
        far: distances beyond this do not matter and count as this [m].
        touching: pairs of a link and an obstacle, by name, that are left out: they may touch.
    """
    path = np.asarray(path, dtype=np.float64)
    if path.ndim != 2 or path.shape[1] != robot.dof or len(path) < 2 or not np.isfinite(path).all():
        raise InvalidInputError(f"expected finite (n, {robot.dof}) joint values, n at least 2, got shape {path.shape}")
    arm, environment = Arm.of(robot), Environment(scene, robot.X_W0)
    bound = arm.motion_bound(np.abs(path).max(axis=0) + far)
    proof = Proof(arm, environment, bound, path, None)
    ids, edges = proof.add(path), np.arange(len(path) - 1)
    intervals = Intervals(ids[:-1], ids[1:], edges, edges + 1, ids[:-1], np.zeros((len(edges), robot.dof)))
    proven = _proven(proof, intervals, far)
    if touching:
        may = [frozenset(proof.prober.names(one)[:2]) in touching for one in range(proof.env_pairs)]
        proven[:, np.flatnonzero(may)] = far

    # A row for each piece and the body that it is seen from: the base for obstacles, another body for other links.
    pairs = np.arange(proven.shape[1])
    moving, ref = proof.bodies_of(pairs)
    near = np.flatnonzero(proven.min(axis=0, initial=np.inf) < far)
    rows, row_of = np.unique(np.stack([moving[near], ref[near]]), axis=1, return_inverse=True)
    clearance = np.full((len(edges), rows.shape[1]), far)
    for pair, row in zip(near, row_of.reshape(-1), strict=True):
        np.minimum(clearance[:, row], proven[:, pair], out=clearance[:, row])
    pieces, seen_from = rows
    reach = bound.seen_from(pieces, seen_from)
    moves = reach > 0.0
    half = 0.5 * np.abs(np.diff(path, axis=0)) @ reach.T  # from the nearer end of the edge
    ends = np.maximum(proof.rho[ids[:-1]], proof.rho[ids[1:]])[:, pieces]
    rho = np.where(moves, np.minimum(ends + half[:, :, None], np.maximum(reach, ends)), 0.0)
    links = tuple(robot.links[arm.pieces[k].link].name for k in pieces)
    return PathMargins(path, links, clearance, rho, reach)


def _proven(proof: Proof, intervals: Intervals, far: float) -> Array:
    """(intervals, pairs) proven distances, cut off at ``far`` [m]."""
    motion = proof.motion(intervals)
    boxes = proof._boxes(intervals, motion).reshape(len(intervals), -1)
    score = np.concatenate([boxes, proof._spheres(intervals, motion)], axis=1)
    for pair in np.flatnonzero((score < far).any(axis=0)):
        items = np.flatnonzero(score[:, pair] < far)
        for apart in (_GROUP, 1):
            group = np.minimum(items // apart * apart + apart // 2, len(intervals) - 1)
            directions = {c: proof.prober.separate(proof.poses, int(intervals.a[c]), int(pair)) for c in set(group)}
            answers = [directions[c] for c in group]
            if proof.prober.is_crowd(int(pair)):  # a direction is of one part only, the distance is of all
                answers = [dataclasses.replace(one, n=np.zeros(3)) for one in answers]
            free = np.array([isinstance(answer, Direction) for answer in answers])
            kept, found = items[free], [answer for answer in answers if isinstance(answer, Direction)]
            if found:
                bounds = proof._bounds(intervals, motion, kept, np.full(len(kept), pair), found)
                score[kept, pair] = np.maximum(score[kept, pair], bounds)
            # Where a direction from next door proves much less than there is, ask at the edge itself.
            distance = np.array([answer.distance if isinstance(answer, Direction) else np.inf for answer in answers])
            items = items[score[items, pair] < np.minimum(_GOOD * distance, far)]
            if not len(items):
                break
    return np.minimum(score, far)
