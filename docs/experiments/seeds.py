"""Which seeds are free at once, and which can be repaired? For each kind, on MotionBenchMaker problems.

python docs/experiments/seeds.py PROBLEMS [--first 1] [--count 10] [--prior panda] [--ensembles]

For each set and kind of seed prints four shares: seeds free as drawn, problems with such a seed, seeds free after
repair, problems with such a seed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edmp.guidance import GuidanceSettings
from edmp.planner import Planner, PlannerSettings
from edmp.planner.goals import Query
from edmp.planner.rounds import repair, seeds
from edmp.problem import Problem, load_problem
from edmp.validate import Judge

KINDS = {
    "Gaussian process": {"prior_share": 0.0},
    "prior, no guidance": {"prior_share": 1.0, "guidance": GuidanceSettings(steps=0)},
    "prior, guidance x1": {"prior_share": 1.0, "guidance": GuidanceSettings(steps=1)},
    "prior, guidance x2": {"prior_share": 1.0, "guidance": GuidanceSettings(steps=2)},
    "prior, guidance x3": {"prior_share": 1.0, "guidance": GuidanceSettings(steps=3)},
}
ENSEMBLES = ("default", "default@0", "default@1", "default@2", "default@3", "default@0+3", "edmp12")
"""With --ensembles these take turns as the guide of the prior."""


def shares(planner: Planner, problem: Problem) -> tuple[float, float]:
    """Share of the seeds free as drawn, and after repair."""
    query = Query(problem.start, problem.goal[None], (0,))
    call = planner.prepare(query, Judge(problem.robot, problem.scene))
    patient = replace(planner.settings, enough_valid=planner.settings.num_seeds)
    with torch.inference_mode():
        drawn = seeds(call, patient)
        repaired = repair(drawn, call.descent, round_=patient, settings=patient)
    return drawn.valid.float().mean().item(), repaired.valid.float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--prior", default="panda")
    parser.add_argument("--ensembles", action="store_true", help="compare ensembles of costs in place of kinds")
    arguments = parser.parse_args()
    asked = [(kind, "default", options) for kind, options in KINDS.items()]
    if arguments.ensembles:
        asked = [(name, name, {"prior_share": 1.0}) for name in ENSEMBLES]
    for kind, ensemble, options in asked:
        for folder in sorted(path for path in arguments.problems.iterdir() if path.is_dir()):
            rows = []
            for number in range(arguments.first, arguments.first + arguments.count):
                problem = load_problem(folder / f"scene{number:04d}.yaml", folder / f"request{number:04d}.yaml")
                limits = problem.robot.limits
                if not ((limits.lower <= problem.goal) & (problem.goal <= limits.upper)).all():
                    continue
                settings = PlannerSettings(num_seeds=24, **options)
                planner = Planner(problem.robot, prior=arguments.prior, ensemble=ensemble, settings=settings)
                rows.append(shares(planner, problem))
            drawn, repaired = np.array(rows).T
            numbers = (drawn.mean(), (drawn > 0).mean(), repaired.mean(), (repaired > 0).mean())
            print(f"{kind:20s} {folder.name:18s} " + "  ".join(f"{100 * n:3.0f} %" for n in numbers), flush=True)


if __name__ == "__main__":
    main()
