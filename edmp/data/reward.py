"""What a motion is worth: one number, of weights in a file that can be read.

free: 1.0        # for a motion that is free
length: 0.3      # off, for each time that it is longer than the straight line
duration: 0.2    # off, likewise, at the joints' velocity limits
clearance: 0.1   # for keeping `enough` distance from obstacles, less for less
enough: 0.03     # [m]
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from edmp.descent import Descent
from edmp.errors import InvalidInputError
from edmp.files.yaml_nodes import read_yaml
from edmp.ranges import Range, check_fields

STEPS = 4
"""Clearance is measured in so many steps: whether a motion keeps 1/4, 2/4 ... of what is enough."""
LONGEST = 3.0
"""Nothing counts as longer than so many times the straight line."""


@dataclass(frozen=True)
class Reward:
    """Weights of what a motion is rewarded for [1].

    Attributes:
        free: for being free.
        length: off for length, in straight lines beyond the first.
        duration: off for the time at the joints' velocity limits, likewise.
        clearance: for distance from obstacles, up to `enough`; of free motions.
        enough: distance that is worth no more if it is larger [m].
    """

    free: float = 1.0
    length: float = 0.3
    duration: float = 0.2
    clearance: float = 0.1
    enough: float = 0.03

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(("free", "length", "duration", "clearance"), Range(0, 1e3)))
        check_fields(self, {"enough": Range(0, 1, above=True)})
        if not any((self.free, self.length, self.duration, self.clearance)):
            raise InvalidInputError("a reward needs a weight above 0: of free, length, duration or clearance")

    def of(self, outcome: Outcome) -> Tensor:
        """(n,) reward of each motion [1]."""
        free = outcome.free.float()
        longer, later = ((x - 1).clamp(0, LONGEST - 1) for x in (outcome.length, outcome.duration))
        near = (outcome.clearance / self.enough).clamp_max(1)
        return free * (self.free + self.clearance * near) - self.length * longer - self.duration * later


def load_reward(path: str | Path) -> Reward:
    """A `Reward` from a YAML file; what is not in it has its default.

    Raises:
        FileFormatError: names file, line and place.
    """
    root = read_yaml(path)
    entries = root.only(*(field.name for field in fields(Reward)))
    values = {name: node.number() for name, node in entries.items()}
    try:
        return Reward(**values)
    except InvalidInputError as error:
        root.refuse(error)


@dataclass(frozen=True)
class Outcome:
    """What the sphere model finds of motions.

    Attributes:
        free: (n,) is the whole motion?
        length: (n,) in straight lines [1].
        duration: (n,) at the joints' velocity limits, in durations of the straight line [1].
        clearance: (n,) that it keeps, in steps; 0 if it is not free [m].
    """

    free: Tensor
    length: Tensor
    duration: Tensor
    clearance: Tensor

    @classmethod
    def of(cls, descent: Descent, control_points: Tensor, *, enough: float = 0.03) -> Outcome:
        """Of ``control_points`` (n, K, dof), in the world of ``descent``."""
        velocity = torch.as_tensor(descent.world.robot.limits.velocity, dtype=control_points.dtype)
        moves = descent.waypoints(control_points).diff(dim=1)
        line = (control_points[:, -1] - control_points[:, 0]).abs()
        length = moves.norm(dim=-1).sum(dim=1) / line.norm(dim=-1).clamp_min(1e-3)
        duration = (moves.abs() / velocity).amax(dim=-1).sum(dim=1) / (line / velocity).amax(dim=-1).clamp_min(1e-3)
        free = descent.free(control_points)
        clearance = torch.zeros_like(length)
        for step in range(1, STEPS + 1):
            keeps = free & descent.free(control_points, margin=enough * step / STEPS)
            clearance = torch.where(keeps, enough * step / STEPS, clearance)
        return cls(free, length, duration, clearance)
