"""The pairs to check: what must be there, what must not, and that real poses are free."""

import numpy as np
import pytest
import torch
import yaml

from edmp.robots import body_poses, load_robot
from edmp.robots.self_collision import PairVerdict, collision_pairs, fcl_convex, sample_pairs

fcl = pytest.importorskip("fcl")


def named(robot, pairs) -> set[tuple[str, str]]:
    return {(robot.links[i].name, robot.links[j].name) for i, j in pairs}


def colliding(robot, q) -> set[tuple[int, int]]:
    """Checked pairs in collision at one configuration."""
    X_WB = body_poses(robot, torch.as_tensor(q)).numpy()
    objects = [
        [
            fcl.CollisionObject(fcl_convex(hull), fcl.Transform(X_WB[link.body, :3, :3], X_WB[link.body, :3, 3]))
            for hull in link.hulls_B
        ]
        for link in robot.links
    ]
    return {
        (i, j)
        for i, j in robot.collision_pairs
        for one in objects[i]
        for other in objects[j]
        if fcl.collide(one, other, fcl.CollisionRequest(), fcl.CollisionResult())
    }


def test_sampling_gives_the_shipped_pairs(panda):
    assert collision_pairs(sample_pairs(panda)) == panda.collision_pairs


def test_another_seed_agrees(panda):
    assert collision_pairs(sample_pairs(panda, seed=11, num_samples=1500)) == panda.collision_pairs


def test_neighbours_are_left_out_and_far_links_kept(panda):
    pairs = named(panda, panda.collision_pairs)
    for i in range(7):
        assert (f"panda_link{i}", f"panda_link{i + 1}") not in pairs
    for other in ("panda_link5", "panda_link6", "panda_link7", "panda_hand", "panda_leftfinger", "panda_rightfinger"):
        assert ("panda_link0", other) in pairs
    assert {("panda_link5", "panda_hand"), ("panda_link5", "panda_link7")} <= pairs
    assert ("panda_hand", "panda_leftfinger") not in pairs


def test_every_verdict_has_its_evidence(panda):
    for report in sample_pairs(panda, num_samples=300):
        if report.verdict is PairVerdict.CHECKED:
            assert report.closest <= 0.01
            assert report.fraction < 0.5
        if report.verdict is PairVerdict.NEVER:
            assert report.closest > 0.01
        if report.verdict is PairVerdict.RIGID:
            assert panda.links[report.first].body == panda.links[report.second].body


@pytest.mark.parametrize("name", ["panda", "ur5"])
@pytest.mark.parametrize("width", [None, 0.0, 0.13])
def test_home_is_free(name, width):
    robot = load_robot(name)
    if robot.gripper is not None and width is not None:
        robot = robot.with_gripper(width)
    assert colliding(robot, robot.home) == set()


def test_a_folded_arm_is_found(panda):
    q = np.array([0.0, -1.7, 0.0, -3.0, 0.0, 0.5, 0.0])
    assert named(panda, colliding(panda, q))


def test_real_starts_and_goals_are_free(mbm_panda):
    """Poses that people planned between, fingers at 0.065 m each: no pair of ours may call them invalid."""
    robot = load_robot("panda", gripper_width=0.13)
    requests = sorted(mbm_panda.glob("*/request*.yaml"))[::5]
    assert requests
    for path in requests:
        request = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        state = request["start_state"]["joint_state"]
        start = dict(zip(state["name"], state["position"], strict=True))
        goals = request["goal_constraints"][0]["joint_constraints"]
        goal = {constraint["joint_name"]: constraint["position"] for constraint in goals}
        for name, values in (("start", start), ("goal", goal)):
            q = np.array([values[joint] for joint in robot.joint_names])
            assert colliding(robot, q) == set(), (path.parent.name, path.name, name)
