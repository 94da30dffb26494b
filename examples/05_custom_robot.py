"""An arm of one's own: read from a URDF, fitted, kept as a description, and planned for.

The URDF here has boxes, cylinders and spheres; meshes work alike. There are no trained weights for this arm, so a
Gaussian-process prior serves it. The fitted description can be kept: `save_robot` writes what `load_robot` reads.

    python examples/05_custom_robot.py [--headless]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import edmp
import edmp.viz
from edmp.robots import save_robot


def joint(name: str, parent: str, child: str, xyz: str, axis: str) -> str:
    return f"""
  <joint name="{name}" type="revolute">
    <parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}"/><axis xyz="{axis}"/>
    <limit lower="-2.6" upper="2.6" velocity="2.0" effort="10"/>
  </joint>"""


def link(name: str, shape: str, xyz: str) -> str:
    return f"""
  <link name="{name}"><collision><origin xyz="{xyz}"/><geometry>{shape}</geometry></collision></link>"""


URDF = f"""<robot name="stick_arm">
{link("foot", '<box size="0.16 0.16 0.1"/>', "0 0 0.05")}
{link("turret", '<cylinder radius="0.05" length="0.1"/>', "0 0 0.06")}
{link("upper_arm", '<box size="0.06 0.06 0.3"/>', "0 0 0.18")}
{link("forearm", '<box size="0.05 0.05 0.26"/>', "0 0 0.16")}
{link("wrist", '<sphere radius="0.035"/>', "0 0 0.06")}
{joint("swivel", "foot", "turret", "0 0 0.105", "0 0 1")}
{joint("shoulder", "turret", "upper_arm", "0 0 0.12", "0 1 0")}
{joint("elbow", "upper_arm", "forearm", "0 0 0.35", "0 1 0")}
{joint("roll", "forearm", "wrist", "0 0 0.3", "0 0 1")}
</robot>
"""

POST = edmp.Scene.of({"post": (edmp.Cylinder(0.03, 0.9), (0.45, 0.0, 0.45))})


def main(*, headless: bool = False) -> edmp.PlanResult:
    with tempfile.TemporaryDirectory() as folder:
        urdf, description = Path(folder, "stick_arm.urdf"), Path(folder, "stick_arm.yaml")
        urdf.write_text(URDF)
        save_robot(edmp.load_urdf(urdf), description)
        arm = edmp.load_robot(str(description))
    print(
        f"{arm.name}: {arm.dof} joints, {len(arm.spheres)} spheres, {len(arm.collision_pairs)} pairs of links to check"
    )

    start, goal = np.array([-0.8, 1.2, 0.3, 0.0]), np.array([0.8, 1.2, 0.3, 0.0])
    result = edmp.plan(POST, start, goal, robot=arm)
    print(result.status, result.message)
    if not headless:
        edmp.viz.show(result)
    return result


if __name__ == "__main__":
    main(headless="--headless" in sys.argv[1:])
