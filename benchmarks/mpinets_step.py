"""What a training step of Motion Policy Networks costs on one thread, example by example, and where it goes.

    python benchmarks/mpinets_step.py

Three networks side by side: the published one, the narrower one that shipped before, and the compact one; forward and
backward on random clouds, losses left out. Below: sampling and grouping, by their kernels and by their definitions in
torch. Times are those of the processor, medians, per example.
"""

from __future__ import annotations

import torch
from processor_time import median_ms
from torch import Tensor

from edmp.baselines.mpinets import grouping
from edmp.baselines.mpinets.compact import CompactConfig, CompactNetwork
from edmp.baselines.mpinets.network import MpinetsConfig, MpinetsNetwork
from edmp.baselines.mpinets.point_cloud import labelled
from edmp.robots import load_robot
from edmp.robots.kinematics import tool_pose
from edmp.threads import kernel_threads

NARROW = MpinetsConfig(
    num_robot_points=256,
    num_obstacle_points=512,
    num_target_points=64,
    centers_1=96,
    radius_1=0.12,
    neighbors_1=12,
    widths_1=(32, 32, 48),
    centers_2=24,
    neighbors_2=12,
    widths_2=(48, 64, 96),
    widths_global=(96, 192, 384),
    fc_widths=(512, 256, 256),
    step_scale=0.02,
)
PANDA = load_robot("panda")
LIMITS = PANDA.limits.lower.tolist(), PANDA.limits.upper.tolist()


def published_step(config: MpinetsConfig, batch: int) -> float:
    """[ms] an example, of a step of a network that sees everything as points."""
    network = MpinetsNetwork(config, *LIMITS)
    counts = (config.num_robot_points, config.num_obstacle_points, config.num_target_points)
    cloud, unit = labelled(*(torch.rand(batch, n, 3) for n in counts)), torch.rand(batch, 7)
    return median_ms(lambda: network(cloud, unit).square().sum().backward(), 5) / batch


def compact_step(batch: int, each: int) -> float:
    """[ms] an example, of a step of the compact network with ``each`` examples of a scene."""
    config = CompactConfig()
    network = CompactNetwork(config, *LIMITS)
    obstacle = torch.rand(batch // each, config.num_obstacle_points, 3)
    cloud = torch.arange(batch) // each
    q = torch.as_tensor(PANDA.home, dtype=torch.float32) + 0.3 * torch.randn(batch, 7)
    X_0T = tool_pose(PANDA, q + 0.2)

    def step() -> None:
        view = network.view(PANDA, obstacle, cloud, X_0T)
        network(PANDA, view, q).square().sum().backward()

    return median_ms(step, 5) / batch


def group_times() -> None:
    p, center = torch.rand(32, 768, 3), torch.rand(32, 48, 3)
    each = torch.arange(32)

    def compare(name: str, kernel: object, definition: object) -> None:
        times = [median_ms(one, 5) / 32 for one in (kernel, definition)]
        print(f"| {name} | {times[0]:.3f} | {times[1]:.3f} | {times[1] / times[0]:.1f} |")

    print("\n| of 768 points | kernel [ms] | torch [ms] | ratio |\n|---|---|---|---|")
    compare(
        "64 farthest",
        lambda: grouping.farthest_points(p, 64),
        lambda: grouping.farthest_points_definition(p, 64),
    )
    compare(
        "balls of 16 about 48",
        lambda: grouping.ball_query(p, center, 0.2, 16),
        lambda: grouping.ball_query_definition(p, center, 0.2, 16),
    )
    compare(
        "4 nearest of 48",
        lambda: grouping.nearest_points(p, each, center, 0.3, 4),
        lambda: grouping.nearest_points_definition(p, each, center, 0.3, 4),
    )


def parameters(network: torch.nn.Module) -> float:
    return sum(p.numel() for p in network.parameters() if isinstance(p, Tensor)) / 1e6


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with kernel_threads(1):
        print("| network | parameters [M] | step [ms an example] |\n|---|---|---|")
        for name, config, batch in (("published", MpinetsConfig(), 2), ("narrow", NARROW, 32)):
            count = parameters(MpinetsNetwork(config, *LIMITS))
            print(f"| {name} | {count:.2f} | {published_step(config, batch):.2f} |", flush=True)
        for each in (1, 16):
            count = parameters(CompactNetwork(CompactConfig(), *LIMITS))
            print(f"| compact, {each} of a scene | {count:.2f} | {compact_step(256, each):.2f} |", flush=True)
        group_times()
