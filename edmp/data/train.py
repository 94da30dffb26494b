"""Training a motion prior on the motions of a data folder; `edmp.learning.training` has the run.

At the end the run's folder holds ``prior.safetensors`` with its model card ``prior.md``, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from edmp.data.export import export_prior
from edmp.data.training_set import TrainingSet
from edmp.errors import InvalidInputError
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, trained
from edmp.prior.checkpoint import architecture, untrained_card
from edmp.robots.robot import Robot

PRIOR_NAME = "prior.safetensors"


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
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _fresh(data: TrainingSet, robot: Robot, arch: str, settings: TrainSettings, command: str) -> TrainingRun:
    """A run at step 0, its normalisation taken from the data."""
    row = architecture(arch)
    try:
        config = row.config(**settings.config)
    except TypeError as error:
        valid = ", ".join(f.name for f in dataclasses.fields(row.config))
        raise InvalidInputError(f"bad config for {arch}: {error}; it has {valid}") from None
    check_motions(data, robot, config.num_control_points)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # torch's initialisers take no generator
        network = row.network(config, robot.dof)
    lower, upper = (torch.tensor(a, dtype=torch.float32) for a in (robot.limits.lower, robot.limits.upper))
    network.set_statistics(data.train.cpu(), lower, upper)  # type: ignore[operator]
    return TrainingRun(network, untrained_card(arch, config, robot, seed=settings.seed, command=command), settings)


def check_motions(data: TrainingSet, robot: Robot, num_control_points: int) -> None:
    """`InvalidInputError` unless the data are motions of the robot in splines of so many control points."""
    name, dof = data.robot_name or robot.name, data.train.shape[2]
    if name != robot.name or dof != robot.dof:
        raise InvalidInputError(
            f"{data.data_dir} holds trajectories of {name!r} with {dof} joints, not of {robot.name!r} with {robot.dof}"
        )
    if data.train.shape[1] != num_control_points:
        raise InvalidInputError(
            f"the data's splines have {data.train.shape[1]} control points, those of the prior {num_control_points}"
        )
