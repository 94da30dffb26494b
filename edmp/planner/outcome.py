"""What a call of `plan` came to, as a result with its cause."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edmp.planner.asked import as_asked
from edmp.planner.call import Call
from edmp.planner.candidates import Candidates
from edmp.planner.certify import Docket
from edmp.planner.goals import Refusal
from edmp.projection.manifold import CHECKS_PER_WAYPOINT
from edmp.result import Blocked, PlanResult, Solution, Stage, Stats, Status


def success(call: Call, tried: Candidates, begin: float) -> PlanResult:
    """The certified motions, best first; ``tried`` are all candidates, ``begin`` is when the call began."""
    found = [as_asked(one, call.query, call.judge, call.limits) for one in call.docket.solutions]
    best, *others = sorted(found, key=lambda one: one.objective)
    stats = _stats(call.docket, begin, best.stage, tried)
    return PlanResult(Status.SOLVED, _report(best) + _escaped(call), best, tuple(others), stats)


def followed(found: Solution, docket: Docket, begin: float) -> PlanResult:
    """The certified motion along a line of the tool."""
    return PlanResult(Status.SOLVED, _report(found), found, (), _stats(docket, begin, found.stage))


def blocked(found: Blocked, partial: Solution | None, docket: Docket, begin: float, *, late: bool) -> PlanResult:
    """A line of the tool that cannot be followed to its end; ``partial`` is the motion as the caller asked for it."""
    found = dataclasses.replace(found, partial=partial)
    status, lead = (Status.TIMEOUT, "time ran out; ") if late else (Status.LINE_BLOCKED, "")
    return PlanResult(status, lead + found.message, None, (), _stats(docket, begin), blocked=found)


def refusal(why: Refusal, docket: Docket, begin: float) -> PlanResult:
    """There was nothing to plan."""
    return PlanResult(why.status, why.message, None, (), _stats(docket, begin))


def out_of_time(when: str, docket: Docket, begin: float) -> PlanResult:
    """The budget was spent before anything was tried."""
    return refusal(Refusal(Status.TIMEOUT, f"time ran out {when}, before a motion was looked for"), docket, begin)


def no_path(call: Call, tried: Candidates, begin: float) -> PlanResult:
    """Nothing was certified: say where the closest candidate is stuck."""
    descent, num = call.descent, call.descent.num_waypoints
    if call.constrained:
        num *= CHECKS_PER_WAYPOINT  # what constraints leave bends between waypoints
    closest = tried.control_points[int(descent.faulty(tried.control_points, step=call.settings.edge_step).argmin())][
        None
    ]
    path = descent.spline.waypoints(closest, num)[0].cpu().numpy().astype(np.float64)
    limits = call.judge.robot.limits
    verdict = call.judge.check_path(path.clip(limits.lower, limits.upper))
    stuck = f"in the closest candidate {verdict.message()}" if not verdict.valid else "none of which could be certified"
    where = ""
    edges = [contact.edge for contact in verdict.contacts] + [broken.edge for broken in verdict.broken]
    if edges and edges[0] is not None:
        where = f" at {100 * (edges[0] + 0.5) / (len(path) - 1):.0f} % of the way"
    status = Status.TIMEOUT if call.late else Status.NO_PATH_FOUND
    lead = "time ran out" if call.late else "no path found"
    message = f"{lead} after {len(tried)} seeds; {stuck}{where}"
    return PlanResult(status, message, None, (), _stats(call.docket, begin, None, tried))


def _stats(docket: Docket, begin: float, stage: Stage | None = None, tried: Candidates | None = None) -> Stats:
    seeds, free = (len(tried), int(tried.valid.sum())) if tried else (0, 0)
    first = None if docket.first is None or stage is None else docket.first - begin
    return Stats(stage, time.perf_counter() - begin, docket.seconds, seeds, free, docket.edges_checked, first)


def _escaped(call: Call) -> str:
    """What the motion leads out of first, if it had to."""
    departure = call.query.departure
    begin = () if departure is None else call.judge.check(departure[0]).contacts
    return f"; it leads out first: {'; '.join(contact.message() for contact in begin)}" if begin else ""


def _report(best: Solution) -> str:
    clearance = "no obstacles" if np.isinf(best.min_clearance) else f"clearance {1e3 * best.min_clearance:.1f} mm"
    terms = "".join(f", {name} {value:.3g}" for name, value in best.terms.items())
    kept = "".join(f", {one.message()}" for one in best.kept)
    return f"certified motion of {best.length:.2f} rad, {best.duration:.2f} s, {clearance}{terms}{kept}"
