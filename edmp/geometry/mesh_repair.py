"""Faults of meshes from scanners and drawing programs: what can be mended with the shape as it is; thin shells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from edmp.errors import InvalidInputError

Array = NDArray[np.float64]
Faces = NDArray[np.int32]

GAPS = (0.0, 1e-6, 1e-5)
"""Vertices that are nearer than this to each other [m] are one, tried in this order."""

SLIVER = 1e-6
"""A triangle lower than this [m] has no area."""


SHELL = "Mesh.shell(vertices, faces, thickness=...), or the key thickness of a scene file, makes a thin solid of it"


def open_fault(vertices: Array, faces: Faces) -> str | None:
    """Why a surface is not closed and consistently wound, every edge walked as often one way as the other; or None.

    Vertices that coincide count as one.
    """
    _, merged = np.unique(vertices, axis=0, return_inverse=True)
    corners = merged.reshape(-1)[faces].astype(np.int64)
    tail, head = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    edge = np.minimum(tail, head) * len(vertices) + np.maximum(tail, head)
    edges, index = np.unique(edge, return_inverse=True)
    uses = np.bincount(index.reshape(-1), minlength=len(edges))
    balance = np.bincount(index.reshape(-1), weights=np.sign(head - tail), minlength=len(edges))
    if odd := int(np.count_nonzero(uses % 2)):
        return (
            f"Mesh is not closed (watertight): {odd} of its {len(edges)} edges bound an odd number of faces, and an "
            f"open surface has no inside; {SHELL}"
        )
    if flipped := int(np.count_nonzero(balance)):
        return (
            f"Mesh faces are wound inconsistently: {flipped} of its {len(edges)} edges are walked twice the same way; "
            f"make its normals agree (trimesh.repair.fix_normals), or take it as a surface: {SHELL}"
        )
    return None


def solid(vertices: Array, faces: Faces, *, thickness: float | None = None) -> tuple[Array, Faces, str]:
    """A closed surface: as given, else mended where its shape stays, else the shell of a thickness [m].

    Returns:
        vertices, faces, and what there is to be told of it; empty if nothing.

    Raises:
        InvalidInputError: it is open, and no thickness is given.
    """
    told = "" if thickness is None else "the surface is closed, so that it is a solid without a thickness"
    fault = open_fault(vertices, faces)
    if fault is None:
        return vertices, faces, told
    for kept, done in _mended(vertices, faces):
        if open_fault(vertices, kept) is None:
            return vertices, kept, f"the surface was not closed and has been mended: {done}"
    if thickness is None:
        raise InvalidInputError(fault)
    return *shell(vertices, faces, thickness), ""


def _mended(vertices: Array, faces: Faces) -> Iterator[tuple[Faces, str]]:
    """Faces of the same surface without what may keep it open, the mildest change first; each with what was done."""
    for gap in GAPS:
        joined = _joined(vertices, gap)[faces]
        for sliver, facing in ((0.0, False), (0.0, True), (SLIVER, False), (SLIVER, True)):
            kept, doubled = _once(joined, facing=facing)
            if sliver:
                kept = kept[_height(vertices[kept]) >= sliver]
            done = [f"vertices up to {gap:g} m apart joined"] if gap else []
            done += [f"{doubled} doubled facets left out"] if doubled else []
            flat = len(faces) - len(kept) - doubled
            done += [f"{flat} facets without area left out"] if flat else []
            if len(kept) and done:
                yield kept.astype(np.int32), ", ".join(done)


def shell(vertices: Array, faces: Faces, thickness: float) -> tuple[Array, Faces]:
    """A closed mesh around an open surface: every triangle becomes a plate, half of the thickness on either side."""
    faces = faces[_height(vertices[faces]) > 1e-12]
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    offset = normal[:, None, :] * (thickness / 2)
    points = np.concatenate([corners + offset, corners - offset], axis=1)  # (F, 6, 3): above 0 1 2, below 3 4 5
    plate = np.array(
        [[0, 1, 2], [3, 5, 4], [0, 4, 1], [0, 3, 4], [1, 5, 2], [1, 4, 5], [2, 3, 0], [2, 5, 3]], dtype=np.int32
    )
    return points.reshape(-1, 3), (plate + 6 * np.arange(len(faces), dtype=np.int32)[:, None, None]).reshape(-1, 3)


def _joined(vertices: Array, gap: float) -> NDArray[np.int64]:
    """(V,) for every vertex the one that stands for it: the first of those that lie together."""
    _, first, index = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    index = index.reshape(-1)
    if gap:
        points = vertices[first]
        # Cells of the size of the gap come first: were all points in one place, their pairs would fill the memory.
        _, one, cell = np.unique(np.floor(points / gap), axis=0, return_index=True, return_inverse=True)
        pairs = cKDTree(points[one]).query_pairs(gap, output_type="ndarray")
        links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(one), len(one)))
        group = connected_components(links, directed=False)[1][cell.reshape(-1)]
        _, leader, group = np.unique(group, return_index=True, return_inverse=True)
        first, index = first[leader], group.reshape(-1)[index]
    return first[index]


def _once(corners: NDArray[np.int64], *, facing: bool) -> tuple[NDArray[np.int64], int]:
    """Facets with three corners, each once; and how many were left out as doubles.

    Facets with the same corners that face each other take each other away, unless ``facing``: then the first stays.
    """
    different = (corners != np.roll(corners, -1, axis=1)).all(axis=1)
    corners = corners[different]
    if not len(corners):
        return corners, 0
    start = corners.argmin(axis=1)[:, None]
    turned = np.take_along_axis(corners, (start + np.arange(3)) % 3, axis=1)  # the same facet, the least corner first
    side = np.where(turned[:, 1] < turned[:, 2], 1, -1)
    _, first, index = np.unique(np.sort(corners, axis=1), axis=0, return_index=True, return_inverse=True)
    index = index.reshape(-1)
    net = np.sign(np.bincount(index, weights=side))
    if facing:
        net = np.where(net == 0, side[first], net)
    agreeing = np.flatnonzero(side == net[index])
    kept = agreeing[np.unique(index[agreeing], return_index=True)[1]]
    return corners[np.sort(kept)], len(corners) - len(kept)


def _height(corners: Array) -> Array:
    """(F,) of triangles (F, 3, 3) over their longest sides [m]."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(axis=1)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.divide(area, sides, out=np.zeros(len(sides)), where=sides > 0)
