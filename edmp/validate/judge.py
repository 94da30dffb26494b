"""The judge: is a joint-space polyline free, everywhere? It shares nothing with the optimiser but the data types."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edmp.arguments import checked
from edmp.constraints import Broken, Constraint, KeepDistance, Kept, distances_of, settled
from edmp.errors import InvalidInputError
from edmp.robots.parts import START_TOLERANCE
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.trajectory import Trajectory
from edmp.validate.bodies import Arm, Environment
from edmp.validate.contacts import proofs_with_contacts, way_out
from edmp.validate.crowds import depth_of_base
from edmp.validate.keeping import Keeping
from edmp.validate.kinematic_tree import MotionBound
from edmp.validate.nearby import Near, near_pairs
from edmp.validate.probe import CONTACT_TOLERANCE, Touch
from edmp.validate.proof import Proof
from edmp.validate.separation import best_direction
from edmp.validate.timed import timing_fault
from edmp.validate.verdict import Cause, Contact, LimitViolation, Verdict

Array = NDArray[np.float64]

LIMIT_ROUNDING = 1e-9
"""A joint may pass its limit by this, which is rounding and no more [rad or m]."""
END_TOLERANCE = 1e-6
"""A path begins and ends where it should within this, joint by joint [rad or m]."""
MOUNT_TOLERANCE = 0.01
"""The fixed base may stand in its support to this depth [m]: no motion changes it, and arms are mounted on tables."""


_REMEMBERED = 64
"""Verdicts on single configurations that are kept."""


class Judge:
    """Decides about one robot in one scene. Cheap to make; every question uses FCL objects of its own.

    A valid verdict is a proof for every configuration on the path, not a sample: see `edmp.validate.proof`. It speaks
    about the convex pieces ``link.hulls_B`` of the links; pairs of links are those of ``robot.collision_pairs``. Less
    than ``CONTACT_TOLERANCE`` (0.01 mm) apart counts as contact. Contacts are allowed where a motion begins and ends,
    if they are no deeper than 0.1 mm or the robot names them, until they part: see `edmp.validate.contacts`. A path
    may begin beyond a limit by ``start_tolerance`` [rad or m] if it leads inside. With ``escape`` [m] it may begin in
    any contact that is no deeper than that, if it leads out of it and never deeper: see `edmp.validate.retreat`.
    ``constraints`` are proved on every edge, too, within 1e-9 rad or m, which is rounding, and distances within
    0.01 mm: see `edmp.validate.band_motion`.
    """

    @checked
    def __init__(
        self,
        robot: Robot,
        scene: Scene,
        *,
        start_tolerance: float = START_TOLERANCE,
        constraints: Sequence[Constraint] = (),
        escape: float = 0.0,
    ) -> None:
        self.robot, self.scene, self.start_tolerance, self.escape = robot, scene, start_tolerance, escape
        self.constraints = settled(robot, scene, constraints)
        self._arm = Arm.of(robot)
        self._keeping = Keeping(self._arm.tree, robot, self.constraints) if self.constraints else None
        self._keep = distances_of(self.constraints)
        self._environment = Environment(scene, robot.X_W0)
        self._base = self._base_contacts()
        self._named = frozenset((contact.link, contact.obstacle) for contact in robot.allowed_contacts)
        self._checked: dict[bytes, Verdict] = {}
        self._clear: set[bytes] = set()

    # -- questions --------------------------------------------------------------------------------------------

    @checked
    def check(self, q: ArrayLike) -> Verdict:
        """All that is wrong with one configuration ``q`` (dof,), every contact with its depth.

        Contacts that a motion from there may begin with make it not invalid, see `Verdict.allowed`.
        """
        path = self._path(q, 1, "q")[None]
        if not np.isfinite(path).all():
            return Verdict(False, Cause.NOT_FINITE, detail=f"the configuration holds {_bad(path)}")
        known = self._checked.get(path.tobytes())
        if known is not None:
            return known
        limits = tuple(self._limits(path))
        proof = Proof(self._arm, self._environment, self._bound(path), path, 1e-4, keep=self._keep)
        broken = self._too_near(proof, proof.too_near()) if self._keep else ()
        if self._keeping:
            broken += self._keeping.look(path, single=True)[1]
        touches = proof.all_touches()
        base = tuple(dataclasses.replace(contact, q=path[0].copy()) for contact in self._base)
        ways = {touch.pair: way_out(proof.prober, proof.poses, touch, self._named) for touch in touches}
        contacts = self._contacts(proof, [touch for touch in touches if ways[touch.pair] is None], None) + base
        contacts = tuple(sorted(contacts, key=lambda contact: -contact.depth))
        allowed = self._contacts(proof, [touch for touch in touches if ways[touch.pair] is not None], None, ways)
        allowed, resting = self._may_rest(allowed)
        broken = resting + broken
        cause = _cause(limits, contacts, broken)
        clearance = proof.clearance if cause is Cause.NONE and not allowed else 0.0
        queries = proof.prober.queries
        verdict = Verdict(
            cause is Cause.NONE, cause, contacts, limits, clearance, 0, queries, allowed=allowed, broken=broken
        )
        if len(self._checked) >= _REMEMBERED:
            self._checked.clear()
        self._checked[path.tobytes()] = verdict
        return verdict

    @checked
    def clear(self, q: ArrayLike) -> NDArray[np.bool_]:
        """(n,) which of the configurations ``q`` (n, dof) are valid and touch nothing, in one look at all of them.

        What is not may still be valid: `check` says so, and what is wrong if it is not.
        """
        rows = self._path(q, 2, "q")
        known = np.array([row.tobytes() in self._clear for row in rows])
        fresh = np.flatnonzero(~known)
        if self._base or not len(fresh):
            return known
        fresh = fresh[np.isfinite(rows[fresh]).all(axis=1)]
        fresh = fresh[(self.robot.beyond_limits(rows[fresh]) <= LIMIT_ROUNDING).all(axis=1)]
        if self._keeping:
            fresh = fresh[self._keeping.holds(rows[fresh])]
        if len(fresh):
            path = rows[fresh]
            proof = Proof(self._arm, self._environment, self._bound(path), path, None, keep=self._keep)
            known[fresh] = proof.clear()
        if len(self._clear) + len(rows) > _REMEMBERED:
            self._clear.clear()
        self._clear.update(row.tobytes() for row in rows[known])
        return known

    @checked
    def check_path(
        self,
        path: ArrayLike,
        *,
        start: ArrayLike | None = None,
        goal: ArrayLike | None = None,
        tightness: float | None = None,
    ) -> Verdict:
        """Prove a polyline free, or find what is wrong with it.

        Args:
            path: (n, dof) waypoints [rad or m]; straight lines in joint space between them.
            start, goal: (dof,) what the ends must be, within 1e-6.
            tightness: if given, at least 1e-6, ``min_clearance`` comes within this of the true minimum distance [m];
                it costs about a third more. Else it is whatever the proof needed.
        """
        if tightness is not None and not tightness >= 1e-6:
            raise InvalidInputError(f"tightness must be at least 1e-6 m, got {tightness}")
        path = self._path(path, 2, "path")
        edges = len(path) - 1
        if not np.isfinite(path).all():
            return Verdict(False, Cause.NOT_FINITE, detail=f"the path holds {_bad(path)}")
        limits = tuple(self._limits(path))
        if limits:
            return Verdict(False, Cause.OUT_OF_LIMITS, limits=limits)
        for cause, name, does, end, wanted in (
            (Cause.START_MISSED, "start", "begins", path[0], start),
            (Cause.GOAL_MISSED, "goal", "ends", path[-1], goal),
        ):
            if wanted is None:
                continue
            miss = float(np.abs(end - self._path(wanted, 1, name)).max())
            if not miss <= END_TOLERANCE:
                return Verdict(False, cause, detail=f"the path {does} {miss:.3g} rad away from where it should")
        if self._base:
            contacts = tuple(dataclasses.replace(contact, q=path[0].copy(), edge=0) for contact in self._base)
            return Verdict(False, Cause.COLLISION, contacts, edges=edges)
        kept, broken = self._keeping.look(path) if self._keeping else ({}, ())
        if broken:
            return Verdict(False, Cause.CONSTRAINT, edges=edges, broken=broken)
        bound = self._bound(path)
        proof = Proof(self._arm, self._environment, bound, path, tightness, keep=self._keep)
        proof.run()
        queries = proof.prober.queries
        if proof.touch is None:
            found = self._all_kept(kept, [proof])
            return Verdict(True, min_clearance=proof.clearance, edges=edges, distance_queries=queries, kept=found)
        parts = proofs_with_contacts(
            self._arm, self._environment, bound, path, tightness, self._named, self._keep, self.escape
        )
        queries += sum(part.prober.queries for part in parts)
        if parts and parts[-1].touch is None:
            ends = tuple(contact for q in (path[0], path[-1]) for contact in self.check(q).allowed)
            ends = self.check(path[0]).contacts + ends  # what it escapes from
            found = self._all_kept(kept, parts)
            return Verdict(True, edges=edges, distance_queries=queries, allowed=ends, kept=found)
        proof = parts[-1] if parts else proof
        assert proof.touch is not None
        edge = self._edge(path, proof.q[proof.touch.config])
        if proof.touch.gap > CONTACT_TOLERANCE:
            q = proof.q[proof.touch.config][None]
            there = Proof(self._arm, self._environment, self._bound(q), q, None, keep=self._keep)
            near = self._too_near(there, there.too_near(), edge)
            broken = near or self._too_near(proof, [proof.touch], edge)
            return Verdict(False, Cause.CONSTRAINT, edges=edges, distance_queries=queries, broken=broken)
        contacts = self._contacts(proof, [proof.touch], edge)
        return Verdict(False, _cause((), contacts, ()), contacts, edges=edges, distance_queries=queries)

    @checked
    def check_trajectory(
        self, trajectory: Trajectory, *, start: ArrayLike | None = None, goal: ArrayLike | None = None
    ) -> Verdict:
        """Judge a timed motion from rest to rest: its times, velocities and accelerations, then its positions.

        Limits of velocity and acceleration hold within 0.1 %; see `edmp.validate.timed`. Positions as in `check_path`.
        """
        if fault := timing_fault(self.robot, trajectory):
            return Verdict(False, Cause.TIMING, detail=fault)
        return self.check_path(trajectory.positions, start=start, goal=goal)

    @checked
    def clearance(self, path: ArrayLike, *, tightness: float = 1e-3) -> float:
        """Minimum distance from the moving links to the obstacles along a path [m], from below, within ``tightness``.

        0 if the path is not valid; inf without obstacles.
        """
        return self.check_path(path, tightness=tightness).min_clearance

    @checked
    def near(self, q: ArrayLike, within: float) -> tuple[Near, ...]:
        """Every pair of a convex piece of a link and an obstacle, or another link, that is near at ``q`` (dof,).

        Args:
            q: a configuration.
            within: how near [m].
        """
        path = self._path(q, 1, "q")[None]
        return near_pairs(Proof(self._arm, self._environment, self._bound(path), path, None), within)

    # -- parts ------------------------------------------------------------------------------------------------

    def _path(self, values: ArrayLike, ndim: int, name: str) -> Array:
        path = np.asarray(values, dtype=np.float64)
        wanted = f"({self.robot.dof},)" if ndim == 1 else f"(n, {self.robot.dof})"
        if path.ndim != ndim or path.shape[-1] != self.robot.dof or len(path) == 0:
            raise InvalidInputError(
                f"{name}: expected {wanted} joint values of {self.robot.name}, got shape {path.shape}"
            )
        return path

    def _bound(self, path: Array) -> MotionBound:
        return self._arm.motion_bound(np.abs(path).max(axis=0))

    def _limits(self, path: Array) -> list[LimitViolation]:
        limits, names = self.robot.limits, self.robot.joint_names
        beyond = self.robot.beyond_limits(path, lead=self.start_tolerance)
        found = []
        for j in np.flatnonzero((beyond > LIMIT_ROUNDING).any(axis=0)):
            row = int(beyond[:, j].argmax())
            above = bool(path[row, j] > limits.upper[j])
            limit = limits.upper[j] if above else limits.lower[j]
            found.append(LimitViolation(names[j], float(path[row, j]), float(limit), above, row))
        return found

    def _contacts(
        self,
        proof: Proof,
        touches: list[Touch],
        edge: int | None,
        ways: Mapping[int, tuple[float, Array] | None] | None = None,
    ) -> tuple[Contact, ...]:
        """Deepest contact of each pair of names; with depths and directions from ``ways``, if given, by pair."""
        deepest: dict[tuple[str, str, bool], Contact] = {}
        for touch in touches:
            names = proof.prober.names(touch.pair)
            depth, n = (ways or {}).get(touch.pair) or (max(0.0, -touch.gap), touch.n)
            direction = None if names[2] or not n.any() else self.robot.X_W0[:3, :3] @ n
            contact = Contact(*names, depth, proof.q[touch.config].copy(), edge, direction)
            if names not in deepest or deepest[names].depth < contact.depth:
                deepest[names] = contact
        return tuple(deepest.values())

    def _too_near(self, proof: Proof, touches: list[Touch], edge: int | None = None) -> tuple[Broken, ...]:
        """What `KeepDistance` says of pairs that are nearer than they should: of each obstacle, the nearest."""
        nearest: dict[str, Broken] = {}
        for touch in sorted(touches, key=lambda one: one.gap):
            link, obstacle, _ = proof.prober.names(touch.pair)
            q = proof.q[touch.config].copy()
            nearest.setdefault(obstacle, self._too_near_to(obstacle, link, touch.gap, q, edge))
        return tuple(nearest.values())

    def _too_near_to(self, obstacle: str, link: str, gap: float, q: Array, edge: int | None = None) -> Broken:
        asked = [one for one in self.constraints if isinstance(one, KeepDistance) and one.obstacle == obstacle]
        constraint = max(asked, key=lambda one: one.distance)
        return Broken(constraint, gap, constraint.distance, q, "m", edge=edge, link=link)

    def _may_rest(self, allowed: tuple[Contact, ...]) -> tuple[tuple[Contact, ...], tuple[Broken, ...]]:
        """Contacts that a motion may begin with; those with what a distance is to be kept from are broken instead."""
        if not self._keep:
            return allowed, ()
        resting = [contact for contact in allowed if contact.other in self._keep]
        broken = tuple(self._too_near_to(one.other, one.link, -one.depth, one.q) for one in resting)
        return tuple(contact for contact in allowed if contact.other not in self._keep), broken

    def _all_kept(self, kept: Mapping[Constraint, Kept], proofs: Sequence[Proof]) -> tuple[Kept, ...]:
        """What was proved of each constraint, in their order."""
        found = []
        for one in self.constraints:
            if isinstance(one, KeepDistance):
                distance = min(proof.kept[one.obstacle] for proof in proofs)
                found.append(Kept(one, distance, one.distance, "m"))
            else:
                found.append(kept[one])
        return tuple(found)

    @staticmethod
    def _edge(path: Array, q: Array) -> int:
        """The edge nearest to ``q``."""
        if len(path) < 2:
            return 0
        a, d = path[:-1], np.diff(path, axis=0)
        t = np.clip(np.sum((q - a) * d, axis=1) / np.maximum(np.sum(d * d, axis=1), 1e-300), 0.0, 1.0)
        return int(np.linalg.norm(a + t[:, None] * d - q, axis=1).argmin())

    def _base_contacts(self) -> list[Contact]:
        """Obstacles that the fixed base is deeper in than `MOUNT_TOLERANCE`."""
        found = []
        environment, arm = self._environment, self._arm
        for k, piece in enumerate(arm.pieces[arm.moving :], arm.moving):
            link = self.robot.links[piece.link].name
            for o in environment.overlapping(piece.polytope.support):
                if o >= environment.first_crowd:
                    crowd = environment.crowds[o - environment.first_crowd]
                    depth = depth_of_base(arm, k, crowd, MOUNT_TOLERANCE)
                elif o < environment.first_solid:
                    thing = environment.things[o]
                    centre = piece.convex.centre - thing.R @ thing.convex.centre - thing.p
                    gap, _ = best_direction(piece.polytope, thing.R.T, -thing.p @ thing.R, thing.convex, centre[None])
                    depth = -gap
                else:
                    depth = environment.solids[o - environment.first_solid].depth(piece.polytope.vertices)
                if depth > MOUNT_TOLERANCE:
                    found.append(Contact(link, environment.names[o], False, depth, np.array(self.robot.home)))
        return found


def _bad(values: Array) -> str:
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    return f"{values[where]} at index {where}"


def _cause(limits: tuple[LimitViolation, ...], contacts: tuple[Contact, ...], broken: tuple[Broken, ...]) -> Cause:
    if limits:
        return Cause.OUT_OF_LIMITS
    if any(not contact.with_self for contact in contacts):
        return Cause.COLLISION
    if contacts:
        return Cause.SELF_COLLISION
    return Cause.CONSTRAINT if broken else Cause.NONE
