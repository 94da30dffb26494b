"""Seeds that leave the start, and come to the goal, along the tool's axis: how a gripper gets out of tight places.

Few random motions leave a cage or a shelf by its opening. Backing the tool off along its approach axis, or lifting it,
often does. These seeds know nothing of the scene; like all others they are repaired and judged.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.prior.spline import Spline, resample_polyline
from edmp.robots.kinematics import jacobian, tool_pose
from edmp.robots.robot import Robot

STEPS = 8
STRIDE = 0.0375
"""The tool backs off by `STEPS` times `STRIDE` [m] at most."""


def retreats(robot: Robot, q: Tensor) -> Tensor:
    """Motions that back the tool off from each configuration.

    Args:
        robot: the arm.
        q: (n, dof) [rad or m].

    Returns:
        (n, 2, STEPS + 1, dof): backwards along the tool's z axis, and halfway between that and straight up; each from
        ``q``, by damped least squares on the tool's position, within the joint limits.
    """
    n, dof = q.shape
    back = -tool_pose(robot, q)[:, :3, 2]
    up = torch.tensor([0.0, 0.0, 1.0]).to(q).expand_as(back)
    ways = torch.nn.functional.normalize(torch.stack([back, back + up + 1e-3], dim=1), dim=-1).flatten(0, 1)
    lower, upper = (torch.as_tensor(v).to(q) for v in (robot.limits.lower, robot.limits.upper))
    now = q.repeat_interleave(2, dim=0)
    damping = 1e-3 * torch.eye(6).to(q)
    twist = torch.cat([STRIDE * ways, torch.zeros_like(ways)], dim=1).unsqueeze(-1)
    path = [now]
    for _ in range(STEPS):
        J = jacobian(robot, now)
        step = (J.mT @ torch.linalg.solve(J @ J.mT + damping, twist)).squeeze(-1)
        now = torch.minimum(torch.maximum(now + step.clamp(-0.2, 0.2), lower), upper)
        path.append(now)
    return torch.stack(path, dim=1).reshape(n, 2, STEPS + 1, dof)


def retreat_seeds(
    robot: Robot,
    spline: Spline,
    start: Tensor,
    goals: Tensor,
    goal: Tensor,
    bends: Tensor,
    *,
    generator: torch.Generator,
) -> Tensor:
    """Splines that back off from the start and into the goal, bent in between.

    Args:
        robot: the arm.
        spline: representation.
        start: (dof,) [rad or m].
        goals: (k, dof).
        goal: (batch,) row of ``goals`` that each seed ends at.
        bends: (batch, K - 2, dof) what to add to the way between the two retreats [rad or m].
        generator: draws how far each seed backs off, and which way.

    Returns:
        (batch, (K - 2) * dof) deviations.
    """
    ways = retreats(robot, torch.cat([start[None], goals]))
    far = STEPS * torch.rand(2, len(goal), generator=generator)
    way = torch.randint(0, 2, (2, len(goal)), generator=generator)
    leave = _along(ways[0, way[0]], far[0])
    come = _along(ways[1 + goal, way[1]], far[1]).flip(1)
    share = torch.linspace(0, 1, bends.shape[1] + 2)[1:-1, None]
    middle = leave[:, -1:] * (1 - share) + come[:, :1] * share + bends
    polylines = resample_polyline(torch.cat([leave, middle, come], dim=1), 64)
    return spline.deviation(spline.fit(polylines, resample=False))


def _along(ways: Tensor, far: Tensor) -> Tensor:
    """(batch, STEPS + 1, dof) the first ``far`` (batch,) steps of each of ``ways`` (batch, STEPS + 1, dof)."""
    at = torch.linspace(0, 1, STEPS + 1) * far[:, None]
    low = at.floor().long().clamp(max=STEPS - 1)
    rows = torch.arange(len(ways))[:, None]
    return torch.lerp(ways[rows, low], ways[rows, low + 1], (at - low).unsqueeze(-1))
