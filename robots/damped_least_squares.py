"""Damped least squares: configurations that put the tool frame at poses, many at once, limits kept by projection.

What inverse kinematics solves with: `edmp.robots.solve_ik` starts it from many seeds towards one pose, generated tasks
from a few seeds towards each of many.

Beside it stand two solvers for what it is not made for. `edmp.collision.reach` follows a thousand and more seeds
towards hundreds of grasps, compiled and in single precision, to a micrometre or so: 5 seeds of each of 300 poses in a
fifth of the time that this takes for them. `edmp.cartesian.chain` carries an arm along a line, by the shortest moves of
the joints that move the tool, within bounds of its own, to a tenth of a micrometre: 32 poses of a line in a ninth of
the time. Neither does the other's work, nor this one's: single precision does not reach a tenth of a micrometre, and
least moves do not come far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edmp.robots.parts import Array
from edmp.robots.robot import Robot
from edmp.threads import one_torch_thread

POSITION_WEIGHT = 1.0
ROTATION_WEIGHT = 0.2
"""[m/rad]: the solver treats a rotation error of 1 rad like 0.2 m."""

LARGEST_STEP = 0.8
"""No joint moves farther in one step [rad or m]."""
DRAWN_STEPS, LARGEST_DRAWN_STEP = 6, 0.3
"""Steps along the self-motion, and how far a joint moves at most in one [rad or m]."""


@dataclass(frozen=True)
class IkBatch:
    """What `solve` came to, a row for each row of ``q0``.

    Attributes:
        q: (n, dof) the best configuration on the way, within the limits [rad or m].
        position_error: (n,) distance of the tool origin from its goal [m].
        rotation_error: (n,) angle between the tool frame and its goal [rad].
        within: (n,) whether both errors are within the tolerances.
    """

    q: Tensor
    position_error: Tensor
    rotation_error: Tensor
    within: Tensor

    def then(self, other: IkBatch) -> IkBatch:
        """These rows, and those of ``other`` below them."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return IkBatch(*(torch.cat(pair) for pair in pairs))


def solve(
    robot: Robot,
    q0: Tensor,
    X_WT: Tensor,
    *,
    towards: Tensor | None = None,
    max_iterations: int = 60,
    position_tolerance: float = 1e-4,
    rotation_tolerance: float = 1e-3,
    enough: float = 1.0,
) -> IkBatch:
    """Descend from configurations to tool poses, row by row; rows do not look at one another, except for ``enough``.

    Levenberg-Marquardt (Sugihara 2011: damping proportional to the remaining error); joints at a limit are held there
    for the step that would break it. Rows that have arrived leave the batch.

    Args:
        robot: the arm; its tool frame is put at the poses.
        q0: (n, dof) where the rows begin, within the limits; dtype and device are those of the answer.
        X_WT: (n, 4, 4) a pose for each row, or (4, 4) one for all, in the world.
        towards: (n, dof) or (dof,) what to come near to as far as the pose allows: the rows are moved along the arm's
            self-motion first, and put at their poses then. None leaves that to chance.
        max_iterations: steps of the solver.
        position_tolerance: [m].
        rotation_tolerance: [rad].
        enough: stop when this share of the rows has arrived.
    """
    tool = ToolKinematics(robot, q0)
    lower, upper = _like(robot.limits.lower, q0), _like(robot.limits.upper, q0)
    goal, q = X_WT.to(q0), q0
    with one_torch_thread():
        if towards is not None:
            q = _drawn(tool, q, goal, towards.to(q0), lower, upper)
        q, position, rotation = _levenberg_marquardt(
            tool, q, goal, lower, upper, max_iterations, (position_tolerance, rotation_tolerance), enough
        )
    return IkBatch(q, position, rotation, (position <= position_tolerance) & (rotation <= rotation_tolerance))


def _like(x: Array, q: Tensor) -> Tensor:
    """``x`` in the dtype and on the device of ``q``."""
    return torch.as_tensor(x, dtype=q.dtype, device=q.device)


class ToolKinematics:
    """The joints that move the tool as stacked tensors, in the dtype and on the device of ``like``.

    A forward pass and the Jacobian without going through Python objects; `edmp.robots.kinematics` is the definition.
    """

    def __init__(self, robot: Robot, like: Tensor) -> None:
        self.dof = robot.dof
        self.columns = np.flatnonzero(robot.moves[:, robot.tool.body]).tolist()
        self.X_PJ = [_like(robot.joints[i].X_PJ, like) for i in self.columns]
        self.revolute = [robot.joints[i].kind == "revolute" for i in self.columns]
        self.turns = torch.tensor(self.revolute, device=like.device)
        self.R_W0, self.p_W0 = _like(robot.X_W0[:3, :3], like), _like(robot.X_W0[:3, 3], like)
        self.R_BT, self.p_BT = _like(robot.tool.X_BT[:3, :3], like), _like(robot.tool.X_BT[:3, 3], like)

    def pose_and_jacobian(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
        turning = torch.linalg.cross(axis, p[:, :, None] - origin, dim=1)
        J[:, :3, self.columns] = torch.where(self.turns, turning, axis)
        J[:, 3:, self.columns] = axis * self.turns
        return R, p, J


def pose_error(goal: Tensor, R: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is missing to ``goal`` (4, 4) or (n, 4, 4) from rotations ``R`` (n, 3, 3) and positions ``p`` (n, 3).

    Returns:
        offset (n, 3) [m] and rotation vector (n, 3) [rad] in world axes, and the angle (n,) of that [rad].
    """
    offset = goal[..., :3, 3] - p
    missing = goal[..., :3, :3] @ R.transpose(1, 2)
    skew = torch.stack(
        [
            missing[:, 2, 1] - missing[:, 1, 2],
            missing[:, 0, 2] - missing[:, 2, 0],
            missing[:, 1, 0] - missing[:, 0, 1],
        ],
        dim=1,
    )
    skew = skew / 2
    sine = skew.norm(dim=1)
    cosine = (missing.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
    angle = torch.atan2(sine, cosine)
    # Near a half turn the skew part vanishes and its direction is noise; the step that follows is damped all the same.
    return offset, skew * (angle / sine.clamp(min=1e-9))[:, None], angle


def _levenberg_marquardt(
    tool: ToolKinematics,
    q: Tensor,
    goal: Tensor,
    lower: Tensor,
    upper: Tensor,
    max_iterations: int,
    tolerances: tuple[float, float],
    enough: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Best configuration of each row with its position and rotation error; the loop ends early when enough arrived."""
    weight = q.new_tensor([POSITION_WEIGHT] * 3 + [ROTATION_WEIGHT] * 3)
    identity = _like(np.eye(tool.dof), q)
    final_q = q.clone()
    final = q.new_full((3, len(q)), torch.inf)  # cost, position error, rotation error
    active = torch.arange(len(q), device=q.device)
    damping, previous = q.new_full((len(q),), 1e-2), q.new_full((len(q),), torch.inf)
    for _ in range(max_iterations):
        R, p, J = tool.pose_and_jacobian(q)
        offset, twist, angle = pose_error(goal, R, p)
        error = torch.cat([offset, twist], dim=1) * weight
        values = torch.stack([error.square().sum(dim=1), offset.norm(dim=1), angle])
        better = values[0] < final[0, active]
        final[:, active[better]] = values[:, better]
        final_q[active[better]] = q[better]
        # Solve a little more closely than asked, so that rounding does not decide.
        left = (values[1] > 0.5 * tolerances[0]) | (values[2] > 0.5 * tolerances[1])
        if len(q) - int(left.sum()) + len(final_q) - len(active) >= enough * len(final_q):
            break
        damping = (damping * torch.where(values[0] < previous, 0.4, 4.0)).clamp(1e-6, 1.0)
        q, active, J, error, damping, previous = (
            x[left] for x in (q, active, J * weight[None, :, None], error, damping, values[0])
        )
        if goal.ndim == 3:
            goal = goal[left]
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
        step = step * (LARGEST_STEP / step.abs().amax(dim=1, keepdim=True).clamp(min=LARGEST_STEP))
        blocked = ((q <= lower) & (step < 0)) | ((q >= upper) & (step > 0))
        if not blocked.any():
            break
        free = free * ~blocked
    return step * free


def _drawn(tool: ToolKinematics, q: Tensor, goal: Tensor, towards: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Configurations (n, dof) moved along the arm's self-motion towards others, about where their poses leave them.

    Gauss-Newton for the nearest configuration with the tool at the pose: each step solves that with the pose
    linearised.
    """
    identity = _like(np.eye(6), q)
    for _ in range(DRAWN_STEPS):
        R, p, J = tool.pose_and_jacobian(q)
        offset, twist, _angle = pose_error(goal, R, p)
        error = torch.cat([offset, twist], dim=1)[..., None] + J @ (q - towards)[..., None]
        J_T = J.transpose(1, 2)
        step = towards + (J_T @ torch.linalg.solve(J @ J_T + 1e-6 * identity, error))[..., 0] - q
        step = step * (LARGEST_DRAWN_STEP / step.abs().amax(dim=1, keepdim=True).clamp(min=LARGEST_DRAWN_STEP))
        q = (q + step).clamp(lower, upper)
    return q
