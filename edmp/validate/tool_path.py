"""Proof that a tool follows its path: between waypoints, too, and with the judge's own kinematics.

Each waypoint is given a distance along the tool path, which never decreases from one to the next; between waypoints it
grows in proportion with the joints. If the tool of every configuration is within the tolerances of the pose at its
distance, it follows the path. On an interval, t from 0 to 1, with deviations d_a, d_b and angles e_a, e_b at its ends,

    |p(t) - p_ref(t)|  <=  max(d_a, d_b) + stray + bend
    angle(t)           <=  (e_a + e_b) / 2 + (|w(1/2) - w_ref(1/2)| + (c + c_ref) / 4) / 2

``stray`` bounds how far the tool leaves the straight line between its ends (`edmp.validate.kinematic_tree`),
``bend`` how far the reference does; ``w = sum_j dq_j z_j`` is the angular velocity, which changes by no more than
``c = sum_j |dq_j| sum_{i before j} |dq_i|``, as ``dz_j / dq_i = z_i x z_j``. Where that is too much, it is halved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.tool_path import TURN_LENGTH, ToolPath, rotation_angles, rotation_vectors
from edmp.robots.robot import Robot
from edmp.validate.kinematic_tree import KinematicTree, MotionBound, Poses

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_SAMPLES = 400
"""At most so many samples of the tool path are looked at for the one nearest to a waypoint."""
_FINEST = 1e-3
"""Nor are they closer than this [m]."""
_TIGHT = 0.1
"""What is reported is at most this share of the tolerance above what was met."""
_MOST = 200_000
"""More intervals than this are not looked at."""


@dataclass(frozen=True)
class ToolVerdict:
    """Whether a tool follows its path.

    Attributes:
        valid: it was proved to.
        deviation: no more than this from its position [m]; if not valid, what was met.
        rotation: no more than this from its orientation [rad]; the same.
        detail: where it fails, for a person.
    """

    valid: bool
    deviation: float
    rotation: float
    detail: str = ""

    def message(self) -> str:
        """One clause for a person."""
        if not self.valid:
            return self.detail
        return f"tool within {1e3 * self.deviation:.2f} mm and {np.degrees(self.rotation):.2f} deg of its line"


def worst(*verdicts: ToolVerdict) -> tuple[float, float]:
    """What all of them keep to [m], [rad]."""
    return max(one.deviation for one in verdicts), max(one.rotation for one in verdicts)


def follows(robot: Robot, path: Array, tool_path: ToolPath, *, end: float | None = None) -> ToolVerdict:
    """Prove that the tool follows ``tool_path`` along the polyline ``path`` (n, dof), or find where it does not.

    Args:
        robot: the arm.
        path: waypoints [rad or m], straight lines in joint space between them.
        tool_path: where the tool is to go.
        end: distance along it where the path ends [m]; its whole length if None.
    """
    proof = _Proof(robot, np.asarray(path, dtype=np.float64), tool_path)
    return proof.run(proof.distances(tool_path.length if end is None else end))


def follows_at_first(robot: Robot, path: Array, tool_path: ToolPath) -> tuple[ToolVerdict, float]:
    """Prove that the tool follows ``tool_path``, one segment, along the beginning of a polyline, and then goes on.

    Returns:
        The verdict; and the place on the polyline (n, dof) up to which it does: an edge's number, with a fraction.
    """
    proof, (begin, end) = _Proof(robot, path, tool_path), tool_path.X_WT[[0, -1], :3, 3]
    along = (proof.tool(proof.tree.poses(path))[:, :3, 3] - begin) @ (end - begin) / np.sum((end - begin) ** 2)
    beyond = np.flatnonzero(along >= 1.0)
    if not len(beyond) or beyond[0] == 0:
        share = 100.0 * float(along.max())
        return ToolVerdict(False, np.inf, np.inf, f"the tool goes {share:.0f} % of its line and no further"), 0.0
    k = int(beyond[0])
    place = k - 1 + (1.0 - along[k - 1]) / (along[k] - along[k - 1])
    last = path[k - 1] + (place - (k - 1)) * (path[k] - path[k - 1])
    return follows(robot, np.vstack([path[:k], last]), tool_path), float(place)


class _Proof:
    def __init__(self, robot: Robot, path: Array, tool_path: ToolPath) -> None:
        self.robot, self.path, self.tool_path = robot, path, tool_path
        self.tree, tool = KinematicTree(robot), robot.tool
        bound = np.abs(path).max(axis=0)
        reach = self.tree.reach(tool.body, tool.X_BT[None, :3, 3], bound)
        bodies = np.array([tool.body], dtype=np.int64)
        self.bound = MotionBound(self.tree, bodies, tool.X_BT[None, :3, 3], np.zeros(1), reach[None])
        self.turning = self.tree.revolute & self.tree.moves[:, tool.body]

    def tool(self, poses: Poses) -> Array:
        """(n, 4, 4) poses of the tool in the world."""
        X, (X_W0, X_BT) = np.zeros((len(poses.p), 4, 4)), (self.robot.X_W0, self.robot.tool.X_BT)
        R, p = poses.R[:, self.robot.tool.body], poses.p[:, self.robot.tool.body]
        X[:, 3, 3] = 1.0
        X[:, :3, :3] = X_W0[:3, :3] @ R @ X_BT[:3, :3]
        X[:, :3, 3] = (p + R @ X_BT[:3, 3]) @ X_W0[:3, :3].T + X_W0[:3, 3]
        return X

    def distances(self, end: float) -> Array:
        """(n,) how far along the tool path each waypoint is [m]: nearest, with the smallest sum of squares in order."""
        path = self.tool_path
        if not path.length > 0.0:
            return np.zeros(len(self.path))
        samples = path.marks(max(_FINEST, path.length / _SAMPLES))
        samples = np.append(samples[samples < end], end)
        reference, X = path.poses(samples), self.tool(self.tree.poses(self.path))
        squared = np.sum((X[:, None, :3, 3] - reference[None, :, :3, 3]) ** 2, axis=2)
        # |A - B|_F^2 = 8 sin^2(angle / 2), about twice the squared angle.
        products = X[:, :3, :3].reshape(-1, 9) @ reference[:, :3, :3].reshape(-1, 9).T
        squared += TURN_LENGTH**2 * (3.0 - np.minimum(products, 3.0))
        chosen = _in_order(squared)
        at = samples[chosen]
        low, high = samples[np.maximum(chosen - 1, 0)], samples[np.minimum(chosen + 1, len(samples) - 1)]
        for _ in range(2):
            at = np.clip(at + self._ahead(X, at), low, high)
        at = np.maximum.accumulate(at)
        at[0], at[-1] = 0.0, end
        return np.minimum(at, end)

    def _ahead(self, X: Array, at: Array) -> Array:
        """(n,) how much further along the tool path than ``at`` the tool poses X are [m]."""
        reference = self.tool_path.poses(at)
        k, u = self.tool_path.locate(at)
        ahead = np.zeros(len(at))
        for stretch in np.unique(k):
            rows, found = k == stretch, self.tool_path.stretches[stretch]
            velocity = found.twists(u[rows]) / (found.end - found.begin)
            turn = rotation_vectors(X[rows, :3, :3] @ np.swapaxes(reference[rows, :3, :3], 1, 2))
            weight = TURN_LENGTH**2
            along = np.sum(velocity[:, :3] * (X[rows, :3, 3] - reference[rows, :3, 3]), axis=1)
            along += weight * np.sum(velocity[:, 3:] * turn, axis=1)
            norm = np.sum(velocity[:, :3] ** 2, axis=1) + weight * np.sum(velocity[:, 3:] ** 2, axis=1)
            ahead[rows] = along / np.maximum(norm, 1e-12)
        return ahead

    def run(self, at: Array) -> ToolVerdict:
        """Halve intervals until each is proved, or one of their ends is off."""
        q, s = self._cut(at)
        poses = self.tree.poses(q)
        deviation, angle = self._errors(poses, s)
        a, b = np.arange(len(q) - 1), np.arange(1, len(q))
        moved = (q[a] != q[b]).any(axis=1) | (s[a] != s[b])
        a, b = a[moved], b[moved]
        path = self.tool_path
        most = np.array([path.tolerance, path.rotation_tolerance])
        proved = np.array([deviation.max(), angle.max()])
        fault = self._fault(q, s, deviation, angle)
        while fault is None and len(a):
            if len(q) > _MOST:
                return ToolVerdict(
                    False, float(proved[0]), float(proved[1]), "it could not be proved that the tool keeps to its line"
                )
            middle = 0.5 * (q[a] + q[b])
            at_middle = 0.5 * (s[a] + s[b])
            found = self.tree.poses(middle)
            both = np.stack([deviation, angle])
            bounds = self._bounds(poses, found, q, s, a, b, deviation, angle)
            wanted = np.minimum(both.max(axis=1) + _TIGHT * most, most)
            done = (bounds <= wanted[:, None]).all(axis=0)
            proved = np.maximum(proved, bounds[:, done].max(axis=1, initial=0.0))
            a, b, middle, at_middle = a[~done], b[~done], middle[~done], at_middle[~done]
            rows = len(q) + np.arange(len(a))
            kept = Poses(found.R[~done], found.p[~done])
            more = self._errors(kept, at_middle)
            deviation, angle = np.append(deviation, more[0]), np.append(angle, more[1])
            q, s, poses = np.concatenate([q, middle]), np.append(s, at_middle), poses.then(kept)
            fault = self._fault(q[rows], at_middle, *more) if len(rows) else None
            a, b = np.concatenate([a, rows]), np.concatenate([rows, b])
        if fault is not None:
            return ToolVerdict(False, float(deviation.max()), float(angle.max()), fault)
        return ToolVerdict(True, float(proved[0]), float(proved[1]))

    def _cut(self, at: Array) -> tuple[Array, Array]:
        """Waypoints and distances, with a waypoint wherever a stretch of the tool path begins."""
        begins = np.array([stretch.begin for stretch in self.tool_path.stretches[1:]])
        q, s = [self.path[:1]], [at[:1]]
        for k in range(len(at) - 1):
            inner = begins[(begins > at[k]) & (begins < at[k + 1])]
            t = (inner - at[k]) / max(at[k + 1] - at[k], 1e-300)
            q += [self.path[k] + t[:, None] * (self.path[k + 1] - self.path[k]), self.path[k + 1 : k + 2]]
            s += [inner, at[k + 1 : k + 2]]
        return np.concatenate(q), np.concatenate(s)

    def _errors(self, poses: Poses, at: Array) -> tuple[Array, Array]:
        """Distance (n,) [m] and angle (n,) [rad] of the tool from the poses at these distances along its path."""
        X, wanted = self.tool(poses), self.tool_path.poses(at)
        angle = rotation_angles(np.swapaxes(wanted[:, :3, :3], 1, 2) @ X[:, :3, :3])
        return np.linalg.norm(X[:, :3, 3] - wanted[:, :3, 3], axis=1), angle

    def _bounds(
        self, poses: Poses, middle: Poses, q: Array, s: Array, a: Index, b: Index, deviation: Array, angle: Array
    ) -> Array:
        """(2, intervals) bounds of the distance [m] and the angle [rad] over whole intervals."""
        step = q[b] - q[a]
        rho_a = self.bound.axis_distance(Poses(poses.R[a], poses.p[a]))
        rho_b = self.bound.axis_distance(Poses(poses.R[b], poses.p[b]))
        stray = self.bound.between(rho_a, rho_b, np.abs(step), np.zeros_like(step)).stray[:, 0, 0]
        turned = np.abs(step) * self.turning
        change = np.sum(turned * (np.cumsum(turned, axis=1) - turned), axis=1)
        axes = middle.R[:, 1:, :, 2] @ self.robot.X_W0[:3, :3].T
        spin = np.einsum("nj,nji->ni", step * self.turning, axes)
        bend = np.zeros(len(a))
        k, u_middle = self.tool_path.locate(0.5 * (s[a] + s[b]))
        for stretch in np.unique(k):
            rows, found = k == stretch, self.tool_path.stretches[stretch]
            width = (s[b] - s[a])[rows] / (found.end - found.begin)
            spin[rows] -= width[:, None] * found.twists(u_middle[rows])[:, 3:]
            if found.blend:  # b'' = 12 u (1 - u) is 3 at most, b' is 2
                bend[rows] = 3.0 * np.linalg.norm(found.v2 - found.v1) * width**2 / 8.0
                one, two = np.linalg.norm(found.phi1), np.linalg.norm(found.phi2)
                change[rows] += (3.0 * (one + two) + 4.0 * one * two) * width**2
        drift = np.linalg.norm(spin, axis=1) + 0.25 * change
        return np.stack([np.maximum(deviation[a], deviation[b]) + stray + bend, 0.5 * (angle[a] + angle[b] + drift)])

    def _fault(self, q: Array, s: Array, deviation: Array, angle: Array) -> str | None:
        """Where the tool is off, in words; None if nowhere."""
        path = self.tool_path
        off = np.maximum(deviation / path.tolerance, angle / path.rotation_tolerance)
        if not len(q) or not off.max() > 1.0:
            return None
        k = int(off.argmax())
        share = 100.0 * s[k] / path.length if path.length else 0.0
        return (
            f"the tool is {1e3 * deviation[k]:.2f} mm and {np.degrees(angle[k]):.2f} deg off its line at {share:.0f} % "
            f"of the way; {1e3 * path.tolerance:.3g} mm and {np.degrees(path.rotation_tolerance):.3g} deg are allowed"
        )


def _in_order(cost: Array) -> Index:
    """(n,) columns of ``cost`` (n, k), never decreasing from row to row, with the least sum."""
    n, k = cost.shape
    came = np.empty((n, k), dtype=np.int64)
    total, columns = cost[0], np.arange(k)
    came[0] = columns
    for i in range(1, n):
        least = np.minimum.accumulate(total)
        new = np.concatenate([[True], total[1:] < least[:-1]])
        came[i] = np.maximum.accumulate(np.where(new, columns, 0))
        total = least + cost[i]
    chosen = np.empty(n, dtype=np.int64)
    chosen[-1] = int(total.argmin())
    for i in range(n - 1, 0, -1):
        chosen[i - 1] = came[i, chosen[i]]
    return chosen
