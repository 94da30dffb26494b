"""Training a motion prior on the motions of a data folder; `edmp.learning.training` has the run.

At the end the run's folder holds ``prior.safetensors`` with its model card ``prior.md``, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edmp.data.export import export_prior
from edmp.data.training_set import TrainingSet
from edmp.errors import InvalidInputError
from edmp.learning.card import Card
from edmp.learning.training import Examples, TrainingRun, TrainReport, TrainSettings, carry_out
from edmp.prior.checkpoint import architecture
from edmp.robots.robot import Robot


def train(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    arch: str = "mlp",
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a prior for ``robot`` on the shards in ``data_dir``.

    Args:
        data_dir: see `edmp.data.training_set`; may still be growing.
        out: folder of the run; created.
        robot: whose trajectories these are.
        arch: ``"mlp"``, ``"unet"`` or another row of `edmp.prior.checkpoint.ARCHITECTURES`.
        settings: of the training.
        resume: go on from the folder's checkpoint if it has one; False starts afresh and overwrites it.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    data = TrainingSet(data_dir, validation_fraction=settings.validation_fraction, device=settings.device)
    run = _fresh(data, robot, arch, settings, command)
    return trained(run, data, out, settings, resume=resume, on_step=on_step)


def trained(
    run: TrainingRun,
    data: Examples,
    out: Path,
    settings: TrainSettings,
    *,
    resume: bool,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """`carry_out`, and export what came of it if it was not interrupted."""
    if not carry_out(run, data, out, settings, resume=resume, on_step=on_step):
        return TrainReport(file=None, interrupted=True, metrics=run.metrics(data))
    export_prior(out, out / "prior.safetensors")
    return TrainReport(file=out / "prior.safetensors", interrupted=False, metrics=run.metrics(data))


def card_of(arch: str, config: Any, robot: Robot, settings: TrainSettings, command: str) -> Card:
    """The card of a network that has not been trained yet; ``config`` is a dataclass."""
    return Card(
        architecture=arch,
        config=dataclasses.asdict(config),
        robot=robot.name,
        dof=robot.dof,
        lower=tuple(map(float, robot.limits.lower)),
        upper=tuple(map(float, robot.limits.upper)),
        seed=settings.seed,
        command=command,
    )


def _fresh(data: TrainingSet, robot: Robot, arch: str, settings: TrainSettings, command: str) -> TrainingRun:
    """A run at step 0, its normalisation taken from the data."""
    row = architecture(arch)
    _check_data(data, robot)
    try:
        config = row.config(**settings.config)
    except TypeError as error:
        valid = ", ".join(f.name for f in dataclasses.fields(row.config))
        raise InvalidInputError(f"bad config for {arch}: {error}; it has {valid}") from None
    if data.train.shape[1] != config.num_control_points:
        raise InvalidInputError(
            f"the data's splines have {data.train.shape[1]} control points, the {arch} config has "
            f"{config.num_control_points}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # torch's initialisers take no generator
        network = row.network(config, robot.dof)
    lower, upper = (torch.tensor(a, dtype=torch.float32) for a in (robot.limits.lower, robot.limits.upper))
    network.set_statistics(data.train.cpu(), lower, upper)  # type: ignore[operator]
    return TrainingRun(network, card_of(arch, config, robot, settings, command), settings)


def _check_data(data: TrainingSet, robot: Robot) -> None:
    """The data must be the robot's."""
    name, dof = data.robot_name or robot.name, data.train.shape[2]
    if name != robot.name or dof != robot.dof:
        raise InvalidInputError(
            f"{data.data_dir} holds trajectories of {name!r} with {dof} joints, not of {robot.name!r} with {robot.dof}"
        )
