"""Exact signed distance from points to obstacles, in torch: negative inside, differentiable, batched.

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

from edmp.scenes.scene import Obstacle, Scene
from edmp.scenes.shapes import Box, Capsule, Cylinder, Mesh, Shape, Sphere


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
        from edmp.scenes.mesh_distance import mesh_signed_distance

        return mesh_signed_distance(shape, p_O)
    parameters, distance = PRIMITIVES[type(shape)]
    return distance(p_O, p_O.new_tensor(parameters(shape)))


def scene_distance(scene: Scene, p_W: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance of points from the nearest obstacle.

    Args:
        scene: the obstacles.
        p_W: (..., 3) points in the world [m].

    Returns:
        (...,) distance [m], infinite in an empty scene, and (...,) the index of that obstacle in the scene, -1 in an
        empty scene.
    """
    if len(scene) == 0:
        return p_W.new_full(p_W.shape[:-1], torch.inf), p_W.new_full(p_W.shape[:-1], -1, dtype=torch.long)
    columns: list[Tensor] = []
    order: list[int] = []
    for kind in {type(obstacle.shape): None for obstacle in scene}:  # in order of appearance
        members = [i for i, obstacle in enumerate(scene) if type(obstacle.shape) is kind]
        columns.append(_group_distance([scene.obstacles[i] for i in members], p_W))
        order += members
    distance, column = torch.cat(columns, dim=-1).min(dim=-1)
    return distance, torch.tensor(order, device=p_W.device)[column]


def scene_distance_gradient(scene: Scene, p_W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`scene_distance` with its gradient.

    Returns:
        (...,) distance [m], (..., 3) its gradient with respect to the point (zero in an empty scene), and (...,) the
        index of the nearest obstacle.
    """
    with torch.enable_grad():
        p = p_W.detach().requires_grad_()
        distance, index = scene_distance(scene, p)
        gradient = torch.autograd.grad(distance.sum(), p)[0] if len(scene) else torch.zeros_like(p)
    return distance.detach(), gradient, index


def _group_distance(obstacles: list[Obstacle], p_W: Tensor) -> Tensor:
    """(..., n) signed distances from n obstacles of the same type of shape."""
    X_WO = torch.stack([torch.as_tensor(obstacle.X_WO).to(p_W) for obstacle in obstacles])
    # R^T (p - t): the points (..., n, 3) in the frame of each obstacle
    p_O = torch.einsum("...ni,nij->...nj", p_W.unsqueeze(-2) - X_WO[:, :3, 3], X_WO[:, :3, :3])
    shapes = [obstacle.shape for obstacle in obstacles]
    if isinstance(shapes[0], Mesh):
        return torch.stack([signed_distance(shape, p_O[..., i, :]) for i, shape in enumerate(shapes)], dim=-1)
    parameters, distance = PRIMITIVES[type(shapes[0])]
    return distance(p_O, p_W.new_tensor([parameters(shape) for shape in shapes]))


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
