"""The robot and the scene, cut into convex pieces and the pairs of them that must stay apart."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import fcl
import numpy as np
from numpy.typing import NDArray

from edmp.cached import cached_property
from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.validate.kinematic_tree import KinematicTree, MotionBound, Poses
from edmp.validate.meshes import MeshSolid, prepared
from edmp.validate.part_tree import SENSED, PartTree, part_tree
from edmp.validate.pieces import SIZES_AND_SUPPORT, Convex, Polytope, convex_of_shape, convex_polytope, judged_as

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
        self.tree = KinematicTree(robot)
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
        seen = {(a, pieces[b].body) for a, b in pairs}
        # Pieces that are seen from a body on another branch, which does not carry them.
        self.across = sorted((k, f) for k, f in seen if robot.common_body(f, pieces[k].body) != f)

    def motion_bound(self, q_bound: Array) -> MotionBound:
        """Bounds for the moving pieces while no joint value passes ``q_bound`` (dof,) in size."""
        kept, key = (
            self._bound,
            tuple(np.where(self.tree.revolute, 0.0, q_bound)),
        )  # only sliding joints lengthen the arm
        if kept is None or kept[0] != key:
            n = self.moving
            reach = np.zeros((n, self.tree.dof))
            for row, piece in zip(reach, self.pieces[:n], strict=True):
                row[:] = self.tree.reach(piece.body, piece.polytope.vertices, q_bound)
            across = {
                (k, f): self.tree.reach_across(f, self.pieces[k].body, self.pieces[k].polytope.vertices, q_bound)
                for k, f in self.across
            }
            balls = self.centres[:n], self.radii[:n]
            self._bound = kept = key, MotionBound(self.tree, self.bodies, *balls, reach, across)
        return kept[1]


def extents(arm: Arm, poses: Poses, R_0G: Array) -> tuple[Array, Array]:
    """Lower and upper ends (3, n, moving pieces) of all pieces along the axes of a frame turned by ``R_0G`` [m]."""
    n = len(poses.p)
    lower, upper = np.empty((3, n, arm.moving)), np.empty((3, n, arm.moving))
    # (bodies, 3, 3 n): the frame's axes in each body at each configuration.
    axes = np.einsum("ik,nbij->bjkn", R_0G, poses.R).reshape(poses.R.shape[1], 3, 3 * n)
    p_GB = poses.p @ R_0G
    for h in range(arm.moving):
        piece = arm.pieces[h]
        x = piece.polytope.vertices @ axes[piece.body]  # (V, 3 n)
        shift = p_GB[:, piece.body].T
        lower[:, :, h] = x.min(axis=0).reshape(3, n) + shift
        upper[:, :, h] = x.max(axis=0).reshape(3, n) + shift
    return lower, upper


def _polytope(points: Array) -> Polytope:
    return _polytope_of_bytes(np.ascontiguousarray(points, dtype=np.float64).tobytes())


@lru_cache(maxsize=256)
def _polytope_of_bytes(points: bytes) -> Polytope:
    """Robots that differ in base, gripper opening or attachment share most of their pieces."""
    return Polytope.of(np.frombuffer(points).reshape(-1, 3))


_THIN = 1e-6
"""FCL's boxes are no thinner [m]."""


class Thing:
    """A convex obstacle placed in the base frame: ``R`` (3, 3), ``p`` (3,)."""

    def __init__(self, name: str, shape: Shape, R: Array, p: Array) -> None:
        self.name, self.shape, self.R, self.p = name, shape, R, p

    @property
    def point(self) -> Array:
        """(3,) one of its points, in the base frame."""
        return self.R @ self.shape.vertices[0] + self.p if isinstance(self.shape, Mesh) else self.p

    def support(self, n: Array) -> Array:
        """h(n) in the base frame for directions ``n`` (..., 3)."""
        return self.convex.support(n @ self.R) + n @ self.p

    @cached_property
    def convex(self) -> Convex:
        """Made when something comes near enough to ask."""
        return prepared(self.shape).convex if isinstance(self.shape, Mesh) else convex_of_shape(self.shape)


class Crowd:
    """An obstacle of very many small convex parts, placed in the base frame: ``R`` (3, 3), ``p`` (3,)."""

    def __init__(self, name: str, tree: PartTree, R: Array, p: Array) -> None:
        self.name, self.tree, self.R, self.p = name, tree, R, p

    @property
    def point(self) -> Array:
        """(3,) one of its points, in the base frame."""
        return self.R @ self.tree.point + self.p

    def support(self, n: Array) -> Array:
        """h(n) of a box round it in the base frame, for directions ``n`` (..., 3)."""
        n_O, tree = n @ self.R, self.tree
        reach = np.sum(np.where(n_O > 0.0, n_O * tree.upper[0], n_O * tree.lower[0]), axis=-1)
        return reach + tree.radius * np.linalg.norm(n, axis=-1) + n @ self.p

    def box(self) -> fcl.CollisionObject:
        """A fresh FCL object of the box round all parts, without their radius."""
        lower, upper = self.tree.lower[0], self.tree.upper[0]
        size = np.maximum(upper - lower, _THIN)
        return fcl.CollisionObject(fcl.Box(*size), fcl.Transform(self.R, self.R @ (0.5 * (lower + upper)) + self.p))

    def part(self, node: int) -> Thing:
        """One of its parts."""
        lower, upper, tree = self.tree.lower[node], self.tree.upper[node], self.tree
        shape = Box(tuple((upper - lower).tolist())) if (upper > lower).all() else Sphere(tree.radius)
        return Thing(self.name, shape, self.R, self.R @ (0.5 * (lower + upper)) + self.p)


class Environment:
    """The obstacles in the robot's base frame, convex ones first. Making one takes time linear in their number.

    Attributes:
        things: convex obstacles.
        solids: meshes that are not convex.
        crowds: obstacles of very many small parts.
        frames: (G, 3, 3) rotations in whose axes boxes are drawn round the obstacles and the links.
        frame_of: (obstacles,) which of them fits each obstacle.
        lower, upper: (obstacles, 3) extents of each obstacle along the axes of its frame [m].
        points: (obstacles, 3) a point of each obstacle [m].
    """

    def __init__(self, scene: Scene, X_W0: Array) -> None:
        self.things: list[Thing] = []
        self.solids: list[MeshSolid] = []
        self.crowds: list[Crowd] = []
        X_0O = np.linalg.inv(X_W0) @ np.array([obstacle.X_WO for obstacle in scene]).reshape(-1, 4, 4)
        for obstacle, R, p in zip(scene, X_0O[:, :3, :3], X_0O[:, :3, 3], strict=True):
            if isinstance(obstacle.shape, SENSED):
                self.crowds.append(Crowd(obstacle.name, part_tree(obstacle.shape), R, p))
                continue
            shape = judged_as(obstacle.shape)
            mesh = prepared(shape) if isinstance(shape, Mesh) else None
            if mesh is None or mesh.as_convex:
                self.things.append(Thing(obstacle.name, shape, R, p))
            else:
                self.solids.append(MeshSolid(obstacle.name, mesh, R, p))
        every: list[Thing | MeshSolid | Crowd] = [*self.things, *self.solids, *self.crowds]
        self.names = [one.name for one in every]
        self.frame_of = np.zeros(len(self), dtype=np.int64)
        boxed: list[Thing | Crowd] = [*self.things, *self.crowds]  # a crowd fits the axes that its box has
        place = [*range(len(self.things)), *range(self.first_crowd, len(self))]
        shapes: list[Shape] = [one.shape if isinstance(one, Thing) else _A_BOX for one in boxed]
        R = np.array([one.R for one in boxed]).reshape(-1, 3, 3)
        self.frames, self.frame_of[place] = choose_frames(shapes, R)
        self.upper, self.lower = self._extents()
        points = [one.point for one in every]
        self.points = np.array(points).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self.things) + len(self.solids) + len(self.crowds)

    @property
    def first_solid(self) -> int:
        """Number of the first mesh that is not convex."""
        return len(self.things)

    @property
    def first_crowd(self) -> int:
        """Number of the first crowd."""
        return len(self.things) + len(self.solids)

    def only(self, obstacles: Index) -> Environment:
        """The environment with some of the obstacles, in increasing order of their numbers ``obstacles``."""
        few = copy.copy(self)
        few.things = [self.things[o] for o in obstacles if o < self.first_solid]
        few.solids = [self.solids[o - self.first_solid] for o in obstacles if self.first_solid <= o < self.first_crowd]
        few.crowds = [self.crowds[o - self.first_crowd] for o in obstacles if o >= self.first_crowd]
        few.names = [self.names[o] for o in obstacles]
        few.frame_of, few.lower, few.upper = self.frame_of[obstacles], self.lower[obstacles], self.upper[obstacles]
        few.points = self.points[obstacles]
        return few

    def overlapping(self, support: Callable[[Array], Array]) -> list[int]:
        """The obstacles whose boxes overlap that of a body with support function ``support`` in the base frame."""
        axes = self.frames.transpose(0, 2, 1)
        upper, lower = support(axes)[self.frame_of], -support(-axes)[self.frame_of]
        return np.flatnonzero(((self.lower <= upper) & (lower <= self.upper)).all(axis=1)).tolist()

    def object(self, o: int) -> fcl.CollisionObject:
        """A fresh FCL object of obstacle ``o``, of a crowd its box (they are mutable: each user has its own)."""
        if o < len(self.things):
            thing = self.things[o]
            return fcl.CollisionObject(thing.convex.geometry, fcl.Transform(thing.R, thing.p))
        if o >= self.first_crowd:
            return self.crowds[o - self.first_crowd].box()
        solid = self.solids[o - len(self.things)]
        return fcl.CollisionObject(solid.mesh.geometry, fcl.Transform(solid.R, solid.p))

    def _extents(self) -> tuple[Array, Array]:
        """(obstacles, 3) upper and lower ends along the axes of the frames."""
        upper, lower = np.zeros((len(self), 3)), np.zeros((len(self), 3))
        of_kind: dict[type, list[int]] = {}
        for k, thing in enumerate(self.things):
            of_kind.setdefault(type(thing.shape), []).append(k)
        for kind, members in of_kind.items():
            if kind is Mesh:
                continue
            R = np.array([self.things[k].R for k in members])
            p = np.array([self.things[k].p for k in members])
            sizes, support = SIZES_AND_SUPPORT[kind]
            params = [np.array(column) for column in zip(*(sizes(self.things[k].shape) for k in members), strict=True)]
            axes = self.frames[self.frame_of[members]].transpose(0, 2, 1)
            reach, middle = support(axes @ R, *params), (axes @ p[:, :, None])[:, :, 0]
            upper[members], lower[members] = middle + reach, middle - reach  # primitives are symmetric
        meshes = [(k, self.things[k].support) for k in of_kind.get(Mesh, [])]
        others: list[MeshSolid | Crowd] = [*self.solids, *self.crowds]
        meshes += [(len(self.things) + k, one.support) for k, one in enumerate(others)]
        for k, support in meshes:
            axes = self.frames[self.frame_of[k]].T
            upper[k], lower[k] = support(axes), -support(-axes)
        return upper, lower


MAX_FRAMES = 3
_A_BOX = Box((1.0, 1.0, 1.0))
_SAME_AXIS = 1e4
"""Axes whose coordinates agree when multiplied by this and rounded count as parallel."""


def choose_frames(shapes: list[Shape], R: Array) -> tuple[Array, Index]:
    """Boxes of one orientation share a frame; so do round things with a parallel axis. The rest take the first.

    Args:
        shapes: n convex shapes.
        R: (n, 3, 3) their orientations.

    Returns:
        (G, 3, 3) the orientations that fit most, at most `MAX_FRAMES`, and which of them each shape (n,) takes.
    """
    frame_of = np.zeros(len(shapes), dtype=np.int64)
    axes = _axis_names(R)  # the columns of each orientation, by name
    of_axis: dict[Any, list[int]] = {}  # round things by the name of their axis
    of_frame: dict[Any, list[int]] = {}  # boxes by the names of their axes; every orientation is a candidate
    first: dict[Any, int] = {}
    balls: list[int] = []
    for k, shape in enumerate(shapes):
        frame = frozenset(axes[k])
        first.setdefault(frame, k)
        if isinstance(shape, Sphere):
            balls.append(k)
        elif isinstance(shape, Cylinder | Capsule):
            of_axis.setdefault(axes[k][2], []).append(k)
        else:
            of_frame.setdefault(frame, []).append(k)
    frames: list[Array] = []
    left = len(shapes)
    while left and len(frames) < MAX_FRAMES:
        best = max(first, key=lambda frame: len(of_frame.get(frame, ())) + sum(len(of_axis.get(a, ())) for a in frame))
        members = of_frame.pop(best, []) + [k for axis in best for k in of_axis.pop(axis, [])] + balls
        if not members:
            break
        balls = []
        frame_of[members] = len(frames)
        frames.append(R[first[best]])
        left -= len(members)
    return np.array(frames or [np.eye(3)]), frame_of


def _axis_names(R: Array) -> list[list[tuple[int, ...]]]:
    """Of each orientation (n, 3, 3) the three columns, rounded, the first number that is not 0 made positive."""
    columns = np.rint(R.transpose(0, 2, 1) * _SAME_AXIS).astype(np.int64)
    leading = np.take_along_axis(columns, (columns != 0).argmax(axis=2)[:, :, None], axis=2)
    return [[tuple(axis) for axis in three] for three in (columns * np.sign(leading)).tolist()]
