"""The planner, top to bottom."""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from edmp.arguments import checked, checked_but
from edmp.collision.bands import PackedBands
from edmp.collision.free import relaxed_world
from edmp.collision.world import checked_device
from edmp.constraints import Constraint, bands_of, distances_of
from edmp.costs import Cost, Ensemble, Objective, Term
from edmp.descent import Descent
from edmp.goals import Line, Via
from edmp.planner.call import Call
from edmp.planner.certify import Docket
from edmp.planner.contacts import check_names, leave_contacts
from edmp.planner.given import check_call, check_same_arm, given_ensemble, given_path, given_prior, given_robot
from edmp.planner.goals import Query, Refusal, resolve, unjudged
from edmp.planner.lines import plan_line
from edmp.planner.outcome import no_path, out_of_time, refusal, success
from edmp.planner.search import replan, search
from edmp.planner.settings import PlannerSettings
from edmp.planner.warm_up import warm_up, warm_up_constraints
from edmp.planner.watch import OnBatch, Watch
from edmp.prior.base import Prior
from edmp.prior.process import ProcessPrior, ProcessSettings
from edmp.problem import GoalLike, Problem, StartLike, as_problem, escape_depth
from edmp.result import PlanResult
from edmp.robots.parts import Array, Limits
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.threads import one_torch_thread
from edmp.validate import Judge


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
        device: where candidates are computed, ``"cpu"`` or ``"cuda:0"``, which has never been run; the judge, timing
            and inverse kinematics stay on the CPU.
    """

    @checked_but("device")
    def __init__(
        self,
        robot: Robot | str | Path = "panda",
        *,
        prior: Prior | str | Path | None = None,
        ensemble: Ensemble | str = "default",
        costs: Sequence[Cost | Term | str] = (),
        settings: PlannerSettings | None = None,
        device: str = "cpu",
    ) -> None:
        self.robot = given_robot(robot)
        self.settings = settings or PlannerSettings()
        self.ensemble = given_ensemble(ensemble)
        self.costs = Objective.of(costs).terms
        self.device = checked_device(device)
        self.prior = given_prior(prior, self.robot)
        if self.prior.device != torch.device(self.device):
            self.prior = self.prior.to(self.device)
        process = ProcessPrior.for_robot(self.robot, ProcessSettings(spline=self.prior.spline))
        self.process = process.to(self.device)
        warm_up(self.robot, self.prior.spline, self.ensemble, self.device)

    @checked_but("start", "goal", "costs", "warm", "time_budget", "tool_speed", "tool_acceleration")
    def plan(
        self,
        scene: Scene,
        start: StartLike,
        goal: GoalLike | Sequence[GoalLike],
        *,
        seed: int = 0,
        time_budget: float = 10.0,
        fallback: bool = True,
        costs: Sequence[Cost | Term | str] = (),
        velocity_scale: float = 1.0,
        acceleration_scale: float = 1.0,
        constraints: Sequence[Constraint] = (),
        escape: bool | float = False,
        tool_speed: float | tuple[float, float] | None = None,
        tool_acceleration: float | tuple[float, float] | None = None,
        warm: ArrayLike | None = None,
        on_batch: OnBatch | None = None,
    ) -> PlanResult:
        """Plan a motion.

        Args:
            scene: what not to hit.
            start: (dof,) [rad or m], or ``{joint name: value}``. Beyond a limit by at most `PlannerSettings`'
                ``start_tolerance`` it is taken, and the motion leads inside first; continuous joints may be any number
                of turns away from zero, and the motion goes on from there.
            goal: a configuration, as the start, a `PoseGoal`, or several of either, of which one must be reached.
                A continuous joint turns the short way to it. Or a `Line` or a `Via`, which the tool follows; where it
                cannot, the result says how far along, and why (`PlanResult.blocked`). Seeds, costs, the fallback, an
                earlier path and observers have no part in that.
            seed: the same seed gives the same motion, on the same machine and unless time runs short.
            time_budget: give up after this time [s], what the preparation of the scene takes included.
            fallback: may sampling-based search help where no seed can be repaired?
            costs: added to the planner's own; see `Planner`.
            velocity_scale, acceleration_scale: shares of the joints' limits that the motion may use, in (0, 1]; as in
                MoveIt, limits of jerk stay as they are.
            constraints: what the motion must keep to all the way, start and goal included, such as `edmp.Upright`; all
                of them at once. The judge proves each.
            escape: True lets the motion start in contacts up to 20 mm deep, a number in ones so deep [m]; at most
                0.1. It then begins with a short retreat that is proved to get nowhere deeper and to touch nothing else;
                see `edmp.planner.escape`.
            tool_speed, tool_acceleration: limits of the tool in the world, beside those of the joints: of its origin
                [m/s, m/s^2], or pairs, of its origin and of its rotation [rad/s, rad/s^2].
            warm: (n, dof) an earlier path to about the same goal, or what is left of it. It is re-noised a little and
                denoised in the new scene, which is several times faster; where that fails, the plan is made from
                scratch. See `WARM_START`.
            on_batch: called with a `Batch` of all candidates after every denoising step, every check during repair, and
                polish; see `edmp.planner.record_plan`.

        Returns:
            The outcome; a failure is a value with its cause.

        Raises:
            InvalidInputError: an argument is malformed.
            UnknownNameError: a constraint names what robot or scene do not have.
        """
        begin = time.perf_counter()
        check_call(scene, seed, time_budget)
        objective = Objective.of([*self.costs, *Objective.of(costs).terms], num_waypoints=self.settings.num_waypoints)
        earlier = None if warm is None else given_path(warm, self.robot)
        problem = as_problem(
            self.robot,
            scene,
            start,
            goal,
            velocity_scale=velocity_scale,
            acceleration_scale=acceleration_scale,
            constraints=constraints,
            escape=escape_depth(escape),
            tool_speed=tool_speed,
            tool_acceleration=tool_acceleration,
        )
        if problem.constraints:
            begin += warm_up_constraints(self.robot, self.device)  # not of the time budget
        result = self._plan(problem, objective, int(seed), begin, float(time_budget), fallback, earlier, on_batch)
        return dataclasses.replace(result, problem=problem)

    def _plan(
        self,
        problem: Problem,
        objective: Objective,
        seed: int,
        begin: float,
        time_budget: float,
        fallback: bool,
        earlier: Array | None,
        on_batch: OnBatch | None,
    ) -> PlanResult:
        """`plan`, of what has been checked."""
        scene, start, goal = problem.scene, problem.start, problem.goal
        docket = Docket()
        check_names(self.robot, scene)
        judge = Judge(
            self.robot,
            scene,
            start_tolerance=self.settings.start_tolerance,
            constraints=problem.constraints,
            escape=problem.escape,
        )
        if time.perf_counter() - begin > time_budget:
            return out_of_time(f"while the scene was prepared ({len(scene)} obstacles)", docket, begin)
        if isinstance(goal, Line | Via):
            return plan_line(problem, goal, judge, docket, begin=begin, budget=time_budget)
        known = None if earlier is None else unjudged(self.robot, start, goal)
        prepare = functools.partial(
            self.prepare,
            judge=judge,
            objective=objective,
            docket=docket,
            seed=seed,
            limits=problem.timing_limits,
            begin=begin,
            budget=time_budget,
            on_batch=on_batch,
        )
        with torch.inference_mode(), one_torch_thread():
            if earlier is not None and known is not None:
                # What is certified below includes start and goal: they need no look of their own.
                call = prepare(known)
                tried = replan(call, earlier)
                if call.solved:
                    return success(call, tried, begin)
                earlier = None
            now = time.perf_counter()
            query = resolve(self.robot, judge, start, goal, seed=seed, until=begin + time_budget)
            if isinstance(query, Query) and query.standing is None:
                query = leave_contacts(query, judge)
            docket.spent("goals", now)
            if isinstance(query, Refusal):
                return refusal(query, docket, begin)
            if time.perf_counter() - begin > time_budget:
                return out_of_time("while start and goals were looked at", docket, begin)
            call = prepare(query)
            tried = search(call, fallback=fallback, earlier=earlier)
        return success(call, tried, begin) if call.solved else no_path(call, tried, begin)

    @checked
    def for_robot(self, robot: Robot) -> Planner:
        """This planner for the same arm with its fingers elsewhere, or something in its hand; nothing is loaded again.

        Raises:
            InvalidInputError: another arm: its joints or their limits differ.
        """
        check_same_arm(self.robot, robot)
        twin = copy.copy(self)
        twin.robot = robot
        return twin

    @checked
    def prepare(
        self,
        query: Query,
        judge: Judge,
        *,
        objective: Objective | None = None,
        docket: Docket | None = None,
        seed: int = 0,
        limits: Limits | None = None,
        begin: float | None = None,
        budget: float = 10.0,
        on_batch: OnBatch | None = None,
    ) -> Call:
        """What the steps of one call of `plan` work on, for who wants to take them one by one.

        Args:
            query: start and goals.
            judge: of this robot and the scene.
            objective: what to descend; length alone if None.
            docket: what has come before the judge so far.
            seed: of all random numbers.
            limits: within which motions are timed; the robot's if None.
            begin: when the call began, on the clock of `time.perf_counter` [s]; now if None.
            budget: time from then on [s].
            on_batch: see `plan`.
        """
        docket = docket or Docket()
        begin = time.perf_counter() if begin is None else begin
        objective = objective or Objective(num_waypoints=self.settings.num_waypoints)
        now = time.perf_counter()
        settings = self.settings
        ends = np.vstack([query.start, query.goals])
        world = relaxed_world(
            self.robot,
            judge.scene,
            ends,
            slack=settings.margin + 1e-3,
            margins=distances_of(judge.constraints),
            device=self.device,
        )
        bands = PackedBands.of(world, bands_of(self.robot, judge.constraints))
        descent = Descent(world, self.prior.spline, settings.num_waypoints, objective=objective, bands=bands)
        watch = None if on_batch is None else Watch(on_batch, descent, settings.polish_clearance, settings.edge_step)
        generator = torch.Generator("cpu").manual_seed(seed)
        docket.spent("set-up", now)
        return Call(
            query=query,
            judge=judge,
            descent=descent,
            docket=docket,
            settings=settings,
            prior=self.prior,
            process=self.process,
            ensemble=self.ensemble,
            generator=generator,
            seed=seed,
            limits=limits or self.robot.limits,
            budget=budget,
            deadline=begin + budget,
            watch=watch,
        )
