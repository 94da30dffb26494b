"""A cost of one's own: carry a full glass, so keep the tool upright along the way.

One class and a name are enough. Register the class with the decorator, as here, or advertise it from an installed
package in the entry-point group ``edmp.costs``; then any ensemble can name it.

What it does, and what not: the costs of an ensemble steer the sampling (guidance), so that the candidates prefer
upright tools. The steps after it, repair and polish, act on clearance and length only, and nothing certifies the lean:
the tool may lean more than ``tolerance`` in the motion that comes out.

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
from edmp.costs import Cost, Ensemble, Margins, World, register_cost
from edmp.robots import Motion, load_robot
from edmp.scenes import Box, Scene


@register_cost
@dataclass(frozen=True)
class UprightTool(Cost):
    """How far the tool's z axis leans from straight down, beyond what is tolerated; summed over waypoints.

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


ENSEMBLE = Ensemble.from_dict(
    {
        "name": "careful waiter",
        "members": [
            {"cost": "sphere_clearance", "clearance": 0.03, "num_seeds": 24},
            {"cost": {"name": "upright_tool", "tolerance": 0.2}, "scale": 0.5, "normalise": True, "num_seeds": 8},
        ],
    }
)

TABLE = Scene.of(
    {
        "table": (Box((0.7, 1.2, 0.05)), (0.65, 0.0, 0.2)),
        "carton": (Box((0.15, 0.15, 0.4)), (0.45, 0.25, 0.43)),
    }
)


def guiding_gradient() -> tuple[Tensor, Tensor]:
    """Cost (num_seeds,) and gradient (num_seeds, waypoint, dof) of the ensemble on a straight motion."""
    robot = load_robot("panda")
    start, goal = torch.tensor(robot.home), torch.tensor(robot.home)
    goal[0], goal[5] = goal[0] + 1.0, goal[5] + 0.8
    line = start + torch.linspace(0, 1, 32)[:, None] * (goal - start)
    q = line.float().expand(ENSEMBLE.num_seeds, -1, -1)
    return ENSEMBLE.value_and_gradient(World.of(robot, TABLE), q, 0.5)


def main(*, headless: bool = False) -> edmp.PlanResult:
    value, gradient = guiding_gradient()
    for i, member in enumerate(ENSEMBLE.members):
        row = int((ENSEMBLE.rows == i).nonzero()[0])
        print(f"{member.cost.name}: cost {value[row]:.3f}, gradient norm {gradient[row].norm():.3f}")
    robot = load_robot("panda")
    goal = robot.home.copy()
    goal[0] += 1.0
    result = edmp.plan(TABLE, robot.home, goal, ensemble=ENSEMBLE)
    print(result.status, result.message)
    if not headless:
        edmp.viz.show(result, robot=robot, scene=TABLE)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
