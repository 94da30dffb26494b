"""Wipe a board with the tool: straight lines over several poses with rounded corners, at 0.25 m/s, proved within 1 mm.

python examples/10_straight_lines.py [--headless]
"""

from __future__ import annotations

import sys

import numpy as np

import edmp
import edmp.viz

SCENE = edmp.Scene.of(
    {
        "table": (edmp.Box((0.7, 1.0, 0.04)), (0.55, 0.0, 0.0)),  # shape, position [m]
        "rack": (edmp.Box((0.05, 0.7, 0.25)), (0.79, 0.0, 0.145)),
        "lamp": (edmp.Sphere(0.06), (0.3, 0.45, 0.7)),
    }
)
START = [0.0, -0.2, 0.0, -2.3, 0.0, 2.1, 0.785]  # [rad]
DOWN = (1.0, 0.0, 0.0, 0.0)
HEIGHT = 0.08  # of the tool above the table's middle [m]


def main(*, headless: bool = False) -> edmp.PlanResult:
    corners = [(x, y) for k, x in enumerate(np.linspace(0.4, 0.65, 4)) for y in ((-0.2, 0.2) if k % 2 else (0.2, -0.2))]
    poses = [edmp.PoseGoal((x, y, HEIGHT), DOWN) for x, y in corners]
    result = edmp.plan(SCENE, START, edmp.Via(poses, blend=0.03), tool_speed=0.25, tool_acceleration=1.0)
    print(result.status, result.message)
    if result.best is not None and result.best.tool_deviation is not None:
        distance, angle = result.best.tool_deviation
        print(f"proved: never more than {1e3 * distance:.2f} mm and {np.degrees(angle):.2f} degrees off its lines")

    # Where a line cannot be followed, the result says how far it can, why no further, and holds the motion so far.
    through = edmp.plan(SCENE, START, edmp.Line.by((0.5, 0.0, -0.2)))
    print(through.status, through.message)
    if through.blocked is not None and through.blocked.partial is not None:
        print(f"the first {100 * through.fraction:.0f} % take {through.blocked.partial.duration:.2f} s")

    lifted = edmp.plan(SCENE, START, edmp.Line.by((0.0, 0.0, 0.2)))  # 20 cm up, whatever the pose
    print(lifted.status, lifted.message)
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
