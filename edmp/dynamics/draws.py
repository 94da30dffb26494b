"""Batches of windows: what random arms are told to do, what our kernels make of it, and the files they lie in.

Windows of chirps and multisines are 160 rows of 50 ms, each with the state after it. The excitation is held within a
row, so that nothing of it is lost in the file. Windows of motions are 128 rows of 20 ms of a closed loop that runs at
1 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import ArmDynamics
from edmp.dynamics.excitation import excitation
from edmp.dynamics.motions import planned_pool, there_and_back
from edmp.dynamics.random_arms import RandomArm, random_arm
from edmp.dynamics.simulate import excited, track
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

SHARD_VERSION = 1
MOTIONS = "motions"
EXCITED_ROWS, EXCITED_DT = 160, 0.05
"""Of a chirp or multisine; between rows [s]."""
MOTION_ROWS, MOTION_DT, CONTROL_DT = 128, 0.02, 1e-3
"""Of a motion; between rows, and between commands [s]."""
_MIDDLE = 0.3
"""Arms begin within this share of their range from its middle."""
_SLOWEST = 0.4
"""Motions are run at between this share of their speed and all of it."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What a batch of arms does.

    Attributes:
        robot: whose relatives they are.
        arms: (n,) of them.
        dt: between rows of the windows [s].
        q0: (n, dof) where they begin, at rest [rad or m].
        excitation: (n, T, dof) [Nm or N], None where motions are commanded.
        reference: commanded positions, velocities, accelerations (n, k T, dof), one row each `CONTROL_DT`, or None.
    """

    robot: Robot
    arms: tuple[RandomArm, ...]
    dt: float
    q0: Array
    excitation: Array | None = None
    reference: tuple[Array, Array, Array] | None = None

    @property
    def every(self) -> int:
        """Commands in a row of a window."""
        return round(self.dt / CONTROL_DT)


@dataclass(frozen=True, eq=False)
class Moved:
    """What the arms of a `Draw` did: states after each row, mean torques within it, all (n, T, dof)."""

    draw: Draw
    positions: Array
    velocities: Array
    torques: Array

    def within_limits(self) -> NDArray[np.bool_]:
        """(n,) whether the arm stayed within its position limits."""
        limits, free = self.draw.robot.limits, self.draw.robot.continuous
        inside = (self.positions >= limits.lower) & (self.positions <= limits.upper)
        kept = (inside | free) & np.isfinite(self.velocities)
        return np.asarray(kept.all(axis=(1, 2)))


Simulator = Callable[[Draw], Moved]


def simulated(draw: Draw) -> Moved:
    """What our kernels say."""
    nominal, arms = ArmDynamics.of(draw.robot), [one.arm for one in draw.arms]
    if draw.excitation is not None:
        return Moved(draw, *excited(arms, nominal, draw.q0, np.zeros_like(draw.q0), draw.excitation, draw.dt))
    assert draw.reference is not None
    controllers = [one.controller for one in draw.arms]
    return Moved(draw, *track(arms, nominal, draw.reference, controllers, CONTROL_DT, every=draw.every))


def drawing(
    robot: Robot, kind: str, band: str, distribution: str, *, folder: Path, pool: int, seed: int
) -> Callable[[int, Sequence[int]], Draw]:
    """The function that draws a batch of a number of windows from a seed.

    Args:
        robot: whose relatives move.
        kind: of excitation, or ``motions``.
        band: of a chirp or multisine.
        distribution: of the arms.
        folder: with the motions, which are planned and kept there if they are not yet.
        pool: number of these.
        seed: of these.
    """
    if kind != MOTIONS:
        return partial(_draw_excited, robot, kind, band, distribution)
    motions = planned_pool(folder, robot, pool, seed)
    return partial(_draw_motions, robot, motions, distribution)


def _draw_excited(robot: Robot, kind: str, band: str, distribution: str, count: int, seed: Sequence[int]) -> Draw:
    rng, nominal = np.random.default_rng(seed), ArmDynamics.of(robot)
    times = EXCITED_DT * np.arange(EXCITED_ROWS, dtype=np.float64)
    lower, upper = robot.limits.lower, robot.limits.upper
    q0 = 0.5 * (lower + upper) + (upper - lower) * rng.uniform(-_MIDDLE, _MIDDLE, (count, robot.dof))
    arms = tuple(random_arm(nominal, rng, distribution) for _ in range(count))
    shaken = np.array([excitation(robot, kind, band, times, rng) for _ in range(count)])
    return Draw(robot, arms, EXCITED_DT, q0, excitation=shaken)


def _draw_motions(robot: Robot, motions: Sequence[Any], distribution: str, count: int, seed: Sequence[int]) -> Draw:
    rng, nominal = np.random.default_rng(seed), ArmDynamics.of(robot)
    times = CONTROL_DT * np.arange(MOTION_ROWS * round(MOTION_DT / CONTROL_DT), dtype=np.float64)
    chosen = rng.integers(len(motions), size=count)
    speeds = rng.uniform(_SLOWEST, 1.0, count)
    commanded = [there_and_back(motions[k], share, times) for k, share in zip(chosen, speeds, strict=True)]
    q, v, a = (np.array(part) for part in zip(*commanded, strict=True))
    arms = tuple(random_arm(nominal, rng, distribution) for _ in range(count))
    return Draw(robot, arms, MOTION_DT, q[:, 0], reference=(q, v, a))


def columns(moved: Moved, keep: NDArray[np.bool_]) -> dict[str, Array]:
    """The tensors of a shard, of the windows to keep."""
    draw = moved.draw
    tensors = {"positions": moved.positions, "velocities": moved.velocities, "torques": moved.torques}
    tensors["parameters"] = np.array([one.parameters() for one in draw.arms])
    if draw.excitation is not None:
        tensors["excitation"], tensors["start"] = draw.excitation, draw.q0
    if draw.reference is not None:
        last = slice(draw.every - 1, None, draw.every)
        names = ("commanded", "commanded_velocities", "commanded_accelerations")
        tensors |= {name: part[:, last] for name, part in zip(names, draw.reference, strict=True)}
    return {name: values[keep] for name, values in tensors.items()}


def write_shard(path: Path, parts: Sequence[Mapping[str, Array]], *, first_arm: int, about: Mapping[str, Any]) -> None:
    """Write `columns` one after another, in single precision, with the number of each window's arm."""
    import torch

    from edmp.learning.tensors import write_tensors

    whole = {name: np.concatenate([part[name] for part in parts]).astype(np.float32) for name in parts[0]}
    tensors = {name: torch.from_numpy(values) for name, values in whole.items()}
    tensors["arm"] = torch.arange(first_arm, first_arm + len(whole["positions"]))
    write_tensors(path, tensors, {"version": SHARD_VERSION, **about})
