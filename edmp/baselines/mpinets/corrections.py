"""Experts asked where the policy itself gets to (DAgger, Ross et al. 2011): beside obstacles, lost, not there yet.

What imitates sees in training where experts go, and acts where it has gone itself; small errors lead to places that it
has never seen. So it is rolled out on the problems of its own data. Where it touched something or did not arrive, an
expert plans from a place on that way, and its path joins the data.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.baselines.mpinets.compact import CompactNetwork
from edmp.baselines.mpinets.imitation_set import SceneBatch, source_of
from edmp.baselines.mpinets.point_cloud import reachable_points
from edmp.baselines.mpinets.rollouts import MAX_STEPS, Rollouts, roll_out
from edmp.baselines.mpinets.weights import load_weights
from edmp.collision.free import free
from edmp.collision.world import World
from edmp.data.generate import GenerateSettings, experts, scene_source
from edmp.data.nearest import nearest_goals
from edmp.data.training_set import read_manifest, read_shard
from edmp.errors import InvalidInputError
from edmp.files.writing import written_whole
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot
from edmp.scenes.generators import generate

Array = NDArray[np.float64]

MARGIN = 0.005
"""Distance that a correction keeps from obstacles [m]."""
BEFORE = (2, 9)
"""Corrections of what touched something begin so many steps before that."""
SHARE = 0.5
"""So much of the data is tried."""


def correct(
    data_dir: str | Path, weights: str | Path, *, robot: Robot, round_: int = 1, max_seconds: float | None = None
) -> int:
    """Add corrections to a data folder: of each shard a ``shard-NNNNN-cR.safetensors``; those that are there stay.

    Args:
        data_dir: made by `edmp generate --goals nearest`.
        weights: of a compact policy.
        robot: the arm of both.
        round_: R, another for other weights.
        max_seconds: stop after this time; the same call goes on [s].

    Returns:
        How many paths were added.

    Raises:
        InvalidInputError: the weights are no compact policy of this robot.
    """
    from safetensors.torch import save_file

    data_dir, added, deadline = Path(data_dir), 0, time.monotonic() + (max_seconds or float("inf"))
    network, card = load_weights(weights)
    if not isinstance(network, CompactNetwork) or card.robot != robot.name:
        raise InvalidInputError(f"{weights}: corrections are of a compact policy for {robot.name!r}")
    source = source_of(data_dir, read_manifest(data_dir))
    for shard in sorted(data_dir.glob("shard-*.safetensors")):
        number = re.fullmatch(r"shard-(\d+)", shard.stem)
        out = shard.with_name(f"{shard.stem}-c{round_}.safetensors")
        if number is None or out.exists() or time.monotonic() > deadline:
            continue
        rng = np.random.default_rng([source.seed, int(number[1]), round_])
        paths, scenes = _corrections(network, robot, source, *read_shard(shard), rng)
        with written_whole(out) as temporary:
            save_file({"control_points": paths, "scene": scenes}, temporary)
        added += len(paths)
    return added


def _corrections(
    network: CompactNetwork,
    robot: Robot,
    source: GenerateSettings,
    paths: Tensor,
    numbers: Tensor,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Corrections of the policy on the problems of one shard: (m, 16, dof) splines and (m,) numbers of their scenes."""
    chosen = torch.as_tensor(np.sort(rng.permutation(len(paths))[: int(SHARE * len(paths))]))
    start, goal = paths[chosen, 0], paths[chosen, -1]
    known, row = numbers[chosen].unique(return_inverse=True)
    scenes = [generate(*scene_source(source, int(n)), robot).scene for n in known]
    c = network.config
    clouds = [reachable_points(scene, np.eye(4), c.num_obstacle_points, c.reach, rng) for scene in scenes]
    obstacle = torch.as_tensor(np.stack(clouds), dtype=torch.float32)
    with torch.no_grad():
        view = network.view(robot, obstacle, row, tool_pose(robot, goal))
    done = roll_out(network, robot, view, start, SceneBatch(scenes), row)
    state = _astray(done, rng)
    made, places = [paths[:0]], [numbers[:0]]
    for s, scene in enumerate(scenes):
        here = ((row == s) & ~done.solved).numpy()
        if not here.any():
            continue
        world = World.of(robot, scene, only_separable=True)
        starts, goals = state[here], goal.double().numpy()[here]
        kept = free(world, starts, margin=MARGIN)
        starts, goals = nearest_goals(robot, world, starts[kept], goals[kept], margin=MARGIN)
        if len(starts):
            found = experts(world, starts, goals, margin=MARGIN, ways=source.ways, seed=int(rng.integers(2**30)))
            made.append(torch.as_tensor(found, dtype=torch.float32))
            places.append(torch.full((len(found),), int(known[s]), dtype=numbers.dtype))
    return torch.cat(made), torch.cat(places).int()


def _astray(done: Rollouts, rng: np.random.Generator) -> Array:
    """(n, dof) a place on each way: shortly before something was touched, else anywhere on it [rad]."""
    touched_at, steps = done.touched_at.numpy(), done.steps.numpy()
    before = np.maximum(touched_at - rng.integers(*BEFORE, len(steps)), 0)
    anywhere = (rng.random(len(steps)) * (steps + 1)).astype(int)
    at = np.where(touched_at <= MAX_STEPS, before, anywhere)
    return done.q.double().numpy()[np.arange(len(steps)), at]
