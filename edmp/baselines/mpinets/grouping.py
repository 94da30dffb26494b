"""Which points a PointNet++ looks at together: farthest point sampling and ball query (Qi et al. 2017, NeurIPS).

Each has a definition in torch, which also serves CUDA, and a Warp kernel for the CPU; both give the same indices. They
agree with the CUDA kernels that Motion Policy Networks was trained with (the package pointnet2_ops), whose conventions
matter to its weights: sampling begins at the first point; a point within about 3 cm of the origin is never chosen after
that; a ball holds its first points in the order of the cloud, and is filled up with the very first of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edmp.baselines.mpinets import grouping_kernels as kernels
from edmp.collision.launch import launch_rows
from edmp.warp_start import wp

CURVE_BITS = 6
"""Cells an axis of the curve are two to this power."""


def farthest_points(p: Tensor, count: int) -> Tensor:
    """Indices of points far from each other: each is the farthest from all those chosen before it.

    Args:
        p: (B, n, 3) float32 points, n >= 1.
        count: how many to choose; some come twice if n is smaller.

    Returns:
        (B, count) int64, the first being 0.
    """
    if p.is_cuda:
        return farthest_points_definition(p, count)
    p = p.detach().contiguous()
    scratch, chosen = p.new_empty(p.shape[:2]), torch.empty(p.shape[0], count, dtype=torch.int32)
    outputs = [wp.from_torch(scratch), wp.from_torch(chosen)]
    launch_rows(kernels.farthest_points, p.shape[0], (), [wp.from_torch(p, dtype=wp.vec3)], outputs, "cpu")
    return chosen.long()


def ball_query(p: Tensor, center: Tensor, radius: float, count: int) -> Tensor:
    """Indices of the first ``count`` points within a ball about each centre.

    Args:
        p: (B, n, 3) float32 points.
        center: (B, m, 3).
        radius: of the open ball [m].
        count: indices a ball; a ball with fewer points repeats its first, one without any gets point 0.

    Returns:
        (B, m, count) int64.
    """
    if p.is_cuda:
        return ball_query_definition(p, center, radius, count)
    p, center = p.detach().contiguous(), center.detach().contiguous()
    index = torch.empty(*center.shape[:2], count, dtype=torch.int32)
    inputs = [wp.from_torch(p, dtype=wp.vec3), wp.from_torch(center, dtype=wp.vec3), radius]
    launch_rows(kernels.ball_query, p.shape[0], (center.shape[1],), inputs, [wp.from_torch(index)], "cpu")
    return index.long()


def nearest_points(p: Tensor, cloud: Tensor, center: Tensor, radius: float, count: int) -> Tensor:
    """Indices of the nearest points within a ball about each centre, nearest first.

    Unlike `ball_query`, several rows may look at one cloud, and a ball takes its nearest points, not its first. Points
    that follow each other are boxed together and passed over together: in `along_a_curve` they are found sooner.

    Args:
        p: (G, n, 3) float32 clouds.
        cloud: (B,) int64, which cloud each row looks at.
        center: (B, m, 3).
        radius: of the open ball [m].
        count: most indices a ball.

    Returns:
        (B, m, count) int64, -1 where a ball has no more points.
    """
    if p.is_cuda:
        return nearest_points_definition(p, cloud, center, radius, count)
    p, center = p.detach().contiguous(), center.detach().contiguous()
    index = torch.empty(*center.shape[:2], count, dtype=torch.int32)
    squared = torch.empty(index.shape)
    lower, upper = _boxes(p)
    points = [wp.from_torch(each, dtype=wp.vec3) for each in (p, lower, upper)]
    inputs = [*points, wp.from_torch(cloud.int()), wp.from_torch(center, dtype=wp.vec3), radius]
    outputs = [wp.from_torch(index), wp.from_torch(squared)]
    launch_rows(kernels.nearest_points, center.shape[0], (center.shape[1],), inputs, outputs, "cpu")
    return index.long()


def along_a_curve(p: Tensor) -> Tensor:
    """Points (G, n, 3) in the order of a curve that fills space (Morton 1966): neighbours follow each other."""
    low, high = p.amin(dim=1, keepdim=True), p.amax(dim=1, keepdim=True)
    last = (1 << CURVE_BITS) - 1
    cell = ((p - low) / (high - low).clamp(min=1e-6) * last).long()
    code = torch.zeros_like(cell[..., 0])
    for bit in range(CURVE_BITS):
        for axis in range(3):
            code |= ((cell[..., axis] >> bit) & 1) << (3 * bit + axis)
    return p.gather(1, code.argsort(dim=1)[..., None].expand(-1, -1, 3))


def _boxes(p: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper corners (G, k, 3) about each `kernels.BOXED` points in a row of clouds (G, n, 3)."""
    short = -p.shape[1] % kernels.BOXED
    rows = torch.cat([p, p[:, -1:].expand(-1, short, 3)], dim=1).unflatten(1, (-1, kernels.BOXED))
    return rows.amin(dim=2).contiguous(), rows.amax(dim=2).contiguous()


def farthest_points_definition(p: Tensor, count: int) -> Tensor:
    """`farthest_points` in torch."""
    rows = torch.arange(p.shape[0], device=p.device)
    chosen = torch.zeros(p.shape[0], count, dtype=torch.long, device=p.device)
    nearest = torch.where(p.square().sum(-1) <= float(kernels.ORIGIN_SQUARED), -1.0, torch.inf)
    for i in range(1, count):
        last = p[rows, chosen[:, i - 1]].unsqueeze(1)
        nearest = torch.minimum(nearest, (p - last).square().sum(-1))
        chosen[:, i] = nearest.argmax(dim=1)
    return chosen


def ball_query_definition(p: Tensor, center: Tensor, radius: float, count: int) -> Tensor:
    """`ball_query` in torch."""
    n = p.shape[1]
    inside = (center.unsqueeze(2) - p.unsqueeze(1)).square().sum(-1) < radius * radius
    order = torch.where(inside, torch.arange(n, device=p.device), n)
    index = order.topk(min(count, n), dim=-1, largest=False).values
    index = torch.nn.functional.pad(index, (0, count - index.shape[-1]), value=n)
    first = index[..., :1]
    return torch.where(index < n, index, torch.where(first < n, first, 0))


def nearest_points_definition(p: Tensor, cloud: Tensor, center: Tensor, radius: float, count: int) -> Tensor:
    """`nearest_points` in torch."""
    squared = (center.unsqueeze(2) - p[cloud].unsqueeze(1)).square().sum(-1)
    nearest = squared.topk(min(count, p.shape[1]), dim=-1, largest=False)
    index = torch.where(nearest.values < radius * radius, nearest.indices, -1)
    return torch.nn.functional.pad(index, (0, count - index.shape[-1]), value=-1)
