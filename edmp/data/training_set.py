"""Expert trajectories read back for training: shards of spline control points, all in memory, growing while they are
still being generated.

A data folder holds ``manifest.json`` and ``shard-*.safetensors``, each with ``control_points`` float32 (n, K, dof) in
joint units [rad or m], whose first and last rows are start and goal, and ``scene`` int32 (n,). The manifest is a JSON
object; read here are ``robot`` (or ``settings.robot``) and ``reversible`` (paths hold in both directions, so that
training may reverse them). Train and validation are split by scene.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edmp.data.generate import shard_files
from edmp.errors import EdmpError, FileFormatError, InvalidInputError
from edmp.files.json_nodes import read_json
from edmp.files.reading import is_file
from edmp.learning.tensors import load_tensors

log = logging.getLogger(__name__)


def read_manifest(data_dir: Path) -> dict[str, Any]:
    """The data set's ``manifest.json``."""
    path = Path(data_dir) / "manifest.json"
    if not is_file(path):
        raise FileFormatError(f"{data_dir}: no manifest.json; not a folder made by `edmp generate`")
    return read_json(path, "manifest").keys_plain()


def robot_of(manifest: dict[str, Any]) -> str | None:
    """Name of the robot whose motions these are, None if the manifest does not say or gives only a file."""
    settings = manifest.get("settings")
    name = manifest.get("robot", settings.get("robot") if isinstance(settings, dict) else None)
    return name if isinstance(name, str) and Path(name).name == name and not Path(name).suffix else None


def read_shard(path: Path) -> tuple[Tensor, Tensor]:
    """Control points (n, K, dof) float32 and scene numbers (n,) int64 of one shard."""
    try:
        tensors = load_tensors(path)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: not a shard, or a truncated one: {error}") from None
    missing = {"control_points", "scene"} - set(tensors)
    if missing:
        raise FileFormatError(f"{path}: has no tensor {', '.join(sorted(missing))}")
    control_points, scene = tensors["control_points"].float(), tensors["scene"].long()
    if tensors["control_points"].is_complex() or tensors["scene"].is_complex() or tensors["scene"].is_floating_point():
        raise FileFormatError(f"{path}: control_points should be real numbers, scene whole ones")
    if control_points.ndim != 3 or scene.shape != control_points.shape[:1]:
        raise FileFormatError(
            f"{path}: control_points should be (n, K, dof) and scene (n,), got {tuple(control_points.shape)} and "
            f"{tuple(scene.shape)}"
        )
    if not bool(torch.isfinite(control_points).all()):
        raise FileFormatError(f"{path}: control_points has numbers that are not finite")
    return control_points, scene


def is_validation(scene: Tensor, fraction: float) -> Tensor:
    """(n,) bool: whether a scene belongs to the validation split, by a hash of its number alone (Knuth's)."""
    hashed = (scene.long() * 2654435761) % 2**32
    return hashed < fraction * 2**32


class TrainingSet:
    """All shards of a folder, split by scene.

    Attributes:
        train: (n, K, dof) control points.
        validation: (m, K, dof) control points.
        manifest: as last read.
    """

    def __init__(self, data_dir: str | Path, *, validation_fraction: float, device: torch.device | str = "cpu") -> None:
        self.data_dir = Path(data_dir)
        self._fraction = validation_fraction
        self._device = torch.device(device)
        self._seen: set[str] = set()
        self.manifest = read_manifest(self.data_dir)
        self.train = self.validation = torch.empty(0)
        if not self.rescan(strict=True):
            raise InvalidInputError(f"{data_dir}: no shard-*.safetensors in it yet")
        if len(self.train) == 0:
            raise InvalidInputError(f"{data_dir}: its shards hold no training trajectory")

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    @property
    def robot_name(self) -> str | None:
        """Name of the robot, None if the manifest does not say or gives only a file."""
        return robot_of(self.manifest)

    def description(self) -> dict[str, Any]:
        """The manifest without its list of shards, and what was read of them: for a model card."""
        brief = {key: value for key, value in self.manifest.items() if key != "shards"}
        return {**brief, "shards_read": len(self._seen), "trajectories_read": len(self)}

    def rescan(self, *, strict: bool = False) -> int:
        """Load shards that are new; returns their number. A bad one raises if ``strict``, else it is left for later."""
        train, validation = ([t] if len(t) else [] for t in (self.train, self.validation))
        num_new = 0
        for path in shard_files(self.data_dir):
            if path.name in self._seen:
                continue
            try:
                control_points, scene = read_shard(path)
                self._check_shape(path, control_points, train)
            except EdmpError as error:
                if strict:
                    raise
                log.warning("skipped for now: %s", error)
                continue
            held_out = is_validation(scene, self._fraction)
            train.append(control_points[~held_out].to(self._device))
            validation.append(control_points[held_out].to(self._device))
            self._seen.add(path.name)
            num_new += 1
        if num_new:
            self.manifest = read_manifest(self.data_dir)
            self.train, self.validation = torch.cat(train), torch.cat(validation)
        return num_new

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, K, dof) drawn with replacement; reversed in time with probability 1/2 if the manifest allows it."""
        index = torch.randint(len(self.train), (size,), generator=generator)
        flip = torch.rand(size, 1, 1, generator=generator) < 0.5
        control_points = self.train[index.to(self._device)]
        if self.manifest.get("reversible", False):
            control_points = torch.where(flip.to(self._device), control_points.flip(1), control_points)
        return control_points

    @staticmethod
    def _check_shape(path: Path, control_points: Tensor, others: list[Tensor]) -> None:
        if others and control_points.shape[1:] != others[0].shape[1:]:
            raise FileFormatError(
                f"{path}: control points {tuple(control_points.shape[1:])}, other shards {tuple(others[0].shape[1:])}"
            )
