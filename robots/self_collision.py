"""Which pairs of links can collide, found by sampling.

The relative pose of two links depends on the joints between them only, so each pair is sampled over those: a uniform
batch first, then a search that walks from the closest configurations to closer ones. A pair is left out when

- it is rigid (same body), or adjacent: on neighbouring bodies and near each other at home or in most configurations,
  for such links touch at the joint by construction;
- it never comes closer than a margin, over everything seen;
- it collides in most configurations: its hulls overlap by construction, which says nothing about the real links.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from edmp.robots.kinematics import body_poses
from edmp.robots.parts import Array, Link
from edmp.robots.robot import Robot


class PairVerdict(enum.Enum):
    """Why a pair is checked or not."""

    CHECKED = "checked"
    RIGID = "same body"
    ADJACENT = "adjacent"
    NEVER = "never close"
    ALWAYS = "overlaps by construction"


@dataclass(frozen=True)
class PairReport:
    """What sampling found about links ``first`` and ``second``.

    Attributes:
        closest: smallest distance seen [m]; 0 in collision, nan when not sampled.
        fraction: share of uniform configurations in collision.
    """

    first: int
    second: int
    verdict: PairVerdict
    closest: float
    fraction: float


def sample_pairs(
    robot: Robot,
    *,
    num_samples: int = 3000,
    margin: float = 0.01,
    always: float = 0.5,
    widths: tuple[float, ...] | None = None,
    seed: int = 0,
) -> list[PairReport]:
    """A report for every pair of links that have geometry.

    Args:
        robot: the arm.
        num_samples: uniform configurations a pair; the search adds half as many.
        margin: a pair that comes no closer than this is never close [m].
        always: a pair that collides in a larger share of configurations overlaps by construction.
        widths: gripper openings to consider [m]; default 0, half and all of the widest.
        seed: of the configurations.
    """
    if widths is None:
        widths = (0.0,) if robot.gripper is None else tuple(np.linspace(0, robot.gripper.max_width, 3))
    opened = [robot] if robot.gripper is None else [robot.with_gripper(width) for width in widths]
    reports = []
    for i, first in enumerate(robot.links):
        for j in range(i + 1, len(robot.links)):
            second = robot.links[j]
            if first.hulls_B and second.hulls_B:
                rng = np.random.default_rng([seed, i, j])
                reports.append(_report(opened, i, j, rng, num_samples, margin, always))
    return reports


def collision_pairs(reports: list[PairReport]) -> tuple[tuple[int, int], ...]:
    """The pairs to check, in the order of `Robot.collision_pairs`."""
    return tuple((report.first, report.second) for report in reports if report.verdict is PairVerdict.CHECKED)


def _report(
    opened: list[Robot], i: int, j: int, rng: np.random.Generator, num_samples: int, margin: float, always: float
) -> PairReport:
    bodies = sorted((opened[0].links[i].body, opened[0].links[j].body))
    if bodies[1] == bodies[0]:
        return PairReport(i, j, PairVerdict.RIGID, np.nan, np.nan)
    variants = _distinct_variants(opened, i, j)
    closest, fraction, near, at_home = np.inf, 0.0, 0.0, np.inf
    for robot in variants:
        distance = _PairDistance(robot, i, j)
        at_home = min(at_home, float(distance(robot.home[None])[0]))
        lower, upper = robot.limits.lower, robot.limits.upper
        q = rng.uniform(lower, upper, size=(num_samples // len(variants), robot.dof))
        found = distance(q)
        fraction += float((found <= 0).mean()) / len(variants)
        near += float((found <= margin).mean()) / len(variants)
        closest = min(closest, found.min(), _search(distance, q, found, lower, upper, rng, margin))
    verdict = PairVerdict.CHECKED
    if closest > margin:
        verdict = PairVerdict.NEVER
    elif bodies[1] == bodies[0] + 1 and (at_home <= margin or near > always):
        verdict = PairVerdict.ADJACENT
    elif fraction > always:
        verdict = PairVerdict.ALWAYS
    return PairReport(i, j, verdict, float(closest), fraction)


def _distinct_variants(opened: list[Robot], i: int, j: int) -> list[Robot]:
    """One robot is enough for links that the gripper does not move."""
    moving = {finger.link for finger in opened[0].gripper.fingers} if opened[0].gripper else set()
    return opened if {opened[0].links[i].name, opened[0].links[j].name} & moving else opened[:1]


def _search(
    distance: _PairDistance,
    q: Array,
    found: Array,
    lower: Array,
    upper: Array,
    rng: np.random.Generator,
    margin: float,
    rounds: int = 8,
) -> float:
    """The smallest distance reached by random walks that only go closer, from the closest of the samples."""
    keep = np.argsort(found)[: max(8, len(q) // 20)]
    q, found = q[keep], found[keep]
    for k in range(rounds):
        if found.min() <= 0:
            break
        step = 0.15 * 0.6**k * (upper - lower)
        trial = np.clip(q + rng.normal(size=q.shape) * step, lower, upper)
        closer = distance(trial)
        better = closer < found
        q, found = np.where(better[:, None], trial, q), np.where(better, closer, found)
    return float(found.min())


class _PairDistance:
    """Distances between two links over batches of configurations."""

    def __init__(self, robot: Robot, i: int, j: int) -> None:
        import fcl  # the sampling is the only use of fcl in this layer

        self.fcl = fcl
        self.robot = robot
        self.links = robot.links[i], robot.links[j]
        self.geometry = [[fcl_convex(hull) for hull in link.hulls_B] for link in self.links]
        self.bounds = [bounding_ball(link) for link in self.links]

    def __call__(self, q: Array) -> Array:
        """(n,) distances [m], 0 in collision, for q (n, dof)."""
        X_WB = body_poses(self.robot, torch.as_tensor(q)).numpy()
        X_W1, X_W2 = X_WB[:, self.links[0].body], X_WB[:, self.links[1].body]
        centres = [(X @ np.append(ball[:3], 1.0))[:, :3] for X, ball in zip((X_W1, X_W2), self.bounds, strict=True)]
        apart = np.linalg.norm(centres[0] - centres[1], axis=1) - self.bounds[0][3] - self.bounds[1][3]
        # Far pairs need no exact distance: the balls' is a lower bound that keeps their order.
        return np.array([
            gap if gap > 0.1 else self._exact(A, B) for gap, A, B in zip(apart, X_W1, X_W2, strict=True)
        ])  # fmt: skip

    def _exact(self, X_W1: Array, X_W2: Array) -> float:
        fcl = self.fcl
        first, second = fcl.Transform(X_W1[:3, :3], X_W1[:3, 3]), fcl.Transform(X_W2[:3, :3], X_W2[:3, 3])
        best = np.inf
        for a in self.geometry[0]:
            for b in self.geometry[1]:
                one, two = fcl.CollisionObject(a, first), fcl.CollisionObject(b, second)
                if fcl.collide(one, two, fcl.CollisionRequest(), fcl.CollisionResult()):
                    return 0.0
                best = min(best, fcl.distance(one, two, fcl.DistanceRequest(), fcl.DistanceResult()))
        return max(best, 0.0)


def fcl_convex(vertices: Array):
    """`fcl.Convex` of a point set, faces oriented outwards."""
    import fcl

    triangles = outward_triangles(vertices)
    faces = np.column_stack([np.full(len(triangles), 3), triangles]).ravel()
    return fcl.Convex(np.ascontiguousarray(vertices, dtype=np.float64), len(triangles), faces)


def outward_triangles(vertices: Array) -> NDArray[np.int64]:
    """(F, 3) triangles of the convex hull of ``vertices`` (V, 3), counter-clockwise seen from outside."""
    hull = ConvexHull(vertices)
    triangles = hull.simplices.astype(np.int64)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * hull.equations[:, :3]).sum(axis=1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles


def bounding_ball(link: Link) -> Array:
    """(4,) centre in the body frame and radius of a ball around the link's hulls [m]."""
    vertices = np.concatenate(link.hulls_B)
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return np.append(centre, np.linalg.norm(vertices - centre, axis=1).max())
