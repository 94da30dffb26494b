"""Carry a box over a wall: what the gripper holds counts as robot.

python examples/03_attached_object.py [--headless]
"""

from __future__ import annotations

import sys

import numpy as np

import edmp
import edmp.viz

WALL = edmp.Scene.of({"wall": (edmp.Box((0.5, 0.04, 0.35)), (0.55, 0.0, 0.175))})


def main(*, headless: bool = False) -> edmp.PlanResult:
    panda = edmp.load_robot("panda", gripper_width=0.05)
    X_HO = np.eye(4)  # pose of the object in the frame of the hand
    X_HO[2, 3] = 0.15
    holding = panda.with_attachment("parcel", edmp.Box((0.05, 0.05, 0.16)), X_HO, link="panda_hand")

    start, goal = panda.home.copy(), panda.home.copy()
    start[0], goal[0] = -0.6, 0.6  # on both sides of the wall
    result = edmp.plan(WALL, start, goal, robot=holding)
    print(result.status, result.message)
    released = holding.without_attachment("parcel")
    print(f"links while carrying: {len(holding.links)}, after letting go: {len(released.links)}")
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
