"""Plan in a shipped scene: a Panda goes from one bay of a bookshelf to another.

python examples/01_plan.py [--headless]
"""

from __future__ import annotations

import sys

import edmp
import edmp.viz


def main(*, headless: bool = False) -> edmp.PlanResult:
    problem = edmp.load_example("bookshelf")
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    print(result.status, result.message)
    if result.solved:
        print(f"{len(result.trajectory.times)} samples, the last at {result.trajectory.times[-1]:.2f} s")
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
