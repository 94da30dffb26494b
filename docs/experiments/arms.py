"""Arms that are not as described: what is recognised of them, and what a motion does before and after it is adapted.

python docs/experiments/arms.py [--picture docs/prediction.png]

For each arm, simulated in Drake: a first motion at 30 % of its speed is recorded and the arm identified; then the
motion of the shipped scene "bookshelf" is run as planned, and adapted. With --picture nothing is printed: the tracking
errors and torques that are predicted of the first arm, as planned and adapted, against those that Drake measured.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np

import edmp
from edmp.dynamics import ArmModel, identify
from edmp.execution import Execution, ExecutionSettings, MonitorSettings, execute, prepare

ARMS: dict[str, dict[str, Any]] = {
    "20 % heavier, 30 ms late, friction": {"mass_error": 0.2, "delay": 0.03, "coulomb": 0.01, "viscous": 0.01},
    "40 % heavier, 60 ms late, more friction": {"mass_error": 0.4, "delay": 0.06, "coulomb": 0.02, "viscous": 0.02},
    "3 kg at the tool, impedance, friction": {"payload": 3.0, "control": "impedance", "coulomb": 0.01},
    "half more motor inertia, 30 ms late, noise": {
        "motor_error": 0.5,
        "delay": 0.03,
        "position_noise": 2e-4,
        "velocity_noise": 5e-3,
    },
    "20 % lighter, 100 ms late, impedance": {"mass_error": -0.2, "delay": 0.1, "control": "impedance"},
}
FIRST = [0.6, -0.4, 0.4, -2.0, -0.5, 1.9, 0.2]
LOOSE = ExecutionSettings(monitor=MonitorSettings(tracking_error=1.0))


def recognised(planner: edmp.Planner, arm: dict[str, Any]) -> ArmModel:
    first = planner.plan(edmp.Scene(), planner.robot.home, FIRST, seed=0)
    done = execute(first, options=arm, speed=0.3, settings=LOOSE, tube=None)
    return identify(done.recording, robot=planner.robot)


def off(done: Execution) -> float:
    """[mrad]"""
    return 1e3 * float(np.abs(done.recording.measured - done.recording.commanded).max())


def picture(plan: edmp.PlanResult, model: ArmModel, arm: dict[str, Any], path: Path) -> None:
    import matplotlib.pyplot as plt

    trajectory = plan.best.trajectory
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, constrained_layout=True)
    adapted = {"lead": model.delay, "feed_forward": True}
    for column, (title, chosen) in enumerate((("as planned", {}), ("adapted", adapted))):
        predicted = model.predict(trajectory, num_samples=200, **chosen)
        known = {"adapt": model} if chosen else {}
        measured = execute(plan, options=arm, settings=LOOSE, tube=None, **known).recording
        times = measured.times - measured.times[0]
        for color, joint in (("C0", 1), ("C1", 3), ("C2", 5)):
            for row, (low, high, seen, scale) in enumerate(
                (
                    (*(predicted.error_quantile(s) for s in (0.01, 0.99)), measured.measured - measured.commanded, 1e3),
                    (*(predicted.torque_quantile(s) for s in (0.01, 0.99)), measured.torques, 1.0),
                )
            ):
                axis = axes[row, column]
                axis.fill_between(
                    predicted.times, scale * low[:, joint], scale * high[:, joint], color=color, alpha=0.35
                )
                axis.plot(times, scale * seen[:, joint], color=color, lw=0.9, label=f"joint {joint + 1}, Drake")
        axes[0, column].set_title(title)
        axes[1, column].set_xlabel("time [s]")
    axes[0, 0].set_ylabel("tracking error [mrad]")
    axes[1, 0].set_ylabel("torque [Nm]")
    axes[1, 0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    problem, planner = edmp.load_example("bookshelf"), edmp.Planner("panda")
    plan = planner.plan(problem.scene, problem.start, problem.goal, seed=0)
    if arguments.picture is not None:
        arm = next(iter(ARMS.values()))
        picture(plan, recognised(planner, arm), arm, arguments.picture)
        return
    print("| arm | mass | payload [kg] | delay [ms] | Coulomb, share of effort | as planned | adapted | speed |")
    print("|---|---|---|---|---|---|---|---|")
    for name, arm in ARMS.items():
        model = recognised(planner, arm)
        plain, done = execute(plan, options=arm), execute(plan, options=arm, adapt=model)
        chosen = prepare(plan, adapt=model).adaptation
        friction = model.arm.coulomb / model.robot.limits.effort
        ends = [f"{one.outcome.value}, {off(one):.1f} mrad" for one in (plain, done)]
        print(
            f"| {name} | {model.mass_factor[0]:.3f} +- {model.mass_factor[1]:.3f} | {model.payload[0]:.2f} +- "
            f"{model.payload[1]:.2f} | {1e3 * model.delay:.1f} +- {1e3 * model.delay_deviation:.1f} | "
            f"{friction.min():.3f}-{friction.max():.3f} | {ends[0]} | {ends[1]} | {chosen.speed:.0%} |"
        )


if __name__ == "__main__":
    main()
