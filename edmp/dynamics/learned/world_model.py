"""World models in use: their files, and arms imagined by them, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.learned.world import WorldConfig, WorldNetwork
from edmp.dynamics.learned.world_windows import frames_of_log
from edmp.dynamics.model import ArmModel
from edmp.dynamics.simulate import Controller
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.card import Card, built, load_network
from edmp.recordings.log import Log
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

ARCHITECTURE = "world"


@dataclass(frozen=True, eq=False)
class NominalArm:
    """What runs beside an imagined arm.

    Attributes:
        arm: what moves.
        described: what its controller believes.
        controller: see `edmp.dynamics.Controller`.
    """

    arm: ArmDynamics
    described: ArmDynamics
    controller: Controller

    @classmethod
    def of(cls, robot: Robot, model: ArmModel | None = None) -> NominalArm:
        """The arm as described, under the controller that `drake-sim` has; or as it was identified."""
        described = ArmDynamics.of(robot)
        if model is None:
            return cls(described, described, Controller())
        known = model.for_robot(robot)
        return cls(known.arm, known.nominal, known.controller)


@dataclass(frozen=True)
class WorldModel:
    """A trained world model and what is known of it.

    Attributes:
        network: with its normalisation.
        card: of the file.
    """

    network: WorldNetwork
    card: Card

    @property
    def config(self) -> WorldConfig:
        return self.network.config

    def nominal(self, robot: Robot, model: ArmModel | None = None) -> NominalArm:
        """The arm to run beside.

        Raises:
            InvalidInputError: the model is of another robot, or was trained beside an arm of the other kind.
        """
        if (robot.name, robot.dof) != (self.card.robot, self.card.dof):
            raise InvalidInputError(
                f"the world model is of {self.card.robot} with {self.card.dof} joints, not of {robot.name} with "
                f"{robot.dof}"
            )
        if self.config.nominal == "identified" and model is None:
            raise InvalidInputError(
                "the world model was trained beside identified arms: give the arm's model (edmp identify) as arm_model"
            )
        if self.config.nominal == "described" and model is not None:
            raise InvalidInputError(
                "the world model was trained beside the arm as described: an arm_model is for one trained with "
                'nominal="identified"'
            )
        return NominalArm.of(robot, model)

    def context(self, log: Log, nominal: NominalArm) -> Tensor:
        """(1, cond) what the network makes of a log of the arm, see `frames_of_log`."""
        frames = frames_of_log(log, nominal.arm, nominal.described, nominal.controller, self.config)
        return self.told(frames)

    def told(self, frames: Tensor) -> Tensor:
        """(n, cond) of contexts (n, m, 5 dof)."""
        with torch.no_grad():
            return self.network.told(frames, frames.new_ones(len(frames), 1))

    def untold(self, rows: int = 1) -> Tensor:
        """(n, cond) of arms of which nothing is known."""
        return torch.zeros(rows, self.config.cond)


class Imagined:
    """How far arms are from the nominal one, a frame at a time; they begin at rest, where they are told to be.

    Args:
        model: of the world.
        arm: (n, cond) what is known of each, see `WorldModel.told`.
        positions: (n, dof) where they begin [rad or m].
        seed: of the noise.
    """

    def __init__(self, model: WorldModel, arm: Tensor, positions: Array, *, seed: int = 0) -> None:
        self._network, self._arm = model.network, arm
        still = np.zeros_like(positions)
        frame = self._frame(positions, still, still)
        self._history = frame[:, None].repeat(1, model.config.history + 1, 1)
        self._generator = torch.Generator().manual_seed(seed)

    def after(self, q: Array, v: Array, a: Array) -> tuple[Array, Array]:
        """Deviations of positions and velocities (n, dof) one frame later.

        Args:
            q, v, a: (n, dof) positions, velocities and accelerations that are commanded for then.
        """
        d = self._next(q, v, a)
        self._history = self._network.then(self._history, d, self._history[:, -1])
        return self._parts(d)

    def outlook(self, q: Array, v: Array, a: Array) -> tuple[Array, Array]:
        """What `after` would say of these commands; by the same noise, and without going on."""
        state = self._generator.get_state()
        d = self._next(q, v, a)
        self._generator.set_state(state)
        return self._parts(d)

    def _next(self, q: Array, v: Array, a: Array) -> Tensor:
        self._history[:, -1] = self._frame(q, v, a)
        with torch.no_grad():
            return self._network.next(self._history, self._arm, self._generator)

    def _frame(self, q: Array, v: Array, a: Array) -> Tensor:
        return torch.from_numpy(np.concatenate([np.zeros_like(q), np.zeros_like(q), q, v, a], axis=1)).float()

    def _parts(self, d: Tensor) -> tuple[Array, Array]:
        said = d.double().numpy()
        return said[:, : self._network.dof], said[:, self._network.dof :]


def load_world(path: str | Path) -> WorldModel:
    """The world model of a file that ``edmp dynamics train --model world`` wrote.

    Raises:
        FileFormatError: it is no such file.
    """
    return WorldModel(*load_network(path, world_of))


def world_of(card: Card, path: Path | str) -> WorldNetwork:
    """The untrained network of a card."""
    if card.architecture != ARCHITECTURE:
        raise FileFormatError(
            f"{path}: a network {card.architecture!r}, not a world model: edmp dynamics train --model world makes one"
        )
    return built(card, WorldConfig, lambda config: WorldNetwork(config, card.dof), path)
