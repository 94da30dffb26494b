"""OctoMap's trees, .bt (occupied, free) and .ot (log-odds): their occupied leaves as the cells of one grid.

After the format as OctoMap 1.10 writes it (Hornung et al., "OctoMap", Autonomous Robots 2013, and its source). It has
16 levels; cell (i, j, k) of the finest is the box from (i, j, k) - 2^15 to one more, times the resolution, in the frame
of the map. A leaf that stands for many cells becomes all of these. What is free or unknown is no obstacle.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError
from edmp.files.reading import read_bytes
from edmp.geometry.sensed import MAX_CELLS, Voxels

DEPTH = 16

_FREE_LEAF, _OCCUPIED_LEAF, _INNER = 1, 2, 3  # the two bits of a child, as bit 2i + 2 * bit 2i + 1; 0: unknown
_BITS = [[(byte >> shift) & 3 for shift in (0, 2, 4, 6)] for byte in range(256)]

EXTRA_BYTES = {"OcTree": 0, "ColorOcTree": 3}
"""What a node of a full tree holds behind its log-odds, by the kind of tree."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """Occupied leaves of a tree.

    Attributes:
        low: (n, 3) first cell of each, counted from the lowest corner of the tree.
        size: (n,) cells along each edge.
    """

    low: NDArray[np.int64]
    size: NDArray[np.int64]


class OctreeError(FileFormatError):
    """What is wrong with a tree; where, is still to be said."""


def load_octree(path: Path) -> tuple[Voxels, NDArray[np.float64]]:
    """The occupied cells of a .bt or .ot file, and where their grid begins: (3,) in the frame of the map [m].

    Raises:
        FileFormatError: it is not there, no such tree, cut off, without occupied cells, or too large.
    """
    data = read_bytes(path, "octree")
    try:
        head = re.match(rb"# Octomap OcTree (binary )?file\n(.{0,4096}?)\ndata\n", data, re.DOTALL)
        if head is None:
            raise OctreeError("no octree: it begins with '# Octomap OcTree binary file' or '# Octomap OcTree file'")
        entries = dict(
            line.split(None, 1) for line in head[2].splitlines() if len(line.split()) > 1 and not line.startswith(b"#")
        )
        kind = entries.get(b"id", b"OcTree").strip().decode("latin-1")
        try:
            resolution = float(entries[b"res"])
        except (KeyError, ValueError):
            raise OctreeError("its header says no resolution: expected a line such as 'res 0.05'") from None
        found = voxels_of(data[head.end() :], resolution, kind=kind, binary=head[1] is not None)
        if found is None:
            raise OctreeError("none of its cells is occupied; leave it out of the scene")
        return found
    except OctreeError as fault:
        raise FileFormatError(f"{path}: {fault}") from None


def voxels_of(data: bytes, resolution: float, *, kind: str, binary: bool) -> tuple[Voxels, NDArray[np.float64]] | None:
    """The occupied cells of a tree without its header, as `load_octree`; None if there are none.

    Args:
        data: the nodes.
        resolution: edge of the finest cells [m].
        kind: of the tree, `EXTRA_BYTES` has those that are known.
        binary: whether it says occupied and free only.

    Raises:
        OctreeError: what is wrong with it.
    """
    if kind not in EXTRA_BYTES:
        raise OctreeError(f"trees of kind {kind!r:.40} are not read; expected one of {', '.join(EXTRA_BYTES)}")
    if not 1e-6 < resolution < 1e3:
        raise OctreeError(f"its resolution is {resolution:g} m; expected the edge of its cells")
    leaves = _binary_leaves(data) if binary else _full_leaves(data, EXTRA_BYTES[kind])
    if not len(leaves.low):
        return None
    low = leaves.low.min(axis=0)
    shape = (leaves.low + leaves.size[:, None]).max(axis=0) - low
    if np.prod(shape.astype(float)) > MAX_CELLS:
        extent = " x ".join(f"{side * resolution:.4g}" for side in shape)
        raise OctreeError(
            f"its occupied cells extend over {extent} m at {resolution:g} m: more than {MAX_CELLS} cells; "
            "cut out what the arm can reach, or make it coarser"
        )
    occupancy = np.zeros(shape, dtype=np.bool_)
    for size in np.unique(leaves.size):
        at = leaves.low[leaves.size == size] - low
        if size == 1:
            occupancy[tuple(at.T)] = True
            continue
        for i, j, k in at:
            occupancy[i : i + size, j : j + size, k : k + size] = True
    return Voxels(occupancy, resolution), (low - 2 ** (DEPTH - 1)) * resolution


def _binary_leaves(data: bytes) -> Leaves:
    """Two bytes a node that has children, the first four children in the first; then the children's, depth first."""
    found: list[tuple[int, int, int, int]] = []
    stack, at, end = [(0, 0, 0, 1 << DEPTH)], 0, len(data)
    while stack:
        x, y, z, size = stack.pop()
        if at + 2 > end:
            raise OctreeError("its nodes end too early: cut off?")
        half = size >> 1
        if not half:
            raise OctreeError(f"it is more than {DEPTH} levels deep: damaged?")
        children = _BITS[data[at]] + _BITS[data[at + 1]]
        at += 2
        inner: list[tuple[int, int, int, int]] = []
        for i, child in enumerate(children):
            if child >= _OCCUPIED_LEAF:
                corner = (x + (i & 1) * half, y + (i >> 1 & 1) * half, z + (i >> 2) * half, half)
                (inner if child == _INNER else found).append(corner)
        stack.extend(reversed(inner))
    return _leaves(found, end - at)


def _full_leaves(data: bytes, extra: int) -> Leaves:
    """Log-odds, what the kind adds, and a byte of which children there are; then these, depth first."""
    found: list[tuple[int, int, int, int]] = []
    stack, at, length = [(0, 0, 0, 1 << DEPTH)], 0, 5 + extra
    odds = struct.Struct("<f").unpack_from
    while stack:
        x, y, z, size = stack.pop()
        if at + length > len(data):
            raise OctreeError("its nodes end too early: cut off?")
        value, children = odds(data, at)[0], data[at + length - 1]
        at += length
        if not children:
            if value >= 0.0:  # as probable as not: OctoMap's own threshold
                found.append((x, y, z, size))
            continue
        half = size >> 1
        if not half:
            raise OctreeError(f"it is more than {DEPTH} levels deep: damaged?")
        stack.extend(
            (x + (i & 1) * half, y + (i >> 1 & 1) * half, z + (i >> 2) * half, half)
            for i in range(7, -1, -1)
            if children >> i & 1
        )
    return _leaves(found, len(data) - at)


def _leaves(found: list[tuple[int, int, int, int]], left: int) -> Leaves:
    if left:
        raise OctreeError(f"{left} bytes follow its last node: damaged?")
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    return Leaves(table[:, :3], table[:, 3])
