"""Expert iteration: the planner's own certified motions in new scenes flow back as data (Anthony et al. 2017).

A round plans in scenes that no data are of, writes what was certified as shards of the same kind that
`edmp.data.generate` makes, the better ones several times, and tunes the prior on these and, in equal parts, on the data
that it came from, which anchor it. Then the next round plans with what came out. Each step of a round is kept as it is
done; a run that stopped goes on with what is missing.

Beside it can go the control: as many steps on the data alone.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.data.export import export_prior
from edmp.data.figures import PROOF_SEED, Figure, figure_of
from edmp.data.generate import GenerateSettings, manifest_head, scene_questions, scene_source
from edmp.data.reward import Outcome, Reward
from edmp.data.scene_rows import SceneExamples, settings_of
from edmp.data.taught import digest
from edmp.data.train import PRIOR_NAME
from edmp.data.training_set import TrainingSet, read_manifest
from edmp.descent import Descent
from edmp.errors import EdmpError, InvalidInputError
from edmp.files.writing import write_json, written_whole
from edmp.learning.card import untrained_card
from edmp.learning.training import Examples, TrainingRun, TrainSettings, opened, trained
from edmp.planner import Planner
from edmp.prior.base import Prior
from edmp.prior.checkpoint import load_prior
from edmp.prior.mlp import MlpPrior
from edmp.prior.scene import ScenePrior
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot

COPIES = 4
"""The best motions of a shard are written so many times, the worst once."""
ROUND_SEED = PROOF_SEED + 1
"""Of the scenes that the first round plans in, less one."""


@dataclass(frozen=True)
class ImproveSettings:
    """How a prior is improved.

    Attributes:
        rounds: of planning and tuning.
        scenes: new ones in each round.
        queries: starts and goals in each.
        time_budget: for one plan [s].
        proofs: scenes in which each figure is taken.
        anchor_shards: of the data that anchor the prior, so many shards.
        control: train as many steps on the data alone, too.
        reward: what motions are weighted by.
    """

    rounds: int = 2
    scenes: int = 64
    queries: int = 4
    time_budget: float = 2.0
    proofs: int = 16
    anchor_shards: int = 24
    control: bool = True
    reward: Reward = dataclasses.field(default_factory=Reward)

    def __post_init__(self) -> None:
        count = Range(1, 10**5, whole=True)
        check_fields(self, dict.fromkeys(("rounds", "scenes", "queries", "proofs", "anchor_shards"), count))
        check_fields(self, {"time_budget": Range(0, above=True)})


def improve(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    prior: str | Path,
    improvement: ImproveSettings,
    settings: TrainSettings,
    command: str = "",
    on_figure: Callable[[Figure], None] | None = None,
) -> list[Figure]:
    """Rounds of planning and tuning, and what came of each.

    Args:
        data_dir: what the prior came from; anchors it.
        out: folder of the run; an earlier one of the same settings goes on. Each round has a folder with its
            ``prior.safetensors``.
        robot: that plans.
        prior: name or file of the prior to begin with: of start and goal, or one that sees the scene.
        improvement: see `ImproveSettings`.
        settings: of the tuning in each round.
        command: that called this, for the model cards.
        on_figure: told of each as it is known.

    Returns:
        Of the prior that was there, of each round, and of the control of each. Also in ``figures.json``.
    """
    out = opened(out, settings)
    known = load_prior(prior, robot)
    if not isinstance(known, MlpPrior | ScenePrior) or known.one_call:
        raise InvalidInputError(f"prior: {prior} is no mlp or scene prior, or needs one call: it cannot be tuned so")
    _same(out, {"prior": digest(known), "seed": settings.seed, **dataclasses.asdict(improvement)}, settings)
    source = settings_of(read_manifest(Path(data_dir)), robot, data_dir)
    source = dataclasses.replace(source, queries_per_scene=improvement.queries, scenes_per_shard=8)
    figures: list[Figure] = []

    def tell(name: str, which: Prior, own: int = 0) -> None:
        figures.append(figure_of(out, name, Planner(robot, prior=which), source, improvement.proofs, own))
        write_json(out / "figures.json", [dataclasses.asdict(figure) for figure in figures])
        if on_figure is not None:
            on_figure(figures[-1])

    tell("before", known)
    best: Prior = known
    controlled: Prior = known
    for number in range(1, improvement.rounds + 1):
        folder = out / f"round-{number}"
        own = _plan(folder / "motions", Planner(robot, prior=best), source, number, improvement)
        if not own:
            raise EdmpError(
                f"{folder}: nothing was certified in {improvement.scenes} new scenes: no motion to learn from"
            )
        tune = _Tuning(Path(data_dir), robot, improvement.anchor_shards, settings, f"round {number} of {command}")
        best = tune(best, folder, folder / "motions")
        tell(f"round {number}", best, own)
        if improvement.control:
            controlled = tune(controlled, folder / "control", None)
            tell(f"control {number}", controlled)
    return figures


def _same(out: Path, asked: dict[str, Any], settings: TrainSettings) -> None:
    """A folder goes on with the settings that it began with."""
    asked = json.loads(json.dumps({**asked, "max_steps": settings.max_steps, "batch_size": settings.batch_size}))
    path = out / "improve.json"
    if not path.exists():
        write_json(path, asked)
        return
    before = json.loads(path.read_text())
    differ = sorted(key for key in asked if before.get(key) != asked[key])
    if differ:
        was = ", ".join(f"{key}={before.get(key)!r}" for key in differ)
        raise InvalidInputError(f"{out} holds a run with other settings ({was}); choose another folder")


def _plan(folder: Path, planner: Planner, source: GenerateSettings, number: int, s: ImproveSettings) -> int:
    """Plan in new scenes and keep what is certified, as shards; returns how many motions these are of."""
    folder.mkdir(parents=True, exist_ok=True)
    here = dataclasses.replace(source, seed=ROUND_SEED + number)
    shards = -(-s.scenes // here.scenes_per_shard)
    manifest = {
        **manifest_head(planner.robot),
        "settings": dataclasses.asdict(here),
        "planned_with": digest(planner.prior),
    }
    write_json(folder / "manifest.json", manifest)
    total = 0
    for shard in range(shards):
        path = folder / f"shard-{shard:05d}.safetensors"
        if not path.is_file():
            first = shard * here.scenes_per_shard
            numbers = range(first, min(first + here.scenes_per_shard, s.scenes))
            tensors = _certified(planner, here, numbers, s)
            with written_whole(path) as temporary:
                safetensors.torch.save_file(tensors, temporary)
        total += int(safetensors.torch.load_file(path)["motions"])
    return total


def _certified(planner: Planner, here: GenerateSettings, numbers: range, s: ImproveSettings) -> dict[str, Tensor]:
    """Motions certified in the scenes ``numbers``, better ones several times; their scenes; how many different ones."""
    motions, scenes, rewards = [], [], []
    for number in numbers:
        family, rng = scene_source(here, number)
        scene, _, _, starts, goals = scene_questions(planner.robot, family, rng, here)
        descent = Descent(World.of(planner.robot, scene, only_separable=True), planner.prior.spline)
        for i, (start, goal) in enumerate(zip(starts, goals, strict=True)):
            result = planner.plan(scene, start, goal, seed=i, time_budget=s.time_budget)
            if not result.solved or result.path is None:
                continue
            fitted = descent.clamp(descent.spline.fit(torch.as_tensor(result.path, dtype=torch.float32)[None]))
            outcome = Outcome.of(descent, fitted, enough=s.reward.enough)
            if bool(outcome.free):
                motions.append(fitted[0])
                scenes.append(number)
                rewards.append(float(s.reward.of(outcome)))
    dof = planner.robot.dof
    if not motions:
        return {
            "control_points": torch.zeros(0, planner.prior.spline.num_control_points, dof),
            "scene": torch.zeros(0, dtype=torch.int32),
            "motions": torch.tensor(0),
        }
    rank = np.argsort(np.argsort(rewards)) / max(len(rewards) - 1, 1)
    copies = torch.tensor(1 + np.round((COPIES - 1) * rank)).long()
    return {
        "control_points": torch.stack(motions).repeat_interleave(copies, 0),
        "scene": torch.tensor(scenes, dtype=torch.int32).repeat_interleave(copies),
        "motions": torch.tensor(len(motions)),
    }


@dataclass(frozen=True)
class _Tuning:
    """Tuning of a prior on its own motions and the data that it came from, or on the data alone."""

    data_dir: Path
    robot: Robot
    anchor_shards: int
    settings: TrainSettings
    command: str

    def __call__(self, prior: Prior, out: Path, own: Path | None) -> Prior:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / PRIOR_NAME).is_file():
            assert isinstance(prior, MlpPrior | ScenePrior)
            network = copy.deepcopy(prior.network).train().requires_grad_(True)
            if isinstance(prior, ScenePrior):
                prior.network.base.requires_grad_(False)
                network.base.requires_grad_(False)
            data: Examples = self._examples(network, self.data_dir, self.anchor_shards)
            if own is not None:
                data = Mixed(self._examples(network, own, None), data)
            card = untrained_card(prior.name, network.config, self.robot, seed=self.settings.seed, command=self.command)
            origin = f"tuning of {digest(prior)} on {'its own motions' if own else 'the data alone'}"
            run = TrainingRun(network, dataclasses.replace(card, origin=origin), self.settings)
            report = trained(run, data, out, self.settings, resume=True, ship=export_prior, name=PRIOR_NAME)
            if report.interrupted:
                raise KeyboardInterrupt
        found = load_prior(out / PRIOR_NAME, self.robot)
        assert isinstance(found, MlpPrior | ScenePrior)
        return dataclasses.replace(found, looks=prior.looks) if isinstance(found, ScenePrior) else found  # type: ignore[attr-defined]

    def _examples(self, network: nn.Module, folder: Path, max_shards: int | None) -> Examples:
        fraction = self.settings.validation_fraction
        if hasattr(network, "touch"):
            return SceneExamples(folder, network, self.robot, validation_fraction=fraction, max_shards=max_shards)  # type: ignore[arg-type]
        return TrainingSet(folder, validation_fraction=fraction)


class Mixed:
    """Two sources of examples, of which each batch has half."""

    def __init__(self, own: Examples, anchor: Examples) -> None:
        self.own, self.anchor = own, anchor
        self.train, self.validation = own.train, anchor.validation

    def __len__(self) -> int:
        return len(self.own) + len(self.anchor)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        parts = [self.own.batch(size // 2, generator), self.anchor.batch(size - size // 2, generator)]
        return torch.cat(parts)

    def rescan(self) -> int:
        """Nothing: a round's motions are all there."""
        return 0

    def description(self) -> dict[str, Any]:
        return {"own": self.own.description(), "anchor": self.anchor.description()}
