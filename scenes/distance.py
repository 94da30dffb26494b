"""Exact signed distance from points to the obstacles of a scene: `edmp.geometry.distance`, over all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.geometry.distance import signed_distances
from edmp.scenes.scene import Obstacle, Scene


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
    return signed_distances([obstacle.shape for obstacle in obstacles], p_O)
