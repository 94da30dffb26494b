"""A seven-joint arm without geometry, and a small data set of bent smooth motions."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from edmp.prior import ProcessPrior
from edmp.robots.parts import Joint, Limits, ToolFrame
from edmp.robots.robot import Robot

LOWER = np.array([-2.9, -1.76, -2.9, -3.07, -2.9, -0.02, -2.9])
UPPER = np.array([2.9, 1.76, 2.9, -0.07, 2.9, 3.75, 2.9])


def arm(name: str = "panda", dof: int = 7) -> Robot:
    lower, upper = np.resize(LOWER, dof), np.resize(UPPER, dof)
    ones = np.ones(dof)
    return Robot(
        name=name,
        joints=tuple(Joint(f"joint{i}", "revolute", np.eye(4)) for i in range(dof)),
        limits=Limits(lower, upper, ones, ones, ones),
        links=(),
        collision_pairs=(),
        tool=ToolFrame("tool", dof, np.eye(4)),
        home=(lower + upper) / 2,
        X_W0=np.eye(4),
    )


def write_shard(folder: Path, number: int, num: int, robot: Robot) -> None:
    """Motions that bend joints 2, 4 and 6 in proportion to the distance they cover, plus a little process noise."""
    generator = torch.Generator().manual_seed(number)
    prior = ProcessPrior.for_robot(robot)
    lower, upper = (torch.tensor(a, dtype=torch.float32) for a in (robot.limits.lower, robot.limits.upper))
    start = lower + (upper - lower) * torch.rand(num, robot.dof, generator=generator)
    goal = lower + (upper - lower) * torch.rand(num, robot.dof, generator=generator)
    x = 0.1 * prior.sample(num, start, goal, generator=generator)
    control_points = prior.spline.control_points(x, start, goal)
    u = torch.tensor(prior.spline.greville, dtype=torch.float32)[None, :, None]
    bend = torch.tensor([0, -0.6, 0, -0.5, 0, 0.4, 0])
    control_points += torch.sin(math.pi * u) * bend * (goal - start).norm(dim=1)[:, None, None] / 5
    control_points[:, 0], control_points[:, -1] = start, goal
    scene = torch.arange(num, dtype=torch.int32) // 4 + 1000 * number
    tensors = {"control_points": control_points.contiguous(), "scene": scene}
    safetensors.torch.save_file(tensors, folder / f"shard-{number:05d}.safetensors")


@pytest.fixture(scope="session")
def robot() -> Robot:
    return arm()


@pytest.fixture(scope="session")
def make_robot() -> Callable[..., Robot]:
    return arm


@pytest.fixture(scope="session")
def add_shard() -> Callable[[Path, int, int, Robot], None]:
    return write_shard


@pytest.fixture
def data_dir(tmp_path: Path, robot: Robot) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    manifest = {"version": 1, "reversible": True, "settings": {"robot": "panda", "seed": 1}, "shards": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for number in range(2):
        write_shard(folder, number, 600, robot)
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
