"""Problems that today's planner finds hard, of four kinds, each proved to have a solution by a long search.

As in `edmp.bench.expert`, a draw from which nothing comes is redrawn with the next seed, so that a problem depends on
its kind, the suite's seed, its number and the effort of the search only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edmp.bench.expert import ATTEMPTS, ExpertProblem, scene_seed, tool_goal
from edmp.bench.hard import cluttered, detour, many_goals, narrow
from edmp.bench.hard.draft import Draft, worth_asking
from edmp.bench.hard.long_search import QUICK, SearchSettings, shortest
from edmp.errors import EdmpError
from edmp.robots.robot import Robot
from edmp.trajectory import path_length
from edmp.validate import Judge

DRAWS: dict[str, Callable[[Robot, int, np.random.Generator], Draft | None]] = {
    "narrow": narrow.draw,
    "cluttered": cluttered.draw,
    "detour": detour.draw,
    "many_goals": many_goals.draw,
}
"""Kinds by name: a draft from a robot, a number and a random generator; None if this draw comes to nothing."""


def make_hard(robot: Robot, kind: str, *, seed: int, number: int, effort: int) -> ExpertProblem:
    """Problem ``number`` of a kind of `DRAWS`: the same for the same arguments.

    Args:
        robot: the arm; what is drawn is made for a Panda's reach.
        kind: of problem.
        seed: of the suite.
        number: which problem, from 1.
        effort: so many times as long as usual is searched for the shortest motion.

    Raises:
        EdmpError: no problem in `ATTEMPTS` draws.
    """
    for attempt in range(ATTEMPTS):
        made = _made(robot, kind, number, scene_seed(kind, seed, number, attempt), attempt, effort)
        if made is not None:
            return made
    raise EdmpError(
        f"no problem of kind {kind!r} for {robot.name} in {ATTEMPTS} draws (seed {seed}, number {number}): these kinds "
        "are made for a Panda's reach"
    )


def _made(robot: Robot, kind: str, number: int, seed: int, attempt: int, effort: int) -> ExpertProblem | None:
    rng = np.random.default_rng(seed)
    draft = DRAWS[kind](robot, number, rng)
    if draft is None:
        return None
    judge = Judge(robot, draft.scene)
    if not worth_asking(judge, draft):
        return None
    line, searched = float(np.linalg.norm(draft.ends[0] - draft.start)), int(rng.integers(2**30))
    least = draft.least_ratio * line
    quick = shortest(judge, draft, searched, QUICK)
    if quick is None or path_length(quick) < least:
        return None
    path = shortest(judge, draft, searched, SearchSettings().times(effort))
    if path is None or path_length(path) < least:
        return None
    goal = tool_goal(robot, draft.ends[0]) if draft.pose_goal else draft.ends[0]
    return ExpertProblem(draft.scene, draft.start, goal, draft.what, path, attempt, seed)
