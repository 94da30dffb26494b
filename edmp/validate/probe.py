"""Questions about one pair at one configuration: are they apart, along which direction, how deep is the contact?"""

from __future__ import annotations

from dataclasses import dataclass

import fcl
import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, World
from edmp.validate.chain import Poses
from edmp.validate.separation import best_direction

Array = NDArray[np.float64]

CONTACT_TOLERANCE = 1e-5
"""Closer than this counts as contact [m]."""

_DISTANCE = fcl.DistanceRequest(enable_nearest_points=True)
_SURFACE = fcl.DistanceRequest()


@dataclass(frozen=True, eq=False)
class Direction:
    """A separating direction: ``n`` (3,) in the frame of the other body, ``h`` = the other's support along it [m].

    ``distance`` [m] is the gap that it proves at configuration ``config``. Meshes that are not convex have no
    direction: ``n`` is zero and ``distance`` is FCL's, between triangles.
    """

    n: Array
    h: float
    config: int
    distance: float


@dataclass(frozen=True, eq=False)
class Touch:
    """A pair in contact at a configuration, ``gap`` = minus its depth [m].

    ``n`` and ``h`` as in `Direction`: moving the piece along ``n`` by the depth frees it. A mesh that is not convex has
    no direction, and of such a contact the depth is a guess: ``n`` is zero.
    """

    config: int
    pair: int
    gap: float
    n: Array
    h: float


class Prober:
    """FCL objects of one arm and one world. Not for several threads at once: FCL objects are mutable.

    Pairs are numbered: moving piece * obstacles + obstacle, then the self-collision pairs.
    """

    def __init__(self, arm: Arm, world: World) -> None:
        self.arm, self.world = arm, world
        self.env_pairs = arm.moving * len(world)
        self.queries = 0
        self._world_objects: dict[int, fcl.CollisionObject] = {}
        self._arm_objects = [fcl.CollisionObject(piece.convex.geometry) for piece in arm.pieces]
        self._placed = [-1] * len(arm.pieces)

    def names(self, pair: int) -> tuple[str, str, bool]:
        """Link, the other's name, and whether that is a link too."""
        links = self.arm.robot.links
        if pair < self.env_pairs:
            k, o = divmod(pair, len(self.world))
            return links[self.arm.pieces[k].link].name, self.world.names[o], False
        s = pair - self.env_pairs
        a, b = sorted(self.arm.pieces[k[s]].link for k in (self.arm.self_moving, self.arm.self_fixed))
        return links[a].name, links[b].name, True

    def key(self, pair: int) -> tuple[int, str | int]:
        """The pair by its moving piece and the name of the obstacle, or the other piece: the same in every world."""
        if pair < self.env_pairs:
            k, o = divmod(pair, len(self.world))
            return k, self.world.names[o]
        return int(self.arm.self_moving[pair - self.env_pairs]), int(self.arm.self_fixed[pair - self.env_pairs])

    def separate(self, poses: Poses, config: int, pair: int) -> Direction | Touch:
        """FCL's separating direction, verified; if it proves nothing, the best that can be found."""
        arm, world = self.arm, self.world
        self.queries += 1
        if pair < self.env_pairs:
            k, o = divmod(pair, len(world))
            if o >= len(world.things):
                return self._separate_solid(poses, config, pair)
            thing = world.things[o]
            other, ref, convex, R_fO, p_fO = self._obstacle(o), 0, thing.convex, thing.R, thing.p
        else:
            k, f = int(arm.self_moving[pair - self.env_pairs]), int(arm.self_fixed[pair - self.env_pairs])
            other, ref = self._place(f, poses, config), arm.pieces[f].body
            convex, R_fO, p_fO = arm.pieces[f].convex, _IDENTITY, _ZERO
        result = fcl.DistanceResult()
        distance = fcl.distance(self._place(k, poses, config), other, _DISTANCE, result)
        piece = arm.pieces[k]
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
            if gap > CONTACT_TOLERANCE and gap > 0.5 * distance:
                return Direction(n_f, h, config, gap)
            hints = n_O[None]
        gap, n_O = best_direction(piece.polytope, R_fO.T @ R_0f.T @ R_0m, (p_fm - p_fO) @ R_fO, convex, hints)
        n_f = R_fO @ n_O
        h = float(convex.support(n_O) + n_f @ p_fO)
        if gap <= CONTACT_TOLERANCE:
            return Touch(config, pair, gap, n_f, h)
        return Direction(n_f, h, config, gap)

    def _separate_solid(self, poses: Poses, config: int, pair: int) -> Direction | Touch:
        """A mesh that is not convex: distance of the two surfaces (triangle to triangle), then of the insides."""
        k, o = divmod(pair, len(self.world))
        solid, piece = self.world.solids[o - len(self.world.things)], self.arm.pieces[k]
        moving = fcl.CollisionObject(
            piece.polytope.fcl_surface, fcl.Transform(poses.R[config, piece.body], poses.p[config, piece.body])
        )
        distance = fcl.distance(moving, self._obstacle(o), _SURFACE, fcl.DistanceResult())
        vertices = piece.polytope.vertices @ poses.R[config, piece.body].T + poses.p[config, piece.body]
        inside = solid.contains(vertices[0])
        if not inside:
            point_m = (solid.point - poses.p[config, piece.body]) @ poses.R[config, piece.body]
            inside = piece.polytope.contains(point_m)
        if distance <= CONTACT_TOLERANCE or inside:
            return Touch(config, pair, -solid.depth(vertices), _ZERO, 0.0)
        return Direction(_ZERO, 0.0, config, distance)

    def _obstacle(self, o: int) -> fcl.CollisionObject:
        if o not in self._world_objects:
            self._world_objects[o] = self.world.object(o)
        return self._world_objects[o]

    def _place(self, k: int, poses: Poses, config: int) -> fcl.CollisionObject:
        if self._placed[k] != config:
            body = self.arm.pieces[k].body
            self._arm_objects[k].setTransform(fcl.Transform(poses.R[config, body], poses.p[config, body]))
            self._placed[k] = config
        return self._arm_objects[k]


_IDENTITY, _ZERO = np.eye(3), np.zeros(3)
