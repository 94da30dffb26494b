"""Expert iteration: certified motions in new scenes flow back, round by round, by the command; runs go on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.data.generate import GenerateSettings, scene_source
from edmp.data.training_set import read_manifest, read_shard
from edmp.learning.card import read_card
from edmp.learning.tensors import load_tensors
from edmp.prior.checkpoint import load_prior
from edmp.prior.mlp import MlpPrior
from edmp.robots import load_robot
from edmp.scenes.generators import generate
from edmp.validate import Judge

PANDA = load_robot("panda")
SMALL = ["--scenes", "3", "--queries", "2", "--proofs", "1", "--anchor-shards", "1", "--max-steps", "3"]
SMALL += ["--batch-size", "8", "--threads", "1"]


def command(data: Path, out: Path, *words: str) -> list[str]:
    return ["improve", "--data", str(data), "--out", str(out), *SMALL, *words]


@pytest.fixture(scope="module")
def improved(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("improve")
    done = CliRunner().invoke(app, command(data, out, "--prior", "panda", "--rounds", "2"))
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "round 2: free as drawn" in done.output
    return out


def test_each_round_has_a_figure_and_a_prior_that_plans_and_the_control_beside_it(improved: Path) -> None:
    figures = json.loads((improved / "figures.json").read_text())
    assert [figure["name"] for figure in figures] == ["before", "round 1", "control 1", "round 2", "control 2"]
    assert all(0 <= figure[key] <= 1 for figure in figures for key in ("unguided", "guided", "looks"))
    problem = edmp.load_example("bookshelf")
    for number in (1, 2):
        prior = improved / f"round-{number}" / "prior.safetensors"
        assert edmp.plan(problem.scene, problem.start, problem.goal, prior=prior).solved
        assert read_card(prior).origin.endswith("its own motions")
        assert read_card(improved / f"round-{number}" / "control" / "prior.safetensors").origin.endswith("data alone")
    first, second = (load_prior(improved / f"round-{number}" / "prior.safetensors", PANDA) for number in (1, 2))
    assert isinstance(first, MlpPrior)
    assert isinstance(second, MlpPrior)
    assert not torch.equal(first.network.read.weight, second.network.read.weight)


def test_motions_that_flow_back_are_free_in_new_scenes_and_good_ones_come_several_times(improved: Path) -> None:
    folder = improved / "round-1" / "motions"
    settings = read_manifest(folder)["settings"]
    source = GenerateSettings(**{**settings, "families": tuple(settings["families"])})
    control_points, scenes = read_shard(folder / "shard-00000.safetensors")
    num = int(load_tensors(folder / "shard-00000.safetensors")["motions"])
    assert 1 < num < len(control_points)
    judge = Judge(PANDA, generate(*scene_source(source, int(scenes[0]))).scene)
    basis = load_prior("panda", PANDA).spline.basis_at(np.linspace(0, 1, 100))  # type: ignore[attr-defined]
    path = basis @ control_points[0].double().numpy()
    assert judge.check_path(path, start=path[0], goal=path[-1]).valid
    assert source.seed != read_manifest(improved.parent / improved.name / "round-2" / "motions")["settings"]["seed"]


def test_a_run_that_stopped_goes_on_with_what_is_missing(data: Path, improved: Path) -> None:
    kept = improved / "round-1" / "prior.safetensors"
    before = kept.stat().st_mtime_ns
    weights = load_tensors(improved / "round-2" / "prior.safetensors")
    (improved / "round-2" / "prior.safetensors").unlink()
    (improved / "round-2" / "checkpoint.safetensors").unlink()
    done = CliRunner().invoke(app, command(data, improved, "--prior", "panda", "--rounds", "2"))
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert kept.stat().st_mtime_ns == before
    again = load_tensors(improved / "round-2" / "prior.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_one_that_sees_the_scene_is_improved_too(data: Path, tmp_path: Path) -> None:
    words = command(data, tmp_path, "--prior", "panda-scene", "--rounds", "1", "--no-control")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert read_card(tmp_path / "round-1" / "prior.safetensors").architecture == "scene"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prior", "panda", "--rounds", "3"], "other settings"),
        (["--prior", "process"], "process"),
        (["--prior", "pandy"], "pandy"),
        (["--prior", "panda", "--data", "nowhere"], "nowhere"),
        (["--prior", "panda", "--robot", "ur5"], "ur5"),
    ],
)
def test_what_cannot_go_on_is_refused_by_name(words: list[str], message: str, data: Path, improved: Path) -> None:
    done = CliRunner().invoke(app, command(data, improved, *words))
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)
