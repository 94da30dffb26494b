"""Does one call of a prior do what six do? Samples, first look and warm replans, at the processor time that they take.

    PYTHONPATH=. python benchmarks/few_steps.py --problems DIR --priors panda,panda!,runs/once/prior.safetensors

Problems are those of `benchmarks/prior_seeds.py`. Rows are priors; ``NAME!`` is one that needs several calls, called
once: the control of one that was distilled. ``NAME*`` is shown the scene of another problem. Columns, for 24 samples
with 0 and 1 pushes of guidance a denoising step, of which a one-call prior gets as many after its call: the share that
is free, hits (problems with a free sample), distinct ways round (free samples that are somewhere 0.5 rad apart, mean
over problems) and time. First look: 8 seeds, hits as drawn and after repair, and time of both. Warm replans: a ball of
6 cm is put on the hand's way half along an earlier plan; certified, and time. Times are medians of processor time.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
import torch

import edmp
from benchmarks.prior_seeds import SEEDS, Case, Elsewhere, cases, elsewhere
from edmp.guidance import GuidanceSettings
from edmp.planner import Planner, rounds
from edmp.planner.candidates import Candidates
from edmp.planner.certify import differ
from edmp.planner.goals import unjudged
from edmp.planner.settings import FIRST_LOOK, WARM_START, PlannerSettings
from edmp.prior.base import Prior
from edmp.robots.kinematics import tool_pose
from edmp.robots.parts import Array
from edmp.scenes.scene import Obstacle, Scene
from edmp.validate import Judge

DISTINCT = 0.5
BALL = 0.06

Columns = dict[str, list[float]]


def ways(batch: Candidates) -> int:
    """Distinct ways among the free samples."""
    found: list[Array] = []
    for path in batch.control_points[batch.valid].numpy().astype(np.float64):
        if all(differ(path, other, DISTINCT) for other in found):
            found.append(path)
    return len(found)


def sampled(planner: Planner, case: Case, name: str, row: Columns) -> None:
    call = planner.prepare(case.query, case.judge, seed=0)
    begin = time.process_time()
    batch = rounds.seeds(call, SEEDS)
    spent = time.process_time() - begin
    row.setdefault(f"free, {name}", []).append(float(batch.valid.float().mean()))
    row.setdefault(f"hits, {name}", []).append(float(batch.valid.any()))
    row.setdefault(f"ways, {name}", []).append(ways(batch))
    row.setdefault(f"ms, {name}", []).append(1e3 * spent)


def first_look(planner: Planner, case: Case, row: Columns) -> None:
    call = planner.prepare(case.query, case.judge, seed=0)
    begin = time.process_time()
    look = rounds.seeds(call, FIRST_LOOK)
    row.setdefault("hits, look drawn", []).append(float(look.valid.any()))
    look = rounds.repair(look, call.descent, round_=FIRST_LOOK, settings=planner.settings)
    row.setdefault("ms, look", []).append(1e3 * (time.process_time() - begin))
    row.setdefault("hits, look repaired", []).append(float(look.valid.any()))


def blocked(case: Case, path: Array) -> Scene | None:
    """The scene with a ball on the hand's way half along an earlier plan, None where it is in the way of the ends."""
    robot = case.problem.robot
    X_WT = tool_pose(robot, torch.as_tensor(path[len(path) // 2])).numpy()
    scene = Scene((*case.problem.scene, Obstacle("ball in the way", edmp.Sphere(BALL), X_WT)))
    judge = Judge(robot, scene)
    return scene if all(judge.clear(q[None])[0] for q in (path[0], path[-1])) else None


def warm(planner: Planner, case: Case, scene: Scene, path: Array, row: Columns) -> None:
    judge = Judge(case.problem.robot, scene)
    query = unjudged(case.problem.robot, path[0], path[-1])
    assert query is not None
    call = planner.prepare(query, judge, seed=0)
    begin = time.process_time()
    rounds.run(call, WARM_START, earlier=path)
    row.setdefault("ms, warm", []).append(1e3 * (time.process_time() - begin))
    row.setdefault("hits, warm", []).append(float(call.solved))


@torch.inference_mode()
def measured(
    prior: Prior, robot: str, problems: list[Case], earlier: list[Array | None], other: Elsewhere | None
) -> dict[str, Columns]:
    """Columns by kind of problem."""
    table: dict[str, Columns] = {}
    planners = {
        g: Planner(robot, prior=prior, settings=PlannerSettings(guidance=GuidanceSettings(steps=g))) for g in (0, 1)
    }
    for i, (case, path) in enumerate(zip(problems, earlier, strict=True)):
        row = table.setdefault(case.kind, {})
        if other is not None:
            other.world = elsewhere(problems, i)
        for guidance, planner in planners.items():
            planner.robot = case.problem.robot
            sampled(planner, case, f"guidance {guidance}", row)
        first_look(planners[1], case, row)
        if path is not None and (scene := blocked(case, path)) is not None:
            warm(planners[1], case, scene, path, row)
    return table


def shown_in(row: Columns) -> str:
    """Columns in words: medians of times [ms], mean numbers of ways, shares of the rest."""
    return "; ".join(
        f"{column} {np.median(values):.1f}"
        if column.startswith("ms")
        else f"{column} {np.mean(values):.2f}"
        if column.startswith("ways")
        else f"{column} {100 * np.mean(values):.1f} %"
        for column, values in row.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", required=True, help="a folder as edmp bench run takes it")
    parser.add_argument("--priors", required=True, help="names or files, separated by commas, with ! or * after one")
    parser.add_argument("--robot", default="panda", help="whose problems these are")
    parser.add_argument("--given", type=int, default=20, help="problems of the folder")
    parser.add_argument("--generated", type=int, default=20, help="problems of the generators")
    parser.add_argument("--looks", type=int, default=None, help="looks of priors that see the scene")
    options = parser.parse_args()
    problems = list(cases(options.problems, options.given, options.generated, options.robot))
    plain = Planner(options.robot)
    earlier = []
    for case in problems:
        result = plain.for_robot(case.problem.robot).plan(
            case.problem.scene, case.query.start, case.query.goals[0], seed=1
        )
        earlier.append(result.path)
    for name in options.priors.split(","):
        prior = Planner(options.robot, prior=name.rstrip("!*")).prior
        if options.looks is not None and hasattr(prior, "looks"):
            prior = dataclasses.replace(prior, looks=options.looks)
        if "!" in name:
            prior = dataclasses.replace(prior, one_call=True)
        other = Elsewhere(prior) if "*" in name else None
        shown = other.shuffled() if other else prior
        for kind, row in measured(shown, options.robot, problems, earlier, other).items():
            print(
                f"{name}  {kind} ({len(row['ms, look'])}, warm {len(row.get('ms, warm', ()))}): {shown_in(row)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
