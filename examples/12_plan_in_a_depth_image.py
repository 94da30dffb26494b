"""Plan in what three depth cameras see, simulated with noise; the motion is judged on the truth as well.

python examples/12_plan_in_a_depth_image.py [--headless]
"""

from __future__ import annotations

import sys

import edmp
from edmp.sensing import DepthCamera, Map, SensorFaults, SimulatedCameras

TRUTH = edmp.Scene.of(
    {
        "table": (edmp.Box((1.2, 1.6, 0.1)), (0.5, 0.0, -0.06)),  # shape, position [m]
        "wall": (edmp.Box((0.1, 0.3, 0.5)), (0.5, 0.0, 0.24)),
    }
)
AWAY = [0.0, -1.7, 0.0, -2.9, 0.0, 1.6, 0.8]  # [rad]
START = [0.8, -0.3, 0.0, -2.2, 0.0, 1.9, 0.8]
GOAL = [-0.8, -0.3, 0.0, -2.2, 0.0, 1.9, 0.8]
CAMERAS = [
    DepthCamera.looking(eye, (0.4, 0.0, 0.3), width=320, height=240, angle=1.2, far_is_free=True)
    for eye in ((1.7, 0.3, 1.3), (0.2, 1.6, 1.2), (0.2, -1.6, 1.2))
]


def main(*, headless: bool = False) -> edmp.PlanResult:
    simulated = SimulatedCameras(CAMERAS, TRUTH, robot="panda", faults=SensorFaults(), seed=1)
    seen = Map(((-0.6, -0.9, -0.13), (1.1, 0.9, 1.2)), 0.02, robot="panda")
    for q in (AWAY, AWAY, START, START):  # what the arm hides at the start was seen before
        for camera, depth in zip(CAMERAS, simulated.look(q), strict=True):
            seen.integrate(depth, camera, q)
    simulated.close()
    result = edmp.plan(seen.scene(unseen="occupied", padding=0.01), START, GOAL)
    print(result.status, result.message)
    print(f"  {result.unseen}")
    if result.path is not None:
        verdict = edmp.Judge(edmp.load_robot("panda"), TRUTH).check_path(result.path)
        print(f"  among the true shapes: {'free' if verdict.valid else verdict.message()}")
    if not headless:
        result.save("seen.json")
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
