"""`Cost`, what a third party writes to push trajectories; its registration; the margins it is evaluated with."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from edmp.costs.world import World
from edmp.robots.errors import InvalidInputError, unknown_name
from edmp.robots.motion import Motion
from edmp.scenes.scene import Scene

ENTRY_POINT_GROUP = "edmp.costs"


@dataclass(frozen=True)
class Margins:
    """What each trajectory of a batch keeps from obstacles at the current denoising step.

    Attributes:
        clearance: (batch,) distance to keep [m]. The volume costs grow obstacle boxes by it (full extents).
        expansion: (batch,) smallest full extent that an obstacle's box is taken to have [m]; the volume costs use it.
    """

    clearance: Tensor
    expansion: Tensor

    @classmethod
    def of(cls, q: Tensor, *, clearance: float = 0.0, expansion: float = 0.0) -> Margins:
        """The same margins [m] for every row of ``q`` (batch, waypoint, dof), on its device and in its dtype."""
        return cls(q.new_full(q.shape[:1], clearance), q.new_full(q.shape[:1], expansion))


class Cost(ABC):
    """A differentiable cost of trajectories among obstacles.

    A subclass sets ``name``, is decorated with `register_cost`, and defines `__call__` in torch: that is the
    specification, and autograd differentiates it. Costs on the hot path also override `value_and_gradient`.
    Make it a frozen dataclass if it has parameters: its fields, numbers or tuples of numbers, are then the parameters
    that an ensemble file can give, and rows of an ensemble whose costs are equal share one evaluation.
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> Tensor:
        """(batch,) cost of each trajectory of ``motion``; row i depends on trajectory i and margins i only."""

    def value_and_gradient(self, world: World, q: Tensor, margins: Margins) -> tuple[Tensor, Tensor]:
        """Cost (batch,) and its gradient (batch, waypoint, dof) at ``q`` (batch, waypoint, dof), detached."""
        return differentiate(lambda x: self(Motion.of(world.robot, x), world.scene, margins), q)

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields of a cost that is a dataclass, in plain types; empty for others."""
        if not dataclasses.is_dataclass(self):
            return {}
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def differentiate(function: Callable[[Tensor], Tensor], q: Tensor) -> tuple[Tensor, Tensor]:
    """``function(q)`` (batch,) and its gradient by autograd, shaped like ``q``; row i may depend on row i only."""
    with torch.enable_grad():
        x = q.detach().requires_grad_(True)
        value = function(x)
        if not value.requires_grad:
            return value.detach(), torch.zeros_like(q)
        (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    return value.detach(), torch.zeros_like(q) if gradient is None else gradient


_registered: dict[str, type[Cost]] = {}

C = TypeVar("C", bound=type[Cost])


def register_cost(cost: C) -> C:
    """Class decorator: make a `Cost` available to ensembles under its ``name``."""
    name = getattr(cost, "name", None)
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"{cost.__name__} needs a class attribute `name`, a non-empty string")
    other = _registered.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (cost.__module__, cost.__qualname__):
        raise InvalidInputError(f"two costs are named {name!r}: {other.__qualname__} and {cost.__qualname__}")
    _registered[name] = cost
    return cost


def cost_names() -> tuple[str, ...]:
    """Every name that `cost_by_name` answers to: registered costs and those that installed packages advertise."""
    return tuple(sorted({*_registered, *(entry.name for entry in _entry_points())}))


def cost_by_name(name: str) -> type[Cost]:
    """The class of a cost: registered by the decorator, or advertised in the entry-point group ``edmp.costs``.

    Raises:
        UnknownNameError: nothing has this name; the message lists the valid ones.
    """
    if name not in _registered:
        for entry in _entry_points():
            if entry.name == name:
                return register_cost(entry.load())
        raise unknown_name("cost", name, cost_names())
    return _registered[name]


def make_cost(name: str, parameters: Mapping[str, Any] | None = None) -> Cost:
    """A cost from plain data, as an ensemble file gives it.

    Raises:
        UnknownNameError: the cost, or one of its parameters, does not exist.
    """
    kind = cost_by_name(name)
    parameters = dict(parameters or {})
    valid: set[str] = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for key in parameters:
        if key not in valid:
            raise unknown_name(f"parameter of cost {name!r}", key, valid)
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()})
    except TypeError as error:
        raise InvalidInputError(f"cost {name!r}: {error}") from error


def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
