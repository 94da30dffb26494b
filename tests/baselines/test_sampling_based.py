"""OMPL's planners on the compiled kernel: what they claim holds, repeats by its seed, and ends where it should."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest
import torch
from waypoint_cases import GOAL, START, TABLE, over_the_box, task

from edmp.baselines import Task
from edmp.baselines.sampling_based import (
    ALGORITHMS,
    AsymptoticallyOptimal,
    AsymptoticallyOptimalSettings,
    KernelChecks,
    RrtConnect,
    RrtConnectSettings,
)
from edmp.collision.free import edges_free, free
from edmp.errors import InvalidInputError, MissingDependencyError, UnknownNameError
from edmp.result import Status
from edmp.robots import load_robot
from edmp.scenes import Box, Scene
from edmp.validate import Judge

needs_ompl = pytest.mark.skipif(importlib.util.find_spec("ompl") is None, reason="OMPL is not installed")


def length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def certified(task: Task, path: np.ndarray, goal: np.ndarray) -> bool:
    assert np.array_equal(path[0], task.start)
    assert np.array_equal(path[-1], goal)
    return Judge(task.robot, task.scene).check_path(path, start=task.start, goal=goal).valid


def test_single_launches_say_what_batches_say() -> None:
    world = task(over_the_box()).world
    rng = np.random.default_rng(0)
    q = rng.uniform(world.robot.limits.lower, world.robot.limits.upper, (60, 2, 7))
    q[::2, 1] = q[::2, 0] + 0.1 * (q[::2, 1] - q[::2, 0])
    for step, margin in ((0.02, 0.0), (0.05, 0.03)):
        checks = KernelChecks(world, step, margin)
        edges = edges_free(world, torch.as_tensor(q, dtype=torch.float32), step=step, margin=margin)[:, 0].numpy()
        assert 0.1 < edges.mean() < 0.9
        assert np.array_equal([checks.edge_free(a.tolist(), b.tolist()) for a, b in q], edges)
        assert np.array_equal([checks.state_free(a.tolist()) for a, _ in q], free(world, q[:, 0], margin=margin))
        assert (checks.num_edges, checks.num_states) == (60, 60)


@needs_ompl
def test_rrt_connect_repeats_by_its_seed() -> None:
    paths = []
    for seed in (3, 4, 3):
        problem = task(over_the_box(), seed=seed)
        claim = RrtConnect().search(problem)
        assert claim.status is Status.SOLVED
        assert certified(problem, claim.path, GOAL)
        assert len(claim.path) > 2
        paths.append(claim.path)
    assert np.array_equal(paths[0], paths[2])
    assert not np.array_equal(paths[0], paths[1])


@needs_ompl
def test_simplification_shortens() -> None:
    problem = task(over_the_box(), seed=1)
    raw, simplified = (RrtConnect(RrtConnectSettings(simplify_passes=n)).search(problem).path for n in (0, 5))
    assert length(simplified) < 0.9 * length(raw)
    assert np.linalg.norm(np.diff(raw, axis=0), axis=1).max() <= 1.0 + 1e-9  # the range


@needs_ompl
def test_margin_is_kept_from_obstacles_away_from_the_ends() -> None:
    problem = task(over_the_box())
    claim = RrtConnect(RrtConnectSettings(margin=0.02)).search(problem)
    assert certified(problem, claim.path, GOAL)
    t = np.linspace(0, len(claim.path) - 1, 400)
    dense = np.column_stack([np.interp(t, np.arange(len(claim.path)), column) for column in claim.path.T])
    assert free(problem.world, dense, margin=0.015).all()
    assert not free(problem.world, dense, margin=0.2).all()


@needs_ompl
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_asymptotically_optimal_planners_claim_the_best_found(algorithm: str) -> None:
    """Two goals; the straight line to the nearest is free, so nothing shorter exists."""
    goals = np.array([GOAL, START + 0.4])
    problem = Task(load_robot("panda"), Scene.of({"table": TABLE}), START, goals, seed=0)
    settings = AsymptoticallyOptimalSettings(algorithm=algorithm, time_budget=1.0)
    claim = AsymptoticallyOptimal(settings).search(problem)
    assert claim.status is Status.SOLVED, claim.message
    assert certified(problem, claim.path, claim.path[-1])
    assert (claim.path[-1] == goals).all(axis=1).any()
    if algorithm == "aorrtc":
        assert np.array_equal(claim.path[-1], goals[1])
        assert length(claim.path) == pytest.approx(float(np.linalg.norm(goals[1] - START)), rel=1e-6)


@needs_ompl
def test_aorrtc_goes_on_looking_for_shorter_paths() -> None:
    problem = task(over_the_box(), seed=2)
    first = RrtConnect().search(problem)
    best = AsymptoticallyOptimal(AsymptoticallyOptimalSettings(time_budget=3.0)).search(problem)
    assert certified(problem, best.path, GOAL)
    assert length(best.path) < length(first.path)


@needs_ompl
def test_no_path_is_a_value() -> None:
    """Walls before, behind and above the base leave the arm no way from one side to the other."""
    pieces = {"front": (1.65, 1.0, 3.0, 4.0), "back": (-1.65, 1.0, 3.0, 4.0), "top": (0.0, 2.0, 0.4, 2.4)}
    scene = Scene.of({name: (Box((a, 0.04, b)), (x, 0.0, z)) for name, (x, z, a, b) in pieces.items()})
    problem = Task(load_robot("panda"), scene, START, GOAL[None], seed=0)
    for planner in (
        RrtConnect(RrtConnectSettings(time_budget=0.3)),
        AsymptoticallyOptimal(AsymptoticallyOptimalSettings(time_budget=0.3)),
    ):
        claim = planner.search(problem)
        assert claim.status is Status.TIMEOUT
        assert claim.path is None
        assert "edges" in claim.message


@needs_ompl
def test_ends_at_their_limits_and_goals_at_the_start() -> None:
    robot = load_robot("panda")
    start = START.copy()
    start[0] = robot.limits.upper[0] + 5e-10  # what the judge forgives as rounding
    problem = Task(robot, Scene.of({"table": TABLE}), start, START[None], seed=0)
    claim = RrtConnect().search(problem)
    assert certified(problem, claim.path, START)
    there = dataclasses.replace(problem, start=START)
    claim = RrtConnect().search(there)
    assert claim.status is Status.SOLVED
    assert length(claim.path) == 0


@needs_ompl
def test_the_console_stays_quiet_and_is_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    from ompl import util

    before = util.getLogLevel()
    for seed in (0, 1):
        RrtConnect().search(task(over_the_box(), seed=seed))
    assert capfd.readouterr() == ("", "")
    assert util.getLogLevel() == before


def test_without_ompl_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ompl", None)
    for planner in (RrtConnect, AsymptoticallyOptimal):
        with pytest.raises(MissingDependencyError, match=r"pip install edmp\[baselines\]"):
            planner()


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UnknownNameError, match="unknown algorithm 'rrt'; valid: aorrtc, bitstar"):
        AsymptoticallyOptimalSettings(algorithm="rrt")
    for bad in ({"margin": -0.1}, {"edge_step": 0.0}, {"time_budget": 0.0}, {"simplify_passes": 1.5}):
        with pytest.raises(InvalidInputError, match=next(iter(bad))):
            RrtConnectSettings(**bad)
    with pytest.raises(InvalidInputError, match="simplify_share"):
        AsymptoticallyOptimalSettings(simplify_share=1.0)
