"""Several planners on one problem, by one judge: edmp, RRT-Connect and CHOMP.

Every planner says what it found; the judge, which none of them knows, certifies or refutes it. `edmp bench run` does
this for whole sets of problems, with timeouts and records. RRT-Connect needs ``pip install edmp[baselines]``.

    python examples/06_compare_planners.py [--headless]
"""

from __future__ import annotations

import sys
import time

import numpy as np

import edmp
import edmp.viz
from edmp.baselines import Baseline
from edmp.baselines.chomp import Chomp, ChompSettings
from edmp.baselines.sampling_based import RrtConnect, RrtConnectSettings
from edmp.validate import Judge

BASELINES: dict[str, Baseline] = {
    "rrtconnect": RrtConnect(RrtConnectSettings(time_budget=5.0)),
    "chomp": Chomp(ChompSettings(time_budget=5.0)),
}


def main(*, headless: bool = False) -> edmp.PlanResult:
    problem = edmp.load_example("bookshelf")
    judge = Judge(problem.robot, problem.scene)
    began = time.monotonic()
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    paths = {"edmp": (result.path, time.monotonic() - began)}
    for name, planner in BASELINES.items():
        began = time.monotonic()
        claim = planner.plan(problem, seed=0)
        paths[name] = (claim.path, time.monotonic() - began)
    for name, (path, seconds) in paths.items():
        if path is None:
            print(f"{name}: no path after {seconds:.2f} s")
            continue
        length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        verdict = "certified" if judge.check_path(path, start=problem.start).valid else "refuted"
        print(f"{name}: {length:.2f} rad in {seconds:.2f} s, {verdict}")
    print(result.status, result.message)
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
