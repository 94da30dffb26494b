"""`Cost`, what a third party writes to push trajectories; its registration; the margins it is evaluated with."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from edmp.arguments import checked, shown
from edmp.collision.poses import poses
from edmp.collision.world import World
from edmp.errors import InvalidInputError, unknown_name
from edmp.robots.kinematics import pull_back
from edmp.robots.motion import Motion
from edmp.scenes.scene import Scene

ENTRY_POINT_GROUP = "edmp.costs"


@dataclass(frozen=True)
class Margins:
    """What each trajectory of a batch keeps from obstacles at the current denoising step.

    Attributes:
        clearance: (batch,) distance to keep [m]. The volume costs grow obstacle boxes by it (full extents).
        expansion: (batch,) smallest full extent that an obstacle's box is taken to have [m]; the volume costs use it.
        around: distances by which named obstacles count as bigger than they are, on all sides [m]: those of the world.
    """

    clearance: Tensor
    expansion: Tensor
    around: Mapping[str, float] = field(default_factory=dict, hash=False)

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
        """Cost (batch,) and its gradient (batch, waypoint, dof) at ``q`` (batch, waypoint, dof), detached.

        Works in every context a caller may be in, `torch.inference_mode` and `torch.no_grad` included.

        Raises:
            InvalidInputError: see `differentiate`.
        """
        with torch.inference_mode(False):  # what is recorded below must be ordinary tensors
            margins = Margins(margins.clearance.clone(), margins.expansion.clone(), world.margins)
            X_WB = poses(world, q.detach().clone())

        def of_poses(q: Tensor, X_WB: Tensor) -> Tensor:
            return self(Motion(world.robot, q, X_WB), world.scene, margins)

        value, (direct, through_poses) = differentiate(of_poses, q, X_WB, what=f"cost {self.name!r}")
        return value, direct + pull_back(world.robot, X_WB, through_poses)

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields of a cost that is a dataclass, in plain types; empty for others."""
        if not dataclasses.is_dataclass(self):
            return {}
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def differentiate(function: Callable[..., Tensor], *arguments: Tensor, what: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """``function(*arguments)`` (batch,) and its gradients by autograd, shaped like the arguments.

    Row i of the value may depend on rows i only. Records in every context, inference mode included.

    Raises:
        InvalidInputError: the value is not of shape (batch,), not finite, or does not depend on the arguments: it was
            computed outside torch or detached, so that its gradient would be zero whatever it says. A value that is
            zero throughout may be constant. ``what`` is named in the message.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [argument.detach().clone().requires_grad_(True) for argument in arguments]
        value = function(*leaves)
        batch = len(arguments[0])
        if not isinstance(value, Tensor) or value.shape != (batch,):
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InvalidInputError(f"{what} must return a tensor of shape (batch,) = ({batch},), got {shape}")
        gradients: tuple[Tensor | None, ...] = (None,) * len(leaves)
        if value.requires_grad:
            gradients = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    value = value.detach()
    if all(gradient is None for gradient in gradients) and value.any():
        raise InvalidInputError(
            f"{what}: its value does not depend on the motion, so that its gradient is zero everywhere; compute it "
            "from motion.q or motion.X_WB in torch, without .detach(), .item(), .numpy() or torch.no_grad()"
        )
    found = tuple(
        torch.zeros_like(leaf) if gradient is None else gradient.detach()
        for leaf, gradient in zip(leaves, gradients, strict=True)
    )
    if not value.isfinite().all() or not all(gradient.isfinite().all() for gradient in found):
        raise InvalidInputError(
            f"{what}: its value or gradient is not finite; a square root, norm or arccosine has no finite gradient at "
            "the end of its range: square it, or keep away from there with clamp"
        )
    return value, found


_registered: dict[str, type[Cost]] = {}

C = TypeVar("C", bound=type[Cost])


def register_cost(cost: C) -> C:
    """Class decorator: make a `Cost` available to ensembles under its ``name``."""
    if not isinstance(cost, type) or not issubclass(cost, Cost):
        raise InvalidInputError(f"cost must be a subclass of edmp.costs.Cost, got {shown(cost)}")
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


@checked
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


@checked
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
