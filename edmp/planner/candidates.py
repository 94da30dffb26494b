"""A batch of candidate motions on their way from seed to solution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edmp.result import Stage


@dataclass(frozen=True)
class Candidates:
    """Rows are candidates; all share one spline family.

    Attributes:
        control_points: (batch, K, dof) [rad or m].
        goal: (batch,) row of `Query.goals` that each one ends at.
        valid: (batch,) found free by the sphere model.
        stage: what made each one valid, or what it came from.
    """

    control_points: Tensor
    goal: Tensor
    valid: Tensor
    stage: tuple[Stage, ...]

    def __len__(self) -> int:
        return len(self.stage)

    def rows(self, index: Tensor) -> Candidates:
        """The candidates at ``index`` (n,), in that order."""
        stages = tuple(self.stage[int(i)] for i in index)
        return Candidates(self.control_points[index], self.goal[index], self.valid[index], stages)

    @staticmethod
    def join(parts: list[Candidates]) -> Candidates:
        return Candidates(
            torch.cat([part.control_points for part in parts]),
            torch.cat([part.goal for part in parts]),
            torch.cat([part.valid for part in parts]),
            tuple(stage for part in parts for stage in part.stage),
        )
