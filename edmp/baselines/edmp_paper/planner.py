"""EDMP (Saha et al. 2023, arXiv 2309.11414): a diffusion prior over waypoints, guided by an ensemble of volume costs.

A temporal U-Net denoises a batch of trajectories in T = 255 ancestral steps. Each trajectory follows one of twelve
guides, ten trajectories each; at even steps t >= 5 the guide's cost gradient is taken off the interior waypoints. Of
all trajectories, the one with the least swept volume in obstacles is executed.

The published code has faults that are not part of the method. They are repaired here by default, each by a setting of
its own, and ``as_published`` brings all of them back:

- cylinders stood in as boxes of r x r x h, which is too small by half; here 2r x 2r x h;
- gradients were divided by the norm of the whole batch's gradient, which couples trajectories; here by their own;
- the noise added at step t was beta_t z; here sqrt(beta_t) z, as in Ho et al. 2020;
- sampling began with pure noise, but step T of the schedule leaves 28 % of the signal; here it begins with the straight
  line, noised to step T;
- the best trajectory was taken for a solution without looking; here the first, by swept volume, whose edges are free in
  the sphere model, self-collision included, else none is claimed.

World boxes around rotated links and obstacles are larger than these; that is how the paper defines its costs.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.baselines.edmp_paper.ddpm import DdpmPrior
from edmp.cached import cached_property
from edmp.collision.free import paths_free
from edmp.costs import World, ensemble_by_name
from edmp.costs.base import Margins
from edmp.costs.ensemble import Ensemble
from edmp.costs.volume import SweptVolume
from edmp.errors import InvalidInputError, unknown_name
from edmp.geometry.sensed import DistanceField, PointCloud, Voxels
from edmp.geometry.shapes import Box, Cylinder, Shape
from edmp.prior.checkpoint import bundled_priors, load_prior
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene

GUIDES = (1, 2, 3, 4, 5, 10, 11, 13, 14, 16, 18, 21)
"""The paper's numbers of its twelve guides, in the order of the ensemble ``edmp12``."""

LAST_GUIDED_STEP = 5
"""Guidance acts on even steps t from T down to this."""


@dataclass(frozen=True)
class EdmpPaperSettings:
    """Settings of `EdmpPaper`.

    Attributes:
        guide: number of the only guide, one of `GUIDES`; 0 takes all twelve.
        seeds_per_guide: trajectories that each guide gets.
        guided: False leaves the guidance out, for ablation.
        prior: name or file of the U-Net; empty for the bundled ``<robot>-unet``.
        time_budget: give up after this [s].
        as_published: bring back all of the faults below, whatever they are set to.
        small_cylinders: cylinders as boxes of r x r x h.
        batch_norm: gradients divided by the norm of the whole batch's.
        beta_noise: noise beta_t z.
        pure_noise: begin with pure noise.
        unchecked: claim the trajectory with the least swept volume without looking whether it is free.
    """

    guide: int = 0
    seeds_per_guide: int = 10
    guided: bool = True
    prior: str = ""
    time_budget: float = 600.0
    as_published: bool = False
    small_cylinders: bool = False
    batch_norm: bool = False
    beta_noise: bool = False
    pure_noise: bool = False
    unchecked: bool = False

    def __post_init__(self) -> None:
        ranges = {"seeds_per_guide": Range(1, whole=True), "time_budget": Range(0, above=True)}
        check_fields(self, {"guide": Range(0, whole=True), **ranges})
        if self.guide and self.guide not in GUIDES:
            raise unknown_name("guide of EDMP", str(self.guide), ["0", *map(str, GUIDES)])

    def faults(self) -> EdmpPaperSettings:
        """These settings with each fault as it will be."""
        if not self.as_published:
            return self
        return dataclasses.replace(
            self, small_cylinders=True, batch_norm=True, beta_noise=True, pure_noise=True, unchecked=True
        )


class _LateError(Exception):
    """The time budget ran out while sampling."""


class EdmpPaper(Baseline):
    """EDMP as published: U-Net, ancestral sampling, volume guides, best by swept volume."""

    def __init__(self, settings: EdmpPaperSettings | None = None) -> None:
        self.settings = settings or EdmpPaperSettings()
        self._settings = self.settings.faults()
        self._priors: dict[str, DdpmPrior] = {}

    @cached_property
    def ensemble(self) -> Ensemble:
        """The guides, with their share of the batch."""
        s = self._settings
        members = ensemble_by_name("edmp12").members
        chosen = [m for number, m in zip(GUIDES, members, strict=True) if s.guide in (0, number)]
        return Ensemble(
            tuple(dataclasses.replace(member, num_seeds=s.seeds_per_guide) for member in chosen),
            name="edmp12" if s.guide == 0 else f"edmp guide {s.guide}",
            as_published=s.batch_norm,
        )

    def search(self, task: Task) -> Claim:
        s, prior = self._settings, self._prior(task.robot)
        deadline = time.perf_counter() + s.time_budget
        for obstacle in task.scene:
            if isinstance(obstacle.shape, PointCloud | Voxels | DistanceField):
                kind = type(obstacle.shape).__name__
                raise InvalidInputError(
                    f"obstacle {obstacle.name!r}: EDMP as published measures volumes of boxes and knows no {kind}"
                )
        scene = with_small_cylinders(task.scene) if s.small_cylinders else task.scene
        world = World.of(task.robot, scene)
        goal = task.goals[np.linalg.norm(task.goals - task.start, axis=1).argmin()]
        begin = time.perf_counter()
        try:
            q = self._sample(prior, world, task, goal, deadline)
        except _LateError:
            return Claim(Status.TIMEOUT, f"still sampling after {s.time_budget:g} s")
        sampled = time.perf_counter()
        paths = _within_limits(q.numpy().astype(np.float64), task, goal)
        volume, _ = SweptVolume().value_and_gradient(world, torch.as_tensor(paths).float(), Margins.of(q))
        chosen = _choose(volume, paths, None if s.unchecked else task.world)
        timings = {"sample": sampled - begin, "choose": time.perf_counter() - sampled}
        if chosen is None:
            least = f"the least swept volume in obstacles is {float(volume.min()):.3g} m^3"
            return Claim(Status.NO_PATH_FOUND, f"none of {len(paths)} trajectories is free; {least}", timings=timings)
        return Claim(Status.SOLVED, path=paths[chosen], timings=timings)

    def _sample(self, prior: DdpmPrior, world: World, task: Task, goal: Array, deadline: float) -> Tensor:
        """(num_seeds, n, dof) trajectories [rad], float32."""
        ensemble, steps = self.ensemble, prior.schedule.num_timesteps

        def guide(x: Tensor, t: int) -> Tensor:
            if time.perf_counter() > deadline:
                raise _LateError
            if not self._settings.guided or t % 2 or t < LAST_GUIDED_STEP:
                return x
            q = x.transpose(1, 2).contiguous()
            _, gradient = ensemble.value_and_gradient(world, q, (t - 1) / steps)
            return x - gradient.transpose(1, 2)  # the sampler puts start and goal back

        return prior.sample(
            ensemble.num_seeds,
            torch.as_tensor(task.start),
            torch.as_tensor(goal),
            generator=torch.Generator().manual_seed(task.seed),
            guide=guide,
            as_published=self._settings.beta_noise,
            from_noise=self._settings.pure_noise,
        )

    def _prior(self, robot: Robot) -> DdpmPrior:
        name = self._settings.prior or f"{robot.name}-unet"
        if name not in self._priors:
            if not self._settings.prior and name not in bundled_priors():
                raise InvalidInputError(
                    f"EDMP as published needs a U-Net trained for {robot.name!r}; there is none. Train one "
                    "(edmp train --arch unet) and name its file: edmp12:prior=FILE"
                )
            prior = load_prior(name, robot)
            if not isinstance(prior, DdpmPrior):
                raise InvalidInputError(f"EDMP as published needs a prior of the architecture unet, not {name!r}")
            self._priors[name] = prior
        return self._priors[name]


def with_small_cylinders(scene: Scene) -> Scene:
    """Every cylinder of radius r and height h as a box of r x r x h, the published code's mistake."""
    return Scene(tuple(dataclasses.replace(obstacle, shape=_small(obstacle.shape)) for obstacle in scene))


def _small(shape: Shape) -> Shape:
    return Box((shape.radius, shape.radius, shape.length)) if isinstance(shape, Cylinder) else shape


def _within_limits(paths: Array, task: Task, goal: Array) -> Array:
    """Diffused waypoints know no joint limits; the ends are exact."""
    paths = paths.clip(task.robot.limits.lower, task.robot.limits.upper)
    paths[:, 0], paths[:, -1] = task.start, goal
    return paths


def _choose(volume: Tensor, paths: Array, world: World | None) -> int | None:
    """The row with the least swept volume; among those free in ``world`` if it is given."""
    order = torch.argsort(volume, stable=True)
    if world is None:
        return int(order[0])
    free = paths_free(world, torch.as_tensor(paths, dtype=torch.float32))
    usable = [int(row) for row in order if free[row]]
    return usable[0] if usable else None
