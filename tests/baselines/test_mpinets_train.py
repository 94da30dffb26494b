"""Imitation: what examples are, what the loss says of them, and that a run learns, resumes exactly and ships."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from edmp.baselines.mpinets.imitation_set import ImitationSet, ImitationSettings, SceneBatch
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
from edmp.baselines.mpinets.point_cloud import robot_points
from edmp.baselines.mpinets.train import ImitationLoss, export_mpinets, point_match, train_mpinets
from edmp.baselines.mpinets.weights import card_of, load_policy, load_weights
from edmp.cli import main
from edmp.data.generate import GenerateSettings, scene_source
from edmp.errors import EdmpError, InvalidInputError
from edmp.learning.training import CHECKPOINT_NAME, TrainSettings
from edmp.prior.spline import Spline
from edmp.robots import load_robot
from edmp.scenes import Box, Capsule, Cylinder, Scene, Sphere
from edmp.scenes.distance import scene_distance
from edmp.scenes.generators import generate

TINY = {
    "num_robot_points": 24,
    "num_obstacle_points": 32,
    "num_target_points": 16,
    "centers_1": 12,
    "radius_1": 0.2,
    "neighbors_1": 6,
    "centers_2": 4,
    "neighbors_2": 4,
    "widths_1": (8,),
    "widths_2": (12,),
    "widths_global": (16,),
    "fc_widths": (16, 16, 16),
    "fc_groups": 4,
    "encoder_widths": (16,),
    "decoder_widths": (32,),
    "step_scale": 0.05,
}
FEW = ImitationSettings(steps_per_path=10, num_loss_points=20, cloud_points=64)
SOURCE = GenerateSettings(seed=5, families=("shelf", "tabletop"))


def settings(**changes) -> TrainSettings:
    chosen = {"max_steps": 12, "batch_size": 8, "warmup_steps": 4, "log_every": 4, "validate_every": 6}
    chosen |= {"max_validation": 16}
    return TrainSettings(**{**chosen, "config": TINY, "progress": False, "validation_fraction": 0.3, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Straight motions in a few generated scenes, whatever stands in their way."""
    out, robot = tmp_path_factory.mktemp("data"), load_robot("panda")
    rng = np.random.default_rng(0)
    manifest = {"version": 1, "reversible": True, "settings": asdict(SOURCE), "shards": {}}
    (out / "manifest.json").write_text(json.dumps(manifest))
    for shard in range(2):
        ends = rng.uniform(robot.limits.lower, robot.limits.upper, (2, 12, 7))
        control_points = Spline().straight_line(*torch.as_tensor(ends, dtype=torch.float32))
        scene = torch.arange(12, dtype=torch.int32) // 2 + 100 * shard
        save_file(
            {"control_points": control_points.contiguous(), "scene": scene}, out / f"shard-{shard:05d}.safetensors"
        )
    return out


def data_of(folder: Path, imitation: ImitationSettings = FEW, fraction: float = 0.3) -> ImitationSet:
    return ImitationSet(folder, imitation, num_obstacle_points=32, validation_fraction=fraction, max_validation=20)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- examples --------------------------------------------------------------------------------------------------------


def test_distances_in_many_scenes_are_those_in_each() -> None:
    rng = np.random.default_rng(0)
    mixed = Scene.of(
        {
            "box": (Box((0.2, 0.4, 0.1)), (0.3, 0, 0.2), (0.0, 0.6, 0.0, 0.8)),
            "can": (Cylinder(0.1, 0.3), (-0.3, 0.2, 0.4), (0.6, 0.0, 0.0, 0.8)),
            "pipe": (Capsule(0.05, 0.5), (0.0, -0.5, 0.1)),
            "ball": (Sphere(0.2), (0.1, 0.4, 0.8)),
        }
    )
    scenes = [mixed, Scene(), Scene.of({"box": (Box((0.1, 0.1, 0.1)), (0, 0, 1))}), generate("shelf", rng).scene]
    batch = SceneBatch(scenes)
    p = torch.as_tensor(rng.uniform(-1, 1, (5, 200, 3)), dtype=torch.float32).requires_grad_()
    index = torch.tensor([3, 0, 2, 1, 0])
    found = batch.distance(index, p)
    for row, s in enumerate(index.tolist()):
        if len(scenes[s]):
            assert torch.allclose(found[row], scene_distance(scenes[s], p[row])[0], atol=1e-5)
        else:
            assert (found[row] > 100).all()
    found.clamp(max=1.0).sum().backward()
    assert torch.isfinite(p.grad).all()


def test_an_example_is_a_step_along_a_path_and_sees_its_own_scene(folder) -> None:
    data = data_of(folder)
    examples = torch.tensor([[3, 4, 0], [3, 9, 0], [3, 0, 1], [13, 2, 1]])
    now = data.situations(examples, seeded())
    waypoints = Spline().waypoints(data.paths, 10)
    assert torch.allclose(
        now.q, torch.stack([waypoints[3, 4], waypoints[3, 9], waypoints[3, 9], waypoints[13, 7]]), atol=1e-5
    )
    expected = torch.stack([waypoints[3, 5], waypoints[3, 9], waypoints[3, 8], waypoints[13, 6]])  # the last one stays
    assert torch.allclose(now.q_next, expected, atol=1e-5)
    assert torch.equal(
        now.q_goal, torch.stack([data.paths[3, -1], data.paths[3, -1], data.paths[3, 0], data.paths[13, 0]])
    )
    for row, number in enumerate((1, 1, 1, 100)):  # numbers of the scenes in the shards
        scene = generate(*scene_source(SOURCE, number)).scene
        gap = scene_distance(scene, now.obstacle[row])[0]
        assert gap.max() < 2e-3  # kept in half precision
        assert gap.median() > -2e-3  # some lie where one obstacle reaches into another
        assert torch.allclose(data.scenes.distance(now.scene[row : row + 1], now.q[row, None, None, :3]),
                              scene_distance(scene, now.q[row, None, None, :3])[0], atol=1e-5)  # fmt: skip


def test_train_and_validation_share_no_scene(folder) -> None:
    data = data_of(folder)
    train, held_out = (set(data._scene[rows].tolist()) for rows in (data.train, data.validation[:, 0]))
    assert train
    assert held_out
    assert not train & held_out
    drawn = data.batch(500, seeded())
    assert set(drawn[:, 0].tolist()) <= set(data.train.tolist())
    assert set(drawn[:, 1].tolist()) == set(range(10))
    assert set(drawn[:, 2].tolist()) == {0, 1}


# --- loss ------------------------------------------------------------------------------------------------------------


class Perfect(MpinetsNetwork):
    """Goes where it is told."""

    goal: Tensor

    def forward(self, cloud: Tensor, unit: Tensor) -> Tensor:
        return self.scaled(self.goal) - unit


def test_the_loss_is_the_formula(folder) -> None:
    robot, data = load_robot("panda"), data_of(folder)
    policy = Perfect(MpinetsConfig(**TINY), robot.limits.lower.tolist(), robot.limits.upper.tolist())
    examples = data.batch(60, seeded())
    now = data.situations(examples, seeded())
    body = robot_points(robot, FEW.num_loss_points, moving=True)

    def hinge(q: Tensor) -> Tensor:
        p = body.at(q)
        rows = [generate(*scene_source(SOURCE, int(n))).scene for n in numbers[now.scene]]
        distance = torch.stack([scene_distance(scene, one)[0] for scene, one in zip(rows, p, strict=True)])
        return 5.0 * (0.03 - distance).clamp(min=0).mean(dim=1)

    numbers = torch.cat([load_file(path)["scene"] for path in sorted(folder.glob("*.safetensors"))]).unique()
    policy.goal = now.q_next
    assert torch.allclose(ImitationLoss(data, robot)(policy, examples, seeded()), hinge(now.q_next), atol=1e-5)
    still = ImitationLoss(data_of(folder, replace(FEW, noise=0.0)), robot).standing_still(examples, seeded())
    assert torch.allclose(still, point_match(body.at(now.q), body.at(now.q_next)) + hinge(now.q), atol=1e-5)
    policy.goal = now.q_goal
    difference = body.at(now.q_goal) - body.at(now.q_next)
    expected = difference.abs().mean((1, 2)) + difference.square().mean((1, 2)) + hinge(now.q_goal)
    assert torch.allclose(ImitationLoss(data, robot)(policy, examples, seeded()), expected, atol=1e-5)
    assert hinge(now.q_goal).max() > 0  # something is within the margin
    assert torch.allclose(point_match(difference, torch.zeros(())), expected - hinge(now.q_goal), atol=1e-6)


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_learns_and_ships(folder, tmp_path) -> None:
    """On motions that stand still nothing is to be done: the untrained step goes away."""
    robot = load_robot("panda")
    longer = settings(max_steps=120, learning_rate=3e-3, log_every=20, validate_every=60)
    still = replace(FEW, noise=0.0, collision_weight=0.0, steps_per_path=200)
    report = train_mpinets(folder, tmp_path, robot=robot, settings=longer, imitation=still, command="edmp x")
    rows = list(csv.DictReader((tmp_path / "loss.csv").open()))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert report.metrics["validation_loss"] < 0.5 * float(rows[0]["loss"])
    network, card = load_weights(report.file)
    assert card.data["imitation"]["steps_per_path"] == 200
    assert card.command == "edmp x"
    text = (tmp_path / "mpinets.md").read_text()
    assert "retrained here, narrower" in text
    assert "| centers_1 | 12 | 512 |" in text
    assert load_policy(robot, report.file).config == network.config


def test_a_resumed_run_gives_the_same_weights(folder, tmp_path) -> None:
    robot = load_robot("panda")
    train_mpinets(folder, tmp_path / "whole", robot=robot, settings=settings(), imitation=FEW)
    first = settings(max_steps=5)
    # the learning rate anneals towards the end of a run: cut the same run short in place of ending it earlier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainSettings, "fraction_done", lambda self, step, seconds: 1.0 if step >= 5 else step / 12)
        train_mpinets(folder, tmp_path / "parts", robot=robot, settings=first, imitation=FEW)
    train_mpinets(folder, tmp_path / "parts", robot=robot, settings=settings(), imitation=FEW)
    whole, parts = (load_file(tmp_path / name / CHECKPOINT_NAME) for name in ("whole", "parts"))
    for name, tensor in whole.items():
        if name.startswith(("network.", "ema.", "rng.")):
            assert torch.equal(tensor, parts[name]), name
    card = export_mpinets(tmp_path / "parts", tmp_path / "early.safetensors", half=False)
    assert card.metrics["steps"] == 12
    ema = load_file(tmp_path / "early.safetensors")
    assert torch.equal(ema["encoder.0.weight"], whole["ema.encoder.0.weight"])


def test_trained_weights_are_trained_on_with_other_data(folder, tmp_path, capsys) -> None:
    robot = load_robot("panda")
    first = train_mpinets(folder, tmp_path / "first", robot=robot, settings=settings(), imitation=FEW)
    arguments = ["train", "--kind", "mpinets", "--data", str(folder), "--out", str(tmp_path / "on")]
    few = ["--imitation", "cloud_points=64", "--imitation", "num_loss_points=8", "--batch-size", "4"]
    on = ["--weights", str(first.file), "--max-steps", "1", "--learning-rate", "1e-9"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *few, *on])
    assert ended.value.code in (0, None)
    (before, _), (after, card) = load_weights(first.file), load_weights(tmp_path / "on" / "mpinets.safetensors")
    assert before.config == after.config
    for name, tensor in before.state_dict().items():
        assert torch.allclose(tensor, after.state_dict()[name], atol=1e-3), name
    assert card.origin.startswith("mpinets of ")
    assert "Comes from: mpinets of" in (tmp_path / "on" / "mpinets.md").read_text()
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--arch", "compact", "--weights", str(first.file), "--max-steps", "1"])
    assert ended.value.code == 2
    assert "is of architecture 'mpinets', not 'mpinets-compact'" in capsys.readouterr().err


def test_misuse_is_named(folder, tmp_path) -> None:
    robot = load_robot("panda")
    with pytest.raises(InvalidInputError, match="it has num_robot_points"):
        train_mpinets(folder, tmp_path, robot=robot, settings=settings(config={"depth": 3}), imitation=FEW)
    with pytest.raises(InvalidInputError, match="not of 'ur5'"):
        train_mpinets(folder, tmp_path, robot=load_robot("ur5"), settings=settings(), imitation=FEW)
    with pytest.raises(InvalidInputError, match="cloud_points must be at least 32"):
        data_of(folder, replace(FEW, cloud_points=8))
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text('{"settings": {"robot": "panda"}}')
    with pytest.raises(EdmpError, match="does not say how its scenes were made"):
        data_of(other)


def test_command_line(folder, tmp_path, capsys) -> None:
    sizes = [word for key, value in TINY.items() for word in ("--config", f"{key}={json.dumps(value)}")]
    arguments = [
        "train",
        "--kind",
        "mpinets",
        "--data",
        str(folder),
        "--out",
        str(tmp_path / "run"),
        "--max-steps",
        "2",
    ]
    few = ["--imitation", "cloud_points=64", "--imitation", "num_loss_points=8", "--batch-size", "4"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *few, *sizes])
    assert ended.value.code in (0, None)
    assert (tmp_path / "run" / "mpinets.safetensors").is_file()
    assert "written:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--imitation", "speed=3"])
    assert ended.value.code == 2
    assert "--imitation" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--arch", "mlp"])
    assert ended.value.code == 2
    assert "unknown architecture 'mlp'; valid: compact, published" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--base", "panda"])
    assert ended.value.code == 2
    assert "--base is for --kind prior, not for mpinets" in capsys.readouterr().err
    assert card_of(MpinetsConfig(**TINY), load_robot("panda"), seed=0, command="").architecture == "mpinets"
