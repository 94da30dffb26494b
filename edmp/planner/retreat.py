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

STEPS = 12
STRIDE = 0.025
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
    num = len(goal)
    ways = retreats(robot, torch.cat([start[None], goals]))
    length = torch.randint(0, STEPS + 1, (num, 2), generator=generator)
    kind = torch.randint(0, 2, (num, 2), generator=generator)
    polylines = []
    for i in range(num):
        leave = ways[0, kind[i, 0], : int(length[i, 0]) + 1]
        come = ways[1 + int(goal[i]), kind[i, 1], : int(length[i, 1]) + 1].flip(0)
        share = torch.linspace(0, 1, bends.shape[1] + 2)[1:-1, None]
        middle = leave[-1] * (1 - share) + come[0] * share + bends[i]
        polylines.append(resample_polyline(torch.cat([leave, middle, come])[None], 64))
    return spline.deviation(spline.fit(torch.cat(polylines), resample=False))
