"""Links that rest on each other at home: their fitted pieces are parted, so that home is free.

A fit reaches a little over its mesh, and many arms are folded at home until links touch, or their meshes even overlap
by a fraction of a millimetre. Where a plane parts the meshes, the pieces are cut along it and lose nothing. Where the
meshes themselves overlap a little, the outer link is cut back by that much. The pair stays checked everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.spatial import HalfspaceIntersection, QhullError

from edmp.geometry.poses import apply
from edmp.robots.hull_fit import halfspaces, rounded_outward
from edmp.robots.kinematics import body_poses
from edmp.robots.parts import Array
from edmp.robots.robot import Robot

DEEPEST = 2e-3
"""Meshes that overlap by more than this at home do not just touch [m]."""

GAP = 1e-4
"""Left between pieces that are parted [m]."""


def part_at_home(
    robot: Robot,
    pairs: Sequence[tuple[int, int]],
    hulls: Mapping[str, list[Array]],
    points: Mapping[str, Sequence[Array]],
) -> list[str]:
    """Cut the pieces that overlap at home.

    Args:
        robot: with the pieces ``hulls`` as its geometry.
        pairs: of links that are checked for collisions.
        hulls: vertices of the fitted pieces of each link that may be cut, in its frame [m]; changed in place.
        points: what each of those pieces must contain, in the link's frame [m].

    Returns:
        a sentence for each pair of links of which a mesh was cut, or which overlap by more than `DEEPEST`.
    """
    X_WB = body_poses(robot, torch.as_tensor(robot.home)[None]).numpy()[0]
    bodies = {link.name: link.body for link in robot.links}
    X_WL = {link.name: X_WB[link.body] @ link.X_BL for link in robot.links}
    notes = []
    for i, j in pairs:
        inner, outer = sorted((robot.links[i].name, robot.links[j].name), key=lambda name: bodies[name])
        if inner not in hulls or outer not in hulls:
            continue
        X_OI = np.linalg.inv(X_WL[outer]) @ X_WL[inner]
        overlap = 0.0
        for a in range(len(hulls[inner])):
            for b in range(len(hulls[outer])):
                fits = apply(X_OI, hulls[inner][a]), hulls[outer][b]
                meshes = apply(X_OI, points[inner][a]), points[outer][b]
                parted, lost = _parted(fits, meshes)
                overlap = max(overlap, lost)
                if parted is not None:
                    hulls[inner][a] = rounded_outward(apply(np.linalg.inv(X_OI), parted[0]))
                    hulls[outer][b] = rounded_outward(parted[1])
        if overlap > DEEPEST:
            notes.append(
                f"{inner} and {outer} overlap by {1e3 * overlap:.1f} mm at home: no motion can start or end there"
            )
        elif overlap > 0:
            notes.append(
                f"{inner} and {outer} rest on each other at home, overlapping by {1e3 * overlap:.2f} mm: "
                f"{outer} is taken to end there; everywhere else the two are checked as ever"
            )
    return notes


def _parted(fits: tuple[Array, Array], meshes: tuple[Array, Array]) -> tuple[tuple[Array, Array] | None, float]:
    """Two pieces cut along a plane between them; None if they are apart, or overlap too deeply.

    Args:
        fits: vertices of the inner and the outer piece [m].
        meshes: what they were fitted to, in the same frame [m].

    Returns:
        the pieces, and by how much the meshes overlap [m].
    """
    if _parting(fits, fits)[1] > 0:
        return None, 0.0
    n, gap = _parting(fits, meshes)
    if -gap > DEEPEST:
        return None, -gap
    # The plane n @ x = d: half-way between the meshes, or where the inner one ends.
    d = float((meshes[0] @ n).max()) + max(gap, GAP) / 2
    return (_cut(fits[0], n, d - GAP / 2), _cut(fits[1], -n, -d - GAP / 2)), max(0.0, -gap)


def _parting(pieces: tuple[Array, Array], bodies: tuple[Array, Array]) -> tuple[Array, float]:
    """The direction of a face of the two pieces along which two bodies have the widest gap.

    Returns:
        n (3,), from the first body to the second, and the gap [m]; negative where they overlap.
    """
    normals = np.concatenate([halfspaces(pieces[0])[:, :3], -halfspaces(pieces[1])[:, :3]])
    gaps = (bodies[1] @ normals.T).min(axis=0) - (bodies[0] @ normals.T).max(axis=0)
    best = int(gaps.argmax())
    return normals[best], float(gaps[best])


def _cut(piece: Array, n: Array, d: float) -> Array:
    """The vertices of the part of a piece with ``n @ x <= d``."""
    heights = piece @ n
    if heights.max() <= d or heights.min() >= d - GAP:
        return piece
    planes = np.vstack([halfspaces(piece), np.append(n, -d)])
    lowest = piece[heights.argmin()]
    middle = piece.mean(axis=0)
    share = min(1.0, 0.5 * (d - lowest @ n) / max((middle - lowest) @ n, 1e-12))
    try:
        return HalfspaceIntersection(planes, lowest + share * (middle - lowest)).intersections
    except QhullError:  # thinner than qhull can compute: left whole
        return piece
