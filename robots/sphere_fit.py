"""Spheres that cover a convex polytope and stick out of it as little as possible.

A ball with centre c inside a convex body K at depth d(c) and radius r sticks out of K by exactly r - d(c): the point
that leaves first does so through the nearest face. Covering K with N balls of the same stick-out t is therefore the
problem of N centres that minimise

    t = max over p in K of  min over i of  |p - c_i| - d(c_i),

solved here by greedy insertion and Lloyd steps with a subgradient on the worst points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from edmp.robots.hull_fit import halfspaces

Array = NDArray[np.float64]

GRID = 1e-5
"""Centres and radii are stored on this grid [m]."""


@dataclass(frozen=True)
class Body:
    """A convex polytope with the samples that stand for its volume.

    Attributes:
        planes: (F, 4) rows [n, d], ``n @ x + d <= 0`` inside.
        samples: (n, 3) points on the surface and inside.
        spacing: every point of the body is this close to a sample [m].
    """

    planes: Array
    samples: Array
    spacing: float

    def depth(self, points: Array) -> Array:
        """Distance to the surface of points (n, 3) inside; negative (and a bound only) outside [m]."""
        return -(points @ self.planes[:, :3].T + self.planes[:, 3]).max(axis=1)


def sample_body(vertices: Array, *, num_samples: int) -> Body:
    """Surface samples on a triangular grid of every face, and a cubic grid inside."""
    hull = ConvexHull(vertices)
    step = np.sqrt(hull.area / num_samples)
    surface = surface_samples(vertices, step)
    lower, upper = vertices.min(axis=0), vertices.max(axis=0)
    axes = [np.arange(a + step, b, 2 * step) for a, b in zip(lower, upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    planes = halfspaces(vertices)
    body = Body(planes, np.concatenate([vertices, surface]), step)
    return Body(planes, np.concatenate([body.samples, grid[body.depth(grid) > step]]), step)


def surface_samples(vertices: Array, step: float) -> Array:
    """Points on the surface of a convex hull such that every surface point is within ``step`` [m] of one of them."""
    hull = ConvexHull(vertices)
    rows = []
    for triangle in vertices[hull.simplices]:
        longest = max(np.linalg.norm(triangle[i] - triangle[i - 1]) for i in range(3))
        n = max(1, int(np.ceil(longest / (step * np.sqrt(3)))))
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        i, j = i[i + j <= n] / n, j[i + j <= n] / n
        rows.append(np.column_stack([i, j, 1 - i - j]) @ triangle)
    return np.concatenate(rows)


def cover(vertices: Array, *, stick_out: float, max_spheres: int, num_samples: int = 1500) -> Array:
    """Spheres that contain the convex hull of ``vertices`` and leave it by at most about ``stick_out``.

    Tries 1, 2, 3, ... spheres until they suffice; with ``max_spheres`` the stick-out is what it is.

    Returns:
        (S, 4) centres and radii [m].
    """
    body = sample_body(vertices, num_samples=num_samples)
    centres = np.empty((0, 3))
    for count in range(1, max_spheres + 1):
        centres = optimise_centres(body, _insert(body, centres))
        if excess(body, centres).max() <= stick_out:
            break
    return _spheres(vertices, body, centres)


def excess(body: Body, centres: Array) -> Array:
    """(n,) stick-out that each sample demands of the ball that covers it most cheaply [m]."""
    return (cdist(body.samples, centres) - body.depth(centres)).min(axis=1)


def _insert(body: Body, centres: Array) -> Array:
    """One more centre, at the candidate that lowers the demand of the worst samples most."""
    candidates = body.samples[body.depth(body.samples) > 1e-4]
    if len(candidates) == 0:
        candidates = body.samples.mean(axis=0, keepdims=True)
    candidates = candidates[:: max(1, len(candidates) // 300)]
    demand = cdist(body.samples, candidates) - body.depth(candidates)
    if len(centres):
        demand = np.minimum(demand, excess(body, centres)[:, None])
    best = np.argmin((np.maximum(demand, 0) ** 8).mean(axis=0))
    return np.vstack([centres, candidates[best]])


def optimise_centres(body: Body, centres: Array, *, steps: int = 250) -> Array:
    """Subgradient descent on the p-norm of the demands, best iterate kept."""
    best, best_value = centres, excess(body, centres).max()
    velocity = np.zeros_like(centres)
    scale = float(np.ptp(body.samples, axis=0).max())
    normals = body.planes[:, :3]
    for step in range(steps):
        offset = centres[None] - body.samples[:, None]
        distance = np.linalg.norm(offset, axis=2)
        level = centres @ normals.T + body.planes[:, 3]
        nearest = level.argmax(axis=1)
        demand = distance + level.max(axis=1)
        owner = demand.argmin(axis=1)
        value = demand[np.arange(len(owner)), owner]
        if value.max() < best_value - 1e-6:
            best, best_value = centres, value.max()
        temperature = 1e-3 * max(0.3, 4 * (1 - step / steps))
        weight = np.exp((value - value.max()) / temperature)
        gradient = np.zeros_like(centres)
        rows = np.arange(len(owner))
        pull = offset[rows, owner] / np.maximum(distance[rows, owner], 1e-9)[:, None] + normals[nearest[owner]]
        np.add.at(gradient, owner, weight[:, None] * pull)
        mass = np.bincount(owner, weights=weight, minlength=len(centres))[:, None]
        gradient /= np.maximum(mass, 1e-3)
        velocity = 0.8 * velocity - 0.012 * scale * (1 - step / steps) ** 1.5 * 0.2 * gradient
        centres = centres + velocity
    return best


def _spheres(vertices: Array, body: Body, centres: Array, *, step: float = 1.5e-3) -> Array:
    """The smallest radii with which balls at ``centres`` cover the body, proven with finer samples.

    Covering the surface with a margin of the sampling step is covering the surface; the inside is covered too when
    no point of a cubic grid is bare.
    """
    fine = sample_body(vertices, num_samples=int(ConvexHull(vertices).area / step**2))
    centres = np.round(centres / GRID) * GRID
    distance = cdist(fine.samples, centres)
    owner = (distance - body.depth(centres)).argmin(axis=1)
    reach = distance[np.arange(len(owner)), owner]
    radii = np.array([reach[owner == i].max(initial=0.0) for i in range(len(centres))])
    radii = np.ceil((radii + margin(step)) / GRID) * GRID
    used = radii > margin(step) + GRID
    return np.column_stack([centres, radii])[used]


def margin(step: float) -> float:
    """Growth of the radii that closes the gaps between samples [m]."""
    return 0.35 * step
