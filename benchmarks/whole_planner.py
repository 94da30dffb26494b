"""What a prior is worth to the whole planner: every problem is planned with each of them, in turn, in processor time.

    PYTHONPATH=. python benchmarks/whole_planner.py --problems DIR --robot ur5 --priors process,ur5

Problems are every n-th of the numbers 1-50 of a MotionBenchMaker folder (development half), and suite problems of the
generators that no training saw. Columns: solved; processor time of one thread, median, mean and 95 %, of all problems;
length over the straight line, and clearance, of the problems that all priors solve. Which prior comes first changes
from problem to problem, and each has planned once before.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.prior_seeds import Case, cases
from edmp.planner import Planner
from edmp.robots.parts import Array


@dataclass
class Row:
    """Of one prior and kind of problem, a number for each problem; NaN where it was not solved."""

    seconds: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    clearance: list[float] = field(default_factory=list)

    def told(self, both: np.ndarray) -> str:
        seconds, ratio, clearance = (np.array(x) for x in (self.seconds, self.ratio, self.clearance))
        return (
            f"solved {np.isfinite(ratio).sum()}/{len(ratio)}; median {np.median(seconds):.3f} s, mean "
            f"{seconds.mean():.3f} s, 95 % {np.quantile(seconds, 0.95):.3f} s; of {both.sum()} that all solve ratio "
            f"{ratio[both].mean():.4f}, clearance {1e3 * clearance[both].mean():.1f} mm"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", required=True, help="a folder as edmp bench run takes it")
    parser.add_argument("--priors", required=True, help="names or files, separated by commas")
    parser.add_argument("--robot", default="panda", help="whose problems these are")
    parser.add_argument("--given", type=int, default=35, help="problems of the folder")
    parser.add_argument("--generated", type=int, default=20, help="problems of the generators")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.priors.split(",")
    planners = {name: Planner(options.robot, prior=name) for name in names}
    problems = list(cases(options.problems, options.given, options.generated, options.robot))
    rows: dict[str, dict[str, Row]] = {}
    for name in names:
        planners[name].for_robot(problems[0].problem.robot).plan(problems[0].problem.scene, *_ends(problems[0]), seed=1)
    for i, case in enumerate(problems):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            planner = planners[name].for_robot(case.problem.robot)
            begin = time.process_time()
            result = planner.plan(case.problem.scene, *_ends(case), seed=0)
            row = rows.setdefault(case.kind, {}).setdefault(name, Row())
            row.seconds.append(time.process_time() - begin)
            best, line = result.best, float(np.linalg.norm(case.query.goals[0] - case.query.start))
            row.ratio.append(np.nan if best is None else best.length / line)
            row.clearance.append(np.nan if best is None else best.min_clearance)
    for kind, of_kind in rows.items():
        both = np.isfinite([row.ratio for row in of_kind.values()]).all(axis=0)
        for name in names:
            print(f"{name}  {kind}: {of_kind[name].told(both)}", flush=True)


def _ends(case: Case) -> tuple[Array, Array]:
    return case.query.start, case.query.goals[0]


if __name__ == "__main__":
    main()
