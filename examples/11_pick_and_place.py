"""Take a can out of a shelf and put it on a table: grasp, motions and gripper planned as one, proved phase by phase.

python examples/11_pick_and_place.py [--headless]
"""

from __future__ import annotations

import sys

import numpy as np

import edmp

SCENE = edmp.Scene.of(
    {
        "lower_board": (edmp.Box((0.3, 0.8, 0.02)), (0.62, 0.0, 0.29)),  # shape, position [m]
        "upper_board": (edmp.Box((0.3, 0.8, 0.02)), (0.62, 0.0, 0.61)),
        "back": (edmp.Box((0.02, 0.8, 0.34)), (0.78, 0.0, 0.45)),
        "table": (edmp.Box((0.5, 0.5, 0.02)), (0.35, -0.5, 0.09)),
        "can": (edmp.Cylinder(0.03, 0.12), (0.6, 0.1, 0.36)),
        "jar": (edmp.Cylinder(0.04, 0.14), (0.62, 0.25, 0.37)),
    }
)
START = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]  # [rad]
THERE = edmp.PoseGoal((0.4, -0.5, 0.16), (0, 0, 0, 1))  # of the can, on the table


def main(*, headless: bool = False) -> edmp.TaskPlan:
    upright = edmp.Upright(np.radians(20.0), frame="can")  # while it is carried
    plan = edmp.pick_and_place(SCENE, START, "can", THERE, constraints=[upright])
    print(plan.status, plan.message)
    for begin, phase in zip(plan.begins, plan.phases, strict=False):
        held = f", with the {phase.held.name}" if phase.held else ""
        print(f"  {begin:5.2f} s  {phase.name}{held}; the fingers end {1e3 * (phase.width or 0.0):.0f} mm apart")
    if not headless:
        plan.save("pick_and_place.json")
    return plan


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
