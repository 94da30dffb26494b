"""What a network may be told of a scene: rows of one table, with one interface.

A condition says something of a path in a scene, without weights (`SceneCondition.told`; training keeps it beside the
motions), and reads it into a network with weights of its own: as numbers beside each token of the spline, or as a shift
of the embedding that modulates every block (FiLM, Perez et al. 2018).

What is felt goes through the fused kernel: what a path costs in clearance, and in which direction of the joints it gets
less, whatever obstacle is there. What is seen are the obstacles themselves.
"""

from __future__ import annotations

import math
import warnings
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from edmp.collision.world import World
from edmp.costs.clearance import clearance_field
from edmp.errors import EdmpWarning
from edmp.geometry import kinds
from edmp.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from edmp.prior.spline import Spline
from edmp.scenes.scene import Obstacle

_GAIN = 30.0
"""Costs and gradients are squashed, sign(g) log(1 + gain |g|): they span four decades."""

Limits = tuple[Tensor, Tensor]
"""Joint limits (dof,), (dof,) [rad or m]."""


class Feeling(Protocol):
    """What a network feels of a scene.

    Attributes:
        clearances: distances within which it feels obstacles, each by itself [m].
        num_waypoints: samples along the path at which they are felt.
    """

    @property
    def clearances(self) -> tuple[float, ...]: ...
    @property
    def num_waypoints(self) -> int: ...


class SceneCondition(nn.Module):
    """One row of `CONDITIONS`.

    Attributes:
        shape: of what is told of one path.
        knows: in words, for cards.
        channels: numbers beside each token of the spline that come of it.
        renewed: whether it depends on the path between the ends: it is told anew of every estimate, else once.
    """

    knows: str
    channels: int = 0
    renewed: bool = False

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    @property
    def columns(self) -> int:
        """Numbers that are told of one path."""
        return math.prod(self.shape)

    def told(self, world: World, control_points: Tensor, limits: Limits) -> Tensor:
        """(n, *shape) what is told of paths ``control_points`` (n, K, dof), within joint ``limits``; no gradient."""
        raise NotImplementedError

    def forward(self, told: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Of ``told`` (n, *shape): numbers beside each token (n, tokens, channels), and a shift (n, cond)."""
        raise NotImplementedError


class AlongEstimate(SceneCondition):
    """What the current clean estimate costs in clearance, beside each of its control points: a learned step of
    guidance."""

    knows = "what its own estimate touches in the scene"
    renewed = True

    def __init__(self, feeling: Feeling, spline: Spline, dof: int, cond: int) -> None:
        self.channels = len(feeling.clearances) * (dof + 1)
        super().__init__((spline.num_interior, self.channels))
        self.feeling, self.spline = feeling, spline

    def told(self, world: World, control_points: Tensor, limits: Limits) -> Tensor:
        return felt(world, control_points, self.spline, self.feeling, limits)

    def forward(self, told: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return told, None


class AlongLine(SceneCondition):
    """What the straight line from start to goal costs in clearance, all along it, as a shift."""

    knows = "what the straight line touches in the scene"

    def __init__(self, feeling: Feeling, spline: Spline, dof: int, cond: int) -> None:
        super().__init__((spline.num_interior, len(feeling.clearances) * (dof + 1)))
        self.feeling, self.spline = feeling, spline
        self.read = nn.Sequential(nn.Linear(self.columns, 2 * cond), nn.SiLU(), nn.Linear(2 * cond, cond))

    def told(self, world: World, control_points: Tensor, limits: Limits) -> Tensor:
        start, goal = control_points[:, 0], control_points[:, -1]
        line = self.spline.control_points(start.new_zeros(len(start), self.spline.dim(start.shape[-1])), start, goal)
        return felt(world, line, self.spline, self.feeling, limits)

    def forward(self, told: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return None, self.read(told.flatten(1))


class ObstacleTokens(SceneCondition):
    """The obstacles as tokens of kind, size and pose, in the frame of the base; each token of the spline asks them.

    Boxes, cylinders (capsules among them) and spheres are told as they are, other kinds by points of their surface. A
    query of each spline token, learned, attends to the obstacles after these have attended to one another.
    """

    knows = "the obstacles of the scene"
    MOST = 32
    """Tokens of a scene; of more, those nearest the arm's base are told."""
    FEATURES = 3 + 3 + 3 + 6
    POINTS, POINT_RADIUS = 8, 0.03
    """Points of an obstacle of another kind, and the radius [m] of the balls as which they are told."""
    FARTHEST = 2.5
    """The trained workspace: tokens farther from the base [m] than furniture of the generators are left out."""
    HEADS, WIDTH = 4, 64

    def __init__(self, feeling: Feeling, spline: Spline, dof: int, cond: int) -> None:
        super().__init__((self.MOST, self.FEATURES))
        self.channels = width = self.WIDTH
        self.embed = nn.Sequential(nn.Linear(self.FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.mingle, self.mingled = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.queries = nn.Parameter(torch.randn(spline.num_interior, width) / math.sqrt(width))
        self.recall, self.join = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self._warned = False

    def told(self, world: World, control_points: Tensor, limits: Limits) -> Tensor:
        rows, left_out = scene_tokens(world, self.MOST, self.FARTHEST)
        if left_out and not self.training and not self._warned:
            self._warned = True
            warnings.warn(
                f"the prior was trained on obstacles within {self.FARTHEST} m of the arm's base and is not told of "
                f"{', '.join(left_out[:3])}{' and others' if len(left_out) > 3 else ''} (said once)",
                EdmpWarning,
                stacklevel=2,
            )
        return torch.as_tensor(rows).to(control_points).expand(len(control_points), -1, -1)

    def forward(self, told: Tensor) -> tuple[Tensor | None, Tensor | None]:
        told = nn.functional.pad(told, (0, 0, 1, 0))  # one that is nothing: there is always something to attend to
        there = told[..., :3].any(dim=-1)
        there[:, 0] = True
        mask = there[:, None, None]
        h = self.embed(told)
        q, k, v = self.mingle(h).chunk(3, dim=-1)
        h = h + self.mingled(self._attend(q, k, v, mask))
        k, v = self.recall(h).chunk(2, dim=-1)
        return self.join(self._attend(self.queries.expand(len(told), -1, -1), k, v, mask)), None

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.HEADS, -1)).transpose(1, 2) for part in (q, k, v))
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class Row(Protocol):
    """Makes a condition for a network of this spline, arm and width of embedding."""

    knows: str

    def __call__(self, feeling: Feeling, spline: Spline, dof: int, cond: int, /) -> SceneCondition: ...


CONDITIONS: dict[str, Row] = {"estimate": AlongEstimate, "line": AlongLine, "tokens": ObstacleTokens}
"""The table: conditions by name."""


def felt(world: World, control_points: Tensor, spline: Spline, feeling: Feeling, limits: Limits) -> Tensor:
    """What paths cost in clearance, control point by control point.

    Args:
        world: robot and scene.
        control_points: (n, K, dof).
        spline: of the paths.
        feeling: how far obstacles are felt, and where.
        limits: waypoints beyond these are felt at them.

    Returns:
        (n, tokens, len(clearances) * (dof + 1)): for each clearance the gradient in the joints, pulled back to the
        interior control points, and the cost about each of them, both squashed. Autograd sees how the cost changes
        with the paths; the gradient counts as fixed.
    """
    basis = spline.basis(feeling.num_waypoints, device=control_points.device)[:, 1:-1]
    share = basis / basis.sum(dim=0)
    lower, upper = limits
    q = spline.waypoints(control_points, feeling.num_waypoints)
    q = torch.minimum(torch.maximum(q, lower), upper)
    told = []
    for clearance in feeling.clearances:
        cost, gradient = clearance_field(world, q, q.new_full((len(q),), clearance))
        if q.requires_grad:
            cost = cost + ((q - q.detach()) * gradient).sum(dim=-1)
        told += [_squashed(basis.T @ gradient), _squashed(cost @ share)[..., None]]
    return torch.cat(told, dim=-1)


def _squashed(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.log1p(_GAIN * x.abs())


def scene_tokens(world: World, most: int, farthest: float) -> tuple[np.ndarray, list[str]]:
    """(most, features) obstacles as tokens, zero where there are fewer, and the names of those not told of.

    A token is its kind (box, cylinder, sphere: three numbers, one of them 1), its half extents [m], its centre and the
    first two columns of its rotation in the frame of the base.
    """
    X_0W = np.linalg.inv(world.robot.X_W0)
    rows, left_out = [], []
    for obstacle in world.scene:
        own = [row for row in _tokens_of(obstacle, X_0W) if np.linalg.norm(row[6:9]) <= farthest]
        rows += own
        left_out += [] if own else [obstacle.name]
    rows.sort(key=lambda row: float(np.linalg.norm(row[6:9])))
    told = np.zeros((most, ObstacleTokens.FEATURES), np.float32)
    if rows:
        told[: len(rows)] = np.stack(rows[:most])
    return told, left_out


def _tokens_of(obstacle: Obstacle, X_0W: np.ndarray) -> list[np.ndarray]:
    X_0O, shape = X_0W @ obstacle.X_WO, obstacle.shape
    known: list[tuple[type[Shape], ...]] = [(Box,), (Cylinder, Capsule), (Sphere,)]
    for kind, classes in enumerate(known):
        if isinstance(shape, classes):
            return [_token(kind, kinds.half_extents(shape), X_0O)]
    lower, upper = kinds.bounds(shape)
    spread = float(np.linalg.norm(upper - lower)) / 4
    points = kinds.cover(shape, max(spread, 1e-3))
    points = points[np.linspace(0, len(points) - 1, min(len(points), ObstacleTokens.POINTS)).astype(int)]
    balls = (np.vstack([np.column_stack([X_0O[:3, :3], X_0O[:3, :3] @ p + X_0O[:3, 3]]), [0, 0, 0, 1]]) for p in points)
    return [_token(2, np.full(3, ObstacleTokens.POINT_RADIUS), X) for X in balls]


def _token(kind: int, half: np.ndarray, X_0O: np.ndarray) -> np.ndarray:
    return np.concatenate([np.eye(3)[kind], half, X_0O[:3, 3], X_0O[:3, 0], X_0O[:3, 1]])
