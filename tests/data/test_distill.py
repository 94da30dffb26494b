"""Priors tuned to need one call: by the command, as what plans, and what is refused by name."""

import dataclasses
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.collision.world import World
from edmp.data.distill import DistillSettings, distill
from edmp.data.shortcut import shortcut_student
from edmp.data.taught import TaughtExamples, Ways
from edmp.errors import EdmpError
from edmp.learning.card import read_card
from edmp.learning.consistency import consistency_error, pairs, shifted_sigmas, way
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m
from edmp.learning.shortcut import of_two_halves, spans, stepped
from edmp.learning.tensors import read_tensors
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.planner import rounds
from edmp.planner.goals import Query, resolve
from edmp.planner.settings import Round
from edmp.prior.base import Context, Prior
from edmp.prior.checkpoint import load_prior
from edmp.prior.mlp import MlpPrior
from edmp.prior.scene import ScenePrior
from edmp.robots import load_robot
from edmp.validate import Judge

PANDA = load_robot("panda")
START, GOAL = [-0.6, 0.3, 0, -2.0, 0, 2.3, 0.8], [0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]
QUICK = TrainSettings(max_steps=6, batch_size=8, progress=False, num_threads=1, validation_fraction=0.2, log_every=2)
FEW = DistillSettings(count=24, levels=3)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["distill", "--threads", "1", "--count", "24", "--levels", "3", *words])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    return done.output


@pytest.fixture(scope="module")
def once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled prior, hardly tuned."""
    out = tmp_path_factory.mktemp("once")
    run("--prior", "panda", "--data", str(data), "--out", str(out), "--max-steps", "8", "--batch-size", "8")
    return out / "prior.safetensors"


@pytest.fixture(scope="module")
def sees(data: Path, once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sees")
    words = ["--prior", "panda-scene", "--base", str(once), "--data", str(data), "--out", str(out), "--max-steps", "8"]
    run(*words, "--batch-size", "8", "--looks", "2")
    return out / "prior.safetensors"


def test_what_comes_out_says_that_it_needs_one_call_and_of_what_it_is_made(once: Path, sees: Path) -> None:
    for path, teacher in ((once, "panda"), (sees, "panda-scene")):
        prior = load_prior(path, PANDA)
        assert isinstance(prior, Prior)
        assert prior.one_call
        card = read_card(path)
        assert card.origin.startswith(f"consistency tuning of {teacher} ")
        assert card.data["levels"] == 3
        told = path.with_suffix(".md").read_text()
        assert "One call gives a sample" in told
        assert card.origin in told
    assert not load_prior("panda", PANDA).one_call  # type: ignore[attr-defined]


class Counted(MlpPrior):
    calls = 0

    def bind(self, context: Context):  # type: ignore[no-untyped-def]
        denoise = super().bind(context)

        def counted(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
            Counted.calls += 1
            return denoise(x, sigma)

        return counted


def test_the_planner_calls_it_once_and_pushes_as_often_as_ever(once: Path) -> None:
    prior = load_prior(once, PANDA)
    assert isinstance(prior, MlpPrior)
    scene = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
    judge = Judge(PANDA, scene)
    query = resolve(PANDA, judge, [-0.6, 0.3, 0, -2.0, 0, 2.3, 0.8], [0.6, 0.3, 0, -2.0, 0, 2.3, 0.8], seed=0)
    assert isinstance(query, Query)
    round_ = Round(num_seeds=6, prior_share=1.0)
    fields = {field.name: getattr(prior, field.name) for field in dataclasses.fields(prior)}
    seen: dict[bool, torch.Tensor] = {}
    batches: list[float] = []
    for one_call, calls in ((True, 1), (False, round_.sampler_steps)):
        Counted.calls = 0
        batches.clear()
        planner = edmp.Planner(PANDA, prior=Counted(**{**fields, "one_call": one_call}))
        with torch.inference_mode():
            call = planner.prepare(query, judge, seed=0, on_batch=lambda batch: batches.append(batch.level))
            seen[one_call] = rounds.seeds(call, round_).control_points
        assert Counted.calls == calls
        assert len(batches) == round_.sampler_steps + 1
    unpushed = edmp.Planner(PANDA, prior=prior, settings=edmp.PlannerSettings(guidance=edmp.GuidanceSettings(steps=0)))
    with torch.inference_mode():
        drawn = rounds.seeds(unpushed.prepare(query, judge, seed=0), round_).control_points
    world = World.of(PANDA, scene)
    noise = prior.noise(6, sigma=prior.sigma_max, generator=torch.Generator().manual_seed(0))
    ends = torch.tensor(query.start, dtype=torch.float32), torch.tensor(query.goals[0], dtype=torch.float32)
    x = prior.denoise(noise, prior.sigma_max, Context(*ends, world))
    assert torch.allclose(drawn, unpushed_points(prior, x, *ends), atol=1e-5)
    assert not torch.allclose(drawn, seen[True], atol=1e-3)


def unpushed_points(prior: Prior, x: torch.Tensor, start: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    lower, upper = (torch.tensor(a, dtype=torch.float32) for a in (PANDA.limits.lower, PANDA.limits.upper))
    points = prior.spline.control_points(x, start, goal)
    points[:, 1:-1] = torch.minimum(torch.maximum(points[:, 1:-1], lower), upper)
    return points


@pytest.mark.parametrize("kind", ["once", "sees"])
def test_a_motion_is_planned_with_it_and_planned_anew(kind: str, request: pytest.FixtureRequest) -> None:
    prior = request.getfixturevalue(kind)
    problem = edmp.load_example("bookshelf")
    planner = edmp.Planner("panda", prior=prior)
    result = planner.plan(problem.scene, problem.start, problem.goal)
    assert result.status is edmp.Status.SOLVED
    assert planner.plan(problem.scene, problem.start, problem.goal, warm=result.path).solved


def test_a_run_that_stopped_goes_on_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def go(name: str, on_step: object = None) -> bool:
        report = distill(
            data,
            tmp_path / name,
            robot=PANDA,
            prior="panda",
            distillation=FEW,
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


def test_another_teacher_does_not_go_on_with_a_run(data: Path, sees: Path, once: Path, tmp_path: Path) -> None:
    with pytest.raises(EdmpError, match="origin"):
        distill(
            data,
            sees.parent,
            robot=PANDA,
            prior="panda-scene",
            base=once,
            distillation=FEW,
            settings=QUICK,
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prior", "panda-scene"], "distill that first"),
        (["--prior", "panda-scene", "--base", "panda"], "no one-call prior"),
        (["--prior", "panda", "--base", "panda"], "base"),
        (["--prior", "panda", "--looks", "2"], "does not see the scene"),
        (["--prior", "panda-unet"], "unet"),
        (["--prior", "process"], "process"),
        (["--prior", "panda", "--robot", "ur5"], "ur5"),
        (["--prior", "pandy"], "pandy"),
        (["--prior", "panda", "--data", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_distilled_is_refused_by_name(
    words: list[str], message: str, data: Path, tmp_path: Path
) -> None:
    given = ["distill", "--data", str(data), "--out", str(tmp_path), "--max-steps", "1", *words]
    done = CliRunner().invoke(app, given)
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)


def test_one_that_needs_one_call_is_not_distilled_again(data: Path, once: Path, tmp_path: Path) -> None:
    with pytest.raises(EdmpError, match="one call already"):
        distill(data, tmp_path, robot=PANDA, prior=once, settings=QUICK)


def test_ways_are_those_of_the_sampler_and_end_where_it_ends(data: Path) -> None:
    prior = load_prior("panda", PANDA)
    assert isinstance(prior, MlpPrior)
    examples = TaughtExamples(data, prior, prior.network, PANDA, levels=3, count=8, validation_fraction=0.0)
    ways = Ways.of(examples.train[:4], prior.network, 3)
    ends = Context(ways.ends[:, 0], ways.ends[:, 1])
    end = sample_dpmpp_2m(prior.bind(ends), ways.x[:, 0], ways.sigma[0])
    assert torch.allclose(end, ways.x[:, -1], atol=0.02)
    assert torch.allclose(ways.end_from(prior.network, torch.zeros(4, dtype=torch.long)), prior.denoise(
        ways.x[:, 0], ways.sigma[0, 0], ends), atol=1e-4)  # fmt: skip


def test_a_network_that_knows_where_ways_end_has_no_error() -> None:
    """Of data that are all one point the denoiser is the point itself, and so is where each way ends."""
    point = torch.tensor([[1.0, -2.0]])
    sigmas = shifted_sigmas(5, 0.3, sigma_min=0.01, sigma_max=20.0)
    assert sigmas[0] == pytest.approx(20.0)
    assert sigmas[-2] == pytest.approx(0.01)
    assert bool((sigmas.diff() < 0).all())
    assert torch.allclose(
        shifted_sigmas(5, 0.5, sigma_min=0.01, sigma_max=20.0), karras_sigmas(5, sigma_min=0.01, sigma_max=20.0)
    )
    noise = 20.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    x = way(lambda x, sigma: point.expand_as(x), noise, sigmas)
    assert x.shape == (64, 6, 2)
    pair = pairs(64, 5, torch.Generator().manual_seed(1))
    assert bool((pair[0] < pair[1]).all())
    assert (pair[0] == 0).float().mean() > 0.4
    known = consistency_error(lambda level: point.expand(64, -1), lambda level: point.expand(64, -1), x[:, -1], pair, 5)
    assert known.abs().max() < 1e-5
    wrong = consistency_error(lambda level: 0 * noise, lambda level: point.expand(64, -1), x[:, -1], pair, 5)
    assert torch.allclose(wrong, -point.expand(64, -1), atol=1e-5)


def test_tuning_brings_one_call_nearer_to_where_the_teacher_ends(data: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, max_steps=60, batch_size=32, learning_rate=3e-4, warmup_steps=5)
    teacher = load_prior("panda", PANDA)
    assert isinstance(teacher, MlpPrior)
    report = distill(
        data, tmp_path, robot=PANDA, prior="panda", distillation=DistillSettings(count=60, levels=4), settings=settings
    )
    assert report.file is not None
    tuned = load_prior(report.file, PANDA)
    assert isinstance(tuned, MlpPrior)
    examples = TaughtExamples(data, teacher, teacher.network, PANDA, levels=4, count=60, validation_fraction=0.0)
    ways = Ways.of(examples.train, teacher.network, 4)
    first = torch.zeros(len(examples.train), dtype=torch.long)

    def error(prior: MlpPrior) -> float:
        with torch.no_grad():
            return float(((ways.end_from(prior.network, first) - ways.x[:, -1]) / prior.noise_scale).square().mean())

    assert error(tuned) < 0.8 * error(teacher)
    assert not isinstance(tuned, ScenePrior)


def test_a_shortcut_model_is_made_by_the_command_and_plans(data: Path, tmp_path: Path) -> None:
    run("--prior", "panda", "--data", str(data), "--out", str(tmp_path), "--method", "shortcut", "--max-steps", "6")
    file = tmp_path / "prior.safetensors"
    prior = load_prior(file, PANDA)
    assert isinstance(prior, MlpPrior)
    assert prior.one_call
    assert prior.network.config.told_step
    assert read_card(file).origin.startswith("shortcut model of panda ")
    result = edmp.plan(edmp.Scene(), [0, 0, 0, -2, 0, 2, 0.8], [1, 0, 0, -2, 0, 2, 0.8], prior=str(file))
    assert result.solved


def test_before_tuning_a_shortcut_model_is_the_prior_whatever_its_step() -> None:
    known = load_prior("panda", PANDA)
    assert isinstance(known, MlpPrior)
    student = shortcut_student(known.network)
    x = known.noise(4, generator=torch.Generator().manual_seed(0))
    problem = student.problem_embedding(torch.tensor([START]), torch.tensor([GOAL]))
    for to in (None, torch.tensor([[0.5]])):
        torch.testing.assert_close(
            student.denoise(x, torch.tensor([[1.0]]), problem, to),
            known.network.denoise(x, torch.tensor([[1.0]]), problem),
        )


def test_one_step_of_a_line_lands_where_two_do_and_the_longest_spans_the_ladder() -> None:
    """Where the clean sample is known exactly, all steps agree; half of it, and the halves correct one another."""
    x, clean = torch.randn(5, 3), torch.ones(5, 3)
    levels = tuple(torch.full((5, 1), s) for s in (8.0, 2.0, 0.0))
    known = of_two_halves(lambda x, s, t: clean, x, levels)  # type: ignore[arg-type]
    torch.testing.assert_close(known, clean)
    drawn = [of_two_halves(lambda x, s, t: 0.5 * x, x, levels)]  # type: ignore[arg-type]
    between = stepped(x, 0.5 * x, levels[0], levels[1])
    torch.testing.assert_close(drawn[0], 0.5 * between)
    start, middle, end = spans(400, 4, torch.Generator().manual_seed(0))
    assert set((end - start).tolist()) == {2, 4, 8, 16}
    assert (middle - start == end - middle).all()
    assert ((start >= 0) & (end <= 16)).all()
    assert (start[end - start == 16] == 0).all()


def test_shortcuts_are_of_priors_of_start_and_goal(data: Path, tmp_path: Path) -> None:
    for words, message in (
        (["--prior", "panda-scene"], "start and goal"),
        (["--method", "magic"], "magic.*consistency"),
    ):
        options = {"--prior": "panda", "--method": "shortcut", **{words[0]: words[1]}}
        flat = [word for pair in options.items() for word in pair]
        done = CliRunner().invoke(
            app, ["distill", "--data", str(data), "--out", str(tmp_path), "--max-steps", "2", *flat]
        )
        assert done.exit_code != 0
        assert re.search(message, done.output + str(done.exception))
