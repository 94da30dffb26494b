"""The network of Motion Policy Networks (Fishman et al. 2022, CoRL): a point cloud and a configuration in, a step out.

The cloud holds points of the robot, of the obstacles and of the gripper at the target, told apart by one feature. A
PointNet++ (Qi et al. 2017) of two local and one global set abstraction encodes it, an MLP encodes the configuration,
and a decoder predicts the displacement to the next configuration; joints are scaled so that their limits lie at -1
and 1. The defaults of `MpinetsConfig` are the published sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edmp.baselines.mpinets.grouping import ball_query, farthest_points
from edmp.errors import InvalidInputError
from edmp.ranges import Range, check_fields

LABELS = 1
"""Features of a point beside its position: what it belongs to."""


@dataclass(frozen=True)
class MpinetsConfig:
    """Sizes of the network and of its cloud.

    Attributes:
        num_robot_points, num_obstacle_points, num_target_points: of the cloud.
        centers_1, centers_2: points that the two local set abstractions keep.
        radius_1, radius_2: of their balls [m].
        neighbors_1, neighbors_2: points they look at in a ball.
        widths_1, widths_2, widths_global: of the layers of the three set abstractions.
        fc_widths: of the layers after them; the last is the cloud's code.
        fc_groups: of the group normalisation between those.
        encoder_widths: of the layers that encode the configuration.
        decoder_widths: of the hidden layers of the decoder.
        step_scale: the decoder's output times this is the step. About the size of an expert's step makes training from
            scratch possible: else Adam's jitter in the last layer is larger than a step, and what is learnt is to stand
            still. Published: 1.
    """

    num_robot_points: int = 2048
    num_obstacle_points: int = 4096
    num_target_points: int = 128
    centers_1: int = 512
    centers_2: int = 128
    radius_1: float = 0.05
    radius_2: float = 0.3
    neighbors_1: int = 128
    neighbors_2: int = 128
    widths_1: tuple[int, ...] = (64, 64, 64)
    widths_2: tuple[int, ...] = (128, 128, 256)
    widths_global: tuple[int, ...] = (512, 512, 1024)
    fc_widths: tuple[int, ...] = (4096, 2048, 2048)
    fc_groups: int = 16
    encoder_widths: tuple[int, ...] = (32, 64, 128, 128, 64)
    decoder_widths: tuple[int, ...] = (512, 256, 128)
    step_scale: float = 1.0

    def __post_init__(self) -> None:
        count, widths = Range(1, whole=True), Range(1, whole=True, several=True)
        counts = ["num_robot_points", "num_obstacle_points", "num_target_points", "fc_groups"]
        counts += ["centers_1", "centers_2", "neighbors_1", "neighbors_2"]
        layers = ["widths_1", "widths_2", "widths_global", "fc_widths", "encoder_widths", "decoder_widths"]
        radii = dict.fromkeys(["radius_1", "radius_2", "step_scale"], Range(0, above=True))
        check_fields(self, {**dict.fromkeys(counts, count), **radii, **dict.fromkeys(layers, widths)})
        for name in layers:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for width in self.fc_widths[:-1]:
            if width % self.fc_groups:
                raise InvalidInputError(f"fc_widths: {width} cannot be split into fc_groups={self.fc_groups} groups")


class Points(NamedTuple):
    """Positions (B, n, 3) [m] and features (B, n, c)."""

    p: Tensor
    feature: Tensor


class SetAbstraction(nn.Module):
    """Neighbours pooled into one point: the maximum of a shared MLP of their offsets from it and their features.

    Offsets are divided by the radius. In metres, as published, they are tiny beside the features, and training is
    slow; the factor only rescales three columns of the first layer, which `weights.load_official` makes up for.
    """

    def __init__(self, centers: int, radius: float, neighbors: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.centers, self.radius, self.neighbors = centers, radius, neighbors
        self.mlp = shared_mlp([3 + widths[0], *widths[1:]])

    def forward(self, points: Points) -> Points:
        """(B, n) points to (B, centers)."""
        p, feature = points
        center = gathered(p, farthest_points(p, self.centers))
        index = ball_query(p, center, self.radius, self.neighbors)
        offset = (gathered(p, index) - center.unsqueeze(2)) / self.radius
        code = self.mlp(torch.cat([offset, gathered(feature, index)], dim=-1))
        # amax shares the gradient among equals, which are copies of one point, or zeros that let no gradient through
        return Points(center, code.amax(dim=2))


class MpinetsNetwork(nn.Module):
    """Steps of a policy; buffers ``lower`` and ``upper`` (dof,) hold the joint limits [rad] that scale its input."""

    lower: Tensor
    upper: Tensor

    def __init__(self, config: MpinetsConfig, lower: Sequence[float], upper: Sequence[float]) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("lower", torch.tensor(lower, dtype=torch.float32))
        self.register_buffer("upper", torch.tensor(upper, dtype=torch.float32))
        c, dof = config, len(lower)
        self.local = nn.ModuleList(
            [
                SetAbstraction(c.centers_1, c.radius_1, c.neighbors_1, [LABELS, *c.widths_1]),
                SetAbstraction(c.centers_2, c.radius_2, c.neighbors_2, [c.widths_1[-1], *c.widths_2]),
            ]
        )
        self.whole = shared_mlp([3 + c.widths_2[-1], *c.widths_global])
        fc: list[nn.Module] = []
        for before, width in pairwise([c.widths_global[-1], *c.fc_widths]):
            fc += [linear(before, width), nn.GroupNorm(c.fc_groups, width), nn.LeakyReLU()]
        self.fc = nn.Sequential(*fc[:-2])  # the last layer is bare
        self.encoder = leaky_mlp([dof, *c.encoder_widths])
        decoder = [c.fc_widths[-1] + c.encoder_widths[-1], *c.decoder_widths, dof]
        self.decoder = leaky_mlp(decoder)

    def forward(self, cloud: Tensor, unit: Tensor) -> Tensor:
        """The step to take.

        Args:
            cloud: (B, n, 4) positions in the frame of the robot's base [m] and labels, see `point_cloud.labelled`.
            unit: (B, dof) scaled configurations, see `scaled`.

        Returns:
            (B, dof) displacement, scaled.
        """
        points = Points(cloud[..., :3].contiguous(), cloud[..., 3:])
        for abstraction in self.local:
            points = abstraction(points)
        code = self.whole(torch.cat(points, dim=-1)).amax(dim=1)
        return self.config.step_scale * self.decoder(torch.cat([self.fc(code), self.encoder(unit)], dim=-1))

    def next_unit(self, cloud: Tensor, unit: Tensor) -> Tensor:
        """(B, dof) the scaled configuration after the step, within the limits."""
        return (unit + self(cloud, unit)).clamp(-1.0, 1.0)

    def scaled(self, q: Tensor) -> Tensor:
        """(..., dof) configurations [rad], limits put at -1 and 1."""
        return 2 * (q - self.lower) / (self.upper - self.lower) - 1

    def unscaled(self, unit: Tensor) -> Tensor:
        """(..., dof) [rad]: inverse of `scaled`."""
        return (unit + 1) / 2 * (self.upper - self.lower) + self.lower


def gathered(values: Tensor, index: Tensor) -> Tensor:
    """(B, ..., c) rows of ``values`` (B, n, c) at ``index`` (B, ...)."""
    first_row = torch.arange(len(values), device=values.device) * values.shape[1]
    rows = index + first_row.view(-1, *[1] * (index.ndim - 1))
    return values.flatten(0, 1).index_select(0, rows.flatten()).view(*index.shape, values.shape[2])


def shared_mlp(widths: Sequence[int]) -> nn.Sequential:
    """The same MLP for every point, ReLU after each layer."""
    layers: list[nn.Module] = []
    for before, width in pairwise(widths):
        layers += [linear(before, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def leaky_mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for before, width in pairwise(widths[:-1]):
        layers += [linear(before, width), nn.LeakyReLU()]
    return nn.Sequential(*layers, linear(widths[-2], widths[-1]))


def linear(before: int, width: int) -> nn.Linear:
    """A layer whose output varies as much as its input (He et al. 2015).

    Torch's own initialisation, which was published, shrinks what a target changes by a third a layer: training then
    stays for long where nothing moves.
    """
    layer = nn.Linear(before, width)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
