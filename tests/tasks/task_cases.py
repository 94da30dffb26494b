"""Tasks that tests share."""

from __future__ import annotations

import numpy as np

import edmp
from edmp.geometry.poses import pose

START = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
BLOCK = edmp.Box((0.04, 0.06, 0.10))
THERE = pose((0.5, -0.25, 0.25))
"""Where the block goes."""


def table_with_block() -> edmp.Scene:
    """A block on a table, a low wall beside it."""
    return edmp.Scene.of(
        {
            "table": (edmp.Box((0.8, 1.2, 0.05)), (0.6, 0.0, 0.175)),
            "block": (BLOCK, (0.5, 0.2, 0.25)),
            "wall": (edmp.Box((0.3, 0.02, 0.15)), (0.5, 0.0, 0.275)),
        }
    )


def object_at(plan: edmp.TaskPlan, time: float, name: str) -> np.ndarray:
    """(4, 4) where an object is in the world, in the hand or not."""
    from edmp.validate.tasks import poses_at

    moment = plan.at(time)
    held = moment.phase.held
    if held is None or held.name != name:
        return moment.phase.scene[name].X_WO
    link = moment.phase.robot.links[moment.phase.robot.link_index(held.link)]
    return poses_at(moment.phase.robot, moment.q)[link.body] @ link.X_BL @ held.X_LA
