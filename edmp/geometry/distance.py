"""Exact signed distance from points to shapes, in torch: negative inside, differentiable, batched.

Distances are to the true surface, inside as well as outside. Gradients are finite everywhere and of unit length almost
everywhere; where the nearest surface point is not unique (centres, axes, medial planes) one of the directions to a
nearest point is taken, so that descent never gets stuck there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from edmp.geometry.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere


def signed_distance(shape: Shape, p_O: Tensor) -> Tensor:
    """Signed distance of points from a shape.

    Args:
        shape: box, cylinder, capsule, sphere or mesh.
        p_O: (..., 3) points in the frame of the shape [m].

    Returns:
        (...,) [m], in the dtype and on the device of ``p_O``. For a mesh it is computed in single precision, and can be
        differentiated once.
    """
    if isinstance(shape, Mesh):
        from edmp.geometry.mesh_distance import mesh_signed_distance

        return mesh_signed_distance(shape, p_O)
    parameters, distance = PRIMITIVES[type(shape)]
    return distance(p_O, p_O.new_tensor(parameters(shape)))


# --- primitives: points (..., 3) and parameters (..., k), broadcast --------------------------------------------------


def _box(p: Tensor, half: Tensor) -> Tensor:
    return _cuboid(_abs(p) - half)


def _cylinder(p: Tensor, size: Tensor) -> Tensor:
    radius, half_length = size.unbind(-1)
    return _cuboid(torch.stack([_norm(p[..., :2]) - radius, _abs(p[..., 2]) - half_length], dim=-1))


def _capsule(p: Tensor, size: Tensor) -> Tensor:
    radius, half_length = size.unbind(-1)
    z = p[..., 2]
    beyond = z - torch.minimum(torch.maximum(z, -half_length), half_length)
    return _norm(torch.stack([p[..., 0], p[..., 1], beyond], dim=-1)) - radius


def _sphere(p: Tensor, radius: Tensor) -> Tensor:
    return _norm(p) - radius[..., 0]


PRIMITIVES: Mapping[type[Shape], tuple[Callable[[Any], list[float]], Callable[[Tensor, Tensor], Tensor]]] = {
    Box: (lambda shape: [extent / 2 for extent in shape.size], _box),
    Cylinder: (lambda shape: [shape.radius, shape.length / 2], _cylinder),
    Capsule: (lambda shape: [shape.radius, shape.length / 2], _capsule),
    Sphere: (lambda shape: [shape.radius], _sphere),
}
"""For each primitive: its parameters as numbers, and the distance of points in its frame given these."""


def _cuboid(excess: Tensor) -> Tensor:
    """Signed distance from an axis-aligned cuboid, of points that lie ``excess`` (..., k) beyond its faces."""
    outside = torch.linalg.vector_norm(excess.clamp(min=0.0), dim=-1)  # its gradient at zero is zero
    # max over a dim sends the gradient to one face, where amax would split it among ties
    inside = excess.max(dim=-1).values.clamp(max=0.0)
    return outside + inside


def _abs(x: Tensor) -> Tensor:
    """|x|, with slope 1 at zero."""
    return torch.where(x >= 0, x, -x)


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm over the last dim, whose gradient at zero, or where squares lose digits, is the first axis."""
    norm = torch.linalg.vector_norm(x, dim=-1)
    finfo = torch.finfo(x.dtype)
    return torch.where(norm > math.sqrt(finfo.tiny / finfo.eps), norm, x[..., 0])
