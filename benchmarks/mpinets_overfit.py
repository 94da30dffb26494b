"""Can the compact policy learn a few scenes by heart, and what of it is needed for that?

    edmp generate --families tabletop --queries 12 --ways 3 --goals nearest --seed 41 --count 100 --out tiny
    python benchmarks/mpinets_overfit.py tiny --scenes 64 --steps 500 servo=true servo=false

Each variant (sizes of `CompactConfig`, separated by commas) is trained for some steps on the problems of the first
scenes; then it is tried on problems that it was trained on. What cannot be had here cannot be had anywhere.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from edmp.baselines.mpinets.compact import CompactConfig, CompactNetwork
from edmp.baselines.mpinets.compact_loss import CompactLoss
from edmp.baselines.mpinets.imitation_set import ImitationSettings
from edmp.baselines.mpinets.rollouts import held_out_success
from edmp.baselines.mpinets.steady_set import SteadySet
from edmp.learning.training import TrainSettings
from edmp.robots import load_robot

PANDA = load_robot("panda")
TRIED = 60


def learnt_by_heart(folder: str, config: CompactConfig, scenes: int, steps: int) -> dict[str, float]:
    """Shares of training problems solved, and processor time [s]."""
    settings = ImitationSettings(
        noise=0.06, cloud_points=2048, num_loss_points=64, max_scenes=scenes, joint_weight=0.05, scene_examples=16
    )
    data = SteadySet(folder, settings, config, validation_fraction=0.0, max_validation=1)
    torch.manual_seed(0)
    network = CompactNetwork(config, PANDA.limits.lower.tolist(), PANDA.limits.upper.tolist())
    loss, generator = CompactLoss(data, PANDA), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    schedule = TrainSettings(max_steps=steps, warmup_steps=100)
    begin = time.process_time()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate_at(step, step / steps)
        optimiser.zero_grad()
        loss(network, data.batch(256, generator), generator).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    spent = time.process_time() - begin
    paths = torch.arange(0, len(data), max(1, len(data) // TRIED))
    return {**held_out_success(network.eval(), PANDA, data, paths), "problems": len(paths), "seconds": round(spent)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("variants", nargs="*", default=["servo=true"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for variant in asked.variants:
        sizes = {key: json.loads(value) for key, value in (pair.split("=") for pair in variant.split(","))}
        shares = learnt_by_heart(asked.folder, CompactConfig(**sizes), asked.scenes, asked.steps)
        print(variant, {key: round(value, 3) for key, value in shares.items()}, flush=True)


if __name__ == "__main__":
    main()
