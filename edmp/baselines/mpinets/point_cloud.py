"""The cloud that the network sees: points on the robot, on the obstacles, and on the gripper where it shall go.

Everything is given in the frame of the robot's base, in which the network was trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from torch import Tensor

from edmp.baselines.mpinets.grouping import farthest_points
from edmp.geometry.poses import inverse
from edmp.geometry.primitives import sample_triangles
from edmp.robots.kinematics import body_poses
from edmp.robots.parts import Link
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.scenes.surface import sample_scene

Array = NDArray[np.float64]

ROBOT, OBSTACLE, TARGET = 0.0, 1.0, 2.0
"""Labels of the points."""

CANDIDATES = 40
"""Points on the links for each of those that are chosen far from each other."""
SURFACE_SEED = 20221
"""The points on the robot are always the same: training and planning must agree on them."""


@dataclass(frozen=True, eq=False)
class RobotPoints:
    """Points fixed to the bodies of an arm.

    Attributes:
        robot: the arm.
        p_B: for each body, (n_b, 3) points in its frame [m], n in all.
    """

    robot: Robot
    p_B: tuple[Tensor, ...]

    def at(self, q: Tensor) -> Tensor:
        """(B, n, 3) the points at configurations ``q`` (B, dof), in the frame of the base [m]; differentiable."""
        X_W0 = torch.as_tensor(inverse(self.robot.X_W0)).to(q)
        X_0B = X_W0 @ body_poses(self.robot, q)
        return torch.cat(
            [p.to(q) @ X_0B[:, b, :3, :3].mT + X_0B[:, b, None, :3, 3] for b, p in enumerate(self.p_B)], dim=1
        )


@lru_cache(maxsize=16)
def robot_points(robot: Robot, count: int, *, moving: bool = False) -> RobotPoints:
    """``count`` points spread evenly over the surfaces of the links.

    Args:
        robot: the arm.
        count: n, shared out by area.
        moving: leave the fixed base out.
    """
    links = [link for link in robot.links if link.hulls_B and not (moving and link.body == 0)]
    points, body = _spread(links, count)
    return RobotPoints(robot, tuple(_tensor(points[body == b]) for b in range(robot.num_bodies)))


@lru_cache(maxsize=16)
def spread_points(robot: Robot, count: int, *, on_gripper: int = 0) -> RobotPoints:
    """``count`` points on the moving links, far from each other with the arm at home.

    Args:
        robot: the arm.
        count: n.
        on_gripper: so many of them on hand and fingers, which by their area would have few, and touch most.
    """
    points = robot_points(robot, CANDIDATES * count, moving=True)
    body = torch.repeat_interleave(torch.arange(robot.num_bodies), torch.tensor([len(p) for p in points.p_B]))
    home = points.at(torch.as_tensor(robot.home, dtype=torch.float32)[None])
    chosen = farthest_points(home, count - on_gripper)[0].sort().values
    p_B = [torch.cat(points.p_B)[chosen][body[chosen] == b] for b in range(robot.num_bodies)]
    if on_gripper:
        p_T = spread_gripper_points(robot, on_gripper)
        X_BT = _tensor(robot.tool.X_BT)
        p_B[robot.tool.body] = torch.cat([p_B[robot.tool.body], p_T @ X_BT[:3, :3].T + X_BT[:3, 3]])
    return RobotPoints(robot, tuple(p_B))


@lru_cache(maxsize=16)
def spread_gripper_points(robot: Robot, count: int) -> Tensor:
    """(count, 3) points on hand and fingers, far from each other, in the tool frame [m]."""
    points = gripper_points(robot, CANDIDATES * count)
    return points[farthest_points(points[None] + 1.0, count)[0]]  # away from the origin, where no point is chosen


@lru_cache(maxsize=16)
def gripper_points(robot: Robot, count: int) -> Tensor:
    """(count, 3) points spread over the hand and its fingers, in the tool frame [m]."""
    fingers = {finger.link for finger in robot.gripper.fingers} if robot.gripper else set()
    links = [link for link in robot.links if link.name in fingers or link.name.endswith("_hand")]
    X_TB = inverse(robot.tool.X_BT)
    points, _ = _spread(links or [link for link in robot.links if link.body == robot.tool.body], count)
    return _tensor(points @ X_TB[:3, :3].T + X_TB[:3, 3])


def target_points(robot: Robot, count: int, X_0T: Tensor) -> Tensor:
    """(B, count, 3) the gripper's points with the tool at poses ``X_0T`` (B, 4, 4) in the frame of the base [m]."""
    return gripper_points(robot, count).to(X_0T) @ X_0T[:, :3, :3].mT + X_0T[:, None, :3, 3]


def reachable_points(scene: Scene, X_0W: Array, count: int, reach: float, rng: np.random.Generator) -> Array:
    """(count, 3) points on the obstacles, in the frame of the base, none farther from it than ``reach`` [m].

    A cloud with too few of them has some twice; one without any is a single point straight below.
    """
    p = sample_scene(scene, 4 * count, rng) @ X_0W[:3, :3].T + X_0W[:3, 3]
    p = p[np.linalg.norm(p, axis=1) < reach]
    if not len(p):
        p = np.array([[0.0, 0.0, -reach]])
    return p[np.arange(count) % len(p)]


def labelled(robot: Tensor, obstacle: Tensor, target: Tensor) -> Tensor:
    """(B, n, 4) the cloud: points (B, ., 3) of robot, obstacles and target, in this order, each with its label."""
    parts = zip((robot, obstacle, target), (ROBOT, OBSTACLE, TARGET), strict=True)
    return torch.cat([torch.nn.functional.pad(p, (0, 1), value=label) for p, label in parts], dim=1)


def _spread(links: list[Link], count: int) -> tuple[Array, NDArray[np.int64]]:
    """(count, 3) points in body frames, and (count,) their bodies; links get shares by area."""
    area = np.array([sum(ConvexHull(hull).area for hull in link.hulls_B) for link in links])
    ends = np.round(np.cumsum(area) / area.sum() * count).astype(int)
    shares = np.diff(ends, prepend=0)
    # a generator a link: opening the gripper must not move the points of other links
    points = [
        _on_link(link, share, np.random.default_rng([SURFACE_SEED, i]))
        for i, (link, share) in enumerate(zip(links, shares, strict=True))
    ]
    return np.concatenate(points), np.repeat([link.body for link in links], shares)


def _on_link(link: Link, count: int, rng: np.random.Generator) -> Array:
    """(count, 3) points on the convex pieces of a link, none inside another piece."""
    hulls = [ConvexHull(hull) for hull in link.hulls_B]
    weights = np.array([hull.area for hull in hulls])
    kept: list[Array] = [np.empty((0, 3))]
    missing = count
    while missing > 0:
        for i, share in enumerate(rng.multinomial(2 * missing, weights / weights.sum())):
            p = sample_triangles(hulls[i].points, hulls[i].simplices, share, rng)
            inside = [
                (p @ h.equations[:, :3].T + h.equations[:, 3] < -1e-6).all(1) for j, h in enumerate(hulls) if j != i
            ]
            kept.append(p[~np.any(inside, axis=0)] if inside else p)
        missing = count - sum(map(len, kept))
    return rng.permutation(np.concatenate(kept))[:count]


def _tensor(values: Array) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
