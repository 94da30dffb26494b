"""Motion Policy Networks as a planner: the policy in closed loop until the tool is at its target (Fishman et al. 2022).

Each step the network sees the obstacles, the gripper at the target and the robot where it is now, and says where to go
next. The rollout ends when the tool is within 1 cm and 15 degrees of the target, which is what the authors call a
success. Nothing checks for collisions on the way, and no step is snapped to the goal: whether the path is free and how
close it ends is for the judge to say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.baselines.mpinets.compact import CompactConfig, CompactNetwork
from edmp.baselines.mpinets.point_cloud import labelled, reachable_points, robot_points, target_points
from edmp.baselines.mpinets.weights import Policy, load_policy
from edmp.errors import InvalidInputError
from edmp.geometry.poses import inverse
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.robots.kinematics import tool_pose
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.scenes.surface import sample_scene

SAME_TARGET = 1e-3
"""Goals whose tool poses differ by less in every entry are one target."""


@dataclass(frozen=True)
class MpinetsSettings:
    """Settings of `Mpinets`.

    Attributes:
        weights: file of the policy, see `edmp.baselines.mpinets.weights.load_policy`; empty for what ships.
        max_steps: of a rollout.
        position_tolerance: distance of the tool from its target that ends it [m].
        angle_tolerance: angle between them that ends it [rad].
        time_budget: give up after this [s].
    """

    weights: str = ""
    max_steps: int = 150
    position_tolerance: float = 0.01
    angle_tolerance: float = math.radians(15)
    time_budget: float = 10.0

    def __post_init__(self) -> None:
        positive = Range(0, above=True)
        tolerances = dict.fromkeys(["position_tolerance", "angle_tolerance", "time_budget"], positive)
        check_fields(self, {"max_steps": Range(1, whole=True), **tolerances})
        if self.weights and not Path(self.weights).is_file():
            raise InvalidInputError(f"weights: there is no file {self.weights}")


@dataclass(frozen=True)
class Rollout:
    """Where the policy went.

    Attributes:
        path: (n, dof) from the start [rad].
        distance: of the tool from its target at the end [m].
        angle: the same [rad].
        reached: both are within their tolerances.
    """

    path: Array
    distance: float
    angle: float
    reached: bool


class Mpinets(Baseline):
    """The policy, rolled out towards the tool pose of each goal, nearest goal first."""

    def __init__(self, settings: MpinetsSettings | None = None) -> None:
        self.settings = settings or MpinetsSettings()
        self._policies: dict[str, Policy] = {}

    def search(self, task: Task) -> Claim:
        """As `Baseline.search`.

        Raises:
            MissingWeightsError: nobody trained the policy for this robot.
            InvalidInputError: the weights are another robot's.
            FileFormatError: they are none.
        """
        network = self._policy(task.robot)
        begin = time.perf_counter()
        rng = np.random.default_rng(task.seed)
        X_0W = inverse(task.robot.X_W0)
        obstacle = seen_points(network, task.scene, X_0W, rng)
        rollouts = []
        for X_0T in targets(task):
            rollout = self._roll_out(network, task, obstacle, X_0T, begin + self.settings.time_budget)
            rollouts.append(rollout)
            late = time.perf_counter() > begin + self.settings.time_budget
            if rollout.reached or late:
                break
        timings = {"rollout": time.perf_counter() - begin}
        if rollouts[-1].reached:
            return Claim(Status.SOLVED, path=rollouts[-1].path, timings=timings)
        best = min(rollouts, key=lambda rollout: rollout.distance)
        message = (
            f"after {len(best.path) - 1} steps the tool is {100 * best.distance:.1f} cm and "
            f"{math.degrees(best.angle):.0f} degrees from its target"
        )
        return Claim(Status.TIMEOUT if late else Status.NO_PATH_FOUND, message, timings=timings)

    def _policy(self, robot: Robot) -> Policy:
        """Read once a robot; its gripper's opening and its place make no other robot of it."""
        if robot.name not in self._policies:
            self._policies[robot.name] = load_policy(robot, self.settings.weights)
        return self._policies[robot.name]

    @torch.inference_mode()
    def _roll_out(self, network: Policy, task: Task, obstacle: Array, X_0T: Array, deadline: float) -> Rollout:
        s, limits = self.settings, task.robot.limits
        step = stepper(network, task.robot, _row(obstacle), _row(X_0T))
        path = [task.start]
        while True:
            distance, angle = pose_error(task.robot, path[-1], X_0T)
            reached = distance <= s.position_tolerance and angle <= s.angle_tolerance
            if reached or len(path) > s.max_steps or time.perf_counter() > deadline:
                return Rollout(np.array(path), distance, angle, reached)
            path.append(step(_row(path[-1]))[0].double().numpy().clip(limits.lower, limits.upper))


def seen_points(network: Policy, scene: Scene, X_0W: Array, rng: np.random.Generator) -> Array:
    """(n, 3) the obstacles as the network sees them, in the frame of the base [m]."""
    config = network.config
    if isinstance(config, CompactConfig):
        return reachable_points(scene, X_0W, config.num_obstacle_points, config.reach, rng)
    return sample_scene(scene, config.num_obstacle_points, rng) @ X_0W[:3, :3].T + X_0W[:3, 3]


def stepper(network: Policy, robot: Robot, obstacle: Tensor, X_0T: Tensor) -> Callable[[Tensor], Tensor]:
    """From a configuration (1, dof) to the next, among points (1, n, 3) and towards a target (1, 4, 4)."""
    if isinstance(network, CompactNetwork):
        view = network.view(robot, obstacle, torch.zeros(1, dtype=torch.long), X_0T)
        return lambda q: network.next(robot, view, q)
    body = robot_points(robot, network.config.num_robot_points)
    target = target_points(robot, network.config.num_target_points, X_0T)

    def step(q: Tensor) -> Tensor:
        cloud = labelled(body.at(q), obstacle, target)
        return network.unscaled(network.next_unit(cloud, network.scaled(q)))

    return step


def targets(task: Task) -> list[Array]:
    """(4, 4) poses of the tool in the frame of the base, one for each distinct goal, nearest goal first."""
    order = np.linalg.norm(task.goals - task.start, axis=1).argsort()
    X_0W = inverse(task.robot.X_W0)
    poses: list[Array] = []
    for goal in task.goals[order]:
        X_0T = X_0W @ tool_pose(task.robot, torch.as_tensor(goal, dtype=torch.float64)).numpy()
        if not any(np.allclose(X_0T, other, rtol=0.0, atol=SAME_TARGET) for other in poses):
            poses.append(X_0T)
    return poses


def pose_error(robot: Robot, q: Array, X_0T: Array) -> tuple[float, float]:
    """Distance [m] and angle [rad] between the tool at ``q`` (dof,) and a pose in the frame of the base."""
    X_now = inverse(robot.X_W0) @ tool_pose(robot, torch.as_tensor(q, dtype=torch.float64)).numpy()
    R = X_now[:3, :3].T @ X_0T[:3, :3]
    angle = math.acos(float(np.clip((np.trace(R) - 1) / 2, -1.0, 1.0)))
    return float(np.linalg.norm(X_now[:3, 3] - X_0T[:3, 3])), angle


def _row(values: Array) -> Tensor:
    """A batch of one."""
    return torch.as_tensor(values, dtype=torch.float32).unsqueeze(0)
