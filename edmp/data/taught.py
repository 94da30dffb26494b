"""Examples for a prior that needs one call: where a teacher's sampler leads noise, between ends of the data's motions.

A teacher is asked once; what it answers is kept beside the shards, in a folder named after it, and a run that stopped
goes on with what is missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.data.generate import shard_files
from edmp.data.scene_rows import by_scene, scene_world, settings_of
from edmp.data.training_set import is_validation, read_manifest, read_shard
from edmp.errors import FileFormatError, InvalidInputError
from edmp.files.writing import written_whole
from edmp.learning.consistency import shifted_sigmas, way
from edmp.learning.tensors import load_tensors
from edmp.prior.base import Context, Prior
from edmp.prior.mlp import MlpNetwork
from edmp.prior.scene import SceneNetwork, ScenePrior
from edmp.robots.robot import Robot

Student = MlpNetwork | SceneNetwork


@dataclass(frozen=True)
class Ways:
    """Ways of a teacher's sampler from noise to motions, and what the student's network is told on them.

    Attributes:
        ends: (n, 2, dof) start and goal.
        sigma: (n, levels + 1) noise levels, the last 0 [1].
        x: (n, levels + 1, dim) where the sample is at each [rad or m].
        estimate: (n, levels, dim) of the denoiser that the student corrects; of no columns if it corrects none.
        touch: (n, levels, tokens * told) what these touch, see `SceneNetwork.touch`; of no columns likewise.
    """

    ends: Tensor
    sigma: Tensor
    x: Tensor
    estimate: Tensor
    touch: Tensor

    @property
    def packed(self) -> Tensor:
        """(n, columns) all in one tensor, in half precision."""
        return torch.cat(
            [part.flatten(1) for part in (self.ends, self.sigma, self.x, self.estimate, self.touch)], 1
        ).half()

    @classmethod
    def of(cls, packed: Tensor, network: Student, levels: int) -> Ways:
        """The columns of ``packed`` (n, columns), in single precision; ``network`` is the student's."""
        dof, dim = network.dof, network.spline.dim(network.dof)
        told = network.condition.columns if isinstance(network, SceneNetwork) else 0
        guessed = dim if told else 0
        sizes = [2 * dof, levels + 1, (levels + 1) * dim, levels * guessed, levels * told]
        ends, sigma, x, estimate, touch = packed.float().split(sizes, dim=1)
        levelled = [part.unflatten(1, (levels, -1)) if told else part for part in (estimate, touch)]
        return cls(ends.unflatten(1, (2, dof)), sigma, x.unflatten(1, (levels + 1, dim)), *levelled)

    def end_from(self, network: Student, level: Tensor) -> Tensor:
        """(n, dim) where ``network`` says that each way ends, from the point numbered ``level`` (n,) on."""
        row = torch.arange(len(level), device=level.device)
        x, sigma = self.x[row, level], self.sigma[row, level, None]
        if isinstance(network, SceneNetwork):
            estimate = self.estimate[row, level]
            touch = self.touch[row, level].unflatten(1, network.condition.shape)
            return estimate + network(x, estimate, touch, sigma, self.ends)
        return network.denoise(x, sigma, network.problem_embedding(self.ends[:, 0], self.ends[:, 1]))


@torch.no_grad()
def taught(
    teacher: Prior, student: Student, world: World | None, motions: Tensor, *, levels: int, generator: torch.Generator
) -> Ways:
    """The teacher's ways between the ends of ``motions`` (n, K, dof), from noise drawn by ``generator``."""
    start, goal = motions[:, 0], motions[:, -1]
    bounds = {"sigma_min": teacher.sigma_min, "sigma_max": teacher.sigma_max}
    sigmas = shifted_sigmas(levels, float(torch.rand(1, generator=generator)), **bounds)
    noise = teacher.noise(len(motions), sigma=teacher.sigma_max, generator=generator)
    x = way(teacher.bind(Context(start, goal, world)), noise, sigmas)
    sigma = sigmas.float().expand(len(x), -1)
    ends = torch.stack([start, goal], dim=1)
    if not isinstance(student, SceneNetwork):
        return Ways(ends, sigma, x, x[:, :0], x[:, :0])
    assert world is not None
    flat, level = x[:, :-1].flatten(0, 1), sigma[:, :-1].reshape(-1, 1)
    begin, end = start.repeat_interleave(levels, 0), goal.repeat_interleave(levels, 0)
    estimate = student.base.denoise(flat, level, student.base.problem_embedding(begin, end))
    touch = student.touch(world, student.spline.control_points(estimate, begin, end)).flatten(1)
    unflat = [part.unflatten(0, (len(x), levels)) for part in (estimate, touch)]
    return Ways(ends, sigma, x, *unflat)


class TaughtExamples:
    """Ways of a teacher for ``count`` motions of a folder, split by scene; an `edmp.learning.training.Examples`.

    Args:
        data_dir: folder that `edmp.data.generate` filled, or is still filling.
        teacher: whose sampler is followed.
        student: the network in training; of a scene prior, its denoiser is held still.
        robot: whose motions these are.
        levels: calls of the teacher.
        count: motions whose ends are taken, each in one direction; all there are, if these are fewer.
        validation_fraction: share of scenes held out.

    Attributes:
        train, validation: (n, columns) and (m, columns) `Ways.packed`.
    """

    def __init__(
        self,
        data_dir: str | Path,
        teacher: Prior,
        student: Student,
        robot: Robot,
        *,
        levels: int,
        count: int,
        validation_fraction: float,
    ) -> None:
        self.data_dir, self.robot, self.levels = Path(data_dir), robot, levels
        self.manifest = read_manifest(self.data_dir)
        self._settings = settings_of(self.manifest, robot, data_dir)
        self._folder = self.data_dir / f"taught-{_digest(teacher, student, levels)}"
        self._folder.mkdir(exist_ok=True)
        self.shards_read = 0
        train: list[Tensor] = []
        validation: list[Tensor] = []
        for shard in shard_files(self.data_dir):
            if sum(len(rows) for rows in (*train, *validation)) >= count:
                break
            rows, held_out = self._rows_of(shard, teacher, student, validation_fraction)
            train.append(rows[~held_out])
            validation.append(rows[held_out])
            self.shards_read += 1
        if not any(len(rows) for rows in train):
            raise InvalidInputError(f"{data_dir}: no shard-*.safetensors with motions to train on in it yet")
        self.train, self.validation = torch.cat(train), torch.cat(validation)

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    def description(self) -> dict[str, Any]:
        """The manifest without its list of shards, and what was read of them: for a model card."""
        brief = {key: value for key, value in self.manifest.items() if key != "shards"}
        return {**brief, "shards_read": self.shards_read, "ways": len(self), "levels": self.levels}

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, columns) drawn with replacement."""
        return self.train[torch.randint(len(self.train), (size,), generator=generator)]

    def rescan(self) -> int:
        """Nothing: the teacher was asked before."""
        return 0

    def _rows_of(self, shard: Path, teacher: Prior, student: Student, fraction: float) -> tuple[Tensor, Tensor]:
        """The rows of a shard, and which of them are held out."""
        kept = self._folder / shard.name
        if kept.is_file():
            tensors = load_tensors(kept)
            if {"rows", "scene"} <= set(tensors):
                return tensors["rows"], is_validation(tensors["scene"], fraction)
            raise FileFormatError(f"{kept}: not ways of a teacher; delete the folder {self._folder}")
        control_points, scene = read_shard(shard)
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.blake2b(shard.name.encode()).digest()[:6]))
        flip = torch.rand(len(scene), 1, 1, generator=generator) < 0.5
        control_points = torch.where(flip, control_points.flip(1), control_points)
        sees = isinstance(teacher, ScenePrior)
        rows = []
        for number, motions in by_scene(control_points, scene if sees else torch.zeros_like(scene)):
            world = scene_world(self._settings, number, self.robot) if sees else None
            made = taught(teacher, student, world, motions, levels=self.levels, generator=generator)
            rows.append(made.packed)
        tensors = {"rows": torch.cat(rows) if rows else torch.zeros(0).half(), "scene": scene}
        with written_whole(kept) as temporary:
            safetensors.torch.save_file(tensors, temporary)
        return tensors["rows"], is_validation(scene, fraction)


def digest(prior: Prior) -> str:
    """Of a prior's weights and of all else that its samples depend on."""
    found = hashlib.blake2b(digest_size=6)
    for field in dataclasses.fields(prior):
        value = getattr(prior, field.name)
        if isinstance(value, nn.Module):
            for name, tensor in value.state_dict().items():
                found.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        else:
            found.update(f"{field.name}={value!r}".encode())
    return found.hexdigest()


def _digest(teacher: Prior, student: Student, levels: int) -> str:
    """Of everything that the rows depend on."""
    found = hashlib.blake2b(f"{digest(teacher)} {levels}".encode(), digest_size=6)
    if isinstance(student, SceneNetwork):
        for name, tensor in student.base.state_dict().items():
            found.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        found.update(repr((student.config.clearances, student.config.num_waypoints)).encode())
    return found.hexdigest()
