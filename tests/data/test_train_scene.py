"""A prior that sees the scene: its parts, its training by the command, and motions planned with it."""

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.collision.world import World
from edmp.data.train_scene import train_scene
from edmp.errors import InvalidInputError
from edmp.learning.card import read_card
from edmp.learning.tensors import read_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.planner import rounds
from edmp.planner.goals import Query, resolve
from edmp.planner.settings import Round
from edmp.prior.base import Context, Prior
from edmp.prior.checkpoint import load_prior
from edmp.prior.mlp import MlpPrior
from edmp.prior.scene import SceneConfig, SceneNetwork, ScenePrior
from edmp.robots import load_robot
from edmp.validate import Judge

PANDA = load_robot("panda")
PROBLEMS = Path(__file__).resolve().parents[2] / "benchmarks" / "problems"
QUICK = TrainSettings(max_steps=12, batch_size=32, progress=False, num_threads=1, validation_fraction=0.2, log_every=4)
TABLE = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
START, GOAL = torch.tensor([[-0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]]), torch.tensor([[0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior from the command line, hardly trained."""
    out = tmp_path_factory.mktemp("run")
    words = ["train", "--data", str(data), "--out", str(out), "--arch", "scene", "--base", BASE]
    words += ["--max-steps", "40", "--batch-size", "64", "--threads", "1", "--config", "width=32"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return out / "prior.safetensors"


BASE = "panda"


def base() -> MlpPrior:
    prior = load_prior(BASE, PANDA)
    if isinstance(prior, ScenePrior):
        return MlpPrior.of(prior.network.base, robot_name="panda")
    assert isinstance(prior, MlpPrior)
    return prior


def untrained(**sizes: object) -> SceneNetwork:
    network = SceneNetwork(SceneConfig(base=dataclasses.asdict(base().network.config), **sizes), 7)  # type: ignore[arg-type]
    network.base.load_state_dict(base().network.state_dict())
    return network


def test_what_is_felt_is_the_gradient_of_clearance_along_the_path() -> None:
    network = untrained(clearances=(0.05,), num_waypoints=24)
    world = World.of(PANDA, TABLE)
    control_points = network.spline.straight_line(START, GOAL)
    told = network.touch(world, control_points)
    assert told.shape == (1, 14, 8)
    gradient = torch.sign(told) * torch.expm1(told.abs()) / 30.0

    def cost(points: torch.Tensor) -> float:
        from edmp.costs.clearance import clearance_field

        q = network.spline.waypoints(points, 24)
        return float(clearance_field(world, q, q.new_full((1,), 0.05))[0].sum())

    assert cost(control_points) > 0
    for token, joint in ((6, 0), (7, 1), (7, 3)):
        step = torch.zeros_like(control_points)
        step[0, token + 1, joint] = 2e-3
        numeric = (cost(control_points + step) - cost(control_points - step)) / 4e-3
        assert gradient[0, token, joint] == pytest.approx(numeric, rel=0.05, abs=0.02)
    assert not network.touch(World.of(PANDA, edmp.Scene()), control_points).any()


def test_without_a_scene_or_without_weight_it_is_the_denoiser_it_corrects(trained: Path) -> None:
    prior = load_prior(trained, PANDA)
    assert isinstance(prior, ScenePrior)
    generator = torch.Generator().manual_seed(0)
    x = prior.noise(5, sigma=1.0, generator=generator)
    alone = base().denoise(x, 1.0, Context(START, GOAL))
    world = World.of(PANDA, TABLE)
    assert torch.allclose(prior.denoise(x, 1.0, Context(START, GOAL)), alone, atol=1e-6)
    unweighted = dataclasses.replace(prior, cfg=0.0)
    assert torch.allclose(unweighted.denoise(x, 1.0, Context(START, GOAL, world)), alone, atol=1e-6)
    assert not torch.allclose(prior.denoise(x, 1.0, Context(START, GOAL, world)), alone, atol=1e-4)
    moved = World.of(PANDA, edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.0, 0.45, 0.3))}))
    there = prior.denoise(x, 1.0, Context(START, GOAL, moved))
    assert not torch.allclose(prior.denoise(x, 1.0, Context(START, GOAL, world)), there, atol=1e-4)


def test_the_scene_is_felt_through_the_arm_wherever_it_stands(trained: Path) -> None:
    prior = load_prior(trained, PANDA)
    x = prior.noise(3, sigma=0.5, generator=torch.Generator().manual_seed(1))
    X = np.eye(4)
    X[:2, :2] = [[0, -1], [1, 0]]
    X[:3, 3] = (2.0, -1.0, 0.5)
    elsewhere = edmp.Scene((edmp.Obstacle("block", edmp.Box((0.1, 0.1, 0.6)), X @ TABLE["block"].X_WO),))
    here = prior.denoise(x, 0.5, Context(START, GOAL, World.of(PANDA, TABLE)))
    there = prior.denoise(x, 0.5, Context(START, GOAL, World.of(PANDA.with_base(X), elsewhere)))
    assert torch.allclose(here, there, atol=1e-4)


def test_a_motion_is_planned_with_it(trained: Path) -> None:
    problem = edmp.load_example("bookshelf")
    result = edmp.plan(problem.scene, problem.start, problem.goal, prior=trained)
    assert result.status is edmp.Status.SOLVED


def test_an_interrupted_training_goes_on_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, config={"width": 16, "depth": 1})

    def interrupt(step: int, loss: float) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    train_scene(data, tmp_path / "once", robot=PANDA, base=BASE, settings=settings)
    first = train_scene(data, tmp_path / "twice", robot=PANDA, base=BASE, settings=settings, on_step=interrupt)
    assert first.interrupted
    assert first.metrics["steps"] == 5
    train_scene(data, tmp_path / "twice", robot=PANDA, base=BASE, settings=settings)
    once, twice = (read_tensors(tmp_path / name / CHECKPOINT_NAME)[0] for name in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert (tmp_path / "once" / CHECKPOINT_NAME).stat().st_size < 25e6


def test_going_on_from_one_that_sees_it_learns_to_look_twice(trained: Path, data: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, max_steps=3)
    report = train_scene(data, tmp_path / "run", robot=PANDA, base=trained, settings=settings)
    assert report.file is not None
    again = load_prior(report.file, PANDA)
    assert isinstance(again, ScenePrior)
    assert again.looks == 2
    assert again.network.config.width == 32
    with pytest.raises(InvalidInputError, match="give no config"):
        train_scene(
            data, tmp_path / "no", robot=PANDA, base=trained, settings=dataclasses.replace(QUICK, config={"width": 8})
        )


def test_one_that_sees_it_is_trained_on_and_looks_as_often_as_it_did(trained: Path, data: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(data), "--out", str(tmp_path), "--arch", "scene", "--weights", str(trained)]
    done = CliRunner().invoke(app, [*words, "--max-steps", "5", "--batch-size", "32", "--threads", "1"])
    assert done.exit_code == 0, done.output
    before, after = load_prior(trained, PANDA), load_prior(tmp_path / "prior.safetensors", PANDA)
    assert isinstance(before, ScenePrior)
    assert isinstance(after, ScenePrior)
    assert after.looks == before.looks == 1
    moved = {
        name
        for name, tensor in after.network.state_dict().items()
        if not torch.equal(tensor, before.network.state_dict()[name])
    }
    assert moved  # the correction, and it alone
    assert not [name for name in moved if name.startswith("base.")]


def test_training_descends(data: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, max_steps=120, batch_size=128, config={"width": 48, "depth": 2})
    losses: list[float] = []
    report = train_scene(
        data, tmp_path / "run", robot=PANDA, base=BASE, settings=settings, on_step=lambda _, loss: losses.append(loss)
    )
    assert np.mean(losses[-20:]) < 0.95 * np.mean(losses[:20])
    assert report.metrics["validation_loss"] < np.mean(losses[:20])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "scene", "--base", "process"], "it has no weights"),
        (["--arch", "scene", "--base", "panda-unet"], "architecture"),
        (["--arch", "mlp", "--base", "panda"], "--base"),
        (["--arch", "scene", "--base", "panda", "--weights", "panda-scene"], "give one of them"),
        (["--arch", "scene", "--weights", "panda"], "is of architecture 'mlp', not 'scene'"),
        (["--arch", "mlp", "--weights", "pand"], "unknown prior 'pand'"),
        (["--arch", "scene", "--robot", "ur5", "--base", "panda"], "ur5"),
        (["--arch", "scene", "--config", "depht=3"], "depht"),
    ],
)
def test_what_cannot_be_corrected_is_refused(words: list[str], message: str, data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--data", str(data), "--out", str(tmp_path), "--max-steps", "1", *words])
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)


def test_the_card_says_what_it_was_trained_on(trained: Path) -> None:
    card = read_card(trained)
    assert card.architecture == "scene"
    assert card.data["scenes_read"] >= 6
    assert card.config["clearances"]


@pytest.mark.parametrize("family", ["shelf", "cage", "tabletop"])
def test_what_ships_draws_more_samples_that_are_free_and_only_in_the_right_scene(family: str) -> None:
    problem = edmp.load_problem(PROBLEMS / family / "scene0001.yaml")
    judge = Judge(problem.robot, problem.scene)
    query = resolve(problem.robot, judge, problem.start, problem.goal, seed=0)
    assert isinstance(query, Query)

    def free(prior: Prior) -> float:
        settings = edmp.PlannerSettings(guidance=edmp.GuidanceSettings(steps=0))
        planner = edmp.Planner(problem.robot, prior=prior, settings=settings)
        with torch.inference_mode():
            batch = rounds.seeds(planner.prepare(query, judge, seed=0), Round(num_seeds=24, prior_share=1.0))
        return float(batch.valid.float().mean())

    sees = load_prior("panda-scene", PANDA)
    assert isinstance(sees, ScenePrior)
    assert free(dataclasses.replace(sees, looks=2)) > free(dataclasses.replace(sees, cfg=0.0)) + 0.1
    result = edmp.plan(problem.scene, problem.start, problem.goal, robot=problem.robot, prior="panda-scene")
    assert result.solved
