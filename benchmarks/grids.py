"""Occupied cells and fields of distances in the collision engine: time by the number of cells, and what it answers.

    python benchmarks/grids.py

Fifteen boxes in a cell of 2 m, as one grid of 50 to 200 cells along each axis. Times are those of the processor,
medians, on one thread; a clearance is that of 3200 configurations of a Panda.
"""

from __future__ import annotations

import numpy as np
import torch
from processor_time import median_ms

import edmp
from edmp.collision.grids import packed_field, packed_voxels
from edmp.collision.kernels.grids import FieldGrid, VoxelGrid, field_distance, voxel_distance
from edmp.collision.world import World
from edmp.costs import Margins, SphereClearance
from edmp.costs.benchmark import random_boxes, straight_motions
from edmp.geometry.distance import signed_distance
from edmp.geometry.kinds import bounds
from edmp.scenes.distance import scene_distance
from edmp.threads import kernel_threads
from edmp.warp_start import wp

COUNTS, SIDE, REACH = (50, 100, 200), 2.0, 0.1  # cells along an axis, [m], [m]


@wp.kernel
def in_cells(grid: VoxelGrid, p: wp.array(dtype=wp.vec3), reach: float, out: wp.array(dtype=float)):
    i = wp.tid()
    out[i] = voxel_distance(grid, p[i], reach)[3]


@wp.kernel
def in_field(grid: FieldGrid, p: wp.array(dtype=wp.vec3), reach: float, out: wp.array(dtype=float)):
    i = wp.tid()
    out[i] = field_distance(grid, p[i])[3]


def main() -> None:
    rng, panda, boxes = np.random.default_rng(0), edmp.load_robot("panda"), random_boxes(np.random.default_rng(0), 15)
    q = straight_motions(panda, rng, 50)
    cost, margins = SphereClearance(), Margins.of(q, clearance=0.03)
    clearance = median_ms(lambda: cost.value_and_gradient(World.of(panda, boxes), q, margins), 9)
    print("| cells | kind | packed [ms] | a query [ns] | over, under the true, at most [mm] | clearance [ms] |")
    print(f"|---|---|---|---|---|---|\n| | the boxes | | | | {clearance:.1f} |")
    corner = np.array([-1.0, -1.0, -0.5])
    for count in COUNTS:
        edge = SIDE / count
        nodes = torch.tensor(np.stack(np.indices((count + 1,) * 3), axis=-1) * edge + corner, dtype=torch.float32)
        distances = scene_distance(boxes, nodes)[0].numpy()
        shapes = {
            "voxels": (edmp.Voxels(distances[:-1, :-1, :-1] <= 0, edge), packed_voxels, in_cells),
            "field": (edmp.DistanceField(distances, edge), packed_field, in_field),
        }
        for kind, (shape, pack, kernel) in shapes.items():
            packed = pack(shape, "cpu")
            p = rng.uniform(0, SIDE, (60_000, 3))
            true = signed_distance(shape, torch.tensor(p)).numpy()
            near = (true > 0) & (true < REACH)
            about = wp.array((p - np.mean(bounds(shape), axis=0))[near].astype(np.float32), dtype=wp.vec3)
            out = wp.zeros(int(near.sum()), dtype=float)
            ask = lambda: wp.launch(kernel, len(out), [packed, about, 1e3], [out])  # noqa: B023, E731
            ask()
            off = 1e3 * (out.numpy() - true[near])
            query, packing = median_ms(ask), median_ms(lambda: pack(shape, "cpu"), 3)  # noqa: B023
            world = World.of(panda, edmp.Scene.of({"map": (shape, corner)}))
            clearance = median_ms(lambda: cost.value_and_gradient(world, q, margins), 9)  # noqa: B023
            print(
                f"| {count}^3 | {kind} | {packing:.0f} | {1e6 * query / len(out):.0f} | {off.max():.3f}, "
                f"{-off.min():.2f} | {clearance:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    with kernel_threads(1):
        main()
