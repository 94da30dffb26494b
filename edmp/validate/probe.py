"""Questions about one pair at one configuration: are they apart, along which direction, how deep is the contact?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import fcl
import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Environment, Thing
from edmp.validate.crowds import CrowdView
from edmp.validate.kinematic_tree import Poses
from edmp.validate.nearest_part import likely_part, nearest_part
from edmp.validate.pieces import Convex, shrunk
from edmp.validate.separation import best_direction

Array = NDArray[np.float64]
Key = tuple[int, str | int]

CONTACT_TOLERANCE = 1e-5
"""Closer than this counts as contact [m]."""

DISTANCE_TOLERANCE = 1e-5
"""Distances that have to be kept hold within this [m]."""

_FIRST_GUESS = 1e-4
"""Depths are looked for from here on, doubled each time: much smaller, a thin piece would vanish [m]."""

_DISTANCE = fcl.DistanceRequest(enable_nearest_points=True)
_SURFACE = fcl.DistanceRequest()


@dataclass(frozen=True, eq=False)
class Direction:
    """A separating direction: ``n`` (3,) in the frame of the other body, ``h`` = the other's support along it [m].

    ``distance`` [m] is the gap that it proves at configuration ``config``. Meshes that are not convex have no
    direction: ``n`` is zero and ``distance`` is FCL's, between triangles. Of the box round a crowd, ``point`` (3,) is
    its nearest, in the base frame [m].
    """

    n: Array
    h: float
    config: int
    distance: float
    point: Array | None = None


@dataclass(frozen=True, eq=False)
class Touch:
    """A pair in contact at a configuration, ``gap`` = minus its depth [m].

    ``n`` and ``h`` as in `Direction`: moving the piece along ``n`` by the depth frees it. A mesh that is not convex has
    no direction, and of such a contact the depth is a guess: ``n`` is zero. See `Prober.excess`.
    """

    config: int
    pair: int
    gap: float
    n: Array
    h: float


class Prober:
    """FCL objects of one arm and one environment. Not for several threads at once: FCL objects are mutable.

    Pairs are numbered: moving piece * obstacles + obstacle, then the self-collision pairs.

    Args:
        arm, environment: what may touch.
        slack: depth [m] that pairs may have, by `key`. Meshes that are not convex are asked about pieces that are so
            much smaller on all sides; for all others the caller has to take it into account.
    """

    def __init__(self, arm: Arm, environment: Environment, slack: Mapping[Key, float] | None = None) -> None:
        self.arm, self.environment, self.slack = arm, environment, slack or {}
        self.env_pairs = arm.moving * len(environment)
        self.queries = 0
        self._environment_objects: dict[int, fcl.CollisionObject] = {}
        self._arm_objects = [fcl.CollisionObject(piece.convex.geometry) for piece in arm.pieces]
        self._placed = [-1] * len(arm.pieces)
        self._views: dict[int, tuple[int, CrowdView]] = {}

    def names(self, pair: int) -> tuple[str, str, bool]:
        """Link, the other's name, and whether that is a link too."""
        links = self.arm.robot.links
        if pair < self.env_pairs:
            k, o = divmod(pair, len(self.environment))
            return links[self.arm.pieces[k].link].name, self.environment.names[o], False
        s = pair - self.env_pairs
        a, b = sorted(self.arm.pieces[k[s]].link for k in (self.arm.self_moving, self.arm.self_fixed))
        return links[a].name, links[b].name, True

    def is_solid(self, pair: int) -> bool:
        """Is the other a mesh that is not convex?"""
        environment = self.environment
        return pair < self.env_pairs and environment.first_solid <= pair % len(environment) < environment.first_crowd

    def is_crowd(self, pair: int) -> bool:
        """Is the other made of many parts?"""
        return pair < self.env_pairs and pair % len(self.environment) >= self.environment.first_crowd

    def key(self, pair: int) -> Key:
        """The pair by its moving piece and the name of the obstacle, or the other piece: the same everywhere."""
        if pair < self.env_pairs:
            k, o = divmod(pair, len(self.environment))
            return k, self.environment.names[o]
        return int(self.arm.self_moving[pair - self.env_pairs]), int(self.arm.self_fixed[pair - self.env_pairs])

    def separate(self, poses: Poses, config: int, pair: int, *, enough: float = 0.0) -> Direction | Touch:
        """FCL's separating direction, verified; the best there is if it proves no more than ``enough`` [m]."""
        arm, environment = self.arm, self.environment
        if pair < self.env_pairs:
            k, o = divmod(pair, len(environment))
            if o >= environment.first_crowd:
                return self._separate_crowd(poses, config, pair, enough)
            if o >= environment.first_solid:
                return self._separate_solid(poses, config, pair)
            return self._separate_thing(poses, config, pair, environment.things[o], self._obstacle(o), enough)
        k, f = int(arm.self_moving[pair - self.env_pairs]), int(arm.self_fixed[pair - self.env_pairs])
        other, piece = self._place(f, poses, config), arm.pieces[f]
        seen = k, piece.body, piece.convex, _IDENTITY, _ZERO
        return self._separate_convex(poses, config, pair, seen, other, enough)

    def separate_part(
        self, poses: Poses, config: int, pair: int, node: int, *, enough: float = 0.0
    ) -> Direction | Touch:
        """As `separate`, of one part of a crowd."""
        thing = self.environment.crowds[pair % len(self.environment) - self.environment.first_crowd].part(node)
        other = fcl.CollisionObject(thing.convex.geometry, fcl.Transform(thing.R, thing.p))
        return self._separate_thing(poses, config, pair, thing, other, enough)

    def separate_box(self, poses: Poses, config: int, pair: int) -> Direction:
        """A direction that separates a piece from the box round all parts of a crowd, which is round by their radius.

        Where they are not apart it is no direction, and the distance -inf.
        """
        k, o = divmod(pair, len(self.environment))
        crowd, piece = self.environment.crowds[o - self.environment.first_crowd], self.arm.pieces[k]
        self.queries += 1
        result = fcl.DistanceResult()
        distance = fcl.distance(self._place(k, poses, config), self._obstacle(o), _DISTANCE, result)
        if distance > 0.0:
            n = result.nearest_points[0] - result.nearest_points[1]
            n /= max(float(np.sqrt(n @ n)), 1e-300)
            R, p = poses.R[config, piece.body], poses.p[config, piece.body]
            h = float(crowd.support(n))
            gap = float(n @ p - piece.convex.support(-n @ R)) - h
            if gap > 0.5 * (distance - crowd.tree.radius):
                return Direction(n, h, config, gap, result.nearest_points[1])
        return Direction(_ZERO, 0.0, config, -np.inf)

    def likely_part(self, poses: Poses, config: int, pair: int) -> int:
        """A part of a crowd that is near to the piece, by its node; see `edmp.validate.nearest_part`."""
        k, o = divmod(pair, len(self.environment))
        return likely_part(self._view(o, poses, config), k)

    def _separate_thing(
        self, poses: Poses, config: int, pair: int, thing: Thing, other: fcl.CollisionObject, enough: float
    ) -> Direction | Touch:
        seen = pair // len(self.environment), 0, thing.convex, thing.R, thing.p
        return self._separate_convex(poses, config, pair, seen, other, enough)

    def _separate_convex(
        self,
        poses: Poses,
        config: int,
        pair: int,
        seen: tuple[int, int, Convex, Array, Array],
        other: fcl.CollisionObject,
        enough: float,
    ) -> Direction | Touch:
        """Of a piece ``k`` and a convex body, which has the pose ``R``, ``p`` as seen from body ``ref``."""
        k, ref, convex, R_fO, p_fO = seen
        self.queries += 1
        result = fcl.DistanceResult()
        distance = fcl.distance(self._place(k, poses, config), other, _DISTANCE, result)
        piece = self.arm.pieces[k]
        R_0f, R_0m = poses.R[config, ref], poses.R[config, piece.body]
        p_fm = (poses.p[config, piece.body] - poses.p[config, ref]) @ R_0f
        hints = np.empty((0, 3))
        if distance > 0.0:
            n = result.nearest_points[0] - result.nearest_points[1]
            n /= max(float(np.sqrt(n @ n)), 1e-300)
            n_f = n @ R_0f
            n_O = n_f @ R_fO
            h = float(convex.support(n_O) + n_f @ p_fO)
            gap = float(n_f @ p_fm - piece.convex.support(-n @ R_0m)) - h
            if gap > CONTACT_TOLERANCE and gap > 0.5 * distance and gap > enough:
                return Direction(n_f, h, config, gap)
            hints = n_O[None]
        gap, n_O = best_direction(piece.polytope, R_fO.T @ R_0f.T @ R_0m, (p_fm - p_fO) @ R_fO, convex, hints)
        n_f = R_fO @ n_O
        h = float(convex.support(n_O) + n_f @ p_fO)
        if gap <= CONTACT_TOLERANCE:
            return Touch(config, pair, gap, n_f, h)
        return Direction(n_f, h, config, gap)

    def _separate_crowd(self, poses: Poses, config: int, pair: int, enough: float) -> Direction | Touch:
        k, o = divmod(pair, len(self.environment))
        crowd = self.environment.crowds[o - self.environment.first_crowd]

        def ask(node: int) -> tuple[Array, float]:
            answer = self.separate_part(poses, config, pair, node, enough=enough)
            return answer.n @ crowd.R, answer.gap if isinstance(answer, Touch) else answer.distance

        n_O, gap = nearest_part(self._view(o, poses, config), k, ask, CONTACT_TOLERANCE)
        n = crowd.R @ n_O
        body = self.arm.pieces[k].body
        R, p = poses.R[config, body], poses.p[config, body]
        h = float(n @ p - self.arm.pieces[k].convex.support(-n @ R)) - gap
        return Touch(config, pair, gap, n, h) if gap <= CONTACT_TOLERANCE else Direction(n, h, config, gap)

    def _view(self, o: int, poses: Poses, config: int) -> CrowdView:
        """The arm at one configuration, as a crowd sees it; the last is kept."""
        if self._views.get(o, (-1, None))[0] != config:
            single = Poses(poses.R[config : config + 1], poses.p[config : config + 1])
            crowd = self.environment.crowds[o - self.environment.first_crowd]
            self._views[o] = config, CrowdView(self.arm, single, crowd)
        return self._views[o][1]

    def _separate_solid(self, poses: Poses, config: int, pair: int) -> Direction | Touch:
        """A mesh that is not convex: distance of the two surfaces (triangle to triangle), then of the insides."""
        self.queries += 1
        depth = self.slack.get(self.key(pair))
        distance = self._solid_distance(poses, config, pair, 0.0 if depth is None else depth + CONTACT_TOLERANCE)
        if distance > CONTACT_TOLERANCE:
            return Direction(_ZERO, 0.0, config, distance)
        k, o = divmod(pair, len(self.environment))
        body = self.arm.pieces[k].body
        vertices = self.arm.pieces[k].polytope.vertices @ poses.R[config, body].T + poses.p[config, body]
        solid = self.environment.solids[o - self.environment.first_solid]
        return Touch(config, pair, -solid.depth(vertices), _ZERO, 0.0)

    def _solid_distance(
        self, poses: Poses, config: int, pair: int, depth: float, result: fcl.DistanceResult | None = None
    ) -> float:
        """Distance from a mesh of a piece made smaller by ``depth`` on all sides; -1 if one is inside the other [m]."""
        k, o = divmod(pair, len(self.environment))
        solid, piece = self.environment.solids[o - self.environment.first_solid], self.arm.pieces[k]
        polytope = shrunk(piece.polytope, depth) if depth else piece.polytope
        if polytope is None:
            return -1.0
        R, p = poses.R[config, piece.body], poses.p[config, piece.body]
        moving = fcl.CollisionObject(polytope.fcl_surface, fcl.Transform(R, p))
        request = _SURFACE if result is None else _DISTANCE
        distance = fcl.distance(moving, self._obstacle(o), request, result or fcl.DistanceResult())
        if solid.contains(polytope.vertices[0] @ R.T + p) or polytope.contains((solid.point - p) @ R):
            return -1.0
        return float(distance)

    def excess(self, poses: Poses, touch: Touch, most: float) -> tuple[float, Array] | None:
        """How deep a contact is and the way out of it, (3,) in the frame of the other body; None if over ``most`` [m].

        With a mesh that is not convex: by how much the piece has to be made smaller on all sides to be free.
        """
        if touch.n.any():
            depth = max(0.0, -touch.gap)
            return (depth, touch.n) if depth <= most else None

        def free(depth: float) -> bool:
            distance = self._solid_distance(poses, touch.config, touch.pair, depth + CONTACT_TOLERANCE)
            return distance > CONTACT_TOLERANCE

        low, high = 0.0, min(most, _FIRST_GUESS)
        while not free(high):
            if high >= most:
                return None
            low, high = high, min(most, 2.0 * high)
        while high - low > 5e-6:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if free(middle) else (middle, high)
        return high, self.solid_direction(poses, touch.config, touch.pair, high + 1e-4)

    def solid_direction(self, poses: Poses, config: int, pair: int, depth: float = 0.0) -> Array:
        """(3,) from a mesh that is not convex to a piece, made smaller by ``depth``, where they are nearest."""
        result = fcl.DistanceResult()
        self._solid_distance(poses, config, pair, depth, result)
        n = result.nearest_points[0] - result.nearest_points[1]
        return n / max(float(np.linalg.norm(n)), 1e-300)

    def _obstacle(self, o: int) -> fcl.CollisionObject:
        if o not in self._environment_objects:
            self._environment_objects[o] = self.environment.object(o)
        return self._environment_objects[o]

    def _place(self, k: int, poses: Poses, config: int) -> fcl.CollisionObject:
        if self._placed[k] != config:
            body = self.arm.pieces[k].body
            self._arm_objects[k].setTransform(fcl.Transform(poses.R[config, body], poses.p[config, body]))
            self._placed[k] = config
        return self._arm_objects[k]


_IDENTITY, _ZERO = np.eye(3), np.zeros(3)
