"""Sampling-based planners of OMPL (Sucan, Moll, Kavraki 2012), their edges checked by edmp's compiled kernel.

RRT-Connect (Kuffner and LaValle 2000) stops at its first path, which OMPL's path simplification then shortens. RRT*
(Karaman and Frazzoli 2011), Informed RRT* (Gammell et al. 2014), BIT* (Gammell et al. 2020) and AORRTC (Wilson et al.
2025) look for shorter paths until their time is up; the best of them is simplified likewise.

OMPL asks about one edge at a time. Its motion validator is a Python class here whose answer is one launch of the kernel
`edmp.collision.kernels.free.edges_free` for the whole edge; so nothing is looked at state by state, and no resolution
of OMPL's own matters. OMPL offers no batch of edges, so a launch carries one.

Numbers of iterations depend on time, so a path repeats by its seed only if the search ended before its time did. See
`seeded` about OMPL's own way with seeds.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.collision.free import relaxed_world
from edmp.collision.kernels import free as kernels
from edmp.collision.world import World
from edmp.errors import MissingDependencyError, unknown_name
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.warp_start import wp

ALGORITHMS = {"rrtstar": "RRTstar", "informed_rrtstar": "InformedRRTstar", "bitstar": "BITstar", "aorrtc": "AORRTC"}
"""OMPL's classes by the names that `AsymptoticallyOptimalSettings.algorithm` takes."""

_SLACK = 1e-3
"""What the spheres leave at start and goals beyond the margin [m]; that of `Task.world`."""

WORTHWHILE = 0.005
"""A pass of simplification that shortens a path by less than this part is the last."""

_POSITIVE = Range(0, above=True)


@dataclass(frozen=True)
class RrtConnectSettings:
    """Settings of `RrtConnect`.

    Attributes:
        range: longest edge of the trees [rad or m]; 0 takes OMPL's own, a fifth of the diameter of the joint limits.
        edge_step: no point of the arm moves farther than this between two looks along an edge [m].
        margin: distance to keep from obstacles [m].
        simplify_passes: most passes of OMPL's simplification, as long as each shortens the path by `WORTHWHILE`; 0
            leaves it as it was found.
        time_budget: give up after this [s].
    """

    range: float = 1.0
    edge_step: float = 0.02
    margin: float = 0.0
    simplify_passes: int = 5
    time_budget: float = 10.0

    def __post_init__(self) -> None:
        at_least_zero = {"range": Range(0), "margin": Range(0), "simplify_passes": Range(0, whole=True)}
        check_fields(self, {**at_least_zero, "edge_step": _POSITIVE, "time_budget": _POSITIVE})


@dataclass(frozen=True)
class AsymptoticallyOptimalSettings:
    """Settings of `AsymptoticallyOptimal`.

    Attributes:
        algorithm: ``rrtstar``, ``informed_rrtstar``, ``bitstar`` or ``aorrtc``. OMPL's AORRTC takes one goal, which is
            the nearest; the others go to any.
        range: longest edge of the trees [rad or m], 0 takes OMPL's own; BIT* knows none.
        edge_step: no point of the arm moves farther than this between two looks along an edge [m].
        margin: distance to keep from obstacles [m].
        simplify_share: part of the time budget that is kept for simplifying the best path.
        simplify_passes: as of `RrtConnectSettings`.
        time_budget: all of it is used [s].
    """

    algorithm: str = "aorrtc"
    range: float = 1.0
    edge_step: float = 0.02
    margin: float = 0.0
    simplify_share: float = 0.1
    simplify_passes: int = 5
    time_budget: float = 5.0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise unknown_name("algorithm", self.algorithm, ALGORITHMS)
        at_least_zero = {"range": Range(0), "margin": Range(0), "simplify_passes": Range(0, whole=True)}
        positive = dict.fromkeys(["edge_step", "time_budget"], _POSITIVE)
        check_fields(self, {**at_least_zero, **positive, "simplify_share": Range(0, 0.9)})


class RrtConnect(Baseline):
    """RRT-Connect, then OMPL's path simplification: shortcuts, B-spline smoothing, all of it through the validator."""

    def __init__(self, settings: RrtConnectSettings | None = None) -> None:
        self.settings = settings or RrtConnectSettings()
        ompl_modules()

    def search(self, task: Task) -> Claim:
        s = self.settings
        with seeded(task.seed):
            problem = OmplProblem(task, s.edge_step, s.margin)
            planner = problem.planner("RRTConnect", s.range)
            return problem.solve(planner, search_time=s.time_budget, budget=s.time_budget, passes=s.simplify_passes)


class AsymptoticallyOptimal(Baseline):
    """Planners that converge to the shortest path; they stop at the time limit and claim the best they have."""

    def __init__(self, settings: AsymptoticallyOptimalSettings | None = None) -> None:
        self.settings = settings or AsymptoticallyOptimalSettings()
        ompl_modules()

    def search(self, task: Task) -> Claim:
        s = self.settings
        search_time = s.time_budget * (1 - s.simplify_share if s.simplify_passes else 1.0)
        with seeded(task.seed):
            problem = OmplProblem(_to_nearest_goal(task) if s.algorithm == "aorrtc" else task, s.edge_step, s.margin)
            planner = problem.planner(ALGORITHMS[s.algorithm], 0.0 if s.algorithm == "bitstar" else s.range)
            return problem.solve(planner, search_time=search_time, budget=s.time_budget, passes=s.simplify_passes)


def _to_nearest_goal(task: Task) -> Task:
    nearest = np.linalg.norm(task.goals - task.start, axis=1).argmin()
    return dataclasses.replace(task, goals=task.goals[nearest][None])


class KernelChecks:
    """One configuration or one edge at a time, in buffers and launches that are prepared once.

    Preparing a launch costs Warp several times what checking an edge does.
    """

    def __init__(self, world: World, step: float, margin: float) -> None:
        self.num_states, self.num_edges = 0, 0
        self._world = world  # the launches point into its arrays
        dof = world.robot.dof
        edge, state = (wp.zeros((1, n, dof), dtype=float, device="cpu") for n in (2, 1))
        free = wp.zeros((1, 1), dtype=wp.bool, device="cpu")
        packed = [world.chain, world.obstacles]
        self._edge, self._state, self._free = edge.numpy()[0], state.numpy()[0, 0], free.numpy()[0]
        self._launch_edge = prepared_launch(kernels.edges_free, [*packed, edge, step, margin, 0], free)
        self._launch_state = prepared_launch(kernels.rows_free, [*packed, state, margin, 0], free)

    def state_free(self, q: Any) -> bool:
        """Is the configuration ``q`` (dof,) free?"""
        self.num_states += 1
        self._state[:] = q
        self._launch_state.launch()
        return bool(self._free[0])

    def edge_free(self, a: Any, b: Any) -> bool:
        """Is the straight edge between configurations (dof,) free? ``a`` itself is not looked at."""
        self.num_edges += 1
        self._edge[0] = a
        self._edge[1] = b
        self._launch_edge.launch()
        return bool(self._free[0])


def prepared_launch(kernel: wp.Kernel, inputs: list[Any], *outputs: wp.array) -> Any:
    """A launch for one row, to be launched as often as wanted."""
    return wp.launch(kernel, dim=(1, 1), inputs=inputs, outputs=list(outputs), device="cpu", record_cmd=True)


class OmplProblem:
    """One task in OMPL's terms."""

    def __init__(self, task: Task, edge_step: float, margin: float) -> None:
        self.ob, self.og = ompl_modules().base, ompl_modules().geometric
        self.task = task
        self.begin = time.perf_counter()
        world = task.world
        if margin > 0:  # else start and goals would lie within the margin
            ends = np.vstack([task.start, task.goals])
            world = relaxed_world(task.robot, task.scene, ends, slack=margin + _SLACK)
        self.checks = KernelChecks(world, edge_step, margin)
        self.information = self.space_information(self._joint_space())
        self.information.setup()
        self.definition = self.ob.ProblemDefinition(self.information)
        self.definition.addStartState(self._within_limits(task.start))
        self.goal = self.ob.GoalStates(self.information)
        for goal in task.goals:
            self.goal.addState(self._within_limits(goal))
        self.definition.setGoal(self.goal)
        self.objective = self.ob.PathLengthOptimizationObjective(self.information)
        self.definition.setOptimizationObjective(self.objective)

    def _joint_space(self) -> Any:
        """OMPL's space of configurations within the joint limits."""
        limits, dof = self.task.robot.limits, self.task.robot.dof
        bounds = self.ob.RealVectorBounds(dof)
        bounds.low, bounds.high = limits.lower.tolist(), limits.upper.tolist()
        space = self.ob.RealVectorStateSpace(dof)
        space.setBounds(bounds)
        return space

    def space_information(self, space: Any) -> Any:
        """What OMPL may ask about ``space``."""
        information = self.ob.SpaceInformation(space)
        _use_checks(information, self.checks, self.task.robot.dof)
        return information

    def state(self, q: list[float]) -> Any:
        """``q`` (dof,) as OMPL's state. The Python object owns its state: ``freeState`` must not be called on it."""
        state = self.information.allocState()
        for j, value in enumerate(q):
            state[j] = value
        return state

    def _within_limits(self, q: Array) -> Any:
        """The state of ``q`` (dof,), pushed inside limits that it passes by rounding."""
        limits = self.task.robot.limits
        return self.state(np.clip(q, limits.lower, limits.upper).tolist())

    def planner(self, name: str, longest_edge: float) -> Any:
        """OMPL's planner of this name; ``longest_edge`` 0 leaves its range as it is."""
        planner = getattr(self.og, name)(self.information)
        planner.setProblemDefinition(self.definition)
        if longest_edge > 0:
            planner.setRange(longest_edge)
        return planner

    def solve(
        self,
        planner: Any,
        *,
        search_time: float,
        budget: float,
        passes: int,
        stop: Callable[[], bool] | None = None,
    ) -> Claim:
        """Search until ``search_time`` [s] is over, then simplify at most ``passes`` times within what is left.

        With ``stop``, which OMPL asks over and over, the search ends when it says so, and not by time.
        """
        planner.setup()
        left = max(search_time - self.elapsed(), 1e-3)
        planner.solve(left if stop is None else self.ob.PlannerTerminationCondition(stop))
        searched = self.elapsed()
        if not self.definition.hasExactSolution():
            status = Status.TIMEOUT if stop is not None or searched >= search_time else Status.NO_PATH_FOUND
            spent = f"{searched:.2f} s, {self.checks.num_edges} edges and {self.checks.num_states} configurations"
            return Claim(status, f"no path after {spent}", timings={"search": searched})
        path = self.simplified(self.definition.getSolutionPath(), passes, budget)
        timings = {"search": searched, "simplify": self.elapsed() - searched}
        return Claim(Status.SOLVED, path=self.waypoints(path), timings=timings)

    def simplified(self, path: Any, passes: int, budget: float) -> Any:
        """The path after OMPL's simplification; a pass that leaves it invalid, or longer, counts for nothing."""
        simplifier = self.og.PathSimplifier(self.information, self.goal, self.objective)
        for _ in range(passes):
            left = budget - self.elapsed()
            shorter = self.og.PathGeometric(path)
            if left <= 0 or not simplifier.simplify(shorter, left) or shorter.length() >= path.length():
                break
            worthwhile = shorter.length() < (1 - WORTHWHILE) * path.length()
            path = shorter
            if not worthwhile:
                break
        return path

    def waypoints(self, path: Any) -> Array:
        """(n, dof) with start and goal exactly as they were asked for."""
        dof = self.task.robot.dof
        q = np.array([[path.getState(i)[j] for j in range(dof)] for i in range(path.getStateCount())])
        q[0] = self.task.start
        q[-1] = self.task.goals[np.abs(self.task.goals - q[-1]).max(axis=1).argmin()]
        return q

    def elapsed(self) -> float:
        return time.perf_counter() - self.begin


def _use_checks(information: Any, checks: KernelChecks, dof: int) -> None:
    """Let the kernel answer what OMPL asks. OMPL takes the first end of an edge to be free already."""
    from ompl import base as ob

    class KernelStateValidityChecker(ob.StateValidityChecker):
        def isValid(self, state: Any) -> bool:
            return checks.state_free(state[0:dof])

    class KernelMotionValidator(ob.MotionValidator):
        def checkMotion(self, a: Any, b: Any) -> bool:
            return checks.edge_free(a[0:dof], b[0:dof])

    information.setStateValidityChecker(KernelStateValidityChecker(information))
    information.setMotionValidator(KernelMotionValidator(information))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """OMPL's random numbers from ``seed``, and nothing on its console meanwhile.

    OMPL gives each of its generators a seed from one global sequence. It calls starting that sequence again an error
    once generators exist, because those go on as they were; but all that a search uses are made after this, so the
    search repeats. Searches in several threads of one process would draw from the same sequence and not repeat.
    """
    util = ompl_modules().util
    level = util.getLogLevel()
    util.setLogLevel(util.LOG_NONE)
    try:
        util.RNG.setSeed(seed % (2**32 - 1) + 1)  # 0 means "any" to OMPL
        yield
    finally:
        util.setLogLevel(level)


def ompl_modules() -> SimpleNamespace:
    """OMPL's modules ``base``, ``geometric`` and ``util``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from ompl import base, geometric, util
    except ImportError as error:
        raise MissingDependencyError(
            f"sampling-based baselines need OMPL: pip install edmp[baselines] ({error})"
        ) from None
    return SimpleNamespace(base=base, geometric=geometric, util=util)
