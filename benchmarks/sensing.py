"""How long a map takes: one image of 640 x 480 into 10^6 cells, and the map as a scene that is packed for planning.

python benchmarks/sensing.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import edmp
from edmp.collision import World
from edmp.sensing import DepthCamera, Map, SensorFaults, SimulatedCameras

RUNS = 15


def told(name: str, call: Callable[[], object]) -> None:
    """Print wall and processor time of a call, least and median."""
    wall, processor = [], []
    for _ in range(RUNS):
        begin = time.perf_counter(), time.process_time()
        call()
        wall.append(1e3 * (time.perf_counter() - begin[0]))
        processor.append(1e3 * (time.process_time() - begin[1]))
    print(
        f"{name:34} wall {min(wall):5.1f} (median {np.median(wall):5.1f}) ms, "
        f"processor {min(processor):5.1f} ({np.median(processor):5.1f}) ms"
    )


def main() -> None:
    robot = edmp.load_robot("panda")
    truth = edmp.Scene.of(
        {"table": (edmp.Box((1.2, 1.6, 0.1)), (0.5, 0.0, -0.06)), "wall": (edmp.Box((0.1, 0.3, 0.5)), (0.5, 0.0, 0.24))}
    )
    cameras = [
        DepthCamera.looking(eye, (0.4, 0.0, 0.3), angle=1.2, far_is_free=True)
        for eye in ((1.7, 0.3, 1.3), (0.2, 1.6, 1.2), (0.2, -1.6, 1.2))
    ]
    simulated = SimulatedCameras(cameras, truth, robot=robot, faults=SensorFaults())
    images = simulated.look(robot.home)
    simulated.close()
    seen = Map(((-0.6, -0.9, -0.13), (1.1, 0.9, 1.2)), 0.016, robot=robot)
    for camera, depth in zip(cameras, images, strict=True):
        seen.integrate(depth, camera, robot.home)
    print(f"{np.prod(seen.shape)} cells, {int(seen.occupied.sum())} occupied")
    told("an image into the map", lambda: seen.integrate(images[0], cameras[0], robot.home))
    empty = Map(((-0.6, -0.9, -0.13), (1.1, 0.9, 1.2)), 0.016, robot=robot)
    told("an image into an empty map", lambda: (empty.forget(), empty.integrate(images[0], cameras[0], robot.home)))
    for unseen in ("free", "occupied"):
        told(
            f"map to packed scene, unseen {unseen}",
            lambda u=unseen: World.of(robot, seen.scene(unseen=u, padding=0.016)),
        )


if __name__ == "__main__":
    main()
