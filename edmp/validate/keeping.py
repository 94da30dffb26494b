"""What a motion keeps to: the judge's findings about constraints, from what `BandProof` proves of their bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edmp.constraints import Band, BandKind, Broken, Constraint, Kept
from edmp.robots.robot import Robot
from edmp.validate.band_proof import ROUNDING, BandProof, Extremes
from edmp.validate.kinematic_tree import KinematicTree

Array = NDArray[np.float64]

TIGHTNESS = 0.02
"""Proved worst values come as near as this to what was seen, as a share of the band's half width."""


class Keeping:
    """The constraints of one robot that come down to bands, and their proof."""

    def __init__(self, tree: KinematicTree, robot: Robot, constraints: Sequence[Constraint]) -> None:
        self._constraints, self._rows = [], []
        bands: list[Band] = []
        for constraint in constraints:
            own = constraint.bands(robot)
            if own:
                self._constraints.append(constraint)
                self._rows.append(range(len(bands), len(bands) + len(own)))
                bands += own
        sliding = [joint.kind == "prismatic" for joint in robot.joints]
        self._units = ["m" if _is_length(band, sliding) else "rad" for band in bands]
        self._proof = BandProof(tree, robot.X_W0, bands, continuous=robot.continuous)

    def look(self, path: Array, *, single: bool = False) -> tuple[dict[Constraint, Kept], tuple[Broken, ...]]:
        """What was proved of each constraint on a path (n, dof), or those that are broken, worst first.

        With ``single`` the path is one configuration.
        """
        if not self._proof.bands:
            return {}, ()
        found = self._proof.run(path, TIGHTNESS)
        edge = None if single else 0
        broken = [self._broken(k, found, edge) for k in range(len(self._constraints))]
        if found.proved:
            return {one: self._kept(k, found, edge) for k, one in enumerate(self._constraints)}, ()
        return {}, tuple(sorted((one for one in broken if one), key=lambda one: -abs(one.excess / (one.bound or 1.0))))

    def holds(self, q: Array) -> NDArray[np.bool_]:
        """(n,) which of the configurations ``q`` (n, dof) keep all of them."""
        return self._proof.holds(q)

    def _kept(self, k: int, found: Extremes, edge: int | None) -> Kept:
        row, above, value, bound = self._worst(k, found.lower, found.upper)
        edges = found.upper_edge if above else found.lower_edge
        return Kept(
            *(self._constraints[k], value, bound, self._units[row], self._single(k)),
            edge=None if edge is None else int(edges[row]),
        )

    def _broken(self, k: int, found: Extremes, edge: int | None) -> Broken | None:
        """What is beyond its bound most: seen, or where nothing is seen, not excluded."""
        seen = bool(found.broken[list(self._rows[k])].any())
        row, above, value, bound = self._worst(k, *((found.least, found.most) if seen else (found.lower, found.upper)))
        beyond = value - bound if above else bound - value
        if not seen and (found.broken.any() or beyond <= ROUNDING):
            return None
        q = (found.upper_q if above else found.lower_q)[row]
        edges = found.most_edge if above else found.least_edge
        return Broken(
            *(self._constraints[k], value, bound, q.copy(), self._units[row], self._single(k)),
            edge=None if edge is None else int(edges[row]),
            proved=seen,
        )

    def _worst(self, k: int, lower: Array, upper: Array) -> tuple[int, bool, float, float]:
        """Of the bands of a constraint the one with the least to spare, is it above, its value and its bound there."""
        rows = list(self._rows[k])
        spare = np.stack([lower[rows] - self._proof.lower[rows], self._proof.upper[rows] - upper[rows]], axis=1)
        which, side = np.unravel_index(int(spare.argmin()), spare.shape)
        row = rows[int(which)]
        if side:
            return row, True, float(upper[row]), float(self._proof.upper[row])
        return row, False, float(lower[row]), float(self._proof.lower[row])

    def _single(self, k: int) -> bool:
        rows = self._rows[k]
        lower, upper = self._proof.lower[rows[0]], self._proof.upper[rows[0]]
        of_joint = self._proof.bands[rows[0]].kind is BandKind.JOINT
        return len(rows) == 1 and not of_joint and bool(lower in (-upper, -np.inf))


def _is_length(band: Band, sliding: Sequence[bool]) -> bool:
    if band.kind is BandKind.JOINT:
        return sliding[band.index]
    return band.kind in (BandKind.COORDINATE, BandKind.OFFSET)
