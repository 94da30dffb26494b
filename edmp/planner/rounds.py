"""One round of seeds: denoise under guidance, then repair what still collides."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from edmp.costs.ensemble import Ensemble
from edmp.descent import Descent
from edmp.guidance import guided
from edmp.planner.candidates import Candidates
from edmp.planner.settings import PlannerSettings
from edmp.planner.watch import Watch
from edmp.prior.base import Prior
from edmp.prior.edm import karras_sigmas, sample_dpmpp_2m
from edmp.prior.process import ProcessPrior
from edmp.result import Stage


def seeds(
    prior: Prior,
    process: ProcessPrior,
    ensemble: Ensemble,
    descent: Descent,
    start: Tensor,
    goals: Tensor,
    *,
    settings: PlannerSettings,
    generator: torch.Generator,
    round_index: int = 0,
    watch: Watch | None = None,
) -> Candidates:
    """Seeds of one round: guided samples of the prior, samples of the Gaussian process, the straight line.

    Args:
        prior: denoised under guidance.
        process: the Gaussian process that the other seeds come from.
        ensemble: guides of the denoising; shared out over the prior's seeds.
        descent: world and spline.
        start: (dof,) [rad or m].
        goals: (k, dof); seeds take turns, and go on in the next round where they stopped.
        settings: see `PlannerSettings`.
        generator: of all random numbers.
        round_index: number of the round; only in the first is the straight line among the seeds.
        watch: told of the prior's seeds at every denoising step, and of all seeds at the end.
    """
    spline = descent.spline
    num_prior = round(settings.num_seeds * settings.prior_share)
    num_process = settings.num_seeds - num_prior
    goal = (torch.arange(settings.num_seeds) + settings.num_seeds * round_index) % len(goals)
    parts = []
    if num_prior:
        to = goals[goal[:num_prior]]
        denoise = guided(
            prior.bind(start, to if len(goals) > 1 else goals[0]),
            prior=prior,
            ensemble=ensemble.with_seeds(num_prior),
            descent=descent,
            start=start,
            goal=to,
            settings=settings.guidance,
        )
        sigmas = karras_sigmas(settings.sampler_steps, sigma_min=prior.sigma_min, sigma_max=prior.sigma_max)
        noise = prior.noise(num_prior, sigma=prior.sigma_max, generator=generator)
        parts.append(sample_dpmpp_2m(denoise, noise, sigmas, callback=watch.sampler(start, to) if watch else None))
    if num_process:
        x = process.sample(num_process, start, goals[0], generator=generator)
        if round_index == 0:
            x[: len(goals)] = 0.0
        parts.append(x)
    control_points = descent.clamp(spline.control_points(torch.cat(parts), start, goals[goal]))
    valid = descent.free(control_points, step=settings.edge_step)
    if watch is not None:
        watch.see("sample", 0.0, control_points, valid)
    return Candidates(control_points, goal, valid, (Stage.SAMPLE,) * settings.num_seeds)


def warm_seeds(
    earlier: Tensor,
    prior: Prior,
    ensemble: Ensemble,
    descent: Descent,
    start: Tensor,
    goals: Tensor,
    *,
    settings: PlannerSettings,
    generator: torch.Generator,
    watch: Watch | None = None,
) -> Candidates:
    """Seeds round an earlier plan ``earlier`` (n, dof): re-noised, then denoised under guidance in the new scene.

    The first is the earlier plan itself, its ends moved to ``start`` and the nearest of ``goals``. Other arguments as
    in `seeds`.
    """
    warm, spline = settings.warm, descent.spline
    nearest = int(torch.linalg.vector_norm(goals - earlier[-1], dim=1).argmin())
    goal = goals[nearest]
    x = spline.deviation(spline.fit(torch.cat([start[None], earlier[1:-1], goal[None]])[None]))
    denoise = guided(
        prior.bind(start, goal),
        prior=prior,
        ensemble=ensemble.with_seeds(warm.num_seeds),
        descent=descent,
        start=start,
        goal=goal,
        settings=settings.guidance,
    )
    sigmas = karras_sigmas(warm.sampler_steps, sigma_min=prior.sigma_min, sigma_max=warm.sigma)
    noisy = x + prior.noise(warm.num_seeds, sigma=warm.sigma, generator=generator)
    samples = sample_dpmpp_2m(denoise, noisy, sigmas, callback=watch.sampler(start, goal) if watch else None)
    samples[0] = x[0]
    control_points = descent.clamp(spline.control_points(samples, start, goal))
    valid = descent.free(control_points, step=settings.edge_step)
    if watch is not None:
        watch.see("sample", 0.0, control_points, valid)
    to = torch.full((warm.num_seeds,), nearest)
    return Candidates(control_points, to, valid, (Stage.SAMPLE,) * warm.num_seeds)


def repair(
    candidates: Candidates,
    descent: Descent,
    *,
    settings: PlannerSettings,
    deadline: float = float("inf"),
    watch: Watch | None = None,
) -> Candidates:
    """Covariant descent of the colliding candidates until enough are free, or the iterations or the time end."""
    control_points, valid, stage = candidates.control_points.clone(), candidates.valid.clone(), list(candidates.stage)
    row = torch.arange(len(candidates))
    clearances = torch.tensor(settings.repair_clearances)[row % len(settings.repair_clearances)]
    pulls = torch.tensor(settings.repair_pulls)[row // len(settings.repair_clearances) % len(settings.repair_pulls)]
    for iteration in range(settings.repair_iterations):
        if int(valid.sum()) >= settings.enough_valid or bool(valid.all()) or time.perf_counter() > deadline:
            break
        active = (~valid).nonzero().squeeze(1)
        moving = control_points[active]
        _, gradient = descent.cost_gradient(moving, clearances[active])
        gradient = descent.with_terms(gradient, moving)
        moving = descent.covariant_step(moving, gradient, max_move=settings.repair_max_move, pull=pulls[active])
        control_points[active] = moving
        if (iteration + 1) % settings.check_every == 0:
            free = descent.free(moving, step=settings.edge_step)
            valid[active] = free
            for i in active[free].tolist():
                stage[i] = Stage.REPAIR
            if watch is not None:
                watch.see("repair", iteration + 1, control_points, valid)
    return replace(candidates, control_points=control_points, valid=valid, stage=tuple(stage))
