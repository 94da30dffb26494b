"""The shortest certified motion of a long search, which repeats: it counts looks at the arm, not seconds.

RRT-Connect with shortcutting (Kuffner and LaValle 2000) from many seeds gives first ways round. OMPL's AORRTC (Wilson
et al. 2025), which is asymptotically optimal, then looks for shorter ones. The shortest of all are pulled taut by
covariant descent. Descent from draws about the straight line, which is what edmp does without search, finds ways that
these do not; so it has a part, and the judge has the last word.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edmp.baselines.base import Task
from edmp.bench.hard.draft import Array, Draft
from edmp.connect import connect
from edmp.planner import Planner, PlannerSettings
from edmp.robots.robot import Robot
from edmp.trajectory import path_length
from edmp.validate import Judge

REACH, STEP, PASSES = 1.0, 0.02, 5
"""Of the optimal search: longest edge [rad], step between two looks along one [m], passes of simplification."""

NEARLY_STRAIGHT = 1.01
"""A motion that is at most so many times as long as the distance of its ends is looked into no further [1]."""

ENDLESS = 1e6
"""What stops nothing [s]."""

CLEARANCE, ITERATIONS = 0.005, 150
"""Of pulling taut: where obstacles begin to push back [m], covariant steps."""


@dataclass(frozen=True)
class SearchSettings:
    """How long is long.

    Attributes:
        searches: RRT-Connect searches.
        iterations: samples of each.
        shortcuts: attempts to shorten what each finds.
        looks: of the asymptotically optimal search, at edges and configurations; 0 leaves it out.
        polished: how many of the shortest are pulled taut.
        descents: plans of edmp's from seeds of the Gaussian process, without search.
    """

    searches: int = 64
    iterations: int = 4000
    shortcuts: int = 400
    looks: int = 20_000
    polished: int = 12
    descents: int = 4

    def times(self, effort: int) -> SearchSettings:
        """So many times as many searches, looks and descents."""
        return dataclasses.replace(
            self, searches=self.searches * effort, looks=self.looks * effort, descents=self.descents * effort
        )


QUICK = SearchSettings(searches=16, looks=0, polished=4, descents=0)
"""What shows whether a draft is worth a long search."""


def shortest(judge: Judge, draft: Draft, seed: int, settings: SearchSettings) -> Array | None:
    """The shortest path (n, dof) that is found and certified, from the start to one of the ends; None if none is."""
    task = Task(judge.robot, judge.scene, draft.start, draft.ends, seed)
    found = [*draft.known, *_connected(task, settings)]
    if settings.looks and not (found and _nearly_straight(min(found, key=path_length))):
        end = min(found, key=path_length)[-1] if found else draft.ends[0]
        found += _optimal(dataclasses.replace(task, goals=end[None]), settings.looks)
    found += _descended(task, settings.descents)
    found += _taut(task, sorted(found, key=path_length)[: settings.polished])
    for path in sorted(found, key=path_length):
        goal = draft.ends[np.abs(draft.ends - path[-1]).max(axis=1).argmin()]
        if judge.check_path(path, start=draft.start, goal=goal).valid:
            return path
    return None


def _nearly_straight(path: Array) -> bool:
    return path_length(path) <= NEARLY_STRAIGHT * float(np.linalg.norm(path[-1] - path[0]))


def _connected(task: Task, settings: SearchSettings) -> list[Array]:
    ends = task.goals[np.arange(settings.searches) % len(task.goals)]
    paths = connect(
        task.world,
        np.tile(task.start, (settings.searches, 1)),
        ends,
        seed=task.seed,
        max_iterations=settings.iterations,
        shortcuts=settings.shortcuts,
    )
    return [path for path in paths if path is not None]


def _optimal(task: Task, looks: int) -> list[Array]:
    """What AORRTC has to the one goal of a task after so many looks, simplified; nothing if it has nothing."""
    from edmp.baselines.sampling_based import OmplProblem, seeded

    with seeded(task.seed):
        problem = OmplProblem(task, STEP, 0.0)

        def spent() -> bool:
            return problem.checks.num_edges + problem.checks.num_states >= looks

        planner = problem.planner("AORRTC", REACH)
        claim = problem.solve(planner, search_time=ENDLESS, budget=ENDLESS, passes=PASSES, stop=spent)
    return [] if claim.path is None else [claim.path]


@functools.lru_cache(maxsize=1)
def _planner(robot: Robot) -> Planner:
    return Planner(robot, prior="process", settings=PlannerSettings(first_look=None, max_rounds=1))


def _descended(task: Task, count: int) -> list[Array]:
    """Paths of edmp's planner from so many draws of seeds; time, which does not repeat, stops none of them."""
    found = []
    for seed in range(count):
        result = _planner(task.robot).plan(
            task.scene, task.start, list(task.goals), seed=task.seed + seed, time_budget=ENDLESS, fallback=False
        )
        if result.path is not None:
            found.append(result.path)
    return found


def _taut(task: Task, paths: Sequence[Array]) -> list[Array]:
    """The paths as splines that are pulled taut against the obstacles, as polylines; those that stay free."""
    from edmp.descent import Descent
    from edmp.prior.spline import Spline, resample_polyline

    if not paths:
        return []
    lines = torch.cat([resample_polyline(torch.as_tensor(path, dtype=torch.float32)[None], 256) for path in paths])
    found = []
    for control_points in (16, 32):
        spline = Spline(num_control_points=control_points)
        descent = Descent(task.world, spline, num_waypoints=4 * control_points)
        fitted = descent.clamp(spline.fit(lines, num_samples=256))
        taut, length = descent.shorten(fitted, clearance=CLEARANCE, iterations=ITERATIONS)
        rows = spline.waypoints(taut, 100).numpy().astype(np.float64)
        for i in length.isfinite().nonzero()[:, 0].tolist():
            rows[i, 0], rows[i, -1] = paths[i][0], paths[i][-1]  # splines are in single precision
            found.append(rows[i])
    return found
