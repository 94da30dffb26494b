"""Spheres that cover a convex polytope and stick out of it as little as possible.

A ball with centre c at depth d(c) inside a convex body K and radius r sticks out of K by r - d(c): the point that
leaves farthest does so straight through the nearest face. Covering K with n balls of equal stick-out t is therefore
the problem of n centres that minimise

    t = max over p in K of  min over i of  |p - c_i| - d(c_i),

a k-centre problem with a bonus for depth. It is solved by inserting centres one by one, smoothed descent after each
insertion, and relocating the centre that is missed least. A ball contains a triangle when it contains its corners:
so the radii that follow cover the surface exactly, not only at samples.

Where a link meets its neighbour in a round joint, its flat end is buried in the neighbour whatever the joint angle.
There `allowance` moves the end face outwards before depths are measured, for a ball may stick into the neighbour.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from edmp.robots.hull_fit import halfspaces

Array = NDArray[np.float64]

GRID = 1e-5
"""Centres and radii are stored on this grid [m]."""

_EDGE = 8e-4
"""Longest edge of the triangles that prove the covering of the surface [m]."""

_BATCH = 4096
"""Cells looked at together."""


@dataclass(frozen=True)
class _Problem:
    """What to cover (samples), where centres may be (pool), and the faces that depths are measured from."""

    samples: Array
    pool: Array
    planes: Array

    def depth(self, points: Array) -> Array:
        """(n,) distance to the nearest face, for points (n, 3) inside [m]; negative outside."""
        return _depth(self.planes, points)

    def excess(self, centres: Array) -> Array:
        """(n,) stick-out that each sample demands of the ball that covers it most cheaply [m]."""
        return (cdist(self.samples, centres) - self.depth(centres)).min(axis=1)


def _depth(planes: Array, points: Array) -> Array:
    return -(points @ planes[:, :3].T + planes[:, 3]).max(axis=1)


def cover(
    vertices: Array,
    *,
    stick_out: float,
    max_spheres: int,
    allowance: Array | None = None,
    restarts: int = 1,
    relocations: int = 4,
    num_samples: int = 600,
    seed: int = 0,
) -> Array:
    """The fewest spheres found that contain the convex hull of ``vertices`` and leave it by at most ``stick_out``.

    Args:
        vertices: (V, 3) [m].
        stick_out: how far a sphere may leave the body [m].
        max_spheres: where to stop adding; the stick-out is then larger than wanted.
        allowance: (F,) how much farther a sphere may go through each face of `halfspaces(vertices)` [m].
        restarts: independent searches, of which the one with the fewest spheres counts, then the smallest stick-out.
        relocations: tries to move a centre to a better place, for each number of spheres.
        num_samples: points of the surface that the searches look at.
        seed: of the searches.

    Returns:
        (S, 4) centres and radii [m].
    """
    planes = halfspaces(vertices)
    if allowance is not None:
        planes = planes - np.column_stack([np.zeros((len(planes), 3)), allowance])
    found = []
    for restart in range(restarts):
        rng = np.random.default_rng([seed, restart])
        centres = _search(vertices, planes, stick_out, max_spheres, rng, relocations, num_samples)
        spheres = _spheres(vertices, planes, centres)
        sticking = spheres[:, 3] - _depth(planes, spheres[:, :3])
        found.append((len(spheres), float(sticking.max()), restart, spheres))
    # A set that keeps to the stick-out is better than one that does not, then fewer spheres, then a smaller stick-out.
    return min(found, key=lambda item: (item[1] > stick_out + _EDGE, *item[:3]))[3]


def _search(
    vertices: Array,
    planes: Array,
    stick_out: float,
    max_spheres: int,
    rng: np.random.Generator,
    relocations: int,
    num_samples: int,
) -> Array:
    """Centres; the search looks at few samples, and at those of many that turn out to matter."""
    problem = _problem(vertices, planes, rng, num_samples)
    fine = _problem(vertices, planes, rng, 20 * num_samples)
    centres = np.empty((0, 3))
    while True:
        centres = _place(problem, centres, max_spheres, stick_out, rng, relocations)
        if not relocations:
            return centres
        problem, centres, value = _polish(problem, fine, centres, stick_out)
        if len(centres) >= max_spheres or value <= stick_out:
            return centres


def _polish(problem: _Problem, fine: _Problem, centres: Array, stick_out: float) -> tuple[_Problem, Array, float]:
    """Smaller and smaller steps, looking at the fine samples that are worst off in turn.

    Returns:
        the problem with those samples added, the best centres seen, and their demand on the fine samples [m].
    """
    best, best_value = centres, np.inf
    for rate in np.repeat([5e-3, 3e-3, 2e-3, 1e-3, 5e-4, 3e-4], 2):
        excess = fine.excess(centres)
        if excess.max() < best_value:
            best, best_value = centres, float(excess.max())
        if best_value <= stick_out:
            break
        missed = fine.samples[np.argsort(-excess)[:300:3]]
        problem = dataclasses.replace(problem, samples=np.vstack([problem.samples, missed]))
        centres, _ = _descend(problem, centres, steps=100, rate=float(rate))
    return problem, best, best_value


def _problem(vertices: Array, planes: Array, rng: np.random.Generator, num_samples: int) -> _Problem:
    edge = np.sqrt(2.5 * ConvexHull(vertices).area / num_samples)
    corners = surface_triangles(vertices, edge).reshape(-1, 3)
    samples = np.unique(np.round(corners, 6), axis=0)
    reach = edge + float(max(0.0, -(planes[:, 3] - halfspaces(vertices)[:, 3]).min()))
    pool = rng.uniform(vertices.min(axis=0) - reach, vertices.max(axis=0) + reach, size=(6000, 3))
    inside = -(pool @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    size = float(np.ptp(vertices, axis=0).min())
    return _Problem(samples, np.vstack([vertices.mean(axis=0), pool[inside > 0.03 * size]]), planes)


def _place(
    problem: _Problem, centres: Array, max_spheres: int, stick_out: float, rng: np.random.Generator, relocations: int
) -> Array:
    """Further centres, at least one, inserted one by one until the demands are met."""
    while True:
        centres, value = _descend(problem, np.vstack([centres, _best_addition(problem, centres, rng)]))
        # Moving centres about pays once their number is nearly right.
        nearly = len(centres) > 1 and problem.excess(centres).max() < 2 * stick_out
        for _ in range(relocations if nearly else 0):
            if problem.excess(centres).max() <= stick_out:
                break
            moved, moved_value = _descend(problem, _relocate(problem, centres, rng))
            if moved_value < value - 1e-6:
                centres, value = moved, moved_value
        if problem.excess(centres).max() <= stick_out or len(centres) >= max_spheres:
            return centres


def _best_addition(problem: _Problem, centres: Array, rng: np.random.Generator) -> Array:
    """(3,) the one of 200 random places that relieves the worst samples most."""
    places = problem.pool[rng.permutation(len(problem.pool))[:200]]
    demand = cdist(problem.samples, places) - problem.depth(places)
    if len(centres):
        demand = np.minimum(demand, problem.excess(centres)[:, None])
    return places[_softmax_value(demand, 2e-3).argmin()]


def _relocate(problem: _Problem, centres: Array, rng: np.random.Generator) -> Array:
    """The centres, the one that is missed least (with some noise) taken out and put where it helps most."""
    demand = cdist(problem.samples, centres) - problem.depth(centres)
    loss = [np.delete(demand, i, axis=1).min(axis=1).max() + 3e-3 * rng.normal() for i in range(len(centres))]
    rest = np.delete(centres, int(np.argmin(loss)), axis=0)
    return np.vstack([rest, _best_addition(problem, rest, rng)])


def _softmax_value(demand: Array, temperature: float) -> Array:
    """Smooth maximum over the samples (first axis): it also sees how many samples are at the maximum."""
    worst = demand.max(axis=0)
    return worst + temperature * np.log(np.exp((demand - worst) / temperature).sum(axis=0))


def _descend(problem: _Problem, centres: Array, *, steps: int = 120, rate: float = 0.01) -> tuple[Array, float]:
    """Descent on the smoothed worst demand, cooled from 4 mm to 0.3 mm; the best iterate and its value."""
    normals = problem.planes[:, :3]
    momentum, square = np.zeros_like(centres), 0.0
    best, best_value = centres, np.inf
    for step in range(steps):
        left = 1 - step / steps
        temperature = 4e-3 * left**2 + 3e-4
        level = centres @ normals.T + problem.planes[:, 3]
        distance = cdist(centres, problem.samples) + 1e-9
        demand = distance + level.max(axis=1)[:, None]
        least = demand.min(axis=0)
        value = float(_softmax_value(least, 4e-4))
        if value < best_value:
            best, best_value = centres, value
        # Each sample pulls the balls that (nearly) cover it; the worst samples pull hardest.
        share = np.exp((least - demand) / temperature)
        share /= _sum_of_rows(share)
        worst = np.exp((least - least.max()) / temperature)
        share *= worst / worst.sum()
        radial = share / distance
        offsets = (centres[:, k, None] - problem.samples[:, k] for k in range(3))
        gradient = np.stack([_sum_in_order(radial * offset) for offset in offsets], axis=1)
        gradient += np.ascontiguousarray(share.T).sum(axis=0)[:, None] * normals[level.argmax(axis=1)]
        momentum = 0.9 * momentum + 0.1 * gradient
        square = 0.95 * square + 0.05 * float((gradient**2).sum()) / len(centres)
        scale = np.sqrt(square / (1 - 0.95 ** (step + 1)) + 1e-12) * (1 - 0.9 ** (step + 1))
        centres = centres - rate * left**1.2 * momentum / scale
    return best, best_value


# The descent multiplies differences in rounding. These two fix the order of every sum, whatever the layout in memory,
# so that fitting the built-in robots again gives what is shipped.


def _sum_of_rows(terms: Array) -> Array:
    """(S,) sum over the first axis of (n, S), in the order in which numpy sums n neighbours in memory."""
    if len(terms) < 8:
        return np.cumsum(terms, axis=0)[-1]
    whole = len(terms) // 8 * 8
    r = np.cumsum(terms[:whole].reshape(-1, 8, terms.shape[1]), axis=0)[-1]
    total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    for term in terms[whole:]:
        total = total + term
    return total


def _sum_in_order(terms: Array) -> Array:
    """(n,) sum over the last axis of (n, S), first to last."""
    return np.cumsum(terms, axis=1)[:, -1]


def _spheres(vertices: Array, planes: Array, centres: Array) -> Array:
    """The smallest radii with which balls at ``centres`` cover the body; balls that nothing needs are dropped."""
    centres = np.round(centres / GRID) * GRID
    radii = _Radii(centres, _depth(planes, centres))
    radii.cover_surface(vertices)
    radii.cover_inside(vertices)
    grown = np.ceil(radii.radii / GRID) * GRID
    return np.column_stack([centres, grown])[grown > 0]


class _Radii:
    """Balls that grow just far enough to cover cells of a body.

    Cells are halved only where it matters: one whose corners all lie in one ball, as large as it must be anyway, is
    covered. The worst cells come first, so that the balls soon have nearly their final size, and few cells are waiting
    at a time, however large the body is.
    """

    def __init__(self, centres: Array, depth: Array) -> None:
        self.centres = centres
        self.depth = depth
        self.radii = np.zeros(len(centres))

    def cover_surface(self, vertices: Array) -> None:
        """Cells are triangles, halved until their longest side is at most `_EDGE`."""
        waiting = vertices[ConvexHull(vertices).simplices]
        while len(waiting):
            batch, waiting = waiting[-_BATCH:], waiting[:-_BATCH]
            reach = np.max([cdist(batch[:, k], self.centres) for k in range(3)], axis=0)
            small = _longest_sides(batch)[0] <= _EDGE
            kept, reach = self._settle(reach, small)
            waiting = np.concatenate([waiting, _halved(batch[kept])[_worst_last(np.tile(reach, 2))]])

    def cover_inside(self, vertices: Array) -> None:
        """Cells are cubes, cut into eight down to 6 `_EDGE`, of which the centre point counts."""
        planes = halfspaces(vertices)
        low, extent = vertices.min(axis=0), np.ptp(vertices, axis=0)
        step = 6 * _EDGE
        while np.prod(np.ceil(extent / step)) > _BATCH:
            step *= 2
        axes = [np.arange(step / 2, length + step / 2, step) for length in extent]
        centres = low + np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        waiting = np.column_stack([centres, np.full(len(centres), step / 2)])
        octants = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        while len(waiting):
            batch, waiting = waiting[-_BATCH:], waiting[:-_BATCH]
            middle, half = batch[:, :3], batch[:, 3]
            small = half <= 3.01 * _EDGE
            # A small cube counts where its centre is inside, a larger one where any of it may be.
            height = (middle @ planes[:, :3].T + planes[:, 3]).max(axis=1)
            inside = height <= np.where(small, 0.0, np.sqrt(3) * half)
            middle, half, small = middle[inside], half[inside], small[inside]
            towards_corner = np.where(small, 0.0, half)[:, None, None]
            reach = np.linalg.norm(np.abs(middle[:, None] - self.centres) + towards_corner, axis=2)
            kept, reach = self._settle(reach, small)
            middle, half = middle[kept], half[kept] / 2
            parts = (middle[:, None] + 2 * half[:, None, None] * octants).reshape(-1, 3)
            parts = np.column_stack([parts, np.repeat(half, 8)])
            waiting = np.concatenate([waiting, parts[_worst_last(np.repeat(reach, 8))]])

    def _settle(self, reach: Array, small: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array]:
        """Grow the balls for the small cells that are not covered.

        Args:
            reach: (C, n) distance of the farthest corner of each cell from each centre [m].
            small: (C,) which cells are not cut further.

        Returns:
            which cells are neither small nor covered, and how far a ball would have to stick out for each [m].
        """
        demand = reach - self.depth
        owner = demand.argmin(axis=1)
        rows = np.flatnonzero(small & ~(reach <= self.radii).any(axis=1))
        np.maximum.at(self.radii, owner[rows], reach[rows, owner[rows]])
        kept = np.flatnonzero(~small & ~(reach <= self.radii).any(axis=1))
        return kept, demand[kept, owner[kept]]


def _worst_last(demand: Array) -> NDArray[np.int64]:
    return np.argsort(demand, kind="stable")


def _longest_sides(triangles: Array) -> tuple[Array, NDArray[np.int64]]:
    """(T,) length of the longest side, and from which corner k it runs to k + 1."""
    sides = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
    return sides.max(axis=1), sides.argmax(axis=1)


def _halved(triangles: Array) -> Array:
    """(2 T, 3, 3) the first halves of all triangles, then the second halves, cut across the longest side."""
    k = _longest_sides(triangles)[1]
    rows = np.arange(len(triangles))
    a, b, c = (triangles[rows, (k + i) % 3] for i in range(3))
    middle = (a + b) / 2
    return np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])


def surface_triangles(vertices: Array, edge: float) -> Array:
    """(T, 3, 3) triangles that tile the surface of a convex hull, no edge longer than ``edge`` [m]."""
    triangles = vertices[ConvexHull(vertices).simplices]
    done = []
    while len(triangles):
        small = _longest_sides(triangles)[0] <= edge
        done.append(triangles[small])
        triangles = _halved(triangles[~small])
    return np.concatenate(done)
