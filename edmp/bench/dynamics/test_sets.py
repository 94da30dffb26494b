"""Windows of arms that no training saw, by how they were driven and how far the arms are from the described one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.data.generate import shard_files
from edmp.dynamics.learned.windows import read_shard
from edmp.errors import FileFormatError, InvalidInputError
from edmp.learning.tensors import read_tensors

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TestSet:
    """Windows of one kind; rows are recorded ``dt`` apart, each after the drive of its row.

    Attributes:
        name: excitation and band, and the distribution of the arms if it is not that of training.
        robot: whose relatives these are.
        dt: [s].
        context: rows m that are known; the others are forecast.
        excitation: (n, T, dof) torque beside gravity compensation and spring [Nm or N].
        torques: (n, T, dof) the whole torque [Nm or N].
        positions, velocities: (n, T, dof) [rad or m].
    """

    name: str
    robot: str
    dt: float
    context: int
    excitation: Array
    torques: Array
    positions: Array
    velocities: Array

    __test__ = False  # to pytest

    @property
    def known(self) -> Array:
        """(n, m, 2 dof) positions and velocities of the context."""
        return np.concatenate([self.positions, self.velocities], axis=-1)[:, : self.context]

    @property
    def truth(self) -> Array:
        """(n, T - m, dof) positions after the context."""
        return self.positions[:, self.context :]

    def first(self, count: int) -> TestSet:
        """The first ``count`` windows."""
        parts = {key: getattr(self, key)[:count] for key in ("excitation", "torques", "positions", "velocities")}
        return TestSet(self.name, self.robot, self.dt, self.context, **parts)


def read_test_sets(folders: list[Path], *, count: int, context: int | None = None) -> list[TestSet]:
    """The test sets in folders that `edmp dynamics generate` filled, one for each excitation, band and distribution.

    Args:
        folders: of shards.
        count: windows of each set at most.
        context: known rows; None is a fifth of the window, as the networks are trained.

    Raises:
        InvalidInputError: no shard there.
        FileFormatError: a shard that is none, or has no excitation.
    """
    found: dict[str, list[Array]] = {}
    about: dict[str, tuple[str, float]] = {}
    for path in [path for folder in folders for path in shard_files(folder)]:
        shard, (tensors, header) = read_shard(path), read_tensors(path)
        if shard.drive != "excitation" or "torques" not in tensors:
            raise FileFormatError(f"{path}: needs the tensors excitation and torques: only shaken arms are compared")
        node = header.get("distribution")
        distribution = "in" if node is None else node.text()
        name = f"{shard.excitation} {shard.band}" + ("" if distribution == "in" else f", arms {distribution}")
        rows = torch.cat([shard.windows, tensors["torques"].float()], dim=-1)
        found.setdefault(name, []).append(rows.double().numpy())
        about[name] = (shard.robot, shard.dt)
    if not found:
        raise InvalidInputError(f"no shard-*.safetensors in {', '.join(map(str, folders))}")
    sets = []
    for name in sorted(found):
        every = np.concatenate(found[name])[:count]
        drive, positions, velocities, torques = np.split(every, 4, axis=-1)
        m = context or 8 * round(every.shape[1] / 40)
        sets.append(TestSet(name, *about[name], m, drive, torques, positions, velocities))
    return sets
