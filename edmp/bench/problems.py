"""Problems to measure planners on, wherever they come from: folders of files, or files of many problems.

A folder holds ``<set>/sceneNNNN.yaml``, each in edmp's own format or MoveIt's with ``requestNNNN.yaml`` beside it.
Files of many problems are those of `edmp.bench.problem_files`. docs/problems.md tells about all of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edmp.bench import problem_files
from edmp.errors import InvalidInputError, unknown_name
from edmp.files.json_nodes import read_json
from edmp.problem import Problem, load_problem

BEST_KNOWN_FILE = "best_known_lengths.json"
_SCENE = re.compile(r"scene(\d+)\.yaml")


@dataclass(frozen=True)
class BenchProblem:
    """Where a problem is to be found; small, so that it can be sent to another process.

    Attributes:
        set: name of its set.
        index: its number there.
        file: the file that holds it: its own scene file in a folder of problems, or one of many problems.
        request: MoveIt request file that belongs to ``file``, if any.
        best_known: shortest path length known [rad], None if nothing is known.
        alone: whether ``file`` holds this problem only.
        solvable: whether a path that the judge has certified lies beside it, as `edmp bench make` leaves it.
    """

    set: str
    index: int
    file: Path
    request: Path | None = None
    best_known: float | None = None
    alone: bool = True
    solvable: bool = False

    def load(self, robot: str) -> Problem:
        """The problem for a robot, by name or description file.

        Raises:
            FileFormatError: the file is not what it should be.
            InvalidInputError: the problem is posed for another robot.
        """
        if self.alone:
            return load_problem(self.file, self.request, robot=robot)
        return problem_files.load_from_file(self.file, self.set, self.index, robot)


def find_problems(
    path: str | Path,
    *,
    sets: Sequence[str] | None = None,
    numbers: Collection[int] | None = None,
    limit: int | None = None,
) -> list[BenchProblem]:
    """The problems in a folder or a file, by set and number.

    Args:
        path: a folder with one folder a set, or a file of many problems, recognised by content.
        sets: only these.
        numbers: only problems of these numbers.
        limit: at most this many in all, taken evenly from the sets, lowest numbers first.

    Raises:
        InvalidInputError: there is no such folder or file, or no problem in it.
        FileFormatError: the file is of no kind that is known, or malformed.
        UnknownNameError: a set that is not there.
        MissingDependencyError: reading the file needs a package that is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidInputError(f"problems: no such folder or file: {path}")
    folders = _scene_files(path) if path.is_dir() else None
    numbers_of = folders if folders is not None else problem_files.numbers_of(path)
    if not numbers_of:
        what = "has no folder with files sceneNNNN.yaml in it" if folders is not None else "holds no problem"
        raise InvalidInputError(f"problems: {path} {what}")
    for name in sets or ():
        if name not in numbers_of:
            raise unknown_name("problem set", name, numbers_of)
    chosen = {
        name: [number for number in there if numbers is None or number in numbers]
        for name, there in numbers_of.items()
        if sets is None or name in sets
    }
    if limit is not None:
        chosen = _dealt(chosen, limit)
    if not any(chosen.values()):
        raise InvalidInputError("problems: the choice of sets, numbers and limit leaves none")
    if folders is not None:
        return _in_folder(path, folders, chosen)
    return [
        BenchProblem(name, number, path, best_known=length, alone=False)
        for name, wanted in chosen.items()
        for number, length in zip(wanted, problem_files.known_lengths(path, name, wanted), strict=True)
    ]


def _dealt(chosen: dict[str, list[int]], limit: int) -> dict[str, list[int]]:
    """The first ``limit`` when the sets are gone round, one number each time."""
    turns = itertools.zip_longest(*([(name, number) for number in numbers] for name, numbers in chosen.items()))
    dealt = [pair for pair in itertools.chain.from_iterable(turns) if pair is not None]
    keep = set(dealt[:limit])
    return {name: [number for number in numbers if (name, number) in keep] for name, numbers in chosen.items()}


def _scene_files(folder: Path) -> dict[str, dict[int, Path]]:
    """Scene files by set and number, in order."""
    found = {}
    for child in sorted(folder.iterdir()):
        if not child.is_dir():
            continue
        files = {int(match[1]): file for file in child.iterdir() if (match := _SCENE.fullmatch(file.name))}
        if files:
            found[child.name] = dict(sorted(files.items()))
    return found


def _in_folder(folder: Path, files: dict[str, dict[int, Path]], chosen: dict[str, list[int]]) -> list[BenchProblem]:
    best_known = _best_known(folder)
    found = []
    for name, numbers in chosen.items():
        for number in numbers:
            scene = files[name][number]
            request = scene.with_name(scene.name.replace("scene", "request"))
            best = best_known.get(name, {}).get(str(number))
            solvable = scene.with_name(scene.name.replace("scene", "expert")).with_suffix(".json").exists()
            found.append(
                BenchProblem(name, number, scene, request if request.exists() else None, best, solvable=solvable)
            )
    return found


def _best_known(folder: Path) -> dict[str, dict[str, float]]:
    """Shortest known lengths by set and number; empty if the folder has no such file."""
    path = folder / BEST_KNOWN_FILE
    if not path.exists():
        return {}
    sets = read_json(path, "file of best known lengths")["sets"]
    return {
        name: {number: length.number(0) for number, length in numbers.items() if length.value is not None}
        for name, numbers in sets.items()
    }
