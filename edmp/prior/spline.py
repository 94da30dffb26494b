"""Trajectories as clamped uniform cubic B-splines whose ends are exactly the start and the goal.

A joint trajectory is q(u) = sum_i B_i(u) P_i for u in [0, 1], with K control points P_i (rows of a (K, dof) tensor).
The knot vector is clamped, so q(0) = P_0 = start and q(1) = P_{K-1} = goal. The diffused variable is

    x = (P_1 .. P_{K-2}) - (the same control points of the straight line start -> goal),

flattened control point by control point to (K - 2) * dof numbers, in joint units [rad or m]. The straight line has its
control points at the Greville abscissae, so x = 0 is the line run at constant speed. Waypoints are one fixed linear map
of the control points; cost gradients on waypoints pull back by its transpose. See de Boor, "A Practical Guide to
Splines", chapters IX and X.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edmp.arguments import checked
from edmp.errors import InvalidInputError

Array = NDArray[np.float64]

MOST_CONTROL_POINTS = 1000
"""Matrices of this many rows and columns are inverted."""


@checked
@dataclass(frozen=True)
class Spline:
    """The spline family; holds no trajectory.

    Attributes:
        num_control_points: K, ends included.
        degree: polynomial degree (3 = cubic).
    """

    num_control_points: int = 16
    degree: int = 3

    def __post_init__(self) -> None:
        fewest = max(self.degree + 1, 3)
        if self.degree < 1 or not fewest <= self.num_control_points <= MOST_CONTROL_POINTS:
            raise InvalidInputError(
                f"a spline needs degree >= 1 and {fewest} to {MOST_CONTROL_POINTS} control points, got degree "
                f"{self.degree} and num_control_points {self.num_control_points}"
            )

    @property
    def num_interior(self) -> int:
        """Control points that are free: all but the first and the last."""
        return self.num_control_points - 2

    def dim(self, dof: int) -> int:
        """Length of the diffused variable x for an arm of ``dof`` joints."""
        return self.num_interior * dof

    @property
    def knots(self) -> Array:
        """(K + degree + 1,) clamped uniform knot vector on [0, 1]."""
        inner = np.linspace(0.0, 1.0, self.num_control_points - self.degree + 1)
        return np.concatenate([np.zeros(self.degree), inner, np.ones(self.degree)])

    @property
    def greville(self) -> Array:
        """(K,) Greville abscissae: control points of the function u itself."""
        knots, k = self.knots, self.degree
        return np.array([knots[i + 1 : i + k + 1].mean() for i in range(self.num_control_points)])

    def basis_at(self, u: Array, derivative: int = 0) -> Array:
        """(n, K) values at ``u`` (n,) in [0, 1] of the basis functions, or of their ``derivative``-th derivative."""
        return _basis_at(self, np.asarray(u, dtype=np.float64), derivative)

    def basis(
        self,
        num_waypoints: int = 64,
        derivative: int = 0,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """(num_waypoints, K) basis matrix at uniform u, first row u = 0, last row u = 1; cached, do not modify.

        Derivatives are with respect to u, which runs over [0, 1].
        """
        return _basis_tensor(self, num_waypoints, derivative, dtype, torch.device(device))

    def straight_line(self, start: Tensor, goal: Tensor) -> Tensor:
        """(B, K, dof) control points of the constant-speed line from ``start`` to ``goal``, each (B, dof) or (dof,)."""
        start, goal = torch.atleast_2d(start), torch.atleast_2d(goal)
        s = _greville_tensor(self, start.dtype, start.device)[:, None]
        return start.unsqueeze(-2) * (1 - s) + goal.unsqueeze(-2) * s

    def control_points(self, x: Tensor, start: Tensor, goal: Tensor) -> Tensor:
        """Control points of the deviation ``x``.

        Args:
            x: (B, (K - 2) * dof) deviation of the interior control points from the straight line [rad or m].
            start: (B, dof), (1, dof) or (dof,) [rad or m].
            goal: as ``start``.

        Returns:
            (B, K, dof), whose first and last rows are exactly ``start`` and ``goal``.
        """
        line = self.straight_line(start, goal).expand(x.shape[0], -1, -1)
        interior = line[:, 1:-1] + x.unflatten(-1, (self.num_interior, line.shape[-1]))
        return torch.cat([line[:, :1], interior, line[:, -1:]], dim=1)

    def deviation(self, control_points: Tensor) -> Tensor:
        """(B, (K - 2) * dof) the diffused variable of ``control_points`` (B, K, dof): inverse of `control_points`."""
        line = self.straight_line(control_points[:, 0], control_points[:, -1])
        return (control_points - line)[:, 1:-1].flatten(1)

    def waypoints(self, control_points: Tensor, num_waypoints: int = 64, *, derivative: int = 0) -> Tensor:
        """(B, num_waypoints, dof) of ``control_points`` (B, K, dof), at uniform u; or a derivative in u."""
        basis = self.basis(num_waypoints, derivative, dtype=control_points.dtype, device=control_points.device)
        return basis @ control_points

    def pull_back(self, gradient: Tensor, *, derivative: int = 0) -> Tensor:
        """Gradient with respect to x, flattened, of a function whose gradient with respect to the waypoints is given.

        Args:
            gradient: (B, num_waypoints, dof) gradient with respect to what `waypoints` returned.
            derivative: the same as was given to `waypoints`.

        Returns:
            (B, (K - 2) * dof): the transpose of the waypoint map, start and goal held fixed.
        """
        basis = self.basis(gradient.shape[-2], derivative, dtype=gradient.dtype, device=gradient.device)
        return (basis[:, 1:-1].T @ gradient).flatten(1)

    def fit(self, waypoints: Tensor, *, resample: bool = True, num_samples: int = 128) -> Tensor:
        """Least-squares spline through polylines, ends exact.

        Args:
            waypoints: (B, n, dof) polylines, n >= 2 [rad or m].
            resample: parametrise by normalised arc length (constant joint-space speed), by sampling the polyline
                uniformly at ``num_samples`` points. Else the waypoints are taken at uniform u as they stand
                (the inverse of `waypoints`; needs n >= K).
            num_samples: samples of the polyline that the spline is fitted to.

        Returns:
            (B, K, dof) control points. The fit rounds corners: check what you keep.
        """
        if waypoints.ndim != 3 or waypoints.shape[1] < 2:
            raise InvalidInputError(f"waypoints must be (batch, n >= 2, dof), got {tuple(waypoints.shape)}")
        samples = resample_polyline(waypoints, num_samples) if resample else waypoints
        n = samples.shape[1]
        if n < self.num_control_points:
            raise InvalidInputError(f"a fit needs at least {self.num_control_points} samples, got {n}")
        line = self.straight_line(waypoints[:, 0], waypoints[:, -1])
        basis = self.basis(n, dtype=samples.dtype, device=samples.device)
        interior = _pseudo_inverse(self, n, samples.dtype, samples.device) @ (samples - basis @ line)
        return torch.cat([line[:, :1], line[:, 1:-1] + interior, line[:, -1:]], dim=1)

    def gram(self, derivative: int) -> Array:
        """(K - 2, K - 2) matrix G of the interior control points: x^T G x = integral over u of the squared derivative.

        For one joint; exact (Gauss-Legendre on each knot span). The straight line adds a constant for the first
        derivative and nothing for higher ones, so G measures the deviation alone.
        """
        return _gram(self, derivative)[1:-1, 1:-1].copy()

    def inverse_gram(self, derivative: int) -> Array:
        """(K - 2, K - 2) inverse of `gram`."""
        return _inverse_gram(self, derivative).copy()

    def smoothness_metric(self, weights: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Array:
        """(K - 2, K - 2) positive definite mix of the Gram matrices of the first, second and third derivative.

        Each Gram matrix is divided by its mean diagonal first, so that weights compare.
        """
        if min(weights) < 0 or max(weights) <= 0:
            raise InvalidInputError(f"smoothness weights must be >= 0 and not all zero, got {weights}")
        grams = [self.gram(d) for d in (1, 2, 3)]
        return sum(
            (w * g / np.diag(g).mean() for w, g in zip(weights, grams, strict=True)), start=np.zeros_like(grams[0])
        )

    def smoothing(self, weights: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Array:
        """(K - 2, K - 2) inverse of `smoothness_metric`, scaled so that the largest variance over u is one.

        Read it two ways. As a covariance: interior control points drawn from it give trajectories whose standard
        deviation peaks at one joint unit. As CHOMP's covariant preconditioner A^-1 (Zucker et al. 2013, eq. 11):
        the update -A^-1 g spreads a push at one place smoothly over its neighbours.
        """
        return _smoothing(self, tuple(weights)).copy()

    def smoothing_tensor(
        self, weights: tuple[float, float, float], *, dtype: torch.dtype, device: torch.device | str
    ) -> Tensor:
        """`smoothing` as a tensor; cached, do not modify."""
        return _smoothing_tensor(self, tuple(weights), dtype, torch.device(device))


def resample_polyline(waypoints: Tensor, num_samples: int) -> Tensor:
    """(B, num_samples, dof) points at uniform arc length along polylines ``waypoints`` (B, n, dof); ends exact."""
    edges = torch.linalg.vector_norm(waypoints.diff(dim=1), dim=-1)
    total = edges.sum(dim=1, keepdim=True)
    edges = torch.where(total > 0, edges, torch.ones_like(edges))  # a path that never moves: uniform, not 0 / 0
    arc = torch.cat([torch.zeros_like(total), edges.cumsum(dim=1)], dim=1)
    s = torch.linspace(0, 1, num_samples, dtype=arc.dtype, device=arc.device) * arc[:, -1:]
    right = torch.searchsorted(arc, s.contiguous()).clamp(1, waypoints.shape[1] - 1)
    a, b = arc.gather(1, right - 1), arc.gather(1, right)
    weight = ((s - a) / (b - a).clamp_min(torch.finfo(arc.dtype).tiny)).clamp(0, 1).unsqueeze(-1)
    index = right.unsqueeze(-1).expand(-1, -1, waypoints.shape[-1])
    points = waypoints.gather(1, index - 1) * (1 - weight) + waypoints.gather(1, index) * weight
    points[:, -1] = waypoints[:, -1]
    return points


def _basis_at(spline: Spline, u: Array, derivative: int) -> Array:
    """Cox-de Boor recursion up to degree - derivative, then the derivative formula up to the full degree."""
    knots, degree = spline.knots, spline.degree
    if derivative > degree:
        return np.zeros((len(u), spline.num_control_points))
    last_span = spline.num_control_points - 1
    span = np.clip(np.searchsorted(knots, u, side="right") - 1, degree, last_span)  # u = 1 belongs to the last span
    basis = np.zeros((len(u), len(knots) - 1))
    basis[np.arange(len(u)), span] = 1.0
    for k in range(1, degree + 1):
        width = knots[k:] - knots[:-k]
        inverse = np.divide(1.0, width, out=np.zeros_like(width), where=width > 0)
        n = len(width) - 1
        if k <= degree - derivative:
            left = (u[:, None] - knots[None, :n]) * inverse[:n]
            right = (knots[None, k + 1 : k + 1 + n] - u[:, None]) * inverse[1 : n + 1]
        else:
            left, right = k * inverse[:n], -k * inverse[1 : n + 1]
        basis = left * basis[:, :n] + right * basis[:, 1 : n + 1]
    return basis


@lru_cache(maxsize=256)
def _basis_tensor(spline: Spline, n: int, derivative: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    if n < 2:
        raise InvalidInputError(f"a trajectory has at least 2 waypoints, got {n}")
    with torch.inference_mode(False):  # a cached inference tensor could not enter autograd later
        return torch.tensor(spline.basis_at(np.linspace(0.0, 1.0, n), derivative), dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _greville_tensor(spline: Spline, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(spline.greville, dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _pseudo_inverse(spline: Spline, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    basis = spline.basis_at(np.linspace(0.0, 1.0, n))[:, 1:-1]
    with torch.inference_mode(False):
        return torch.tensor(np.linalg.pinv(basis), dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _gram(spline: Spline, derivative: int) -> Array:
    nodes, weights = np.polynomial.legendre.leggauss(spline.degree + 1)
    breaks = np.unique(spline.knots)
    half = np.diff(breaks)[:, None] / 2
    u = (breaks[:-1, None] + half + half * nodes).ravel()
    w = (half * weights).ravel()
    basis = spline.basis_at(u, derivative)
    return basis.T @ (w[:, None] * basis)


@lru_cache(maxsize=64)
def _smoothing_tensor(
    spline: Spline, weights: tuple[float, float, float], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(_smoothing(spline, weights), dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _inverse_gram(spline: Spline, derivative: int) -> Array:
    inverse = np.linalg.inv(spline.gram(derivative))
    return (inverse + inverse.T) / 2


@lru_cache(maxsize=64)
def _smoothing(spline: Spline, weights: tuple[float, float, float]) -> Array:
    inverse = np.linalg.inv(spline.smoothness_metric(weights))
    basis = spline.basis_at(np.linspace(0.0, 1.0, 257))[:, 1:-1]
    variance = np.einsum("ni,ij,nj->n", basis, inverse, basis)
    inverse /= variance.max()
    return (inverse + inverse.T) / 2
