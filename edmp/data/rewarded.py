"""Tuning a prior by reward: policy gradients through its denoising steps, and the controls beside them.

- ``dppo``: diffusion policy policy optimisation (Ren et al. 2024). Each denoising step is a Gaussian policy of the
  noisy sample; proximal policy optimisation (Schulman et al. 2017) on all of them, the reward of the motion that comes
  out discounted back along the steps. A question has one answer, so that the mean reward of its group of samples is
  the baseline and no critic is needed.
- ``dql``: diffusion Q-learning (Wang et al. 2023), `edmp.data.q_learning`: two critics that learn along, whose
  gradient is propagated back through all denoising steps.
- ``clearance``: the control that knows more. The clearance kernel's own gradient at the clean estimate is propagated
  back into the network.
- ``plain``: as many steps of plain training.

All keep the denoising loss on the data as an anchor; of a prior that sees the scene the correction is tuned.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edmp.costs.clearance import clearance_field
from edmp.data.collected import Collect, Collected, Learn, Place, RewardedSettings, Rows, places
from edmp.data.export import export_prior
from edmp.data.q_learning import QLearning
from edmp.data.reward import Outcome
from edmp.data.scene_rows import SceneExamples, settings_of
from edmp.data.taught import digest
from edmp.data.train import PRIOR_NAME
from edmp.data.training_set import read_manifest
from edmp.errors import InvalidInputError
from edmp.learning.card import untrained_card
from edmp.learning.edm import karras_sigmas
from edmp.learning.training import TrainingRun, TrainReport, TrainSettings, opened, trained
from edmp.prior.checkpoint import load_prior
from edmp.prior.scene import SceneNetwork, ScenePrior
from edmp.prior.value import Value, ValueNetwork
from edmp.robots.robot import Robot


def tune_by_reward(
    data_dir: str | Path,
    out: str | Path,
    *,
    robot: Robot,
    prior: str | Path,
    rewarded: RewardedSettings,
    value: str | Path | None = None,
    settings: TrainSettings,
    resume: bool = True,
    command: str = "",
    on_step: Callable[[int, float], None] | None = None,
) -> TrainReport:
    """Tune a prior that sees the scene by reward, or by a control.

    Args:
        data_dir: folder that `edmp.data.generate` filled: questions, and the anchor.
        out: folder of the run; created.
        robot: that the prior is for.
        prior: name or file of the prior to begin with.
        rewarded: see `RewardedSettings`.
        value: of ``dql``, the file of a value network that both critics begin as; None: they begin from nothing.
        settings: of the training.
        resume: go on from the folder's checkpoint if it has one.
        command: that called this, for the model card.
        on_step: called after each step with its number and its loss.
    """
    out = opened(out, settings)
    known = load_prior(prior, robot)
    if not isinstance(known, ScenePrior) or known.one_call:
        raise InvalidInputError(f"prior: {prior} is no prior that sees the scene and is called several times")
    begin = _critic(value, known, robot, rewarded)
    network = copy.deepcopy(known.network).train().requires_grad_(True)
    network.base.requires_grad_(False)
    anchor = SceneExamples(
        data_dir,
        network,
        robot,
        validation_fraction=settings.validation_fraction,
        max_shards=rewarded.anchor_shards,
    )
    card = untrained_card("scene", network.config, robot, seed=settings.seed, command=command)
    origin = f"{rewarded.method} of {Path(prior).stem} {digest(known)}, {rewarded.reward}"
    run = TrainingRun(network, dataclasses.replace(card, origin=origin), settings)
    if rewarded.method == "plain":
        data: Any = anchor  # and the network's own loss
    else:
        source = settings_of(read_manifest(Path(data_dir)), robot, data_dir)
        asked = places(Path(data_dir), source, robot, known, rewarded)
        pupil = QLearning(known, robot, asked, rewarded, settings, begin) if rewarded.method == "dql" else None
        collect: Collect = _walks
        learn: Learn = _proximal
        if pupil is not None:
            collect, learn = pupil.collect, pupil.climb
        elif rewarded.method == "clearance":
            collect, learn = _estimated, _descending
        data = Collected(out, run, known, anchor, asked, rewarded, collect, pupil)
        run.loss = data.loss_with(learn)
    return trained(run, data, out, settings, resume=resume, ship=export_prior, name=PRIOR_NAME, on_step=on_step)


def _critic(path: str | Path | None, prior: ScenePrior, robot: Robot, s: RewardedSettings) -> ValueNetwork | None:
    if path is None:
        return None
    if s.method != "dql":
        raise InvalidInputError(f"value: of method dql alone, not of {s.method}")
    found = load_prior(path, robot)
    if not isinstance(found, Value):
        raise InvalidInputError(f"value: {path} is no value network; edmp finetune --method value makes one")
    if found.network.spline != prior.spline:
        raise InvalidInputError(f"value: {path} is for {found.network.spline}, the prior's motions are {prior.spline}")
    return found.network


def policy(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> tuple[Tensor, Tensor]:
    """Mean (n, dim) and standard deviation (n, 1) of a denoising step, in units of the data's.

    An ancestral step (Karras et al. 2022, app. B of k-diffusion's Euler ancestral): with r = sigma' / sigma the mean is
    D + r^2 (x - D), the deviation sigma' sqrt(1 - r^2), and at least `least_std`.
    """
    clean = rows["estimate"] + network(rows["x"], rows["estimate"], rows["touch"], rows["sigma"], rows["ends"])
    r = rows["next"] / rows["sigma"]
    mean = torch.lerp(clean, rows["x"], r.square())
    return mean / network.base.noise_scale, (rows["next"] * (1 - r.square()).sqrt()).clamp_min(s.least_std)


def log_probability(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(n,) of ``z`` (n, dim), without what does not depend on the mean, averaged over its numbers."""
    return -0.5 * ((z - mean) / std).square().mean(dim=1)


def _told(prior: ScenePrior, place: Place, x: Tensor, sigma: float) -> Rows:
    """What the network is told of noisy samples ``x`` (n, dim)."""
    network, n = prior.network, len(x)
    start, goal = place.start.expand(n, -1), place.goal.expand(n, -1)
    level = torch.full((n, 1), sigma)
    estimate = network.base.denoise(x, level, network.base.problem_embedding(place.start[None], place.goal[None]))
    touch = network.touch(place.descent.world, network.spline.control_points(estimate, start, goal))
    return {"x": x, "estimate": estimate, "touch": touch, "sigma": level, "ends": torch.stack([start, goal], dim=1)}


@torch.no_grad()
def _walks(prior: ScenePrior, place: Place, s: RewardedSettings, generator: torch.Generator) -> Rows:
    """Denoising steps of a group of samples, and how much better than the others each came out."""
    network = prior.network
    scale = network.base.noise_scale
    sigmas = karras_sigmas(s.steps, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max).tolist()
    x = prior.noise(s.group, sigma=sigmas[0], generator=generator)
    steps: list[Rows] = []
    for sigma, after in itertools.pairwise(sigmas):
        rows = _told(prior, place, x, sigma) | {"next": torch.full((s.group, 1), after)}
        mean, std = policy(network, rows, s)
        z = mean + std * torch.randn(mean.shape, generator=generator)
        x = z * scale
        steps.append(rows | {"z": z, "log_probability": log_probability(z, mean, std)[:, None]})
    control_points = place.descent.clamp(prior.spline.control_points(x, place.start, place.goal))
    reward = s.reward.of(Outcome.of(place.descent, control_points, enough=s.reward.enough))
    better = ((reward - reward.mean()) / (reward.std() + 0.05))[:, None]
    for k, rows in enumerate(steps):
        rows["advantage"] = better * s.discount ** (len(steps) - 1 - k)
        rows["reward"] = reward[:, None]
    return {key: torch.cat([rows[key] for rows in steps]) for key in steps[0]}


def _proximal(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
    """(n,) the clipped objective of proximal policy optimisation, to be made small."""
    mean, std = policy(network, rows, s)
    dim = mean.shape[1]
    ratio = (
        ((log_probability(rows["z"], mean, std) - rows["log_probability"][:, 0]) * math.sqrt(dim)).clamp(-5, 5).exp()
    )
    advantage = rows["advantage"][:, 0]
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage)


@torch.no_grad()
def _estimated(prior: ScenePrior, place: Place, s: RewardedSettings, generator: torch.Generator) -> Rows:
    """Noisy samples on their way, and the clearance kernel's gradient at their clean estimates."""
    sigmas = karras_sigmas(s.steps, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max).tolist()
    x = prior.noise(s.group, sigma=sigmas[0], generator=generator)
    spline, steps = prior.spline, []
    basis = spline.basis(place.descent.num_waypoints)[:, 1:-1]
    for sigma, after in itertools.pairwise(sigmas):
        rows = _told(prior, place, x, sigma)
        clean = rows["estimate"] + prior.network(*(rows[key] for key in ("x", "estimate", "touch", "sigma", "ends")))
        q = place.descent.waypoints(place.descent.clamp(spline.control_points(clean, place.start, place.goal)))
        _, gradient = clearance_field(place.descent.world, q, q.new_full((len(q),), s.reward.enough))
        steps.append(rows | {"gradient": (basis.T @ gradient).flatten(1)})
        x = torch.lerp(clean, x, after / sigma)
    return {key: torch.cat([rows[key] for rows in steps]) for key in steps[0]}


def _descending(network: SceneNetwork, rows: Rows, s: RewardedSettings) -> Tensor:
    """(n,) what has the clearance cost's gradient as its own, at the clean estimates."""
    correction = network(rows["x"], rows["estimate"], rows["touch"], rows["sigma"], rows["ends"])
    return s.push * (correction * rows["gradient"]).sum(dim=1)
