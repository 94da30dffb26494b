"""`ToolPath`: the straight segments, and the blends between them, that a tool is to follow.

On a segment the position goes straight and the orientation turns about one fixed axis (slerp), both in proportion.
A blend of radius r leaves one segment at the distance r before their common pose, the corner C, and joins the next at
the distance r after it. With ``d1``, ``d2`` the directions of the two, ``phi1``, ``phi2`` (rotation vectors in the
tool's frame at C) what the tool turns over these two lengths, and u from 0 to 1,

    p(u) = p_C - a(u) r d1 + b(u) r d2,    R(u) = R_C Exp(-a(u) phi1) Exp(b(u) phi2),    a(u) = b(1 - u)
    b(u) = 2 u^3 - u^4

which meets both segments with their directions and without curvature, and stays within r of C: ``a + b <= 1``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.cached import cached_property
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

TURN_LENGTH = 0.25
"""Along a tool path a turn of 1 rad counts as this far [m/rad]."""
_HALF_TURN = np.pi - 1e-2
_SHORTEST = 1e-9


@dataclass(frozen=True, eq=False)
class Stretch:
    """A segment, or a blend, of a tool path, between the distances ``begin`` and ``end`` along it.

    With u from 0 to 1 in between: ``p = p_WC - a v1 + b v2`` and ``R = R_WC Exp(-a phi1) Exp(b phi2)``. A segment has
    ``b = u``, and ``v1 = phi1 = 0``; a blend see above.
    """

    begin: float
    end: float
    p_WC: Array
    R_WC: Array
    v1: Array
    phi1: Array
    v2: Array
    phi2: Array
    blend: bool

    def shares(self, u: Array) -> tuple[Array, Array]:
        """a and b at u (n,)."""
        return (_blend(1.0 - u), _blend(u)) if self.blend else (np.zeros_like(u), u)

    def rates(self, u: Array) -> tuple[Array, Array]:
        """Their derivatives by u."""
        return (-_blend_rate(1.0 - u), _blend_rate(u)) if self.blend else (np.zeros_like(u), np.ones_like(u))

    def poses(self, u: Array) -> Array:
        """(n, 4, 4)"""
        a, b = (x[:, None] for x in self.shares(u))
        X = np.zeros((len(u), 4, 4))
        X[:, 3, 3] = 1.0
        X[:, :3, 3] = self.p_WC - a * self.v1 + b * self.v2
        X[:, :3, :3] = self.R_WC @ rotations_of(-a * self.phi1) @ rotations_of(b * self.phi2)
        return X

    def twists(self, u: Array) -> Array:
        """(n, 6) linear and angular velocity in the world, by u [m, rad]."""
        a, _b = self.shares(u)
        da, db = (x[:, None] for x in self.rates(u))
        linear = -da * self.v1 + db * self.v2
        turned = (rotations_of(-a[:, None] * self.phi1) @ self.phi2[:, None])[..., 0]
        return np.concatenate([linear, (-da * self.phi1 + db * turned) @ self.R_WC.T], axis=1)


def _blend(u: Array) -> Array:
    return u**3 * (2.0 - u)


def _blend_rate(u: Array) -> Array:
    return u**2 * (6.0 - 4.0 * u)


@dataclass(frozen=True, eq=False)
class ToolPath:
    """Where a tool goes, from pose to pose.

    Distances along it are in metres: of each segment, the longer of how far it goes and `TURN_LENGTH` times how far it
    turns.

    Attributes:
        X_WT: (m + 1, 4, 4) the start, and the poses to be passed, the goal last.
        blends: (m - 1,) radius by which each corner is rounded; 0 is a stop there [m].
        tolerance: how far the tool may be from it [m].
        rotation_tolerance: [rad].
        names: of the poses, for messages.

    Raises:
        InvalidInputError: two poses in a row are the same, or half a turn apart; a blend does not fit its segments.
    """

    X_WT: Array
    blends: Array
    tolerance: float
    rotation_tolerance: float
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        R = self.X_WT[:, :3, :3]
        angles = rotation_angles(np.swapaxes(R[:-1], 1, 2) @ R[1:])
        for k, (length, angle) in enumerate(zip(self._lengths, angles, strict=True)):
            ends = f"from {self._name(k)} to {self._name(k + 1)}"
            if angle > _HALF_TURN:
                raise InvalidInputError(
                    f"tool path {ends}: the tool turns by {np.degrees(angle):.1f} deg, and half a turn may go either "
                    "way round: give a pose in between"
                )
            if length < _SHORTEST and len(self._lengths) > 1:
                raise InvalidInputError(f"tool path {ends}: the two poses are the same; leave one out")
        used = np.zeros(len(self._steps))
        for k, radius in enumerate(self.blends):
            for segment in (k, k + 1):
                used[segment] += radius
            short = [s for s in (k, k + 1) if radius > 0 and used[s] > np.linalg.norm(self._steps[s]) + 1e-12]
            if short:
                s = short[0]
                raise InvalidInputError(
                    f"blend of {1e3 * radius:.4g} mm at {self._name(k + 1)}: the segment from {self._name(s)} to "
                    f"{self._name(s + 1)} is {1e3 * np.linalg.norm(self._steps[s]):.4g} mm long, and blends take "
                    f"{1e3 * used[s]:.4g} mm of it"
                )

    @cached_property
    def _steps(self) -> Array:
        return np.diff(self.X_WT[:, :3, 3], axis=0)

    @cached_property
    def _turns(self) -> Array:
        """(m, 3) what the tool turns along each segment, in its own frame [rad]."""
        R = self.X_WT[:, :3, :3]
        return rotation_vectors(np.swapaxes(R[:-1], 1, 2) @ R[1:])

    @cached_property
    def _lengths(self) -> Array:
        turned = TURN_LENGTH * np.linalg.norm(self._turns, axis=1)
        return np.maximum(np.linalg.norm(self._steps, axis=1), turned)

    def _name(self, k: int) -> str:
        return self.names[k] if k < len(self.names) else f"pose {k}"

    @property
    def length(self) -> float:
        """[m], see above."""
        return float(self._lengths.sum())

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Segments, shortened where a blend begins or ends, and the blends."""
        marks = np.concatenate([[0.0], np.cumsum(self._lengths)])
        straight = np.linalg.norm(self._steps, axis=1)
        blends = np.concatenate([[0.0], self.blends, [0.0]])
        share = [  # of each segment that its blends take, at its beginning and at its end
            (blends[k] / max(d, _SHORTEST), blends[k + 1] / max(d, _SHORTEST)) for k, d in enumerate(straight)
        ]
        zero, stretches = np.zeros(3), []
        for k, (length, (before, after)) in enumerate(zip(self._lengths, share, strict=True)):
            p, R, step, turn = self.X_WT[k, :3, 3], self.X_WT[k, :3, :3], self._steps[k], self._turns[k]
            left = 1.0 - before - after
            if left > 1e-9 or not (before or after):
                first = R @ rotations_of(before * turn)
                begin, end = marks[k] + before * length, marks[k + 1] - after * length
                stretches.append(
                    Stretch(begin, end, p + before * step, first, zero, zero, left * step, left * turn, blend=False)
                )
            if after:
                then = share[k + 1][0]
                end = marks[k + 1] + then * self._lengths[k + 1]
                ahead, turned = self._steps[k + 1], self._turns[k + 1]
                X = self.X_WT[k + 1]
                vectors = (after * step, after * turn, then * ahead, then * turned)
                stretches.append(Stretch(marks[k + 1] - after * length, end, X[:3, 3], X[:3, :3], *vectors, blend=True))
        return tuple(stretches)

    @cached_property
    def stops(self) -> Array:
        """Distances along the path at which the tool stops: its ends, and corners that are not rounded [m]."""
        corners = np.cumsum(self._lengths)[:-1][np.asarray(self.blends) == 0.0]
        return np.concatenate([[0.0], corners, [self.length]])

    def locate(self, at: Array) -> tuple[NDArray[np.int64], Array]:
        """Stretch of each distance ``at`` (n,), and u within it (n,)."""
        begins = np.array([stretch.begin for stretch in self.stretches])
        k = np.clip(np.searchsorted(begins, at, side="right") - 1, 0, len(begins) - 1)
        ends = np.array([stretch.end for stretch in self.stretches])
        return k, np.clip((at - begins[k]) / np.maximum(ends - begins, 1e-300)[k], 0.0, 1.0)

    def poses(self, at: Array) -> Array:
        """(n, 4, 4) of the tool, at distances ``at`` (n,) along the path [m]."""
        X = np.empty((len(at), 4, 4))
        k, u = self.locate(np.asarray(at, dtype=np.float64))
        for stretch in np.unique(k):
            rows = k == stretch
            X[rows] = self.stretches[stretch].poses(u[rows])
        return X

    def marks(self, spacing: float) -> Array:
        """(n,) distances along the path, the stops among them, at most ``spacing`` apart [m]."""
        ends = np.unique(np.concatenate([self.stops, [stretch.end for stretch in self.stretches]]))
        ends = ends[np.concatenate([[True], np.diff(ends) > 1e-12])]
        parts = [
            np.linspace(a, b, max(1, int(np.ceil((b - a) / spacing - 1e-9))), endpoint=False)
            for a, b in itertools.pairwise(ends)
        ]
        return np.concatenate([*parts, [self.length]])


# --- rotations -------------------------------------------------------------------------------------------------------


def rotations_of(vectors: Array) -> Array:
    """(..., 3, 3) rotations about axes ``vectors`` (..., 3) by their lengths [rad] (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    o = np.zeros_like(x)
    K = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sinc(angle / np.pi) * K + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (K @ K)


def rotation_vectors(R: Array) -> Array:
    """(..., 3) axis times angle of rotations R (..., 3, 3), the angle less than pi [rad]; at pi it means nothing."""
    skew = _skew_part(R)
    sine = np.linalg.norm(skew, axis=-1)
    return skew * np.where(sine > 1e-12, rotation_angles(R) / np.maximum(sine, 1e-12), 1.0)[..., None]


def rotation_angles(R: Array) -> Array:
    """(...,) angles of rotations R (..., 3, 3), 0 to pi [rad]."""
    return np.arctan2(np.linalg.norm(_skew_part(R), axis=-1), 0.5 * (np.trace(R, axis1=-2, axis2=-1) - 1.0))


def _skew_part(R: Array) -> Array:
    """(..., 3) axis times the sine of the angle."""
    return 0.5 * np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], axis=-1
    )
