"""Inverse kinematics: the configurations that put the tool frame at one pose, from many seeds at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edmp.arguments import checked
from edmp.errors import InvalidInputError
from edmp.robots.damped_least_squares import ROTATION_WEIGHT, IkBatch, ToolKinematics, pose_error, solve
from edmp.robots.parts import Array
from edmp.robots.robot import Robot

CPU = torch.device("cpu")
"""Where inverse kinematics is computed."""

NEAR_SPREAD = 0.5
"""Seeds about a configuration spread so far from it, one standard deviation [rad]."""
DRAWN_ITERATIONS = 6
"""What was drawn along the self-motion is nearly at the pose: a few steps put it there, or nothing does."""


@dataclass(frozen=True)
class IkResult:
    """What `solve_ik` found.

    Attributes:
        q: (k, dof) distinct solutions within the limits, closest to the seed or home first; k = 0 if none.
        position_error: (k,) distance of the tool origin from the goal [m].
        rotation_error: (k,) angle between the tool frame and the goal [rad].
        message: a sentence for a person; if nothing was found it names the closest approach in mm and degrees.
    """

    q: Array
    position_error: Array
    rotation_error: Array
    message: str

    @property
    def reachable(self) -> bool:
        return len(self.q) > 0


MOST_SEEDS = 100_000
"""More seeds, or steps, than this no machine holds, or has the time for."""


@checked
def solve_ik(
    robot: Robot,
    X_WT: Array,
    *,
    near: Array | None = None,
    num_near: int = 0,
    num_seeds: int = 64,
    max_iterations: int = 60,
    position_tolerance: float = 1e-4,
    rotation_tolerance: float = 1e-3,
    enough: float = 0.3,
    distinct: float = 0.1,
    seed: int = 0,
    generator: torch.Generator | None = None,
) -> IkResult:
    """Configurations that put the tool frame at a pose, joint limits respected.

    Damped least squares from every seed in one batch, see `edmp.robots.damped_least_squares`.

    Args:
        robot: the arm; `Robot.with_tool` chooses the frame.
        X_WT: (4, 4) wanted pose of the tool frame in the world.
        near: (dof,) first seed, and what solutions are ordered by closeness to; default the home configuration.
        num_near: further seeds about ``near``; and so many of the nearest solutions are drawn towards ``near`` as far
            as the pose allows.
        num_seeds: seeds; the others are uniform within the limits.
        max_iterations: steps of the solver.
        position_tolerance: [m].
        rotation_tolerance: [rad].
        enough: stop when this share of the seeds has arrived.
        distinct: two solutions with no joint farther apart than this count as one [rad or m].
        seed: of the random seeds, when no generator is given.
        generator: source of the random seeds; takes precedence.
    """
    X_WT = _checked_pose(X_WT)
    for name, count in (("num_seeds", num_seeds), ("num_near", num_near), ("max_iterations", max_iterations)):
        if not 0 <= count <= MOST_SEEDS:
            raise InvalidInputError(f"{name} must be in 0 to {MOST_SEEDS}, got {count}")
    near = robot.home if near is None else np.asarray(near, dtype=np.float64)
    if near.shape != (robot.dof,) or not np.isfinite(near).all():
        raise InvalidInputError(f"near: expected {robot.dof} finite numbers, got shape {near.shape}")
    if generator is None:
        generator = torch.Generator(CPU).manual_seed(seed)
    q, goal = _seeds(robot, near, num_seeds, num_near, generator), torch.as_tensor(X_WT, device=CPU)
    found = solve(
        robot,
        q,
        goal,
        max_iterations=max_iterations,
        position_tolerance=position_tolerance,
        rotation_tolerance=rotation_tolerance,
        enough=enough,
    )
    if num_near and robot.dof > 6:  # else the pose leaves the arm no self-motion
        reached = found.q[found.within]
        drawn = solve(
            robot,
            reached[torch.argsort((reached - q[0]).norm(dim=1), stable=True)[:num_near]],
            goal,
            towards=q[0],
            max_iterations=DRAWN_ITERATIONS,
            position_tolerance=position_tolerance,
            rotation_tolerance=rotation_tolerance,
        )
        found = found.then(drawn)
    if not found.within.any():
        return _unreachable(robot, found)
    good = found.within.numpy()
    solutions = unwound(robot, found.q.numpy()[good], near)
    order = np.argsort(np.linalg.norm(solutions - near, axis=1))
    keep = distinct_rows(solutions[order], distinct)
    chosen = order[keep]
    return IkResult(
        solutions[chosen],
        found.position_error.numpy()[good][chosen],
        found.rotation_error.numpy()[good][chosen],
        f"{len(chosen)} distinct solutions",
    )


def reaches(robot: Robot, q: Array, X_WT: Array, *, position: float = 1e-4, rotation: float = 1e-3) -> bool:
    """Whether the tool of ``q`` (dof,) is at a pose, within tolerances [m], [rad]; the defaults are `solve_ik`'s."""
    configuration = torch.as_tensor(q, dtype=torch.float64, device=CPU)[None]
    R, p, _ = ToolKinematics(robot, configuration).pose_and_jacobian(configuration)
    offset, _twist, angle = pose_error(torch.as_tensor(X_WT, device=CPU), R, p)
    return float(offset.norm()) <= position and float(angle) <= rotation


def _seeds(robot: Robot, near: Array, num_seeds: int, num_near: int, generator: torch.Generator) -> Tensor:
    """(max(1, num_seeds) + num_near, dof): ``near`` within the limits, uniform ones, and some about ``near``."""
    lower, upper = torch.as_tensor(robot.limits.lower, device=CPU), torch.as_tensor(robot.limits.upper, device=CPU)
    uniform = torch.rand(max(1, num_seeds), robot.dof, generator=generator, dtype=torch.float64, device=CPU)
    q = lower + uniform * (upper - lower)
    q[0] = torch.as_tensor(near, device=CPU).clamp(lower, upper)
    spread = torch.linspace(0.0, NEAR_SPREAD, num_near + 1, dtype=torch.float64, device=CPU)[1:, None]
    about = q[0] + spread * torch.randn(num_near, robot.dof, generator=generator, dtype=torch.float64, device=CPU)
    q = torch.cat([q, about.clamp(lower, upper)])
    elsewhere = torch.as_tensor(~robot.moves[:, robot.tool.body], device=CPU)
    q[:, elsewhere] = q[0, elsewhere]  # what does not move the tool has no reason to move
    return q


def unwound(robot: Robot, q: Array, near: Array) -> Array:
    """Configurations (n, dof), each revolute joint turned by whole revolutions to where it is nearest to ``near``."""
    turn, limits = 2 * np.pi, robot.limits
    revolute = np.array([joint.kind == "revolute" for joint in robot.joints])
    fewest = np.where(robot.continuous, -np.inf, np.ceil((limits.lower - q) / turn))
    most = np.where(robot.continuous, np.inf, np.floor((limits.upper - q) / turn))
    return q + turn * revolute * np.clip(np.round((near - q) / turn), fewest, most)


def distinct_rows(rows: Array, distance: float) -> list[int]:
    """Indices of rows, earlier ones first, that differ from those kept by more than ``distance`` in some joint."""
    kept: list[int] = []
    for i, row in enumerate(rows):
        if not kept or (np.abs(rows[kept] - row).max(axis=1) > distance).all():
            kept.append(i)
    return kept


def _unreachable(robot: Robot, found: IkBatch) -> IkResult:
    position, rotation = found.position_error, found.rotation_error
    closest = int((position + ROTATION_WEIGHT * rotation).argmin())
    message = (
        f"no configuration of {robot.name} within its limits puts {robot.tool.name} there; the closest approach is "
        f"{1e3 * position[closest]:.1f} mm and {np.degrees(float(rotation[closest])):.1f} deg away"
    )
    return IkResult(np.empty((0, robot.dof)), np.empty(0), np.empty(0), message)


def _checked_pose(X: Array) -> Array:
    X = np.asarray(X, dtype=np.float64)
    if X.shape != (4, 4) or not np.isfinite(X).all():
        raise InvalidInputError(f"X_WT: expected a finite (4, 4) pose, got shape {X.shape}")
    R = X[:3, :3]
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-6 or np.linalg.det(R) < 0 or np.abs(X[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise InvalidInputError("X_WT: not a rigid transform: the upper left block must be a rotation matrix")
    return X
