"""OMPL's planners on constraint manifolds: `ProjectedStateSpace` (Kingston, Moll, Kavraki 2019).

OMPL knows equalities f(q) = 0 within a tolerance, edmp's constraints are bands lower <= v(q) <= upper. Ways to put a
band, all scaled by half its width h and kept to a ``share`` of it, since OMPL's states are a step apart and what lies
between has to hold as well:

- ``excess``: f = max(|v - middle| / h - share, 0), to OMPL's own tolerance; whatever is inside is on the manifold.
- ``middle``: f = (v - middle) / h, to the tolerance ``share``: Newton's method aims at the middle of the band and stops
  once it is inside.
- ``compiled``: f as with ``excess``, but in place of OMPL's Newton's method, which calls back to Python twice a step,
  the compiled projection of edmp's own search, in one launch.

The values and their gradients come from the compiled kernel that edmp's own search uses; geodesics, trees and
simplification are OMPL's.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from edmp.baselines.base import Array, Baseline, Claim, Task
from edmp.baselines.sampling_based import KernelChecks, OmplProblem, ompl_modules, prepared_launch, seeded
from edmp.collision.bands import PackedBands
from edmp.collision.kernels.bands import band_rows, rows_projected
from edmp.constraints import Band, BandKind, bands_of
from edmp.errors import InvalidInputError, unknown_name
from edmp.ranges import Range, check_fields
from edmp.result import Status
from edmp.warp_start import wp

ALGORITHMS = {"rrtconnect": "RRTConnect", "bkpiece": "BKPIECE1"}
"""OMPL's classes by the names that `ProjectedSettings.algorithm` takes."""

FORMULATIONS = ("excess", "middle", "compiled")

_CONES = (BandKind.ANGLE, BandKind.OFFSET, BandKind.GAZE)  # never negative: bounded from above alone, they begin at 0
_NEWTON_STEPS = 40
_SEARCH_STEPS = 4
"""So often the step is halved when an edge between its states is not free."""


@dataclass(frozen=True)
class ProjectedSettings:
    """Settings of `Projected`.

    Attributes:
        algorithm: ``rrtconnect`` or ``bkpiece``.
        formulation: ``excess``, ``middle`` or ``compiled``, see above.
        share: part of half a band's width that states keep to.
        delta: step along a geodesic, which OMPL projects and looks at state by state [rad or m].
        range: longest edge of the trees [rad or m]; 0 takes OMPL's own.
        edge_step: no point of the arm moves farther than this between two looks along a step [m].
        simplify_passes: most passes of OMPL's simplification; 0 leaves the path as it was found.
        time_budget: give up after this [s].
        max_launches: give up after so many looks at a configuration instead, which, other than time, repeats; 0 counts
            the time.
    """

    algorithm: str = "rrtconnect"
    formulation: str = "compiled"
    share: float = 0.8
    delta: float = 0.05
    range: float = 1.0
    edge_step: float = 0.02
    simplify_passes: int = 5
    time_budget: float = 10.0
    max_launches: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise unknown_name("algorithm", self.algorithm, ALGORITHMS)
        if self.formulation not in FORMULATIONS:
            raise unknown_name("formulation", self.formulation, FORMULATIONS)
        positive = dict.fromkeys(("delta", "edge_step", "time_budget"), Range(0, above=True))
        whole = dict.fromkeys(("simplify_passes", "max_launches"), Range(0, whole=True))
        at_least_zero = {"range": Range(0), **whole}
        check_fields(self, {**positive, **at_least_zero, "share": Range(0, 1, above=True)})


class Projected(Baseline):
    """One of OMPL's planners in a `ProjectedStateSpace`, then OMPL's simplification there."""

    def __init__(self, settings: ProjectedSettings | None = None) -> None:
        self.settings = settings or ProjectedSettings()
        ompl_modules()

    def search(self, task: Task) -> Claim:
        s = self.settings
        bands = bands_of(task.robot, task.constraints)
        begin = time.perf_counter()
        claim = Claim(Status.TIMEOUT, "no time to begin")
        delta = s.delta
        with seeded(task.seed):
            for _ in range(_SEARCH_STEPS):
                left = s.time_budget - (time.perf_counter() - begin)
                if left <= 0:
                    break
                problem = ProjectedProblem(task, bands, s, delta)
                claim = problem.solve(
                    problem.planner(ALGORITHMS[s.algorithm], s.range),
                    search_time=left,
                    budget=left,
                    passes=s.simplify_passes,
                    stop=problem.spent if s.max_launches else None,
                )
                if claim.path is None or problem.all_free(claim.path):
                    break
                delta /= 2  # what is between two states of the path touches something: look more closely
        return claim


class ProjectedProblem(OmplProblem):
    """One task with constraints in OMPL's terms."""

    def __init__(self, task: Task, bands: tuple[Band, ...], settings: ProjectedSettings, delta: float) -> None:
        self._bands, self._settings, self._delta = bands, settings, delta
        super().__init__(task, settings.edge_step, 0.0)

    def space_information(self, space: Any) -> Any:
        dof = self.task.robot.dof
        self._values = BandValues(self.task, self._bands, self._settings.share)
        self._constraint = _constraint(self._values, dof, self._settings)
        self._space = self.ob.ProjectedStateSpace(space, self._constraint)
        self._space.setDelta(self._delta)
        information = self.ob.ConstrainedSpaceInformation(self._space)
        self._checker = _checker(information, self.checks, self.task)
        information.setStateValidityChecker(self._checker)
        return information

    def state(self, q: list[float]) -> Any:
        state = self.information.allocState()
        state.copy(q)
        return state

    def waypoints(self, path: Any) -> Array:
        """(n, dof) the states that the geodesics of a path go through."""
        path.interpolate()
        return super().waypoints(path)

    def spent(self) -> bool:
        """Whether it has looked at as many configurations as it may."""
        return self.checks.num_states + self._values.num_launches >= self._settings.max_launches

    def all_free(self, q: Array) -> bool:
        """Whether the straight edges between the states of a path are free."""
        return all(self.checks.edge_free(a, b) for a, b in itertools.pairwise(q))


class BandValues:
    """Values and gradients of bands, and projection into them, one configuration at a time, in prepared launches.

    Attributes:
        value: (m,) of each band at the configuration that `at` was last given.
        gradient: (m, dof) their gradients there.
        middle, half: (m,) middle and half the width of each band; of a cone its axis and its half angle.
        num_launches: of either kind so far.
    """

    def __init__(self, task: Task, bands: tuple[Band, ...], share: float) -> None:
        if not bands:
            raise InvalidInputError("planners on constraint manifolds need a constraint on frames or joints")
        lower, upper = (np.array([getattr(band, end) for band in bands]) for end in ("lower", "upper"))
        cone = np.array([band.kind in _CONES and band.lower <= 0 for band in bands])
        lower[cone] = -upper[cone]
        if not np.isfinite(lower + upper).all():
            raise InvalidInputError("planners on constraint manifolds need bands with two ends")
        self.middle, self.half = (lower + upper) / 2, (upper - lower) / 2
        self.num_launches = 0
        world, dof, limits = task.world, task.robot.dof, task.robot.limits
        packed = PackedBands.of(world, bands)
        assert packed is not None  # there are bands
        packed.bands.slack = wp.array(((1 - share) * self.half).astype(np.float32), dtype=float, device="cpu")
        q, moved = (wp.zeros((1, 1, dof), dtype=float, device="cpu") for _ in range(2))
        value = wp.zeros((1, 1, len(bands)), dtype=float, device="cpu")
        gradient = wp.zeros((1, 1, len(bands), dof), dtype=float, device="cpu")
        holds = wp.zeros((1, 1), dtype=wp.bool, device="cpu")
        box: list[wp.array] = [
            wp.array(end.astype(np.float32), dtype=float, device="cpu") for end in (limits.lower, limits.upper)
        ]
        self._launch = prepared_launch(band_rows, [world.chain, packed.bands, q, 0], value, gradient)
        self._project = prepared_launch(
            rows_projected, [world.chain, packed.bands, q, *box, _NEWTON_STEPS, 0], moved, holds
        )
        self._q, self._moved, self._holds = q.numpy()[0, 0], moved.numpy()[0, 0], holds.numpy()
        self.value, self.gradient = value.numpy()[0, 0], gradient.numpy()[0, 0]
        self._keep = packed, box

    def at(self, q: Array) -> None:
        """Fill ``value`` and ``gradient`` for the configuration ``q`` (dof,)."""
        self.num_launches += 1
        self._q[:] = q
        self._launch.launch()

    def project(self, q: Array) -> bool:
        """Move ``q`` (dof,) into the bands, narrowed; False where that fails."""
        self.num_launches += 1
        self._q[:] = q
        self._project.launch()
        q[:] = self._moved
        return bool(self._holds[0, 0])


def _constraint(values: BandValues, dof: int, settings: ProjectedSettings) -> Any:
    """OMPL's constraint, one equation a band, by the formulation of the settings."""
    from ompl import base as ob

    middle, half, share = values.middle, values.half, settings.share
    narrow = (1 + share) / 2 if settings.formulation == "compiled" else share  # what edmp's projection is content with

    class Excess(ob.Constraint):
        def function(self, x: Array, out: Array) -> None:
            values.at(x)
            f = (values.value - middle) / half
            out[:] = np.sign(f) * np.maximum(np.abs(f) - narrow, 0.0)

        def jacobian(self, x: Array, out: Array) -> None:  # OMPL has asked for f at the same x just before
            outside = np.abs(values.value - middle) > narrow * half
            out[:] = values.gradient * (outside / half)[:, None]

    class Middle(ob.Constraint):
        def function(self, x: Array, out: Array) -> None:
            values.at(x)
            out[:] = (values.value - middle) / half

        def jacobian(self, x: Array, out: Array) -> None:
            out[:] = values.gradient / half[:, None]

    class Compiled(Excess):
        def project(self, x: Array) -> bool:
            return values.project(x)

    kind = {"excess": Excess, "middle": Middle, "compiled": Compiled}[settings.formulation]
    # OMPL compares the norm of all f with the tolerance.
    tolerance = share / math.sqrt(len(half)) if kind is Middle else ob.CONSTRAINT_PROJECTION_TOLERANCE
    return kind(dof, len(half), tolerance)


def _checker(information: Any, checks: KernelChecks, task: Task) -> Any:
    from ompl import base as ob

    dof, lower, upper = task.robot.dof, task.robot.limits.lower - 1e-9, task.robot.limits.upper + 1e-9

    class KernelStateValidityChecker(ob.StateValidityChecker):
        def isValid(self, state: Any) -> bool:
            q = np.array([state[j] for j in range(dof)])
            return bool((q >= lower).all() and (q <= upper).all()) and checks.state_free(q)

    return KernelStateValidityChecker(information)
