"""Straight lines of the tool, in the ten scene families: how many are solved, how fast, and how many can be?

A line begins at a configuration with the tool at one of a scene's targets (where a hand would be to grasp), and goes 10
to 40 cm in a random direction; every other one turns by up to 40 degrees, too. It counts if some free configuration
has the tool at its end: whether the arm can follow it there is the question. A brute-force search, which takes minutes
for what `edmp.plan` does in a tenth of a second, says how many can be followed at all.

    python benchmarks/lines.py run [--count 200]        # edmp.plan on every line; writes runs/lines.json
    python benchmarks/lines.py brute [--count 200]      # the search on those that it did not solve, and all others
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edmp
from edmp.bench.expert import scene_seed
from edmp.cartesian.chain import ToolChain
from edmp.cartesian.sheet import Sheet, best_way
from edmp.data.task_poses import task_configurations
from edmp.geometry.poses import quaternion_of
from edmp.geometry.tool_path import rotations_of
from edmp.robots.ik import solve_ik
from edmp.scenes.generators import FAMILIES, generate
from edmp.scenes.scene import Scene
from edmp.validate import Judge

Array = NDArray[np.float64]

SEED = 41
TARGETS = 12
SHORTEST, LONGEST = 0.10, 0.40  # [m]
TURN = np.radians(40.0)
RUNS = Path("runs/lines.json")


@dataclass(frozen=True)
class Drawn:
    """A line from ``start`` (dof,) in a scene."""

    name: str
    scene: Scene
    start: Array
    line: edmp.Line


def lines(count: int) -> list[Drawn]:
    """``count`` lines, the families in turn."""
    robot = edmp.load_robot("panda")
    families = sorted(FAMILIES)
    return [draw(robot, families[k % len(families)], k // len(families)) for k in range(count)]


def draw(robot: edmp.Robot, family: str, number: int) -> Drawn:
    """Line ``number`` of a family."""
    chain = ToolChain(robot)
    for attempt in range(100):
        rng = np.random.default_rng(scene_seed(family, SEED, number, attempt))
        made = generate(family, rng, robot)
        judge = Judge(robot, made.scene)
        tasks = rng.permutation(task_configurations(robot, made.targets(rng, TARGETS), rng))
        start = next((q for q in tasks if judge.check(q).valid), None)
        if start is None:
            continue
        for _ in range(20):
            X = chain.poses(start[None])[0]
            direction, axis = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
            X[:3, 3] += rng.uniform(SHORTEST, LONGEST) * direction
            if number % 2:
                X[:3, :3] = rotations_of(rng.uniform(0.0, TURN) * axis) @ X[:3, :3]
            ends = solve_ik(robot, X, near=start, num_near=8, seed=number).q
            if any(judge.check(q).valid for q in ends):
                goal = edmp.PoseGoal(X[:3, 3], quaternion_of(X))
                return Drawn(f"{family}/{number}", made.scene, start, edmp.Line(goal))
    raise SystemExit(f"no line in {family}")


def run(count: int) -> None:
    """`edmp.plan` on every line."""
    rows = []
    drawn = lines(count)
    edmp.plan(drawn[0].scene, drawn[0].start, drawn[0].line)  # compiles and loads
    for one in drawn:
        begin = time.process_time()
        result = edmp.plan(one.scene, one.start, one.line)
        spent = time.process_time() - begin
        by = result.blocked.by.value if result.blocked else ""
        row = {
            "name": one.name,
            "status": result.status.value,
            "fraction": result.fraction,
            "by": by,
            "time_s": result.stats.time_s,
            "cpu_s": spent,
            "message": result.message,
        }
        if result.best is not None:
            row |= {"duration_s": result.best.duration, "deviation": result.best.tool_deviation}
        rows.append(row)
        print(f"{one.name:20s} {result.status.value:14s} {result.fraction:5.2f} {by:12s} {result.stats.time_s:6.3f} s")
    RUNS.parent.mkdir(exist_ok=True)
    RUNS.write_text(json.dumps(rows, indent=1))
    report(rows)


def report(rows: list[dict]) -> None:
    """Shares and times."""
    times, cpu = (np.array([row[key] for row in rows]) for key in ("time_s", "cpu_s"))
    solved = np.array([row["status"] == "SOLVED" for row in rows])
    print(
        f"{solved.sum()} of {len(rows)} solved; time median {np.median(times):.3f} s, of those that are solved ", end=""
    )
    print(f"{np.median(times[solved]):.3f} s, p95 {np.quantile(times, 0.95):.3f} s; ", end="")
    print(
        f"time of the processor median {np.median(cpu):.3f} s, p95 {np.quantile(cpu, 0.95):.3f} s; blocked by ", end=""
    )
    print(dict(Counter(row["by"] for row in rows if row["by"])))
    if any("brute" in row for row in rows):
        can = np.array([row.get("brute", False) or row["status"] == "SOLVED" for row in rows])
        print(f"{can.sum()} can be followed; {100 * solved[can].mean():.1f} % of those are solved")


def brute(count: int) -> None:
    """Search for a way along those lines that were not solved, with the exact geometry and a fine grid."""
    rows = {row["name"]: row for row in json.loads(RUNS.read_text())}
    for one in lines(count):
        row = rows[one.name]
        if row["status"] == "SOLVED":
            continue
        begin = time.perf_counter()
        row["brute"], share = can_be_followed(one)
        row["brute_fraction"] = share
        ours, spent = row["fraction"], time.perf_counter() - begin
        print(f"{one.name:20s} {row['brute']} {share:.2f} (edmp.plan {ours:.2f}) {spent:.0f} s", flush=True)
        RUNS.write_text(json.dumps(list(rows.values()), indent=1))
    report(list(rows.values()))


def can_be_followed(one: Drawn, *, layer: float = 0.01, step: float = 0.06) -> tuple[bool, float]:
    """Is there a way along the line, and how far does the longest one lead?

    Every layer is flooded with self-motion in small steps; the judge looks at every configuration that can be reached.
    """
    robot = edmp.load_robot("panda")
    judge = Judge(robot, one.scene)
    chain = ToolChain(robot).widened(one.start)
    path = one.line.path_from(chain.poses(one.start[None])[0])
    at = path.marks(layer)
    sheet = Sheet(chain, at, path.poses(at), step=step, most=2000, rounds=200)
    sheet.grow_first(one.start)
    known: dict[bytes, float] = {}

    def cost_of(k: int, q: Array) -> Array:
        for row in q:
            if row.tobytes() not in known:
                known[row.tobytes()] = 0.0 if judge.check(row).valid else np.inf
        return np.array([known[row.tobytes()] for row in q])

    way = best_way(sheet, cost_of, lead=True)
    return len(way.q) == len(at), float(at[len(way.q) - 1] / path.length)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "brute"))
    parser.add_argument("--count", type=int, default=200)
    asked = parser.parse_args()
    {"run": run, "brute": brute}[asked.what](asked.count)
