"""One round of seeds: denoise under guidance, repair what still collides, certify what came out."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edmp.descent import Descent
from edmp.guidance import guided, pushed_once, pushes
from edmp.learning.edm import karras_sigmas, sample_dpmpp_2m
from edmp.planner.call import LANDING, Call
from edmp.planner.candidates import Candidates
from edmp.planner.goals import Query, turned
from edmp.planner.settings import PlannerSettings, Round
from edmp.planner.watch import Watch
from edmp.prior.base import Context
from edmp.result import Stage
from edmp.robots.parts import Array


def run(call: Call, round_: Round, *, index: int = 0, earlier: Array | None = None) -> Candidates:
    """Sample, repair, polish and certify.

    Args:
        call: what is asked for.
        round_: how much of what.
        index: number of the round; only in the first is the straight line among the seeds.
        earlier: (n, dof) an earlier plan that the seeds are to be near to.

    Returns:
        All candidates of the round.
    """
    now = time.perf_counter()
    batch = seeds(call, round_, index) if earlier is None else seeds_near(call, round_, earlier)
    call.docket.spent("sample", now)
    return onward(call, round_, batch)


def straight(call: Call, round_: Round) -> Candidates:
    """The straight lines to the goals, led onto what constraints leave; what holds of them is certified as it is.

    Polish makes such a line hardly shorter. Where the judge takes none, it is repaired and polished as any seed.
    """
    now = time.perf_counter()
    lines = _looked_at(call, call.lines, torch.arange(len(call.lines), device=call.lines.device))
    call.docket.spent("sample", now)
    as_they_are = replace(round_, polish_iterations=0, polish_candidates=2, judge_anyway=0)
    if bool(lines.valid.any()):
        _take(call, as_they_are, lines.rows(lines.valid.nonzero().squeeze(1)), margin=0.0)
    return lines if call.solved or call.late else onward(call, round_, lines)


def onward(call: Call, round_: Round, batch: Candidates) -> Candidates:
    """The rest of a round, from its seeds on."""
    now = time.perf_counter()
    batch = repair(batch, call.descent, round_=round_, settings=call.settings, deadline=call.deadline, watch=call.watch)
    call.docket.spent("repair", now)
    free = batch.rows(batch.valid.nonzero().squeeze(1))
    if round_.near is None:
        call.finish(free, round_)
    elif len(free):
        _take(call, round_, free)
    if round_.judge_anyway and not call.solved and not call.late:
        faulty = call.descent.faulty(batch.control_points, step=call.settings.edge_step)
        call.certify(batch.rows(torch.argsort(faulty, stable=True)[: round_.judge_anyway]), round_)
    return batch


def _take(call: Call, round_: Round, free: Candidates, *, margin: float | None = None) -> None:
    """Polish; certify what then is nearly straight."""
    assert round_.near is not None
    taut = call.polish(free, round_, margin=margin)
    near = call.descent.length(taut.control_points) <= round_.near * least_length(call)
    call.certify(taut.rows(near.nonzero().squeeze(1)), round_)


def least_length(call: Call) -> float:
    """What no motion is much shorter than: the distance of start and goal, led onto what constraints leave [rad]."""
    if not call.constrained:
        return float(np.linalg.norm(call.query.goals - call.query.start, axis=1).min())
    return float(call.descent.length(call.lines).min())


def standing(call: Call) -> Candidates | None:
    """The motion of no length, if the arm is at one of the goals already."""
    row = call.query.standing
    if row is None:
        return None
    start, goals = call.ends
    still = call.descent.spline.straight_line(start, goals[row])
    device = goals.device
    goal, valid = torch.tensor([row], device=device), torch.tensor([True], device=device)
    return Candidates(still, goal, valid, (Stage.SAMPLE,))


def seeds(call: Call, round_: Round, index: int = 0) -> Candidates:
    """Seeds from nothing: guided samples of the prior, samples of the Gaussian process, the straight line.

    Goals take turns, and go on in the next round where they stopped.
    """
    start, goals = call.ends
    num_prior = round(round_.num_seeds * round_.prior_share)
    num_process = round_.num_seeds - num_prior
    goal = (torch.arange(round_.num_seeds, device=goals.device) + round_.num_seeds * index) % len(goals)
    parts = []
    if num_prior:
        to = goals[goal[:num_prior]] if len(goals) > 1 else goals
        parts.append(denoised(call, round_, num_prior, start, to))
    if num_process:
        x = call.process.sample(num_process, start, goals[0], generator=call.generator)
        if index == 0:
            x[: len(goals)] = 0.0
        parts.append(x)
    return _seen(call, call.descent.spline.control_points(torch.cat(parts), start, goals[goal]), goal)


def seeds_near(call: Call, round_: Round, earlier: Array) -> Candidates:
    """Seeds round an earlier plan ``earlier`` (n, dof): re-noised, then denoised under guidance in the new scene.

    The first is the earlier plan itself, continuous joints turned as the start is, its ends moved to the start and the
    nearest of the goals.
    """
    start, goals = call.ends
    spline = call.descent.spline
    near = np.ascontiguousarray(_between(turned(call.judge.robot, earlier, call.query.start), call.query))
    path = torch.as_tensor(near, dtype=torch.float32, device=call.descent.device)
    nearest = int(torch.linalg.vector_norm(goals - path[-1], dim=1).argmin())
    goal = goals[nearest]
    x = spline.deviation(spline.fit(torch.cat([start[None], path[1:-1], goal[None]])[None]))
    samples = denoised(call, round_, round_.num_seeds, start, goal[None], x)
    samples[0] = x[0]
    to = torch.full((round_.num_seeds,), nearest, device=goals.device)
    return _seen(call, spline.control_points(samples, start, goal), to)


def _between(path: Array, query: Query) -> Array:
    """What of a path (n, dof) lies between start and goals, without what leads there from a contact or a limit."""
    first = int(np.linalg.norm(path - query.start, axis=1).argmin())
    to_goals = np.linalg.norm(path[:, None] - query.goals, axis=2).min(axis=1)
    last = int(to_goals.argmin())
    return path[first : last + 1] if last > first + 1 else path


def denoised(call: Call, round_: Round, num: int, start: Tensor, goal: Tensor, clean: Tensor | float = 0.0) -> Tensor:
    """(num, dim) guided samples of the prior.

    Args:
        call: what is asked for.
        round_: denoising steps and the noise level to start from.
        num: how many.
        start: (dof,) [rad or m].
        goal: (num or 1, dof).
        clean: (1, dim) what is noised, if the noise level leaves anything of it.
    """
    prior = call.prior
    denoise = prior.bind(Context(start, goal if len(goal) > 1 else goal[0], call.descent.world))
    push = pushes(
        prior=prior,
        ensemble=call.ensemble.with_seeds(num),
        descent=call.descent,
        start=start,
        goal=goal,
        settings=call.settings.guidance,
    )
    sigma = prior.sigma_max if round_.sigma is None else round_.sigma
    sigmas = karras_sigmas(round_.sampler_steps, sigma_min=prior.sigma_min, sigma_max=sigma)
    noisy = clean + prior.noise(num, sigma=sigma, generator=call.generator)
    callback = call.watch.sampler(start, goal) if call.watch else None
    if prior.one_call:
        return pushed_once(denoise, push, noisy, sigmas, callback=callback)
    return sample_dpmpp_2m(guided(denoise, push), noisy, sigmas, callback=callback)


def _seen(call: Call, control_points: Tensor, goal: Tensor) -> Candidates:
    """Seeds as candidates: within the limits, and told which of them are free."""
    control_points = call.descent.onto_constraints(call.descent.clamp(control_points), iterations=LANDING)
    return _looked_at(call, control_points, goal)


def _looked_at(call: Call, control_points: Tensor, goal: Tensor) -> Candidates:
    """Seeds as candidates, told which of them are free."""
    valid = call.descent.free(control_points, step=call.settings.edge_step)
    if call.watch is not None:
        call.watch.see("sample", 0.0, control_points, valid)
    return Candidates(control_points, goal, valid, (Stage.SAMPLE,) * len(goal))


def repair(
    candidates: Candidates,
    descent: Descent,
    *,
    round_: Round,
    settings: PlannerSettings,
    deadline: float = float("inf"),
    watch: Watch | None = None,
) -> Candidates:
    """Covariant descent of the colliding candidates until enough are free, or the iterations or the time end."""
    control_points, valid, stage = candidates.control_points.clone(), candidates.valid.clone(), list(candidates.stage)
    row = torch.arange(len(candidates), device=control_points.device)
    clearances = control_points.new_tensor(settings.repair_clearances)[row % len(settings.repair_clearances)]
    pulls = control_points.new_tensor(settings.repair_pulls)[
        row // len(settings.repair_clearances) % len(settings.repair_pulls)
    ]
    every = settings.repair_every
    for iteration in range(round_.repair_iterations):
        if int(valid.sum()) >= round_.enough_valid or bool(valid.all()) or time.perf_counter() > deadline:
            break
        active = (~valid).nonzero().squeeze(1)
        moving = control_points[active]
        _, gradient = descent.cost_gradient(moving, clearances[active], every=every, first=iteration % every)
        gradient = descent.with_terms(gradient, moving)
        moving = descent.covariant_step(moving, gradient, max_move=settings.repair_max_move, pull=pulls[active])
        control_points[active] = moving
        if (iteration + 1) % round_.check_every == 0:
            free = descent.free(moving, step=settings.edge_step)
            valid[active] = free
            for i in active[free].tolist():
                stage[i] = Stage.REPAIR
            if watch is not None:
                watch.see("repair", iteration + 1, control_points, valid)
    return replace(candidates, control_points=control_points, valid=valid, stage=tuple(stage))
