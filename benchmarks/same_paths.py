"""Is the motion still the same? Paths before a change of structure, held against the paths after it.

The twenty problems in ``problems/`` (two of each family), each with the bundled prior and with the Gaussian process,
from start to one goal configuration, seed 0. The same seed gives the same path on the same machine; another processor
may round differently, so record on the machine that compares.

    python benchmarks/same_paths.py record     # before: writes paths.npz
    python benchmarks/same_paths.py compare    # after: exit code 1 and the problems, if any path differs
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import edmp

HERE = Path(__file__).parent
PATHS = HERE / "paths.npz"
PRIORS = (None, "process")
TOLERANCE = 1e-6  # [rad]


def problem_files() -> dict[str, Path]:
    """Problem files of the ten families by name, such as ``box/scene0001``."""
    files = sorted(HERE.glob("problems/*/scene*.yaml"))
    return {f"{path.parent.name}/{path.stem}": path for path in files if path.parent.name != "examples"}


def planned(path: Path, prior: str | None, goal: np.ndarray) -> np.ndarray:
    """(n, dof) path to ``goal`` (dof,) [rad]; an empty one if there is none."""
    problem = edmp.load_problem(path)
    # A budget that cannot run out: time must not decide.
    result = edmp.plan(problem.scene, problem.start, goal, robot=problem.robot, prior=prior, time_budget=600.0)
    return result.path if result.path is not None else np.empty((0, len(goal)))


def goal_of(path: Path) -> np.ndarray:
    """(dof,) a configuration that reaches the goal of a problem [rad]."""
    problem = edmp.load_problem(path)
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot, time_budget=600.0)
    if result.path is None:
        raise SystemExit(f"{path}: {result.message}")
    return result.path[-1]


def record() -> int:
    arrays = {}
    for name, path in problem_files().items():
        goal = arrays[f"{name}/goal"] = goal_of(path)
        for prior in PRIORS:
            arrays[f"{name}/{prior or 'bundled'}"] = planned(path, prior, goal)
    np.savez_compressed(PATHS, **arrays)
    print(f"{PATHS}: {len(arrays)} arrays")
    return 0


def compare() -> int:
    different = 0
    with np.load(PATHS) as arrays:
        for name, path in problem_files().items():
            for prior in PRIORS:
                before = arrays[f"{name}/{prior or 'bundled'}"]
                after = planned(path, prior, arrays[f"{name}/goal"])
                apart = np.abs(after - before).max(initial=0.0) if after.shape == before.shape else np.inf
                if apart > TOLERANCE:
                    different += 1
                    print(f"{name}, prior {prior or 'bundled'}: {apart:.3g} rad apart")
    print(f"{different} paths differ" if different else "the same paths")
    return int(bool(different))


if __name__ == "__main__":
    verbs = {"record": record, "compare": compare}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        raise SystemExit(__doc__)
    raise SystemExit(verbs[sys.argv[1]]())
