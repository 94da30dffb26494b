"""What a compact policy does by itself: many problems at once, counted as the authors count (Fishman et al. 2022).

A rollout ends when the tool is within 1 cm and 15 degrees of its target. It counts if nothing was touched on the way.
Collisions are looked for with points on the links at every step; the bench asks the judge, who misses nothing.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edmp.baselines.mpinets.compact import CompactNetwork, View
from edmp.baselines.mpinets.imitation_set import SceneBatch
from edmp.baselines.mpinets.point_cloud import spread_points
from edmp.baselines.mpinets.steady_set import SteadySet
from edmp.files.json_nodes import read_json
from edmp.files.reading import is_file
from edmp.files.writing import write_json
from edmp.learning.training import TrainingRun
from edmp.robots.damped_least_squares import pose_error
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot

log = logging.getLogger(__name__)

POSITION_TOLERANCE, ANGLE_TOLERANCE = 0.01, math.radians(15)
"""What the authors call arrived [m], [rad]."""
MAX_STEPS = 150
BODY_POINTS = 384


@dataclass(frozen=True)
class Rollouts:
    """What became of n rollouts.

    Attributes:
        q: (n, MAX_STEPS + 1, dof) on the way; who has arrived stands still [rad].
        reached: (n,) within both tolerances.
        touched_at: (n,) the first step at which something was touched; more than MAX_STEPS if nothing was.
        steps: (n,) taken.
    """

    q: Tensor
    reached: Tensor
    touched_at: Tensor
    steps: Tensor

    @property
    def touched(self) -> Tensor:
        """(n,) something was touched on the way."""
        return self.touched_at <= MAX_STEPS

    @property
    def solved(self) -> Tensor:
        """(n,) arrived, and nothing touched."""
        return self.reached & ~self.touched


@torch.no_grad()
def roll_out(
    network: CompactNetwork, robot: Robot, view: View, q: Tensor, scenes: SceneBatch, scene: Tensor
) -> Rollouts:
    """Follow the policy from configurations ``q`` (n, dof); rows ``scene`` of ``scenes`` tell collisions."""
    body = spread_points(robot, BODY_POINTS, on_gripper=BODY_POINTS // 3)
    way, touched_at = [q], torch.full((len(q),), MAX_STEPS + 1, device=q.device)
    steps = torch.zeros(len(q), dtype=torch.long, device=q.device)
    for number in range(1, MAX_STEPS + 1):
        arrived = _arrived(robot, q, view.X_0T)
        if bool((arrived | (touched_at < number)).all()):
            break
        q = torch.where(arrived[:, None], q, network.next(robot, view, q))
        steps += ~arrived
        touches = (scenes.distance(scene, body.at(q)) < 0).any(dim=1)
        touched_at = torch.where(touches, touched_at.clamp(max=number), touched_at)
        way.append(q)
    way += [q] * (MAX_STEPS + 1 - len(way))
    return Rollouts(torch.stack(way, dim=1), _arrived(robot, q, view.X_0T), touched_at, steps)


def _arrived(robot: Robot, q: Tensor, X_0T: Tensor) -> Tensor:
    X = tool_pose(robot, q)
    offset, _, angle = pose_error(X_0T, X[:, :3, :3], X[:, :3, 3])
    return (offset.norm(dim=1) <= POSITION_TOLERANCE) & (angle <= ANGLE_TOLERANCE)


def held_out_success(network: CompactNetwork, robot: Robot, data: SteadySet, paths: Tensor) -> dict[str, float]:
    """Shares of the problems that ``paths`` solve which the policy solves too: by family, of all, and why not."""
    start, goal, scene = data.queries(paths)
    scenes, cloud = scene.unique(return_inverse=True)
    view = network.view(robot, data.clouds(scenes), cloud, tool_pose(robot, goal))
    done = roll_out(network, robot, view, start, data.scenes, scene)
    families = [data.families[s] for s in scene.tolist()]
    total: Counter[str] = Counter(families)
    solved: Counter[str] = Counter()
    for family, good in zip(families, done.solved.tolist(), strict=True):
        solved[family] += good
    shares = {"solved": float(done.solved.float().mean()), "reached": float(done.reached.float().mean())}
    shares["touched"] = float(done.touched.float().mean())
    detour = data.detour[paths]
    shares["detours"] = float(done.solved[detour].float().mean())
    return shares | {family: solved[family] / total[family] for family in sorted(total)}


class HeldOutRollouts:
    """A learning curve: every so many steps of a training the averaged weights are tried on held-out problems.

    The rows go to ``rollouts.json`` in the run's folder and to the model card.
    """

    def __init__(self, run: TrainingRun, robot: Robot, data: SteadySet, out: Path, *, every: int, resume: bool) -> None:
        self.run, self.robot, self.data, self.every = run, robot, data, every
        self.file = out / "rollouts.json"
        if resume and is_file(self.file):
            data.rollouts = list(read_json(self.file, "rollouts").plain())
        chosen = torch.randperm(len(data.held_out), generator=torch.Generator().manual_seed(2))
        self.paths = data.held_out[chosen[: data.settings.rollouts]]

    def __call__(self, step: int, loss: float) -> None:
        if not self.every or step % self.every or not len(self.paths):
            return
        network = self.run.ema
        assert isinstance(network, CompactNetwork)
        shares = held_out_success(network, self.robot, self.data, self.paths)
        row = {"step": step, "seconds": round(self.run.seconds), **{k: round(v, 3) for k, v in shares.items()}}
        self.data.rollouts = [old for old in self.data.rollouts if old["step"] < step] + [row]
        write_json(self.file, self.data.rollouts)
        log.info("rollouts: %s", row)
