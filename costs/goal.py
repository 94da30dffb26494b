"""The cost of missing a pose goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.costs.base import Cost, Margins, register_cost
from edmp.errors import InvalidInputError
from edmp.geometry.poses import rotation_from_quaternion
from edmp.robots.motion import Motion
from edmp.scenes.scene import Scene


@register_cost
@checked
@dataclass(frozen=True)
class GoalPose(Cost):
    """Squared position error plus squared rotation error of the tool frame at the last waypoint.

    The rotation error is the chordal one, |R_WT - R_WG|^2 / 2 = 4 sin^2(angle / 2): the squared angle when small, and
    smooth everywhere.

    Attributes:
        position: (3,) where the tool's origin should be in the world [m].
        quaternion: (4,) unit (x, y, z, w), how the tool frame should be turned in the world.
        position_weight: [1/m^2].
        rotation_weight: [1/rad^2].
    """

    name: ClassVar[str] = "goal_pose"
    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    position_weight: float = 1.0
    rotation_weight: float = 0.1

    def __post_init__(self) -> None:
        for field, length in (("position", 3), ("quaternion", 4)):
            values = tuple(float(value) for value in getattr(self, field))
            if len(values) != length:
                raise InvalidInputError(f"goal_pose: {field} must have {length} numbers, got {len(values)}")
            object.__setattr__(self, field, values)
        if abs(sum(value * value for value in self.quaternion) - 1) > 1e-3:
            raise InvalidInputError(f"goal_pose: quaternion (x, y, z, w) must be of unit length, got {self.quaternion}")

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        tool = motion.robot.tool
        X_WT = motion.X_WB[:, -1, tool.body] @ torch.as_tensor(tool.X_BT).to(motion.q)
        p_WG = motion.q.new_tensor(self.position)
        R_WG = torch.as_tensor(rotation_from_quaternion(self.quaternion)).to(motion.q)
        position_error = (X_WT[:, :3, 3] - p_WG).square().sum(-1)
        rotation_error = (X_WT[:, :3, :3] - R_WG).square().sum((1, 2)) / 2
        return self.position_weight * position_error + self.rotation_weight * rotation_error
