"""`follow`: a certified motion whose tool goes along straight lines, or how far it can go and why no further."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edmp.cartesian.blocked import crept, why_blocked
from edmp.cartesian.carry import carried
from edmp.cartesian.chain import ToolChain
from edmp.cartesian.curve import curve_through, self_motion
from edmp.cartesian.sheet import Sheet, Way, best_way, posture_cost, smoothed
from edmp.collision import World, free, relaxed_world
from edmp.constraints import both_kept
from edmp.geometry.tool_path import ToolPath
from edmp.goals import ToolGoal
from edmp.result import Blocked, BlockedBy, Solution, Stage
from edmp.robots.parts import Limits
from edmp.timing import retime_waypoints
from edmp.trajectory import path_length
from edmp.validate import Judge, Verdict
from edmp.validate.tool_path import ToolVerdict, follows, worst

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LAYER, FINE_LAYER = 0.02, 0.005
"""Distance of layers along the tool path, at first and near singularities [m]."""
_INSIDE = 1e-3
"""Joints keep this from their limits, which a curve between configurations needs [rad or m]."""
_SLACKS = (0.0, 0.006, 0.015)
"""What is taken off the spheres of the arm, which stick out of it, if it cannot pass otherwise [m]."""
_ROUNDS = 5
"""Ways that are put before the judge at each slack."""
_KEEP_OFF = ((0.01, 0.4), (0.03, 0.2))
"""Nearer to obstacles than the first [m], a configuration costs the second."""
_TRUNCATIONS = 8
"""How often a way that leads part of the way is cut back until the judge certifies it."""
_PERIODS = (0.01, 0.004)
"""Sample periods of timed motions [s]: the tool leaves its line between samples, and must not by much."""


def follow(
    judge: Judge,
    start: Array,
    goal: ToolGoal,
    *,
    limits: Limits | None = None,
    deadline: float = np.inf,
) -> Solution | Blocked:
    """A motion from ``start`` whose tool goes along ``goal``.

    First the arm is carried along with least joint motion, which is enough for most lines; where that meets a limit, a
    singularity or an obstacle, the best way is sought through all that its redundancy allows.

    Args:
        judge: of robot and scene. Whether ``start`` is free is for the caller to know.
        start: (dof,) within the limits [rad or m].
        goal: the line, or lines.
        limits: what the motion is timed within; the robot's if None.
        deadline: when to give up, on the clock of `time.perf_counter` [s].

    Raises:
        InvalidInputError: from where the tool is, the line makes no sense; see `Line.path_from`.
    """
    return _Follower(judge, start, goal, limits or judge.robot.limits, deadline).run()


@dataclass(frozen=True)
class _Refused:
    """The judge's word on a motion that it does not certify."""

    verdict: Verdict | None
    tool: ToolVerdict | None

    @property
    def q(self) -> Array | None:
        """Where it touches something, if that is the reason."""
        return self.verdict.contacts[0].q if self.verdict is not None and self.verdict.contacts else None


class _Follower:
    def __init__(self, judge: Judge, start: Array, goal: ToolGoal, limits: Limits, deadline: float) -> None:
        self.judge, self.robot, self.start, self.limits, self.deadline = judge, judge.robot, start, limits, deadline
        chain = ToolChain(self.robot, inside=_INSIDE)
        self.q0 = start[chain.columns]
        self.chain = chain.widened(self.q0)
        self.path: ToolPath = goal.path_from(self.chain.poses(self.q0[None])[0])
        self._layers(LAYER)

    def _layers(self, spacing: float) -> None:
        self.at = self.path.marks(spacing)
        self.X_WT = self.path.poses(self.at)
        self.too_coarse = False  # whether small steps lead on from where layers do not

    def run(self) -> Solution | Blocked:
        if not self.path.length > 1e-9:
            return self._standing()
        found = self._searched()
        coarse = self.too_coarse or (isinstance(found, Blocked) and found.by is BlockedBy.SINGULARITY)
        if isinstance(found, Solution) or not coarse or self.late:
            return found
        self._layers(FINE_LAYER)
        finer = self._searched()
        return finer if isinstance(finer, Solution) or finer.fraction > found.fraction else found

    def _searched(self) -> Solution | Blocked:
        """The motion, by layers as they are."""
        q = carried(self.chain, self.q0, self.X_WT[1:])
        if len(q) == len(self.at):
            answer = self._certified(self.at, q)
            if isinstance(answer, Solution):
                return answer
        furthest = Way(q, q[:1])
        if not self.chain.redundancy:  # there is no other way
            return self._blocked(furthest)
        sheet = Sheet(self.chain, self.at, self.X_WT)
        sheet.grow_first(self.q0)
        furthest = Way(q[:1], q[:1])
        for world in self._worlds():
            found = self._through(sheet, world)
            if isinstance(found, Solution):
                return found
            if len(found.q) > len(furthest.q):
                furthest = found
            if self.late:
                break
        return self._blocked(furthest)

    @property
    def late(self) -> bool:
        return time.perf_counter() > self.deadline

    def _standing(self) -> Solution:
        """The tool is there already."""
        still = np.stack([self.start, self.start])
        timed = retime_waypoints(still, self.limits, robot=self.robot)
        verdict = self.judge.check_path(still)
        return Solution(still, timed, 0.0, verdict.min_clearance, stage=Stage.LINE, kept=verdict.kept)

    def _worlds(self) -> list[World]:
        """The sphere model, in which the start is free; then with smaller and smaller spheres."""
        world = relaxed_world(self.robot, self.judge.scene, self.start[None])
        num = len(world.chain.sphere_radius)
        return [world.shrunk(np.full(num, slack)) if slack else world for slack in _SLACKS]

    def _through(self, sheet: Sheet, world: World) -> Solution | Way:
        """The best way that the judge certifies; else the one that leads furthest."""
        blocked: list[Array] = []
        postures: dict[int, Array] = {}

        def cost_of(k: int, q: Array) -> Array:
            if k not in postures:
                postures[k] = posture_cost(self.chain, q) + self._obstacle_cost(world, q)
            cost = postures[k].copy()
            for one in blocked:
                cost[np.linalg.norm(q - one, axis=1) < 0.15] = np.inf
            return cost

        furthest: Way | None = None
        for _ in range(_ROUNDS):
            way = best_way(sheet, cost_of)
            if len(way.q) < len(self.at):
                other = best_way(sheet, cost_of, lead=True)
                way = other if len(other.q) > len(way.q) else way
            if furthest is None or len(way.q) > len(furthest.q):
                furthest = way
            if len(way.q) < len(self.at) or self.late:
                return furthest
            q = smoothed(self.chain, way.q, self.at, self.X_WT, lambda q: self._free(world, q))
            answer = self._certified(self.at, q, way.lead)
            if isinstance(answer, _Refused) and answer.q is None:  # the curve leaves its line: it has turned too taut
                answer = self._certified(self.at, way.q, way.lead)
            if isinstance(answer, Solution):
                return answer
            if (touching := answer.q) is None:
                return furthest
            blocked.append(touching[self.chain.columns])
        assert furthest is not None
        return furthest

    def _whole(self, q: Array) -> Array:
        """(n, dof) configurations of the robot."""
        whole = np.repeat(self.start[None], len(q), axis=0)
        whole[:, self.chain.columns] = q
        return whole

    def _free(self, world: World, q: Array) -> Mask:
        return free(world, self._whole(q))

    def _obstacle_cost(self, world: World, q: Array) -> Array:
        whole = self._whole(q)
        cost = np.where(free(world, whole), 0.0, np.inf)
        for margin, price in _KEEP_OFF:
            cost += price * ~free(world, whole, margin=margin)
        return cost

    def _certified(self, at: Array, q: Array, lead: Array | None = None) -> Solution | _Refused:
        """The motion near configurations q (n, k) at distances ``at``, proved before and after it is timed.

        ``lead`` (m, k) are configurations that self-motion, with the tool at rest, passes before.
        """
        curve = curve_through(self.chain, self.path, at, q, self.start)
        if curve is not None and lead is not None and len(lead) > 1:
            before = self_motion(self.chain, self.X_WT[0], lead, self.start)
            curve = None if before is None else replace(curve, legs=(before, *curve.legs))
        if curve is None:
            return _Refused(None, None)
        polyline = self._inside(curve.polyline())
        refused, verdict, proof = self._judged(polyline, float(at[-1]), tightness=1e-3)
        if refused is not None:
            return refused
        for period in _PERIODS:
            timed = curve.timed(self.limits, self.robot, period=period)
            timed = replace(timed, positions=self._inside(timed.positions))
            refused, timed_verdict, timed_proof = self._judged(timed.positions, float(at[-1]))
            if timed_proof is None:
                break
            if refused is None and proof is not None:
                return Solution(
                    polyline,
                    timed,
                    path_length(polyline),
                    verdict.min_clearance,
                    stage=Stage.LINE,
                    tool_deviation=worst(proof, timed_proof),
                    kept=both_kept(verdict.kept, timed_verdict.kept),
                )
        assert refused is not None
        return refused

    def _inside(self, q: Array) -> Array:
        """``q`` (n, dof) without what a curve along a limit adds to it."""
        inside = self.robot.clipped(q)
        return np.where(np.abs(q - inside) < 1e-9, inside, q)

    def _judged(
        self, positions: Array, end: float, tightness: float | None = None
    ) -> tuple[_Refused | None, Verdict, ToolVerdict | None]:
        verdict = self.judge.check_path(positions, start=self.start, tightness=tightness)
        if not verdict.valid:
            return _Refused(verdict, None), verdict, None
        proof = follows(self.robot, positions, self.path, end=end)
        return (None if proof.valid else _Refused(None, proof)), verdict, proof

    # -- where it cannot ------------------------------------------------------------------------------------------

    def _blocked(self, way: Way) -> Solution | Blocked:
        """How far it goes, with the motion as far as that, and why no further; or the motion, if it does go."""
        at, q = self.at[: len(way.q)], way.q
        partial: Solution | None = None
        for _ in range(_TRUNCATIONS):
            if len(q) < 2 or partial is not None:
                break
            answer = self._certified(at, q, way.lead)
            if isinstance(answer, Solution):
                partial = answer
            else:
                keep = round(0.8 * len(q))
                if (touching := answer.q) is not None:
                    keep = int(np.linalg.norm(q - touching[self.chain.columns], axis=1).argmin())
                keep = max(1, min(len(q) - 1, keep))
                at, q = at[:keep], q[:keep]
        if partial is not None and len(at) == len(self.at):
            return partial
        if partial is None:
            at, q = self.at[:1], way.q[:1]
        end = self.at[min(len(q) + 1, len(self.at) - 1)]
        whole = self._whole(q)
        marks, more = crept(self.judge, self.chain, self.path, float(at[-1]), whole[-1], float(end))
        self.too_coarse = marks[-1] > end - 1e-9
        if len(marks) > 1:
            longer = self._certified(np.append(at, marks[1:]), np.concatenate([q, more[1:]]), way.lead)
            if isinstance(longer, Solution):
                partial, at, whole = longer, np.append(at, marks[1:]), self._whole(more)
        by, message = why_blocked(self.judge, self.chain, self.path, float(at[-1]), whole[-1])
        fraction = float(at[-1] / self.path.length)
        return Blocked(fraction, by, f"the tool can go {100 * fraction:.0f} % of the way: {message}", partial)
