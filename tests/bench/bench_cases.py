"""Problems that take no planning, and a planner that does as its settings say, which processes of a run import."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from command import run

from edmp.baselines import Claim
from edmp.bench import Record
from edmp.problem import Problem, load_example, save_problem
from edmp.result import Stage, Status
from edmp.scenes import Scene
from edmp.threads import num_threads

SCRIPTED = "bench_cases.Scripted"


def write_free_problems(folder: Path, counts: dict[str, int]) -> Path:
    """``counts[set]`` problems without obstacles in each set, numbered from 1 and called set/number."""
    problem = dataclasses.replace(load_example("bookshelf"), scene=Scene())
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for k in range(1, count + 1):
            save_problem(folder / name / f"scene{k:04d}.yaml", dataclasses.replace(problem, name=f"{name}/{k}"))
    return folder


@dataclass(frozen=True)
class ScriptedSettings:
    """Names of problems on which `Scripted` does something else than going there almost straight.

    Except on the first plan of a process, so that it is a counted one that goes wrong.

    Attributes:
        segfault, exits, hang, fail: end the process by a signal, or with code 3, never come back, raise.
        invalid: say that the goal is out of limits.
        miss: claim a path that ends beside the goal.
        nothing: claim, without a path.
        log: file that every plan adds a line to: process, problem, seed, threads of kernels.
        pause: before every plan [s].
    """

    segfault: str = ""
    exits: str = ""
    hang: str = ""
    fail: str = ""
    invalid: str = ""
    miss: str = ""
    nothing: str = ""
    log: str = ""
    pause: float = 0.0


class Scripted:
    """Goes to the goal over a random point near the middle."""

    def __init__(self, settings: ScriptedSettings | None = None) -> None:
        self.settings = settings or ScriptedSettings()
        self.plans = 0

    def plan(self, problem: Problem, seed: int) -> Claim:
        s, name = self.settings, problem.name
        if s.log:
            with Path(s.log).open("a") as file:
                file.write(f"{os.getpid()} {name} {seed} {num_threads()}\n")
        time.sleep(s.pause)
        print("a planner talks")
        self.plans += 1
        if self.plans == 1:
            return Claim(Status.NO_PATH_FOUND)
        if name == s.segfault:
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == s.exits:
            os._exit(3)
        while name == s.hang:
            time.sleep(1.0)
        if name == s.fail:
            raise ValueError("broken planner")
        if name == s.invalid:
            return Claim(Status.GOAL_OUT_OF_LIMITS, "joint 4 at 1 rad exceeds its limit")
        if name == s.nothing:
            return Claim(Status.SOLVED)
        assert isinstance(problem.goal, np.ndarray)
        ends = np.stack([problem.start, problem.goal])
        middle = ends.mean(axis=0) + np.random.default_rng([seed, len(name)]).uniform(-0.01, 0.01, problem.robot.dof)
        path = np.stack([ends[0], middle, ends[1] + 0.003 * (name == s.miss)])
        return Claim(Status.SOLVED, path=path, stage=Stage.REPAIR, timings={"sample": 0.1}, num_alternatives=1)


def bench(problems: Path, out: Path, *options: object, planners: str = SCRIPTED) -> int:
    """Exit code of ``edmp bench run``."""
    return run("bench", "run", "--problems", problems, "--planners", planners, "--out", out, *options)


def without_times(record: Record) -> dict:
    """What must not depend on the machine and the number of workers."""
    return {
        k: v for k, v in record.to_line().items() if k not in ("time_s", "judge_s", "ready_s", "peak_rss_mb", "timings")
    }
