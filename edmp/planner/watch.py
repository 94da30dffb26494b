"""Watching the planner at work: its batches of candidates, handed to whoever asks, at no cost when nobody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from edmp.descent import Descent
from edmp.learning.edm import Step
from edmp.trace import Batch

OnBatch = Callable[[Batch], None]
"""Called with every batch; see `edmp.trace.Batch`."""


@dataclass(frozen=True)
class Watch:
    """Tells an observer about batches.

    Attributes:
        on_batch: the observer.
        descent: judges the candidates.
        clearance: distance below which an obstacle counts in their costs [m].
        step: see `Descent.free`.
    """

    on_batch: OnBatch
    descent: Descent
    clearance: float
    step: float

    def see(self, stage: str, level: float, control_points: Tensor, valid: Tensor | None = None) -> None:
        """Report ``control_points`` (B, K, dof), free ones as ``valid`` (B,) says or as the sphere model finds."""
        control_points = control_points.contiguous()
        if valid is None:
            valid = self.descent.free(control_points, step=self.step)
        cost, _ = self.descent.cost_gradient(
            control_points, control_points.new_full((len(control_points),), self.clearance)
        )
        rows = [x.cpu().numpy().copy() for x in (control_points, cost.sum(dim=1), valid)]
        self.on_batch(Batch(stage, float(level), *rows))

    def sampler(self, start: Tensor, goal: Tensor) -> Callable[[Step], None]:
        """A callback of a sampler whose trajectories go from ``start`` to ``goal`` (batch or 1, dof)."""

        def on_step(step: Step) -> None:
            self.see("sample", step.sigma, self.descent.spline.control_points(step.x, start, goal))

        return on_step
