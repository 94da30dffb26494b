"""Expert paths as a policy learns from them: where the arm is, where it goes next, and what it sees.

The shards of `edmp generate` hold paths and the numbers of their scenes; the scenes are made again from their seeds.
An example is a row (path, step, direction) of whole numbers. All points are in the frame of the robot's base, which
stands at the origin of generated scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edmp.data.generate import GenerateSettings, check_scenes, scene_source, shard_files
from edmp.data.training_set import is_validation, read_manifest, read_shard
from edmp.errors import FileFormatError, InvalidInputError
from edmp.geometry.kinds import KINDS, kind_of
from edmp.prior.spline import Spline
from edmp.ranges import Range, check_fields
from edmp.robots import load_robot
from edmp.scenes.generators import generate
from edmp.scenes.scene import Scene
from edmp.scenes.surface import sample_scene

FAR = 1e3
"""Where the fillers of a `SceneBatch` stand [m]."""


@dataclass(frozen=True)
class ImitationSettings:
    """How examples are made of paths, and weighed (Fishman et al. 2022; the defaults are the published values).

    Attributes:
        steps_per_path: T, configurations on a path, evenly over the spline's parameter; the expert's step t leads to
            min(t + 1, T - 1).
        noise: standard deviation of what is added to each joint of the configuration that is acted from [rad].
        collision_weight: of the collision loss against the distance of points.
        collision_margin: distance from obstacles below which a point of the robot costs [m].
        num_loss_points: points on the moving links that both losses look at.
        cloud_points: points on the obstacles of a scene that are kept; each example sees some of them.
        max_scenes: use only that many scenes; 0 for all.
        scene_examples: of the compact policy: examples of one scene in a batch.
        rollout_every: of the compact policy: steps between rollouts of held-out problems; 0 for none.
        rollouts: of the compact policy: so many held-out problems.
        joint_weight: of the compact policy: of the joints' mean distance from the expert's, in its loss [m/rad].
        deepest: of the compact policy: the collision loss is the mean of so many points that are nearest to obstacles,
            not of all: a finger is few of the points.
        detours: of the compact policy: share of the examples that are drawn from paths that are not straight.
        continued: of the compact policy: share of the examples that begin where the network's own last step has led,
            and are to come back to the expert's path (Venkatraman et al. 2015).
    """

    steps_per_path: int = 50
    noise: float = 0.015
    collision_weight: float = 5.0
    collision_margin: float = 0.03
    num_loss_points: int = 1024
    cloud_points: int = 8192
    max_scenes: int = 0
    scene_examples: int = 8
    rollout_every: int = 2000
    rollouts: int = 160
    joint_weight: float = 0.0
    deepest: int = 8
    detours: float = 0.5
    continued: float = 0.0

    def __post_init__(self) -> None:
        count, number = Range(1, whole=True), Range(0)
        check_fields(
            self,
            {
                "steps_per_path": Range(2, whole=True),
                **dict.fromkeys(["noise", "collision_weight", "collision_margin", "joint_weight"], number),
                **dict.fromkeys(["num_loss_points", "cloud_points", "scene_examples", "rollouts", "deepest"], count),
                **dict.fromkeys(["detours", "continued"], Range(0, 1)),
                **dict.fromkeys(["max_scenes", "rollout_every"], Range(0, whole=True)),
            },
        )


@dataclass(frozen=True)
class Situations:
    """A batch of examples, unpacked.

    Attributes:
        q: (B, dof) where the expert is [rad].
        q_next: (B, dof) where it is a step later [rad].
        q_goal: (B, dof) where its path ends [rad].
        obstacle: (B, n, 3) points on the obstacles [m].
        scene: (B,) row of the scene in the set's `SceneBatch`.
    """

    q: Tensor
    q_next: Tensor
    q_goal: Tensor
    obstacle: Tensor
    scene: Tensor


class SceneBatch:
    """Signed distances of points from many scenes at once: obstacles stacked by kind, the fewer filled up far away."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._kinds: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor, Tensor]] = []
        unknown = {type(o.shape).__name__ for scene in scenes for o in scene if kind_of(o.shape).numbers is None}
        if unknown:
            raise InvalidInputError(f"scenes to learn from hold primitives only, not {', '.join(sorted(unknown))}")
        for kind, row in KINDS.items():
            numbers, distance = row.numbers, row.distance
            if numbers is None or distance is None:
                continue
            of_kind = [[obstacle for obstacle in scene if type(obstacle.shape) is kind] for scene in scenes]
            count = np.array([len(obstacles) for obstacles in of_kind])
            if count.max(initial=0) == 0:
                continue
            filler = next(o for obstacles in of_kind for o in obstacles)
            X_WO = np.tile(np.eye(4), (len(scenes), count.max(), 1, 1))
            X_WO[..., :3, 3] = FAR
            sizes = np.tile(numbers(filler.shape), (len(scenes), count.max(), 1))
            for s, obstacles in enumerate(of_kind):
                for i, obstacle in enumerate(obstacles):
                    X_WO[s, i], sizes[s, i] = obstacle.X_WO, numbers(obstacle.shape)
            self._kinds.append((distance, _floats(X_WO), _floats(sizes), torch.as_tensor(count)))

    def distance(self, scene: Tensor, p_W: Tensor) -> Tensor:
        """(B, n) distance of points (B, n, 3) from the nearest obstacle of the scenes ``scene`` (B,) [m]."""
        nearest = p_W.new_full(p_W.shape[:2], FAR)
        for distance, X_WO, sizes, count in self._kinds:
            most = int(count[scene].max())
            if most == 0:
                continue
            X, size = X_WO[scene, :most].to(p_W), sizes[scene, :most].to(p_W)
            R_WO, p_WO = X[..., :3, :3], X[..., :3, 3]
            # R^T p - R^T t, as one product over all obstacles: (B, n, 3) x (B, 3, most * 3)
            R_flat = R_WO.permute(0, 2, 1, 3).flatten(2)
            offset = (p_WO.unsqueeze(2) @ R_WO).flatten(1)
            p_O = (p_W @ R_flat - offset.unsqueeze(1)).unflatten(-1, (most, 3))
            nearest = torch.minimum(nearest, distance(p_O, size.unsqueeze(1)).amin(-1))
        return nearest


class ImitationSet:
    """All paths of a data folder with the obstacles of their scenes, in memory, split by scene.

    Attributes:
        train: (m,) rows of `paths` to train on.
        held_out: (h,) rows of `paths` in held-out scenes.
        validation: (v, 3) fixed examples of held-out scenes.
        scenes: the scenes of all paths.
        families: of those scenes.
        loss_standing_still: what a policy that never moves scores in validation [m], once it is known.
    """

    loss_standing_still: float | None = None

    def __init__(
        self,
        data_dir: str | Path,
        settings: ImitationSettings,
        *,
        num_obstacle_points: int,
        validation_fraction: float,
        max_validation: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data_dir, self.settings = Path(data_dir), settings
        self._num_obstacle_points = num_obstacle_points
        if num_obstacle_points > settings.cloud_points:
            raise InvalidInputError(f"cloud_points must be at least {num_obstacle_points}, got {settings.cloud_points}")
        self.manifest = read_manifest(self.data_dir)
        source = source_of(self.data_dir, self.manifest)
        self.robot_name = source.robot
        shards = [read_shard(path) for path in shard_files(self.data_dir)]
        if not shards:
            raise InvalidInputError(f"{data_dir}: no shard-*.safetensors in it yet")
        control_points, number = (torch.cat(parts) for parts in zip(*shards, strict=True))
        numbers, row = number.unique(return_inverse=True)
        order = row.argsort(stable=True)  # scene by scene, whatever shards they came in
        control_points, row = control_points[order], row[order]
        if settings.max_scenes:
            numbers = numbers[: settings.max_scenes]
            control_points, row = control_points[row < len(numbers)], row[row < len(numbers)]
        self.paths, self._scene = control_points.to(device), row.to(device)
        robot = load_robot(source.robot)
        check_scenes(self.manifest, robot, self.data_dir)
        generated = [generate(*scene_source(source, int(n)), robot) for n in numbers]
        scenes, self.families = [one.scene for one in generated], [one.family for one in generated]
        self.scenes = SceneBatch(scenes)
        rngs = [np.random.default_rng([source.seed, int(n)]) for n in numbers]
        clouds = [self._cloud(scene, rng) for scene, rng in zip(scenes, rngs, strict=True)]
        self._clouds = torch.as_tensor(np.stack(clouds).astype(np.float16), device=device)
        held_out = is_validation(numbers[row], validation_fraction)
        self.held_out = torch.nonzero(held_out).flatten()
        self.train = torch.nonzero(~held_out).flatten()
        fixed = torch.Generator().manual_seed(1)
        self.validation = self._examples(self.held_out, max_validation, fixed)
        if len(self.train) == 0:
            raise InvalidInputError(f"{data_dir}: its shards hold no training trajectory")
        self._basis = Spline(self.paths.shape[1]).basis(settings.steps_per_path, device=device)

    def _cloud(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """(cloud_points, 3) on the obstacles."""
        return sample_scene(scene, self.settings.cloud_points, rng)

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, 3) examples, drawn with replacement."""
        return self._examples(self.train, size, generator)

    def rescan(self) -> int:
        """Data that grow while they are used are not foreseen: nothing is ever new."""
        return 0

    def description(self) -> dict[str, Any]:
        """For the model card."""
        brief = {key: value for key, value in self.manifest.items() if key != "shards"}
        own = {"loss_standing_still": self.loss_standing_still, "imitation": asdict(self.settings)}
        return {**brief, "trajectories_read": len(self), **own}

    def situations(self, examples: Tensor, generator: torch.Generator) -> Situations:
        """The examples (B, 3) unpacked; each sees other points of its scene's obstacles every time."""
        path, step, backward = examples.to(self.paths.device).unbind(1)
        last = self.settings.steps_per_path - 1
        control_points = self.paths[path]
        control_points = torch.where(backward.view(-1, 1, 1) > 0, control_points.flip(1), control_points)
        here, there = self._basis[step], self._basis[(step + 1).clamp(max=last)]
        q, q_next = (torch.einsum("bk,bkj->bj", basis, control_points) for basis in (here, there))
        scene = self._scene[path]
        total = self._clouds.shape[1]
        first = torch.randint(total, (len(examples), 1), generator=generator, device=generator.device).to(scene.device)
        seen = (first + torch.arange(self._num_obstacle_points, device=scene.device)) % total
        return Situations(q, q_next, control_points[:, -1], self._clouds[scene[:, None], seen].float(), scene)

    def _examples(self, paths: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """(size, 3) random examples of ``paths``, none if there are none; reversed only if the manifest allows it."""
        if len(paths) == 0:
            return torch.empty(0, 3, dtype=torch.long)
        path = paths.cpu()[torch.randint(len(paths), (size,), generator=generator)]
        step = torch.randint(self.settings.steps_per_path, (size,), generator=generator)
        backward = torch.randint(2, (size,), generator=generator) * bool(self.manifest.get("reversible", False))
        return torch.stack([path, step, backward], dim=1)


def source_of(data_dir: Path, manifest: dict[str, Any]) -> GenerateSettings:
    """The settings that made the data."""
    try:
        settings = dict(manifest["settings"])
        return GenerateSettings(**{**settings, "families": tuple(settings["families"])})
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{data_dir}: its manifest does not say how its scenes were made ({error}); a policy learns from data of "
            "`edmp generate` only"
        ) from None


def _floats(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
