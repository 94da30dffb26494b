"""Proof that a polyline in joint space is free, or a configuration on it that is not.

Adaptive dynamic collision checking (Schwarzer, Saha, Latombe 2005) with separating directions in place of distances.
The path is cut into intervals. On an interval every point of a piece stays within ``stray`` of the straight segment
between its end positions (`edmp.validate.kinematic_tree`), so for any direction ``n`` fixed in the frame of the other
body

    distance over the whole interval  >=  min(g_a(n), g_b(n)) - stray

where ``g_a(n)``, ``g_b(n)`` are the gaps along ``n`` at the two ends. Boxes swept by the pieces settle most triples
(interval, piece, obstacle) at once; for the rest FCL proposes a direction at one configuration, and all intervals of
that pair are tried with it. What remains is halved. An obstacle of many parts is tried as the box round all of them,
and where that is not enough, part by part (`edmp.validate.crowd_proof`). Only these inequalities, in float64, decide
that something is free.

Some pairs may be given slack: they count as free while they are no deeper in each other than that. The bound that has
to be beaten then is a negative one, and everything else is the same. From some obstacles a distance is to be kept: the
bound that has to be beaten then is that distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Environment
from edmp.validate.coarse import ball_bounds, box_bounds, may_be_nearest
from edmp.validate.crowd_proof import CrowdProof
from edmp.validate.kinematic_tree import MotionBound, PieceMotion
from edmp.validate.nearest_part import SAME
from edmp.validate.part_tree import CELL
from edmp.validate.path_table import Intervals, PathTable
from edmp.validate.probe import CONTACT_TOLERANCE, DISTANCE_TOLERANCE, Direction, Key, Prober, Touch

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BARELY = 1e-4
"""A bound that the box round a crowd beats by no more than this is left to its parts [m]."""
_MANY = 256
"""More obstacles than this are worth a look which of them can matter."""


class Proof(PathTable):
    """One attempt to prove one path free. Make it, call `run`, read the results.

    Pairs are numbered: moving piece * obstacles + obstacle, then the self-collision pairs.

    Attributes:
        touch: the contact that was found, or None.
        clearance: proven lower bound of the distance to the obstacles [m] (inf without any).
        kept: the same by name, for the obstacles of ``keep``.
    """

    def __init__(
        self,
        arm: Arm,
        environment: Environment,
        bound: MotionBound,
        path: Array,
        tightness: float | None,
        slack: Mapping[Key, float] | None = None,
        keep: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(arm, bound, path)
        self.environment, self.tightness = environment, tightness
        self.slack = slack or {}  # depth that a pair may have, by `Prober.key` [m]
        self.keep = keep or {}  # distance that has to be kept, by the obstacle's name [m]
        self.kept = dict.fromkeys(self.keep, np.inf)
        self.env_pairs = arm.moving * len(environment)
        self.touch: Touch | None = None
        self.clearance, self.nearest = np.inf, np.inf
        self.prober = Prober(arm, environment, self.slack)
        self._kept_distance = self._distances()
        self._directions: dict[tuple[int, int], Direction] = {}
        self._boxes_asked: dict[tuple[int, int], Direction] = {}
        # Pairs with crowds whose boxes settle little: the piece is in it, or near where it is empty.
        self._loose: set[int] = set()
        self._by_parts: list[tuple[Intervals, Index]] = []  # what boxes did not settle: intervals, and a pair for each

    # -- the proof --------------------------------------------------------------------------------------------

    def run(self) -> None:
        intervals = self.first_intervals()
        motion = self.motion(intervals)
        if len(self.environment) > _MANY:
            self._leave_out_far(motion)
        env, own = self._boxes(intervals, motion), self._spheres(intervals, motion)
        score = np.concatenate([env.reshape(len(intervals), -1), own], axis=1)
        self._probe_nearest(intervals, score)
        interval, pair = np.nonzero(score <= self._wanted(np.arange(score.shape[1]))[None, :])
        bounds = score[interval, pair]
        score[interval, pair] = np.inf
        self._note(score[:, : self.env_pairs].min(initial=np.inf))
        if self.keep:
            self._note_kept(np.arange(self.env_pairs), score[:, : self.env_pairs].min(axis=0, initial=np.inf))
        while len(interval) and self.touch is None:
            interval, pair, bounds = self._settle(intervals, motion, interval, pair, bounds)
            if not len(interval) or self.touch is not None:
                break
            which, index = np.unique(interval, return_inverse=True)
            intervals, _ = self.halve(intervals, which)
            motion = self.motion(intervals)
            interval = np.concatenate([index, index + len(which)])
            pair, bounds = np.tile(pair, 2), np.tile(bounds, 2)
        if self.touch is None and self._by_parts:
            rows = Intervals.joined([some for some, _ in self._by_parts])
            _, first, interval = np.unique(rows.a * len(self.q) + rows.b, return_index=True, return_inverse=True)
            intervals = rows.rows(first)
            pair = np.concatenate([of for _, of in self._by_parts])
            self.prove_crowds(intervals, self.motion(intervals), interval, pair)

    def _crowded(self, pair: Index) -> NDArray[np.bool_]:
        """Which pairs are with crowds."""
        return (pair < self.env_pairs) & (pair % max(len(self.environment), 1) >= self.environment.first_crowd)

    def prove_crowds(self, intervals: Intervals, motion: PieceMotion, interval: Index, pair: Index) -> bool:
        """Prove pairs with crowds, ``pair[k]`` on interval ``interval[k]``; False if `touch` is set."""
        for mine, proof in self._crowd_proofs(pair):
            if not proof.run(intervals, motion, interval[mine], pair[mine] // len(self.environment)):
                return False
            self._note(proof.floor.min(initial=np.inf))
            if self.keep:
                self._note_kept(pair[mine], proof.floor)
        return True

    def _crowd_proofs(self, pair: Index) -> Iterator[tuple[Index, CrowdProof]]:
        """For each crowd which of the pairs are with it, and their proof, to be made."""
        environment = self.environment
        for o, crowd in enumerate(environment.crowds, environment.first_crowd):
            mine = np.flatnonzero(pair % len(environment) == o)
            if len(mine):
                yield mine, CrowdProof(self, crowd, pair[mine], self._wanted, self._ask_part)

    def all_touches(self) -> list[Touch]:
        """Every contact at the first configuration of the path; `clearance` there if there is none."""
        self.path = self.path[:1]
        intervals = self.first_intervals()
        motion = self.motion(intervals)
        score = np.concatenate([self._boxes(intervals, motion).ravel(), self._spheres(intervals, motion).ravel()])
        touches = []
        order = np.argsort(score, kind="stable")
        for place, pair in enumerate(order):
            env = pair < self.env_pairs
            if score[pair] > max(self.nearest, 0.0):  # so are all that come after it
                self._note(score[order[place:]][order[place:] < self.env_pairs].min(initial=np.inf))
                break
            if score[pair] > (self.nearest if env else 0.0):
                self._note(score[pair] if env else np.inf)
                continue
            answer = self.prober.separate(self.poses, 0, int(pair))
            if isinstance(answer, Touch):
                touches.append(answer)
            elif env:
                proved = answer.distance - SAME  # of a crowd, of the part that is nearest, or of one as near
                if not self.prober.is_crowd(int(pair)):
                    one = np.zeros(1, dtype=int), np.array([pair])
                    proved = float(self._bounds(intervals, motion, *one, [answer])[0])
                self._note(max(proved, float(score[pair])))
                self.nearest = min(self.nearest, answer.distance)
        return touches

    def too_near(self) -> list[Touch]:
        """At the first configuration, the pairs that are nearer than they should keep; their gap is the distance."""
        self.path = self.path[:1]
        intervals = self.first_intervals()
        score, least = self._boxes(intervals, self.motion(intervals)).ravel(), self._kept_distance[: self.env_pairs]
        found = []
        for pair in np.flatnonzero((least > 0.0) & (score <= least)):
            answer = self.prober.separate(self.poses, 0, int(pair), enough=float(least[pair]))
            if isinstance(answer, Direction) and answer.distance <= least[pair] - 0.5 * DISTANCE_TOLERANCE:
                found.append(Touch(0, int(pair), answer.distance, answer.n, answer.h))
        return found

    def clear(self) -> NDArray[np.bool_]:
        """(n,) at which waypoints nothing touches and every distance is kept; each is looked at for itself."""
        at = self.add(self.path)
        intervals = self._make(at, at, at, at, at)
        motion, n = self.motion(intervals), len(at)
        boxes, spheres = self._boxes(intervals, motion), self._spheres(intervals, motion)
        score = np.concatenate([boxes.reshape(n, -1), spheres], axis=1)
        wanted = np.maximum(self._kept_distance, CONTACT_TOLERANCE)
        row, pair = np.nonzero(score <= wanted)
        crowded = np.flatnonzero(self._crowded(pair))
        if len(crowded):  # most are settled by the boxes of their parts
            settled = np.zeros(len(row), dtype=bool)
            for mine, proof in self._crowd_proofs(pair[crowded]):
                of = crowded[mine]
                pieces, least = pair[of] // len(self.environment), wanted[pair[of]]
                settled[of] = proof.apart(intervals, motion, row[of], pieces, least)
            row, pair = row[~settled], pair[~settled]
        clear = np.ones(n, dtype=bool)
        for k in np.lexsort((score[row, pair], row)):
            if clear[row[k]]:
                clear[row[k]] = self._ask(int(at[row[k]]), int(pair[k])) is not None
        return clear

    def close(self, within: float) -> list[tuple[int, Touch | Direction]]:
        """All pairs that may be within a distance of each other at the first configuration, looked at [m]."""
        self.path = self.path[:1]
        intervals = self.first_intervals()
        motion = self.motion(intervals)
        score = np.concatenate([self._boxes(intervals, motion).ravel(), self._spheres(intervals, motion).ravel()])
        pairs = np.flatnonzero(score <= within).tolist()
        return [(pair, self.prober.separate(self.poses, 0, pair)) for pair in pairs]

    def _wanted(self, pair: Index) -> Array:
        """The bound that each pair has to beat: 0, or nearly the smallest distance seen so far."""
        wanted = np.zeros(len(pair))
        if self.tightness is not None and np.isfinite(self.nearest):
            wanted = np.where(pair < self.env_pairs, max(0.0, self.nearest - self.tightness), 0.0)
        if self.slack:
            depth = np.array([self._depth(int(one)) for one in pair])
            wanted = np.where(depth >= 0.0, -(depth + CONTACT_TOLERANCE), wanted)
        if self.keep:
            wanted = np.maximum(wanted, self._kept_distance[pair] - DISTANCE_TOLERANCE)
        return wanted

    def _distances(self) -> Array:
        """(pairs,) what each has to keep: 0, or the distance from its obstacle that is asked for [m]."""
        named = np.array([self.keep.get(name, 0.0) for name in self.environment.names])
        return np.concatenate([np.tile(named, self.arm.moving), np.zeros(len(self.arm.self_moving))])

    def _note_kept(self, pair: Index, bounds: Array) -> None:
        """Distances proved of pairs with obstacles [m]."""
        for k, name in enumerate(self.environment.names):
            if name in self.kept:
                proved = float(bounds[pair % len(self.environment) == k].min(initial=np.inf))
                self.kept[name] = min(self.kept[name], proved)

    def _depth(self, pair: int) -> float:
        """How deep the pair may be [m]; -1 if not at all, or if the prober sees to it."""
        return -1.0 if self.prober.is_solid(pair) else self.slack.get(self.prober.key(pair), -1.0)

    def _note(self, bound: float) -> None:
        self.clearance = min(self.clearance, float(bound))

    def _probe_nearest(self, intervals: Intervals, score: Array) -> None:
        """For a tight clearance: look first where the boxes are nearest, to know what has to be beaten."""
        if self.tightness is None or not self.env_pairs:
            return
        per_pair = score[:, : self.env_pairs].min(axis=0)
        crowds: list[tuple[float, int, int]] = []
        for k in np.argsort(per_pair, kind="stable")[:8].tolist():
            if per_pair[k] > self.nearest or self.touch is not None:
                break
            config = int(intervals.probe[score[:, k].argmin()])
            if self.prober.is_crowd(k):
                crowds.append((self._ask_box(config, k).distance, config, k))
            else:
                self._ask(config, k)
        for distance, config, k in sorted(crowds):
            if distance > self.nearest - self.tightness or self.touch is not None:
                break
            self._ask_likely_part(config, k)

    def _leave_out_far(self, motion: PieceMotion) -> None:
        """Of many obstacles, forget those that decide nothing."""
        arm, environment = self.arm, self.environment
        kept = np.array([name in self.keep for name in environment.names])
        matters = may_be_nearest(arm, environment, self.poses, motion) | kept
        self.environment = environment.only(np.flatnonzero(matters))
        self.env_pairs = arm.moving * len(self.environment)
        self.prober = Prober(arm, self.environment, self.slack)
        self._kept_distance = self._distances()

    def _boxes(self, intervals: Intervals, motion: PieceMotion) -> Array:
        return box_bounds(self.arm, self.environment, self.poses, intervals, motion)

    def _spheres(self, intervals: Intervals, motion: PieceMotion) -> Array:
        return ball_bounds(self.arm, self.poses, intervals, motion)

    def _settle(
        self, intervals: Intervals, motion: PieceMotion, interval: Index, pair: Index, bounds: Array
    ) -> tuple[Index, Index, Array]:
        """Try to prove items (interval, pair) with directions from FCL; returns those that must be halved."""
        halve: list[tuple[Index, Index, Array]] = []
        order = np.lexsort((interval, pair))
        interval, pair, bounds = interval[order], pair[order], bounds[order]
        round_number = 0
        while len(interval):
            directions, use, asked = self._ask_round(intervals, interval, pair, bounds, round_number)
            if self.touch is not None:
                return interval, pair, bounds
            fresh = self._bounds(intervals, motion, interval, pair, [directions[k] for k in use])
            bounds = np.maximum(bounds, fresh)
            open_ = bounds <= self._wanted(pair)
            if self.environment.crowds and self.tightness is not None:
                self._look_closer(intervals, interval, pair, open_ & asked)
                if self.touch is not None:
                    return interval, pair, bounds
                open_ = bounds <= self._wanted(pair)
            env = ~open_ & (pair < self.env_pairs)
            self._note(bounds[env].min(initial=np.inf))
            if self.keep:
                self._note_kept(pair[env], bounds[env])
            if self.environment.crowds:
                open_ &= ~self._left_to_parts(intervals, interval, pair, open_, asked)
            stuck = open_ & asked
            if stuck.any():
                halve.append((interval[stuck], pair[stuck], bounds[stuck]))
            keep = open_ & ~asked
            interval, pair, bounds = interval[keep], pair[keep], bounds[keep]
            round_number += 1
        if not halve:
            return interval, pair, bounds
        i, p, b = (np.concatenate(part) for part in zip(*halve, strict=True))
        return i, p, b

    def _look_closer(self, intervals: Intervals, interval: Index, pair: Index, asked: NDArray[np.bool_]) -> None:
        """Where boxes round crowds, ``asked`` about, are too near: there may be less to beat than it seemed.

        The nearest box comes first: once a part in it is known, the others are seldom near enough to matter.
        """
        which = np.flatnonzero(asked & self._crowded(pair))
        keys = list(zip(intervals.probe[interval[which]].tolist(), pair[which].tolist(), strict=True))
        met = np.array([self._boxes_asked[key].distance for key in keys])
        for k in np.argsort(met, kind="stable").tolist():
            config, one = keys[k]
            if one not in self._loose and met[k] - _BARELY <= self._wanted(np.array([one]))[0]:
                self._ask_likely_part(config, one)
                if self.touch is not None:
                    return

    def _left_to_parts(
        self, intervals: Intervals, interval: Index, pair: Index, open_: NDArray[np.bool_], asked: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """(items,) which of those that are open no box round a crowd will settle: they are noted for its parts.

        Those are all of a pair whose box was found loose, and those that the box is too near to where asked.
        """
        left = np.isin(pair, list(self._loose)) & open_
        near = np.flatnonzero(open_ & asked & ~left & self._crowded(pair))
        keys = zip(intervals.probe[interval[near]].tolist(), pair[near].tolist(), strict=True)
        met = np.array([self._boxes_asked[key].distance for key in keys]) - _BARELY
        left[near] = met <= self._wanted(pair[near])
        if left.any():
            self._by_parts.append((intervals.rows(interval[left]), pair[left]))
        return left

    def _ask_round(
        self, intervals: Intervals, interval: Index, pair: Index, bounds: Array, round_number: int
    ) -> tuple[list[Direction], list[int], NDArray[np.bool_]]:
        """Ask FCL about 1, 2, 4 ... items of each pair; give every item the direction asked nearest to it."""
        starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
        ends = np.append(starts[1:], len(pair))
        asked = np.zeros(len(pair), dtype=bool)
        directions: list[Direction] = []
        use = np.zeros(len(pair), dtype=np.int64)
        order = np.argsort(np.minimum.reduceat(bounds, starts), kind="stable")
        for s, e in zip(starts[order], ends[order], strict=True):
            count = min(e - s, 2**round_number)
            if count == 1:
                chosen = [s + int(bounds[s:e].argmin())]
            else:
                chosen = [s + ((2 * c + 1) * (e - s)) // (2 * count) for c in range(count)]
            for c, item in enumerate(chosen):
                ask = self._ask_box if self.prober.is_crowd(int(pair[item])) else self._ask
                direction = ask(int(intervals.probe[interval[item]]), int(pair[item]))
                if direction is None:
                    return directions, [], asked
                asked[item] = True
                use[s + c * (e - s) // count : e] = len(directions)
                directions.append(direction)
        return directions, use.tolist(), asked

    def _bounds(
        self, intervals: Intervals, motion: PieceMotion, interval: Index, pair: Index, directions: list[Direction]
    ) -> Array:
        """(items,) lower bounds of the distance over whole intervals, each with its direction [m]."""
        moving, ref = self.bodies_of(pair)
        n = np.array([d.n for d in directions])
        h = np.array([d.h for d in directions])
        gap_a = self.gaps(intervals.a[interval], moving, ref, n, h)
        gap_b = self.gaps(intervals.b[interval], moving, ref, n, h)
        bound = np.minimum(gap_a, gap_b) - motion.stray[interval, moving, ref]
        solid = ~n.any(axis=1)
        if solid.any():  # only a distance, at one end of its own interval: no point travels further than `travel`
            distance = np.array([d.distance for d in directions])
            config = np.array([d.config for d in directions])
            own = (config == intervals.a[interval]) | (config == intervals.b[interval])
            reach = np.where(own, distance - motion.travel[interval, moving, ref], -np.inf)
            bound = np.where(solid, reach, bound)
        return bound

    def bodies_of(self, pair: Index) -> tuple[Index, Index]:
        """Moving piece of each pair, and the body from which it is seen."""
        arm = self.arm
        own = pair >= self.env_pairs
        moving = np.empty(len(pair), dtype=np.int64)
        ref = np.zeros(len(pair), dtype=np.int64)
        moving[~own] = pair[~own] // max(len(self.environment), 1)
        s = pair[own] - self.env_pairs
        moving[own] = arm.self_moving[s]
        ref[own] = [arm.pieces[k].body for k in arm.self_fixed[s]]
        return moving, ref

    def gaps(self, config: Index, moving: Index, ref: Index, n: Array, h: Array) -> Array:
        """(items,) gaps between piece and other body along ``n`` (items, 3), given in the frame of ``ref`` [m]."""
        R, p, body = self.poses.R, self.poses.p, self.arm.bodies[moving]
        n_0 = np.einsum("mij,mj->mi", R[config, ref], n)
        n_B = -np.einsum("mji,mj->mi", R[config, body], n_0)
        gap = np.einsum("mi,mi->m", n_0, p[config, body] - p[config, ref]) - h
        for k in np.unique(moving):
            items = np.flatnonzero(moving == k)
            gap[items] -= (n_B[items] @ self.arm.pieces[k].polytope.vertices.T).max(axis=1)
        return gap

    def _ask(self, config: int, pair: int) -> Direction | None:
        """A direction that separates the pair at the configuration, or None and `touch` is set."""
        key = (config, pair)
        if key not in self._directions:
            least = float(self._kept_distance[pair])
            answer = self.prober.separate(self.poses, config, pair, enough=least)
            direction = self._permitted(answer, pair)
            if direction is None:
                return None
            self._directions[key] = direction
            if pair < self.env_pairs:
                self.nearest = min(self.nearest, direction.distance)
        return self._directions[key]

    def _ask_box(self, config: int, pair: int) -> Direction:
        """As `_ask`, of the box round a crowd, which may well be touched."""
        key = (config, pair)
        if key not in self._boxes_asked:
            found = self._boxes_asked[key] = self.prober.separate_box(self.poses, config, pair)
            if not np.isfinite(found.distance):
                self._loose.add(pair)
        return self._boxes_asked[key]

    def _ask_likely_part(self, config: int, pair: int) -> None:
        """Know how near a crowd is at most, by a part where its box is nearest; if it is nowhere near, by its faces.

        Where that part is not about as near as the box is, the box is loose there, and the pair left to its parts.
        """
        crowd = self.environment.crowds[pair % len(self.environment) - self.environment.first_crowd]
        box = self._ask_box(config, pair)
        if box.point is None:
            node = self.prober.likely_part(self.poses, config, pair)
        else:
            node = crowd.tree.near((box.point - crowd.p) @ crowd.R)
        if crowd.tree.kind[node] == CELL:  # of which only a part is solid
            self._ask(config, pair)
            return
        found = self._ask_part(config, pair, node)
        if found is not None and found.distance > box.distance + (self.tightness or 0.0):
            self._loose.add(pair)

    def _permitted(self, answer: Direction | Touch, pair: int) -> Direction | None:
        """An answer as a direction, unless the pair is too near or too deep in: then `touch` is set."""
        least = float(self._kept_distance[pair])
        if least and isinstance(answer, Direction) and answer.distance <= least - 0.5 * DISTANCE_TOLERANCE:
            self.touch = Touch(answer.config, pair, answer.distance, answer.n, answer.h)
            return None
        if isinstance(answer, Direction):
            return answer
        if -answer.gap > self._depth(pair):
            self.touch = answer
            return None
        return Direction(answer.n, answer.h, answer.config, answer.gap)

    def _ask_part(self, config: int, pair: int, node: int) -> Direction | None:
        """As `_ask`, of a part of a crowd. What only contains something solid is not in anybody's way yet."""
        crowd = self.environment.crowds[pair % len(self.environment) - self.environment.first_crowd]
        answer = self.prober.separate_part(self.poses, config, pair, node, enough=float(self._kept_distance[pair]))
        if crowd.tree.kind[node] == CELL:
            gap = answer.gap if isinstance(answer, Touch) else answer.distance
            return Direction(answer.n, answer.h, config, gap)
        direction = self._permitted(answer, pair)
        if direction is None:  # the part that is deepest, or nearest, tells more
            self._permitted(self.prober.separate(self.poses, config, pair), pair)
            return None
        self.nearest = min(self.nearest, direction.distance)
        return direction
