"""What every family of generated scenes is made with: a builder of obstacles, and regions that task poses come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from edmp.geometry.kinds import bounds
from edmp.geometry.poses import pose_yaw
from edmp.geometry.shapes import Box, Shape
from edmp.scenes.scene import Obstacle, Scene

Array = NDArray[np.float64]
Interval = tuple[float, float]

KEEP_OUT_RADIUS = 0.18
KEEP_OUT_HEIGHT = 0.5
"""Nothing stands in this cylinder about the base (the world's z axis, from z = 0 up) [m]."""

FLOOR_GAP = 0.005
"""Surfaces that run under the base stay this far below z = 0 [m]."""

REACH_CENTRE = np.array([0.0, 0.0, 0.333])
REACH = 0.85
"""Of a Panda: its shoulder, and how far from it targets may lie [m]."""

DOWN = (-math.pi / 2 - math.pi / 8, -math.pi / 2 + math.pi / 8)
ANY = (-math.pi, math.pi)
FLAT = ((-0.2, 0.2), (math.pi - 0.2, math.pi + 0.2))
UPRIGHT = ((math.pi / 2 - 0.2, math.pi / 2 + 0.2), (-math.pi / 2 - 0.2, -math.pi / 2 + 0.2))
"""Ranges of `TaskRegion` [rad]: pointing down; any angle; fingers opening sideways; fingers opening up and down."""

# A coarse gripper in the tool frame T (origin between the finger tips, z forward, fingers open along y): points with
# the free space (radius) that they need. It only sieves targets; whoever uses them checks the real robot.
_GRIPPER = np.array(
    [[0, 0, 0, 0.004], [0, 0.045, -0.02, 0.012], [0, -0.045, -0.02, 0.012]]
    + [[0, y, -0.105, 0.03] for y in (-0.08, 0.0, 0.08)]
    + [[0, 0, -0.17, 0.045], [0, 0, -0.24, 0.05]]
)


@dataclass(frozen=True)
class TaskRegion:
    """Where tool poses make sense, and how the tool comes in.

    A pose is drawn by picking a point uniformly in a box, an approach direction (the tool's z axis) and a roll about
    it, and stepping back from the point against the approach by a standoff.

    Attributes:
        X_WV: (4, 4) pose of the frame V of the region in the world.
        size: (3,) full extents of the box of points, centred in V [m].
        azimuth: range of the approach direction's angle about z of V, 0 is along x of V [rad].
        elevation: range of its angle above the xy plane of V; -pi/2 is straight down [rad].
        rolls: ranges for the turn about the approach direction, one is picked evenly; at 0 the fingers open
            horizontally [rad].
        standoff: range of the step back [m].
        weight: relative share of the targets of a scene.
    """

    X_WV: Array
    size: tuple[float, float, float]
    azimuth: Interval
    elevation: Interval
    rolls: tuple[Interval, ...] = FLAT
    standoff: Interval = (0.0, 0.0)
    weight: float = 1.0

    def sample(self, rng: np.random.Generator, count: int) -> Array:
        """(count, 4, 4) tool poses ``X_WT``."""
        p_V = rng.uniform(-0.5, 0.5, (count, 3)) * self.size
        azimuth = rng.uniform(*self.azimuth, count)
        elevation = rng.uniform(*self.elevation, count)
        rolls = np.array(self.rolls)[rng.integers(len(self.rolls), size=count)]
        roll = rng.uniform(rolls[:, 0], rolls[:, 1])
        R_VT = _approach(azimuth, elevation, roll)
        p_V -= R_VT[:, :, 2] * rng.uniform(*self.standoff, (count, 1))
        X_WT = np.tile(np.eye(4), (count, 1, 1))
        X_WT[:, :3, :3] = self.X_WV[:3, :3] @ R_VT
        X_WT[:, :3, 3] = p_V @ self.X_WV[:3, :3].T + self.X_WV[:3, 3]
        return X_WT


def _approach(azimuth: Array, elevation: Array, roll: Array) -> Array:
    """(n, 3, 3) rotations whose z axis has the given azimuth and elevation, y horizontal at zero roll."""
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    z = np.stack([ce * ca, ce * sa, se], axis=-1)
    y0 = np.stack([-sa, ca, np.zeros_like(sa)], axis=-1)
    x0 = np.cross(y0, z)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * x0 + s * y0, c * y0 - s * x0, z], axis=-1)


@dataclass(frozen=True)
class Placement:
    """Where a scene that was drawn for a Panda stands before another arm (`edmp.scenes.generators.placement`).

    A point p of the drawing is at ``scale (p - shoulder of a Panda) + (0, 0, shoulder)``, in the frame of the base.

    Attributes:
        scale: of all lengths [1].
        shoulder: height of the arm's shoulder above its base [m].
    """

    scale: float = 1.0
    shoulder: float = float(REACH_CENTRE[2])

    @property
    def as_drawn(self) -> bool:
        return self == Placement()

    def poses(self, X_D: Array) -> Array:
        """(..., 4, 4) poses of the drawing in the frame of the base."""
        if self.as_drawn:
            return X_D
        X_W = X_D.copy()
        X_W[..., :3, 3] = self.scale * (X_D[..., :3, 3] - REACH_CENTRE) + [0.0, 0.0, self.shoulder]
        return X_W

    def obstacle(self, drawn: Obstacle) -> Obstacle:
        """Every field of the generators' primitives is a length."""
        if self.as_drawn:
            return drawn
        lengths = {f.name: getattr(drawn.shape, f.name) for f in fields(drawn.shape)}  # type: ignore[arg-type]
        scaled = {
            name: tuple(np.multiply(v, self.scale)) if np.ndim(v) else self.scale * v for name, v in lengths.items()
        }
        return Obstacle(drawn.name, type(drawn.shape)(**scaled), self.poses(drawn.X_WO))


@dataclass(frozen=True)
class GeneratedScene:
    """A random scene and where a task could be in it.

    Attributes:
        family: name of the family that it comes from.
        scene: the obstacles. The robot stands at the origin of the world, which is kept free.
        regions: where tool poses are drawn from, as drawn for a Panda.
        placement: where ``scene`` stands before the arm.
    """

    family: str
    scene: Scene
    regions: tuple[TaskRegion, ...]
    placement: Placement = Placement()

    def placed(self, placement: Placement) -> GeneratedScene:
        """This scene, as drawn, before another arm."""
        scene = Scene(tuple(map(placement.obstacle, self.scene)))
        return replace(self, scene=scene, placement=placement)

    def targets(self, rng: np.random.Generator, count: int) -> Array:
        """Candidate tool poses ``X_WT`` (n, 4, 4) in the world, n at most ``count``, shuffled over the regions.

        All lie within the arm's reach, and a coarse gripper in them is clear of the obstacles. Whether the arm gets
        there is for its inverse kinematics and its collision check to say.
        """
        weights = np.array([region.weight for region in self.regions])
        boxes = _Boxes.of(self.scene)
        found: list[Array] = []
        missing = count
        for _ in range(8):
            shares = rng.multinomial(2 * missing + 8, weights / weights.sum())
            drawn = [region.sample(rng, share) for region, share in zip(self.regions, shares, strict=True) if share]
            X_DT = rng.permutation(np.concatenate(drawn))
            X_WT = self.placement.poses(X_DT)
            keep = X_WT[_in_reach(X_DT[:, :3, 3]) & _gripper_free(X_WT, boxes)][:missing]
            found.append(keep)
            missing -= len(keep)
            if missing == 0:
                break
        return np.concatenate(found)


def _in_reach(p_D: Array) -> NDArray[np.bool_]:
    away = (np.hypot(p_D[:, 0], p_D[:, 1]) > KEEP_OUT_RADIUS) | (p_D[:, 2] > KEEP_OUT_HEIGHT)
    return np.logical_and(np.linalg.norm(p_D - REACH_CENTRE, axis=1) < REACH, away)


def _gripper_free(X_WT: Array, boxes: _Boxes) -> NDArray[np.bool_]:
    p_W = _GRIPPER[:, :3] @ X_WT[:, :3, :3].transpose(0, 2, 1) + X_WT[:, None, :3, 3]
    return np.asarray((boxes.distance(p_W) > _GRIPPER[:, 3]).all(axis=1))


@dataclass(frozen=True)
class _Boxes:
    """The oriented bounding boxes of obstacles, stacked: rotations (n, 3, 3), centres (n, 3), half extents (n, 3)."""

    R_WO: Array
    p_WO: Array
    half: Array

    @classmethod
    def of(cls, obstacles: Sequence[Obstacle] | Scene) -> _Boxes:
        R, p, half = zip(*map(posed_box, obstacles), strict=True)
        return cls(np.stack(R), np.stack(p), np.stack(half))

    def distance(self, p_W: Array) -> Array:
        """(...,) distance of points (..., 3) to the nearest box, 0 inside."""
        p_O = np.einsum("...ni,nij->...nj", p_W[..., None, :] - self.p_WO, self.R_WO)
        outside = np.maximum(np.abs(p_O) - self.half, 0.0)
        return np.sqrt((outside * outside).sum(-1).min(-1))


@dataclass
class Builder:
    """Collects obstacles and regions in a frame F, whose z axis is up and which stands anywhere in the world.

    Attributes:
        X_WF: (4, 4) pose of the frame in which poses are given.
        spoiled: True once a piece of furniture had to be left out because it would stand on the robot.
    """

    X_WF: Array
    obstacles: list[Obstacle] = field(default_factory=list)
    regions: list[TaskRegion] = field(default_factory=list)
    spoiled: bool = False

    def box(self, name: str, size: Sequence[float], position: Sequence[float], yaw: float = 0.0) -> bool:
        """A box of full extents ``size`` centred at ``position`` in F, turned by ``yaw``."""
        return self.add(name, Box((size[0], size[1], size[2])), pose_yaw(position, yaw))

    def panel(self, name: str, low: Sequence[float], high: Sequence[float], X_FG: Array | None = None) -> bool:
        """The axis-aligned box from corner ``low`` to corner ``high`` in a frame G of F (F itself if None)."""
        size = [b - a for a, b in zip(low, high, strict=True)]
        X_GO = pose_yaw([(a + b) / 2 for a, b in zip(low, high, strict=True)], 0.0)
        return self.add(name, Box((size[0], size[1], size[2])), X_GO if X_FG is None else X_FG @ X_GO)

    def add(self, name: str, shape: Shape, X_FO: Array, *, optional: bool = False) -> bool:
        """Put a shape at ``X_FO``. One that would stand on the robot is left out, and, unless ``optional``, that
        spoils the scene. Returns whether it was put."""
        obstacle = Obstacle(name, shape, self.X_WF @ X_FO)
        if not clear_of_base(obstacle):
            self.spoiled |= not optional
            return False
        self.obstacles.append(obstacle)
        return True

    def region(
        self, X_FV: Array, size: Sequence[float], azimuth: Interval, elevation: Interval, **options: object
    ) -> None:
        """A `TaskRegion` whose frame stands at ``X_FV``; ``options`` are its further fields."""
        extents = (max(size[0], 0.0), max(size[1], 0.0), max(size[2], 0.0))
        self.regions.append(TaskRegion(self.X_WF @ X_FV, extents, azimuth, elevation, **options))  # type: ignore[arg-type]

    def finish(self, family: str) -> GeneratedScene:
        return GeneratedScene(family, Scene(tuple(self.obstacles)), tuple(self.regions))


def posed_box(obstacle: Obstacle) -> tuple[Array, Array, Array]:
    """Rotation (3, 3), centre (3,) and half extents (3,) of an obstacle's oriented box in the world [m]."""
    lower, upper = bounds(obstacle.shape)
    R_WO = obstacle.X_WO[:3, :3]
    return R_WO, obstacle.X_WO[:3, 3] + R_WO @ ((lower + upper) / 2), (upper - lower) / 2


_AXIS = np.array([[0.0, 0.0, z] for z in np.arange(0.0, KEEP_OUT_HEIGHT + 1e-9, 0.02)])


def clear_of_base(obstacle: Obstacle) -> bool:
    """Whether an obstacle leaves the keep-out cylinder free, or lies below it altogether."""
    R, p, half = posed_box(obstacle)
    if p[2] + np.abs(R[2]) @ half <= -FLOOR_GAP:
        return True
    outside = np.maximum(np.abs((_AXIS - p) @ R) - half, 0.0)
    # The samples stand 2 cm apart: 0.1 mm more makes up for what lies between them.
    return bool((outside * outside).sum(axis=1).min() > (KEEP_OUT_RADIUS + 3e-4) ** 2)


def around(rng: np.random.Generator) -> Array:
    """(4, 4) a frame at the origin that looks somewhere: mostly to the front, often in any direction."""
    yaw = rng.normal(0.0, 0.4) if rng.random() < 0.45 else rng.uniform(-math.pi, math.pi)
    return pose_yaw((0.0, 0.0, 0.0), yaw)
