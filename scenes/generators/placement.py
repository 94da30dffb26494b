"""Scenes for any arm: drawn for a Panda at the origin, then scaled to another arm's reach and hung at its shoulder."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edmp.scenes.generators.base import Placement

if TYPE_CHECKING:
    from edmp.robots.robot import Robot

DRAWN_REACH = 0.943
"""Distance of a Panda's tool from its shoulder that of `SAMPLES` random configurations 99 of 100 stay below [m]."""
STEP = 0.05
"""Scales are rounded to this: arms of about the same size have the same furniture."""
SAMPLES = 4096


@lru_cache(maxsize=64)
def placement(robot: Robot) -> Placement:
    """For the chain that carries the robot's tool: its second joint is the shoulder, the tool says the reach."""
    import torch

    from edmp.robots.configuration import one_turn
    from edmp.robots.kinematics import body_poses

    lower, upper = one_turn(robot)
    q = np.random.default_rng(0).uniform(lower, upper, (SAMPLES, robot.dof))
    X_BB = np.linalg.inv(robot.X_W0) @ body_poses(robot, torch.as_tensor(np.vstack([robot.home, q]))).numpy()
    chain = np.flatnonzero(robot.moves[:, robot.tool.body])
    p_shoulder = X_BB[:, chain[min(1, len(chain) - 1)] + 1, :3, 3]
    shoulder = np.array([0.0, 0.0, p_shoulder[0, 2]])
    p_tool = (X_BB[1:, robot.tool.body] @ robot.tool.X_BT)[:, :3, 3]
    reach = float(np.quantile(np.linalg.norm(p_tool - shoulder, axis=1), 0.99))
    scale = max(round(reach / DRAWN_REACH / STEP), 1) * STEP
    return Placement(round(scale, 2), round(float(shoulder[2]), 3))
