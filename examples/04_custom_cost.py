"""A cost of one's own: carry a full glass, so keep the tool upright along the way.

One class with one method is enough. Give it to `edmp.plan` in ``costs``: guidance, repair, polish and ranking descend
it together with clearance and length, and the result reports its value. Its weight says how many radians of path one
unit of it is worth (`edmp.costs.Term`). The decorator makes it known by its name, too, for ensembles and files.

A cost is a preference: the judge certifies that the motion is free and within limits, and the lean that comes out is
as small as the ends, the obstacles and the weight allow.

    python examples/04_custom_cost.py [--headless]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import edmp
import edmp.viz
from edmp.costs import Cost, Margins, register_cost
from edmp.robots import Motion
from edmp.robots.kinematics import tool_pose
from edmp.scenes import Scene


@register_cost
@dataclass(frozen=True)
class UprightTool(Cost):
    """How far the tool's z axis leans from straight down, beyond what is tolerated; summed over waypoints [1].

    Attributes:
        tolerance: lean that costs nothing [rad].
    """

    name: ClassVar[str] = "upright_tool"
    tolerance: float = 0.1

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        tool = motion.robot.tool
        X_WT = motion.X_WB[:, :, tool.body] @ torch.as_tensor(tool.X_BT).to(motion.q)
        cos_lean = -X_WT[..., 2, 2]  # between the tool's z axis and straight down
        allowed = torch.cos(cos_lean.new_tensor(self.tolerance))
        return (allowed - cos_lean).clamp(min=0).sum(1)


def mean_lean(robot: edmp.Robot, result: edmp.PlanResult) -> float:
    """Mean angle between the tool's z axis and straight down along the certified path [rad]."""
    R_WT = tool_pose(robot, torch.as_tensor(result.path))[:, :3, :3]
    return float(torch.arccos((-R_WT[:, 2, 2]).clamp(-1, 1)).mean())


def main(*, headless: bool = False) -> edmp.PlanResult:
    problem = edmp.load_example("bin")
    robot, cost = problem.robot, UprightTool(tolerance=0.1)
    planner = edmp.Planner(robot)
    without = planner.plan(problem.scene, problem.start, problem.goal)
    result = planner.plan(problem.scene, problem.start, without.path[-1], costs=[cost])
    for name, plan in (("without", without), ("with the cost", result)):
        lean = mean_lean(robot, plan)
        print(f"{name}: {plan.message}; the tool leans {lean:.3f} rad from upright on average")
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
