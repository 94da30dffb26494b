"""What a proof costs among points in place of shapes: planned paths judged in both, side by side.

python benchmarks/judge_clouds.py          # the problems in problems/, and how soon clouds are ready
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from processor_time import spent_ms
from scipy.spatial import cKDTree

import edmp
from edmp.scenes import as_clouds
from edmp.validate.part_tree import PartTree

HERE = Path(__file__).parent


def least(what: Callable[[], object], times: int = 5) -> float:
    """The shortest of some runs, in processor time [ms]."""
    return min(spent_ms(what, times))


def readiness() -> None:
    """How long the judge's tree takes, and a search tree of points, by the number of points on ten squares."""
    rng = np.random.default_rng(0)
    for n in (1_000, 10_000, 100_000, 1_000_000):
        points = rng.uniform(-0.8, 0.8, (n, 3))
        points[np.arange(n), np.arange(n) % 3] = 0.002 * rng.normal(size=n)
        single = (points + rng.uniform(-1, 1, (10, 3))[np.arange(n) % 10]).astype(np.float32)
        ours = least(lambda single=single: PartTree(single, single, 0.004))
        other = least(lambda single=single: cKDTree(single, balanced_tree=False, compact_nodes=False), 2)
        print(f"{n} points: ready in {ours:.1f} ms; cKDTree {other:.1f} ms")


def proofs() -> None:
    ratios = []
    for file in sorted(HERE.glob("problems/*/scene*.yaml")):
        problem = edmp.load_problem(file)
        result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot)
        if result.path is None:
            continue
        seen = as_clouds(problem.scene)
        shapes, clouds = edmp.Judge(problem.robot, problem.scene), edmp.Judge(problem.robot, seen)
        first = least(lambda clouds=clouds, path=result.path: clouds.check_path(path), 1)
        both = [least(lambda judge=judge, path=result.path: judge.check_path(path)) for judge in (shapes, clouds)]
        points = sum(len(obstacle.shape.points) for obstacle in seen)
        ratios.append(both[1] / both[0])
        print(
            f"{file.parent.name}/{file.stem}: {points} points, shapes {both[0]:.1f} ms, clouds {both[1]:.1f} ms "
            f"({first:.1f} the first time), {'free' if clouds.check_path(result.path).valid else 'touches'}"
        )
    print(f"ratio: median {np.median(ratios):.1f}, most {max(ratios):.1f}")


if __name__ == "__main__":
    readiness()
    proofs()
