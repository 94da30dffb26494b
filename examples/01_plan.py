"""Plan in a shipped scene: a Panda goes from one bay of a bookshelf to another.

python examples/01_plan.py
"""

from __future__ import annotations

import edmp


def main() -> edmp.PlanResult:
    problem = edmp.load_example("bookshelf")
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
    print(result.status, result.message)
    if result.solved:
        print(f"{len(result.trajectory.times)} samples, the last at {result.trajectory.times[-1]:.2f} s")
    return result


if __name__ == "__main__":
    main()
