"""What a prior's samples are worth in scenes that nothing is trained on: the figure after a round of learning."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edmp.data.generate import GenerateSettings, scene_questions, scene_source
from edmp.data.scene_rows import settings_of
from edmp.data.training_set import read_manifest
from edmp.errors import EdmpError
from edmp.files.writing import write_json
from edmp.guidance import GuidanceSettings
from edmp.planner import Planner, PlannerSettings, rounds
from edmp.planner.goals import Query, unjudged
from edmp.planner.settings import FIRST_LOOK, Round
from edmp.robots.robot import Robot
from edmp.validate import Judge

PROOF_SEED = 900
"""Of the scenes that figures are taken in: nothing plans or trains in them."""
BARREN = 50
"""So many scenes for each question that is wanted, and none found: something is wrong."""
SEEDS = Round(num_seeds=24, prior_share=1.0)


@dataclass(frozen=True)
class Figure:
    """What a prior's samples are worth in scenes that nothing was trained on.

    Attributes:
        name: of the prior, such as ``round 1``.
        unguided, guided: share of 24 samples that is free, without and with a push in each denoising step [1].
        looks: share of questions that the first look has a free seed for, after repair [1].
        own: motions that were certified in its round.
    """

    name: str
    unguided: float
    guided: float
    looks: float
    own: int = 0

    @property
    def told(self) -> str:
        own = f"; {self.own} motions of its own" if self.own else ""
        shares = f"free as drawn {self.unguided:.1%}, guided {self.guided:.1%}, first look {self.looks:.1%}"
        return shares + own


def _proofs(planner: Planner, source: GenerateSettings, count: int) -> Iterator[tuple[Query, Judge]]:
    """Questions and judges in scenes that nothing is trained on, one in each."""
    here, number, found = dataclasses.replace(source, seed=PROOF_SEED), 0, 0
    while found < count:
        if number > BARREN * count:
            raise EdmpError(f"the arm reaches too little in scenes of {', '.join(source.families)}: no questions found")
        family, rng = scene_source(here, number)
        number += 1
        scene, _, _, starts, goals = scene_questions(planner.robot, family, rng, here)
        far = [i for i in range(len(starts)) if np.linalg.norm(starts[i] - goals[i]) > 1.0]
        query = unjudged(planner.robot, starts[far[0]], goals[far[0]]) if far else None
        if query is not None:
            found += 1
            yield query, Judge(planner.robot, scene)


@torch.inference_mode()
def figure_of(out: Path, name: str, planner: Planner, source: GenerateSettings, count: int, own: int) -> Figure:
    """See `Figure`; kept in the folder once it is known."""
    path = out / f"figure-{name.replace(' ', '-')}.json"
    if path.is_file():
        return Figure(**json.loads(path.read_text()))
    shares: dict[str, list[float]] = {"unguided": [], "guided": [], "looks": []}
    for query, judge in _proofs(planner, source, count):
        for key, steps in (("unguided", 0), ("guided", 1)):
            twin = copy.copy(planner)
            twin.settings = PlannerSettings(guidance=GuidanceSettings(steps=steps))
            call = twin.prepare(query, judge, seed=0)
            shares[key].append(float(rounds.seeds(call, SEEDS).valid.float().mean()))
        call = planner.prepare(query, judge, seed=0)
        look = rounds.repair(rounds.seeds(call, FIRST_LOOK), call.descent, round_=FIRST_LOOK, settings=planner.settings)
        shares["looks"].append(float(look.valid.any()))
    unguided, guided, looks = (float(np.mean(shares[key])) for key in ("unguided", "guided", "looks"))
    figure = Figure(name, unguided, guided, looks, own)
    write_json(path, dataclasses.asdict(figure))
    return figure


def figure_in(data_dir: Path, out: Path, name: str, robot: Robot, prior: str | Path, count: int) -> Figure:
    """The figure of a prior, by name or file, in scenes of the families of a data folder; kept in ``out``."""
    source = settings_of(read_manifest(data_dir), robot, data_dir)
    return figure_of(out, name, Planner(robot, prior=prior), source, count, 0)
