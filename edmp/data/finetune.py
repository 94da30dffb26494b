"""What outcomes teach: networks trained on what comes of a prior's samples, rewarded by weights in a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from edmp.data.export import export_prior
from edmp.data.own_samples import OwnSamples
from edmp.data.reward import Reward
from edmp.data.taught import digest
from edmp.errors import InvalidInputError
from edmp.learning.card import configured, untrained_card
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, first_weights, opened, trained
from edmp.planner import Planner
from edmp.prior.value import ValueConfig, ValueNetwork
from edmp.robots.robot import Robot

VALUE_NAME = "value.safetensors"


def train_value(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    prior: str | Path,
    reward: Reward | None = None,
    questions: int = 400,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Train a value network on outcomes of the planner's own samples.

    Args:
        data_dir: folder that `edmp.data.generate` filled: scenes, starts and goals.
        out: folder of the run; created. ``value.safetensors`` comes to lie in it.
        robot: that plans.
        prior: name or file of the prior whose samples are looked at.
        reward: what outcomes are worth; as `Reward` has it by default.
        questions: starts and goals from which samples are drawn, 48 each.
        settings: of the training; ``config`` replaces sizes of `edmp.prior.value.ValueConfig`.
        resume: go on from the folder's checkpoint if it has one.
        command: that called this, for the card.
        on_step: called after each step with its number and its loss.
    """
    out, reward = opened(out, settings), reward or Reward()
    planner = Planner(robot, prior=prior)
    network = _fresh(planner, robot, settings)
    asked = f"{digest(planner.prior)} {sorted(dataclasses.asdict(network.config).items())}"
    folder = out / "samples"
    folder.mkdir(exist_ok=True)
    _same(folder / "of.txt", asked)
    data = OwnSamples(
        data_dir, folder, planner, network, reward, count=questions, validation_fraction=settings.validation_fraction
    )
    card = untrained_card("value", network.config, robot, seed=settings.seed, command=command)
    origin = f"outcomes of {Path(prior).stem} {digest(planner.prior)}, {reward}"
    run = TrainingRun(network, dataclasses.replace(card, origin=origin), settings)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=VALUE_NAME, on_step=on_step)


def _fresh(planner: Planner, robot: Robot, settings: TrainSettings) -> ValueNetwork:
    given = {"num_control_points": planner.prior.spline.num_control_points, **settings.config}
    config = configured(ValueConfig, given, of="value")
    with first_weights(settings):
        return ValueNetwork.fresh(config, planner.prior.noise_scale, robot.limits.lower, robot.limits.upper)


def _same(path: Path, of: str) -> None:
    """Samples in a folder are of one prior and told in one way."""
    if not path.exists():
        path.write_text(of)
    elif path.read_text() != of:
        raise InvalidInputError(f"{path.parent} holds samples of another prior or config; choose another folder")
