"""What belongs to one call of `Planner.plan`, and how candidates end in it: polished, judged, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edmp.cached import cached_property
from edmp.costs.ensemble import Ensemble
from edmp.descent import Descent
from edmp.planner.candidates import Candidates
from edmp.planner.certify import Docket, certify, polish
from edmp.planner.goals import Query
from edmp.planner.settings import PlannerSettings, Round
from edmp.planner.watch import Watch
from edmp.prior.base import Prior
from edmp.prior.process import ProcessPrior
from edmp.robots.parts import Limits
from edmp.validate import Judge

LANDING = 6
"""Steps of projection that lead seeds onto what constraints leave."""


@dataclass(frozen=True)
class Call:
    """One call of `Planner.plan`.

    Attributes:
        query: start and goals that are known to be free.
        judge: of robot and scene.
        descent: world, spline and objective.
        docket: what has come before the judge.
        settings: of the planner.
        prior, process, ensemble: where seeds come from, and their guides.
        generator: of all random numbers.
        seed: that it was made from.
        limits: within which motions are timed: the robot's, or shares of them.
        budget: time that the call may take [s].
        deadline: when it ends, on the clock of `time.perf_counter` [s].
        watch: who is told of candidates.
    """

    query: Query
    judge: Judge
    descent: Descent
    docket: Docket
    settings: PlannerSettings
    prior: Prior
    process: ProcessPrior
    ensemble: Ensemble
    generator: torch.Generator
    seed: int
    limits: Limits
    budget: float
    deadline: float
    watch: Watch | None = None

    @property
    def left(self) -> float:
        """Time until the deadline [s]."""
        return self.deadline - time.perf_counter()

    @property
    def late(self) -> bool:
        return self.left < 0

    @property
    def impatient(self) -> bool:
        """Has a third of the time passed?"""
        return self.left < 2 / 3 * self.budget

    @property
    def constrained(self) -> bool:
        """Must the motion keep to what bands say?"""
        return self.descent.bands is not None

    @property
    def solved(self) -> bool:
        return bool(self.docket.solutions)

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Start (dof,) and goals (k, dof) in single precision [rad or m]."""
        where: dict[str, Any] = {"dtype": torch.float32, "device": self.descent.device}
        return torch.as_tensor(self.query.start, **where), torch.as_tensor(self.query.goals, **where)

    @cached_property
    def lines(self) -> Tensor:
        """(k, K, dof) control points of the straight lines to the goals, led onto what constraints leave."""
        return self.descent.onto_constraints(self.descent.spline.straight_line(*self.ends), iterations=LANDING)

    def certify(self, candidates: Candidates, round_: Round, descent: Descent | None = None) -> None:
        """Put candidates before the judge; ``descent`` is theirs if it is not the call's."""
        certify(
            candidates,
            query=self.query,
            judge=self.judge,
            descent=descent or self.descent,
            settings=self.settings,
            docket=self.docket,
            limits=self.limits,
            wanted=1 if round_.quick else 1 + self.settings.num_alternatives,
            quick=round_.quick,
        )

    def polish(
        self, candidates: Candidates, round_: Round, descent: Descent | None = None, *, margin: float | None = None
    ) -> Candidates:
        """The best few of ``candidates``, shortened; those that are free with a margin, best first."""
        descent = descent or self.descent
        now = time.perf_counter()
        margin = self.settings.margin if margin is None else margin
        taut = polish(candidates, descent, round_=round_, settings=self.settings, margin=margin)
        self.docket.spent("polish", now)
        if self.watch is not None and descent is self.descent and len(taut):
            self.watch.see("polish", 0.0, taut.control_points, taut.valid)
        return taut

    def finish(
        self, candidates: Candidates, round_: Round, descent: Descent | None = None, *, margin: float | None = None
    ) -> None:
        """Polish and certify; where the judge refuses all that is polished, candidates are judged as they were."""
        if not len(candidates):
            return
        self.certify(self.polish(candidates, round_, descent, margin=margin), round_, descent)
        if not self.solved:
            self.certify(candidates.rows(candidates.valid.nonzero().squeeze(1)), round_, descent)
