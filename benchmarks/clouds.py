"""Clouds of points in the collision engine: time by the number of points, and beside other structures.

    python benchmarks/clouds.py kernels       # the clearance kernel, and packing, in clouds of 10^3 to 10^6 points
    python benchmarks/clouds.py structures    # a query of the nearest point, and what it takes to build

Points lie on the surfaces of fifteen boxes in a cell of 2 m, as one cloud. Times are those of the processor, medians,
on one thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np
from processor_time import median_ms

import edmp
from edmp.collision.clouds import packed_cloud
from edmp.collision.kernels.clouds import Cloud, cloud_distance
from edmp.collision.world import World
from edmp.costs import Margins, SphereClearance
from edmp.costs.benchmark import random_boxes, straight_motions
from edmp.scenes.surface import sample_scene
from edmp.threads import kernel_threads
from edmp.warp_start import wp

COUNTS = (1_000, 30_000, 1_000_000)
RADIUS, REACH = 0.0035, 0.1  # [m]


@wp.kernel
def in_grid(cloud: Cloud, p: wp.array(dtype=wp.vec3), reach: float, out: wp.array(dtype=float)):
    i = wp.tid()
    out[i] = cloud_distance(cloud, p[i], reach)[3]


@wp.kernel
def in_hash_grid(
    grid: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    p: wp.array(dtype=wp.vec3),
    reach: float,
    out: wp.array(dtype=float),
):
    i = wp.tid()
    least = reach
    for other in wp.hash_grid_query(grid, p[i], reach):
        least = wp.min(least, wp.length(points[other] - p[i]))
    out[i] = least


@wp.kernel
def in_tree(mesh: wp.uint64, p: wp.array(dtype=wp.vec3), reach: float, out: wp.array(dtype=float)):
    i = wp.tid()
    query = wp.mesh_query_point_no_sign(mesh, p[i], reach)
    out[i] = reach
    if query.result:
        out[i] = wp.length(wp.mesh_eval_position(mesh, query.face, query.u, query.v) - p[i])


def cloud_of(count: int) -> edmp.PointCloud:
    rng = np.random.default_rng(count)
    return edmp.PointCloud(sample_scene(random_boxes(np.random.default_rng(0), 15), count, rng), RADIUS)


def kernels() -> None:
    rng, panda = np.random.default_rng(0), edmp.load_robot("panda")
    boxes, q = random_boxes(np.random.default_rng(0), 15), straight_motions(panda, rng, 50)
    worlds: dict[str, World] = {"the boxes": World.of(panda, boxes)}
    print("| points | made [ms] | packed [ms] | clearance of 3200 configurations [ms] |\n|---|---|---|---|")
    spent: dict[str, tuple[float, float]] = {"the boxes": (0.0, 0.0)}
    for count in COUNTS:
        cloud = cloud_of(count)
        points = np.array(cloud.points)
        packed_cloud(cloud, "cpu")  # the first compiles
        made = median_ms(lambda points=points: edmp.PointCloud(points, RADIUS))
        spent[f"{count}"] = made, median_ms(lambda cloud=cloud: packed_cloud(cloud, "cpu"))
        worlds[f"{count}"] = World.of(panda, edmp.Scene.of({"seen": (cloud, (0, 0, 0))}))
    cost, margins = SphereClearance(), Margins.of(q, clearance=0.03)
    for name, world in worlds.items():
        clearance = median_ms(lambda world=world: cost.value_and_gradient(world, q, margins), 9)
        print(f"| {name} | {spent[name][0]:.1f} | {spent[name][1]:.1f} | {clearance:.1f} |")


def structures() -> None:
    print("| points | structure | built [ms] | a query [ns] | beyond the true distance, mean and 99 % [mm] |")
    print("|---|---|---|---|---|")
    for count in COUNTS:
        cloud = cloud_of(count)
        rng = np.random.default_rng(1)
        near = cloud.points[rng.integers(count, size=20_000)] + rng.normal(scale=0.04, size=(20_000, 3))
        _compare(cloud, near[np.lexsort(np.floor(near * 50).T)].astype(np.float32))


def _compare(cloud: edmp.PointCloud, near: np.ndarray) -> None:
    from scipy.spatial import cKDTree

    p, out = wp.array(near, dtype=wp.vec3), wp.zeros(len(near), dtype=float)
    middle = np.mean(cloud.extent, axis=0)
    p_cloud = wp.array(near - middle, dtype=wp.vec3)
    points = wp.array(cloud.points, dtype=wp.vec3)
    true = np.minimum(cKDTree(cloud.points).query(near)[0], REACH)
    hashed, one = wp.HashGrid(64, 64, 64), wp.array(np.repeat(np.arange(len(cloud.points)), 3), dtype=int)
    rows: Mapping[str, tuple[Callable[[], object], Callable[[object], None], float]] = {
        "grid of cells that know the nearest": (
            lambda: packed_cloud(cloud, "cpu"),
            lambda built: wp.launch(in_grid, len(near), [built, p_cloud, REACH - RADIUS], [out]),
            RADIUS,
        ),
        "Warp's HashGrid": (
            lambda: hashed.build(points, REACH / 4),
            lambda built: wp.launch(in_hash_grid, len(near), [hashed.id, points, p, REACH], [out]),
            0.0,
        ),
        "Warp's tree over points (wp.Mesh)": (
            lambda: wp.Mesh(points, one),
            lambda built: wp.launch(in_tree, len(near), [built.id, p, REACH], [out]),
            0.0,
        ),
    }
    for name, (build, ask, add) in rows.items():
        built = build()
        ask(built)
        over = out.numpy() + add - true
        spent = median_ms(build, 3), median_ms(lambda ask=ask, built=built: ask(built), 3)
        error = f"{1e3 * over.mean():.2f}, {1e3 * np.quantile(over, 0.99):.2f}"
        print(
            f"| {len(cloud.points)} | {name} | {spent[0]:.0f} | {1e6 * spent[1] / len(near):.0f} | {error} |",
            flush=True,
        )


if __name__ == "__main__":
    verbs = {"kernels": kernels, "structures": structures}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        raise SystemExit(__doc__)
    with kernel_threads(1):
        verbs[sys.argv[1]]()
