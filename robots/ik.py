"""Inverse kinematics: many seeds at once, damped least squares, limits kept by projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edmp.robots.errors import InvalidInputError
from edmp.robots.robot import Array, Robot
from edmp.robots.threads import one_torch_thread

POSITION_WEIGHT = 1.0
ROTATION_WEIGHT = 0.2
"""[m/rad]: the solver treats a rotation error of 1 rad like 0.2 m."""


@dataclass(frozen=True)
class IkResult:
    """What `solve_ik` found.

    Attributes:
        q: (k, dof) distinct solutions within the limits, closest to the seed or home first; k = 0 if none.
        position_error: (k,) distance of the tool origin from the goal [m].
        rotation_error: (k,) angle between the tool frame and the goal [rad].
        message: a sentence for a person; if nothing was found it names the closest approach in mm and degrees.
    """

    q: Array
    position_error: Array
    rotation_error: Array
    message: str

    @property
    def reachable(self) -> bool:
        return len(self.q) > 0


def solve_ik(
    robot: Robot,
    X_WT: Array,
    *,
    near: Array | None = None,
    num_seeds: int = 64,
    max_iterations: int = 60,
    position_tolerance: float = 1e-4,
    rotation_tolerance: float = 1e-3,
    enough: float = 0.3,
    distinct: float = 0.1,
    seed: int = 0,
    generator: torch.Generator | None = None,
) -> IkResult:
    """Configurations that put the tool frame at a pose, joint limits respected.

    Levenberg-Marquardt (Sugihara 2011: damping proportional to the remaining error) from every seed in one batch;
    joints at a limit are held there for the step that would break it.

    Args:
        robot: the arm; `Robot.with_tool` chooses the frame.
        X_WT: (4, 4) wanted pose of the tool frame in the world.
        near: (dof,) first seed, and what solutions are ordered by closeness to; default the home configuration.
        num_seeds: seeds; the others are uniform within the limits.
        max_iterations: steps of the solver.
        position_tolerance: [m].
        rotation_tolerance: [rad].
        enough: stop when this share of the seeds has arrived.
        distinct: two solutions with no joint farther apart than this count as one [rad or m].
        seed: of the random seeds, when no generator is given.
        generator: source of the random seeds; takes precedence.
    """
    X_WT = _checked_pose(X_WT)
    near = robot.home if near is None else np.asarray(near, dtype=np.float64)
    if near.shape != (robot.dof,) or not np.isfinite(near).all():
        raise InvalidInputError(f"near: expected {robot.dof} finite numbers, got shape {near.shape}")
    if generator is None:
        generator = torch.Generator().manual_seed(seed)
    lower, upper = torch.as_tensor(robot.limits.lower), torch.as_tensor(robot.limits.upper)
    uniform = torch.rand(max(1, num_seeds), robot.dof, generator=generator, dtype=torch.float64)
    q = lower + uniform * (upper - lower)
    q[0] = torch.as_tensor(near).clamp(lower, upper)
    chain = _Chain(robot)
    goal = torch.as_tensor(X_WT)
    settings = _Settings(max_iterations, position_tolerance, rotation_tolerance, enough)
    with one_torch_thread():
        q, position, rotation = _levenberg_marquardt(chain, q, goal, lower, upper, settings)
    good = (position <= position_tolerance) & (rotation <= rotation_tolerance)
    if not good.any():
        return _unreachable(robot, q, position, rotation)
    solutions = q[good].numpy()
    order = np.argsort(np.linalg.norm(solutions - near, axis=1))
    keep = _distinct_rows(solutions[order], distinct)
    chosen = order[keep]
    return IkResult(
        solutions[chosen],
        position[good].numpy()[chosen],
        rotation[good].numpy()[chosen],
        f"{len(chosen)} distinct solutions",
    )


@dataclass(frozen=True)
class _Settings:
    max_iterations: int
    position_tolerance: float
    rotation_tolerance: float
    enough: float


class _Chain:
    """The joints as stacked tensors: a forward pass and Jacobian without going through Python objects."""

    def __init__(self, robot: Robot) -> None:
        count = robot.tool.body
        self.dof = robot.dof
        self.X_PJ = [torch.as_tensor(joint.X_PJ) for joint in robot.joints[:count]]
        self.revolute = [joint.kind == "revolute" for joint in robot.joints[:count]]
        self.R_W0, self.p_W0 = torch.as_tensor(robot.X_W0[:3, :3]), torch.as_tensor(robot.X_W0[:3, 3])
        self.R_BT, self.p_BT = torch.as_tensor(robot.tool.X_BT[:3, :3]), torch.as_tensor(robot.tool.X_BT[:3, 3])

    def tool_and_jacobian(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotation (n, 3, 3), position (n, 3) of the tool, and Jacobian (n, 6, dof), linear rows first."""
        n = len(q)
        R, p = self.R_W0.expand(n, 3, 3), self.p_W0.expand(n, 3)
        cos, sin = torch.cos(q), torch.sin(q)
        axes, origins = [], []
        for i, (X, revolute) in enumerate(zip(self.X_PJ, self.revolute, strict=True)):
            p = p + R @ X[:3, 3]
            R = R @ X[:3, :3]
            axes.append(R[:, :, 2])
            if revolute:
                c, s = cos[:, i, None], sin[:, i, None]
                x, y = R[:, :, 0], R[:, :, 1]
                R = torch.stack([c * x + s * y, c * y - s * x, R[:, :, 2]], dim=-1)
            else:
                p = p + R[:, :, 2] * q[:, i, None]
            origins.append(p)
        p = p + R @ self.p_BT
        R = R @ self.R_BT
        J = q.new_zeros(n, 6, self.dof)
        axis, origin = torch.stack(axes, dim=-1), torch.stack(origins, dim=-1)
        turns = torch.tensor(self.revolute)
        turning = torch.linalg.cross(axis, p[:, :, None] - origin, dim=1)
        J[:, :3, : len(axes)] = torch.where(turns, turning, axis)
        J[:, 3:, : len(axes)] = axis * turns
        return R, p, J


def _levenberg_marquardt(
    chain: _Chain, q: Tensor, goal: Tensor, lower: Tensor, upper: Tensor, settings: _Settings
) -> tuple[Tensor, Tensor, Tensor]:
    """Best configuration of each seed with its position and rotation error.

    Seeds that have arrived leave the batch; the loop ends early when enough of them have.
    """
    weight = torch.tensor([POSITION_WEIGHT] * 3 + [ROTATION_WEIGHT] * 3, dtype=torch.float64)
    identity = torch.eye(chain.dof, dtype=torch.float64)
    final_q = q.clone()
    final = torch.full((3, len(q)), torch.inf, dtype=torch.float64)  # cost, position error, rotation error
    active = torch.arange(len(q))
    damping = torch.full((len(q),), 1e-2, dtype=torch.float64)
    previous = torch.full((len(q),), torch.inf, dtype=torch.float64)
    for _ in range(settings.max_iterations):
        R, p, J = chain.tool_and_jacobian(q)
        offset = goal[:3, 3] - p
        twist, angle = _rotation_vector(goal[:3, :3] @ R.transpose(1, 2))
        error = torch.cat([offset, twist], dim=1) * weight
        values = torch.stack([error.square().sum(dim=1), offset.norm(dim=1), angle])
        better = values[0] < final[0, active]
        final[:, active[better]] = values[:, better]
        final_q[active[better]] = q[better]
        # Solve a little more closely than asked, so that rounding does not decide.
        left = (values[1] > 0.5 * settings.position_tolerance) | (values[2] > 0.5 * settings.rotation_tolerance)
        if len(q) - int(left.sum()) + len(final_q) - len(active) >= settings.enough * len(final_q):
            break
        damping = (damping * torch.where(values[0] < previous, 0.4, 4.0)).clamp(1e-6, 1.0)
        q, active, J, error, damping, previous = (
            x[left] for x in (q, active, J * weight[None, :, None], error, damping, values[0])
        )
        lam = (damping * previous.clamp(min=1e-8) + 1e-9)[:, None, None]
        q = (q + _bounded_step(J, error, lam, identity, q, lower, upper)).clamp(lower, upper)
    return final_q, final[1], final[2]


def _bounded_step(
    J: Tensor, error: Tensor, damping: Tensor, identity: Tensor, q: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """Damped least-squares step; joints that it would push through their limit are held and the rest solved again."""
    free = torch.ones_like(q)
    for _ in range(2):
        A = J * free[:, None]
        normal = A.transpose(1, 2) @ A + damping * identity
        step = torch.linalg.solve(normal, (A.transpose(1, 2) @ error[..., None]))[..., 0] * free
        step = step * (0.8 / step.abs().amax(dim=1, keepdim=True).clamp(min=0.8))
        blocked = ((q <= lower) & (step < 0)) | ((q >= upper) & (step > 0))
        if not blocked.any():
            break
        free = free * ~blocked
    return step * free


def _rotation_vector(R: Tensor) -> tuple[Tensor, Tensor]:
    """Axis times angle (n, 3) and angle (n,) of rotation matrices (n, 3, 3)."""
    skew = torch.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], dim=1) / 2
    sine = skew.norm(dim=1)
    cosine = (R.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
    angle = torch.atan2(sine, cosine)
    # Near a half turn the skew part vanishes and its direction is noise; the step that follows is damped all the same.
    return skew * (angle / sine.clamp(min=1e-9))[:, None], angle


def _distinct_rows(rows: Array, distance: float) -> list[int]:
    """Indices of rows, earlier ones first, that differ from those kept by more than ``distance`` in some joint."""
    kept: list[int] = []
    for i, row in enumerate(rows):
        if not kept or (np.abs(rows[kept] - row).max(axis=1) > distance).all():
            kept.append(i)
    return kept


def _unreachable(robot: Robot, q: Tensor, position: Tensor, rotation: Tensor) -> IkResult:
    closest = int((position + ROTATION_WEIGHT * rotation).argmin())
    message = (
        f"no configuration of {robot.name} within its limits puts {robot.tool.name} there; the closest approach is "
        f"{1e3 * position[closest]:.1f} mm and {np.degrees(float(rotation[closest])):.1f} deg away"
    )
    return IkResult(np.empty((0, robot.dof)), np.empty(0), np.empty(0), message)


def _checked_pose(X: Array) -> Array:
    X = np.asarray(X, dtype=np.float64)
    if X.shape != (4, 4) or not np.isfinite(X).all():
        raise InvalidInputError(f"X_WT: expected a finite (4, 4) pose, got shape {X.shape}")
    R = X[:3, :3]
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-6 or np.linalg.det(R) < 0 or np.abs(X[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise InvalidInputError("X_WT: not a rigid transform: the upper left block must be a rotation matrix")
    return X
