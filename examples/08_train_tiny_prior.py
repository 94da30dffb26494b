"""Train a prior of one's own, far too small and short to be any good, and plan with it.

The steps are those of the weights that ship, with other numbers: expert motions in random scenes, then a network that
learns to denoise them. What a prior knows badly, guidance, repair and the other seeds have to make up for. The command
line does the same: ``edmp data generate`` and ``edmp train``.

    python examples/08_train_tiny_prior.py [--headless]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import edmp
import edmp.viz
from edmp.data.generate import GenerateSettings, generate
from edmp.data.train import train
from edmp.learning.training import TrainSettings

EXPERTS = GenerateSettings(robot="panda", count=40, families=("clutter",), scenes_per_shard=4, seed=3)
TRAINING = TrainSettings(
    max_steps=150, batch_size=32, warmup_steps=20, validation_fraction=0.3, validate_every=150, num_threads=1,
    config={"width": 64, "depth": 2}, progress=False,
)  # fmt: skip


def main(*, headless: bool = False) -> edmp.PlanResult:
    problem = edmp.load_example("table")
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "data"), Path(folder, "run")
        generate(data, EXPERTS, workers=1)
        report = train(data, run, robot=problem.robot, settings=TRAINING)
        print(f"trained: {report.metrics}")
        planner = edmp.Planner(problem.robot, prior=str(report.file))
        result = planner.plan(problem.scene, problem.start, problem.goal)
    print(result.status, result.message)
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
