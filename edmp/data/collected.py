"""Samples of a prior that is being tuned by reward, collected anew as it changes, and the settings of that."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.data.generate import GenerateSettings
from edmp.data.own_samples import Question, questions
from edmp.data.reward import Reward
from edmp.data.scene_rows import SceneExamples
from edmp.descent import Descent
from edmp.errors import FileFormatError, unknown_name
from edmp.learning.tensors import read_tensors, write_tensors
from edmp.learning.training import TrainingRun
from edmp.prior.scene import SceneNetwork, ScenePrior
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
        push: weight of the clearance gradient, of the control, or of what the critics say, relative to its size.
        anchor_shards: of the data, so many shards.
        critic_steps: of ``dql``, steps of both critics after each collection; ten times as many after the first.
        critic_batch, critic_rate: examples and learning rate of each.
        average: share of its old weights that a critic's average keeps in each step [1].
        memory: samples, of all collections, that the critics learn from.
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
    critic_steps: int = 40
    critic_batch: int = 64
    critic_rate: float = 1e-3
    average: float = 0.98
    memory: int = 4096

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        count, share = Range(1, 10**6, whole=True), Range(0, 1, above=True)
        check_fields(self, dict.fromkeys(("questions", "at_a_time", "steps", "epochs", "anchor_shards"), count))
        check_fields(self, {"group": Range(2, 10**4, whole=True), "clip": share, "discount": share})
        check_fields(self, {"least_std": share, "anchor": Range(0, 1e3), "push": Range(0, 1e3)})
        check_fields(self, dict.fromkeys(("critic_steps", "critic_batch", "memory"), count))
        check_fields(self, {"critic_rate": share, "average": Range(0, 1)})


METHODS = ("dppo", "dql", "clearance", "plain")


@dataclass(frozen=True)
class Place:
    """A question, ready to be asked.

    Attributes:
        number: of it, from 0.
        descent: in its world.
        start, goal: (dof,) [rad or m].
    """

    number: int
    descent: Descent
    start: Tensor
    goal: Tensor


def places(folder: Path, source: GenerateSettings, robot: Robot, prior: ScenePrior, s: RewardedSettings) -> list[Place]:
    def place(number: int, question: Question) -> Place:
        descent = Descent(World.of(robot, question.scene, only_separable=True), prior.spline)
        return Place(number, descent, question.start, question.goal)

    chosen = itertools.islice(questions(folder, source, robot, each=1), s.questions)
    return [place(number, question) for number, question in enumerate(chosen)]


Rows = dict[str, Tensor]
"""Examples of one collection, by what they hold; all (n, ...)."""

Collect = Callable[[ScenePrior, Place, RewardedSettings, torch.Generator], Rows]
"""``collect(prior, place, settings, generator)``: examples of one question."""

Learn = Callable[[SceneNetwork, Rows, RewardedSettings], Tensor]
"""``learn(network, rows, settings) -> (n,)``: their loss."""


class Pupil(Protocol):
    """What learns from each collection before the prior does; its state goes into the file beside the checkpoint."""

    def learn(self, rows: Rows, generator: torch.Generator) -> None: ...
    def state(self) -> Rows: ...
    def restore(self, state: Rows) -> None: ...


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
        places: list[Place],
        settings: RewardedSettings,
        collect: Collect,
        pupil: Pupil | None = None,
    ) -> None:
        self.out, self.run, self.prior, self.anchor = out, run, prior, anchor
        self.places, self.settings, self.collect, self.pupil = places, settings, collect, pupil
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
        state: Rows = {}
        if self.pupil is not None:
            self.pupil.learn(self.rows, generator)
            state = {f"{_PUPIL}{key}": value for key, value in self.pupil.state().items()}
        write_tensors(self.out / COLLECTED, {**self.rows, **state, "order": self.order}, {"began": self.began})

    def _restored(self) -> bool:
        """Take over what an interrupted run had collected last, if it is what its checkpoint goes on with."""
        path = self.out / COLLECTED
        if self.run.step == 0 or not path.is_file():
            return False
        tensors, header = read_tensors(path)
        state = {key.removeprefix(_PUPIL): tensors.pop(key) for key in list(tensors) if key.startswith(_PUPIL)}
        try:
            began = header["began"].integer(0)
            self.order = tensors.pop("order")
            if self.pupil is not None:
                self.pupil.restore(state)
        except (LookupError, RuntimeError, ValueError):
            raise FileFormatError(f"{path}: no samples of this training; delete it") from None
        if began > self.run.step:
            return False
        self.rows, self.began = tensors, began
        return True

    def loss_with(self, learn: Learn) -> Any:
        """The loss of examples by number, and of as many of the anchor's."""

        def loss(network: nn.Module, numbers: Tensor, generator: torch.Generator) -> Tensor:
            assert isinstance(network, SceneNetwork)
            learned = learn(network, {key: value[numbers] for key, value in self.rows.items()}, self.settings)
            kept = network.loss(self.anchor.batch(len(numbers), generator), generator)
            return learned + self.settings.anchor * kept

        return loss


COLLECTED = "collected.safetensors"
_PUPIL = "pupil."
