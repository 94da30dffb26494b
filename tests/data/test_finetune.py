"""Learning from what comes of samples: rewards in files, value networks by the command, and what is refused by name."""

import os
import signal
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.collision.world import World
from edmp.data.finetune import train_value
from edmp.data.reward import Outcome, Reward, load_reward
from edmp.descent import Descent
from edmp.errors import EdmpError
from edmp.learning.card import read_card
from edmp.learning.tensors import load_tensors, read_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.prior.base import Context
from edmp.prior.checkpoint import load_prior
from edmp.prior.spline import Spline
from edmp.prior.value import Value, ValueGuided
from edmp.robots import load_robot

PANDA = load_robot("panda")
QUICK = TrainSettings(max_steps=6, batch_size=16, progress=False, num_threads=1, validation_fraction=0.2, log_every=2)
START, GOAL = torch.tensor([[-0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]]), torch.tensor([[0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]])
SMALL = ["--questions", "4", "--max-steps", "40", "--threads", "1", "--config", "width=16", "--config", "depth=1"]


@pytest.fixture(scope="module")
def value(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From the command line, hardly trained."""
    out = tmp_path_factory.mktemp("value")
    words = ["finetune", "--method", "value", "--prior", "panda", "--data", str(data), "--out", str(out), *SMALL]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    return out / "value.safetensors"


def test_a_reward_is_weights_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "reward.yaml"
    path.write_text("free: 2.0\nlength: 0.5\nduration: 0\nclearance: 0.4\nenough: 0.02\n")
    reward = load_reward(path)
    assert reward == Reward(2.0, 0.5, 0.0, 0.4, 0.02)
    free, length = torch.tensor([True, True, False]), torch.tensor([1.0, 2.0, 1.5])
    outcome = Outcome(free, length, length, torch.tensor([0.01, 0.03, 0.0]))
    assert torch.allclose(reward.of(outcome), torch.tensor([2.0 + 0.2, 2.0 + 0.4 - 0.5, -0.25]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fre: 1", "fre"),
        ("free: -1", "free"),
        ("enough: 0", "enough"),
        ("free: 0\nlength: 0\nduration: 0\nclearance: 0", "a weight above 0"),
        ("free: [1]", "free"),
    ],
)
def test_a_reward_that_makes_no_sense_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "reward.yaml"
    path.write_text(text)
    with pytest.raises(EdmpError, match=message) as caught:
        load_reward(path)
    assert "reward.yaml" in str(caught.value)


def test_outcomes_are_those_of_the_motion() -> None:
    spline = Spline()
    line = spline.straight_line(START, GOAL)
    there = Outcome.of(Descent(World.of(PANDA, edmp.Scene()), spline), line)
    assert bool(there.free)
    assert float(there.length) == pytest.approx(1.0, abs=1e-4)
    assert float(there.duration) == pytest.approx(1.0, abs=1e-4)
    assert float(there.clearance) == pytest.approx(0.03)
    wall = edmp.Scene.of({"wall": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
    blocked = Outcome.of(Descent(World.of(PANDA, wall), spline), line)
    assert not bool(blocked.free)
    assert float(blocked.clearance) == 0.0


def test_a_value_network_ranks_motions_of_its_robot_and_is_no_prior(value: Path) -> None:
    known = load_prior(value, PANDA)
    assert isinstance(known, Value)
    card = read_card(value)
    assert card.origin.startswith("outcomes of panda ")
    assert card.data["samples"] > 4 * 48
    assert value.with_suffix(".md").read_text().startswith("# Value of motions of panda")
    assert card.data["judged_free_by_kernel"] >= card.data["proved_of_these"] > 0
    spline = Spline()
    motions = spline.control_points(0.3 * torch.randn(5, 98, generator=torch.Generator().manual_seed(0)), START, GOAL)
    block = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
    seen, empty = (known.network.value(World.of(PANDA, scene), motions) for scene in (block, edmp.Scene()))
    assert seen.shape == (5,)
    assert not torch.allclose(seen, empty, atol=1e-4)
    with pytest.raises(EdmpError, match="prior on splines"):
        edmp.Planner("panda", prior=value)
    with pytest.raises(EdmpError, match="panda"):
        load_prior(value, load_robot("ur5"))


def test_the_gradient_of_a_value_is_that_of_motions_and_of_what_they_cost(value: Path) -> None:
    known = load_prior(value, PANDA)
    assert isinstance(known, Value)
    network, spline = known.network, Spline()
    generator = torch.Generator().manual_seed(0)
    motions = spline.control_points(0.1 * torch.randn(2, 98, generator=generator), START, GOAL)
    noisy, level = torch.randn(2, 98, generator=generator), torch.full((2, 1), 0.3)
    block = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
    world, ends, columns = World.of(PANDA, block), motions[:, [0, -1]], [7, 15]  # what a path costs, beside gradients
    held = network.touch(world, motions)
    assert held[..., columns].max() > 0

    def told(points: torch.Tensor) -> torch.Tensor:
        touch = held.clone()
        touch[..., columns] = network.touch(world, points)[..., columns]
        with torch.no_grad():
            return network(noisy, spline.deviation(points), touch, level, ends)[:, 0]

    gradient = network.gradient(world, noisy, motions, level)
    for _ in range(4):
        way = torch.zeros_like(motions)
        way[:, 1:-1] = torch.randn(gradient.shape, generator=generator)
        numeric = (told(motions + 2e-3 * way) - told(motions - 2e-3 * way)) / 4e-3
        assert torch.allclose((gradient * way[:, 1:-1]).sum((1, 2)), numeric, rtol=0.05, atol=0.02)


def test_a_plan_is_guided_by_a_value_if_it_is_asked_to_be(value: Path) -> None:
    known, plain = load_prior(value, PANDA), load_prior("panda", PANDA)
    assert isinstance(known, Value)
    assert isinstance(plain, edmp.Prior)
    problem = edmp.load_example("bookshelf")
    world = World.of(PANDA, problem.scene)
    start, goal = (torch.tensor(q, dtype=torch.float32) for q in (problem.start, problem.goal))
    context = Context(start, goal, world)
    x = plain.noise(12, generator=torch.Generator().manual_seed(0))

    def said(prior: edmp.Prior) -> float:
        with torch.inference_mode():
            clean = prior.denoise(x, 1.0, context)
            return float(known.network.value(world, plain.spline.control_points(clean, start, goal)).mean())

    assert said(ValueGuided.of(plain, known, weight=0.05)) > said(plain)
    assert said(ValueGuided.of(plain, known, weight=0)) == said(plain)
    assert edmp.plan(problem.scene, problem.start, problem.goal, prior=ValueGuided.of(plain, known)).solved
    with pytest.raises(EdmpError, match="weight"):
        ValueGuided.of(plain, known, weight=-1)
    ur5 = load_prior("ur5", load_robot("ur5"))
    assert isinstance(ur5, edmp.Prior)
    with pytest.raises(EdmpError, match=r"value network is for .*panda.*ur5"):
        ValueGuided.of(ur5, known)


def test_samples_are_kept_and_a_training_that_stopped_goes_on(data: Path, tmp_path: Path) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def go(name: str, on_step: object = None) -> bool:
        report = train_value(
            data,
            tmp_path / name,
            robot=PANDA,
            prior="panda",
            questions=4,
            settings=QUICK,
            on_step=on_step,  # type: ignore[arg-type]
        )
        return report.interrupted

    assert not go("whole")
    assert go("parts", interrupt)
    first = tmp_path / "parts" / "samples" / "samples-000000.safetensors"
    made = first.stat().st_mtime_ns
    assert not go("parts")
    assert first.stat().st_mtime_ns == made
    whole, parts = (read_tensors(tmp_path / name / CHECKPOINT_NAME)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    outcome = load_tensors(first)["outcome"]
    assert 0 < float(outcome[:, 0].mean()) <= 1
    with pytest.raises(EdmpError, match="another prior"):
        train_value(data, tmp_path / "whole", robot=PANDA, prior="process", questions=4, settings=QUICK)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "values"], "values"),
        (["--method", "expert"], "edmp improve"),
        (["--method", "value", "--tuning", "group=4"], "--tuning"),
        (["--prior", "pandy"], "pandy"),
        (["--config", "widht=3"], "widht"),
        (["--reward", "nowhere.yaml"], "nowhere.yaml"),
        (["--robot", "ur5", "--prior", "panda"], "ur5"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_name(words: list[str], message: str, data: Path, tmp_path: Path) -> None:
    given = ["finetune", "--data", str(data), "--out", str(tmp_path), "--max-steps", "1", "--prior", "panda", *words]
    done = CliRunner().invoke(app, given)
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)
