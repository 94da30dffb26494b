"""Watch a plan come about: the batch of candidates from noise to motions, as a film strip or a movie.

    python examples/07_denoising.py [--headless] [strip.png or movie.gif]

Without a file, what was recorded is printed, and nothing is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import edmp
import edmp.viz
from edmp.planner import record_plan


def main(*, headless: bool = False, out: Path | None = None) -> edmp.PlanResult:
    problem = edmp.load_example("bookshelf")
    planner = edmp.Planner(problem.robot)
    trace = record_plan(planner, problem.scene, problem.start, problem.goal, name=problem.name)
    for batch in trace.batches:
        free = int(batch.valid.sum())
        print(f"{batch.stage}, level {batch.level:.3g}: {free} of {len(batch)} candidates are free")
    if out is not None:
        edmp.viz.save_denoising(trace, out)
        print(f"written {out}")
    result = trace.plan.result
    print(result.status, result.message)
    if not headless:
        edmp.viz.show(trace.plan)
    return result


if __name__ == "__main__":
    files = [Path(argument) for argument in sys.argv[1:] if argument != "--headless"]
    main(headless="--headless" in sys.argv[1:], out=files[0] if files else None)
