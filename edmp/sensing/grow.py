"""Sets of cells, grown by a distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.bool_]


def grown(cells: Cells, distance: float, edge: float) -> Cells:
    """A new set: all cells that come nearer than ``distance`` [m] to one of ``cells`` (nx, ny, nz), ``edge`` [m] wide.

    So whatever is in one of ``cells`` is surrounded by that distance at least. The reach along z is grown first, once
    for each of the reaches that a shift across it leaves.
    """
    if distance <= 0 or not cells.any():
        return cells.copy()
    ratio = distance / edge
    reach = int(np.ceil(ratio - 1e-9))
    shifts: dict[int, list[tuple[int, int]]] = {}
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            left = ratio**2 - max(abs(i) - 1, 0) ** 2 - max(abs(j) - 1, 0) ** 2
            if left > 1e-9:
                shifts.setdefault(int(np.ceil(np.sqrt(left) - 1e-9)), []).append((i, j))
    result = np.zeros_like(cells)
    for up, across in shifts.items():
        column = cells.copy()
        for k in range(1, up + 1):
            column[..., k:] |= cells[..., : cells.shape[2] - k]
            column[..., : cells.shape[2] - k] |= cells[..., k:]
        for i, j in across:
            (to_i, from_i), (to_j, from_j) = _overlap(i, cells.shape[0]), _overlap(j, cells.shape[1])
            result[to_i, to_j] |= column[from_i, from_j]
    return result


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where cells go that are moved by ``shift``, and where they come from."""
    return slice(max(shift, 0), size + min(shift, 0)), slice(max(-shift, 0), size - max(shift, 0))
