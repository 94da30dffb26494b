"""Distillation: a trained prior is tuned until one call gives what its sampler needs several for.

Consistency tuning (Song et al. 2023; for policies Prasad et al. 2024), see `edmp.learning.consistency`. A prior of
start and goal is tuned whole. Of one that sees the scene the correction is tuned, on a denoiser of start and goal that
was distilled before: its one call says where noise would end that knows nothing of the scene, and what that touches.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edmp.data.export import export_prior
from edmp.data.shortcut import shortcut_loss, shortcut_student
from edmp.data.taught import Student, TaughtExamples, Ways, digest
from edmp.data.train import PRIOR_NAME, check_motions
from edmp.data.training_set import TrainingSet
from edmp.errors import InvalidInputError, unknown_name
from edmp.learning.card import untrained_card
from edmp.learning.consistency import consistency_error, pairs
from edmp.learning.training import Examples, TrainingRun, TrainReport, TrainSettings, opened, trained
from edmp.prior.base import Prior
from edmp.prior.checkpoint import load_network, load_prior, prior_path
from edmp.prior.mlp import MlpNetwork, MlpPrior
from edmp.prior.scene import SceneNetwork, ScenePrior
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

_NAMES = {"consistency": "consistency tuning", "shortcut": "shortcut model"}
METHODS = tuple(_NAMES)


@dataclass(frozen=True)
class DistillSettings:
    """How one call is learned.

    Attributes:
        method: ``consistency``, from ways of the teacher, of which the rest speaks; or ``shortcut``, from the data and
            itself (`edmp.data.shortcut`), beginning with the teacher, a prior of start and goal.
        count: motions of the data between whose ends it is asked for one.
        levels: calls that it gets for each.
        looks: how often a teacher that sees the scene looks at its estimate in each call; None is its own number.
    """

    method: str = "consistency"
    count: int = 20_000
    levels: int = 8
    looks: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method of distillation", self.method, METHODS)
        check_fields(self, {"count": Range(1, 10**8, whole=True), "levels": Range(2, 128, whole=True)})
        if self.looks is not None:
            check_fields(self, {"looks": Range(0, 16, whole=True)})


def distill(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    prior: str | Path,
    base: str | Path | None = None,
    distillation: DistillSettings = DistillSettings(),
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Tune a prior to give a sample in one call.

    Args:
        data_dir: see `edmp.data.taught`.
        out: folder of the run; created.
        robot: that the prior is for.
        prior: name or file of the teacher, with which tuning begins.
        base: of a teacher that sees the scene, the one-call prior of start and goal that is corrected.
        distillation: how the teacher is asked.
        settings: of the training.
        resume: go on from the folder's checkpoint if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.

    Raises:
        InvalidInputError: ``prior`` or ``base`` is none that can be used so.
    """
    out = opened(out, settings)
    teacher = _teacher(prior, robot, distillation)
    data: Examples
    student: Student
    if distillation.method == "shortcut":
        if base is not None or not isinstance(teacher, MlpPrior):
            raise InvalidInputError("method shortcut is for priors of start and goal, without base")
        student, arch = shortcut_student(teacher.network), "mlp"
        data = TrainingSet(data_dir, validation_fraction=settings.validation_fraction)
        check_motions(data, robot, teacher.spline.num_control_points)
    else:
        student, arch = _student(teacher, base, robot)
        data = TaughtExamples(
            data_dir,
            teacher,
            student,
            robot,
            levels=distillation.levels,
            count=distillation.count,
            validation_fraction=settings.validation_fraction,
        )
    card = untrained_card(arch, student.config, robot, seed=settings.seed, command=command)
    origin = f"{_NAMES[distillation.method]} of {Path(prior).stem} {digest(teacher)}"
    run = TrainingRun(student, dataclasses.replace(card, one_call=True, origin=origin), settings)
    assert isinstance(run.ema, Student)
    if isinstance(run.ema, MlpNetwork) and distillation.method == "shortcut":
        run.loss = shortcut_loss(run.ema)
    else:
        run.loss = _loss(run.ema, distillation.levels)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _loss(averaged: Student, levels: int) -> Callable[[nn.Module, Tensor, torch.Generator], Tensor]:
    """Of the ends that a network gives, by how much they disagree, in parts of the data's variance."""

    def loss(network: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(network, Student)
        ways = Ways.of(rows, network, levels)
        start, end = pairs(len(rows), levels, generator)
        error = consistency_error(
            lambda level: ways.end_from(network, level),
            lambda level: ways.end_from(averaged, level),
            ways.x[:, -1],
            (start, end),
            levels,
        )
        scale = network.base.noise_scale if isinstance(network, SceneNetwork) else network.noise_scale
        return (error / scale).square().mean(dim=1)

    return loss


def _teacher(name: str | Path, robot: Robot, distillation: DistillSettings) -> Prior:
    teacher = load_prior(name, robot)
    if not isinstance(teacher, MlpPrior | ScenePrior):
        kind = getattr(teacher, "name", type(teacher).__name__)
        raise InvalidInputError(f"prior: {name} is of architecture {kind!r}; an mlp or a scene can be distilled")
    if teacher.one_call:
        raise InvalidInputError(f"prior: {name} gives its samples in one call already")
    if distillation.looks is None:
        return teacher
    if not isinstance(teacher, ScenePrior):
        raise InvalidInputError(f"looks: {name} does not see the scene")
    return dataclasses.replace(teacher, looks=distillation.looks)


def _student(teacher: Prior, base: str | Path | None, robot: Robot) -> tuple[Student, str]:
    """The network that is tuned, and its architecture."""
    if isinstance(teacher, MlpPrior):
        if base is not None:
            raise InvalidInputError("base: is for a prior that sees the scene; one of start and goal is tuned whole")
        return copy.deepcopy(teacher.network).train().requires_grad_(True), "mlp"
    assert isinstance(teacher, ScenePrior)
    if base is None:
        raise InvalidInputError(
            "base: a prior that sees the scene corrects one of start and goal; distill that first (edmp distill "
            f"--prior {robot.name}), and give it as base"
        )
    path = prior_path(base)
    known, card = load_network(path)
    if (card.robot, card.dof) != (robot.name, robot.dof):
        raise InvalidInputError(f"base: {path} is a prior for {card.robot!r}, not for {robot.name!r}")
    if not isinstance(known, MlpNetwork) or not card.one_call:
        raise InvalidInputError(f"base: {path} is no one-call prior of start and goal (edmp distill makes one)")
    if known.config != teacher.network.base.config:
        raise InvalidInputError(f"base: {path} has other sizes than the denoiser that the teacher corrects")
    student = copy.deepcopy(teacher.network).train().requires_grad_(True)
    student.base.load_state_dict(known.state_dict())
    student.base.requires_grad_(False)
    return student, "scene"
