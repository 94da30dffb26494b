"""`Objective`: what every step of the planner descends beside clearance: length, and weighted costs of one's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edmp.arguments import checked, numbers, shown
from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, make_cost
from edmp.errors import InvalidInputError


@dataclass(frozen=True)
class Term:
    """A cost with its weight in the objective.

    Attributes:
        cost: what is evaluated.
        weight: how many radians of path one unit of the cost is worth [rad].
        clearance: `Margins.clearance` that the cost is evaluated with [m].
        expansion: `Margins.expansion` that the cost is evaluated with [m].
    """

    cost: Cost
    weight: float = 1.0
    clearance: float = 0.0
    expansion: float = 0.0

    def __post_init__(self) -> None:
        cost = self.cost
        if not isinstance(cost, Cost):
            raise InvalidInputError(f"a cost must be an edmp.costs.Cost, its name or a Term, got {cost!r}")
        if not isinstance(getattr(cost, "name", None), str) or not cost.name:
            raise InvalidInputError(f"{type(cost).__name__} needs a class attribute `name`, a non-empty string")
        for field in ("weight", "clearance", "expansion"):
            value = numbers(getattr(self, field))
            if value is None or value.ndim or not 0 <= value < math.inf:
                raise InvalidInputError(
                    f"{field} of cost {cost.name!r} must be a number >= 0, got {shown(getattr(self, field))}"
                )
        if self.weight == 0:
            raise InvalidInputError(f"cost {cost.name!r} has weight 0: leave it out")


@checked
@dataclass(frozen=True)
class Objective:
    """J = length + sum of weight x cost over the terms, of motions that keep clear of obstacles and of themselves.

    Clearance is no term: it has its own schedule in every step (the members of an `Ensemble` while denoising, rising
    distances in repair, one distance in polish), and what is not free is not ranked at all.

    Attributes:
        terms: costs that are added for every seed.
        num_waypoints: samples along a motion at which the costs are evaluated, whatever else is sampled how.
    """

    terms: tuple[Term, ...] = ()
    num_waypoints: int = 40

    @classmethod
    def of(cls, costs: Sequence[Cost | Term | str] = (), *, num_waypoints: int = 40) -> Objective:
        """An objective from costs, their names or terms.

        Raises:
            InvalidInputError: ``costs`` is no list of these.
        """
        if isinstance(costs, (Cost, Term, str)) or not isinstance(costs, Sequence):
            raise InvalidInputError(f"costs must be a list of costs, got {costs!r}; one cost is [cost]")
        return cls(tuple(_term(cost) for cost in costs), num_waypoints)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each term: that of its cost, numbered where several terms share one."""
        names: list[str] = []
        for term in self.terms:
            count = sum(other.cost.name == term.cost.name for other in self.terms[: len(names)])
            names.append(f"{term.cost.name} {count + 1}" if count else term.cost.name)
        return tuple(names)

    def values(self, world: World, q: Tensor) -> Tensor:
        """(batch, terms) value of each cost, without its weight, for ``q`` (batch, waypoint, dof)."""
        columns = [self._evaluate(term, world, q)[0] for term in self.terms]
        return torch.stack(columns, dim=1) if columns else q.new_zeros(len(q), 0)

    def weighted(self, values: Tensor) -> Tensor:
        """(batch,) weighted sum of ``values`` (batch, terms) as `values` gives them [rad]."""
        return values @ values.new_tensor([term.weight for term in self.terms])

    def gradient(self, world: World, q: Tensor) -> Tensor:
        """(batch, waypoint, dof) gradient of the weighted sum with respect to ``q``."""
        total = torch.zeros_like(q)
        for term in self.terms:
            total = total + term.weight * self._evaluate(term, world, q)[1]
        return total

    @staticmethod
    def _evaluate(term: Term, world: World, q: Tensor) -> tuple[Tensor, Tensor]:
        margins = Margins.of(q, clearance=term.clearance, expansion=term.expansion)
        return term.cost.value_and_gradient(world, q, margins)


def _term(cost: Cost | Term | str) -> Term:
    if isinstance(cost, Term):
        return cost
    return Term(make_cost(cost) if isinstance(cost, str) else cost)
