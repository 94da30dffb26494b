"""The compact policy: what it sees, experts whose goals can be foreseen, training and planning by the front door."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from waypoint_cases import over_the_box, task

from edmp.baselines.mpinets import grouping
from edmp.baselines.mpinets.compact import CompactConfig, CompactNetwork
from edmp.baselines.mpinets.imitation_set import ImitationSettings
from edmp.baselines.mpinets.planner import Mpinets, MpinetsSettings, stepper
from edmp.baselines.mpinets.steady_set import SteadySet
from edmp.baselines.mpinets.weights import card_of, load_weights
from edmp.cli import main
from edmp.collision.free import free
from edmp.collision.world import World
from edmp.data.generate import GenerateSettings
from edmp.data.generate import generate as generate_data
from edmp.data.nearest import nearest_goals
from edmp.data.training_set import read_shard
from edmp.errors import InvalidInputError
from edmp.geometry.poses import pose
from edmp.learning.card import save_network
from edmp.result import Status
from edmp.robots import load_robot
from edmp.robots.kinematics import tool_pose
from edmp.scenes import Scene
from edmp.scenes.generators import generate

TINY = {
    "num_obstacle_points": 64,
    "centers": 12,
    "target_centers": 4,
    "scene_centers": 8,
    "scene_neighbors": 4,
    "scene_widths": [8, 8],
    "scene_global": [16],
    "decoder_widths": [64, 64],
}
PANDA = load_robot("panda")


def limits() -> tuple[list[float], list[float]]:
    return PANDA.limits.lower.tolist(), PANDA.limits.upper.tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Experts' motions on a few tables."""
    out = tmp_path_factory.mktemp("near")
    few = GenerateSettings(
        count=1, families=("tabletop",), goals="nearest", queries_per_scene=8, targets_per_scene=12, scenes_per_shard=6
    )
    generate_data(out, few, workers=1)
    return out


# --- experts ---------------------------------------------------------------------------------------------------------


def test_goals_are_the_nearest_of_their_poses_whatever_configuration_they_were_asked_with() -> None:
    rng = np.random.default_rng(3)
    world = World.of(PANDA, generate("tabletop", rng).scene)
    q = rng.uniform(PANDA.limits.lower, PANDA.limits.upper, (400, 7))
    q = q[free(world, q)][:60]
    starts, asked = q[:30], q[30:]
    kept, goals = nearest_goals(PANDA, world, starts, asked, margin=0.0)
    assert len(goals) > 25
    rows = [int(np.flatnonzero((starts == start).all(axis=1))[0]) for start in kept]
    poses, wanted = (tool_pose(PANDA, torch.as_tensor(x)) for x in (goals, asked[rows]))
    assert (poses - wanted).abs().max() < 3e-3
    assert free(world, goals).all()
    distance = np.linalg.norm(goals - kept, axis=1)
    assert (distance <= np.linalg.norm(asked[rows] - kept, axis=1) + 1e-3).all()
    # asked with the answer, it gives the answer: the choice does not depend on where one looked first
    again_kept, again = nearest_goals(PANDA, world, kept, goals, margin=0.0)
    assert np.array_equal(again_kept, kept)
    assert np.median(np.linalg.norm(again - goals, axis=1)) < 0.02
    assert (np.linalg.norm(again - kept, axis=1) <= distance + 0.02).all()


def test_generated_goals_are_foreseeable_and_the_manifest_says_so(folder) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["settings"]["goals"] == "nearest"
    assert manifest["reversible"] is False
    paths, _ = read_shard(next(folder.glob("shard-*.safetensors")))
    starts, goals = paths[:, 0].double().numpy(), paths[:, -1].double().numpy()
    kept, nearest = nearest_goals(PANDA, World.of(PANDA, Scene()), starts, goals, margin=0.0)
    assert len(kept) == len(starts)
    # without obstacles the nearest is no farther; on tables it mostly is the very same
    assert np.median(np.linalg.norm(nearest - goals, axis=1)) < 0.05


# --- what is seen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nearest", [grouping.nearest_points, grouping.nearest_points_definition])
def test_nearest_points_are_those_of_the_definition(nearest) -> None:
    generator = torch.Generator().manual_seed(1)
    p, center = torch.rand(2, 150, 3, generator=generator), torch.rand(3, 6, 3, generator=generator)
    p = grouping.along_a_curve(p)
    cloud = torch.tensor([1, 0, 1])
    found = nearest(p, cloud, center, 0.3, 5)
    for row in range(3):
        for ball in range(6):
            distance = (p[cloud[row]] - center[row, ball]).norm(dim=1)
            expected = [k for k in distance.argsort().tolist() if distance[k] < 0.3][:5]
            assert found[row, ball].tolist() == expected + [-1] * (5 - len(expected))


def test_along_the_curve_neighbours_follow_each_other() -> None:
    p = torch.rand(2, 400, 3, generator=torch.Generator().manual_seed(1))
    ordered = grouping.along_a_curve(p)
    for before, after in zip(p, ordered, strict=True):
        assert sorted(map(tuple, after.tolist())) == sorted(map(tuple, before.tolist()))
        assert after.diff(dim=0).norm(dim=1).mean() < 0.4 * before.diff(dim=0).norm(dim=1).mean()


def test_near_the_arm_all_points_count_and_far_from_it_a_few() -> None:
    torch.manual_seed(0)
    network = CompactNetwork(CompactConfig(**{**TINY, "coarse_points": 32}), *limits()).eval()
    q = torch.as_tensor(PANDA.home, dtype=torch.float32)[None]
    X_0T = tool_pose(PANDA, q)
    far = torch.tensor([-0.9, 0.0, 0.1]).expand(1, 64, 3).clone()
    near = far.clone()
    near[0, 40] = X_0T[0, :3, 3] + 0.02  # none of the first, coarse ones
    with torch.inference_mode():
        there, here = (stepper(network, PANDA, cloud, X_0T)(q) for cloud in (far, near))
    assert not torch.allclose(there, here, atol=1e-6)


def test_a_step_depends_on_the_obstacles_near_the_arm_and_not_on_where_the_base_stands() -> None:
    torch.manual_seed(0)
    config = CompactConfig(**TINY)
    network = CompactNetwork(config, *limits()).eval()
    q = torch.as_tensor(PANDA.home, dtype=torch.float32)[None]
    X_0T = tool_pose(PANDA, q + 0.3)
    cloud = torch.rand(1, 64, 3) * 0.2 + torch.tensor([0.4, -0.1, 0.3])
    there = PANDA.with_base(pose((1.0, 2.0, 0.5)))
    with torch.inference_mode():
        here = stepper(network, PANDA, cloud, X_0T)(q)
        assert torch.allclose(stepper(network, there, cloud, X_0T)(q), here, atol=1e-5)
        assert not torch.allclose(stepper(network, PANDA, cloud + 0.05, X_0T)(q), here, atol=1e-6)
        order = torch.randperm(64)
        near = network.view(PANDA, cloud, torch.zeros(1, dtype=torch.long), X_0T)
        shuffled = network.view(PANDA, cloud[:, order], torch.zeros(1, dtype=torch.long), X_0T)
        c = config.target_centers * config.local_widths[-1]
        assert torch.allclose(near.code[:, -c:], shuffled.code[:, -c:], atol=1e-5)


# --- training and planning -------------------------------------------------------------------------------------------


def test_examples_are_steps_of_one_length_that_end_at_the_goal(folder) -> None:
    settings = ImitationSettings(cloud_points=128, scene_examples=4)
    data = SteadySet(folder, settings, CompactConfig(**TINY), validation_fraction=0.3, max_validation=16)
    examples = data.batch(200, torch.Generator().manual_seed(0))
    now = data.steps(examples, torch.Generator().manual_seed(0))
    moved, left = (now.q_next - now.q).norm(dim=1), (now.q_goal - now.q).norm(dim=1)
    steady = left > 0.3
    assert steady.any()
    assert (~steady).any()
    assert ((moved[steady] > 0.085) & (moved[steady] <= 0.1001)).all()  # chords of arcs of 0.1
    assert torch.allclose(now.q_next[left < 0.05], now.q_goal[left < 0.05], atol=1e-3)
    assert len(now.obstacle) <= 50
    assert torch.equal(now.scene.unique()[now.cloud], now.scene)
    assert (now.obstacle.norm(dim=-1) < 1.11).all()


def test_so_many_examples_are_of_paths_that_are_not_straight(folder) -> None:
    shares = []
    for detours in (0.0, 1.0):
        settings = ImitationSettings(cloud_points=128, scene_examples=4, detours=detours)
        data = SteadySet(folder, settings, CompactConfig(**TINY), validation_fraction=0.0, max_validation=1)
        path = data.batch(400, torch.Generator().manual_seed(0))[:, 0]
        way, length = data.queries(path)[:2], data._steady[1][path]
        assert torch.equal(data.detour[path], length > 1.003 * (way[1] - way[0]).norm(dim=1))
        crooked_scenes = data._scene[data.train[data.detour[data.train]]].unique()
        shares.append(data.detour[path][torch.isin(data._scene[path], crooked_scenes)].float().mean())
    assert shares[0] < 0.9
    assert shares[1] == 1.0


def test_examples_go_on_where_the_network_has_led_and_come_back_to_the_path(folder) -> None:
    settings = ImitationSettings(cloud_points=128, scene_examples=4, continued=1.0)
    data = SteadySet(folder, settings, CompactConfig(**TINY), validation_fraction=0.0, max_validation=1)
    generator = torch.Generator().manual_seed(0)
    first = data.batch(40, generator)
    assert data.own_places(first) is None
    led = data.steps(first, generator).q_next + 0.02
    led[:10] += 1.0  # far astray: these begin afresh
    data.went(first, led)
    then = data.batch(40, generator)
    own = data.own_places(then)
    assert own is not None
    assert data.own_places(then.clone()) is None  # validation is not led
    assert own[:10].isnan().all()
    on = own.isfinite().all(dim=1)
    assert on[10:].float().mean() > 0.5
    assert torch.equal(own[on], led[on])
    assert torch.equal(then[:, 0], first[:, 0])
    now = data.steps(then, generator)
    assert ((now.q - led).norm(dim=1)[on] < 0.1).all()


def test_trained_resumed_and_planned_with_by_the_command_line(folder, tmp_path, capsys) -> None:
    words = ["train", "--kind", "mpinets", "--arch", "compact", "--data", str(folder), "--out", str(tmp_path)]
    sizes = [word for key, value in TINY.items() for word in ("--config", f"{key}={json.dumps(value)}")]
    few = {"cloud_points": 128, "num_loss_points": 24, "rollout_every": 6, "rollouts": 4, "continued": 0.5}
    words += [*sizes, *(word for key, value in few.items() for word in ("--imitation", f"{key}={value}"))]
    for steps in ("6", "12"):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--batch-size", "32", "--max-steps", steps])
        assert ended.value.code in (0, None)
    curve = json.loads((tmp_path / "rollouts.json").read_text())
    assert [row["step"] for row in curve] == [6, 12]
    assert all(0 <= row["solved"] <= row["reached"] <= 1 for row in curve)
    network, card = load_weights(tmp_path / "mpinets.safetensors")
    assert card.architecture == "mpinets-compact"
    assert card.data["rollouts"] == curve
    assert "How it differs" in (tmp_path / "mpinets.md").read_text()
    planner = Mpinets(MpinetsSettings(weights=str(tmp_path / "mpinets.safetensors"), max_steps=5))
    claim = planner.search(task(over_the_box()))
    assert claim.status is Status.NO_PATH_FOUND
    assert "after 5 steps the tool is" in claim.message
    assert not network.training


def test_corrections_begin_where_the_policy_went_astray(folder, tmp_path, capsys) -> None:
    """A policy that knows nothing solves nothing: it is put right in its own scenes, once."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = CompactConfig(**TINY)
    torch.manual_seed(1)
    policy = CompactNetwork(config, *limits())
    save_network(tmp_path / "lost.safetensors", policy, card_of(config, PANDA, seed=0, command=""))
    words = ["generate", "--out", str(tmp_path), "--correct", str(tmp_path / "lost.safetensors")]
    for message in (" corrections added", "0 corrections added"):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code in (0, None)
        assert message in capsys.readouterr().out
    before, scenes = read_shard(tmp_path / "shard-00000.safetensors")
    added, places = read_shard(tmp_path / "shard-00000-c1.safetensors")
    assert len(added) > 3
    assert set(places.tolist()) <= set(scenes.tolist())
    ends = [tool_pose(PANDA, paths[:, -1]) for paths in (before, added)]
    for X, scene in zip(ends[1], places.tolist(), strict=True):  # a target of its own scene, from somewhere else
        assert (ends[0][scenes == scene] - X).abs().amax(dim=(1, 2)).min() < 5e-3
    assert (torch.cdist(added[:, 0], before[:, 0]) > 1e-3).all(dim=1).float().mean() > 0.5
    data = SteadySet(tmp_path, ImitationSettings(cloud_points=64), config, validation_fraction=0, max_validation=1)
    assert len(data) == len(before) + len(added)


def test_data_whose_goals_cannot_be_foreseen_are_refused(folder, tmp_path) -> None:
    (tmp_path / "shard-00000.safetensors").write_bytes(next(folder.glob("shard-*")).read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"reversible": True}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInputError, match="--goals nearest"):
        SteadySet(
            tmp_path,
            ImitationSettings(cloud_points=128),
            CompactConfig(**TINY),
            validation_fraction=0.0,
            max_validation=1,
        )
