"""Inverse kinematics: many seeds at once, damped least squares, limits kept by projection."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.robots.parts import Array
from edmp.robots.robot import Robot
from edmp.threads import one_torch_thread

POSITION_WEIGHT = 1.0
ROTATION_WEIGHT = 0.2
"""[m/rad]: the solver treats a rotation error of 1 rad like 0.2 m."""

NEAR_SPREAD = 0.5
"""Seeds about a configuration spread so far from it, one standard deviation [rad]."""
DRAWN_ITERATIONS = 6
"""What was drawn along the self-motion is nearly at the pose: a few steps put it there, or nothing does."""

_Found = tuple[Tensor, Tensor, Tensor]
"""Configurations (n, dof) with their position (n,) [m] and rotation errors (n,) [rad]."""


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


MOST_SEEDS = 100_000
"""More seeds, or steps, than this no machine holds, or has the time for."""


@checked
def solve_ik(
    robot: Robot,
    X_WT: Array,
    *,
    near: Array | None = None,
    num_near: int = 0,
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
        num_near: further seeds about ``near``; and so many of the nearest solutions are drawn towards ``near`` as far
            as the pose allows.
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
    for name, count in (("num_seeds", num_seeds), ("num_near", num_near), ("max_iterations", max_iterations)):
        if not 0 <= count <= MOST_SEEDS:
            raise InvalidInputError(f"{name} must be in 0 to {MOST_SEEDS}, got {count}")
    near = robot.home if near is None else np.asarray(near, dtype=np.float64)
    if near.shape != (robot.dof,) or not np.isfinite(near).all():
        raise InvalidInputError(f"near: expected {robot.dof} finite numbers, got shape {near.shape}")
    if generator is None:
        generator = torch.Generator().manual_seed(seed)
    lower, upper = torch.as_tensor(robot.limits.lower), torch.as_tensor(robot.limits.upper)
    uniform = torch.rand(max(1, num_seeds), robot.dof, generator=generator, dtype=torch.float64)
    q = lower + uniform * (upper - lower)
    q[0] = torch.as_tensor(near).clamp(lower, upper)
    spread = torch.linspace(0.0, NEAR_SPREAD, num_near + 1, dtype=torch.float64)[1:, None]
    about = q[0] + spread * torch.randn(num_near, robot.dof, generator=generator, dtype=torch.float64)
    q = torch.cat([q, about.clamp(lower, upper)])
    chain = _Chain(robot)
    elsewhere = ~torch.as_tensor(robot.moves[:, robot.tool.body])
    q[:, elsewhere] = q[0, elsewhere]  # what does not move the tool has no reason to move
    goal = torch.as_tensor(X_WT)
    settings = _Settings(max_iterations, position_tolerance, rotation_tolerance, enough)
    with one_torch_thread():
        found = _levenberg_marquardt(chain, q, goal, lower, upper, settings)
        if num_near and robot.dof > 6:  # else the pose leaves the arm no self-motion
            nearest = _nearest_reached(found, q[0], settings, num_near)
            drawn = _drawn(chain, nearest, goal, q[0], lower, upper)
            brief = replace(settings, enough=1.0, max_iterations=DRAWN_ITERATIONS)
            found = _joined(found, _levenberg_marquardt(chain, drawn, goal, lower, upper, brief))
    q, position, rotation = found
    good = (position <= position_tolerance) & (rotation <= rotation_tolerance)
    if not good.any():
        return _unreachable(robot, q, position, rotation)
    solutions = _unwound(robot, q[good].numpy(), near)
    order = np.argsort(np.linalg.norm(solutions - near, axis=1))
    keep = _distinct_rows(solutions[order], distinct)
    chosen = order[keep]
    return IkResult(
        solutions[chosen],
        position[good].numpy()[chosen],
        rotation[good].numpy()[chosen],
        f"{len(chosen)} distinct solutions",
    )


def reaches(robot: Robot, q: Array, X_WT: Array, *, position: float = 1e-4, rotation: float = 1e-3) -> bool:
    """Whether the tool of ``q`` (dof,) is at a pose, within tolerances [m], [rad]; the defaults are `solve_ik`'s."""
    R, p, _ = _Chain(robot).tool_and_jacobian(torch.as_tensor(q, dtype=torch.float64)[None])
    goal = torch.as_tensor(X_WT)
    _twist, angle = _rotation_vector(goal[:3, :3] @ R.transpose(1, 2))
    return float((goal[:3, 3] - p).norm()) <= position and float(angle) <= rotation


@dataclass(frozen=True)
class _Settings:
    max_iterations: int
    position_tolerance: float
    rotation_tolerance: float
    enough: float


class _Chain:
    """The joints as stacked tensors: a forward pass and Jacobian without going through Python objects."""

    def __init__(self, robot: Robot) -> None:
        self.dof = robot.dof
        self.columns = np.flatnonzero(robot.moves[:, robot.tool.body]).tolist()  # the joints that move the tool
        self.X_PJ = [torch.as_tensor(robot.joints[i].X_PJ) for i in self.columns]
        self.revolute = [robot.joints[i].kind == "revolute" for i in self.columns]
        self.R_W0, self.p_W0 = torch.as_tensor(robot.X_W0[:3, :3]), torch.as_tensor(robot.X_W0[:3, 3])
        self.R_BT, self.p_BT = torch.as_tensor(robot.tool.X_BT[:3, :3]), torch.as_tensor(robot.tool.X_BT[:3, 3])

    def tool_and_jacobian(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotation (n, 3, 3), position (n, 3) of the tool, and Jacobian (n, 6, dof), linear rows first."""
        n = len(q)
        R, p = self.R_W0.expand(n, 3, 3), self.p_W0.expand(n, 3)
        cos, sin = torch.cos(q), torch.sin(q)
        axes, origins = [], []
        for i, X, revolute in zip(self.columns, self.X_PJ, self.revolute, strict=True):
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
        J[:, :3, self.columns] = torch.where(turns, turning, axis)
        J[:, 3:, self.columns] = axis * turns
        return R, p, J


def _levenberg_marquardt(
    chain: _Chain, q: Tensor, goal: Tensor, lower: Tensor, upper: Tensor, settings: _Settings
) -> _Found:
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


def _joined(a: _Found, b: _Found) -> _Found:
    return torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]]), torch.cat([a[2], b[2]])


def _nearest_reached(found: _Found, near: Tensor, settings: _Settings, count: int) -> Tensor:
    """The ``count`` configurations nearest to ``near`` among those that reach the goal."""
    q, position, rotation = found
    q = q[(position <= settings.position_tolerance) & (rotation <= settings.rotation_tolerance)]
    return q[torch.argsort((q - near).norm(dim=1), stable=True)[:count]]


def _drawn(chain: _Chain, q: Tensor, goal: Tensor, near: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Configurations (n, dof) moved along the arm's self-motion towards ``near`` (dof,), about where they stay.

    Gauss-Newton for the nearest configuration with the tool at the pose: each step solves that with the pose
    linearised.
    """
    identity = torch.eye(6, dtype=torch.float64)
    for _ in range(6):
        R, p, J = chain.tool_and_jacobian(q)
        twist, _angle = _rotation_vector(goal[:3, :3] @ R.transpose(1, 2))
        error = torch.cat([goal[:3, 3] - p, twist], dim=1)[..., None] + J @ (q - near)[..., None]
        J_T = J.transpose(1, 2)
        step = near + (J_T @ torch.linalg.solve(J @ J_T + 1e-6 * identity, error))[..., 0] - q
        step = step * (0.3 / step.abs().amax(dim=1, keepdim=True).clamp(min=0.3))
        q = (q + step).clamp(lower, upper)
    return q


def _unwound(robot: Robot, q: Array, near: Array) -> Array:
    """Configurations (n, dof), each revolute joint turned by whole revolutions to where it is nearest to ``near``."""
    turn, limits = 2 * np.pi, robot.limits
    revolute = np.array([joint.kind == "revolute" for joint in robot.joints])
    fewest = np.where(robot.continuous, -np.inf, np.ceil((limits.lower - q) / turn))
    most = np.where(robot.continuous, np.inf, np.floor((limits.upper - q) / turn))
    return q + turn * revolute * np.clip(np.round((near - q) / turn), fewest, most)


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
