"""Examples for a prior that sees the scene: the motions of a data folder, noised, estimated and felt in their scenes.

What the network is told costs more to compute than a training step, so each shard is worked through once and kept in a
folder beside the shards, named after the denoiser that made the estimates; a run that stopped goes on with what is
missing, and shards that are still being generated are picked up as they come.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from edmp.collision.world import World
from edmp.data.generate import GenerateSettings, check_scenes, scene_source, shard_files
from edmp.data.training_set import is_validation, read_manifest, read_shard, robot_of
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.writing import written_whole
from edmp.learning.tensors import load_tensors
from edmp.prior.scene import SceneNetwork, SceneRows
from edmp.robots.robot import Robot
from edmp.scenes.generators import generate

DRAWS = 2
"""Noise levels drawn for each motion and direction."""


class SceneExamples:
    """The rows of all shards of a folder, split by scene; an `edmp.data.train.Examples`.

    Args:
        data_dir: folder that `edmp.data.generate` filled, or is still filling.
        network: whose denoiser makes the estimates.
        robot: whose motions these are.
        validation_fraction: share of scenes held out.
        looks: (0, 1) makes rows of first estimates and of estimates after one look of the network.
        max_shards: so many of the first shards; None takes all.
        device: of the rows.

    Attributes:
        train, validation: (n, columns) and (m, columns) `SceneRows.packed`.
    """

    def __init__(
        self,
        data_dir: str | Path,
        network: SceneNetwork,
        robot: Robot,
        *,
        validation_fraction: float,
        looks: tuple[int, ...] = (0,),
        max_shards: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data_dir, self.network, self.robot, self.looks = Path(data_dir), network, robot, looks
        self._fraction, self._device, self._most = validation_fraction, torch.device(device), max_shards
        self.manifest = read_manifest(self.data_dir)
        self._settings = settings_of(self.manifest, robot, data_dir)
        self._folder = self.data_dir / f"felt-{_digest(network, looks)}"
        self._folder.mkdir(exist_ok=True)
        self._seen: set[str] = set()
        self.train = self.validation = torch.empty(0)
        if not self.rescan():
            raise InvalidInputError(f"{data_dir}: no shard-*.safetensors in it yet")

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def description(self) -> dict[str, Any]:
        """The manifest without its list of shards, and what was read of them: for a model card."""
        brief = {key: value for key, value in self.manifest.items() if key != "shards"}
        scenes = len(self._seen) * self._settings.scenes_per_shard
        return {**brief, "shards_read": len(self._seen), "scenes_read": scenes, "rows_read": len(self)}

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, columns) drawn with replacement."""
        index = torch.randint(len(self.train), (size,), generator=generator)
        return self.train[index.to(self._device)]

    def rescan(self) -> int:
        """Work through shards that are new; returns their number."""
        new = [path for path in [*shard_files(self.data_dir)][: self._most] if path.name not in self._seen]
        train, validation = ([t] if len(t) else [] for t in (self.train, self.validation))
        for path in new:
            rows, held_out = self._rows_of(path)
            train.append(rows[~held_out].to(self._device))
            validation.append(rows[held_out].to(self._device))
            self._seen.add(path.name)
        if new:
            self.manifest = read_manifest(self.data_dir)
            self.train, self.validation = torch.cat(train), torch.cat(validation)
        return len(new)

    def _rows_of(self, shard: Path) -> tuple[Tensor, Tensor]:
        """The rows of a shard, and which of them are held out."""
        kept = self._folder / shard.name
        if kept.is_file():
            tensors = load_tensors(kept)
            if {"rows", "scene"} <= set(tensors):
                return tensors["rows"], is_validation(tensors["scene"], self._fraction)
            raise FileFormatError(f"{kept}: not rows of scenes; delete the folder {self._folder}")
        control_points, scene = read_shard(shard)
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(shard.name.encode()).digest()[:6]))
        rows, scenes = [], []
        for number, motions in by_scene(control_points, scene):
            world = scene_world(self._settings, number, self.robot)
            both = torch.cat([motions, motions.flip(1)]).repeat(DRAWS, 1, 1)
            for looks in self.looks:
                made = SceneRows.made(self.network, world, both, looks=looks, generator=generator).packed
                rows.append(made)
                scenes.append(torch.full((len(made),), number))
        empty = torch.zeros(0, dtype=torch.long)
        tensors = {"rows": torch.cat(rows) if rows else empty.half(), "scene": torch.cat([empty, *scenes])}
        with written_whole(kept) as temporary:
            safetensors.torch.save_file(tensors, temporary)
        return tensors["rows"], is_validation(tensors["scene"], self._fraction)


def settings_of(manifest: dict[str, Any], robot: Robot, data_dir: str | Path) -> GenerateSettings:
    """The settings that a folder's motions were made with, or `InvalidInputError`: they are not ``robot``'s."""
    settings = manifest.get("settings")
    if not isinstance(settings, dict) or robot_of(manifest) != robot.name:
        raise InvalidInputError(f"{data_dir} does not hold motions of {robot.name!r} made by edmp generate")
    check_scenes(manifest, robot, data_dir)
    known = GenerateSettings.__dataclass_fields__
    return GenerateSettings(**{k: _plain(v) for k, v in settings.items() if k in known})


def scene_world(settings: GenerateSettings, number: int, robot: Robot) -> World:
    """Scene ``number`` of the data with these settings, for the kernels."""
    return World.of(robot, generate(*scene_source(settings, number), robot).scene, only_separable=True)


def by_scene(control_points: Tensor, scene: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Number and motions of each scene; a shard lists them scene by scene."""
    start = 0
    for number, group in itertools.groupby(scene.tolist()):
        end = start + len(list(group))
        yield int(number), control_points[start:end]
        start = end


def _digest(network: SceneNetwork, looks: tuple[int, ...]) -> str:
    """Of everything that the rows depend on."""
    digest = hashlib.blake2b(digest_size=6)
    parts = network.state_dict() if any(looks) else network.base.state_dict()
    for name, tensor in parts.items():
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    digest.update(repr((looks, DRAWS, network.config.clearances, network.config.num_waypoints)).encode())
    if network.config.condition != "estimate":
        digest.update(network.config.condition.encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
