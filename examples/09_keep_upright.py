"""Carry a cup of coffee round a lamp and onto a shelf: it stays within 10 degrees of upright, proved all the way.

python examples/09_keep_upright.py [--headless]
"""

from __future__ import annotations

import sys

import numpy as np
import torch

import edmp
import edmp.viz
from edmp.robots import tool_pose

SCENE = edmp.Scene.of(
    {
        "table": (edmp.Box((0.5, 1.2, 0.04)), (0.55, 0.0, 0.12)),  # shape, position [m]
        "lamp": (edmp.Cylinder(0.05, 0.5), (0.5, 0.0, 0.4)),
        "shelf": (edmp.Box((0.3, 0.4, 0.02)), (0.6, -0.4, 0.42)),
    }
)
UP_IN_TOOL = (-1.0, 0.0, 0.0)  # the hand holds the cup from its side: z is forwards, the fingers open along y
START = [-0.93, -0.826, 1.742, -2.542, -2.897, 2.187, 1.474]  # [rad], the cup just above the table
GOAL = edmp.PoseGoal((0.5, -0.3, 0.55), (0.1749, 0.6851, -0.1749, 0.6851))  # and above the shelf


def main(*, headless: bool = False) -> edmp.PlanResult:
    X_HC = np.eye(4)  # pose of the cup in the hand: between the finger tips, its axis along the hand's x
    X_HC[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    X_HC[2, 3] = 0.1034
    panda = edmp.load_robot("panda", gripper_width=0.075)
    holding = panda.with_attachment("cup", edmp.Cylinder(0.036, 0.12), X_HC, link="panda_hand")

    upright = edmp.Upright(np.radians(10.0), axis=UP_IN_TOOL)
    result = edmp.plan(SCENE, START, GOAL, robot=holding, constraints=[upright])
    print(result.status, result.message)
    spilt = edmp.plan(SCENE, START, GOAL, robot=holding)
    for name, plan in (("with the constraint", result), ("without", spilt)):
        if plan.solved:
            print(f"{name} the cup leans by {np.degrees(lean(holding, plan.trajectory.positions)):.1f} degrees at most")
    if not headless:
        edmp.viz.show(result)
    return result


def lean(robot: edmp.Robot, q: np.ndarray) -> float:
    """Largest angle between the cup's axis and up at configurations ``q`` (n, dof) [rad]."""
    up = tool_pose(robot, torch.as_tensor(q)).numpy()[:, 2, :3] @ UP_IN_TOOL
    return float(np.arccos(np.clip(up.min(), -1.0, 1.0)))


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
