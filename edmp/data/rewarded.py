"""Tuning a prior by reward: policy gradients through its denoising steps, and the controls beside them.

- ``dppo``: diffusion policy policy optimisation (Ren et al. 2024). Each denoising step is a Gaussian policy of the
  noisy sample; proximal policy optimisation (Schulman et al. 2017) on all of them, the reward of the motion that comes
  out discounted back along the steps. A question has one answer, so that the mean reward of its group of samples is
  the baseline and no critic is needed.
- ``dql``: diffusion Q-learning (Wang et al. 2023) of a question with one answer: the Q-function is a value network
  that was trained before on what came of samples, and its gradient at the clean estimate is propagated back (one step
  stands for the whole chain, as Kang et al. 2023 have it). What the estimate touches counts as fixed.
- ``clearance``: the control that knows more. The clearance kernel's own gradient at the clean estimate is propagated
  back into the network.
- ``plain``: as many steps of plain training.

All keep the denoising loss on the data as an anchor; of a prior that sees the scene the correction is tuned.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.costs.clearance import clearance_field
from edmp.data.export import export_prior
from edmp.data.generate import GenerateSettings
from edmp.data.own_samples import Question, questions
from edmp.data.reward import Outcome, Reward
from edmp.data.scene_rows import SceneExamples, settings_of
from edmp.data.taught import digest
from edmp.data.train import PRIOR_NAME
from edmp.data.training_set import read_manifest
from edmp.descent import Descent
from edmp.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.learning.card import untrained_card
from edmp.learning.edm import karras_sigmas
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, opened, trained
from edmp.prior.checkpoint import load_prior
from edmp.prior.scene import SceneNetwork, ScenePrior
from edmp.prior.value import Value, ValueNetwork
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot


@dataclass(frozen=True)
class RewardedSettings:
    """How a prior is tuned by reward.

    Attributes:
        method: ``"dppo"``, ``"dql"``, or the controls ``"clearance"`` and ``"plain"``.
        reward: what a motion is worth.
        questions: starts and goals of the data that samples are drawn for, in all.
        at_a_time: of these in one collection of samples.
        group: samples of each.
        steps: denoising steps.
        epochs: how often each sample is learned from.
        clip: of the ratio of probabilities [1].
        discount: of the reward, for each denoising step before the last [1].
        least_std: smallest standard deviation of a step, in those of the data [1].
        anchor: weight of the denoising loss on the data [1].
        push: weight of the clearance gradient, of the control, or of the value's; of the latter relative to its size.
        anchor_shards: of the data, so many shards.
    """

    method: str = "dppo"
    reward: Reward = dataclasses.field(default_factory=Reward)
    questions: int = 96
    at_a_time: int = 12
    group: int = 16
    steps: int = 6
    epochs: int = 2
    clip: float = 0.05
    discount: float = 0.95
    least_std: float = 0.1
    anchor: float = 1.0
    push: float = 0.1
    anchor_shards: int = 24

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        count, share = Range(1, 10**6, whole=True), Range(0, 1, above=True)
        check_fields(self, dict.fromkeys(("questions", "at_a_time", "steps", "epochs", "anchor_shards"), count))
        check_fields(self, {"group": Range(2, 10**4, whole=True), "clip": share, "discount": share})
        check_fields(self, {"least_std": share, "anchor": Range(0, 1e3), "push": Range(0, 1e3)})


METHODS = ("dppo", "dql", "clearance", "plain")


def tune_by_reward(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    prior: str | Path,
    rewarded: RewardedSettings,
    value: str | Path | None = None,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Tune a prior that sees the scene by reward, or by a control.

    Args:
        data_dir: folder that `edmp.data.generate` filled: questions, and the anchor.
        out: folder of the run; created.
        robot: that the prior is for.
        prior: name or file of the prior to begin with.
        rewarded: see `RewardedSettings`.
        value: of ``dql``, the file of a value network.
        settings: of the training.
        resume: go on from the folder's checkpoint if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.
    """
    out = opened(out, settings)
    known = load_prior(prior, robot)
    if not isinstance(known, ScenePrior) or known.one_call:
        raise InvalidInputError(f"prior: {prior} is no prior that sees the scene and is called several times")
    critic = _critic(value, robot, rewarded)
    network = copy.deepcopy(known.network).train().requires_grad_(True)
    network.base.requires_grad_(False)
    anchor = SceneExamples(
        data_dir,
        network,
        robot,
        validation_fraction=settings.validation_fraction,
        max_shards=rewarded.anchor_shards,
    )
    card = untrained_card("scene", network.config, robot, seed=settings.seed, command=command)
    origin = f"{rewarded.method} of {Path(prior).stem} {digest(known)}, {rewarded.reward}"
    run = TrainingRun(network, dataclasses.replace(card, origin=origin), settings)
    if rewarded.method == "plain":
        data: Any = anchor  # and the network's own loss
    else:
        collect, learn = _walks, _proximal
        if rewarded.method != "dppo":
            collect = functools.partial(_estimated, critic)
            learn = _descending if critic is None else functools.partial(_valued, critic)
        source = settings_of(read_manifest(Path(data_dir)), robot, data_dir)
        data = Collected(
            out, run, known, anchor, _places(Path(data_dir), source, robot, known, rewarded), rewarded, collect
        )
        run.loss = data.loss_with(learn)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _critic(path: str | Path | None, robot: Robot, s: RewardedSettings) -> ValueNetwork | None:
    if (path is None) != (s.method != "dql"):
        raise InvalidInputError(
            "value: method dql needs the file of a value network (finetune --method value), others none"
        )
    if path is None:
        return None
    found = load_prior(path, robot)
    if not isinstance(found, Value):
        raise InvalidInputError(f"value: {path} is no value network; edmp finetune --method value makes one")
    return found.network


@dataclass(frozen=True)
class _Place:
    """A question, ready to be asked."""

    descent: Descent
    start: Tensor
    goal: Tensor


def _places(
    folder: Path, source: GenerateSettings, robot: Robot, prior: ScenePrior, s: RewardedSettings
) -> list[_Place]:
    def place(question: Question) -> _Place:
        descent = Descent(World.of(robot, question.scene, only_separable=True), prior.spline)
        return _Place(descent, question.start, question.goal)

    return [place(q) for q, _ in zip(questions(folder, source, robot, each=1), range(s.questions), strict=False)]


Rows = dict[str, Tensor]
"""Examples of one collection, by what they hold; all (n, ...)."""


class Collected:
    """Samples of the network as it is now, collected anew when they have been learned from; an `Examples`.

    What was collected is kept beside the checkpoint, so that a run that stopped goes on as if it had not.
    """

    def __init__(
        self,
        out: Path,
        run: TrainingRun,
        prior: ScenePrior,
        anchor: SceneExamples,
        places: list[_Place],
        settings: RewardedSettings,
        collect: Callable[[ScenePrior, _Place, RewardedSettings, torch.Generator], Rows],
    ) -> None:
        self.out, self.run, self.prior, self.anchor = out, run, prior, anchor
        self.places, self.settings, self.collect = places, settings, collect
        self.train, self.validation = anchor.train, anchor.validation[:0]
        self.rows: Rows = {}
        self.order = torch.zeros(0, dtype=torch.long)
        self.began = -1

    def __len__(self) -> int:
        return len(self.anchor)

    def rescan(self) -> int:
        """Nothing: the anchor is what it was."""
        return 0

    def description(self) -> dict[str, Any]:
        plain = {key: value for key, value in dataclasses.asdict(self.settings).items() if key != "reward"}
        return {**self.anchor.description(), "questions": len(self.places), "rewarded": plain}

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size,) numbers of the examples to learn from next."""
        begin = (self.run.step - self.began) * size
        if self.began < 0 and self._restored():
            begin = (self.run.step - self.began) * size
        if self.began < 0 or begin + size > len(self.order):
            self._collect(generator)
            begin = 0
        return self.order[begin : begin + size]

    def _collect(self, generator: torch.Generator) -> None:
        s = self.settings
        chosen = torch.randperm(len(self.places), generator=generator)[: s.at_a_time].tolist()
        network = self.run.network
        assert isinstance(network, SceneNetwork)
        now = dataclasses.replace(self.prior, network=network)
        parts = [self.collect(now, self.places[i], s, generator) for i in chosen]
        self.rows = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        num = len(self.rows["x"])
        self.order = torch.cat([torch.randperm(num, generator=generator) for _ in range(s.epochs)])
        self.began = self.run.step
        write_tensors(self.out / COLLECTED, {**self.rows, "order": self.order}, {"began": self.began})

    def _restored(self) -> bool:
        """Take over what an interrupted run had collected last, if it is what its checkpoint goes on with."""
        path = self.out / COLLECTED
        if self.run.step == 0 or not path.is_file():
            return False
        tensors, header = read_tensors(path)
        try:
            began = header["began"].integer(0)
            self.order = tensors.pop("order")
        except KeyError:
            raise FileFormatError(f"{path}: no samples of this training; delete it") from None
        if began > self.run.step:
            return False
        self.rows, self.began = tensors, began
        return True

    def loss_with(self, learn: Callable[[SceneNetwork, Rows, RewardedSettings], Tensor]) -> Any:
        """The loss of examples by number, and of as many of the anchor's."""

        def loss(network: nn.Module, numbers: Tensor, generator: torch.Generator) -> Tensor:
            assert isinstance(network, SceneNetwork)
            learned = learn(network, {key: value[numbers] for key, value in self.rows.items()}, self.settings)
            kept = network.loss(self.anchor.batch(len(numbers), generator), generator)
            return learned + self.settings.anchor * kept

        return loss


COLLECTED = "collected.safetensors"


def policy(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> tuple[Tensor, Tensor]:
    """Mean (n, dim) and standard deviation (n, 1) of a denoising step, in units of the data's.

    An ancestral step (Karras et al. 2022, app. B of k-diffusion's Euler ancestral): with r = sigma' / sigma the mean is
    D + r^2 (x - D), the deviation sigma' sqrt(1 - r^2), and at least `least_std`.
    """
    clean = rows["estimate"] + network(rows["x"], rows["estimate"], rows["touch"], rows["sigma"], rows["ends"])
    r = rows["next"] / rows["sigma"]
    mean = torch.lerp(clean, rows["x"], r.square())
    return mean / network.base.noise_scale, (rows["next"] * (1 - r.square()).sqrt()).clamp_min(s.least_std)


def log_probability(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(n,) of ``z`` (n, dim), without what does not depend on the mean, averaged over its numbers."""
    return -0.5 * ((z - mean) / std).square().mean(dim=1)


def _told(prior: ScenePrior, place: _Place, x: Tensor, sigma: float) -> Rows:
    """What the network is told of noisy samples ``x`` (n, dim)."""
    network, n = prior.network, len(x)
    start, goal = place.start.expand(n, -1), place.goal.expand(n, -1)
    level = torch.full((n, 1), sigma)
    estimate = network.base.denoise(x, level, network.base.problem_embedding(place.start[None], place.goal[None]))
    touch = network.touch(place.descent.world, network.spline.control_points(estimate, start, goal))
    return {"x": x, "estimate": estimate, "touch": touch, "sigma": level, "ends": torch.stack([start, goal], dim=1)}


@torch.no_grad()
def _walks(prior: ScenePrior, place: _Place, s: RewardedSettings, generator: torch.Generator) -> Rows:
    """Denoising steps of a group of samples, and how much better than the others each came out."""
    network = prior.network
    scale = network.base.noise_scale
    sigmas = karras_sigmas(s.steps, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max).tolist()
    x = prior.noise(s.group, sigma=sigmas[0], generator=generator)
    steps: list[Rows] = []
    for sigma, after in itertools.pairwise(sigmas):
        rows = _told(prior, place, x, sigma) | {"next": torch.full((s.group, 1), after)}
        mean, std = policy(network, rows, s)
        z = mean + std * torch.randn(mean.shape, generator=generator)
        x = z * scale
        steps.append(rows | {"z": z, "log_probability": log_probability(z, mean, std)[:, None]})
    control_points = place.descent.clamp(prior.spline.control_points(x, place.start, place.goal))
    reward = s.reward.of(Outcome.of(place.descent, control_points, enough=s.reward.enough))
    better = ((reward - reward.mean()) / (reward.std() + 0.05))[:, None]
    for k, rows in enumerate(steps):
        rows["advantage"] = better * s.discount ** (len(steps) - 1 - k)
        rows["reward"] = reward[:, None]
    return {key: torch.cat([rows[key] for rows in steps]) for key in steps[0]}


def _proximal(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
    """(n,) the clipped objective of proximal policy optimisation, to be made small."""
    mean, std = policy(network, rows, s)
    dim = mean.shape[1]
    ratio = (
        ((log_probability(rows["z"], mean, std) - rows["log_probability"][:, 0]) * math.sqrt(dim)).clamp(-5, 5).exp()
    )
    advantage = rows["advantage"][:, 0]
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage)


@torch.no_grad()
def _estimated(
    critic: ValueNetwork | None, prior: ScenePrior, place: _Place, s: RewardedSettings, generator: torch.Generator
) -> Rows:
    """Noisy samples on their way; of the clean estimates the clearance kernel's gradient, or what the critic feels."""
    sigmas = karras_sigmas(s.steps, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max).tolist()
    x = prior.noise(s.group, sigma=sigmas[0], generator=generator)
    spline, steps = prior.spline, []
    basis = spline.basis(place.descent.num_waypoints)[:, 1:-1]
    for sigma, after in itertools.pairwise(sigmas):
        rows = _told(prior, place, x, sigma)
        clean = rows["estimate"] + prior.network(*(rows[key] for key in ("x", "estimate", "touch", "sigma", "ends")))
        control_points = place.descent.clamp(spline.control_points(clean, place.start, place.goal))
        if critic is not None:
            steps.append(rows | {"felt": critic.touch(place.descent.world, control_points)})
        else:
            q = place.descent.waypoints(control_points)
            _, gradient = clearance_field(place.descent.world, q, q.new_full((len(q),), s.reward.enough))
            steps.append(rows | {"gradient": (basis.T @ gradient).flatten(1)})
        x = torch.lerp(clean, x, after / sigma)
    return {key: torch.cat([rows[key] for rows in steps]) for key in steps[0]}


def _descending(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
    """(n,) what has the clearance cost's gradient as its own, at the clean estimates."""
    correction = network(rows["x"], rows["estimate"], rows["touch"], rows["sigma"], rows["ends"])
    return s.push * (correction * rows["gradient"]).sum(dim=1)


def _valued(critic: ValueNetwork, network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
    """(n,) less the value of the clean estimates, in parts of its mean size (Wang et al. 2023, eq. 3)."""
    clean = rows["estimate"] + network(rows["x"], rows["estimate"], rows["touch"], rows["sigma"], rows["ends"])
    level = torch.full_like(rows["sigma"], critic.config.sigma_min)
    value = critic(clean, clean, rows["felt"], level, rows["ends"])[:, 0]
    return -s.push * value / value.detach().abs().mean().clamp_min(1e-3)
