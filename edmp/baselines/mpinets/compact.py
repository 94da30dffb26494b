"""A smaller relative of the policy, made to be trained on a CPU: what it sees is arranged round the robot.

It keeps what makes the method: obstacles seen as a cloud of points by set abstraction (Qi et al. 2017), a displacement
of the joints as output, imitation of experts judged on points of the robot. It differs in three ways. The robot and the
target enter as poses, not as points to be told apart in the cloud. The centres of the local abstraction are points
fixed to the links (and to the gripper at its target), each of which groups the obstacle points nearest to it, in the
frame of its link; their codes keep their places instead of being pooled. The scene as a whole is encoded once, not at
every step: nothing in it depends on the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from edmp.baselines.mpinets.grouping import along_a_curve, nearest_points
from edmp.baselines.mpinets.network import Points, SetAbstraction, shared_mlp
from edmp.baselines.mpinets.point_cloud import spread_gripper_points, spread_points
from edmp.geometry.poses import inverse
from edmp.ranges import Range, check_fields
from edmp.robots.damped_least_squares import pose_error
from edmp.robots.kinematics import body_poses
from edmp.robots.robot import Robot

NEIGHBOR_FEATURES = 5
"""Of a point near a centre: its offset in radii, how near it is by two measures."""
NEAR = 0.05
"""Distance at which nearness has fallen to 1/e [m]."""
FINE_OFFSET, FINE_ANGLE = 0.03, 0.2
"""Below this, what is missing to the target is seen magnified [m], [rad]."""
POSE_FEATURES = 12 + 12 + 2 * 6 + 2
SERVO_ROTATION, SERVO_DAMPING, SERVO_FINE = 0.2, 0.03, 0.1
"""Of the hint of `CompactConfig.servo`: a rotation of 1 rad weighs like so many metres; damping [m]; and below what
length it is seen magnified [rad]."""


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the network and of what it sees.

    Attributes:
        num_obstacle_points: of the cloud; points beyond the arm's reach are left out.
        coarse_points: of them, for what looks far; what looks near sees all.
        reach: how far from the robot's base the cloud goes [m].
        centers: points on the moving links that look around.
        target_centers: points on the gripper that look around, where it is, and at its target.
        neighbors, radius: nearest coarse points a centre looks at, and how far it sees [m].
        near_neighbors, near_radius: nearest points of all, for how near exactly the obstacles are, and which way.
        local_widths: of the layers that encode a centre's surroundings, far and near each.
        scene_centers, scene_radius, scene_neighbors, scene_widths, scene_global: of the set abstraction, and of the
            layers after it, that encode the scene as a whole.
        decoder_widths: of the hidden layers that everything goes through.
        servo: show the network which move of the joints would bring the tool to its target if nothing were in the way
            and the arm linear (damped least squares). Without this it has to learn the arm's Jacobian.
        step: longest displacement of an expert [rad]; the output times this is the displacement.
    """

    num_obstacle_points: int = 4096
    coarse_points: int = 512
    reach: float = 1.1
    centers: int = 48
    target_centers: int = 16
    neighbors: int = 4
    radius: float = 0.3
    near_neighbors: int = 4
    near_radius: float = 0.1
    local_widths: tuple[int, ...] = (16, 16)
    scene_centers: int = 64
    scene_radius: float = 0.2
    scene_neighbors: int = 16
    scene_widths: tuple[int, ...] = (32, 64)
    scene_global: tuple[int, ...] = (128, 128)
    decoder_widths: tuple[int, ...] = (512, 512, 512)
    servo: bool = True
    step: float = 0.1

    def __post_init__(self) -> None:
        count, widths, positive = Range(1, whole=True), Range(1, whole=True, several=True), Range(0, above=True)
        counts = ["num_obstacle_points", "coarse_points", "centers", "target_centers", "neighbors", "near_neighbors"]
        counts += ["scene_centers", "scene_neighbors"]
        layers = ["local_widths", "scene_widths", "scene_global", "decoder_widths"]
        lengths = ["reach", "radius", "near_radius", "scene_radius", "step"]
        ranges = {**dict.fromkeys(counts, count), **dict.fromkeys(layers, widths), **dict.fromkeys(lengths, positive)}
        check_fields(self, ranges)
        for name in layers:
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True, eq=False)
class View:
    """What does not change on the way.

    Attributes:
        coarse, obstacle: (G, n, 3) clouds in the frame of the base, of a few points and of all [m].
        cloud: (B,) which of them each row moves among.
        X_0T: (B, 4, 4) where the tool shall go.
        code: (B, c) of the scene and of the surroundings of the target.
    """

    coarse: Tensor
    obstacle: Tensor
    cloud: Tensor
    X_0T: Tensor
    code: Tensor


@dataclass(frozen=True, eq=False)
class Centers:
    """Points fixed to bodies: (m,) bodies and (m, 3) places in their frames [m]."""

    body: Tensor
    p_B: Tensor


class CompactNetwork(nn.Module):
    """Steps of a policy; buffers ``lower`` and ``upper`` (dof,) hold the joint limits [rad] that scale its input."""

    lower: Tensor
    upper: Tensor

    def __init__(self, config: CompactConfig, lower: Sequence[float], upper: Sequence[float]) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("lower", torch.tensor(lower, dtype=torch.float32))
        self.register_buffer("upper", torch.tensor(upper, dtype=torch.float32))
        c, dof = config, len(lower)
        self.local, self.at_target = (
            nn.ModuleList(shared_mlp([NEIGHBOR_FEATURES, *c.local_widths]) for _ in ("far", "near")) for _ in range(2)
        )
        self.scene = SetAbstraction(c.scene_centers, c.scene_radius, c.scene_neighbors, [0, *c.scene_widths])
        self.whole = shared_mlp([3 + c.scene_widths[-1], *c.scene_global])
        seen = 2 * (c.centers + 2 * c.target_centers) * c.local_widths[-1] + c.scene_global[-1]
        layers: list[nn.Module] = []
        for before, width in pairwise([dof * (3 if c.servo else 1) + POSE_FEATURES + seen, *c.decoder_widths]):
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.SiLU()]
        self.decoder = nn.Sequential(*layers, nn.Linear(c.decoder_widths[-1], dof))

    def view(self, robot: Robot, obstacle: Tensor, cloud: Tensor, X_0T: Tensor) -> View:
        """What the network sees of scenes and targets, fields as in `View`."""
        c = self.config
        coarse = obstacle[:, : c.coarse_points].contiguous()
        points = Points(coarse, coarse.new_zeros(*coarse.shape[:2], 0))
        scene = self.whole(torch.cat(self.scene(points), dim=-1)).amax(dim=1)
        seen = View(coarse, along_a_curve(obstacle), cloud, X_0T, scene[cloud])
        target = self._around(self.at_target, seen, *_at_gripper(robot, c.target_centers, X_0T))
        return replace(seen, code=torch.cat([seen.code, target], dim=-1))

    def forward(self, robot: Robot, view: View, q: Tensor) -> Tensor:
        """(B, dof) displacement from configurations ``q`` (B, dof) [rad]."""
        X_0B = torch.as_tensor(inverse(robot.X_W0)).to(q) @ body_poses(robot, q)
        X_0T = X_0B[:, robot.tool.body] @ torch.as_tensor(robot.tool.X_BT).to(q)
        centers = _centers(robot, self.config.centers)
        X_0G, p_G = _at_gripper(robot, self.config.target_centers, X_0T)
        X_0F, p_F = torch.cat([X_0B[:, centers.body], X_0G], dim=1), torch.cat([centers.p_B.to(q), p_G])
        around = self._around(self.local, view, X_0F, p_F)
        unit = 2 * (q - self.lower) / (self.upper - self.lower) - 1
        everything = [unit, _poses(X_0T, view.X_0T), around, view.code]
        if self.config.servo:
            everything.append(_servo(robot, X_0B, X_0T, view.X_0T))
        return self.config.step * self.decoder(torch.cat(everything, dim=-1))

    def next(self, robot: Robot, view: View, q: Tensor) -> Tensor:
        """(B, dof) the configuration after the step, within the limits [rad]."""
        return torch.minimum(torch.maximum(q + self(robot, view, q), self.lower), self.upper)

    def _around(self, looks: Iterable[nn.Module], view: View, X_0F: Tensor, p_F: Tensor) -> Tensor:
        """(B, m * width) codes of the obstacle points near ``p_F`` (m, 3), each in its frame ``X_0F`` (B, m, 4, 4)."""
        c = self.config
        R_0F = X_0F[..., :3, :3]
        center = (R_0F @ p_F[..., None])[..., 0] + X_0F[..., :3, 3]
        far, near = looks
        codes = [
            _grouped(far, view.coarse, view.cloud, R_0F, center, c.radius, c.neighbors),
            _grouped(near, view.obstacle, view.cloud, R_0F, center, c.near_radius, c.near_neighbors),
        ]
        return torch.cat(codes, dim=-1)


def _grouped(
    mlp: nn.Module, obstacle: Tensor, cloud: Tensor, R_0F: Tensor, center: Tensor, radius: float, count: int
) -> Tensor:
    """(B, m * width) codes of the nearest points of each centre (B, m, 3) in its frame ``R_0F`` (B, m, 3, 3)."""
    index = nearest_points(obstacle, cloud, center, radius, count)
    found = (index >= 0).unsqueeze(-1)
    rows = index.clamp(min=0) + (cloud * obstacle.shape[1])[:, None, None]
    offset_0 = obstacle.flatten(0, 1).index_select(0, rows.flatten()).view(*index.shape, 3) - center.unsqueeze(2)
    offset_F = (offset_0 @ R_0F) * found
    distance = offset_F.norm(dim=-1, keepdim=True)
    nearness = torch.exp(-distance / NEAR) * found
    feature = torch.cat([offset_F / radius, (1 - distance / radius) * found, nearness], dim=-1)
    return mlp(feature).amax(dim=2).flatten(1)


def _poses(X_0T: Tensor, goal: Tensor) -> Tensor:
    """(B, POSE_FEATURES): where the tool is, where it shall go, and what is missing, coarse and fine, in its frame."""
    R = X_0T[:, :3, :3]
    offset, twist, angle = pose_error(goal, R, X_0T[:, :3, 3])
    offset, twist = (offset[:, None] @ R)[:, 0], (twist[:, None] @ R)[:, 0]
    distance, angle = offset.norm(dim=-1, keepdim=True), angle[:, None]
    fine = [offset / (distance + FINE_OFFSET), twist / (angle + FINE_ANGLE)]
    return torch.cat(
        [X_0T[:, :3].flatten(1), goal[:, :3].flatten(1), 2 * offset, twist / 2, *fine, 2 * distance, angle / 2], dim=-1
    )


def _servo(robot: Robot, X_0B: Tensor, X_0T: Tensor, goal: Tensor) -> Tensor:
    """(B, 2 dof): the damped least-squares step of the joints towards the target [rad], and the same if it is small."""
    offset, twist, _ = pose_error(goal, X_0T[:, :3, :3], X_0T[:, :3, 3])
    error = torch.cat([offset, twist * SERVO_ROTATION], dim=1)[..., None]
    axis, origin = X_0B[:, 1:, :3, 2], X_0B[:, 1:, :3, 3]
    linear = torch.linalg.cross(axis, X_0T[:, None, :3, 3] - origin)
    moves = torch.as_tensor(robot.moves[:, robot.tool.body, None], device=axis.device)
    J = (torch.cat([linear, axis * SERVO_ROTATION], dim=-1) * moves).mT
    square = J @ J.mT + SERVO_DAMPING**2 * torch.eye(6, device=J.device, dtype=J.dtype)
    step = (J.mT @ torch.linalg.solve(square, error))[..., 0]
    length = step.norm(dim=1, keepdim=True)
    return torch.cat([step, step / (length + SERVO_FINE)], dim=1)


@lru_cache(maxsize=8)
def _centers(robot: Robot, count: int) -> Centers:
    points = spread_points(robot, count)
    body = torch.repeat_interleave(torch.arange(robot.num_bodies), torch.tensor([len(p) for p in points.p_B]))
    return Centers(body, torch.cat(points.p_B))


def _at_gripper(robot: Robot, count: int, X_0T: Tensor) -> tuple[Tensor, Tensor]:
    """The same pose (B, count, 4, 4) of the tool for each of ``count`` points on the gripper, and these (count, 3)."""
    return X_0T[:, None].expand(-1, count, 4, 4), spread_gripper_points(robot, count).to(X_0T)
