"""Training a motion prior on the motions of a data folder; `edmp.learning.training` has the run.

At the end the run's folder holds ``prior.safetensors`` with its model card ``prior.md``, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edmp.data.export import export_prior
from edmp.data.training_set import TrainingSet
from edmp.errors import InvalidInputError
from edmp.learning.card import configured, untrained_card
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, begun, first_weights, opened, trained
from edmp.prior.checkpoint import architecture, load_network, prior_path
from edmp.robots.robot import Robot

PRIOR_NAME = "prior.safetensors"


def train(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    arch: str = "mlp",
    settings: TrainSettings,
    weights: str | Path | None = None,
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
        weights: name or file of a trained prior of this architecture to begin with; None begins with random weights.
        resume: go on from the folder's checkpoint if it has one; False starts afresh and overwrites it.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.
    """
    out = opened(out, settings)
    data = TrainingSet(data_dir, validation_fraction=settings.validation_fraction, device=settings.device)
    run = _begun(data, robot, arch, settings, weights, command)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _begun(
    data: TrainingSet, robot: Robot, arch: str, settings: TrainSettings, weights: str | Path | None, command: str
) -> TrainingRun:
    """A run at step 0, its normalisation taken from the data, or with its weights from a file."""
    row = architecture(arch)
    if weights is not None:
        path = prior_path(weights)
        network, known = load_network(path)
        card = begun(network, known, path, robot=robot, architecture=arch, settings=settings, command=command)
        check_motions(data, robot, network.config.num_control_points)  # type: ignore[union-attr,arg-type]
        return TrainingRun(network, card, settings)
    config: Any = configured(row.config, settings.config, of=arch)
    check_motions(data, robot, config.num_control_points)
    with first_weights(settings):
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
