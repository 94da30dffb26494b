"""What a prior's samples are worth before anything repairs them: the share that is free as drawn, and the first look.

    python benchmarks/prior_seeds.py --problems DIR --priors panda,process,runs/scene/prior.safetensors
    python benchmarks/prior_seeds.py --problems DIR --robot ur5 --priors process,runs/ends/prior.safetensors

Problems are every n-th of the numbers 1-50 of a folder (of MotionBenchMaker the development half) and problems of the
suite generators that no training saw. Rows are priors; ``NAME*`` is the prior with its condition shuffled: it sees
the scene of another problem, everything else the right one. Columns: share of 24 samples free after six denoising
steps with 0, 1 and 2 guidance steps each; problems of which the first look (8 seeds, one denoising step, one guidance
step) has a free seed, before and after its 16 repair steps; wall time of the guided sampling.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from edmp.bench import find_problems
from edmp.bench.expert import make_problem
from edmp.collision.world import World
from edmp.guidance import GuidanceSettings
from edmp.planner import rounds
from edmp.planner.goals import Query, resolve
from edmp.planner.planner import Planner
from edmp.planner.settings import FIRST_LOOK, PlannerSettings, Round
from edmp.prior.base import Context, Denoiser, Prior
from edmp.problem import Problem
from edmp.scenes.generators import FAMILIES
from edmp.validate import Judge

GUIDANCE = (0, 1, 2)
SEEDS = Round(num_seeds=24, sampler_steps=6, prior_share=1.0)
SUITE_SEED = 77


@dataclass(frozen=True, eq=False)
class Case:
    """A problem with start and goals that are known to be free."""

    kind: str
    problem: Problem
    judge: Judge
    query: Query


@dataclass
class Elsewhere:
    """A prior that is shown other scenes than it is asked about."""

    prior: Prior
    world: World | None = None

    def shuffled(self) -> Prior:
        outer, prior = self, self.prior

        class Shuffled(type(prior)):  # type: ignore[misc]
            def bind(self, context: Context) -> Denoiser:
                return prior.bind(dataclasses.replace(context, world=outer.world))

        fields = {field.name: getattr(prior, field.name) for field in dataclasses.fields(prior)}
        return Shuffled(**fields)


def cases(folder: str, num_given: int, num_generated: int, robot_name: str = "panda") -> Iterator[Case]:
    """Some of the folder's problems, and some of the generators', for a robot."""
    found = find_problems(folder, numbers=range(1, 51))
    for index in np.unique(np.linspace(0, len(found) - 1, num_given).astype(int)):
        if (case := _case("given", found[index].load(robot_name))) is not None:
            yield case
    robot = Planner(robot_name, prior="process").robot
    families = sorted(FAMILIES)
    for i in range(num_generated):
        family, number = families[i % len(families)], i // len(families) + 1
        made = make_problem(robot, family, seed=SUITE_SEED, number=number, pose_goal=False)
        if (case := _case("generated", Problem(robot, made.scene, made.start, made.goal))) is not None:
            yield case


def elsewhere(problems: list[Case], i: int) -> World:
    """The robot of problem ``i`` in the scene of another one of the same kind."""
    case = problems[i]
    same = [other for other in problems if other.kind == case.kind]
    wrong = same[(same.index(case) + len(same) // 2 + 1) % len(same)]
    return World.of(case.problem.robot, wrong.problem.scene, only_separable=True)


def _case(kind: str, problem: Problem) -> Case | None:
    judge = Judge(problem.robot, problem.scene)
    query = resolve(problem.robot, judge, problem.start, problem.goal, seed=0)
    if not isinstance(query, Query):
        print(f"left out: {problem.name}: {query.message}", flush=True)
        return None
    return Case(kind, problem, judge, query)


@torch.inference_mode()
def measured(prior: Prior, problems: list[Case], other: Elsewhere | None = None) -> dict[str, dict[str, float]]:
    """Columns of the table, by kind of problem."""
    table: dict[str, dict[str, list[float]]] = {}
    for guidance in GUIDANCE:
        settings = PlannerSettings(guidance=GuidanceSettings(steps=guidance))
        planner = Planner(problems[0].problem.robot.name, prior=prior, settings=settings)
        for i, case in enumerate(problems):
            planner.robot = case.problem.robot
            call = planner.prepare(case.query, case.judge, seed=0)
            if other is not None:
                other.world = elsewhere(problems, i)
            row = table.setdefault(case.kind, {})
            begin = time.perf_counter()
            batch = rounds.seeds(call, SEEDS)
            spent = time.perf_counter() - begin
            row.setdefault(f"free, guidance {guidance}", []).append(float(batch.valid.float().mean()))
            row.setdefault(f"ms, guidance {guidance}", []).append(1e3 * spent)
            if guidance == 1:
                look = rounds.seeds(call, FIRST_LOOK)
                row.setdefault("first look, drawn", []).append(float(look.valid.any()))
                look = rounds.repair(look, call.descent, round_=FIRST_LOOK, settings=settings)
                row.setdefault("first look, repaired", []).append(float(look.valid.any()))
    return {
        kind: {name: float(np.median(v) if name.startswith("ms") else np.mean(v)) for name, v in row.items()}
        for kind, row in table.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", required=True, help="a folder as edmp bench run takes it")
    parser.add_argument("--priors", required=True, help="names or files, separated by commas; * after one shuffles it")
    parser.add_argument("--robot", default="panda", help="whose problems these are")
    parser.add_argument("--given", type=int, default=41, help="problems of the folder")
    parser.add_argument("--generated", type=int, default=24, help="problems of the generators")
    parser.add_argument("--cfg", type=float, default=None, help="weight of the condition; default: the prior's own")
    parser.add_argument("--looks", type=int, default=None, help="looks at each estimate; default: the prior's own")
    options = parser.parse_args()
    problems = list(cases(options.problems, options.given, options.generated, options.robot))
    for name in options.priors.split(","):
        prior = Planner(options.robot, prior=name.removesuffix("*")).prior
        changes = {key: getattr(options, key) for key in ("cfg", "looks") if getattr(options, key) is not None}
        if changes and all(hasattr(prior, key) for key in changes):
            prior = dataclasses.replace(prior, **changes)
        other = Elsewhere(prior) if name.endswith("*") else None
        for kind, row in measured(other.shuffled() if other else prior, problems, other).items():
            cells = "  ".join(
                f"{column} {value:.1f}" if column.startswith("ms") else f"{column} {100 * value:.1f} %"
                for column, value in row.items()
            )
            print(f"{name}  {kind}: {cells}", flush=True)


if __name__ == "__main__":
    main()
