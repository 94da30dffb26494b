"""Signed distance from occupied cells and from fields of distances, and points on the surface of the latter."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from edmp.geometry import cells
from edmp.geometry.measured import measured
from edmp.geometry.mesh_cache import ShapeCache
from edmp.geometry.primitives import Array, Sampler
from edmp.geometry.sensed import DistanceField, Voxels

_KEPT = 1 << 25
"""Cells of grids that are kept though nobody else holds them, all together."""


# --- occupied cells ---------------------------------------------------------------------------------------------------


def _walls(shape: Voxels) -> tuple[NDArray[np.bool_], cKDTree, cKDTree]:
    """The cells with a free one on all sides, and the middles, in cells, of the occupied and of the free ones that have
    a face in common with one of the other sort.
    """
    taken = np.pad(shape.occupancy, 1)
    beside = np.zeros_like(taken)
    for axis in range(3):
        low, high = (np.take(taken, range(side, taken.shape[axis] - 1 + side), axis) for side in (0, 1))
        differs = low != high
        for side in (0, 1):
            np.swapaxes(beside, 0, axis)[side : taken.shape[axis] - 1 + side] |= np.swapaxes(differs, 0, axis)
    return taken, *(cKDTree(np.argwhere(beside & sort) - 0.5) for sort in (taken, ~taken))


_walls_of: ShapeCache[Voxels, tuple[NDArray[np.bool_], cKDTree, cKDTree]] = ShapeCache(
    _walls, size=lambda shape: shape.occupancy.size, most=_KEPT
)


def _from_nearest(tree: cKDTree, u: Array) -> Array:
    """(n, 3) from the nearest point of unit cells, by their middles, to points ``u`` (n, 3).

    The nearest cell need not have the nearest middle: as many are looked at as it takes to know.
    """
    ways, todo, count = np.empty_like(u), np.arange(len(u)), 8
    while len(todo):
        count = min(count, tree.n)
        middle, index = (np.asarray(found).reshape(len(todo), count) for found in tree.query(u[todo], k=count))
        off = u[todo, None] - np.asarray(tree.data)[index]
        beyond = off - np.clip(off, -0.5, 0.5)
        best = np.square(beyond).sum(axis=-1).argmin(axis=1)
        way = beyond[np.arange(len(todo)), best]
        known = middle[:, -1] - math.sqrt(0.75) >= np.linalg.norm(way, axis=1)
        known |= count == tree.n
        ways[todo[known]] = way[known]
        todo, count = todo[~known], 4 * count
    return ways


def _voxel_distances(shape: Voxels, p_O: Tensor) -> tuple[Tensor, Tensor]:
    taken, occupied, free = _walls_of(shape)
    u = p_O.cpu().double().numpy().reshape(-1, 3) / shape.resolution
    i, j, k = np.clip(np.floor(u).astype(np.int64) + 1, 0, np.array(taken.shape) - 1).T
    inside = taken[i, j, k]
    way = np.empty_like(u)
    way[~inside], way[inside] = _from_nearest(occupied, u[~inside]), _from_nearest(free, u[inside])
    length = np.linalg.norm(way, axis=1)
    sign = np.where(inside, -1.0, 1.0)
    direction = np.where(length[:, None] > 0, way / np.maximum(length, 1e-300)[:, None], [1.0, 0.0, 0.0])
    distance = torch.as_tensor(sign * length * shape.resolution).to(p_O).reshape(p_O.shape[:-1])
    return distance, torch.as_tensor(sign[:, None] * direction).to(p_O).reshape(p_O.shape)


def voxel_signed_distance(shape: Voxels, p_O: Tensor) -> Tensor:
    """(...,) exact signed distance [m] of points ``p_O`` (..., 3) from the occupied cells; differentiable once."""
    return measured(_voxel_distances, shape, p_O)


# --- fields -----------------------------------------------------------------------------------------------------------


def field_signed_distance(shape: DistanceField, p_O: Tensor) -> Tensor:
    """(...,) the interpolant of a field at points ``p_O`` (..., 3); beyond the grid a lower bound of the distance [m].

    That is the distance from the grid's nearest point, together with what the field says there: at a right angle, if
    that is not 0 or less, since all obstacles are in the grid, which is convex.
    """
    values = torch.as_tensor(np.array(shape.distances)).to(p_O)
    last = p_O.new_tensor([extent - 1 for extent in values.shape])
    u = p_O / shape.resolution
    q = torch.minimum(u.clamp(min=0.0), last)
    node = torch.minimum(q.detach().floor(), last - 1)
    t, (i, j, k) = q - node, node.long().unbind(-1)
    inner = torch.zeros_like(p_O[..., 0])
    for a, b, c in itertools.product((0, 1), repeat=3):
        x, y, z = (t[..., axis] if side else 1 - t[..., axis] for axis, side in enumerate((a, b, c)))
        inner = inner + x * y * z * values[i + a, j + b, k + c]
    off = (u - q) * shape.resolution
    beyond = (off != 0).any(dim=-1)
    there = torch.cat([off, inner.clamp(min=0.0).unsqueeze(-1)], dim=-1)
    return torch.where(beyond, torch.linalg.vector_norm(there, dim=-1), inner)


_BAND = 0.1
"""Points of the surface come from those whose value is within this of 0, in steps between nodes of their cell."""


def field_sampler(shape: DistanceField) -> Sampler | None:
    """Of the surface where the interpolant is 0; None if it is nowhere.

    Volume between two level sets, weighed by the slope, is area times the difference of the levels (the coarea
    formula); so points drawn there, and led down the slope, are spread evenly. Each cell has levels of its own: where a
    field is no distance, as beside a hole in what was seen, it is as steep as can be.
    """
    distances = shape.distances
    if not (cells.of_field(distances) & cells.of_field(-distances)).any():
        return None
    low, high = (_over_cells(distances, of, (0, 1, 2)) for of in (np.minimum, np.maximum))
    steps = _steps(distances)  # only where the surface is may they be those of a hole
    band = _BAND * np.where((low <= 0.0) & (high >= 0.0), steps, np.minimum(steps, shape.resolution))
    near_zero = (low <= band) & (high >= -band) & (band > 0.0)
    crossed, bands = np.argwhere(near_zero).astype(np.float64), band[near_zero].astype(np.float64)

    def looked_at(p: Array) -> tuple[Array, Array]:
        points = torch.tensor(p, requires_grad=True)
        value = field_signed_distance(shape, points)
        (gradient,) = torch.autograd.grad(value.sum(), points)
        return value.detach().numpy(), gradient.numpy()

    def near(count: int, rng: np.random.Generator) -> tuple[Array, float]:
        cell = rng.integers(len(crossed), size=count)
        p = (crossed[cell] + rng.random((count, 3))) * shape.resolution
        value, gradient = looked_at(p)
        inside = np.abs(value) < bands[cell]
        weight = np.linalg.norm(gradient, axis=1) / (2.0 * bands[cell])  # at most 1 / (_BAND * resolution)
        kept = inside & (rng.random(count) < weight * _BAND * shape.resolution)
        return p[kept], float(np.where(inside, weight, 0.0).mean())

    share = near(100_000, np.random.default_rng(0))[1]

    def sample(count: int, rng: np.random.Generator) -> Array:
        found = [np.empty((0, 3))]
        while (missing := count - sum(map(len, found))) > 0:
            p = near(max(8 * missing, 1000), rng)[0]
            for _ in range(8):
                value, gradient = looked_at(p)
                p = p - gradient * (value / np.maximum(np.square(gradient).sum(axis=1), 1e-12))[:, None]
            value, gradient = looked_at(p)
            found.append(p[np.abs(value) < 1e-7 * np.maximum(1.0, np.linalg.norm(gradient, axis=1))][:missing])
        return np.concatenate(found)

    return Sampler(share * len(crossed) * shape.resolution**3, sample) if share > 0.0 else None


def _over_cells(values: NDArray[np.float32], of: np.ufunc, axes: tuple[int, ...]) -> NDArray[np.float32]:
    """What ``of`` makes of neighbours along each of ``axes``: over all three, of the eight nodes of each cell."""
    for axis in axes:
        n = values.shape[axis]
        values = of(np.take(values, range(n - 1), axis), np.take(values, range(1, n), axis))
    return values


def _steps(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """(nx - 1, ny - 1, nz - 1) the largest difference between two nodes at an edge of each cell [m]."""
    along = (
        _over_cells(np.abs(np.diff(distances, axis=axis)), np.maximum, tuple({0, 1, 2} - {axis})) for axis in range(3)
    )
    return np.maximum.reduce(list(along))
