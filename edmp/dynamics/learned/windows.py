"""Recorded windows of many arms, read from a folder of shards that may still be growing, all in memory.

A shard is ``shard-*.safetensors`` with a JSON header (``robot``, ``dt`` [s], ...) and tensors ``torques``,
``positions``, ``velocities`` (n, T, dof) [Nm, rad, rad/s]; ``excitation`` (n, T, dof) [Nm] where the torque has parts
that follow from where the arm is (gravity compensation, spring); ``arm`` (n,) the number of each window's arm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edmp.data.generate import shard_files
from edmp.data.training_set import is_validation
from edmp.errors import EdmpError, FileFormatError, InvalidInputError
from edmp.learning.tensors import read_tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """One file of windows.

    Attributes:
        windows: (n, T, 3 dof) float32 drive [Nm], positions [rad], velocities [rad/s].
        arms: (n,) number of each window's arm.
        drive: ``"excitation"`` or ``"torques"``: what the drive is.
        dt: time of a step [s].
        robot: name of the robot whose relatives these are.
        excitation, band: how they were driven, as the header says.
    """

    windows: Tensor
    arms: Tensor
    drive: str
    dt: float
    robot: str
    excitation: str
    band: str


def read_shard(path: Path) -> Shard:
    """One shard.

    Raises:
        FileFormatError: names the tensor or the header's entry that is wrong.
    """
    tensors, header = read_tensors(path)
    drive = "excitation" if "excitation" in tensors else "torques"
    missing = {drive, "positions", "velocities"} - set(tensors)
    if missing:
        raise FileFormatError(
            f"{path}: has no tensor {', '.join(sorted(missing))}; not a shard of edmp dynamics generate"
        )
    parts = [tensors[name].float() for name in (drive, "positions", "velocities")]
    shapes = [tuple(part.shape) for part in parts]
    if parts[0].ndim != 3 or len(set(shapes)) > 1 or min(shapes[0]) == 0:
        raise FileFormatError(f"{path}: {drive}, positions and velocities should be (n, T, dof) alike, got {shapes}")
    windows = torch.cat(parts, dim=-1)
    if not bool(torch.isfinite(windows).all()):
        raise FileFormatError(f"{path}: has numbers that are not finite")
    arms = tensors.get("arm", torch.arange(len(windows))).long()
    if arms.shape != (len(windows),):
        raise FileFormatError(f"{path}: arm should be ({len(windows)},), got {tuple(arms.shape)}")
    if "arm" not in tensors:  # every window is another arm's: any number that no other window has
        arms = arms + 1_000_003 * int("0" + "".join(c for c in path.stem if c.isdigit()))
    said = {key: "" if (node := header.get(key)) is None else node.text() for key in ("excitation", "band")}
    return Shard(windows, arms, drive, header["dt"].number(1e-6), header["robot"].text(), **said)


class Windows:
    """All shards of a folder, split by arm.

    Attributes:
        train, validation: (n, T, 3 dof), see `Shard`.
        first: of the shards that were read; the others are alike.
    """

    def __init__(self, data_dir: str | Path, *, validation_fraction: float, device: str = "cpu") -> None:
        self.data_dir, self._fraction, self._device = Path(data_dir), validation_fraction, torch.device(device)
        self._seen: set[str] = set()
        self._kinds: dict[str, int] = {}
        self.first: Shard | None = None
        self.train = self.validation = torch.empty(0)
        if not self.rescan(strict=True):
            raise InvalidInputError(f"{data_dir}: no shard-*.safetensors in it; edmp dynamics generate makes them")
        if len(self.train) == 0:
            raise InvalidInputError(f"{data_dir}: all of its windows are held out: more arms are needed")

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def description(self) -> dict[str, Any]:
        """What was read: for a model card."""
        assert self.first is not None
        about = {"robot": self.first.robot, "dt": self.first.dt, "drive": self.first.drive}
        return {**about, "shards_read": len(self._seen), "windows_read": len(self), "kinds": dict(self._kinds)}

    def rescan(self, *, strict: bool = False) -> int:
        """Load shards that are new; returns their number. A bad one raises if ``strict``, else it is left for later."""
        train, validation = ([t] if len(t) else [] for t in (self.train, self.validation))
        num_new = 0
        for path in shard_files(self.data_dir):
            if path.name in self._seen:
                continue
            try:
                shard = read_shard(path)
                self._check_alike(path, shard)
            except EdmpError as error:
                if strict:
                    raise
                log.warning("skipped for now: %s", error)
                continue
            held_out = is_validation(shard.arms, self._fraction)
            train.append(shard.windows[~held_out].to(self._device))
            validation.append(shard.windows[held_out].to(self._device))
            self.first = self.first or shard
            self._seen.add(path.name)
            kind = f"{shard.excitation} {shard.band}".strip()
            self._kinds[kind] = self._kinds.get(kind, 0) + len(shard.windows)
            num_new += 1
        if num_new:
            self.train, self.validation = torch.cat(train), torch.cat(validation)
        return num_new

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, T, 3 dof) drawn with replacement."""
        index = torch.randint(len(self.train), (size,), generator=generator)
        return self.train[index.to(self._device)]

    def _check_alike(self, path: Path, shard: Shard) -> None:
        if self.first is None:
            return
        for what, ours, theirs in (
            ("windows of steps and columns", self.first.windows.shape[1:], shard.windows.shape[1:]),
            ("a time step [s] of", self.first.dt, shard.dt),
            ("a drive of", self.first.drive, shard.drive),
            ("the robot", self.first.robot, shard.robot),
        ):
            if ours != theirs:
                raise FileFormatError(f"{path}: has {what} {theirs}, other shards {ours}: train on one kind of window")
