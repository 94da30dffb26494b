"""What a network says of the rest of a window, in joint units; its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edmp.dynamics.learned.condition import Ablation, ForecastConfig
from edmp.dynamics.learned.networks import Forecaster, network_kind
from edmp.errors import InvalidInputError
from edmp.learning.card import Card, built, load_network

FULL_STEPS, WARM_STEPS, WARM_LEVEL = 18, 5, 1.0
"""Denoiser calls from noise and from a guess, and the noise level that a guess is raised to [1]."""


@dataclass(frozen=True)
class LearnedDynamics:
    """A trained network and what is known of it.

    Attributes:
        network: with its normalisation.
        card: of the file.
    """

    network: Forecaster
    card: Card

    @property
    def config(self) -> ForecastConfig:
        """Sizes, and what windows it is for: T, m, dt, and what drives the arm."""
        return self.network.config

    @property
    def deterministic(self) -> bool:
        """Whether it has one answer alone."""
        return self.card.architecture == "robomorph"


def network_of(card: Card, path: Path | str) -> Forecaster:
    """The untrained network of a card."""
    kind = network_kind(card.architecture)
    return built(card, ForecastConfig, lambda config: kind(config, card.dof), path)


def load(path: str | Path) -> LearnedDynamics:
    """The network of a file that `edmp dynamics train` wrote.

    Raises:
        FileFormatError: it is no such file.
    """
    return LearnedDynamics(*load_network(path, network_of))


def forecast(
    model: LearnedDynamics,
    torques: np.ndarray,
    context: np.ndarray,
    *,
    num_samples: int = 16,
    steps: int | None = None,
    warm_start: np.ndarray | None = None,
    warm_level: float = WARM_LEVEL,
    ablation: Ablation | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Positions after the context, as the network sees them coming.

    Args:
        model: see `load`.
        torques: (n, T, dof) what drives the arm all the way, context included [Nm]; ``model.config.drive`` says whether
            that is the whole torque or what comes on top of gravity compensation.
        context: (n, m, 2 dof) positions and velocities measured so far [rad, rad/s].
        num_samples: answers k for each window; a deterministic model gives one.
        steps: of the sampler; None is 18, with a warm start 5.
        warm_start: (n, T - m, dof) positions from elsewhere [rad], such as a deterministic model's, or the last held;
            they are noised to ``warm_level`` and denoised from there.
        warm_level: noise level of the warm start, in standard deviations of the motion in training [1].
        ablation: takes the context away, or gives each window another's.
        seed: of the noise.

    Returns:
        (k, n, T - m, dof) float64 [rad].

    Raises:
        InvalidInputError: shapes do not fit the model, or there are numbers that are not finite.
    """
    config, network = model.config, model.network
    drive, known = _checked(model, torques, context)
    count = 1 if model.deterministic else num_samples
    if count < 1:
        raise InvalidInputError(f"num_samples must be at least 1, got {num_samples}")
    condition = network.normaliser.condition(drive, known)
    if ablation is not None:
        condition = ablation(condition)
    last = known[:, -1, : network.dof]
    guess = None
    if warm_start is not None:
        shape = (len(drive), config.num_asked, network.dof)
        if np.shape(warm_start) != shape:
            raise InvalidInputError(f"warm_start should be {shape}, got {np.shape(warm_start)}")
        guess = network.normaliser.asked(torch.as_tensor(warm_start, dtype=torch.float32), last)
        guess = guess.repeat_interleave(count, dim=0)
    generator = torch.Generator().manual_seed(seed)
    calls = steps or (FULL_STEPS if guess is None else WARM_STEPS)
    with torch.no_grad():
        answers = network.answer(condition.repeated(count), generator, steps=calls, guess=guess, level=warm_level)
    positions = network.normaliser.positions(answers, last.repeat_interleave(count, dim=0))
    return positions.unflatten(0, (-1, count)).transpose(0, 1).double().numpy()


def _checked(model: LearnedDynamics, torques: np.ndarray, context: np.ndarray) -> tuple[Tensor, Tensor]:
    config, dof = model.config, model.network.dof
    drive, known = (torch.as_tensor(np.asarray(a), dtype=torch.float32) for a in (torques, context))
    for name, array, shape in (
        ("torques", drive, (config.num_steps, dof)),
        ("context", known, (config.num_context, 2 * dof)),
    ):
        if array.ndim != 3 or tuple(array.shape[1:]) != shape:
            raise InvalidInputError(
                f"{name} should be (n, {shape[0]}, {shape[1]}), steps of {config.dt:g} s, got {tuple(array.shape)}"
            )
        if not bool(torch.isfinite(array).all()):
            raise InvalidInputError(f"{name} has numbers that are not finite")
    if len(drive) != len(known):
        raise InvalidInputError(f"torques are of {len(drive)} windows, context of {len(known)}")
    return drive, known
