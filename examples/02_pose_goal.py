"""A goal for the tool: over a table, pointing down. Either of two places will do.

python examples/02_pose_goal.py [--headless]
"""

from __future__ import annotations

import sys

import edmp
import edmp.viz

SCENE = edmp.Scene.of(
    {
        "table": (edmp.Box((0.7, 1.2, 0.05)), (0.65, 0.0, 0.2)),  # shape, position [m]
        "carton": (edmp.Box((0.15, 0.15, 0.3)), (0.5, 0.0, 0.38)),
        "can": (edmp.Cylinder(0.03, 0.14), (0.5, 0.25, 0.3)),
    }
)
DOWN = (1.0, 0.0, 0.0, 0.0)  # quaternion x, y, z, w: the tool's z axis points at the floor


def main(*, headless: bool = False) -> edmp.PlanResult:
    robot = edmp.load_robot("panda")
    goals = [edmp.PoseGoal((0.5, 0.25, 0.5), DOWN), edmp.PoseGoal((0.5, -0.35, 0.45), DOWN)]
    result = edmp.plan(SCENE, robot.home, goals, robot=robot)
    print(result.status, result.message)
    if result.best:
        print(f"ends at goal {result.best.goal_index} with the joints at {result.path[-1].round(3)} rad")
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
