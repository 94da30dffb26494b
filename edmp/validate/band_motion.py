"""What the numbers of `Band`s do while the joints go straight from one configuration to another: bounds of the judge's.

A frame F moves with the joints that carry it. What a band asks of it is told by one vector ``x(t)``, ``t`` from 0 to 1:
where the origin of F is, where one of its axes points, where a fixed point is as seen from F. All three move as points
at the end of a chain do (`edmp.validate.kinematic_tree`), an axis as the difference of two of them, so that

    |x''(t)| <= sum_j w_j rho_j (w_j + 2 sum_{i before j} w_i)

with ``rho_j`` the lever: the distance from axis j, or the sine of the angle with it. ``before`` is towards who looks:
the base, or F where a fixed point is seen from F. So ``x(t)`` stays within ``s = max |x''| / 8`` of the point of the
chord from x(a) to x(b) at the same t, and

- COORDINATE is linear, OFFSET is convex: on the chord they are no more than at its worse end; from there add s.
- ANGLE, GAZE: a cone up to a right angle is convex: on the chord the angle is no more than at its worse end. A vector
  within s of another of length r is turned from it by no more than asin(s / r). Wider cones: half of what the chord
  itself turns comes on top.
- ROTATION: the rotation vector phi of R_TF obeys phi' = J(phi) omega, with J^-1 the left Jacobian of SO(3),

      J = 1 - [phi]/2 + g [phi]^2,   g = 1/theta^2 - cot(theta/2) / (2 theta),   |J| = k = (theta/2) / sin(theta/2)

  (Sola et al. 2018, eq. 146), and |omega| <= sum_j w_j, |omega'| <= sum_{i before j} w_i w_j. Differentiated once more,

      |phi''| <= ((theta/2 + g theta^2) / 2 + k (2 g theta + g' theta^2)) |omega|^2 + k |omega'|.

  k, g, g' increase with theta. Past half a turn phi goes on to theta > pi; the vector of the same rotation with theta
  below pi points the other way and has smaller components, so there both signs are counted.
- JOINT is linear.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from edmp.constraints import Band, BandKind
from edmp.validate.kinematic_tree import KinematicTree, Poses

Array = NDArray[np.float64]

LONGEST = 0.3
"""Joints together move no more than this in an interval that bounds are asked of [rad or m]."""
_INFLATED = 1.0001
"""Rotations in robot descriptions are orthonormal within 1e-5; bounds are made larger by this."""


class Track(ABC):
    """One thing that moves, and the bands that speak of it.

    Attributes:
        rows: number of each of its bands in the list of all.
        bands: they themselves.
    """

    def __init__(self, rows: Sequence[int], bands: Sequence[Band]) -> None:
        self.rows, self.bands = list(rows), list(bands)

    @abstractmethod
    def at(self, q: Array, poses: Poses) -> Array:
        """(n, k) what has to be known of each configuration."""

    @abstractmethod
    def values(self, known: Array) -> Array:
        """(n, bands) of each configuration."""

    @abstractmethod
    def bounds(self, a: Array, b: Array, width: Array) -> tuple[Array, Array]:
        """(m, bands) that no value is below, and none above, on the way from ``a`` to ``b`` (m, k), both known.

        ``width`` (m, dof) is how far each joint goes.
        """


def tracks(tree: KinematicTree, X_W0: Array, bands: Sequence[Band]) -> list[Track]:
    """The bands, those that speak of the same thing together."""
    found: dict[object, list[int]] = {}
    for row, band in enumerate(bands):
        frame = band.body, band.X_BF.tobytes()
        of: dict[BandKind, object] = {
            BandKind.ANGLE: ("axis", frame, band.axis.tobytes()),
            BandKind.COORDINATE: ("point", frame),
            BandKind.OFFSET: ("point", frame),
            BandKind.ROTATION: ("turn", frame, band.rotation.tobytes()),
            BandKind.GAZE: ("gaze", frame, band.point.tobytes()),
            BandKind.JOINT: "joint",
        }
        found.setdefault(of[band.kind], []).append(row)
    made: list[Track] = []
    for key, rows in found.items():
        members = [bands[row] for row in rows]
        if key == "joint":
            made.append(_Joints(rows, members))
        else:
            kind = {"axis": _Axis, "point": _Point, "turn": _Turn, "gaze": _Gaze}[key[0]]  # type: ignore[index]
            made.append(kind(rows, members, tree, X_W0))
    return made


class _Joints(Track):
    def at(self, q: Array, poses: Poses) -> Array:
        return q[:, [band.index for band in self.bands]]

    def values(self, known: Array) -> Array:
        return known

    def bounds(self, a: Array, b: Array, width: Array) -> tuple[Array, Array]:
        return np.minimum(a, b), np.maximum(a, b)


class _Framed(Track):
    """What moves with a frame F; all in the base frame."""

    def __init__(self, rows: Sequence[int], bands: Sequence[Band], tree: KinematicTree, X_W0: Array) -> None:
        super().__init__(rows, bands)
        first = bands[0]
        self.body, self.X_BF, self.axis_F = first.body, first.X_BF, first.axis
        self.joints = tree.joints_between(0, first.body)  # from the base outwards
        self.revolute = tree.revolute[self.joints]
        R_0W = X_W0[:3, :3].T
        self.directions = np.array([band.direction for band in bands]) @ R_0W.T
        self.points = (np.array([band.point for band in bands]) - X_W0[:3, 3]) @ R_0W.T
        self.R_0T = R_0W @ first.rotation

    def frame(self, poses: Poses) -> tuple[Array, Array]:
        """Rotation (n, 3, 3) and origin (n, 3) of F."""
        R, p = poses.R[:, self.body], poses.p[:, self.body]
        return R @ self.X_BF[:3, :3], p + R @ self.X_BF[:3, 3]

    def axes(self, poses: Poses) -> tuple[Array, Array]:
        """Directions (n, J, 3) and points (n, J, 3) of the axes of the joints that carry F."""
        moved = [j + 1 for j in self.joints]
        return poses.R[:, moved][..., 2], poses.p[:, moved]


class _Vector(_Framed):
    """A vector x (3,) and its levers (J,), side by side: what is known of a configuration is (3 + J)."""

    slide = 1.0  # the lever of a sliding joint
    inwards = False  # is F the one who looks?

    def stray(self, a: Array, b: Array, width: Array) -> Array:
        """(m,) x stays within this of the point of the chord at the same time."""
        w, levers = width[:, self.joints], 0.5 * (a[:, 3:] + b[:, 3:])
        order = range(len(self.joints))
        after, second = np.zeros(len(a)), np.zeros(len(a))
        turned = np.zeros(len(a))  # by joints before j
        travels = {}
        for j in order if self.inwards else reversed(order):  # from the far end: what is after j moves x against axis j
            lever = levers[:, j] + 0.5 * after if self.revolute[j] else np.full(len(a), self.slide)
            travels[j] = w[:, j] * lever
            after = after + travels[j]
        for j in reversed(order) if self.inwards else order:
            own = w[:, j] if self.revolute[j] else 0.0
            second += travels[j] * (own + 2.0 * turned)
            turned = turned + own
        stray: Array = second * (_INFLATED / 8.0)
        return stray


class _Point(_Vector):
    """The origin of F: COORDINATE and OFFSET."""

    def at(self, q: Array, poses: Poses) -> Array:
        _, p = self.frame(poses)
        z, o = self.axes(poses)
        return np.concatenate([p, np.linalg.norm(np.cross(z, p[:, None] - o), axis=2)], axis=1)

    def values(self, known: Array) -> Array:
        return np.stack([self._value(k, known[:, :3]) for k in range(len(self.bands))], axis=1)

    def _value(self, k: int, p: Array) -> Array:
        if self.bands[k].kind is BandKind.COORDINATE:
            return np.asarray((p - self.points[k]) @ self.directions[k])
        return np.asarray(np.linalg.norm(self._off(k, p), axis=1))

    def _off(self, k: int, p: Array) -> Array:
        """(n, 3) from the line, or the point, of an OFFSET."""
        d = self.directions[k]
        off = p - self.points[k]
        return np.asarray(off - (off @ d)[:, None] * d)

    def bounds(self, a: Array, b: Array, width: Array) -> tuple[Array, Array]:
        stray = self.stray(a, b, width)
        lower, upper = [], []
        for k, band in enumerate(self.bands):
            at_a, at_b = self._value(k, a[:, :3]), self._value(k, b[:, :3])
            least = np.minimum(at_a, at_b)
            if band.kind is BandKind.OFFSET:
                least = _nearest(self._off(k, a[:, :3]), self._off(k, b[:, :3]))
            lower.append(least - stray)
            upper.append(np.maximum(at_a, at_b) + stray)
        return np.stack(lower, axis=1), np.stack(upper, axis=1)


class _Cone(_Vector):
    """Angles of x with fixed directions: (bands, 3)."""

    fixed: Array
    unit = False  # is x a unit vector?

    def values(self, known: Array) -> Array:
        return _angles(known[:, None, :3], self.fixed[None])

    def bounds(self, a: Array, b: Array, width: Array) -> tuple[Array, Array]:
        stray = self.stray(a, b, width)
        # The point of the chord may be anywhere on it; a unit vector is itself not nearer to the origin than 1.
        length = np.ones(len(a)) if self.unit else _nearest(a[:, :3], b[:, :3])
        turn = np.where(stray < length, np.arcsin(np.clip(stray / np.maximum(length, 1e-300), 0.0, 1.0)), np.pi)
        at_a, at_b = self.values(a), self.values(b)
        least, most = np.minimum(at_a, at_b), np.maximum(at_a, at_b)
        middle, half = 0.5 * (at_a + at_b), 0.5 * _angles(a[:, :3], b[:, :3])[:, None]
        upper = np.where(most <= 0.5 * np.pi, most, middle + half) + turn[:, None]
        lower = np.where(least >= 0.5 * np.pi, least, middle - half) - turn[:, None]
        return np.maximum(lower, 0.0), np.minimum(upper, np.pi)


class _Axis(_Cone):
    """An axis of F: ANGLE."""

    slide = 0.0
    unit = True

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.fixed = self.directions

    def at(self, q: Array, poses: Poses) -> Array:
        R, _ = self.frame(poses)
        u, (z, _) = R @ self.axis_F, self.axes(poses)
        return np.concatenate([u, np.linalg.norm(np.cross(z, u[:, None]), axis=2)], axis=1)


class _Gaze(_Cone):
    """A fixed point as seen from F: GAZE."""

    inwards = True

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.fixed = np.array([band.axis for band in self.bands])

    def at(self, q: Array, poses: Poses) -> Array:
        R, p = self.frame(poses)
        z, o = self.axes(poses)
        target = self.points[0]
        seen = np.einsum("nji,nj->ni", R, target - p)
        return np.concatenate([seen, np.linalg.norm(np.cross(z, target - o), axis=2)], axis=1)


class _Turn(_Framed):
    """The rotation vector of F against a fixed orientation: ROTATION."""

    def at(self, q: Array, poses: Poses) -> Array:
        R, _ = self.frame(poses)
        return np.asarray(Rotation.from_matrix(self.R_0T.T @ R).as_rotvec())

    def values(self, known: Array) -> Array:
        return known[:, [band.index for band in self.bands]]

    def bounds(self, a: Array, b: Array, width: Array) -> tuple[Array, Array]:
        w = np.where(self.revolute, width[:, self.joints], 0.0)
        speed = w.sum(axis=1)
        bend = 0.5 * (speed**2 - (w**2).sum(axis=1))  # of omega: the sum over pairs of joints
        b = _on_from(a, b)
        theta = 0.5 * (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1) + speed)
        k, g, slope = _jacobian(theta)
        second = (0.5 * (0.5 * theta + g * theta**2) + k * (2.0 * g * theta + slope * theta**2)) * speed**2 + k * bend
        stray = (second * _INFLATED / 8.0)[:, None]
        at_a, at_b = self.values(a), self.values(b)
        lower, upper = np.minimum(at_a, at_b) - stray, np.maximum(at_a, at_b) + stray
        past = (theta >= np.pi)[:, None]
        return np.where(past, np.minimum(lower, -upper), lower), np.where(past, np.maximum(upper, -lower), upper)


def _on_from(a: Array, b: Array) -> Array:
    """``b`` (m, 3), or the longer rotation vector of the same rotation if that is nearer to ``a``.

    On the way phi moves by less than half of what they are apart, 2 pi: at most `LONGEST`, times 1.8.
    """
    length = np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-12)
    other = b * (1.0 - 2.0 * np.pi / length)
    farther = np.linalg.norm(b - a, axis=1) > np.linalg.norm(other - a, axis=1)
    return np.where(farther[:, None], other, b)


def _jacobian(theta: Array) -> tuple[Array, Array, Array]:
    """k, g and dg/dtheta of the module's docstring at angles up to pi + `LONGEST`."""
    small = theta < 0.05
    t = np.where(small, 1.0, theta)
    half = 0.5 * t
    cot = 1.0 / np.tan(half)
    k = np.where(small, 1.0 + theta**2 / 20.0, half / np.sin(half))
    g = np.where(small, 1.0 / 12.0 + theta**2 / 700.0, 1.0 / t**2 - cot / (2.0 * t))
    slope = -2.0 / t**3 + cot / (2.0 * t**2) + 1.0 / (4.0 * t * np.sin(half) ** 2)
    return k, g, np.where(small, theta / 350.0, slope)


def _nearest(a: Array, b: Array) -> Array:
    """(m,) distance of the origin from the segment between ``a`` and ``b`` (m, 3)."""
    d = b - a
    t = np.clip(-np.sum(a * d, axis=1) / np.maximum(np.sum(d * d, axis=1), 1e-300), 0.0, 1.0)
    return np.asarray(np.linalg.norm(a + t[:, None] * d, axis=1))


def _angles(u: Array, v: Array) -> Array:
    """Angles between vectors (..., 3), exact for small ones, too."""
    return np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), np.sum(u * v, axis=-1))
