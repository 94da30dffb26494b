"""What a network may be told of a scene: conditions train by the command, plan, and are refused by name elsewhere."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.collision.world import World
from edmp.errors import EdmpError, EdmpWarning
from edmp.learning.card import save_network, untrained_card
from edmp.prior.base import Context
from edmp.prior.checkpoint import load_network, load_prior, prior_path
from edmp.prior.conditions import CONDITIONS, ObstacleTokens, felt, scene_tokens
from edmp.prior.scene import SceneConfig, SceneNetwork, ScenePrior
from edmp.robots import load_robot

PANDA = load_robot("panda")
START, GOAL = torch.tensor([[-0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]]), torch.tensor([[0.6, 0.3, 0, -2.0, 0, 2.3, 0.8]])
SHAPES = {
    "box": edmp.Box((0.1, 0.2, 0.6)),
    "can": edmp.Cylinder(0.05, 0.3),
    "ball": edmp.Sphere(0.1),
    "pill": edmp.Capsule(0.05, 0.3),
}
TABLE = edmp.Scene.of({name: (shape, (0.45, 0.2 * i, 0.3)) for i, (name, shape) in enumerate(SHAPES.items())})
BLOCK = edmp.Scene.of({"block": (edmp.Box((0.1, 0.1, 0.6)), (0.45, 0.0, 0.3))})
FAR = edmp.Scene.of({"moon": (edmp.Sphere(0.5), (9.0, 0.0, 0.0))})


def untrained(condition: str) -> ScenePrior:
    """The bundled denoiser, corrected at random."""
    known, _ = load_network(prior_path("panda"))
    config = SceneConfig(base=dataclasses.asdict(known.config), condition=condition, width=32, depth=1)  # type: ignore[call-overload]
    torch.manual_seed(0)
    network = SceneNetwork(config, 7)
    network.base.load_state_dict(known.state_dict())
    torch.nn.init.normal_(network.write.weight)
    for block in network.blocks:
        torch.nn.init.normal_(block.film.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    return ScenePrior.of(network, robot_name="panda")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_trains_by_the_command_and_plans(condition: str, data: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(data), "--out", str(tmp_path), "--arch", "scene", "--base", "panda"]
    words += ["--max-steps", "3", "--batch-size", "16", "--threads", "1"]
    sizes = ["--config", "width=32", "--config", "depth=1", "--config", "num_waypoints=16"]
    done = CliRunner().invoke(app, [*words, *sizes, "--config", f'condition="{condition}"'])
    assert done.exit_code == 0, done.output + str(done.exception)
    file = tmp_path / "prior.safetensors"
    prior = load_prior(file, PANDA)
    assert isinstance(prior, ScenePrior)
    assert prior.network.config.condition == condition
    assert CONDITIONS[condition].knows in (tmp_path / "prior.md").read_text()
    assert edmp.plan(BLOCK, START[0].numpy(), GOAL[0].numpy(), prior=str(file)).solved
    other = next(name for name in CONDITIONS if name != condition)
    more = ["--max-steps", "6", "--config", f'condition="{other}"']
    done = CliRunner().invoke(app, [*words, *sizes, *more])
    assert done.exit_code != 0
    assert "condition" in done.output + str(done.exception)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_it_is_the_right_scene_that_corrects_and_cfg_weighs_it(condition: str) -> None:
    prior = untrained(condition)
    x = prior.noise(3, generator=torch.Generator().manual_seed(1))

    def at(cfg: float, scene: edmp.Scene) -> torch.Tensor:
        context = Context(START, GOAL, World.of(PANDA, scene))
        return dataclasses.replace(prior, cfg=cfg).denoise(x, 1.0, context)

    plain, once, twice = (at(cfg, TABLE) for cfg in (0.0, 1.0, 2.0))
    torch.testing.assert_close(twice - plain, 2 * (once - plain), rtol=1e-3, atol=1e-4)
    assert (once - at(1.0, edmp.Scene())).abs().max() > 1e-4


def test_the_line_is_felt_whatever_the_path() -> None:
    network = untrained("line").network
    world = World.of(PANDA, TABLE)
    path = network.spline.control_points(0.3 * torch.randn(2, 98), START.expand(2, -1), GOAL.expand(2, -1))
    told = network.touch(world, path)
    line = network.spline.control_points(torch.zeros(2, 98), START.expand(2, -1), GOAL.expand(2, -1))
    torch.testing.assert_close(
        told, felt(world, line, network.spline, network.config, (network.base.lower, network.base.upper))
    )
    assert told.abs().max() > 0.1


def test_obstacles_are_told_in_the_frame_of_the_base_and_other_kinds_as_points() -> None:
    robot = PANDA.with_base(np.array([[0, -1, 0, 1.0], [1, 0, 0, 2.0], [0, 0, 1, 0.5], [0, 0, 0, 1]]))
    there = edmp.Scene.of({"box": (edmp.Box((0.1, 0.2, 0.6)), (1.0, 2.45, 0.8))})
    rows, left_out = scene_tokens(World.of(robot, there), 4, 2.5)
    np.testing.assert_allclose(rows[0], [1, 0, 0, 0.05, 0.1, 0.3, 0.45, 0, 0.3, 0, -1, 0, 1, 0, 0], atol=1e-6)
    assert not rows[1:].any()
    assert not left_out
    rng = np.random.default_rng(0)
    cloud = edmp.Scene.of({"seen": (edmp.PointCloud(rng.uniform(0.3, 0.5, (200, 3)), 0.01), (0, 0, 0))})
    rows, _ = scene_tokens(World.of(PANDA, cloud), 32, 2.5)
    assert rows[: ObstacleTokens.POINTS, 2].all()
    assert (np.abs(rows[: ObstacleTokens.POINTS, 6:9] - 0.4) < 0.15).all()
    shown, _ = scene_tokens(World.of(PANDA, TABLE), 32, 2.5)
    assert shown[:5, :3].sum(axis=0).tolist() == [1, 2, 1]


def test_a_scene_outside_the_trained_workspace_warns_once() -> None:
    prior = untrained("tokens")
    planner = edmp.Planner(PANDA, prior=prior)
    with pytest.warns(EdmpWarning, match="within 2.5 m.*moon"):
        assert planner.plan(FAR, START[0].numpy(), GOAL[0].numpy()).solved
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert planner.plan(FAR, START[0].numpy(), GOAL[0].numpy(), seed=1).solved
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for felt_one in ("estimate", "line"):  # the kernel knows no workspace
            assert edmp.Planner(PANDA, prior=untrained(felt_one)).plan(FAR, START[0].numpy(), GOAL[0].numpy()).solved


def test_weights_of_a_condition_that_this_edmp_does_not_know_are_refused_by_name(tmp_path: Path) -> None:
    network = untrained("line").network
    card = untrained_card("scene", network.config, PANDA, seed=0, command="")
    file = tmp_path / "prior.safetensors"
    for config, message in (
        ({**card.config, "condition": "smell"}, "'smell'.*estimate, line, tokens"),
        ({**card.config, "condition": "estimate"}, "condition.read"),
        ({**card.config, "base": {**card.config["base"], "num_control_points": 12}}, "base"),
    ):
        save_network(file, network, dataclasses.replace(card, config=config))
        with pytest.raises(EdmpError, match=message) as told:
            edmp.plan(TABLE, START[0].numpy(), GOAL[0].numpy(), prior=str(file))
        assert "prior.safetensors" in str(told.value)
    save_network(file, network, dataclasses.replace(card, version=99))
    with pytest.raises(EdmpError, match="version 99"):
        edmp.plan(TABLE, START[0].numpy(), GOAL[0].numpy(), prior=str(file))
    save_network(file, network, card)
    ur5 = load_robot("ur5")
    with pytest.raises(EdmpError, match=r"panda.*ur5"):
        edmp.plan(TABLE, ur5.home, ur5.home, robot="ur5", prior=str(file))
