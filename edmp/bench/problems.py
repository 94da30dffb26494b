"""Folders of problems: ``DIR/<set>/sceneNNNN.yaml`` with ``requestNNNN.yaml`` beside it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edmp.problem import Problem, load_problem
from edmp.robots.errors import FileFormatError, InvalidInputError, unknown_name

BEST_KNOWN_FILE = "best_known_lengths.json"
_SCENE = re.compile(r"scene(\d+)\.yaml")


@dataclass(frozen=True)
class BenchProblem:
    """A problem by its files.

    Attributes:
        set: name of its folder.
        index: its number.
        scene: MoveIt scene file, or a problem in edmp's own format, then ``request`` is None.
        request: MoveIt request file.
        best_known: shortest path length known [rad], None if nothing is known.
    """

    set: str
    index: int
    scene: Path
    request: Path | None
    best_known: float | None = None

    def load(self, robot: str) -> Problem:
        return load_problem(self.scene, self.request, robot=robot)


def find_problems(
    folder: str | Path,
    *,
    sets: Sequence[str] | None = None,
    numbers: Collection[int] | None = None,
    limit: int | None = None,
) -> list[BenchProblem]:
    """The problems in a folder, by set and number.

    Args:
        folder: holds one folder a set.
        sets: only these.
        numbers: only problems of these numbers.
        limit: at most this many in all, taken evenly from the sets, lowest numbers first.

    Raises:
        InvalidInputError: there is no such folder, or no problem in it.
        UnknownNameError: a set that is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidInputError(f"problems: no such folder: {folder}")
    best_known = _best_known(folder)
    by_set = {
        child.name: _problems_of(child, best_known.get(child.name, {}))
        for child in sorted(folder.iterdir())
        if child.is_dir() and any(_SCENE.fullmatch(file.name) for file in child.iterdir())
    }
    if not by_set:
        raise InvalidInputError(f"problems: {folder} has no folder with files sceneNNNN.yaml in it")
    for name in sets or ():
        if name not in by_set:
            raise unknown_name("problem set", name, by_set)
    chosen = [
        [problem for problem in problems if numbers is None or problem.index in numbers]
        for name, problems in by_set.items()
        if sets is None or name in sets
    ]
    if limit is not None:
        dealt = itertools.chain.from_iterable(itertools.zip_longest(*chosen))
        keep = set(itertools.islice((problem for problem in dealt if problem is not None), limit))
        chosen = [[problem for problem in problems if problem in keep] for problems in chosen]
    flat = [problem for problems in chosen for problem in problems]
    if not flat:
        raise InvalidInputError("problems: the choice of sets, numbers and limit leaves none")
    return flat


def _problems_of(folder: Path, best_known: dict[str, float]) -> list[BenchProblem]:
    problems = []
    for scene in folder.iterdir():
        if match := _SCENE.fullmatch(scene.name):
            number = match[1]
            request = folder / f"request{number}.yaml"
            best = best_known.get(str(int(number)))
            problems.append(BenchProblem(folder.name, int(number), scene, request if request.exists() else None, best))
    return sorted(problems, key=lambda problem: problem.index)


def _best_known(folder: Path) -> dict[str, dict[str, float]]:
    """Shortest known lengths by set and number; empty if the folder has no such file."""
    path = folder / BEST_KNOWN_FILE
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())["sets"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: expected {{'sets': {{set: {{number: length}}}}}}: {error}") from error
