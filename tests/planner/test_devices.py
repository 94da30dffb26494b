"""Devices are explicit: nothing in the planning path is allocated wherever torch happens to put it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import edmp
from edmp.baselines.edmp_paper.ddpm import DdpmPrior
from edmp.baselines.edmp_paper.unet import UnetConfig, UnetNetwork
from edmp.errors import InvalidInputError
from edmp.geometry.poses import quaternion_of
from edmp.planner import Planner
from edmp.prior import Context, ProcessPrior
from edmp.robots import load_robot, tool_pose
from edmp.scenes import Box, Scene

HOME = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
ASIDE = (1.2, 0.3, 0.2, -1.8, 0.1, 2.0, 0.5)
WALL = Scene.of({"wall": (Box((0.6, 0.04, 0.9)), (0.55, 0.3, 0.45))})
HERE, THERE = (
    edmp.PoseGoal(X_WT[:3, 3], quaternion_of(X_WT))
    for X_WT in tool_pose(load_robot("panda"), torch.tensor([HOME, ASIDE], dtype=torch.float64)).numpy()
)

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("prior", [None, "process"])
def test_the_default_device_of_torch_does_not_matter(prior: str | None) -> None:
    """On the device "meta" there are no numbers: what is allocated there by hand ends in an exception."""
    expected = Planner("panda", prior=prior).plan(WALL, HOME, ASIDE)
    torch.set_default_device("meta")
    try:
        planner = Planner("panda", prior=prior)
        found = planner.plan(WALL, HOME, ASIDE)
        warm = planner.plan(WALL, HOME, ASIDE, warm=found.path)
        searched = planner.plan(WALL, HOME, ASIDE, costs=["smoothness"])
        to_poses = [planner.plan(WALL, HOME, goal) for goal in (HERE, THERE)]
    finally:
        torch.set_default_device(None)
    np.testing.assert_array_equal(found.path, expected.path)
    assert warm.solved
    assert searched.solved
    assert all(result.solved for result in to_poses)


@pytest.mark.parametrize("device", ["cuda:7", "tpu", 3, None])
def test_a_device_that_is_not_there_is_named(device: object) -> None:
    with pytest.raises(InvalidInputError, match=r"not on this machine; there is cpu"):
        edmp.plan(WALL, HOME, ASIDE, device=device)


@cuda
@pytest.mark.cuda
def test_plans_on_a_gpu_are_certified_too() -> None:
    result = Planner("panda", device="cuda").plan(WALL, HOME, ASIDE, costs=["smoothness"])
    assert result.solved, result.message
    assert edmp.Judge(load_robot("panda"), WALL).check_path(result.path).valid


@pytest.mark.parametrize("prior", [None, "process"])
def test_moving_a_prior_leaves_the_original_where_it_was(prior: str | None) -> None:
    """The device "meta" holds no numbers: a plan by a prior that had gone there would fail."""
    planner = Planner("panda", prior=prior)
    expected = planner.plan(WALL, HOME, ASIDE)
    moved = planner.prior.to("meta")
    assert moved.device.type == "meta"
    assert planner.prior.device.type == "cpu"
    np.testing.assert_array_equal(planner.plan(WALL, HOME, ASIDE).path, expected.path)


def test_moving_the_unet_leaves_the_original_where_it_was() -> None:
    prior = DdpmPrior.of(UnetNetwork(UnetConfig(), 7), robot_name="panda")
    assert prior.to("meta").device.type == "meta"
    assert {parameter.device.type for parameter in prior.network.parameters()} == {"cpu"}


@dataclass(frozen=True)
class SeesTheScene(ProcessPrior):
    """A toy prior: its clean estimates bow away from the first obstacle by turning the first joint."""

    def bind(self, context: Context):  # type: ignore[no-untyped-def]
        assert context.world is not None
        sees = len(context.world.scene) > 0
        push = torch.zeros(self.spline.num_interior, self.dof, device=self.device)
        push[:, 0] = -0.4 if sees else 0.0

        def denoise(x: Tensor, sigma: Tensor | float) -> Tensor:
            return self._posterior_mean(x, sigma) + push.flatten()

        return denoise


def test_a_prior_may_use_the_scene_and_the_planner_need_not_know() -> None:
    robot = load_robot("panda")
    blind = ProcessPrior.for_robot(robot)
    toy = SeesTheScene(**{name: getattr(blind, name) for name in blind.__dataclass_fields__})
    seen: list[np.ndarray] = []
    planner = Planner(robot, prior=toy)
    for scene in (Scene(), WALL):
        first = []
        planner.plan(scene, HOME, ASIDE, on_batch=first.append)
        seen.append(next(batch.control_points for batch in first if batch.stage == "sample" and batch.level == 0.0))
    turned = seen[1][:, 1:-1, 0].mean() - seen[0][:, 1:-1, 0].mean()
    assert turned < -0.1
