"""Which grasp: all of them looked at in one batch, the most promising ones closely, one after the other.

A grasp is good if the whole task is: the tool gets there, straight on the last stretch; the fingers close on nothing
but the object; it can be lifted straight, and put down where it is to go, by the same grasp; and the hand gets away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edmp.collision.free import free
from edmp.collision.reach import reach_poses
from edmp.collision.world import World
from edmp.constraints import Constraint
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.taskplan import Held
from edmp.tasks import grip
from edmp.tasks.grasps import Grasps
from edmp.tasks.lines import longest_free, tool_at
from edmp.validate import Judge, Verdict
from edmp.validate.tasks import judge_grip

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
"""Against gravity, in the world."""
STICK_OUT = 0.01
"""Spheres leave the arm by about this: a look that is not to refuse what is free takes them for smaller [m]."""
_SEEDS = 8
_PER_GRASP = 3
"""Configurations of one grasp, and of one placement, that are kept."""
_ROWS = 4000
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


@dataclass
class Search:
    """Grasps on their way to a choice.

    Attributes:
        question: what is asked.
        fates: why a grasp is not chosen, by its number; the reason that it got furthest with.
    """

    question: Question
    fates: dict[int, str] = field(default_factory=dict)

    def choices(self) -> Iterator[Choice]:
        """Grasps that pass all that can be seen without planning, the most promising ones first."""
        for candidate in self._candidates():
            choice = self._examined(candidate)
            if isinstance(choice, Choice):
                self.fates[choice.grasp] = "no motion was found"
                yield choice
            elif self.fates.get(candidate.grasp) != "no motion was found":
                self.fates[candidate.grasp] = choice

    def report(self) -> str:
        """What became of the grasps, in words and numbers."""
        counts = Counter(self.fates.values())
        words = [f"{count} {why}" for why, count in counts.most_common()]
        return f"of {len(self.question.grasps)} grasps: {', '.join(words)}"

    # -- all at once --------------------------------------------------------------------------------------------------

    @cached_property
    def _arms(self) -> dict[float, Robot]:
        """The robot by the gap between its fingers."""
        gaps = sorted({float(width) for width in np.asarray(self.question.grasps.opening)})
        return {gap: self.question.robot.with_gripper(gap) for gap in gaps}

    @cached_property
    def _rest(self) -> Scene:
        return self.question.scene.without(self.question.object)

    def _candidates(self) -> list[_Candidate]:
        """Pairs of configurations, at the grasp and at the placement, the most promising ones first."""
        ask = self.question
        X_WO = ask.scene[ask.object].X_WO
        X_OT = np.asarray(ask.grasps.X_OT)
        world = World.of(next(iter(self._arms.values()), ask.robot), self._rest, only_separable=True)
        small = small_world(world)
        found = solutions(small, X_WO @ X_OT, [ask.q, ask.robot.home], ask.seed)
        for g in range(len(ask.grasps)):
            if not found[g]:
                self.fates[g] = "unreachable"
        if not ask.places:
            pairs = [
                _Candidate(g, one.q, None, one.cost(ask.q) + g / len(ask.grasps)) for g in found for one in found[g]
            ]
            return sorted(pairs, key=lambda pair: pair.cost)
        reached = [g for g in found if found[g]]
        where = [(g, X) for g in reached for X in ask.places]
        near = [[found[g][0].q, found[g][-1].q] for g, _ in where]
        placed = solutions(small, np.array([X @ X_OT[g] for g, X in where]).reshape(-1, 4, 4), near, ask.seed)
        pairs = []
        for g in reached:
            ends = [one for k, (other, _) in enumerate(where) if other == g for one in placed[k]]
            if not ends:
                self.fates[g] = "without a placement that is in reach"
            both = [(a.cost(ask.q) + b.cost(a.q) + g / len(ask.grasps), a, b) for a in found[g] for b in ends]
            both.sort(key=lambda entry: entry[0])
            # One pair of each grasp comes before the second of another, unless it is much worse.
            pairs += [_Candidate(g, a.q, b.q, cost + 2.0 * rank) for rank, (cost, a, b) in enumerate(both[:_PER_GRASP])]
        return sorted(pairs, key=lambda pair: pair.cost)

    # -- one by one ---------------------------------------------------------------------------------------------------

    def _examined(self, candidate: _Candidate) -> Choice | str:
        """The choice, or a word or two of why it is none, for counting."""
        ask = self.question
        opening = float(np.asarray(ask.grasps.opening)[candidate.grasp])
        arm, q = self._arms[opening], candidate.q_grasp
        judge = self._judge(opening)
        there = judge.check(q)
        if not there.valid or there.allowed:
            return _in_words("in collision", there)
        ahead = tool_at(arm, q)[:3, 2]
        back, _ = longest_free(judge, q, -ask.grasps.distance * ahead)
        if back is None:
            return "without room for a straight approach"
        closing = grip.closing_width(arm, q, ask.scene[ask.object])
        if closing.fault:
            return f"no grasp: {closing.fault}"
        closes = judge_grip(arm, ask.scene, q, opening, closing.width, ask.object)
        if not closes.valid:
            return _in_words("closing into something", closes)
        closed = arm.with_gripper(closing.width)
        holding, rest, held = grip.hold(closed, ask.scene, q, ask.object)
        carrying = Judge(holding, rest, constraints=ask.constraints)
        up, why = _straight_from(carrying, q, ask.lift)
        if up is None:
            return f"without room to lift: {why}" if why else "without room to lift"
        if candidate.q_place is None:
            return Choice(candidate.grasp, q, None, opening, -back, up, 0 * up, 0 * up)
        landing = landed(carrying, held, candidate.q_place, opening, ask.lower, ask.retreat)
        if isinstance(landing, str):
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


def landed(carrying: Judge, held: Held, q: Array, opening: float, lower: Array, retreat: float) -> Landing | str:
    """How what is held can be put down at ``q`` (dof,); or in a few words why not.

    Args:
        carrying: the judge of the arm with the object, in the scene without it.
        held: the object.
        q: where it is let go.
        opening: gap between the fingers after that [m].
        lower: (3,) the straight way there [m]; a share of it will do.
        retreat: how far the hand goes straight back [m]; a share of it will do.
    """
    above, why = _straight_from(carrying, q, -lower)
    if above is None:
        return f"without a free placement: {why}"
    emptied, there_again = grip.let_go(carrying.robot, carrying.scene, q, held)
    if emptied.gripper is not None:
        opens = judge_grip(emptied, there_again, q, emptied.gripper.width, opening, held.name)
        if not opens.valid:
            return _in_words("without room to open", opens)
        emptied = emptied.with_gripper(opening)
    away, why = longest_free(Judge(emptied, there_again), q, -retreat * tool_at(emptied, q)[:3, 2])
    if away is None:
        return "without room to retreat"
    return Landing(-above, away)


def _straight_from(judge: Judge, q: Array, shift: Array) -> tuple[Array | None, str]:
    """`longest_free`, from where what is held may rest on something; what is in the way, by name."""
    verdict = judge.check(q)
    if not verdict.valid:
        return None, _in_words("in collision", verdict)
    if not shift.any():
        return shift, ""
    found, why = longest_free(judge, q, shift)
    return found, why


def _in_words(lead: str, verdict: Verdict) -> str:
    """Few enough words that grasps which fail alike are counted together."""
    for contact in (*verdict.contacts, *verdict.allowed):
        other = f"{contact.link} and {contact.other}" if contact.with_self else f'"{contact.other}"'
        return f"{lead} with {other}" if lead.endswith("collision") else f"{lead} ({other})"
    return f"{lead}: {verdict.message()}"


def small_world(world: World) -> World:
    """The world with an arm of smaller spheres, for a look that refuses little of what is free."""
    return world.shrunk(np.full(len(world.robot.spheres), STICK_OUT))


@dataclass(frozen=True, eq=False)
class Found:
    """A configuration that has the tool where it should be; ``blocked`` if it seems to collide."""

    q: Array
    blocked: bool

    def cost(self, near: Array) -> float:
        return float(np.linalg.norm(self.q - near)) + 3.0 * self.blocked


def solutions(world: World, X_WT: Array, near: list[Array] | list[list[Array]], seed: int) -> dict[int, list[Found]]:
    """Of each pose (n, 4, 4) a few configurations, those first that seem free and are near.

    Args:
        world: robot and obstacles.
        X_WT: poses of the tool.
        near: configurations to begin from, the same for all poses, or a list of its own for each.
        seed: of those that are drawn.
    """
    n = len(X_WT)
    if n == 0:
        return {}
    limits = world.robot.limits
    given = np.array(near)
    given = np.broadcast_to(given, (n, *given.shape)) if given.ndim == 2 else given
    drawn = np.random.default_rng(seed).uniform(
        limits.lower, limits.upper, (max(2, min(_SEEDS, _ROWS // n)), world.robot.dof)
    )
    seeds = np.concatenate([given, np.broadcast_to(drawn, (n, *drawn.shape))], axis=1).clip(limits.lower, limits.upper)
    q, reached, _ = reach_poses(world, X_WT, seeds)
    rows = np.argwhere(reached)
    is_free = free(world, q[reached]) if len(rows) else np.zeros(0, dtype=bool)
    found: dict[int, list[Found]] = {k: [] for k in range(n)}
    for (k, s), ok in zip(rows, is_free, strict=True):
        found[int(k)].append(Found(q[k, s], not ok))
    for k, ones in found.items():
        ones.sort(key=lambda one: one.cost(given[k, 0]))
        kept: list[Found] = []
        for one in ones:
            if all(np.abs(one.q - other.q).max() > 0.1 for other in kept):
                kept.append(one)
            if len(kept) == _PER_GRASP:
                break
        found[k] = kept
    return found
