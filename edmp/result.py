"""What `plan` returns: a value with a cause, whether or not a motion was found."""

from __future__ import annotations

import base64
import enum
import html
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edmp  # what is above this module is reached through its front
from edmp.arguments import checked
from edmp.constraints import Kept
from edmp.errors import EdmpError, InvalidInputError
from edmp.problem import Problem
from edmp.scenes.scene import Unseen
from edmp.trajectory import Trajectory

Array = NDArray[np.float64]


class Status(enum.Enum):
    """Why planning ended."""

    SOLVED = "SOLVED"
    START_OUT_OF_LIMITS = "START_OUT_OF_LIMITS"
    GOAL_OUT_OF_LIMITS = "GOAL_OUT_OF_LIMITS"
    START_IN_COLLISION = "START_IN_COLLISION"
    GOAL_IN_COLLISION = "GOAL_IN_COLLISION"
    START_IN_SELF_COLLISION = "START_IN_SELF_COLLISION"
    GOAL_IN_SELF_COLLISION = "GOAL_IN_SELF_COLLISION"
    START_BREAKS_CONSTRAINT = "START_BREAKS_CONSTRAINT"
    GOAL_BREAKS_CONSTRAINT = "GOAL_BREAKS_CONSTRAINT"
    GOAL_UNREACHABLE = "GOAL_UNREACHABLE"
    NO_PATH_FOUND = "NO_PATH_FOUND"
    LINE_BLOCKED = "LINE_BLOCKED"
    TIMEOUT = "TIMEOUT"


class Stage(enum.Enum):
    """Which stage of the planner produced the solution."""

    SAMPLE = "sample"
    REPAIR = "repair"
    STITCH = "stitch"
    FALLBACK = "fallback"
    LINE = "line"


@checked
@dataclass(frozen=True)
class Stats:
    """How the plan came about.

    Attributes:
        stage: what solved it, None if nothing did.
        time_s: wall time of the whole call [s], judge and timing included.
        timings: wall time by part of the planner [s].
        num_seeds: candidates denoised.
        num_valid: candidates that the sphere model found free before polishing.
        edges_checked: edges that the judge looked at.
        first_s: when the first motion was certified and timed; what came after looked for a better one. None if
            nothing was, or it is not known [s].
    """

    stage: Stage | None
    time_s: float
    timings: dict[str, float] = field(default_factory=dict)
    num_seeds: int = 0
    num_valid: int = 0
    edges_checked: int = 0
    first_s: float | None = None


@checked
@dataclass(frozen=True)
class Solution:
    """One certified motion.

    Attributes:
        path: (n, dof) waypoints; every straight edge between neighbours was judged free [rad or m].
        trajectory: the same motion, timed within the velocity and acceleration limits.
        length: joint-space length of `path` [rad].
        min_clearance: a distance that the judge proved the arm keeps from every obstacle all along the path [m];
            ``inf`` in an empty scene.
        goal_index: which of the goals this motion reaches.
        stage: the stage of the planner that it came from.
        terms: value of each cost that was added to the objective (``plan(..., costs=[...])``), by name, unweighted.
        weighted_terms: sum of the terms, each times its weight [rad].
        tool_deviation: what the judge proved the tool to keep to its line within, where there is one, before and after
            timing: a distance [m] and an angle [rad].
        kept: the proved worst value of each constraint, in their order, on `path` and on `trajectory`.
    """

    path: Array
    trajectory: Trajectory
    length: float
    min_clearance: float
    goal_index: int = 0
    stage: Stage | None = None
    terms: dict[str, float] = field(default_factory=dict)
    weighted_terms: float = 0.0
    tool_deviation: tuple[float, float] | None = None
    kept: tuple[Kept, ...] = ()

    @property
    def objective(self) -> float:
        """What motions are ranked by, least first: `length` and `weighted_terms` [rad]."""
        return self.length + self.weighted_terms

    @property
    def duration(self) -> float:
        """[s]"""
        return self.trajectory.duration


class BlockedBy(enum.Enum):
    """What keeps a tool from following its line to the end."""

    LIMIT = "limit"
    OBSTACLE = "obstacle"
    SINGULARITY = "singularity"
    CONSTRAINT = "constraint"
    REACH = "reach"


@checked
@dataclass(frozen=True)
class Blocked:
    """A line of the tool that cannot be followed to its end.

    Attributes:
        fraction: share of the way that can, from 0 to 1.
        by: why no more.
        message: one sentence for a person.
        partial: the certified motion along that share; None if there is none.
    """

    fraction: float
    by: BlockedBy
    message: str
    partial: Solution | None = None


@checked
@dataclass(frozen=True)
class PlanResult:
    """The outcome of one call of `plan`.

    Attributes:
        status: SOLVED, or the cause of failure.
        message: one sentence for a person; on failure it names joint, link, obstacle and depth where there are any.
        best: the best motion, None unless solved.
        alternatives: other certified motions that differ from `best` and from each other, best first; as many as were
            asked for, or as there were.
        stats: timings and counts.
        problem: robot, scene, start and goal that were asked for; None in results that were put together by hand.
        blocked: how far a line of the tool (`edmp.Line`, `edmp.Via`) can be followed, and why no further; None if it
            can, or if the goal is none.
    """

    status: Status
    message: str
    best: Solution | None
    alternatives: tuple[Solution, ...]
    stats: Stats
    problem: Problem | None = None
    blocked: Blocked | None = None

    @property
    def solved(self) -> bool:
        return self.status is Status.SOLVED

    @property
    def fraction(self) -> float:
        """Share of the way that was found feasible: 1 if solved, what `blocked` says if it says something, else 0."""
        return 1.0 if self.solved else self.blocked.fraction if self.blocked else 0.0

    @property
    def unseen(self) -> Unseen | None:
        """What of the scene nobody has seen, and what that was taken for; None if the scene was known."""
        return None if self.problem is None else self.problem.scene.unseen

    @property
    def path(self) -> Array | None:
        """(n, dof) untimed waypoints of the best motion [rad or m]."""
        return self.best.path if self.best else None

    @property
    def terms(self) -> dict[str, float]:
        """Value of each cost that was added to the objective, for the best motion, by name; empty if none was."""
        return self.best.terms if self.best else {}

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The proved worst value of each constraint, for the best motion, in their order."""
        return self.best.kept if self.best else ()

    @property
    def trajectory(self) -> Trajectory | None:
        """The best motion, timed."""
        return self.best.trajectory if self.best else None

    @checked
    def save(self, path: str | Path) -> None:
        """Write a plan file, which holds the problem, too, and stands alone; `edmp.load_result` reads it.

        Raises:
            InvalidInputError: the file cannot be written, or the result does not know its problem.
        """
        if self.problem is None:
            raise InvalidInputError("this result does not know its problem: edmp.save_plan(path, problem, result)")
        edmp.save_plan(path, self.problem, self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the line of the report, and a picture if one can be drawn."""
        line = f"<p><b>{self.status.value}</b> {html.escape(self.message)}</p>"
        if self.problem is None:
            return line
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "plan.png"
            try:
                edmp.save_image(self, picture, geometry="hulls", renderer="numpy")
            except EdmpError as error:
                return f"{line}<p>no picture: {html.escape(str(error))}</p>"
            encoded = base64.b64encode(picture.read_bytes()).decode("ascii")
        return f'{line}<img alt="the plan" style="max-width:100%" src="data:image/png;base64,{encoded}">'
