"""Suites of random problems: defined by a seed, made on demand, the same for everybody.

A suite becomes a folder as `edmp.bench.find_problems` reads it: ``<family>/sceneNNNN.yaml`` in edmp's own format,
``best_known_lengths.json``, ``suite.json`` with the settings, and ``<family>/expertNNNN.json`` with the expert's path,
which proves that the problem can be solved. Only the parent process writes, one whole file at a time, the problem last;
a run that stopped goes on with what is missing.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edmp.bench.constrained import EXPERTS, TASKS, make_constrained
from edmp.bench.expert import ExpertProblem, make_problem, scene_seed
from edmp.bench.hard import DRAWS, make_hard
from edmp.bench.problems import BEST_KNOWN_FILE
from edmp.data.workers import worker_pool
from edmp.errors import FileFormatError, InvalidInputError, unknown_name
from edmp.files.json_nodes import read_json
from edmp.files.writing import write_json
from edmp.problem import Problem, save_problem
from edmp.ranges import Range, check_fields
from edmp.robots.robot import Robot
from edmp.scenes.generators import FAMILIES

SUITE_FILE = "suite.json"
VERSION = 2
"""Of the way problems are drawn: a change that makes other problems of the same seeds raises it."""

GOALS = ("pose", "joints")
OF_THE_KIND = "kind"
MOST_EFFORT = 1000


@dataclass(frozen=True)
class MakeSettings:
    """What problems are made.

    Attributes:
        counts: number of problems of each scene family, or of each kind of hard problem, `edmp.bench.hard.DRAWS`.
        seed: of the suite; problem n of a family depends on this, the family and n, not on the counts.
        goal: ``pose``, a pose of the tool, or ``joints``, a configuration; of hard problems ``kind``, whichever of both
            the kind has.
        robot: name of a built-in robot; the scene families are fitted to its reach.
        task: empty, or what the motions have to keep to, one of `edmp.bench.constrained.TASKS`.
        effort: of hard problems: so many times as long as usual is searched for the shortest motion.
    """

    counts: Mapping[str, int]
    seed: int = 0
    goal: str = "pose"
    robot: str = "panda"
    task: str = ""
    effort: int = 1

    def __post_init__(self) -> None:
        check_fields(self, {"seed": Range(0, whole=True), "effort": Range(1, MOST_EFFORT, whole=True)})
        if self.goal not in (*GOALS, OF_THE_KIND):
            raise unknown_name("kind of goal", self.goal, GOALS)
        if self.task and self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        for family, count in self.counts.items():
            if family not in FAMILIES and family not in DRAWS:
                raise unknown_name("scene family", family, [*FAMILIES, *DRAWS])
            if (family in DRAWS) != self.hard:
                raise InvalidInputError(
                    f"{family}: hard problems ({', '.join(DRAWS)}) are made apart from others, and "
                    "each kind has goals of its own"
                )
            scene_seed(family, self.seed, count, 0)
        if not sum(self.counts.values()):
            raise InvalidInputError("counts: name at least one family, and at least one problem of it")
        if self.hard and (self.task or self.robot != "panda"):
            raise InvalidInputError("hard problems are made for the panda, and without constraints")
        if self.effort != 1 and not self.hard:
            raise InvalidInputError("effort: only hard problems are searched for longer")
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))

    @property
    def hard(self) -> bool:
        """Are these problems of `edmp.bench.hard`?"""
        return self.goal == OF_THE_KIND

    def identity(self) -> dict[str, Any]:
        """What a folder's problems all share; the counts may grow."""
        shared = {"version": VERSION, "robot": self.robot, "seed": self.seed, "goal": self.goal}
        return shared | ({"task": self.task} if self.task else {}) | ({"effort": self.effort} if self.hard else {})


MPINETS_LIKE = MakeSettings({"tabletop": 600, "cubby": 300, "merged_cubby": 300, "dresser": 600}, seed=1)

SUITES: Mapping[str, MakeSettings] = {
    "mpinets-like": MPINETS_LIKE,
    "upright": MakeSettings(dict.fromkeys(FAMILIES, 20), seed=2, task="upright"),
    "slide": MakeSettings(dict.fromkeys(FAMILIES, 20), seed=3, task="slide"),
    "hard": MakeSettings(dict.fromkeys(DRAWS, 100), seed=4, goal=OF_THE_KIND),
}
"""Suites by name. ``mpinets-like`` has the families and the numbers of Motion Policy Networks' evaluation sets (Fishman
et al. 2022), drawn by our generators; it is not their data. ``upright`` and ``slide`` have a constraint each. ``hard``
is what today's planner finds hard."""


def suite(name: str, *, fraction: Fraction | None = None, count: int | None = None) -> MakeSettings:
    """A suite, or its first problems in the same proportions.

    Args:
        name: of the suite.
        fraction: this part of it.
        count: this many problems of it.

    Raises:
        UnknownNameError: no such suite.
        InvalidInputError: both are given, or more or fewer problems are wanted than there can be.
    """
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    whole = SUITES[name]
    total = sum(whole.counts.values())
    if fraction is not None and count is not None:
        raise InvalidInputError("a suite takes a fraction or a count, not both")
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise InvalidInputError(f"fraction must be in (0, 1], got {fraction}")
        count = max(1, round(fraction * total))
    if count is None:
        return whole
    if not 1 <= count <= total:
        raise InvalidInputError(f"count: suite {name} has {total} problems, got {count}")
    return dataclasses.replace(whole, counts=in_proportion(whole.counts, count))


def in_proportion(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """``total`` shared out like ``counts``: rounded down, the rest to the largest remainders (Hamilton's method)."""
    shares = {name: Fraction(number * total, sum(counts.values())) for name, number in counts.items()}
    rounded = {name: math.floor(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: rounded[name] - shares[name])
    for name in by_remainder[: total - sum(rounded.values())]:
        rounded[name] += 1
    return rounded


def make(
    out: str | Path,
    settings: MakeSettings,
    *,
    workers: int = 1,
    on_made: Callable[[str, int, ExpertProblem], None] = lambda family, number, made: None,
) -> int:
    """Make the problems that a folder does not hold yet. The files do not depend on the number of workers.

    Args:
        out: folder, made if missing.
        settings: what to make.
        workers: processes, one thread each.
        on_made: called with family, number and problem as they come, in no particular order.

    Returns:
        How many problems were made now.

    Raises:
        InvalidInputError: settings that make no sense, or other than those of the problems already there.
        UnknownNameError: no such robot or scene family.
        EdmpError: of a family no problem could be made.
    """
    robot = _checked(settings, workers)
    out = Path(out)
    _claim(out, settings)
    todo = missing(out, settings)
    waiting = iter(todo)
    try:
        with worker_pool(min(workers, max(1, len(todo)))) as pool:

            def submit(family: str, number: int) -> Future[ExpertProblem]:
                return pool.submit(_made, settings.identity(), family, number)

            running = {submit(*next_): next_ for next_ in itertools.islice(waiting, 2 * workers)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    family, number = running.pop(future)
                    _write(out / family, number, robot, future.result())
                    on_made(family, number, future.result())
                    running |= {submit(*next_): next_ for next_ in itertools.islice(waiting, 1)}
    finally:
        _write_lengths(out)
    return len(todo)


def missing(out: str | Path, settings: MakeSettings) -> list[tuple[str, int]]:
    """Family and number of the problems that a folder does not hold yet."""
    return [
        (family, number)
        for family, count in settings.counts.items()
        for number in range(1, count + 1)
        if not all(of(Path(out) / family, number).is_file() for of in (_scene_file, _expert_file))
    ]


def about_constraints(out: str | Path) -> str:
    """One sentence on the problems of a folder that have a constraint; empty if none has."""
    proofs = [read_json(file, "proof") for file in sorted(Path(out).glob("*/expert*.json"))]
    asked = [proof for proof in proofs if proof.get("line_excess") is not None]
    if not asked:
        return ""
    leaving = sum(proof["line_excess"].number(0) > 0 for proof in asked)
    found = Counter(name for proof in asked for name in proof["experts"].plain())
    by = " and ".join(f"{found[name]} by {name}" for name in EXPERTS)
    return f"the straight line breaks the constraint in {leaving} of {len(asked)}; proved to be solvable: {by}"


def _made(shared: Mapping[str, Any], family: str, number: int) -> ExpertProblem:
    """One problem of a suite with this `MakeSettings.identity`; runs in a worker process."""
    from edmp.robots import load_robot

    robot, seed, pose_goal = load_robot(shared["robot"]), shared["seed"], shared["goal"] == "pose"
    if "effort" in shared:
        return make_hard(robot, family, seed=seed, number=number, effort=shared["effort"])
    if task := shared.get("task"):
        return make_constrained(robot, family, task, seed=seed, number=number, pose_goal=pose_goal)
    return make_problem(robot, family, seed=seed, number=number, pose_goal=pose_goal)


def _checked(settings: MakeSettings, workers: int) -> Robot:
    """The robot. Whatever is wrong is told here, before a worker starts."""
    from edmp.robots import built_in_robots, load_robot

    if settings.robot not in built_in_robots():
        raise unknown_name("built-in robot", settings.robot, built_in_robots())
    if workers < 1:
        raise InvalidInputError(f"workers must be at least 1, got {workers}")
    return load_robot(settings.robot)


def _claim(out: Path, settings: MakeSettings) -> None:
    """Note the settings in a new folder; in an old one they must be the same. Other folders are left alone."""
    path = out / SUITE_FILE
    try:
        if path.exists():
            before = read_json(path, "suite").keys_plain()
            if differ := [key for key, value in settings.identity().items() if before.get(key) != value]:
                was = ", ".join(f"{key}={before.get(key)!r}" for key in differ)
                raise InvalidInputError(f"{out} holds problems made with other settings ({was}); choose another folder")
        elif out.exists() and any(out.iterdir()):
            raise InvalidInputError(f"{out} is not empty and holds no {SUITE_FILE}; choose another folder")
        for family, count in settings.counts.items():
            (out / family if count else out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot make folder {out}: {error.strerror or error}") from error
    except (json.JSONDecodeError, TypeError) as error:
        raise FileFormatError(f"{path}: not the settings of a suite ({error}); choose another folder") from error
    write_json(path, settings.identity())


def _write(folder: Path, number: int, robot: Robot, made: ExpertProblem) -> None:
    """The expert's path, then the problem, which says that both are there."""
    proof = {
        "what": "a path that the judge has certified [rad], and where the problem comes from",
        "length_rad": made.length,
        "kind": made.kind,
        "scene_seed": made.scene_seed,
        "attempt": made.attempt,
        "path": made.path.tolist(),
    }
    if made.constraints:
        proof |= {"line_excess": made.line_excess, "experts": list(made.experts)}
    write_json(_expert_file(folder, number), proof)
    name = f"{folder.name}/{number:04d} ({made.kind})"
    problem = Problem(robot, made.scene, made.start, made.goal, name, constraints=made.constraints)
    save_problem(_scene_file(folder, number), problem)


def _write_lengths(out: Path) -> None:
    """The lengths of all experts' paths in the folder, in one file."""
    sets = {}
    for family in sorted(child for child in out.iterdir() if child.is_dir()):
        proofs = {int(file.stem.removeprefix("expert")): file for file in family.glob("expert*.json")}
        sets[family.name] = {
            str(number): round(read_json(proofs[number], "proof")["length_rad"].number(0), 6)
            for number in sorted(proofs)
        }
    what = "length of the expert's certified path [rad] per problem; a figure to compare against, not a proof"
    write_json(out / BEST_KNOWN_FILE, {"what": f"{what} of optimality", "sets": sets})


def _scene_file(folder: Path, number: int) -> Path:
    return folder / f"scene{number:04d}.yaml"


def _expert_file(folder: Path, number: int) -> Path:
    return folder / f"expert{number:04d}.json"
