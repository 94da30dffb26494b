"""Costs of one's own, through `plan`: they are felt in every step, reported, and never silently without effect."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import edmp
from edmp.costs import Cost, Ensemble, GoalPose, Margins, Member, Smoothness, Term, World
from edmp.errors import InvalidInputError, UnknownNameError
from edmp.planner import Planner, PlannerSettings
from edmp.problem import Problem
from edmp.robots import Motion
from edmp.scenes import Box, Scene

ROOT = Path(__file__).parents[2]
HOME = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
ASIDE = (1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5)
WALL = Scene.of({"wall": (Box((0.6, 0.04, 0.9)), (0.55, 0.3, 0.45))})


@dataclass(frozen=True)
class HighHand(Cost):
    """How far the origin of the last body is below ``height`` [m], summed over waypoints."""

    name: ClassVar[str] = "high_hand"
    height: float = 1.0

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> torch.Tensor:
        return (self.height - motion.X_WB[:, :, 7, 2, 3]).clamp(min=0).sum(1)


@dataclass(frozen=True)
class Broken(Cost):
    """A cost with one of the faults that would leave it without effect."""

    name: ClassVar[str] = "broken"
    how: str = "detached"

    def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> torch.Tensor:
        height = motion.X_WB[:, :, 7, 2, 3]
        return {
            "detached": lambda: height.detach().sum(1),
            "constant": lambda: torch.ones(len(height)),
            "numpy": lambda: torch.tensor(height.detach().numpy().sum(1)),
            "shape": lambda: height.sum(),
            "text": lambda: "high",
            "nan": lambda: (height - height.mean(1, keepdim=True)).sum(1).abs().sqrt() * float("nan"),
            "root": lambda: (motion.q[:, 0] - motion.q[:, 0]).square().sum(1).sqrt(),
        }[self.how]()


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner("panda")


@pytest.fixture(scope="module")
def upright() -> Cost:
    import sys

    sys.path.insert(0, str(ROOT / "examples"))
    return importlib.import_module("04_custom_cost").UprightTool(0.1)


def value_along(cost: Cost, planner: Planner, path: np.ndarray, scene: Scene) -> float:
    """Mean of a cost over a certified path, by its torch definition in double precision."""
    q = torch.as_tensor(path)[None]
    return float(cost(Motion.of(planner.robot, q), scene, Margins.of(q))) / len(path)


@pytest.mark.parametrize("family", ["bin", "box", "clutter", "shelf", "table_under", "tabletop"])
def test_the_certified_motion_is_better_by_the_cost(planner: Planner, upright: Cost, family: str) -> None:
    """Six problems; the ends are the same, so that all of the difference lies in between."""
    problem = edmp.load_problem(ROOT / "benchmarks" / "problems" / family / "scene0001.yaml")
    anyhow = planner.plan(problem.scene, problem.start, problem.goal)
    without = planner.plan(problem.scene, problem.start, anyhow.path[-1])
    result = planner.plan(problem.scene, problem.start, anyhow.path[-1], costs=[upright])
    assert result.solved, result.message
    before, after = (value_along(upright, planner, one.path, problem.scene) for one in (without, result))
    assert after < 0.7 * before
    assert result.terms["upright_tool"] == pytest.approx(40 * after, rel=0.25, abs=0.02)
    assert "upright_tool" in result.message
    assert edmp.Judge(problem.robot, problem.scene).check_path(result.path).valid


def test_every_kind_of_term_counts(planner: Planner) -> None:
    without = planner.plan(WALL, HOME, ASIDE)
    high = planner.plan(WALL, HOME, ASIDE, costs=[HighHand()])
    assert value_along(HighHand(), planner, high.path, WALL) < 0.9 * value_along(
        HighHand(), planner, without.path, WALL
    )
    assert high.best.length > without.best.length
    assert high.best.objective == pytest.approx(high.best.length + high.terms["high_hand"])
    assert without.terms == {}
    assert without.best.objective == without.best.length


def test_weights_trade_against_length(planner: Planner) -> None:
    light, heavy = (planner.plan(WALL, HOME, ASIDE, costs=[Term(HighHand(), weight=w)]) for w in (0.02, 2.0))
    assert heavy.terms["high_hand"] < light.terms["high_hand"]
    assert heavy.best.length > light.best.length


def test_terms_of_the_planner_and_of_the_call_add_up() -> None:
    both = Planner("panda", costs=[HighHand()]).plan(WALL, HOME, ASIDE, costs=["smoothness", HighHand(0.5)])
    assert list(both.terms) == ["high_hand", "smoothness", "high_hand 2"]
    same = edmp.plan(WALL, HOME, ASIDE, costs=[HighHand(), Smoothness(), HighHand(0.5)])
    np.testing.assert_array_equal(both.path, same.path)


@pytest.mark.parametrize("prior", [None, "process"])
def test_other_ways_through_the_planner(prior: str | None) -> None:
    planner = Planner("panda", prior=prior, costs=[HighHand()])
    cold = planner.plan(WALL, HOME, ASIDE)
    warm = planner.plan(WALL, HOME, ASIDE, warm=cold.path)
    assert cold.solved
    assert warm.solved
    assert warm.terms["high_hand"] < 1.5 * cold.terms["high_hand"]


def test_the_fallback_keeps_the_terms() -> None:
    lame = PlannerSettings(num_seeds=4, max_rounds=2, rounds=1, repair_iterations=1)
    result = Planner("panda", prior="process", settings=lame, costs=[HighHand()]).plan(WALL, HOME, ASIDE)
    assert result.solved
    assert result.best.stage in (edmp.Stage.STITCH, edmp.Stage.FALLBACK)
    assert result.terms["high_hand"] > 0


def test_alternatives_are_ranked_by_the_objective() -> None:
    settings = PlannerSettings(enough_valid=24, polish_candidates=24, num_alternatives=3, distinct=0.2)
    result = Planner("panda", settings=settings).plan(WALL, HOME, ASIDE, costs=[HighHand()], seed=1)
    found = [solution.objective for solution in (result.best, *result.alternatives)]
    assert len(found) > 1
    assert found == sorted(found)


def test_a_plan_file_keeps_terms_and_stage(planner: Planner, tmp_path: Path) -> None:
    result = planner.plan(WALL, HOME, ASIDE, costs=[HighHand()])
    problem = Problem(planner.robot, WALL, np.array(HOME), np.array(ASIDE))
    edmp.save_plan(tmp_path / "plan.json", problem, result)
    again = edmp.load_plan(tmp_path / "plan.json").result.best
    assert (again.terms, again.objective, again.stage) == (
        result.best.terms,
        result.best.objective,
        result.best.stage,
    )


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("detached", "does not depend on the motion"),
        ("constant", "does not depend on the motion"),
        ("numpy", "does not depend on the motion"),
        ("shape", r"shape \(batch,\)"),
        ("text", r"shape \(batch,\)"),
        ("nan", "not finite"),
        ("root", "not finite"),
    ],
)
def test_a_cost_without_effect_is_an_error(planner: Planner, how: str, match: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"'broken'.*{match}"):
        planner.plan(WALL, HOME, ASIDE, costs=[Broken(how)])
    with pytest.raises(InvalidInputError, match=rf"'broken'.*{match}"):
        Planner("panda", ensemble=Ensemble((Member(Broken(how)),)))


def test_a_cost_that_has_nothing_to_say_here_is_no_error(planner: Planner) -> None:
    @dataclass(frozen=True)
    class NotHere(Cost):
        name: ClassVar[str] = "not_here"

        def __call__(self, motion: Motion, scene: Scene, margins: Margins) -> torch.Tensor:
            return torch.zeros(len(motion.q))

    assert planner.plan(WALL, HOME, ASIDE, costs=[NotHere()]).terms == {"not_here": 0.0}


@pytest.mark.parametrize(
    "costs", ["high_hand", HighHand(), [7], [None], None, 3.5, [HighHand], [Term], {"high_hand": 1.0}]
)
def test_wrong_costs_are_named(planner: Planner, costs: object) -> None:
    with pytest.raises((InvalidInputError, UnknownNameError), match="cost"):
        planner.plan(WALL, HOME, ASIDE, costs=costs)
    with pytest.raises((InvalidInputError, UnknownNameError), match="cost"):
        Planner("panda", costs=costs)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_wrong_weights_are_named(weight: object) -> None:
    with pytest.raises(InvalidInputError, match="weight"):
        Term(HighHand(), weight=weight)


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize(
    "cost", [HighHand(), Smoothness(), GoalPose((0.4, 0.1, 0.5), (0.0, 1.0, 0.0, 0.0))], ids=lambda cost: cost.name
)
def test_gradients_in_every_context(planner: Planner, cost: Cost, context: type) -> None:
    """Against the definition alone, where the caller records nothing, and in threads of their own."""
    generator = torch.Generator().manual_seed(0)
    q = torch.tensor(HOME) + 0.3 * torch.randn(3, 8, 7, generator=generator)
    x = q.double().requires_grad_(True)
    (expected,) = torch.autograd.grad(cost(Motion.of(planner.robot, x), WALL, Margins.of(x)).sum(), x)
    found = []

    def compute() -> None:
        with context():
            world, here = World.of(planner.robot, WALL), q.clone()  # an inference tensor in inference mode
            found.append(cost.value_and_gradient(world, here, Margins.of(here))[1])

    compute()
    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for gradient in found:
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=1e-4)
    assert expected.abs().max() > 0


def test_the_example_says_what_it_gains(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    example = importlib.import_module("04_custom_cost")
    result = example.main(headless=True)
    assert result.solved
    leans = [
        float(line.split("leans ")[1].split()[0]) for line in capsys.readouterr().out.splitlines() if "leans" in line
    ]
    assert leans[1] < 0.5 * leans[0]
