"""`Ensemble`: which cost, with which margins and scale, pushes which seeds. Data, not code (Saha et al. 2023, IV-C)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edmp.arguments import checked, shown
from edmp.cached import cached_property
from edmp.collision.world import World
from edmp.costs.base import Cost, Margins, make_cost
from edmp.costs.schedule import Constant, Schedule, schedule_data, schedule_from
from edmp.errors import InvalidInputError, unknown_name

_NONE = Constant(0.0)
_UNCHANGED = Constant(1.0)
MOST_SEEDS = 100_000
"""Trajectories side by side: more than this no machine holds."""


@dataclass(frozen=True)
class Member:
    """One guide of an ensemble. Schedules may be given as numbers, the cost as its name.

    Attributes:
        cost: what is evaluated.
        clearance: `Margins.clearance` over the denoising [m].
        expansion: `Margins.expansion` over the denoising [m].
        scale: factor on the gradient over the denoising.
        normalise: divide the gradient of each trajectory by its norm, before scaling.
        num_seeds: how many trajectories it guides.
    """

    cost: Cost
    clearance: Schedule = _NONE
    expansion: Schedule = _NONE
    scale: Schedule = _UNCHANGED
    normalise: bool = False
    num_seeds: int = 10

    def __post_init__(self) -> None:
        cost = make_cost(self.cost) if isinstance(self.cost, str) else self.cost
        if not isinstance(cost, Cost):
            raise InvalidInputError(f"a member's cost must be a Cost or the name of one, got {cost!r}")
        if type(cost).__hash__ is None:
            raise InvalidInputError(f"cost {cost.name!r} has parameters that can change; make it a frozen dataclass")
        object.__setattr__(self, "cost", cost)
        for field in ("clearance", "expansion", "scale"):
            try:
                object.__setattr__(self, field, schedule_from(getattr(self, field)))
            except InvalidInputError as error:
                raise InvalidInputError(f"{field} of a member: {error}") from None
        if (
            isinstance(self.num_seeds, bool)
            or not isinstance(self.num_seeds, int)
            or not 1 <= self.num_seeds <= MOST_SEEDS
        ):
            raise InvalidInputError(
                f"num_seeds of a member must be whole and in 1 to {MOST_SEEDS}, got {shown(self.num_seeds)}"
            )
        if not isinstance(self.normalise, bool):
            raise InvalidInputError(f"normalise must be true or false, got {self.normalise!r}")

    @classmethod
    @checked
    def from_dict(cls, data: Mapping[str, Any]) -> Member:
        """A member from plain data; ``cost`` is a name, or a mapping with ``name`` and the cost's parameters."""
        _check_keys("ensemble member", data, cls)
        if "cost" not in data:
            raise InvalidInputError(f"an ensemble member needs a 'cost', got {dict(data)!r}")
        cost = {"name": data["cost"]} if isinstance(data["cost"], str) else data["cost"]
        if not isinstance(cost, Mapping) or "name" not in cost:
            raise InvalidInputError(f"a member's cost is a name or a mapping with 'name', got {cost!r}")
        made = make_cost(cost["name"], {key: value for key, value in cost.items() if key != "name"})
        return cls(**{**data, "cost": made})

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` turns back into this member."""
        parameters = self.cost.parameters
        return {
            "cost": {"name": self.cost.name, **parameters} if parameters else self.cost.name,
            "clearance": schedule_data(self.clearance),
            "expansion": schedule_data(self.expansion),
            "scale": schedule_data(self.scale),
            "normalise": self.normalise,
            "num_seeds": self.num_seeds,
        }


@checked
@dataclass(frozen=True)
class Ensemble:
    """Members that share a batch of trajectories: the first ``members[0].num_seeds`` rows follow member 0, and so on.

    Attributes:
        members: the guides.
        name: what `ensemble_by_name` knows it by, or any name for one's own.
        as_published: divide normalised gradients by the norm of the whole batch's gradient, as EDMP's published code
            does, in place of each trajectory's own. It couples rows; for comparison only.
    """

    members: tuple[Member, ...]
    name: str = "custom"
    as_published: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members or not all(isinstance(member, Member) for member in self.members):
            raise InvalidInputError(f"an ensemble needs at least one Member, got {self.members!r}")

    @classmethod
    @checked
    def from_dict(cls, data: Mapping[str, Any]) -> Ensemble:
        """An ensemble from plain data, as read from YAML. Unknown keys raise, naming the valid ones."""
        _check_keys("ensemble", data, cls)
        members = data.get("members")
        if isinstance(members, str) or not isinstance(members, Sequence):
            raise InvalidInputError(f"an ensemble needs 'members', a list, got {members!r}")
        return cls(**{**data, "members": tuple(Member.from_dict(member) for member in members)})

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` turns back into this ensemble."""
        members = [member.to_dict() for member in self.members]
        return {"name": self.name, "as_published": self.as_published, "members": members}

    @property
    def num_seeds(self) -> int:
        """Number of trajectories, all members together."""
        return sum(member.num_seeds for member in self.members)

    @cached_property
    def rows(self) -> Tensor:
        """(num_seeds,) which member each trajectory of the batch follows."""
        counts = torch.tensor([member.num_seeds for member in self.members], device="cpu")
        return torch.repeat_interleave(torch.arange(len(self.members), device="cpu"), counts)

    @cached_property
    def _kinds(self) -> tuple[tuple[Cost, tuple[int, ...]], ...]:
        """Each distinct cost, and the members that use it."""
        kinds: dict[Cost, list[int]] = {}
        for i, member in enumerate(self.members):
            kinds.setdefault(member.cost, []).append(i)
        return tuple((cost, tuple(members)) for cost, members in kinds.items())

    @checked
    def with_seeds(self, num_seeds: int) -> Ensemble:
        """The same ensemble with ``num_seeds`` trajectories in all, shared out in proportion (largest remainder).

        With fewer trajectories than members, those left without one are dropped.
        """
        if not 1 <= num_seeds <= MOST_SEEDS:
            raise InvalidInputError(
                f"an ensemble needs at least one seed: num_seeds in 1 to {MOST_SEEDS}, not {num_seeds}"
            )
        shares = [member.num_seeds * num_seeds / self.num_seeds for member in self.members]
        counts = [int(share) for share in shares]
        by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i])
        for i in by_remainder[: num_seeds - sum(counts)]:
            counts[i] += 1
        members = zip(self.members, counts, strict=True)
        return dataclasses.replace(
            self, members=tuple(dataclasses.replace(member, num_seeds=n) for member, n in members if n)
        )

    @checked
    def of_members(self, chosen: Sequence[str], *, name: str) -> Ensemble:
        """The ensemble of some members only, counted from 0 and given as text; one that is named twice counts once.

        Raises:
            UnknownNameError: there is no such member; the message lists those there are.
        """
        numbered = {str(i): member for i, member in enumerate(self.members)}
        for number in chosen:
            if number not in numbered:
                raise unknown_name(f"member of ensemble {self.name}", number, numbered)
        return dataclasses.replace(self, members=tuple(numbered[number] for number in dict.fromkeys(chosen)), name=name)

    def margins(self, remaining: float, rows: Tensor | None = None) -> Margins:
        """Margins of each row at ``remaining``; ``rows`` (batch,) are member indices, `Ensemble.rows` if not given."""
        rows = self.rows if rows is None else rows
        table = [[member.clearance(remaining), member.expansion(remaining)] for member in self.members]
        clearance, expansion = torch.tensor(table, dtype=torch.float32, device="cpu")[rows.cpu()].T.contiguous()
        return Margins(clearance, expansion)

    def value_and_gradient(
        self, world: World, q: Tensor, remaining: float, *, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Every trajectory's cost and guiding gradient; one evaluation per kind of cost.

        Args:
            world: robot and scene.
            q: (batch, waypoint, dof) [rad or m], float32, on the world's device.
            remaining: share of the denoising still ahead, 1 (noise) to 0 (clean); see `edmp.costs.schedule`.
            rows: (batch,) member index of each trajectory; `Ensemble.rows` if not given.

        Returns:
            (batch,) cost, and (batch, waypoint, dof) gradient, normalised and scaled as its member says.
        """
        rows = self.rows if rows is None else rows
        if len(rows) != len(q):
            raise InvalidInputError(f"{len(q)} trajectories for {len(rows)} rows of the ensemble {self.name!r}")
        margins = self.margins(remaining, rows)
        clearance, expansion, rows = margins.clearance.to(q), margins.expansion.to(q), rows.to(q.device)
        if len(self._kinds) == 1:
            value, gradient = self._kinds[0][0].value_and_gradient(world, q, Margins(clearance, expansion))
        else:
            value, gradient = q.new_zeros(len(q)), torch.zeros_like(q)
            for cost, members in self._kinds:
                mine = torch.isin(rows, torch.tensor(members, device=q.device)).nonzero().squeeze(1)
                if len(mine):
                    part = cost.value_and_gradient(world, q[mine], Margins(clearance[mine], expansion[mine]))
                    value[mine], gradient[mine] = part
        return value, gradient * self._factors(gradient, rows, remaining)[:, None, None]

    def _factors(self, gradient: Tensor, rows: Tensor, remaining: float) -> Tensor:
        """(batch,) what each trajectory's gradient is multiplied by: its scale, over its norm where normalised."""
        table = [[member.scale(remaining), float(member.normalise)] for member in self.members]
        scale, normalise = torch.tensor(table, dtype=gradient.dtype, device=gradient.device)[rows].unbind(-1)
        norm = gradient.norm() if self.as_published else gradient.flatten(1).norm(dim=1)
        inverse = torch.where(norm > 0, 1.0 / norm, torch.zeros_like(norm))
        return scale * torch.where(normalise > 0, inverse, torch.ones_like(scale))


def _check_keys(what: str, data: Mapping[str, Any], kind: type) -> None:
    if not isinstance(data, Mapping):
        raise InvalidInputError(f"an {what} must be a mapping, got {data!r}")
    valid = {field.name for field in dataclasses.fields(kind)}
    for key in data:
        if key not in valid:
            raise unknown_name(f"key of an {what}", key, valid)
