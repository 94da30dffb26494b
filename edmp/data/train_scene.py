"""Training of a prior that sees the scene: a denoiser of start and goal is held still, and its correction learned.

First on the denoiser's own estimates; then, going on from the prior that came out, also on estimates after one look,
so that the network may look twice at each denoising step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from edmp.data.export import export_prior
from edmp.data.scene_rows import SceneExamples
from edmp.data.train import PRIOR_NAME
from edmp.errors import InvalidInputError
from edmp.learning.card import configured, untrained_card
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, begun, first_weights, opened, trained
from edmp.prior.checkpoint import load_network, prior_path
from edmp.prior.mlp import MlpNetwork
from edmp.prior.scene import SceneConfig, SceneNetwork
from edmp.robots.robot import Robot


def train_scene(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    base: str | Path,
    settings: TrainSettings,
    weights: str | Path | None = None,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a prior that sees the scene for ``robot`` on the shards in ``data_dir``.

    Args:
        data_dir: see `edmp.data.scene_rows`; may still be growing.
        out: folder of the run; created.
        robot: whose trajectories these are.
        base: name or file of the prior to be corrected: an ``mlp``; or a ``scene`` prior to go on from, which then
            learns to look twice. Not read if ``weights`` are given.
        settings: of the training; ``config`` replaces sizes of `SceneConfig`.
        weights: name or file of a trained ``scene`` prior to begin with, in place of ``base``; it looks as often as it
            did.
        resume: go on from the folder's checkpoint if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.

    Raises:
        InvalidInputError: ``base`` is of another robot or architecture.
    """
    out = opened(out, settings)
    if weights is not None:
        path = prior_path(weights)
        known, theirs = load_network(path)
        card = begun(known, theirs, path, robot=robot, architecture="scene", settings=settings, command=command)
        assert isinstance(known, SceneNetwork)
        network, looks = _to_correct(known), tuple(range(known.config.looks))
    else:
        network, looks = _begun(base, robot, settings)
        card = untrained_card("scene", network.config, robot, seed=settings.seed, command=command)
    fraction = settings.validation_fraction
    data = SceneExamples(data_dir, network, robot, validation_fraction=fraction, looks=looks, device=settings.device)
    run = TrainingRun(network, card, settings)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _begun(base: str | Path, robot: Robot, settings: TrainSettings) -> tuple[SceneNetwork, tuple[int, ...]]:
    """The network to train, and after how many looks its examples are taken."""
    path = prior_path(base)
    known, card = load_network(path)
    if (card.robot, card.dof) != (robot.name, robot.dof):
        raise InvalidInputError(f"base: {path} is a prior for {card.robot!r}, not for {robot.name!r}")
    if isinstance(known, SceneNetwork):
        if settings.config:
            raise InvalidInputError(f"base: {path} sees the scene already and has its sizes: give no config")
        _to_correct(known).config = dataclasses.replace(known.config, looks=2)
        return known, (0, 1)
    if not isinstance(known, MlpNetwork):
        raise InvalidInputError(f"base: {path} is of architecture {card.architecture!r}; an mlp or a scene is needed")
    config = configured(SceneConfig, settings.config, {"base": dataclasses.asdict(known.config)}, of="scene")
    with first_weights(settings):
        network = SceneNetwork(config, robot.dof)
    network.base.load_state_dict(known.state_dict())
    return network, (0,)


def _to_correct(network: SceneNetwork) -> SceneNetwork:
    """The network, whose correction can be trained, and whose base is held still."""
    network.requires_grad_(True)
    network.base.requires_grad_(False)
    return network
