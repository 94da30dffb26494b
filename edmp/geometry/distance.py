"""Exact signed distance from points to shapes, in torch: negative inside, differentiable, batched.

Distances are to the true surface, inside as well as outside. Gradients are finite everywhere and of unit length almost
everywhere; where the nearest surface point is not unique (centres, axes, medial planes) one of the directions to a
nearest point is taken, so that descent never gets stuck there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edmp.geometry.kinds import as_mesh, kind_of
from edmp.geometry.shapes import Shape


def signed_distance(shape: Shape, p_O: Tensor) -> Tensor:
    """Signed distance of points from a shape.

    Args:
        shape: of any kind; of one without a formula, or a measure of its own, the mesh that stands for it is taken.
        p_O: (..., 3) points in the frame of the shape [m].

    Returns:
        (...,) [m], in the dtype and on the device of ``p_O``. For a mesh it is computed in single precision, and can be
        differentiated once.
    """
    kind = kind_of(shape)
    if kind.measured is not None:
        return kind.measured(shape, p_O)
    if kind.distance is None or kind.numbers is None:
        from edmp.geometry.mesh_distance import mesh_signed_distance  # starts Warp, which formulas need not

        return mesh_signed_distance(as_mesh(shape), p_O)
    return kind.distance(p_O, p_O.new_tensor(kind.numbers(shape)))


def signed_distances(shapes: Sequence[Shape], p_O: Tensor) -> Tensor:
    """(..., n) signed distances of points from n shapes of one kind, ``p_O`` (..., n, 3) in the frame of each [m]."""
    kind = kind_of(shapes[0])
    if kind.distance is None or kind.numbers is None:
        return torch.stack([signed_distance(shape, p_O[..., i, :]) for i, shape in enumerate(shapes)], dim=-1)
    return kind.distance(p_O, p_O.new_tensor([kind.numbers(shape) for shape in shapes]))
