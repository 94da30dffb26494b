"""What is compiled and loaded once, before a plan's time runs: the kernels, and what is imported lazily."""

from __future__ import annotations

import time

import torch

from edmp.collision.bands import PackedBands
from edmp.collision.world import World
from edmp.connect.search import connect
from edmp.constraints import JointRange, bands_of
from edmp.costs import Ensemble
from edmp.descent import Descent
from edmp.prior.spline import Spline
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.timing import retime_spline

_READY_FOR_CONSTRAINTS: set[str] = set()
"""Devices whose kernels for constraints are compiled."""


def warm_up(robot: Robot, spline: Spline, ensemble: Ensemble, device: str) -> None:
    """Compile the kernels, and load the rest, so that no plan's time budget pays for it.

    The first time on a machine this takes some ten seconds; Warp keeps what it compiled.
    """
    world = World.of(robot, Scene(), device=device)
    home = torch.as_tensor(robot.home, dtype=torch.float32, device=world.torch_device)
    descent = Descent(world, spline, num_waypoints=4)
    still = descent.spline.straight_line(home, home)
    descent.free(still)
    descent.cost_gradient(still, home.new_zeros(1))
    ensemble.value_and_gradient(world, home.expand(ensemble.num_seeds, 2, -1).contiguous(), 0.0)
    connect(world, robot.home[None], robot.home[None], seed=0, max_iterations=1, shortcuts=1)
    retime_spline(still[0].cpu().numpy(), robot.limits)


def warm_up_constraints(robot: Robot, device: str) -> float:
    """As `warm_up`, for what constraints need; only who asks for some pays for it, and once. What it took [s]."""
    if device in _READY_FOR_CONSTRAINTS:
        return 0.0
    begin = time.perf_counter()
    world = World.of(robot, Scene(), device=device)
    bands = PackedBands.of(world, bands_of(robot, [JointRange(robot.joint_names[0], -1e3, 1e3)]))
    home = torch.as_tensor(robot.home, dtype=torch.float32, device=world.torch_device)
    descent = Descent(world, Spline(), num_waypoints=4, bands=bands)
    still = descent.onto_constraints(descent.spline.straight_line(home, home), iterations=1)
    descent.free(still)
    connect(world, robot.home[None], robot.home[None], seed=0, max_iterations=1, shortcuts=1, bands=bands)
    _READY_FOR_CONSTRAINTS.add(device)
    return time.perf_counter() - begin
