"""The suite ``pick-place``: random tasks on tables, in shelves and bins; and what becomes of them, planned and judged.

A task is drawn until its start is free and one of the generated grasps has a configuration that the judge finds free
both where the object is and where it goes. Whether there are motions between these is for the planner to find out.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.collision.world import World
from edmp.errors import InvalidInputError
from edmp.files.writing import write_json
from edmp.geometry.poses import inverse
from edmp.robots import load_robot
from edmp.robots.robot import Robot
from edmp.scenes.generators.handling import HANDLING, THING, Handling
from edmp.tasks import PickProblem, grasps_for, load_pick, save_pick
from edmp.tasks.choice import small_world, solutions
from edmp.tasks.grip import carrier
from edmp.validate import Judge, judge_task

Array = NDArray[np.float64]

NAME = "pick-place"
ROBOT = "panda"
SEED = 4
VERSION = 1
_DRAWS = 400
_GRASPS = 60
"""So many grasps of a task are looked at before it is drawn again."""


def make(out: str | Path, count: int, *, seed: int = SEED, on_made: Callable[[str], None] = lambda name: None) -> int:
    """Write the first ``count`` tasks that a folder does not hold yet: ``<family>/taskNNNN.yaml``.

    Returns:
        How many were made now.

    Raises:
        InvalidInputError: the folder cannot be made, or holds something else.
    """
    if count < 1:
        raise InvalidInputError(f"count must be at least 1, got {count}")
    out, robot, made = Path(out), load_robot(ROBOT), 0
    marker = out / "suite.json"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise InvalidInputError(f"{out} is not empty and holds no suite.json; choose another folder")
    identity = {"suite": NAME, "version": VERSION, "robot": ROBOT, "seed": seed}
    if marker.exists() and json.loads(marker.read_text()) != identity:
        raise InvalidInputError(f"{out} holds problems made with other settings; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(marker, identity)
    for family, number in _numbers(count):
        path = out / family / f"task{number:04d}.yaml"
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        save_pick(path, task(family, number, seed=seed, robot=robot))
        on_made(f"{family}/{number}")
        made += 1
    return made


def _numbers(count: int) -> Iterator[tuple[str, int]]:
    """Families in turn, and the number of each task in its family."""
    families = list(HANDLING)
    for k in range(count):
        yield families[k % len(families)], k // len(families) + 1


def task(family: str, number: int, *, seed: int = SEED, robot: Robot | None = None) -> PickProblem:
    """One task; it depends on the family, its number and the seed only."""
    arm = robot or load_robot(ROBOT)
    rng = np.random.default_rng((seed, list(HANDLING).index(family), number))
    for _ in range(_DRAWS):
        drawn = HANDLING[family](rng)
        if drawn is None:
            continue
        q = np.asarray(arm.home + rng.normal(0.0, 0.15, arm.dof))
        judge = Judge(arm, drawn.scene)
        if judge.check(q).valid and possible(arm, drawn, q, int(rng.integers(2**31))):
            return PickProblem(arm, drawn.scene, q, THING, (drawn.at,), f"{family}/{number:04d}")
    raise AssertionError(f"family {family!r}: no task in {_DRAWS} draws")


def possible(robot: Robot, drawn: Handling, q: Array, seed: int) -> bool:
    """Whether some grasp has configurations that are free, at the object and at the place where it goes."""
    obstacle, rest = drawn.scene[THING], drawn.scene.without(THING)
    assert robot.gripper is not None
    grasps = grasps_for(obstacle.shape, robot.gripper)
    X_OT, opening = np.asarray(grasps.X_OT), np.asarray(grasps.opening)
    if not len(grasps):
        return False
    small = small_world(World.of(robot, rest, only_separable=True))
    order = np.random.default_rng(seed).permutation(len(grasps))
    near = np.array([q, robot.home])
    taken = solutions(small, obstacle.X_WO @ X_OT, near, seed)
    placed = solutions(small, drawn.at @ X_OT, near, seed)
    both = [int(g) for g in order if taken[g] and placed[g]][:_GRASPS]
    link = carrier(robot)
    X_TL = inverse(robot.tool.X_BT) @ robot.links[robot.link_index(link)].X_BL
    for g in both:
        arm = robot.with_gripper(float(opening[g]))
        holding = arm.with_attachment(THING, obstacle.shape, inverse(X_OT[g] @ X_TL), link=link)
        judges = Judge(arm, drawn.scene), Judge(holding, rest)
        if all(
            any(judge.check(one.q).valid for one in ones)
            for judge, ones in zip(judges, (taken[g], placed[g]), strict=True)
        ):
            return True
    return False


@dataclass(frozen=True)
class Row:
    """What became of one task.

    Attributes:
        name: family and number.
        status: of the planner.
        certified: whether the judge, asked again on what was written and read, proves the whole.
        failed, message: of the planner; where the judge refuses, what it says.
        time_s: wall time of planning [s].
        cpu_s: processor time of planning [s].
        duration_s: of the task [s].
        grasp: number of the grasp.
        num_grasps: of the object.
    """

    name: str
    status: str
    certified: bool
    failed: str
    message: str
    time_s: float
    cpu_s: float
    duration_s: float
    grasp: int | None
    num_grasps: int


def tasks_in(folder: str | Path, *, limit: int | None = None) -> list[Path]:
    """The files of a suite's tasks, families in turn.

    Raises:
        InvalidInputError: there is none.
    """
    found = sorted(Path(folder).glob("*/task*.yaml"), key=lambda path: (path.stem, path.parent.name))
    if not found:
        raise InvalidInputError(f"{folder}: no tasks in it: edmp bench make --suite {NAME} --out {folder}")
    return found[:limit]


def run(
    files: Sequence[Path],
    out: str | Path,
    *,
    seed: int = 0,
    time_budget: float = 10.0,
    plans: Path | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Plan every task and have the judge look at it again; one line of JSON each.

    Args:
        files: of tasks.
        out: file of the results.
        seed: given to every task.
        time_budget: for one task [s].
        plans: folder where the task plans are kept, None for nowhere.
        on_row: called with each row.
    """
    rows: list[Row] = []
    with Path(out).open("w") as lines:
        for k, path in enumerate(files):
            problem = load_pick(path)
            if k == 0:  # kernels are compiled, weights loaded
                problem.plan(seed=seed, time_budget=time_budget)
            row = _row(problem, seed, time_budget, plans)
            rows.append(row)
            lines.write(json.dumps(asdict(row)) + "\n")
            lines.flush()
            on_row(row)
    return rows


def _row(problem: PickProblem, seed: int, time_budget: float, plans: Path | None) -> Row:
    cpu, begin = time.process_time(), time.perf_counter()
    plan = problem.plan(seed=seed, time_budget=time_budget)
    time_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    verdict = judge_task(plan) if plan.solved else None
    message = plan.message if verdict is None or verdict.valid else f"the judge: {verdict.message()}"
    if plans is not None and plan.solved:
        plans.mkdir(parents=True, exist_ok=True)
        plan.save(plans / f"{problem.name.replace('/', '_')}.json")
    gripper = problem.robot.gripper
    grasps = len(grasps_for(problem.scene[problem.object].shape, gripper)) if gripper else 0
    return Row(
        problem.name,
        plan.status.value,
        verdict is not None and verdict.valid,
        plan.failed,
        message,
        time_s,
        cpu_s,
        plan.duration,
        plan.grasp,
        grasps,
    )


def summary(rows: Sequence[Row]) -> str:
    """A table of families, and the failures by reason."""
    lines = [f"{'family':10} {'certified':>12} {'median [s]':>10} {'p95 [s]':>8} {'cpu [s]':>8} {'duration [s]':>12}"]
    families = sorted({row.name.split("/")[0] for row in rows})
    for family in [*families, "all"]:
        those = [row for row in rows if family in ("all", row.name.split("/")[0])]
        good = [row for row in those if row.certified]
        times = np.array([row.time_s for row in those])
        cpu = float(np.median([row.cpu_s for row in those]))
        duration = float(np.median([row.duration_s for row in good])) if good else float("nan")
        share = f"{len(good)}/{len(those)}"
        numbers = f"{np.median(times):10.2f} {np.quantile(times, 0.95):8.2f} {cpu:8.2f} {duration:12.2f}"
        lines.append(f"{family:10} {share:>12} {numbers}")
    reasons = Counter(f"{row.failed or 'judge'}: {row.status}" for row in rows if not row.certified)
    lines += [f"{count} x {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
