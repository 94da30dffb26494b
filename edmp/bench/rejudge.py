"""A second opinion: every path called solved, looked at again by a checker that the planner never uses."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.bench.examine import END_TOLERANCE, goals_of, reaches
from edmp.bench.problems import BenchProblem
from edmp.bench.records import Record
from edmp.errors import InvalidInputError, MissingDependencyError
from edmp.problem import Problem
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

DENSE_STEP = 5e-3
"""No joint moves more than this between two looks [rad]."""


@dataclass(frozen=True)
class Opinion:
    """What is wrong with one path; empty if nothing is.

    Attributes:
        planner, set, index: which path.
        hulls: collisions of the robot's own convex pieces.
        meshes: collisions of the convex hulls of the original collision meshes; None if these are not installed.
        ends: start or goal missed, or limits broken.
        constraints: constraints of the problem that are broken, a look every 1 mrad.
    """

    planner: str
    set: str
    index: int
    hulls: tuple[str, ...]
    meshes: tuple[str, ...] | None
    ends: tuple[str, ...]
    constraints: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.hulls or self.meshes or self.ends or self.constraints)


def rejudge(
    records: Sequence[Record],
    problems: Sequence[BenchProblem],
    *,
    step: float = DENSE_STEP,
    workers: int | None = None,
    on_opinion: Callable[[Opinion], None] = lambda _: None,
) -> list[Opinion]:
    """Opinions about every path in ``records`` that was called solved and whose problem is among ``problems``.

    Args:
        records: of `edmp.bench.read_records`.
        problems: the same problems.
        step: no joint moves more than this between two looks [rad].
        workers: processes; all cores if not given.
        on_opinion: called as they come.

    Raises:
        InvalidInputError: a line keeps no path, or one that is not its robot's.
    """
    by_key = {(problem.set, problem.index): problem for problem in problems}
    work = [(r, by_key[r.set, r.index], step) for r in records if r.solved and (r.set, r.index) in by_key]
    opinions = []
    for opinion in _opinions(work, workers or len(os.sched_getaffinity(0))):
        opinions.append(opinion)
        on_opinion(opinion)
    return opinions


def _opinions(work: list[Any], workers: int) -> Iterator[Opinion]:
    if workers == 1:
        yield from map(_opinion, work)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_opinion, work)


def _opinion(work: tuple[Record, BenchProblem, float]) -> Opinion:
    from edmp.validate.dense import dense_collisions
    from edmp.validate.dense_constraints import dense_breaches

    record, entry, step = work
    if record.robot is None or record.path is None:
        raise InvalidInputError(f"{entry.set}/{entry.index} of {record.planner}: the line keeps no path, or no robot")
    problem = entry.load(record.robot)
    path = np.array(record.path, dtype=np.float64)
    if path.shape[1:] != (problem.robot.dof,):
        raise InvalidInputError(
            f"{entry.set}/{entry.index} of {record.planner}: a path {path.shape} for {record.robot} with "
            f"{problem.robot.dof} joints"
        )
    own = dense_collisions(problem.robot, problem.scene, path, step, first_only=True)
    try:
        arm = with_mesh_hulls(problem.robot)
        original = tuple(
            f"{hit.link} in {hit.other}" for hit in dense_collisions(arm, problem.scene, path, step, first_only=True)
        )
    except MissingDependencyError:
        original = None
    hulls = tuple(f"{hit.link} in {hit.other}" for hit in own)
    broken = tuple(map(str, dense_breaches(problem.robot, problem.scene, problem.constraints, path)))
    return Opinion(record.planner, entry.set, entry.index, hulls, original, tuple(_ends(problem, path)), broken)


def _ends(problem: Problem, path: Array) -> Iterator[str]:
    limits = problem.robot.limits
    if ((path < limits.lower - 1e-9) | (path > limits.upper + 1e-9)).any():
        yield "limits broken"
    if np.abs(path[0] - problem.start).max() > END_TOLERANCE:
        yield "start missed"
    if not any(reaches(problem.robot, path[-1], goal) for goal in goals_of(problem)):
        yield "goal missed"


# --- the original collision meshes -----------------------------------------------------------------------------------


def with_mesh_hulls(robot: Robot) -> Robot:
    """The robot with the convex hulls of the meshes that its description was fitted to, as its pieces for the judge.

    Raises:
        MissingDependencyError: the meshes are not installed, or the description does not name any.
    """
    meshes = _source_meshes(robot.name)
    if not meshes:
        raise MissingDependencyError(f"the description of {robot.name!r} names no meshes")
    links = []
    for link in robot.links:
        hulls = tuple(points @ link.X_BL[:3, :3].T + link.X_BL[:3, 3] for points in meshes.get(link.name, ()))
        links.append(dataclasses.replace(link, hulls_B=hulls) if hulls else link)
    return dataclasses.replace(robot, links=tuple(links))


_meshes_of: dict[str, dict[str, list[Array]]] = {}


def _source_meshes(name: str) -> dict[str, list[Array]]:
    """Vertices (V, 3) of the source meshes by link, in the link frame [m]; empty if the description names none."""
    from edmp.robots import built_in_robots
    from edmp.robots.description import read_built_in
    from edmp.robots.sources import load_sources

    if name not in built_in_robots():
        return {}
    if name not in _meshes_of:
        entries = {entry["name"]: entry for entry in read_built_in(name)["links"]}
        sources = {link: entries[entry.get("like", link)].get("source") or [] for link, entry in entries.items()}
        _meshes_of[name] = {
            link: [geometry.points for geometry in load_sources(source, folder=None, packages={}, place=link)]
            for link, source in sources.items()
        }
    return _meshes_of[name]
