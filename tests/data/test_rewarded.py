"""Tuning by reward: policy gradients through the denoising steps, their controls, and runs that go on."""

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
from edmp.data.collected import COLLECTED, RewardedSettings, places
from edmp.data.finetune import train_value
from edmp.data.q_learning import QLearning, chain
from edmp.data.reward import Reward
from edmp.data.rewarded import log_probability, policy, tune_by_reward
from edmp.data.scene_rows import settings_of
from edmp.data.training_set import read_manifest
from edmp.descent import Descent
from edmp.errors import EdmpError
from edmp.learning.card import read_card
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m
from edmp.learning.tensors import read_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.prior.base import Context
from edmp.prior.checkpoint import load_prior
from edmp.prior.scene import ScenePrior
from edmp.robots import load_robot

PANDA = load_robot("panda")
QUICK = TrainSettings(max_steps=7, batch_size=8, progress=False, num_threads=1, validation_fraction=0.2, log_every=2)
FEW = RewardedSettings(questions=3, at_a_time=2, group=4, steps=3, epochs=1, anchor_shards=1, critic_steps=2)


@pytest.fixture(scope="module")
def value(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("value")
    settings = dataclasses.replace(QUICK, max_steps=30, batch_size=64, config={"width": 16, "depth": 1})
    report = train_value(data, out, robot=PANDA, prior="panda-scene", questions=4, settings=settings)
    assert report.file is not None
    return report.file


@pytest.mark.parametrize("method", ["dppo", "dql", "clearance", "plain"])
def test_a_prior_is_tuned_by_the_command_and_plans(method: str, data: Path, value: Path, tmp_path: Path) -> None:
    words = ["finetune", "--method", method, "--prior", "panda-scene", "--data", str(data), "--out", str(tmp_path)]
    words += ["--questions", "3", "--proofs", "1", "--max-steps", "3", "--batch-size", "8", "--threads", "1"]
    words += ["--value", str(value)] if method == "dql" else []
    done = CliRunner().invoke(app, [*words, "--tuning", "group=4", "--tuning", "at_a_time=2", "--tuning", "steps=3"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "before: free as drawn" in done.output
    assert "after: free as drawn" in done.output
    tuned = tmp_path / "prior.safetensors"
    assert read_card(tuned).origin.startswith(f"{method} of panda-scene ")
    problem = edmp.load_example("bookshelf")
    assert edmp.plan(problem.scene, problem.start, problem.goal, prior=tuned).solved


@pytest.mark.parametrize("method", ["dppo", "dql", "clearance"])
def test_a_run_that_stopped_goes_on_to_the_same_weights(method: str, data: Path, tmp_path: Path) -> None:
    rewarded = dataclasses.replace(FEW, method=method)

    def interrupt(step: int, loss: float) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    def go(name: str, on_step: object = None) -> bool:
        report = tune_by_reward(
            data,
            tmp_path / name,
            robot=PANDA,
            prior="panda-scene",
            rewarded=rewarded,
            settings=QUICK,
            on_step=on_step,  # type: ignore[arg-type]
        )
        return report.interrupted

    assert not go("whole")
    assert go("parts", interrupt)
    assert not go("parts")
    whole, parts = (read_tensors(tmp_path / name / CHECKPOINT_NAME)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_what_came_out_better_than_the_rest_of_its_group_becomes_likelier(data: Path, tmp_path: Path) -> None:
    few = dataclasses.replace(FEW, questions=2, group=16, epochs=6, anchor=0.0)
    settings = dataclasses.replace(QUICK, max_steps=12, batch_size=48, learning_rate=1e-3, warmup_steps=1)
    report = tune_by_reward(data, tmp_path, robot=PANDA, prior="panda-scene", rewarded=few, settings=settings)
    assert report.file is not None
    rows, header = read_tensors(tmp_path / COLLECTED)
    assert header["began"].integer(0) == 0
    tuned = load_prior(report.file, PANDA)
    assert isinstance(tuned, ScenePrior)
    before = rows["log_probability"][:, 0]
    with torch.no_grad():
        gained = log_probability(rows["z"], *policy(tuned.network, rows, few)) - before
    better = rows["advantage"][:, 0] > 0
    assert gained[better].mean() > gained[~better].mean()


def test_the_kernels_gradient_lowers_clearance_cost(data: Path, tmp_path: Path) -> None:
    problem = edmp.load_example("bookshelf")

    def cost(path: Path | str) -> float:
        prior = load_prior(path, PANDA)
        assert isinstance(prior, ScenePrior)
        descent = Descent(World.of(PANDA, problem.scene), prior.spline)
        ends = [torch.as_tensor(np.array(q), dtype=torch.float32) for q in (problem.start, problem.goal)]
        noise = prior.noise(24, sigma=prior.sigma_max, generator=torch.Generator().manual_seed(0))
        sigmas = karras_sigmas(3, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max)
        x = sample_dpmpp_2m(prior.bind(Context(*ends, descent.world)), noise, sigmas)
        points = descent.clamp(prior.spline.control_points(x, *ends))
        return float(descent.cost_gradient(points, torch.full((24,), 0.03))[0].sum(dim=1).mean())

    few = dataclasses.replace(FEW, method="clearance", group=8, epochs=4, anchor=0.0, push=1.0)
    settings = dataclasses.replace(QUICK, max_steps=30, batch_size=24, learning_rate=1e-3, warmup_steps=1)
    tune_by_reward(data, tmp_path, robot=PANDA, prior="panda-scene", rewarded=few, settings=settings)
    assert cost(tmp_path / "prior.safetensors") < cost("panda-scene")


def test_critics_learn_along_and_the_prior_climbs_them_through_the_whole_chain(data: Path, tmp_path: Path) -> None:
    few = dataclasses.replace(FEW, method="dql", group=12, epochs=6, anchor=0.0, push=1.0, critic_steps=4)
    settings = dataclasses.replace(QUICK, max_steps=6, batch_size=24, learning_rate=1e-3, warmup_steps=1)
    report = tune_by_reward(data, tmp_path, robot=PANDA, prior="panda-scene", rewarded=few, settings=settings)
    assert report.file is not None
    before, after = load_prior("panda-scene", PANDA), load_prior(report.file, PANDA)
    assert isinstance(before, ScenePrior)
    assert isinstance(after, ScenePrior)
    asked = places(data, settings_of(read_manifest(data), PANDA, data), PANDA, before, few)
    tensors, header = read_tensors(tmp_path / COLLECTED)
    assert header["began"].integer(0) == 0
    learning = QLearning(before, PANDA, asked, few, settings, None)
    begun = [critic.state_dict()["read.weight"].clone() for critic in learning.critics]
    learning.restore({key.removeprefix("pupil."): v for key, v in tensors.items() if key.startswith("pupil.")})
    assert len(learning.memory) == len(tensors["x"]) == 24
    first, second = (critic.state_dict()["read.weight"] for critic in learning.critics)
    assert not torch.equal(first, second)
    for now, then, average in zip((first, second), begun, learning.averages, strict=True):
        lagging = average.state_dict()["read.weight"]
        assert 0 < (lagging - then).norm() < (now - then).norm()  # where the critic is going, and not there yet
    number, x, sigmas = tensors["number"], tensors["x"], learning.sigmas
    assert len(number.unique()) == 2
    with torch.no_grad():
        came = chain(before.network, learning.places, number, x, sigmas)
        order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
        mixed = chain(before.network, learning.places, number[order], x[order], sigmas)
        assert torch.allclose(mixed, came[order], atol=1e-4)
        tuned = chain(after.network, learning.places, number, x, sigmas)
        assert learning.said(number, tuned).mean() > learning.said(number, came).mean()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prior", "panda"], "no prior that sees the scene"),
        (["--prior", "panda-scene", "--tuning", "grop=3"], "grop"),
        (["--prior", "panda-scene", "--tuning", "clip=2"], "clip"),
        (["--prior", "panda-scene", "--config", "width=3"], "--config"),
        (["--prior", "panda-scene", "--robot", "ur5"], "ur5"),
        (["--prior", "panda-scene", "--value", "panda"], "not of dppo"),
        (["--prior", "panda-scene", "--method", "dql", "--value", "panda"], "panda"),
        (["--prior", "panda-scene", "--method", "dpo"], "dpo"),
    ],
)
def test_what_cannot_be_tuned_is_refused_by_name(words: list[str], message: str, data: Path, tmp_path: Path) -> None:
    given = ["finetune", "--method", "dppo", "--data", str(data), "--out", str(tmp_path), "--max-steps", "1", *words]
    done = CliRunner().invoke(app, given)
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)


def test_another_reward_does_not_go_on_with_a_run(data: Path, tmp_path: Path) -> None:
    tune_by_reward(data, tmp_path, robot=PANDA, prior="panda-scene", rewarded=FEW, settings=QUICK)
    other = dataclasses.replace(FEW, reward=Reward(length=0.5))
    with pytest.raises(EdmpError, match="origin"):
        tune_by_reward(data, tmp_path, robot=PANDA, prior="panda-scene", rewarded=other, settings=QUICK)
