"""The planner, top to bottom."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from edmp.connect.search import connect, relaxed_world
from edmp.costs import Cost, Ensemble, Objective, Term, World, ensemble_by_name
from edmp.descent import Descent
from edmp.planner import fallback
from edmp.planner.candidates import Candidates
from edmp.planner.certify import Docket, certify, differ, polish
from edmp.planner.goals import Query, Refusal, resolve, unjudged
from edmp.planner.rounds import repair, seeds, warm_seeds
from edmp.planner.settings import PlannerSettings
from edmp.planner.watch import OnBatch, Watch
from edmp.prior.base import Prior
from edmp.prior.checkpoint import default_prior, load_prior
from edmp.prior.process import ProcessPrior, ProcessSettings
from edmp.problem import Goal
from edmp.result import PlanResult, Solution, Stage, Stats, Status
from edmp.robots import load_robot
from edmp.robots.errors import InvalidInputError
from edmp.robots.robot import Robot
from edmp.robots.threads import one_torch_thread
from edmp.scenes.scene import Scene
from edmp.timing import retime_spline
from edmp.validate import Judge


@dataclass(frozen=True)
class _Call:
    """What belongs to one call of `Planner.plan`."""

    query: Query
    judge: Judge
    descent: Descent
    docket: Docket
    generator: torch.Generator
    settings: PlannerSettings
    seed: int
    budget: float
    deadline: float
    watch: Watch | None = None
    quick: bool = False

    @property
    def late(self) -> bool:
        return self.left < 0

    @property
    def impatient(self) -> bool:
        """Has a third of the time passed?"""
        return self.left < 2 / 3 * self.budget

    @property
    def left(self) -> float:
        """Time until the deadline [s]."""
        return self.deadline - time.perf_counter()

    @property
    def solved(self) -> bool:
        return bool(self.docket.solutions)

    def certify(self, candidates: Candidates, descent: Descent | None = None) -> None:
        """Put candidates before the judge; ``descent`` is theirs if it is not the call's."""
        certify(
            candidates,
            query=self.query,
            judge=self.judge,
            descent=descent or self.descent,
            settings=self.settings,
            docket=self.docket,
            wanted=1 + self.settings.num_alternatives,
            quick=self.quick,
        )


class Planner:
    """Plans for one robot; make it once and use it for many scenes.

    Args:
        robot: the arm, the name of a built-in one, or a description file.
        prior: a `Prior`, the name of a bundled one, ``"process"``, or a weights file; by default the one bundled for
            the robot, else the Gaussian-process prior.
        ensemble: the guiding costs, or the name of a preset.
        costs: costs of one's own, their names, or `edmp.costs.Term` with a weight: added for every seed in every step,
            from guidance to ranking.
        settings: see `PlannerSettings`.
    """

    def __init__(
        self,
        robot: Robot | str | Path = "panda",
        *,
        prior: Prior | str | Path | None = None,
        ensemble: Ensemble | str = "default",
        costs: Sequence[Cost | Term | str] = (),
        settings: PlannerSettings | None = None,
    ) -> None:
        self.robot = load_robot(robot) if isinstance(robot, (str, Path)) else robot
        if not isinstance(self.robot, Robot):
            raise InvalidInputError(f"robot must be a Robot, a name or a description file, not {type(robot).__name__}")
        self.settings = settings or PlannerSettings()
        self.ensemble = ensemble_by_name(ensemble) if isinstance(ensemble, str) else ensemble
        if not isinstance(self.ensemble, Ensemble):
            raise InvalidInputError(f"ensemble must be an Ensemble or the name of one, not {type(ensemble).__name__}")
        self.costs = Objective.of(costs).terms
        self.prior = _prior(prior, self.robot)
        self.process = ProcessPrior.for_robot(self.robot, ProcessSettings(spline=self.prior.spline))
        self._warm_up()

    def plan(
        self,
        scene: Scene,
        start: ArrayLike,
        goal: Goal | Sequence[Goal],
        *,
        seed: int = 0,
        time_budget: float = 10.0,
        fallback: bool = True,
        costs: Sequence[Cost | Term | str] = (),
        warm: ArrayLike | None = None,
        on_batch: OnBatch | None = None,
    ) -> PlanResult:
        """Plan a motion.

        Args:
            scene: what not to hit.
            start: (dof,) [rad or m].
            goal: a configuration (dof,), a `PoseGoal`, or several of either, of which one must be reached.
            seed: the same seed gives the same motion, on the same machine and unless time runs short.
            time_budget: give up after this time [s], what the preparation of the scene takes included.
            fallback: may sampling-based search help where no seed can be repaired?
            costs: added to the planner's own; see `Planner`.
            warm: (n, dof) an earlier path to about the same goal, or what is left of it. It is re-noised a little and
                denoised in the new scene, which is several times faster; where that fails, the plan is made from
                scratch. See `WarmStart`.
            on_batch: called with a `Batch` of all candidates after every denoising step, every check during repair, and
                polish; see `edmp.planner.record_plan`.

        Returns:
            The outcome; a failure is a value with its cause.

        Raises:
            InvalidInputError: an argument is malformed.
        """
        begin = time.perf_counter()
        if not isinstance(scene, Scene):
            raise InvalidInputError(f"scene must be a Scene, not {type(scene).__name__}")
        if not isinstance(time_budget, (int, float)) or not time_budget > 0:
            raise InvalidInputError(f"time_budget must be a positive number of seconds, got {time_budget!r}")
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**31:
            raise InvalidInputError(f"seed must be an integer from 0 to 2**31 - 1, got {seed!r}")
        objective = Objective.of([*self.costs, *Objective.of(costs).terms], num_waypoints=self.settings.num_waypoints)
        earlier = None if warm is None else _earlier_path(self.robot, warm)
        docket = Docket()
        judge = Judge(self.robot, scene)
        if time.perf_counter() - begin > time_budget:
            return _out_of_time(f"while the scene was prepared ({len(scene)} obstacles)", begin, docket)
        known = None if earlier is None else unjudged(self.robot, start, goal)
        with torch.inference_mode(), one_torch_thread():
            if earlier is not None and known is not None:
                # What is certified below includes start and goal: they need no look of their own.
                call = self._call(known, judge, docket, objective, seed, begin, time_budget, on_batch)
                tried = self._warm_round(call, earlier)
                if call.solved:
                    return _success(call, begin, len(tried), int(tried.valid.sum()))
                earlier = None
            query = resolve(self.robot, judge, start, goal, seed=seed)
            if isinstance(query, Refusal):
                docket.spent("judge", begin)
                return _failure(query.status, query.message, begin, docket)
            if time.perf_counter() - begin > time_budget:
                return _out_of_time("while start and goals were looked at", begin, docket)
            call = self._call(query, judge, docket, objective, seed, begin, time_budget, on_batch)
            tried = self._search(call, fallback=fallback, earlier=earlier)
        if call.solved:
            return _success(call, begin, len(tried), int(tried.valid.sum()))
        return _no_path(call, begin, tried)

    def _call(
        self,
        query: Query,
        judge: Judge,
        docket: Docket,
        objective: Objective,
        seed: int,
        begin: float,
        budget: float,
        on_batch: OnBatch | None,
    ) -> _Call:
        now = time.perf_counter()
        settings = self.settings
        ends = np.vstack([query.start, query.goals])
        world = relaxed_world(self.robot, judge.scene, ends, slack=settings.margin + 1e-3)
        descent = Descent(world, self.prior.spline, settings.num_waypoints, objective=objective)
        watch = None
        if on_batch is not None:
            watch = Watch(on_batch, descent, settings.polish_clearance, settings.edge_step)
        generator = torch.Generator().manual_seed(seed)
        docket.spent("set-up", now)
        return _Call(query, judge, descent, docket, generator, settings, seed, budget, begin + budget, watch)

    def _warm_up(self) -> None:
        """Compile the kernels and load what is imported lazily, so that no plan's time budget pays for it.

        The first time on a machine this takes some ten seconds; Warp keeps what it compiled.
        """
        home = torch.as_tensor(self.robot.home, dtype=torch.float32)
        world = World.of(self.robot, Scene())
        descent = Descent(world, self.prior.spline, num_waypoints=4)
        still = descent.spline.straight_line(home, home)
        descent.free(still)
        descent.cost_gradient(still, torch.zeros(1))
        self.ensemble.value_and_gradient(world, home.expand(self.ensemble.num_seeds, 2, -1).contiguous(), 0.0)
        connect(world, self.robot.home[None], self.robot.home[None], seed=0, max_iterations=1, shortcuts=1)
        retime_spline(still[0].numpy(), self.robot.limits)

    def _search(self, call: _Call, *, fallback: bool, earlier: torch.Tensor | None) -> Candidates:
        """Rounds of seeds, and from some round on sampling-based search too, until something is certified.

        Returns all candidates of all rounds.
        """
        tried: list[Candidates] = []
        if earlier is not None:
            tried.append(self._warm_round(call, earlier))
            if call.solved or call.late:
                return tried[0]
        # Nearly straight is good enough where motions are ranked by length alone.
        by_length = not call.descent.objective.terms
        if self.settings.first_look.near >= 1.0 and self.settings.num_alternatives == 0 and by_length:
            tried.append(self._first_look(call))
            if call.solved or call.late:
                return Candidates.join(tried)
        for k in range(self.settings.max_rounds):
            batch = self._round(call, k)
            tried.append(batch)
            if not call.solved and not call.late and fallback and (k + 1 >= self.settings.rounds or call.impatient):
                _fall_back(call, batch, attempt=k)
            if call.solved or call.late:
                break
        if call.solved and k == 0 and _detour(call) > self.settings.detour and not call.late:
            tried.append(self._second_look(call))
        return Candidates.join(tried)

    def _first_look(self, call: _Call) -> Candidates:
        """A few seeds, of which one is certified if it is nearly straight; all its candidates."""
        first = self.settings.first_look
        settings = dataclasses.replace(
            self.settings,
            num_seeds=first.num_seeds,
            sampler_steps=first.sampler_steps,
            repair_iterations=min(first.repair_iterations, self.settings.repair_iterations),
            enough_valid=1,
            polish_candidates=first.polish_candidates,
            polish_iterations=min(first.polish_iterations, self.settings.polish_iterations),
        )
        generator = torch.Generator().manual_seed(call.seed + 2**31)  # its own: the rounds do not depend on this look
        call = dataclasses.replace(call, settings=settings, generator=generator)
        batch = self._candidates(call, 0)
        free = batch.rows(batch.valid.nonzero().squeeze(1))
        if not len(free):
            return batch
        taut = _polished(call, free, call.descent)
        distance = np.linalg.norm(call.query.goals - call.query.start, axis=1).min()
        near = call.descent.length(taut.control_points) <= first.near * distance
        call.certify(taut.rows(near.nonzero().squeeze(1)))
        return batch

    def _second_look(self, call: _Call) -> Candidates:
        """Another round, whose motions are ranked with those that are certified already; all its candidates."""
        docket = call.docket
        earlier, docket.solutions = docket.solutions, []
        batch = self._round(call, 1)
        ranked = sorted([*earlier, *docket.solutions], key=lambda found: found.objective)
        docket.solutions = []
        for found in ranked:
            if all(differ(found.path, other.path, self.settings.distinct) for other in docket.solutions):
                docket.solutions.append(found)
        del docket.solutions[1 + self.settings.num_alternatives :]
        return batch

    def _warm_round(self, call: _Call, earlier: torch.Tensor) -> Candidates:
        """Seeds round an earlier path, with little repair and little polish; one certified motion is enough."""
        warm = self.settings.warm
        # A few steps keep a motion short; what costs of one's own gained before takes more to win back.
        terms = call.descent.objective.terms
        settings = dataclasses.replace(
            self.settings,
            repair_iterations=warm.repair_iterations,
            check_every=warm.check_every,
            enough_valid=warm.enough_valid,
            polish_candidates=warm.polish_candidates,
            polish_iterations=self.settings.polish_iterations if terms else warm.polish_iterations,
            num_alternatives=0,
        )
        now = time.perf_counter()
        batch = warm_seeds(
            earlier,
            self.prior,
            self.ensemble,
            call.descent,
            torch.as_tensor(call.query.start, dtype=torch.float32),
            torch.as_tensor(call.query.goals, dtype=torch.float32),
            settings=settings,
            generator=call.generator,
            watch=call.watch,
        )
        now = call.docket.spent("sample", now)
        batch = repair(batch, call.descent, settings=settings, deadline=call.deadline, watch=call.watch)
        call.docket.spent("repair", now)
        quick = dataclasses.replace(call, settings=settings, quick=True)
        _finish(quick, batch.rows(batch.valid.nonzero().squeeze(1)))
        return batch

    def _round(self, call: _Call, index: int) -> Candidates:
        """Sample, repair, and certify what came out; all candidates of the round."""
        batch = self._candidates(call, index)
        _finish(call, batch.rows(batch.valid.nonzero().squeeze(1)))
        if not call.solved and not call.late:
            # Spheres stick out of the arm: what they call a collision may be none. Let the judge see the closest few.
            blocked = (~call.descent.free_edges(batch.control_points, step=self.settings.edge_step)).sum(dim=1)
            call.certify(batch.rows(torch.argsort(blocked, stable=True)[:3]))
        return batch

    def _candidates(self, call: _Call, index: int) -> Candidates:
        """The seeds of a round, repaired."""
        now = time.perf_counter()
        batch = seeds(
            self.prior,
            self.process,
            self.ensemble,
            call.descent,
            torch.as_tensor(call.query.start, dtype=torch.float32),
            torch.as_tensor(call.query.goals, dtype=torch.float32),
            settings=call.settings,
            generator=call.generator,
            round_index=index,
            watch=call.watch,
        )
        now = call.docket.spent("sample", now)
        batch = repair(batch, call.descent, settings=call.settings, deadline=call.deadline, watch=call.watch)
        call.docket.spent("repair", now)
        return batch


def _earlier_path(robot: Robot, warm: ArrayLike) -> torch.Tensor:
    """``warm`` as (n, dof) float32.

    Raises:
        InvalidInputError: it is no path of this robot.
    """
    path = np.asarray(warm, dtype=np.float64)
    if path.ndim != 2 or path.shape[1] != robot.dof or len(path) < 2 or not np.isfinite(path).all():
        raise InvalidInputError(
            f"warm must be a path (n >= 2, {robot.dof}) of finite numbers for {robot.name}, got shape {path.shape}"
        )
    return torch.as_tensor(np.ascontiguousarray(path), dtype=torch.float32)


def _detour(call: _Call) -> float:
    """Length of the best motion over the distance of its ends [1]."""
    best = call.docket.solutions[0]
    return best.length / max(1e-9, float(np.linalg.norm(best.path[-1] - best.path[0])))


def _finish(call: _Call, candidates: Candidates, descent: Descent | None = None) -> None:
    """Polish and certify; candidates whose polished version the judge refuses are judged as they were."""
    if not len(candidates):
        return
    descent = descent or call.descent
    call.certify(_polished(call, candidates, descent), descent)
    if not call.solved:
        call.certify(candidates.rows(candidates.valid.nonzero().squeeze(1)), descent)


def _polished(call: _Call, candidates: Candidates, descent: Descent) -> Candidates:
    now = time.perf_counter()
    taut = polish(candidates, descent, settings=call.settings)
    call.docket.spent("polish", now)
    if call.watch is not None and descent is call.descent and len(taut):
        call.watch.see("polish", 0.0, taut.control_points, taut.valid)
    return taut


def _fall_back(call: _Call, batch: Candidates, *, attempt: int) -> None:
    """Stitch the best seeds of a round; if that fails, search from start to goal."""
    settings = call.settings
    fine = dataclasses.replace(call.descent, spline=fallback.FINE_SPLINE, num_waypoints=2 * settings.num_waypoints)
    now = time.perf_counter()
    seed = call.seed + 1000 * attempt
    stitched = fallback.stitch(batch, call.descent, settings=settings, seed=seed)
    call.docket.spent("stitch", now)
    if stitched:
        _finish(call, fallback.fit(stitched, fine, Stage.STITCH, settings=settings), fine)
    if call.solved or call.late:
        return
    now = time.perf_counter()
    start, goals = call.query.start, call.query.goals
    # About as many samples as the time that is left allows, on a slow machine.
    settings = dataclasses.replace(
        settings, fallback_iterations=min(settings.fallback_iterations, int(4000 * call.left) + 1)
    )
    paths = fallback.search(fine, start, goals, settings=settings, seed=seed, margin=settings.margin * (attempt % 2))
    call.docket.spent("fallback", now)
    if paths:
        _finish(call, fallback.fit(paths, fine, Stage.FALLBACK, settings=settings), fine)


def _stats(docket: Docket, begin: float, stage: Stage | None, num_seeds: int, num_valid: int) -> Stats:
    return Stats(stage, time.perf_counter() - begin, docket.seconds, num_seeds, num_valid, docket.edges_checked)


def _success(call: _Call, begin: float, num_seeds: int, num_valid: int) -> PlanResult:
    best, *others = sorted(call.docket.solutions, key=lambda found: found.objective)
    stats = _stats(call.docket, begin, best.stage, num_seeds, num_valid)
    return PlanResult(Status.SOLVED, _report(best), best, tuple(others), stats)


def _report(best: Solution) -> str:
    clearance = "no obstacles" if np.isinf(best.min_clearance) else f"clearance {1e3 * best.min_clearance:.1f} mm"
    terms = "".join(f", {name} {value:.3g}" for name, value in best.terms.items())
    return f"certified motion of {best.length:.2f} rad, {best.duration:.2f} s, {clearance}{terms}"


def _failure(status: Status, message: str, begin: float, docket: Docket) -> PlanResult:
    return PlanResult(status, message, None, (), _stats(docket, begin, None, 0, 0))


def _out_of_time(when: str, begin: float, docket: Docket) -> PlanResult:
    return _failure(Status.TIMEOUT, f"time ran out {when}, before a motion was looked for", begin, docket)


def _no_path(call: _Call, begin: float, tried: Candidates) -> PlanResult:
    """Say where the closest candidate is stuck."""
    free = call.descent.free_edges(tried.control_points, step=call.settings.edge_step)
    closest = int((~free).sum(dim=1).argmin())
    path = call.descent.waypoints(tried.control_points[closest : closest + 1])[0].numpy().astype(np.float64)
    limits = call.judge.robot.limits
    verdict = call.judge.check_path(path.clip(limits.lower, limits.upper))
    where = ""
    if verdict.contacts and verdict.contacts[0].edge is not None:
        where = f" at {100 * (verdict.contacts[0].edge + 0.5) / (len(path) - 1):.0f} % of the way"
    status = Status.TIMEOUT if call.late else Status.NO_PATH_FOUND
    lead = "time ran out" if call.late else "no path found"
    message = f"{lead} after {len(tried)} seeds; in the closest candidate {verdict.message()}{where}"
    return PlanResult(status, message, None, (), _stats(call.docket, begin, None, len(tried), int(tried.valid.sum())))


def _prior(prior: Prior | str | Path | None, robot: Robot) -> Prior:
    if prior is None:
        found: object = default_prior(robot)
    else:
        found = load_prior(prior, robot) if isinstance(prior, (str, Path)) else prior
    if not isinstance(found, Prior):
        raise InvalidInputError(f"the planner needs a prior on splines, not {type(found).__name__}")
    if found.dof != robot.dof:
        raise InvalidInputError(f"the prior is for {found.dof} joints, {robot.name} has {robot.dof}")
    return found


def _planner(robot: Any, prior: Any, ensemble: Any, num_seeds: int | None, num_alternatives: int) -> Planner:
    settings = PlannerSettings(num_alternatives=num_alternatives)
    if num_seeds is not None:
        settings = dataclasses.replace(settings, num_seeds=num_seeds)
    return Planner(robot, prior=prior, ensemble=ensemble, settings=settings)


_cached_planner = functools.lru_cache(maxsize=8)(_planner)


def plan(
    scene: Scene,
    start: ArrayLike,
    goal: Goal | Sequence[Goal],
    *,
    robot: Robot | str | Path = "panda",
    prior: Prior | str | Path | None = None,
    ensemble: Ensemble | str = "default",
    num_seeds: int | None = None,
    num_alternatives: int = 0,
    seed: int = 0,
    time_budget: float = 10.0,
    fallback: bool = True,
    costs: Sequence[Cost | Term | str] = (),
) -> PlanResult:
    """Plan a motion with a `Planner` that is kept for the next call.

    See `PlannerSettings` for ``num_seeds`` and ``num_alternatives``, `Planner` and `Planner.plan` for the rest.
    """
    try:
        planner = _cached_planner(robot, prior, ensemble, num_seeds, num_alternatives)
    except TypeError:  # something that cannot be a key, such as a dict: let the planner say what is wrong with it
        planner = _planner(robot, prior, ensemble, num_seeds, num_alternatives)
    return planner.plan(scene, start, goal, seed=seed, time_budget=time_budget, fallback=fallback, costs=costs)
