"""Motion Policy Networks: groups against their definitions, the published names, what is learnt, what is claimed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from waypoint_cases import over_the_box, task

from edmp.baselines.mpinets import grouping
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork, SetAbstraction
from edmp.baselines.mpinets.planner import Mpinets, MpinetsSettings, pose_error, targets
from edmp.baselines.mpinets.point_cloud import gripper_points, labelled, robot_points, target_points
from edmp.baselines.mpinets.weights import (
    MissingWeightsError,
    card_of,
    load_official,
    load_policy,
    load_weights,
    own_name,
)
from edmp.errors import FileFormatError, InvalidInputError
from edmp.geometry.distance import signed_distance
from edmp.geometry.kinds import sampler
from edmp.learning.card import save_network
from edmp.result import Status
from edmp.robots import load_robot
from edmp.robots.kinematics import body_poses, tool_pose
from edmp.scenes import Box, Capsule, Cylinder, Mesh, Scene, Sphere
from edmp.scenes.surface import sample_scene

TINY = MpinetsConfig(
    num_robot_points=40,
    num_obstacle_points=30,
    num_target_points=10,
    centers_1=16,
    centers_2=6,
    radius_1=0.2,
    neighbors_1=8,
    neighbors_2=5,
    widths_1=(8, 8),
    widths_2=(12, 16),
    widths_global=(16, 32),
    fc_widths=(32, 16, 16),
    fc_groups=4,
    encoder_widths=(8, 8),
    decoder_widths=(16,),
)


def network(config: MpinetsConfig = TINY, *, seed: int = 0) -> MpinetsNetwork:
    limits = load_robot("panda").limits
    torch.manual_seed(seed)
    return MpinetsNetwork(config, limits.lower.tolist(), limits.upper.tolist()).eval()


def random_cloud(batch: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.rand(batch, n, 3, generator=generator) for n in (40, 30, 10)]
    return labelled(*parts)


# --- surfaces --------------------------------------------------------------------------------------------------------

TETRAHEDRON = Mesh(
    np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]), np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
)
AREAS = {
    Box((0.2, 0.3, 0.5)): 2 * (0.06 + 0.15 + 0.1),
    Cylinder(0.2, 0.5): 2 * math.pi * 0.2 * 0.7,
    Capsule(0.1, 0.4): 2 * math.pi * 0.1 * 0.6,
    Sphere(0.3): 4 * math.pi * 0.09,
    TETRAHEDRON: 1 + 1.5 + 3 + 3.5,
}


@pytest.mark.parametrize("shape", AREAS, ids=lambda shape: type(shape).__name__)
def test_points_lie_evenly_on_the_surface(shape) -> None:
    p = sampler(shape).sample(20_000, np.random.default_rng(0))
    assert sampler(shape).area == pytest.approx(AREAS[shape])
    assert signed_distance(shape, torch.as_tensor(p)).abs().max() < 1e-6
    # of an even spread, a strip of points within h of a plane through the surface's middle has its share of the area;
    # here: by symmetry as many points on each side of the middle, and the second moment that the density gives
    if not isinstance(shape, Mesh):
        assert np.abs(p.mean(axis=0)).max() < 0.01
    if isinstance(shape, Capsule):  # a share of the length, Archimedes
        inside = np.abs(p[:, 2]) < shape.length / 2
        assert inside.mean() == pytest.approx(0.4 / 0.6, abs=0.02)
    if isinstance(shape, Cylinder):
        caps = np.abs(p[:, 2]) > shape.length / 2 - 1e-9
        assert caps.mean() == pytest.approx(0.2 / 0.7, abs=0.02)
        assert (np.hypot(p[caps, 0], p[caps, 1]) < shape.radius / 2).mean() == pytest.approx(0.25, abs=0.02)
    if isinstance(shape, Box):
        assert (np.abs(p[:, 2]) > 0.25 - 1e-9).mean() == pytest.approx(0.12 / 0.62, abs=0.02)
    if isinstance(shape, Mesh):
        assert (p[:, 2] < 1e-9).mean() == pytest.approx(1 / 9, abs=0.02)
        assert (p[p[:, 2] < 1e-9][:, :2]).mean(axis=0) == pytest.approx([1 / 3, 2 / 3], abs=0.05)


def test_scene_points_are_in_the_world_and_shared_by_area() -> None:
    scene = Scene.of({"small": (Box((0.1, 0.1, 0.1)), (5, 0, 0)), "large": (Sphere(1.0), (-5, 0, 0))})
    p = sample_scene(scene, 4000, np.random.default_rng(0))
    assert p.shape == (4000, 3)
    assert (p[:, 0] > 0).mean() == pytest.approx(0.06 / (0.06 + 4 * math.pi), abs=0.003)
    assert sample_scene(Scene(), 10, np.random.default_rng(0)).shape == (0, 3)


# --- grouping --------------------------------------------------------------------------------------------------------


def brute_farthest(p: np.ndarray, count: int) -> list[int]:
    chosen = [0]
    while len(chosen) < count:
        distance = np.linalg.norm(p[:, None] - p[chosen], axis=2).min(axis=1)
        distance[(p**2).sum(axis=1) <= 1e-3] = -1.0
        chosen.append(int(distance.argmax()))
    return chosen


def brute_ball(p: np.ndarray, center: np.ndarray, radius: float, count: int) -> list[int]:
    inside = [k for k in range(len(p)) if np.linalg.norm(p[k] - center) < radius][:count]
    return (inside + [inside[0] if inside else 0] * count)[:count]


@pytest.mark.parametrize("farthest", [grouping.farthest_points, grouping.farthest_points_definition])
def test_farthest_points_are_those_of_the_definition(farthest) -> None:
    p = torch.rand(5, 60, 3, generator=torch.Generator().manual_seed(1)) - 0.5
    p[:, 7] = torch.tensor([0.0, 0.02, 0.02])  # too near the origin to be chosen
    chosen = farthest(p, 20)
    assert chosen.tolist() == [brute_farthest(row.double().numpy(), 20) for row in p]
    assert (chosen != 7).all()
    assert len(set(farthest(p[:1, :4] + 1, 9)[0].tolist())) == 4  # fewer points than asked for: all, then repeats


@pytest.mark.parametrize("ball", [grouping.ball_query, grouping.ball_query_definition])
def test_ball_query_is_that_of_the_definition(ball) -> None:
    p = torch.rand(3, 50, 3, generator=torch.Generator().manual_seed(2))
    center = torch.cat([p[:, :6], p[:, :1] + 10], dim=1)  # the last is far from everything
    found = ball(p, center, 0.3, 8)
    expected = [
        [brute_ball(row.numpy(), c, 0.3, 8) for c in centers.numpy()] for row, centers in zip(p, center, strict=True)
    ]
    assert found.tolist() == expected
    assert (found[:, -1] == 0).all()
    assert ball(p[:, :3], center, 0.3, 8).shape == (3, 7, 8)  # more neighbours asked for than there are points


# --- network ---------------------------------------------------------------------------------------------------------


def test_published_sizes_are_the_defaults() -> None:
    net = MpinetsNetwork(MpinetsConfig(), [-1.0] * 7, [1.0] * 7)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if name.endswith("weight") and p.ndim == 2]
    assert shapes == [
        *[(64, 4), (64, 64), (64, 64)],
        *[(128, 67), (128, 128), (256, 128)],
        *[(512, 259), (512, 512), (1024, 512)],
        *[(4096, 1024), (2048, 4096), (2048, 2048)],
        *[(32, 7), (64, 32), (128, 64), (128, 128), (64, 128)],
        *[(512, 2112), (256, 512), (128, 256), (7, 128)],
    ]
    norms = [m for m in net.fc if isinstance(m, nn.GroupNorm)]
    assert [(m.num_groups, m.num_channels) for m in norms] == [(16, 4096), (16, 2048)]


def test_a_set_abstraction_is_the_maximum_over_each_ball() -> None:
    torch.manual_seed(0)
    layer = SetAbstraction(6, 0.4, 5, [2, 7, 9])
    p, feature = torch.rand(2, 30, 3), torch.rand(2, 30, 2)
    center, code = layer((p, feature))
    for b in range(2):
        chosen = brute_farthest(p[b].double().numpy(), 6)
        assert torch.equal(center[b], p[b, chosen])
        for m, c in enumerate(chosen):
            ball = brute_ball(p[b].numpy(), p[b, c].numpy(), 0.4, 5)
            rows = torch.cat([(p[b, ball] - p[b, c]) / 0.4, feature[b, ball]], dim=1)
            assert torch.allclose(code[b, m], layer.mlp(rows).amax(dim=0), atol=1e-6)


def test_rows_of_a_batch_are_independent_and_bad_sizes_are_named() -> None:
    net, cloud = network(), random_cloud(4)
    unit = torch.rand(4, 7) - 0.5
    together = net(cloud, unit)
    alone = torch.cat([net(cloud[i : i + 1], unit[i : i + 1]) for i in range(4)])
    assert together.shape == (4, 7)
    assert torch.allclose(together, alone, atol=1e-5)
    q = net.unscaled(unit)
    assert torch.allclose(net.scaled(q), unit, atol=1e-5)
    assert net.next_unit(cloud, torch.ones(4, 7)).abs().max() <= 1
    with pytest.raises(InvalidInputError, match="radius_1 must be positive"):
        replace(TINY, radius_1=0.0)
    with pytest.raises(InvalidInputError, match="33 cannot be split"):
        replace(TINY, fc_widths=(33, 16))


# --- clouds ----------------------------------------------------------------------------------------------------------


def test_robot_points_lie_on_their_links_and_move_with_them() -> None:
    robot = load_robot("panda")
    body = robot_points(robot, 300)
    q = torch.as_tensor(np.random.default_rng(0).uniform(robot.limits.lower, robot.limits.upper, (2, 7)))
    p = body.at(q)
    assert p.shape == (2, 300, 3)
    X_WB = body_poses(robot, q)
    first = 0
    for b, p_B in enumerate(body.p_B):
        expected = p_B.double() @ X_WB[:, b, :3, :3].mT + X_WB[:, b, None, :3, 3]
        assert torch.allclose(p[:, first : first + len(p_B)], expected, atol=1e-9)
        first += len(p_B)
        hulls = [h for link in robot.links if link.body == b for h in link.hulls_B]
        if len(p_B):
            corners = np.concatenate(hulls)
            assert (p_B.numpy() >= corners.min(axis=0) - 1e-6).all()
            assert (p_B.numpy() <= corners.max(axis=0) + 1e-6).all()
    moving = robot_points(robot, 300, moving=True)
    assert len(moving.p_B[0]) == 0
    assert sum(map(len, moving.p_B)) == 300


def test_opening_the_gripper_moves_only_the_fingers_points() -> None:
    closed, opened = load_robot("panda", gripper_width=0.0), load_robot("panda", gripper_width=0.08)
    moved = (gripper_points(closed, 128) - gripper_points(opened, 128)).norm(dim=1)
    shifts = {round(d, 4) for d in moved.tolist()}
    assert shifts == {0.0, 0.04}


def test_the_robot_at_its_goal_covers_the_target() -> None:
    """The gripper's points at the tool pose of a configuration are where the gripper is."""
    robot = load_robot("panda")
    q = torch.as_tensor(robot.home, dtype=torch.float32)[None]
    target = target_points(robot, 128, tool_pose(robot, q))
    assert torch.cdist(target, robot_points(robot, 4000).at(q)).amin(dim=2).max() < 0.03


def test_clouds_are_in_the_frame_of_the_base() -> None:
    robot = load_robot("panda")
    X_W0 = np.eye(4)
    X_W0[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    X_W0[:3, 3] = [1.0, 2.0, 3.0]
    there = robot.with_base(X_W0)
    q = torch.as_tensor(robot.home, dtype=torch.float32)[None]
    assert torch.allclose(robot_points(robot, 100).at(q), robot_points(there, 100).at(q), atol=1e-5)
    problem = over_the_box()
    here = targets(task(problem))
    moved = targets(task(replace(problem, robot=problem.robot.with_base(X_W0))))
    assert np.allclose(here, moved, atol=1e-9)


# --- weights ---------------------------------------------------------------------------------------------------------


def official_state(config: MpinetsConfig, *, spelling: str, seed: int = 3) -> dict[str, Tensor]:
    """A synthetic checkpoint with the names and shapes that the published code gives."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def put(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(*shape, generator=generator) / 4
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) / 4

    mlps = [(4, *config.widths_1), (3 + config.widths_1[-1], *config.widths_2)]
    mlps.append((3 + config.widths_2[-1], *config.widths_global))
    for i, widths in enumerate(mlps):
        for k in range(len(widths) - 1):
            layer = f"layer{k}.conv" if spelling == "fork" else str(2 * k)
            put(f"point_cloud_encoder.SA_modules.{i}.mlps.0.{layer}", widths[k + 1], widths[k], 1, 1)
    fc = (config.widths_global[-1], *config.fc_widths)
    for k in range(3):
        put(f"point_cloud_encoder.fc_layer.{3 * k}", fc[k + 1], fc[k])
    for k in range(2):
        name = f"point_cloud_encoder.fc_layer.{3 * k + 1}"
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.ones(fc[k + 1]), torch.zeros(fc[k + 1])
    for name, widths in (
        ("feature_encoder", (7, *config.encoder_widths)),
        ("decoder", (fc[-1] + config.encoder_widths[-1], *config.decoder_widths, 7)),
    ):
        for k in range(len(widths) - 1):
            put(f"{name}.{2 * k}", widths[k + 1], widths[k])
    return state


def published_forward(state: dict[str, Tensor], config: MpinetsConfig, cloud: Tensor, unit: Tensor) -> Tensor:
    """The published network by its formulas, one example, convolutions as they are stored, offsets in metres."""
    p, feature = cloud[:, :3], cloud[:, 3:].T  # channels first

    def shared(part: int, x: Tensor) -> Tensor:
        for name in [n for n in state if n.startswith(f"point_cloud_encoder.SA_modules.{part}.") and "weight" in n]:
            x = torch.relu(torch.nn.functional.conv2d(x[None], state[name], state[name.replace("weight", "bias")])[0])
        return x

    for part, (count, radius, neighbors) in enumerate(
        [
            (config.centers_1, config.radius_1, config.neighbors_1),
            (config.centers_2, config.radius_2, config.neighbors_2),
        ]
    ):
        center = p[brute_farthest(p.double().numpy(), count)]
        balls = torch.tensor([brute_ball(p.numpy(), c, radius, neighbors) for c in center.numpy()])
        offset = (p[balls] - center[:, None]).permute(2, 0, 1)
        feature = shared(part, torch.cat([offset, feature[:, balls]])).amax(dim=2)
        p = center
    code = shared(2, torch.cat([p.T, feature])[:, None]).amax(dim=(1, 2))

    def linear(name: str, x: Tensor) -> Tensor:
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    for k in (0, 3):
        code = linear(f"point_cloud_encoder.fc_layer.{k}", code)
        code = torch.nn.functional.leaky_relu(torch.nn.functional.group_norm(code[None], config.fc_groups)[0])
    code = linear("point_cloud_encoder.fc_layer.6", code)
    for name, count in (("feature_encoder", len(config.encoder_widths)), ("decoder", len(config.decoder_widths) + 1)):
        x = unit if name == "feature_encoder" else torch.cat([code, x])  # noqa: F821 (the one of the round before)
        for k in range(count):
            x = linear(f"{name}.{2 * k}", x)
            x = torch.nn.functional.leaky_relu(x) if k < count - 1 else x
    return x


@pytest.mark.parametrize("spelling", ["fork", "original"])
def test_a_checkpoint_with_the_published_names_computes_the_published_function(tmp_path, spelling) -> None:
    state = official_state(TINY, spelling=spelling)
    path = tmp_path / "mpinets.ckpt"
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"num_robot_points": 2048}}, path)
    net = load_official(path, TINY)
    cloud, unit = random_cloud(3), torch.rand(3, 7) - 0.5
    expected = torch.stack([published_forward(state, TINY, c, u) for c, u in zip(cloud, unit, strict=True)])
    assert torch.allclose(net(cloud, unit), expected, rtol=1e-4, atol=1e-4)
    assert net.lower[5] == 0.5  # the published policy's own limits
    assert not any(p.requires_grad for p in net.parameters())


def test_checkpoints_that_are_none_are_refused(tmp_path) -> None:
    state = official_state(TINY, spelling="fork")
    missing = tmp_path / "missing.ckpt"
    torch.save({"state_dict": {k: v for k, v in state.items() if "decoder.0" not in k}}, missing)
    with pytest.raises(FileFormatError, match=r"decoder\.0\.weight"):
        load_official(missing, TINY)
    wider = tmp_path / "wider.ckpt"
    torch.save({"state_dict": state}, wider)
    with pytest.raises(FileFormatError, match="size mismatch"):
        load_official(wider)
    with pytest.raises(FileFormatError, match="is no parameter"):
        own_name("backbone.0.weight")
    evil = tmp_path / "evil.ckpt"
    torch.save({"state_dict": state, "callback": print_nothing}, evil)
    with pytest.raises(FileFormatError, match="without running it"):
        load_official(evil, TINY)
    with pytest.raises(FileFormatError, match="no such file"):
        load_official(tmp_path / "none.ckpt")


def print_nothing() -> None:
    """A global that a pickle must not be able to name."""


def save_tiny(path, *, robot: str = "panda", seed: int = 0) -> MpinetsNetwork:
    net = network(seed=seed)
    card = replace(card_of(TINY, load_robot("panda"), seed=seed, command="test"), robot=robot)
    save_network(path, net, card)
    return net


def test_weights_come_back_as_they_were_within_half_precision(tmp_path) -> None:
    path = tmp_path / "policy.safetensors"
    net = save_tiny(path)
    loaded, card = load_weights(path)
    assert card.config == json.loads(json.dumps(asdict(TINY)))
    assert loaded.config == TINY
    cloud, unit = random_cloud(2), torch.zeros(2, 7)
    assert torch.allclose(loaded(cloud, unit), net(cloud, unit), atol=1e-3)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(FileFormatError, match="not one written by edmp"):
        load_weights(tmp_path / "other.safetensors")


def test_missing_weights_say_how_to_make_some(tmp_path) -> None:
    ur5 = load_robot("ur5")
    with pytest.raises(MissingWeightsError, match="edmp train --kind mpinets --robot ur5"):
        load_policy(ur5)
    save_tiny(tmp_path / "panda.safetensors")
    with pytest.raises(InvalidInputError, match="policy for 'panda' with 7 joints, not for 'ur5'"):
        load_policy(ur5, tmp_path / "panda.safetensors")
    with pytest.raises(InvalidInputError, match="moves a Panda"):
        load_policy(ur5, tmp_path / "mpinets.ckpt")


def test_the_bundled_policy_loads() -> None:
    net = load_policy(load_robot("panda"))
    assert sum(p.numel() for p in net.parameters()) < 12e6
    assert not net.training


# --- planner ---------------------------------------------------------------------------------------------------------


class Servo(nn.Module):
    """A policy that knows the goal: it goes a part of the way, within the limits."""

    def __init__(self, goal: np.ndarray, gain: float) -> None:
        super().__init__()
        self.inner, self.gain = network(), gain
        self.config = TINY
        self.goal = self.inner.scaled(torch.as_tensor(goal, dtype=torch.float32))
        self.clouds: list[Tensor] = []

    def next_unit(self, cloud: Tensor, unit: Tensor) -> Tensor:
        self.clouds.append(cloud.clone())
        return (unit + self.gain * (self.goal - unit)).clamp(-1, 1)

    def scaled(self, q: Tensor) -> Tensor:
        return self.inner.scaled(q)

    def unscaled(self, unit: Tensor) -> Tensor:
        return self.inner.unscaled(unit)


def planner_with(policy: nn.Module, settings: MpinetsSettings | None = None) -> Mpinets:
    planner = Mpinets(settings)
    planner._policies["panda"] = policy
    return planner


def test_a_rollout_starts_exactly_and_ends_at_the_coarse_goal() -> None:
    problem = over_the_box()
    policy = Servo(problem.goal, 0.1)
    claim = planner_with(policy).search(task(problem))
    assert claim.status is Status.SOLVED
    path = claim.path
    assert np.array_equal(path[0], problem.start)
    X_0T = targets(task(problem))[0]
    distance, angle = pose_error(problem.robot, path[-1], X_0T)
    assert distance <= 0.01
    assert angle <= math.radians(15)
    before = pose_error(problem.robot, path[-2], X_0T)
    assert before[0] > 0.01 or before[1] > math.radians(15)  # it stops as soon as it is there
    assert not np.array_equal(path[-1], problem.goal)  # and nothing is snapped
    # what the policy saw: the same obstacles and target all the time, the robot where it was
    clouds = torch.cat(policy.clouds)
    assert clouds.shape == (len(path) - 1, 80, 4)
    assert (clouds[:, 40:] == clouds[0, 40:]).all()
    assert clouds[0, :, 3].unique(return_counts=True)[1].tolist() == [40, 30, 10]
    seen = robot_points(problem.robot, 40).at(torch.as_tensor(path[:-1], dtype=torch.float32))
    assert torch.allclose(clouds[:, :40, :3], seen, atol=1e-5)


def test_what_does_not_arrive_says_how_far_off_it_is() -> None:
    problem = over_the_box()
    claim = planner_with(Servo(problem.start, 0.5), MpinetsSettings(max_steps=12)).search(task(problem))
    assert claim.status is Status.NO_PATH_FOUND
    assert claim.path is None
    assert "after 12 steps the tool is" in claim.message
    late = planner_with(Servo(problem.start, 0.5), MpinetsSettings(time_budget=1e-9)).search(task(problem))
    assert late.status is Status.TIMEOUT


def test_goals_with_one_tool_pose_are_one_target() -> None:
    problem = over_the_box()
    one = task(problem)
    turned = problem.goal.copy()
    turned[6] += 1.0
    both = replace(one, goals=np.array([turned, problem.goal, problem.goal + 1e-6]))
    assert len(targets(both)) == 2
    claim = planner_with(Servo(problem.goal, 0.2), MpinetsSettings(max_steps=40)).search(both)
    assert claim.status is Status.SOLVED  # the second target is tried after the first


def test_plans_of_a_network_are_reproducible_and_within_limits(tmp_path) -> None:
    save_tiny(tmp_path / "policy.safetensors")
    settings = MpinetsSettings(weights=str(tmp_path / "policy.safetensors"), max_steps=20)
    planner, problem = Mpinets(settings), over_the_box()
    first, second = planner.plan(problem, 0), planner.plan(problem, 0)
    assert first.status is second.status is Status.NO_PATH_FOUND
    assert first.message == second.message
    empty = planner.plan(replace(problem, scene=Scene()), 0)
    assert empty.status is Status.NO_PATH_FOUND
    with pytest.raises(InvalidInputError, match="max_steps must be at least 1"):
        MpinetsSettings(max_steps=0)
