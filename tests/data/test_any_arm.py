"""Another arm than the Panda by the same commands: scenes at its shoulder, motions, and a prior that plans."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.collision import edges_free
from edmp.data.generate import GenerateSettings, generate, scene_questions, scene_source
from edmp.data.scene_rows import scene_world
from edmp.data.task_poses import task_configurations
from edmp.data.training_set import read_shard
from edmp.errors import InvalidInputError
from edmp.prior.base import Context
from edmp.prior.checkpoint import default_prior, load_prior
from edmp.prior.mlp import MlpPrior
from edmp.prior.process import ProcessPrior
from edmp.prior.scene import ScenePrior
from edmp.prior.spline import Spline
from edmp.robots import load_robot, save_robot
from edmp.robots.configuration import one_turn
from edmp.scenes.generators import Placement, placement
from edmp.scenes.generators import generate as generate_scene

UR5 = load_robot("ur5")
FEW = GenerateSettings(count=8, seed=5, families=("tabletop",), queries_per_scene=8, scenes_per_shard=4)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A description file of an arm that does not come with edmp."""
    path = tmp_path_factory.mktemp("arm") / "stiff.yaml"
    save_robot(dataclasses.replace(UR5, name="stiff"), path)
    return path


@pytest.fixture(scope="module")
def motions(arm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions")
    generate(folder, dataclasses.replace(FEW, robot=str(arm)), workers=1)
    return folder


def test_scenes_hang_at_the_arms_shoulder_and_are_scaled_to_its_reach() -> None:
    assert placement(load_robot("panda")) == placement(load_robot("fr3")) == Placement()
    assert placement(UR5) == Placement(1.0, 0.089)

    def half(X: np.ndarray) -> np.ndarray:
        X = X.copy()
        X[:3, 3] *= 0.5
        return X

    joints = tuple(dataclasses.replace(joint, X_PJ=half(joint.X_PJ)) for joint in UR5.joints)
    tool = dataclasses.replace(UR5.tool, X_BT=half(UR5.tool.X_BT))
    small = dataclasses.replace(UR5, joints=joints, tool=tool)
    assert placement(small) == Placement(0.5, 0.045)

    drawn, placed = (generate_scene("clutter", np.random.default_rng(3), robot) for robot in (None, small))
    assert len(drawn.scene) == len(placed.scene) > 5
    for a, b in zip(drawn.scene, placed.scene, strict=True):
        np.testing.assert_allclose(b.X_WO[:3, 3], 0.5 * (a.X_WO[:3, 3] - [0, 0, 0.333]) + [0, 0, 0.045])
        for field in dataclasses.fields(a.shape):
            np.testing.assert_allclose(getattr(b.shape, field.name), 0.5 * np.array(getattr(a.shape, field.name)))
    targets = placed.targets(np.random.default_rng(4), 30)
    assert len(targets) > 10
    assert np.linalg.norm(targets[:, :3, 3] - [0, 0, 0.045], axis=1).max() < 0.43


def test_configurations_are_drawn_within_one_turn() -> None:
    panda = load_robot("panda")
    for lower, known in zip(one_turn(panda), (panda.limits.lower, panda.limits.upper), strict=True):
        np.testing.assert_array_equal(lower, known)
    lower, upper = one_turn(UR5)
    np.testing.assert_allclose(upper - lower, 2 * np.pi)
    rng = np.random.default_rng(0)
    generated = generate_scene("tabletop", rng, UR5)
    q = task_configurations(UR5, generated.targets(rng, 24), rng)
    assert len(q) > 24
    assert np.abs(q).max() <= np.pi


def test_an_arm_from_a_file_gets_motions_and_a_prior_by_the_same_commands(
    arm: Path, motions: Path, tmp_path: Path
) -> None:
    robot = load_robot(arm)
    manifest = json.loads((motions / "manifest.json").read_text())
    assert manifest["robot"] == "stiff"
    control_points, scene = read_shard(next(motions.glob("shard-*.safetensors")))
    assert len(scene) >= 8
    source = GenerateSettings(**{**manifest["settings"], "families": tuple(manifest["settings"]["families"])})
    for number in scene.unique().tolist():
        path = Spline().waypoints(control_points[scene == number], 96)
        assert bool(edges_free(scene_world(source, number, robot), path).all())

    common = ["train", "--kind", "prior", "--robot", str(arm), "--data", str(motions), "--threads", "1"]
    common += ["--max-steps", "3", "--batch-size", "16"]
    ends, sees = tmp_path / "ends", tmp_path / "scene"
    small = ["--config", "width=32", "--config", "depth=2"]
    for words in (
        ["--out", str(ends), *small],
        ["--out", str(sees), "--arch", "scene", "--base", str(ends / "prior.safetensors"), *small],
    ):
        done = CliRunner().invoke(app, [*common, *words])
        assert done.exit_code == 0, done.output + str(done.exception)
    done = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "none"), "--arch", "scene"])
    assert done.exit_code != 0
    assert "--base" in done.output + str(done.exception)
    prior = load_prior(sees / "prior.safetensors", robot)
    assert isinstance(prior, ScenePrior)
    block = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.1)), (0.0, 0.0, 1.5))})
    goal = robot.home + np.array([0.4, 0.2, 0.0, 0.0, 0.0, 0.5])
    assert edmp.plan(block, robot.home, goal, robot=robot, prior=str(sees / "prior.safetensors")).solved


def test_a_ur5_plans_with_weights_of_its_own_whatever_turn_its_joints_are_in() -> None:
    prior = edmp.Planner("ur5").prior
    assert isinstance(prior, MlpPrior)
    x = prior.noise(4, generator=torch.Generator().manual_seed(0))
    start = torch.tensor(UR5.home, dtype=torch.float32) + torch.tensor([-2.5, 0.0, 0.0, 0.0, 0.0, 2.6])
    goal = start + torch.tensor([1.0, 0.3, -0.4, 0.2, 0.0, -1.6])
    turns = 2 * np.pi * torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    ends = [(start, goal), (start + turns, goal + turns), (start, start)]
    here, there, nowhere = (prior.denoise(x, 1.0, Context(*pair)) / prior.noise_scale for pair in ends)
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)
    assert (here - nowhere).abs().max() > 2e-3  # though it does know its ends
    block = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.1)), (0.0, 0.0, 1.5))})
    assert edmp.plan(block, (start + turns).double().numpy(), (goal + turns).double().numpy(), robot="ur5").solved


def test_an_arm_of_that_name_with_other_joints_plans_with_a_gaussian_process() -> None:
    fewer = dataclasses.replace(load_robot("panda"), name="ur5")
    assert isinstance(default_prior(fewer), ProcessPrior)


def test_motions_from_scenes_that_stood_elsewhere_are_refused(arm: Path, motions: Path, tmp_path: Path) -> None:
    manifest = json.loads((motions / "manifest.json").read_text())
    del manifest["scenes"]  # as data of before scenes were fitted to the arm
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInputError, match=r"stood elsewhere.*0\.333.*0\.089"):
        generate(tmp_path, dataclasses.replace(FEW, robot=str(arm)), workers=1)


def test_links_whose_spheres_always_overlap_do_not_bar_every_question() -> None:
    family, rng = scene_source(dataclasses.replace(FEW, robot="ur5"), 0)
    _, world, _, starts, goals = scene_questions(UR5, family, rng, FEW)
    assert len(starts) > 3
    assert world.chain is not None
    assert torch.as_tensor(starts - goals).norm(dim=1).min() > 0.1
