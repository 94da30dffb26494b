"""Which grasp: all of them looked at in one batch, the most promising ones closely, one after the other.

A grasp is good if the whole task is: the tool gets there, straight on the last stretch; the fingers close on nothing
but the object; it can be lifted straight, and put down where it is to go, by the same grasp; and the hand gets away.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from edmp.cached import cached_property
from edmp.cartesian.chain import ToolChain
from edmp.collision.free import free
from edmp.collision.reach import reach_poses
from edmp.collision.world import World
from edmp.constraints import Constraint
from edmp.geometry.poses import apply, inverse
from edmp.robots.robot import Robot
from edmp.scenes.distance import scene_distance
from edmp.scenes.scene import Scene
from edmp.taskplan import Held
from edmp.tasks import grip
from edmp.tasks.grasps import Grasps
from edmp.tasks.lines import LIFT_SHARES, chain_of, longest_free, tool_at
from edmp.validate import Judge, Verdict
from edmp.validate.tasks import judge_grip

Array = NDArray[np.float64]

STICK_OUT = 0.01
"""Spheres leave the arm by about this: a look that is not to refuse what is free takes them for smaller [m]."""
_ALIKE = 0.1
"""Configurations no joint of which differs by more are alike [rad or m]."""
_SURELY = 1e-3
"""A corner of the hand that is so deep in an obstacle collides, however the geometry is rounded [m]."""
_SEEDS = 8
_MORE = 4
"""Where no grasp will do, so many times as many configurations are looked for."""
_PER_GRASP = 3
"""Configurations of one grasp, and of one placement, that are kept."""
_ROWS = 1500
"""About as many seeds are followed in one batch."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a grasp is to be good for.

    Attributes:
        robot: as it is at the start.
        scene: with the object in it.
        q: (dof,) the start [rad or m].
        object: name of the obstacle that is picked.
        grasps: to choose from.
        places: poses (4, 4) of the object, one of which is where it is to go; empty if it is only picked.
        lift, lower: (3,) straight ways of the object from where it is, and to where it goes [m].
        retreat: how far the hand goes straight back after it let go [m].
        constraints: on what is carried.
        seed: of all random numbers.
    """

    robot: Robot
    scene: Scene
    q: Array
    object: str
    grasps: Grasps
    places: tuple[Array, ...]
    lift: Array
    lower: Array
    retreat: float
    constraints: tuple[Constraint, ...] = ()
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Choice:
    """A grasp that was looked at closely, with straight ways as long as there is room for.

    Attributes:
        grasp: its number.
        q_grasp, q_place: (dof,) configurations; the latter None if the object is only picked.
        opening: gap between the fingers on the way there [m].
        approach, lift, lower, retreat: (3,) straight ways [m].
    """

    grasp: int
    q_grasp: Array
    q_place: Array | None
    opening: float
    approach: Array
    lift: Array
    lower: Array
    retreat: Array


@dataclass(frozen=True, eq=False)
class _Candidate:
    grasp: int
    q_grasp: Array
    q_place: Array | None
    cost: float

    def like(self, other: _Candidate) -> bool:
        """Whether it is the same grasp with about the same configurations."""
        pairs = ((self.q_grasp, other.q_grasp), (self.q_place, other.q_place))
        return self.grasp == other.grasp and all(
            a is None or b is None or float(np.abs(a - b).max()) < _ALIKE for a, b in pairs
        )


UNREACHABLE = "unreachable"
PHASES = ("open", "reach", "close", "lift", "carry", "let go", "retreat")
"""Phases in the order in which a grasp may fail."""


@dataclass(frozen=True)
class Fate:
    """In which phase a grasp fails, and why, in few words, so that grasps that fail alike are counted together."""

    phase: str
    why: str


@dataclass
class Search:
    """Grasps on their way to a choice.

    Attributes:
        question: what is asked.
        deadline: when to stop looking, on the clock of `time.perf_counter` [s].
        fates: why a grasp is not chosen, by its number; the reason that it got furthest with.
    """

    question: Question
    deadline: float = math.inf
    fates: dict[int, Fate] = field(default_factory=dict)

    def choices(self) -> Iterator[Choice]:
        """Grasps that pass all that can be seen without planning, the most promising ones first."""
        seen: list[_Candidate] = []
        for effort in (1, _MORE):
            candidates, ruled_out = self._candidates(effort)
            unseen = Fate("reach", "not looked at closely")
            fates = ruled_out | {candidate.grasp: unseen for candidate in candidates}
            self.fates = fates | {one.grasp: self.fates[one.grasp] for one in seen}
            for candidate in candidates:
                if time.perf_counter() > self.deadline:
                    return
                if not any(candidate.like(other) for other in seen):
                    seen.append(candidate)
                    yield from self._looked_at(candidate)

    def _looked_at(self, candidate: _Candidate) -> Iterator[Choice]:
        """The choice, if a close look at the candidate finds nothing wrong."""
        choice = self._examined(candidate)
        if isinstance(choice, Choice):
            yield choice
        elif PHASES.index(choice.phase) >= PHASES.index(self.fates[candidate.grasp].phase):
            self.fates[candidate.grasp] = choice

    def report(self) -> str:
        """What became of the grasps, in words and numbers."""
        counts = Counter(fate.why for fate in self.fates.values())
        words = [f"{count} {why}" for why, count in counts.most_common()]
        return f"of {len(self.question.grasps)} grasps: {', '.join(words)}"

    # -- all at once --------------------------------------------------------------------------------------------------

    @cached_property
    def _arms(self) -> dict[float, Robot]:
        """The robot by the gap between its fingers."""
        gaps = sorted({float(width) for width in np.asarray(self.question.grasps.opening)})
        return {gap: grip.opened(self.question.robot, gap) for gap in gaps}

    @cached_property
    def _chain(self) -> ToolChain:
        return chain_of(self.question.robot)

    @cached_property
    def _rest(self) -> Scene:
        return self.question.scene.without(self.question.object)

    def _candidates(self, effort: int) -> tuple[list[_Candidate], dict[int, Fate]]:
        """Pairs of configurations, at the grasp and at the placement, the most promising ones first.

        ``effort`` multiplies the seeds of inverse kinematics. Also why the other grasps are out of the question.
        """
        ask, n = self.question, len(self.question.grasps)
        small = small_world(World.of(ask.robot, self._rest, only_separable=True))
        X_OT = np.asarray(ask.grasps.X_OT)
        X_WT = ask.scene[ask.object].X_WO @ X_OT
        clear, out = self._clear(X_WT, np.arange(n), ask.scene)
        found = solutions(small, X_WT[clear], np.array([ask.q, ask.robot.home]), ask.seed, effort)
        by_grasp = {int(g): found[k] for k, g in enumerate(clear)}
        out |= {g: Fate("reach", UNREACHABLE) for g, ones in by_grasp.items() if not ones}
        reached = [g for g, ones in by_grasp.items() if ones]
        if not ask.places:
            pairs = [_Candidate(g, one.q, None, one.cost + g / n) for g in reached for one in by_grasp[g]]
            return sorted(pairs, key=lambda pair: pair.cost), out
        X_WT = np.array([X @ X_OT[g] for g in reached for X in ask.places]).reshape(-1, 4, 4)
        which = np.repeat(np.array(reached, dtype=np.int64), len(ask.places))
        clear, blocked = self._clear(X_WT, which, self._rest, "carry")
        near = np.array([[by_grasp[g][0].q, by_grasp[g][-1].q] for g in which[clear]])
        placed = solutions(small, X_WT[clear], near, ask.seed, effort)
        ends: dict[int, list[Found]] = {}
        for k, row in enumerate(clear):
            ends.setdefault(int(which[row]), []).extend(placed[k])
        pairs = []
        for g in reached:
            if not ends.get(g):
                far = Fate("carry", "without a placement that is in reach")
                out[g] = far if g in ends else blocked[g]
                continue
            both = [
                (one.cost + other.cost + float(np.linalg.norm(other.q - one.q)), one, other)
                for one in by_grasp[g]
                for other in ends[g]
            ]
            both.sort(key=lambda entry: entry[0])
            # One pair of each grasp comes before the second of another, unless it is much worse.
            pairs += [
                _Candidate(g, one.q, other.q, cost + g / n + 2.0 * rank)
                for rank, (cost, one, other) in enumerate(both[: effort * _PER_GRASP])
            ]
        return sorted(pairs, key=lambda pair: pair.cost), out

    def _clear(
        self, X_WT: Array, grasp: NDArray[np.int64], scene: Scene, phase: str = "reach"
    ) -> tuple[NDArray[np.int64], dict[int, Fate]]:
        """Rows of tool poses (n, 4, 4), each for the grasp of that number, that do not put the hand into something; and
        what the others are in, by grasp.

        Corners of the hand are looked at: what is refused here surely collides.
        """
        inside = np.full(len(X_WT), -1)
        lead = "" if phase == "reach" else "without a placement that is free: "
        opening = np.asarray(self.question.grasps.opening)[grasp]
        for gap, arm in self._arms.items():
            rows = np.flatnonzero(opening == gap)
            corners_T = _hand(arm)
            corners_W = corners_T @ X_WT[rows][:, :3, :3].transpose(0, 2, 1) + X_WT[rows][:, None, :3, 3]
            distance, nearest = scene_distance(scene, torch.as_tensor(corners_W))
            deepest = distance.min(dim=1)
            hit = (deepest.values < -_SURELY).numpy()
            inside[rows[hit]] = nearest[torch.arange(len(rows)), deepest.indices].numpy()[hit]
        hits = {
            int(grasp[row]): Fate(phase, f'{lead}in collision with "{scene.names[inside[row]]}"')
            for row in np.flatnonzero(inside >= 0)
        }
        return np.flatnonzero(inside < 0), hits

    # -- one by one ---------------------------------------------------------------------------------------------------

    def _examined(self, candidate: _Candidate) -> Choice | Fate:
        """The choice, or why it is none."""
        ask = self.question
        opening = float(np.asarray(ask.grasps.opening)[candidate.grasp])
        arm, q = self._arms[opening], candidate.q_grasp
        judge = self._judge(opening)
        there = judge.check(q)
        if not there.valid or there.allowed:
            return Fate("reach", _in_words("in collision", there))
        back, _ = longest_free(self._chain, judge, q, -ask.grasps.distance * tool_at(arm, q)[:3, 2])
        if back is None:
            return Fate("reach", "without room for a straight approach")
        closing = grip.closing_width(arm, q, ask.scene[ask.object])
        if closing.fault:
            return Fate("close", f"where {closing.fault}")
        closes = judge_grip(arm, ask.scene, q, opening, closing.width, ask.object)
        if not closes.valid:
            return Fate("close", _in_words("whose fingers close into something", closes))
        holding, rest, held = grip.hold(grip.opened(arm, closing.width), ask.scene, q, ask.object)
        carrying = Judge(holding, rest, constraints=ask.constraints)
        up, why = _straight_from(self._chain, carrying, q, ask.lift)
        if up is None:
            return Fate("lift" if candidate.q_place is None else "carry", f"without room to lift: {why}")
        if candidate.q_place is None:
            return Choice(candidate.grasp, q, None, opening, -back, up, 0 * up, 0 * up)
        landing = landed(self._chain, carrying, held, candidate.q_place, opening, ask.lower, ask.retreat)
        if isinstance(landing, Fate):
            return landing
        return Choice(candidate.grasp, q, candidate.q_place, opening, -back, up, landing.lower, landing.retreat)

    def _judge(self, opening: float) -> Judge:
        if opening not in self._judges:
            self._judges[opening] = Judge(self._arms[opening], self.question.scene)
        return self._judges[opening]

    @cached_property
    def _judges(self) -> dict[float, Judge]:
        return {}


@dataclass(frozen=True, eq=False)
class Landing:
    """How what is held is put down: straight by ``lower`` (3,) to there, then by ``retreat`` (3,) away [m]."""

    lower: Array
    retreat: Array


def landed(
    chain: ToolChain, carrying: Judge, held: Held, q: Array, opening: float, lower: Array, retreat: float
) -> Landing | Fate:
    """How what is held can be put down at ``q`` (dof,); or why not.

    Args:
        chain: the joints that move the tool.
        carrying: the judge of the arm with the object, in the scene without it.
        held: the object.
        q: where it is let go.
        opening: gap between the fingers after that [m].
        lower: (3,) the straight way there [m]; a share of it will do.
        retreat: how far the hand goes straight back [m]; a share of it will do.
    """
    above, why = _straight_from(chain, carrying, q, -lower)
    if above is None:
        return Fate("carry", f"without a placement that is free: {why}")
    emptied, there_again = grip.let_go(carrying.robot, carrying.scene, q, held)
    if emptied.gripper is not None:
        opens = judge_grip(emptied, there_again, q, emptied.gripper.width, opening, held.name)
        if not opens.valid:
            return Fate("let go", _in_words("without room to open at the place", opens))
        emptied = grip.opened(emptied, opening)
    away, why = longest_free(chain, Judge(emptied, there_again), q, -retreat * tool_at(emptied, q)[:3, 2])
    if away is None:
        return Fate("retreat", "without room to retreat")
    return Landing(-above, away)


def _straight_from(chain: ToolChain, judge: Judge, q: Array, shift: Array) -> tuple[Array | None, str]:
    """`longest_free`, from where what is held may rest on something; what is in the way, by name."""
    verdict = judge.check(q)
    if not verdict.valid:
        return None, _in_words("in collision", verdict)
    if not shift.any():
        return shift, ""
    return longest_free(chain, judge, q, shift, LIFT_SHARES)


def _in_words(lead: str, verdict: Verdict) -> str:
    """Few enough words that grasps which fail alike are counted together."""
    for contact in (*verdict.contacts, *verdict.allowed):
        other = f"{contact.link} and {contact.other}" if contact.with_self else f'"{contact.other}"'
        return f"{lead} with {other}" if lead.endswith("collision") else f"{lead} ({other})"
    return f"{lead}: {verdict.message()}"


def small_world(world: World) -> World:
    """The world with an arm of smaller spheres, for a look that refuses little of what is free."""
    return world.shrunk(np.full(len(world.robot.spheres), STICK_OUT))


def _hand(robot: Robot) -> Array:
    """(n, 3) points of the links that the tool is fixed to, in its frame: corners, and points between them [m]."""
    tool = robot.tool
    parts = [hull for link in robot.links if link.body == tool.body for hull in link.hulls_B]
    if not parts:
        return np.zeros((1, 3))
    X_TB = inverse(tool.X_BT)
    points = [np.concatenate([hull, (hull + hull.mean(axis=0)) / 2, hull.mean(axis=0)[None]]) for hull in parts]
    return apply(X_TB, np.concatenate(points))


@dataclass(frozen=True, eq=False)
class Found:
    """A configuration (dof,) that has the tool where it should be; ``cost`` says how far it is, and whether it seems to
    collide."""

    q: Array
    cost: float


def solutions(world: World, X_WT: Array, near: Array, seed: int, effort: int = 1) -> list[list[Found]]:
    """Of each pose (n, 4, 4) a few configurations, those first that seem free and are near.

    Args:
        world: robot and obstacles.
        X_WT: poses of the tool.
        near: (k, dof) configurations to begin from, or (n, k, dof); they should be near to the first.
        seed: of those that are drawn.
        effort: so many times as many are drawn, and kept.
    """
    n, limits = len(X_WT), world.robot.limits
    found: list[list[Found]] = [[] for _ in range(n)]
    if n == 0:
        return found
    given = np.broadcast_to(near, (n, *near.shape)) if near.ndim == 2 else near
    count = effort * int(np.clip(_ROWS // n, 2, _SEEDS))
    drawn = np.random.default_rng(seed).uniform(limits.lower, limits.upper, (count, world.robot.dof))
    seeds = np.concatenate([given, np.broadcast_to(drawn, (n, *drawn.shape))], axis=1).clip(limits.lower, limits.upper)
    q, reached, _ = reach_poses(world, X_WT, seeds)
    rows = np.argwhere(reached)
    if not len(rows):
        return found
    cost = np.linalg.norm(q - given[:, :1], axis=2)
    cost[reached] += 3.0 * ~free(world, q[reached])
    order = np.argsort(np.where(reached, cost, np.inf), axis=1)
    for k, ranked in enumerate(order):
        for s in ranked[: int(reached[k].sum())]:
            if all(np.abs(q[k, s] - other.q).max() > _ALIKE for other in found[k]):
                found[k].append(Found(q[k, s], float(cost[k, s])))
            if len(found[k]) == effort * _PER_GRASP:
                break
    return found
