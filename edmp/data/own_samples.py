"""What comes of the planner's own samples: drawn, guided, repaired in scenes of a data folder, and looked at.

The clearance kernel looks at all of them, the judge at a tenth of the questions. Questions are starts and goals of the
data's motions; each is one unit of work with a seed of its own, kept in the run's folder, so that a run that stopped
goes on with what is missing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from edmp.data.generate import GenerateSettings, scene_source, shard_files
from edmp.data.reward import Outcome, Reward
from edmp.data.scene_rows import by_scene, settings_of
from edmp.data.training_set import is_validation, read_manifest, read_shard
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.writing import written_whole
from edmp.learning.tensors import load_tensors
from edmp.planner import Planner, rounds
from edmp.planner.call import Call
from edmp.planner.candidates import Candidates
from edmp.planner.goals import unjudged
from edmp.planner.settings import Round
from edmp.prior.base import Context
from edmp.prior.value import ValueNetwork, ValueRows
from edmp.robots.robot import Robot
from edmp.scenes.generators import generate
from edmp.scenes.scene import Scene
from edmp.validate import Judge

JUDGED = 10
"""The judge looks at one question in so many."""
REPAIR = 32


@dataclass(frozen=True)
class Question:
    """A start and a goal in a scene of a data folder.

    Attributes:
        number: of the question.
        scene_number, scene: where.
        start, goal: (dof,) free configurations [rad or m].
    """

    number: int
    scene_number: int
    scene: Scene
    start: Tensor
    goal: Tensor


def questions(data_dir: Path, settings: GenerateSettings, robot: Robot, *, each: int = 2) -> Iterator[Question]:
    """Of the folder's scenes, one after the other, the ends of the first ``each`` motions."""
    counter = itertools.count()
    for shard in shard_files(data_dir):
        for scene_number, motions in by_scene(*read_shard(shard)):
            scene = generate(*scene_source(settings, scene_number), robot).scene
            for motion in motions[:each]:
                yield Question(next(counter), scene_number, scene, motion[0], motion[-1])


def asked(planner: Planner, question: Question, **options: Any) -> Call | None:
    """The planner's call for a question, None where an end is of no use to it."""
    start, goal = (q.double().numpy() for q in (question.start, question.goal))
    query = unjudged(planner.robot, start, goal)
    if query is None:
        return None
    return planner.prepare(query, Judge(planner.robot, question.scene), seed=question.number, **options)


class OwnSamples:
    """Samples on their way, with what came of them; an `edmp.learning.training.Examples`.

    Args:
        data_dir: folder that `edmp.data.generate` filled.
        out: folder of the run, where they are kept.
        planner: whose samples these are.
        network: what is told of them.
        reward: what they are worth.
        count: questions.
        validation_fraction: share of scenes held out.

    Attributes:
        train, validation: (n, columns) and (m, columns) `ValueRows.packed`.
        agreement: of motions that the kernel finds free, the share that the judge proves.
    """

    def __init__(
        self,
        data_dir: str | Path,
        out: Path,
        planner: Planner,
        network: ValueNetwork,
        reward: Reward,
        *,
        count: int,
        validation_fraction: float,
    ) -> None:
        self.data_dir = Path(data_dir)
        self.manifest = read_manifest(self.data_dir)
        settings = settings_of(self.manifest, planner.robot, data_dir)
        train: list[Tensor] = []
        validation: list[Tensor] = []
        self.free = self.proved = self.count = 0
        for question in questions(self.data_dir, settings, planner.robot):
            if question.number >= count:
                break
            path = out / f"samples-{question.number:06d}.safetensors"
            tensors = kept(path, functools.partial(made, planner, network, question))
            if not len(tensors["rows"]):
                continue
            rows = relabelled(tensors, reward)
            held_out = bool(is_validation(torch.tensor([question.scene_number]), validation_fraction))
            (validation if held_out else train).append(rows)
            free, proved = tensors["judged"].tolist()
            self.free, self.proved, self.count = self.free + free, self.proved + proved, self.count + 1
        if not any(len(rows) for rows in train):
            raise InvalidInputError(f"{data_dir}: no motions between whose ends samples could be drawn")
        self.train = torch.cat(train)
        self.validation = torch.cat(validation) if validation else self.train[:0]

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def description(self) -> dict[str, Any]:
        """The manifest without its list of shards, and what was drawn: for a model card."""
        brief = {key: value for key, value in self.manifest.items() if key != "shards"}
        agreement = {"judged_free_by_kernel": self.free, "proved_of_these": self.proved}
        return {**brief, "questions": self.count, "samples": len(self), **agreement}

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, columns) drawn with replacement."""
        return self.train[torch.randint(len(self.train), (size,), generator=generator)]

    def rescan(self) -> int:
        """Nothing: all were drawn before."""
        return 0


def kept(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in ``path``; made and written there if there are none yet."""
    if path.is_file():
        tensors = load_tensors(path)
        if {"rows", "outcome", "judged"} <= set(tensors):
            return tensors
        raise FileFormatError(f"{path}: no samples with their outcomes; delete it")
    tensors = make()
    with written_whole(path) as temporary:
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    return tensors


def relabelled(tensors: dict[str, Tensor], reward: Reward) -> Tensor:
    """The rows, with the reward of their outcomes as last but one column."""
    free, length, duration, clearance = tensors["outcome"].unbind(1)
    rows = tensors["rows"].clone()
    rows[:, -2] = reward.of(Outcome(free > 0.5, length, duration, clearance)).half()
    rows[:, -1] = free.half()
    return rows


@torch.inference_mode()
def made(planner: Planner, network: ValueNetwork, question: Question) -> dict[str, Tensor]:
    """Rows of one question: each seed at a random point of its way and at its end, and what repair made of it."""
    on_the_way: list[tuple[float, Tensor]] = []

    def see(batch: Any) -> None:
        if batch.stage == "sample" and batch.level > 0:
            on_the_way.append((batch.level, torch.as_tensor(batch.control_points)))

    call = asked(planner, question, on_batch=see)
    if call is None:
        return {"rows": torch.zeros(0, 0).half(), "outcome": torch.zeros(0, 4), "judged": torch.zeros(2).long()}
    seeds = rounds.seeds(call, Round())
    call = dataclasses.replace(call, watch=None)
    whole = Round(repair_iterations=REPAIR, enough_valid=len(seeds))
    repaired = rounds.repair(seeds, call.descent, round_=whole, settings=planner.settings)
    outcome = Outcome.of(call.descent, repaired.control_points)
    table = torch.stack([outcome.free.float(), outcome.length, outcome.duration, outcome.clearance], dim=1)
    rows = [rows_of(network, call, seeds.control_points, seeds.control_points, network.config.sigma_min)]
    outcomes = [table]
    if on_the_way:
        generator = torch.Generator().manual_seed(question.number)
        level, points = on_the_way[int(torch.randint(len(on_the_way), (1,), generator=generator))]
        denoise = planner.prior.bind(Context(question.start, question.goal, call.descent.world))
        spline = call.descent.spline
        clean = denoise(spline.deviation(points), level)
        estimate = call.descent.clamp(spline.control_points(clean, question.start, question.goal))
        rows.append(rows_of(network, call, points, estimate, level))
        outcomes.append(table[: len(points)])
    judged = [0, 0]
    if question.number % JUDGED == 0:
        judged = proofs(call, repaired.rows(outcome.free.nonzero().squeeze(1)))
    return {"rows": torch.cat(rows), "outcome": torch.cat(outcomes), "judged": torch.tensor(judged)}


def rows_of(network: ValueNetwork, call: Call, noisy: Tensor, estimate: Tensor, sigma: float) -> Tensor:
    """`ValueRows.packed` of samples, without what came of them."""
    spline, n = call.descent.spline, len(noisy)
    unknown = torch.zeros(n)
    touch = network.touch(call.descent.world, estimate)
    level = torch.full((n, 1), sigma)
    return ValueRows(
        spline.deviation(noisy), spline.deviation(estimate), touch, level, noisy[:, [0, -1]], unknown, unknown
    ).packed


def proofs(call: Call, free: Candidates, most: int = 6) -> list[int]:
    """How many motions that the kernel finds free the judge looks at, and how many it proves."""
    looked = free.control_points[:most].double().numpy()
    paths = [call.descent.spline.basis_at(np.linspace(0.0, 1.0, 100)) @ points for points in looked]
    valid = [call.judge.check_path(path, start=path[0], goal=path[-1]).valid for path in paths]
    return [len(valid), sum(valid)]
