"""Expert paths run through at constant speed, in batches that share their scenes: what the compact policy learns from.

Steps of one length teach a direction; that of a path's fiftieth part teaches the length of the path as well, which is
not to be seen. Several examples of a scene share its cloud, which is then encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edmp.baselines.mpinets.compact import CompactConfig
from edmp.baselines.mpinets.imitation_set import ImitationSet, ImitationSettings
from edmp.baselines.mpinets.point_cloud import reachable_points
from edmp.cached import cached_property
from edmp.errors import InvalidInputError
from edmp.prior.spline import Spline
from edmp.scenes.scene import Scene

FINE, KEPT = 257, 65
"""Points on a path from which its length is taken, and points that are kept, evenly along it."""
TICKS = 1 << 20
"""An example's place on its path is a whole number of these parts."""
END, END_SHARE = 0.3, 0.2
"""So much of all examples is drawn from the last stretch [rad] of a path: the end decides over success."""
DETOUR = 1.003
"""A path that is so many times as long as the straight line is none."""
ASTRAY = 0.3
"""Farther than this from the expert's path nobody goes on [rad]."""


@dataclass(frozen=True)
class Steps:
    """A batch of examples, unpacked.

    Attributes:
        q: (B, dof) where the expert is [rad].
        q_next: (B, dof) where it is a step later [rad].
        q_goal: (B, dof) where its path ends [rad].
        obstacle: (G, n, 3) clouds of the scenes that occur [m].
        cloud: (B,) the cloud of each example.
        scene: (B,) row of the scene in the set's `SceneBatch`.
    """

    q: Tensor
    q_next: Tensor
    q_goal: Tensor
    obstacle: Tensor
    cloud: Tensor
    scene: Tensor


class SteadySet(ImitationSet):
    """All paths of a data folder whose goals are nearest configurations, in memory, split by scene.

    Args:
        data_dir: made by `edmp generate --goals nearest`.
        settings: ``steps_per_path`` does not count here, ``scene_examples`` does.
        config: of the network.
        validation_fraction, max_validation, device: as in `ImitationSet`.
    """

    def __init__(
        self,
        data_dir: str | Path,
        settings: ImitationSettings,
        config: CompactConfig,
        *,
        validation_fraction: float,
        max_validation: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.rollouts: list[dict[str, Any]] = []
        self._drawn: Tensor | None = None
        self._own: Tensor | None = None
        self._went: Tensor | None = None
        super().__init__(
            data_dir,
            settings,
            num_obstacle_points=config.num_obstacle_points,
            validation_fraction=validation_fraction,
            max_validation=max_validation,
            device=device,
        )
        if self.manifest.get("reversible", True):
            raise InvalidInputError(
                f"{data_dir}: its goals are any configurations of their poses, which a policy that sees poses cannot "
                "foresee; make data with `edmp generate --goals nearest`"
            )

    @cached_property
    def _steady(self) -> tuple[Tensor, Tensor]:
        return steady(self.paths)

    def _cloud(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        return reachable_points(scene, np.eye(4), self.settings.cloud_points, self.config.reach, rng)

    def steps(self, examples: Tensor, generator: torch.Generator) -> Steps:
        """The examples (B, 3) unpacked; every time a scene is seen by other points."""
        path, tick, _ = examples.to(self.paths.device).unbind(1)
        length = self._steady[1][path]
        s = tick / TICKS * length
        q, q_next = (self._at(path, here) for here in (s, torch.minimum(s + self.config.step, length)))
        scene = self._scene[path]
        scenes, cloud = scene.unique(return_inverse=True)
        total = self._clouds.shape[1]
        first = torch.randint(total, (len(scenes), 1), generator=generator, device=generator.device).to(scene.device)
        seen = (first + torch.arange(self._num_obstacle_points, device=scene.device)) % total
        obstacle = self._clouds[scenes[:, None], seen].float()
        return Steps(q, q_next, self._steady[0][path, -1], obstacle, cloud, scene)

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """(size, 3) examples; of some scenes those of the last batch, each where the network has led it."""
        settings = self.settings
        examples = self._examples(self.train, size, generator, detours=settings.detours)
        before, went, self._own = self._drawn, self._went, None
        if settings.continued and before is not None and went is not None and len(before) == size:
            each = min(settings.scene_examples, size)
            going_on = torch.rand(-(-size // each), generator=generator) < settings.continued
            going_on = going_on.repeat_interleave(each)[:size]
            tick, lost = self._back_on_path(before[:, 0], went)
            tick = torch.where(lost, (torch.rand(size, generator=generator) * TICKS).long(), tick)
            onward = torch.stack([before[:, 0], tick, torch.zeros_like(tick)], dim=1)
            examples = torch.where(going_on[:, None], onward, examples)
            self._own = torch.where((going_on & ~lost)[:, None], went.cpu(), torch.nan).to(went.device)
        self._drawn, self._went = examples, None
        return examples

    def own_places(self, examples: Tensor) -> Tensor | None:
        """(B, dof) where the network's last step has led [rad], NaN where an example is drawn afresh."""
        return self._own if examples is self._drawn else None

    def went(self, examples: Tensor, q: Tensor) -> None:
        """Remember where the network went from ``examples``, if they are the last batch."""
        if examples is self._drawn:
            self._went = q

    def _back_on_path(self, path: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """The places on paths that are nearest to ``q`` (B, dof), and whether that is far away, or the end."""
        way = self._steady[0][path.to(q.device)]
        away, nearest = (way - q[:, None]).norm(dim=2).min(dim=1)
        return (nearest * (TICKS // (KEPT - 1))).cpu(), ((away > ASTRAY) | (nearest == KEPT - 1)).cpu()

    @cached_property
    def detour(self) -> Tensor:
        """(n,) whether a path is no straight line."""
        way, length = self._steady
        return length > DETOUR * (way[:, -1] - way[:, 0]).norm(dim=1)

    def description(self) -> dict[str, Any]:
        """As in `ImitationSet`, with the learning curve."""
        return {**super().description(), "scenes_read": len(self.families), "rollouts": self.rollouts}

    def queries(self, paths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Starts (n, dof), goals (n, dof) and scenes (n,) of paths."""
        return self._steady[0][paths, 0], self._steady[0][paths, -1], self._scene[paths]

    def clouds(self, scenes: Tensor) -> Tensor:
        """(n, points, 3) what is seen of scenes, the same every time."""
        return self._clouds[scenes, : self._num_obstacle_points].float()

    def _at(self, path: Tensor, s: Tensor) -> Tensor:
        """(B, dof) the configurations at arc lengths ``s`` (B,) [rad]."""
        place = (s / self._steady[1][path]).clamp(0.0, 1.0) * (KEPT - 1)
        before = place.floor().long().clamp(max=KEPT - 2)
        share = (place - before).unsqueeze(1)
        return torch.lerp(self._steady[0][path, before], self._steady[0][path, before + 1], share)

    def _examples(self, paths: Tensor, size: int, generator: torch.Generator, *, detours: float = 0.0) -> Tensor:
        """(size, 3) examples of some scenes of ``paths``, `scene_examples` of each: path, place, nothing.

        Of a scene that has them, at least the share ``detours`` is of paths that are not straight.
        """
        if len(paths) == 0:
            return torch.empty(0, 3, dtype=torch.long)
        each = min(self.settings.scene_examples, size)
        paths = paths.cpu()
        scene, crooked = self._scene.cpu()[paths], self.detour.cpu()[paths]
        paths = paths[(2 * scene + crooked).argsort(stable=True)]  # of each scene straight ones first
        _, count = scene.unique_consecutive(return_counts=True)
        end = count.cumsum(0)
        passed = torch.nn.functional.pad(crooked.long().cumsum(0), (1, 0))
        of_these = passed[end] - passed[end - count]
        drawn = torch.randint(len(count), (-(-size // each),), generator=generator).repeat_interleave(each)[:size]
        only = (torch.rand(size, generator=generator) < detours) & (of_these[drawn] > 0)
        among = torch.where(only, of_these[drawn], count[drawn])
        path = paths[end[drawn] - 1 - (torch.rand(size, generator=generator) * among).long()]
        length = self._steady[1].cpu()[path]
        s = torch.rand(size, generator=generator) * length
        last = length - torch.rand(size, generator=generator) * length.clamp(max=END)
        s = torch.where(torch.rand(size, generator=generator) < END_SHARE, last, s)
        return torch.stack([path, (s / length * TICKS).long(), torch.zeros_like(path)], dim=1)


def steady(control_points: Tensor) -> tuple[Tensor, Tensor]:
    """(n, KEPT, dof) configurations evenly along splines (n, K, dof), and their lengths (n,) [rad]."""
    ways, lengths = [], []
    spline = Spline(control_points.shape[1])
    for part in control_points.split(4096):
        fine = spline.waypoints(part, FINE)
        s = torch.nn.functional.pad(fine.diff(dim=1).norm(dim=-1).cumsum(dim=1), (1, 0))
        length = s[:, -1].clamp(min=1e-6)
        wanted = torch.linspace(0, 1, KEPT, device=s.device) * length[:, None]
        after = torch.searchsorted(s.contiguous(), wanted.contiguous()).clamp(1, FINE - 1)
        left, right = s.gather(1, after - 1), s.gather(1, after)
        share = ((wanted - left) / (right - left).clamp(min=1e-9)).clamp(0, 1)[..., None]
        index = after[..., None].expand(-1, -1, fine.shape[2])
        ways.append(torch.lerp(fine.gather(1, index - 1), fine.gather(1, index), share))
        lengths.append(length)
    return torch.cat(ways), torch.cat(lengths)
