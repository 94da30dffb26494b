"""What a plan costs among points or cells in place of shapes, part by part: processor time, in turn in one process.

For machines that do other work as well; `edmp bench run --as shapes,clouds,voxels` measures wall time.

    EDMP_NUM_THREADS=1 python benchmarks/sights.py DIR              # every tenth of 50 problems of each set
    EDMP_NUM_THREADS=1 python benchmarks/sights.py DIR 3,19         # these numbers
"""

from __future__ import annotations

import sys
import time

import numpy as np

import edmp
from edmp.bench.problems import find_problems
from edmp.bench.sight import SHAPES, seen
from edmp.result import PlanResult

SIGHTS = (SHAPES, "clouds", "voxels")
NUMBERS = "1,11,21,31,41"
PARTS = ("goals", "set-up", "sample", "repair", "polish", "search", "judge", "timing")


def main(folder: str, numbers: str) -> None:
    time.perf_counter = time.process_time  # by which a plan books its parts, and keeps its time budget
    planner = edmp.Planner("panda")
    spent: dict[str, list[tuple[float, PlanResult]]] = {sight: [] for sight in SIGHTS}
    for entry in find_problems(folder, numbers={int(number) for number in numbers.split(",")}):
        true = entry.load("panda")
        if planner.robot != true.robot:
            planner = edmp.Planner(true.robot)
        for sight in SIGHTS:
            problem = seen(true, sight)
            begin = time.process_time()
            result = planner.plan(problem.scene, problem.start, problem.goal, seed=0, time_budget=100.0)
            if result.status not in (edmp.Status.GOAL_OUT_OF_LIMITS, edmp.Status.START_OUT_OF_LIMITS):
                spent[sight].append((1e3 * (time.process_time() - begin), result))
    print(f"| seen as | solved | median [ms] | of shapes | plan by plan | {' | '.join(PARTS)} |")
    print("|" + "---|" * (5 + len(PARTS)))
    shapes = np.array([one for one, _ in spent[SHAPES]])
    for sight, plans in spent.items():
        times = np.array([one for one, _ in plans])
        median, of_each = np.median(times), np.median(times / shapes)
        solved = [result for _, result in plans if result.solved]
        parts = [1e3 * np.median([one.stats.timings.get(part, 0.0) for one in solved]) for part in PARTS]
        row = f"{len(solved)}/{len(plans)} | {median:.1f} | {median / np.median(shapes):.2f} | {of_each:.2f}"
        print(f"| {sight} | {row} | {' | '.join(f'{part:.1f}' for part in parts)} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else NUMBERS)
