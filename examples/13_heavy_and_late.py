"""An arm that is a fifth heavier than described, and takes commands 30 ms late: recognise it, predict, adapt.

python examples/13_heavy_and_late.py [--headless]
"""

from __future__ import annotations

import sys

import edmp
from edmp.dynamics import identify
from edmp.execution import execute

REAL = {"mass_error": 0.2, "delay": 0.03, "coulomb": 0.01}  # the arm in Drake; its controller knows nothing of this
FIRST = [0.6, -0.4, 0.4, -2.0, -0.5, 1.9, 0.2]  # where a first, slow motion leads [rad]


def main(*, headless: bool = False) -> edmp.PlanResult:
    problem = edmp.load_example("bookshelf")
    planner = edmp.Planner("panda")
    plan = planner.plan(problem.scene, problem.start, problem.goal, seed=0)
    print(plan.status, plan.message)

    stopped = execute(plan, options=REAL)
    print(f"as planned: {stopped.outcome.value}, {stopped.message}")

    first = planner.plan(edmp.Scene(), problem.robot.home, FIRST, seed=0)
    recording = execute(first, options=REAL, speed=0.4).recording
    arm = identify(recording, robot="panda")
    (mass, mass_spread), delay = arm.mass_factor, 1e3 * arm.delay
    print(
        f"recognised: {mass:.2f} +- {mass_spread:.2f} of the described mass, commands take effect {delay:.1f} ms late"
    )

    assert plan.best is not None
    off = arm.predict(plan.best.trajectory).peak_errors(0.99)
    print(f"predicted: {1e3 * off.max():.0f} mrad off its command, where 50 stop it")
    done = execute(plan, adapt=arm, options=REAL)
    print(f"adapted: {done.outcome.value}, {done.message}")
    if not headless:
        arm.save("arm-model.safetensors")
    return plan


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
