"""OMPL's planners on constraint manifolds: what they claim keeps to the constraint, by the judge and by dumb looks."""

from __future__ import annotations

import dataclasses
import importlib.util
import math

import numpy as np
import pytest

from edmp.baselines.base import Task
from edmp.baselines.projected import (
    ALGORITHMS,
    FORMULATIONS,
    BandValues,
    Projected,
    ProjectedProblem,
    ProjectedSettings,
)
from edmp.bench.planners import make_planner
from edmp.constraints import Constraint, InBox, JointRange, OnPlane, Upright, bands_of
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.problem import Problem
from edmp.result import Status
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.validate import Judge
from edmp.validate.dense_constraints import dense_breaches

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ompl") is None, reason="OMPL is not installed")

PANDA = load_robot("panda")
START, GOAL = PANDA.home.copy(), PANDA.home.copy()
START[0], GOAL[0] = -0.8, 0.8
POST = Scene.of({"post": (Box((0.12, 0.04, 0.3)), (0.32, 0.0, 0.45))})
"""Where the tool would pass."""
CUP = Upright(math.radians(10.0), axis=(0.0, 0.0, -1.0))
TABLE = OnPlane((0.0, 0.0, 0.486869558), tolerance=0.005)
"""At the height of the tool at home."""


def task(constraint: Constraint, *, seed: int = 0) -> Task:
    return Task(PANDA, POST, START, GOAL[None], seed, (constraint,))


def holds(constraint: Constraint, path: np.ndarray) -> bool:
    valid = Judge(PANDA, POST, constraints=(constraint,)).check_path(path, start=START, goal=GOAL).valid
    return valid and not dense_breaches(PANDA, POST, (constraint,), path)


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("constraint", [CUP, TABLE], ids=["upright", "plane"])
def test_paths_keep_to_the_constraint(constraint: Constraint, formulation: str) -> None:
    claim = Projected(ProjectedSettings(formulation=formulation)).search(task(constraint))
    assert claim.status is Status.SOLVED, claim.message
    assert holds(constraint, claim.path)
    assert len(claim.path) > 10  # the states of the geodesics, not their ends alone


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_is_a_row_of_the_bench(algorithm: str) -> None:
    problem = Problem(PANDA, POST, START, GOAL, constraints=(CUP,))
    claim = make_planner(f"projected_{algorithm}:time_budget=20").plan(problem, 1)
    assert claim.status is Status.SOLVED, claim.message
    assert holds(CUP, claim.path)


def test_a_search_that_counts_looks_repeats() -> None:
    planner = Projected(ProjectedSettings(max_launches=200_000, time_budget=1e6))
    a, b, other = (planner.search(task(CUP, seed=seed)).path for seed in (3, 3, 4))
    assert np.array_equal(a, b)
    assert a.shape != other.shape or not np.array_equal(a, other)
    claim = Projected(ProjectedSettings(max_launches=50)).search(task(CUP))
    assert claim.status is Status.TIMEOUT


def test_without_simplification_paths_are_longer() -> None:
    def length(passes: int) -> float:
        path = Projected(ProjectedSettings(simplify_passes=passes)).search(task(CUP, seed=2)).path
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())

    assert length(5) < length(0)


def test_projection_moves_into_the_band_and_says_where_it_cannot() -> None:
    cup = BandValues(task(CUP), bands_of(PANDA, (CUP,)), 0.5)
    q = START + 0.3
    assert dense_breaches(PANDA, POST, (CUP,), q[None])
    assert cup.project(q)
    assert not dense_breaches(PANDA, POST, (dataclasses.replace(CUP, tolerance=0.76 * CUP.tolerance),), q[None])
    far = OnPlane((0.0, 0.0, 5.0))
    assert not BandValues(task(far), bands_of(PANDA, (far,)), 0.5).project(q)


def test_states_outside_the_joint_limits_are_not_valid() -> None:
    problem = ProjectedProblem(task(CUP), bands_of(PANDA, (CUP,)), ProjectedSettings(), 0.05)
    outside = START.copy()
    outside[6] = PANDA.limits.upper[6] + 0.01
    assert problem.information.isValid(problem.state(START.tolist()))
    assert not problem.information.isValid(problem.state(outside.tolist()))


def test_what_it_cannot_take_is_told() -> None:
    with pytest.raises(InvalidInputError, match="need a constraint on frames or joints"):
        Projected().search(dataclasses.replace(task(CUP), constraints=()))
    X_WO = np.eye(4)
    half_space = JointRange("panda_joint1", -1.0, 1.0), InBox((2.0, math.inf, math.inf), X_WO)
    assert Projected().search(dataclasses.replace(task(CUP), constraints=half_space)).status is Status.SOLVED
    with pytest.raises(UnknownNameError, match="compiled, excess, middle"):
        ProjectedSettings(formulation="centre")
    with pytest.raises(UnknownNameError, match="bkpiece, rrtconnect"):
        ProjectedSettings(algorithm="prm")
    with pytest.raises(InvalidInputError, match="share"):
        ProjectedSettings(share=0.0)
