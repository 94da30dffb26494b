"""The robot and the scene, cut into convex pieces and the pairs of them that must stay apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import fcl
import numpy as np
from numpy.typing import NDArray

from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.scenes.shapes import Mesh
from edmp.validate.chain import Chain, MotionBound
from edmp.validate.meshes import MeshSolid
from edmp.validate.pieces import Convex, Polytope, convex_of_shape, convex_polytope

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Piece:
    """A convex piece of a link, in the frame of its body."""

    link: int
    body: int
    polytope: Polytope
    convex: Convex


class Arm:
    """What depends on the robot only: pieces that move, pieces of the fixed base, self-collision pairs.

    Attributes:
        pieces: all pieces; the moving ones first, in link order.
        moving: number of moving pieces.
        bodies: (moving,) body index of each moving piece.
        centres: (pieces, 3) and ``radii`` (pieces,): bounding spheres in body frames [m].
        self_moving, self_fixed: (S,) piece indices of each self-collision pair; the pair is seen from the body of
            the second, which is nearer to the base.
    """

    @classmethod
    def of(cls, robot: Robot) -> Arm:
        """The arm of this very robot; the last few are kept, hulls take a while."""
        for arm in cls._recent:
            if arm.robot is robot:
                return arm
        arm = cls(robot)
        cls._recent.append(arm)
        return arm

    _recent: ClassVar[deque[Arm]] = deque(maxlen=16)

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.chain = Chain(robot)
        pieces = [
            Piece(i, link.body, polytope, convex_polytope(polytope))
            for i, link in enumerate(robot.links)
            for polytope in map(_polytope, link.hulls_B)
        ]
        pieces.sort(key=lambda piece: piece.body == 0)  # stable: link order within
        self.pieces = tuple(pieces)
        self.moving = sum(piece.body > 0 for piece in pieces)
        self.bodies = np.array([piece.body for piece in pieces[: self.moving]], dtype=np.int64)
        self.centres = np.array([piece.convex.centre for piece in pieces]).reshape(-1, 3)
        self.radii = np.array([piece.convex.radius for piece in pieces])
        by_link: dict[int, list[int]] = {}
        for k, piece in enumerate(pieces):
            by_link.setdefault(piece.link, []).append(k)
        pairs = [
            (a, b) if pieces[a].body > pieces[b].body else (b, a)
            for i, j in robot.collision_pairs
            for a in by_link.get(i, ())
            for b in by_link.get(j, ())
            if pieces[a].body != pieces[b].body
        ]
        self._bound: tuple[tuple[float, ...], MotionBound] | None = None
        self.self_moving, self.self_fixed = np.array(pairs, dtype=np.int64).reshape(-1, 2).T

    def motion_bound(self, q_bound: Array) -> MotionBound:
        """Bounds for the moving pieces while no joint value passes ``q_bound`` (dof,) in size."""
        kept, key = (
            self._bound,
            tuple(np.where(self.chain.revolute, 0.0, q_bound)),
        )  # only sliding joints lengthen the arm
        if kept is None or kept[0] != key:
            n = self.moving
            reach = np.zeros((n, self.chain.dof))
            for row, piece in zip(reach, self.pieces[:n], strict=True):
                row[:] = self.chain.reach(piece.body, piece.polytope.vertices, q_bound)
            self._bound = kept = key, MotionBound(self.chain, self.bodies, self.centres[:n], self.radii[:n], reach)
        return kept[1]


def _polytope(points: Array) -> Polytope:
    return _polytope_of_bytes(np.ascontiguousarray(points, dtype=np.float64).tobytes())


@lru_cache(maxsize=256)
def _polytope_of_bytes(points: bytes) -> Polytope:
    """Robots that differ in base, gripper opening or attachment share most of their pieces."""
    return Polytope.of(np.frombuffer(points).reshape(-1, 3))


@dataclass(frozen=True, eq=False)
class Thing:
    """A convex obstacle placed in the base frame: ``R`` (3, 3), ``p`` (3,)."""

    name: str
    convex: Convex
    R: Array
    p: Array

    def support(self, n: Array) -> Array:
        """h(n) in the base frame for directions ``n`` (..., 3)."""
        return self.convex.support(n @ self.R) + n @ self.p


class World:
    """The obstacles in the robot's base frame.

    Attributes:
        things: convex obstacles.
        solids: meshes that are not convex.
        frames: (G, 3, 3) rotations in whose axes boxes are drawn round the obstacles and the links.
        frame_of: (things + solids,) which of them fits each obstacle.
        lower, upper: (things + solids, 3) extents of each obstacle along the axes of its frame [m].
    """

    max_frames = 3

    def __init__(self, scene: Scene, X_W0: Array) -> None:
        self.things: list[Thing] = []
        self.solids: list[MeshSolid] = []
        X_0W = np.linalg.inv(X_W0)
        for obstacle in scene:
            X_0O = X_0W @ obstacle.X_WO
            R, p = X_0O[:3, :3], X_0O[:3, 3]
            convex = convex_of_shape(obstacle.shape)
            if convex is not None:
                self.things.append(Thing(obstacle.name, convex, R, p))
            else:
                assert isinstance(obstacle.shape, Mesh)
                self.solids.append(MeshSolid(obstacle.name, obstacle.shape, R, p))
        self.names = [thing.name for thing in self.things] + [solid.name for solid in self.solids]
        self._choose_frames()

    def __len__(self) -> int:
        return len(self.things) + len(self.solids)

    def _choose_frames(self) -> None:
        """Boxes of one orientation share a frame; so do round things with a parallel axis. The rest take the first."""
        candidates: list[tuple[Array, set[int]]] = []
        for thing in self.things:
            members = {k for k, other in enumerate(self.things) if _fits(other, thing.R)}
            candidates.append((thing.R, members))
        frames: list[Array] = []
        self.frame_of = np.zeros(len(self), dtype=np.int64)
        left = set(range(len(self.things)))
        while left and len(frames) < self.max_frames:
            R, members = max(candidates, key=lambda c: len(c[1] & left))
            if not members & left:
                break
            for k in members & left:
                self.frame_of[k] = len(frames)
            frames.append(R)
            left -= members
        self.frames = np.array(frames or [np.eye(3)])
        supports: list[Callable[[Array], Array]] = [thing.support for thing in self.things]
        supports += [solid.support for solid in self.solids]
        self.upper, self.lower = np.zeros((len(self), 3)), np.zeros((len(self), 3))
        for k, support in enumerate(supports):
            axes = self.frames[self.frame_of[k]].T
            self.upper[k], self.lower[k] = support(axes), -support(-axes)

    def objects(self) -> list[fcl.CollisionObject]:
        """Fresh FCL objects, convex things first (FCL objects are mutable: one set per user)."""
        made = [fcl.CollisionObject(t.convex.geometry, fcl.Transform(t.R, t.p)) for t in self.things]
        return made + [fcl.CollisionObject(s.geometry, fcl.Transform(s.R, s.p)) for s in self.solids]


def _fits(thing: Thing, R: Array) -> bool:
    """Whether a box with axes ``R`` can fit the thing tightly."""
    M = np.abs(R.T @ thing.R)
    if thing.convex.axis is not None:  # round about its z
        return thing.convex.axis == 0.0 or M[:, 2].max() > 1.0 - 1e-9
    return bool((M.max(axis=0) > 1.0 - 1e-9).all())
