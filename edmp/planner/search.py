"""In which order things are tried: an earlier plan, a first look, whole rounds, sampling-based search."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import torch

from edmp.planner import fallback, rounds
from edmp.planner.call import Call
from edmp.planner.candidates import Candidates
from edmp.planner.certify import differ
from edmp.planner.settings import PlannerSettings, Round
from edmp.result import Stage
from edmp.robots.parts import Array

SEARCHES = ((0.5, 0.25, True), (1.0, 0.5, True), (1.0, 0.25, False))
"""Of a projected search, one after the other until one finds something: shares of the fallback's trees and samples, and
whether the spheres are to keep the margin; where they may not, they may overlap by `OVERLAPS`."""
OVERLAPS = (0.005, 0.0025)
"""Spheres stick out of the arm by some millimetres: where they find no way, the judge may all the same [m]."""
FIRST_SEARCHES = ((1000, None), (4000, 0.0), (4000, -OVERLAPS[0]))
"""Of the first search, one after the other until one finds something: samples of each tree, and how far the spheres
keep from obstacles [m], None is the margin. The first takes 5 to 30 ms, each of the others 50 to 150."""
A_SECOND = 16_000
"""Samples of each tree that a slow machine takes in that time, all trees side by side."""
LOCAL = 2
"""Where spheres may overlap, passages are narrow: every so many-th sample is drawn about the trees."""
NEAR = 1.03
"""A motion of the first search that is at most so many times as long as the distance of its ends is taken as it is."""


def search(call: Call, *, fallback: bool, earlier: Array | None) -> Candidates:
    """Rounds of seeds, and from some round on sampling-based search too, until something is certified.

    Args:
        call: what is asked for; its docket holds what was certified.
        fallback: may sampling-based search help?
        earlier: (n, dof) an earlier plan to begin with.

    Returns:
        All candidates of all rounds.
    """
    settings, tried = call.settings, []
    if earlier is not None:
        tried.append(replan(call, earlier))
        if call.solved or call.late:
            return tried[0]
    if (still := rounds.standing(call)) is not None:
        tried.append(still)
        call.certify(still, settings)
        if call.solved:
            return Candidates.join(tried)
    if looks_first(call):
        # Random numbers of its own: the rounds do not depend on this look.
        look = dataclasses.replace(call, generator=torch.Generator("cpu").manual_seed(call.seed + 2**31))
        assert settings.first_look is not None
        if call.constrained:
            # The straight lines, projected; then a projected search, which takes milliseconds, less than seeds.
            tried.append(rounds.straight(look, lines_alone(call)))
            if fallback and not call.solved and not call.late:
                sampled(call, attempt=-1)
        if not call.solved and not call.late:
            tried.append(rounds.run(look, settings.first_look))
        if call.solved or call.late:
            return Candidates.join(tried)
        if fallback and not call.constrained and settings.first_search:
            margin = search_first(call)
            if call.solved:
                return Candidates.join([*tried, *shorter(call, margin)])
    return Candidates.join([*tried, *whole_rounds(call, fallback=fallback)])


def whole_rounds(call: Call, *, fallback: bool, known: bool = False) -> list[Candidates]:
    """Rounds of seeds, from some round on sampling-based search too, until something is certified: their candidates.

    If a motion is ``known``, a shorter one is sought, whose spheres keep free, in the first rounds.
    """
    settings, tried = call.settings, []
    for k in range(settings.rounds if known else settings.max_rounds):
        tried.append(rounds.run(call, settings, index=k))
        due = k + 1 >= settings.rounds or call.impatient or call.constrained
        if not call.solved and not call.late and fallback and due:
            fall_back(call, tried[-1], attempt=k, overlap=not known)
        if call.solved or call.late:
            break
    if call.solved and k == 0 and detour(call) > settings.detour and not call.late:
        tried.append(look_again(call, settings, index=1))
    if call.solved and by_length_alone(call) and not call.constrained:
        tried += near_the_best(call, settings.long)
    return tried


def search_first(call: Call) -> float | None:
    """A short search from start to goals; where repair is long, what it finds is certified long before its seeds.

    Returns the margin that spheres kept in the last search, see `FIRST_SEARCHES`.
    """
    settings = call.settings
    margin: float | None = None
    for samples, margin in FIRST_SEARCHES:
        short = dataclasses.replace(
            settings,
            fallback_attempts=settings.first_search,
            fallback_iterations=in_time(call, min(samples, settings.fallback_iterations)),
            polish_candidates=min(2, settings.polish_candidates),
        )
        keep = settings.margin if margin is None else margin
        search_through(call, short, seed=call.seed, margin=keep, part="search")
        if call.solved or call.late:
            break
    return margin


def in_time(call: Call, samples: int) -> int:
    """So many samples, or about as many as the time that is left allows."""
    return int(min(samples, A_SECOND * call.left + 1))


def search_through(call: Call, round_: PlannerSettings, *, seed: int, margin: float, part: str) -> None:
    """RRT-Connect from start to goals; what it finds is polished and certified.

    Args:
        call: what is asked for.
        round_: how many trees of how many samples, and how much polish.
        seed: of the search.
        margin: distance that the spheres keep from obstacles, negative where they may overlap [m].
        part: of the timings that it is booked to.
    """
    now = time.perf_counter()
    fine = fallback.finer(call.descent, fallback.FINE_SPLINE)
    paths = fallback.search(
        fine,
        call.query.start,
        call.query.goals,
        settings=round_,
        seed=seed,
        margin=margin,
        local=LOCAL if margin < 0 else 0,
    )
    call.docket.spent(part, now)
    if paths:
        found = fallback.fit(paths, fine, Stage.FALLBACK, settings=call.settings, margin=min(margin, 0.0))
        call.finish(found, round_, fine, margin=margin)


def shorter(call: Call, margin: float | None) -> list[Candidates]:
    """Seeds in search of a shorter motion than the one that is certified; their candidates.

    First round that motion; if it is still long, from nothing, and then round the better of the two. Each only if as
    much time is left as has passed, so that what is known comes in time. A motion that the short search did not find,
    by its ``margin``, winds, and near it little is free: then whole rounds are as if none were known.
    """
    settings = call.settings
    if margin is not None:
        if not is_long(call, settings.long):
            return []
        with ranked_together(call):
            return whole_rounds(call, fallback=margin < 0, known=True)
    tried = near_the_best(call, NEAR)
    if settings.fresh is not None and is_long(call, settings.long):
        tried.append(look_again(call, settings.fresh))
        tried += near_the_best(call, settings.long)
    return tried


def near_the_best(call: Call, enough: float) -> list[Candidates]:
    """A round of seeds round the best motion, if it `is_long`: their candidates."""
    refine = call.settings.refine
    return [look_again(call, refine, around=True)] if refine is not None and is_long(call, enough) else []


def is_long(call: Call, enough: float) -> bool:
    """Is the best motion more than ``enough`` times as long as the least, and half of the time left?"""
    longer = call.docket.solutions[0].length > enough * rounds.least_length(call)
    return longer and call.left >= call.budget / 2


def by_length_alone(call: Call) -> bool:
    """Is one motion wanted, the shortest?"""
    return call.settings.num_alternatives == 0 and not call.descent.objective.terms


def replan(call: Call, earlier: Array) -> Candidates:
    """Seeds round an earlier plan, with little repair and little polish; one certified motion is enough."""
    warm = call.settings.warm
    if call.descent.objective.terms:
        # A few steps keep a motion short; what costs of one's own gained before takes more to win back.
        warm = dataclasses.replace(warm, polish_iterations=call.settings.polish_iterations)
    return rounds.run(call, warm, earlier=earlier)


def looks_first(call: Call) -> bool:
    """Is nearly straight good enough? Where motions are ranked by length alone, and one is wanted."""
    first = call.settings.first_look
    if first is None or not by_length_alone(call):
        return False
    return first.near is None or first.near >= 1.0


def lines_alone(call: Call) -> Round:
    """The first look, of the straight lines to the goals alone."""
    first = call.settings.first_look
    assert first is not None
    return dataclasses.replace(first, num_seeds=len(call.query.goals), prior_share=0.0, judge_anyway=1)


def look_again(call: Call, round_: Round, *, index: int = 0, around: bool = False) -> Candidates:
    """Another round, whose motions are ranked with those that are certified already; all its candidates.

    With ``around`` its seeds are round the best of these. Where one motion is wanted, the shortest, only shorter ones
    come before the judge.
    """
    best = call.docket.solutions[0]
    if by_length_alone(call):
        round_ = dataclasses.replace(round_, near=best.length / rounds.least_length(call))
    with ranked_together(call):
        return rounds.run(call, round_, index=index, earlier=best.path if around else None)


@contextlib.contextmanager
def ranked_together(call: Call) -> Iterator[None]:
    """What is certified in here is ranked with what was before."""
    docket, settings = call.docket, call.settings
    earlier, docket.solutions = docket.solutions, []
    yield
    ranked = sorted([*earlier, *docket.solutions], key=lambda found: found.objective)
    docket.solutions = []
    for found in ranked:
        if all(differ(found.path, other.path, settings.distinct) for other in docket.solutions):
            docket.solutions.append(found)
    del docket.solutions[1 + settings.num_alternatives :]


def detour(call: Call) -> float:
    """Length of the best motion over the distance of its ends [1]."""
    best = call.docket.solutions[0]
    return best.length / max(1e-9, float(np.linalg.norm(best.path[-1] - best.path[0])))


def fall_back(call: Call, batch: Candidates, *, attempt: int, overlap: bool) -> None:
    """Stitch the best seeds of a round; if that fails, search from start to goal, where spheres may ``overlap`` too."""
    if call.constrained:
        sampled(call, attempt=attempt)
        return
    settings = call.settings
    round_: Round = settings
    fine = fallback.finer(call.descent, fallback.FINE_SPLINE)
    now = time.perf_counter()
    seed = call.seed + 1000 * attempt
    stitched = fallback.stitch(batch, call.descent, settings=settings, seed=seed)
    call.docket.spent("stitch", now)
    if stitched:
        call.finish(fallback.fit(stitched, fine, Stage.STITCH, settings=settings), round_, fine)
    if call.solved or call.late:
        return
    samples = settings.fallback_iterations * (4 ** min(attempt + 1, 4) if overlap else 1)
    hurried = dataclasses.replace(settings, fallback_iterations=in_time(call, samples))
    margin = -OVERLAPS[attempt % 2] if overlap else 0.0
    search_through(call, hurried, seed=seed, margin=margin, part="fallback")


def sampled(call: Call, *, attempt: int) -> None:
    """Search from start to goal on what constraints leave; the more samples, the more attempts have failed."""
    settings, docket, now = call.settings, call.docket, time.perf_counter()
    few = dataclasses.replace(settings, polish_candidates=min(2, settings.polish_candidates))
    paths: list[tuple[np.ndarray, int]] = []
    for trees, share, clear in SEARCHES:
        # A sample takes some 80 us a tree: no search is to take more than about half of what time is left.
        most = int(min(settings.fallback_iterations * share * 4.0 ** (attempt + 1), 800 * call.left / trees + 1))
        hurried = dataclasses.replace(
            settings, fallback_attempts=round(trees * settings.fallback_attempts), fallback_iterations=most
        )
        margin = settings.margin if clear else -OVERLAPS[0]
        paths = fallback.search(
            call.descent,
            call.query.start,
            call.query.goals,
            settings=hurried,
            seed=call.seed + 1000 * (attempt + 1),
            margin=margin,
        )
        if paths or call.late:
            break
    docket.spent("fallback", now)
    for spline in fallback.SPLINES if paths else ():
        fine = fallback.finer(call.descent, spline)
        call.finish(fallback.fit(paths, fine, Stage.FALLBACK, settings=settings), few, fine, margin=margin)
        if call.solved or call.late:
            return
