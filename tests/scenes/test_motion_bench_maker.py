"""All MotionBenchMaker problems of the development half, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest

from edmp.problem import load_problem
from edmp.scenes.moveit import load_moveit_scene
from edmp.scenes.moveit_request import load_moveit_request

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "mbm"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the MotionBenchMaker problems are not beside the checkout")


@pytest.mark.parametrize("robot", ["panda", "ur5"])
def test_all_files_are_read(robot: str) -> None:
    scenes = sorted((FOLDER / robot).glob("*/scene*.yaml"))
    assert len(scenes) == 350
    for path in scenes:
        moveit = load_moveit_scene(path)
        request = load_moveit_request(path.with_name(path.name.replace("scene", "request")))
        assert 5 <= len(moveit.scene) <= 40
        assert moveit.robot_model.startswith(robot)
        assert (moveit.X_WR is None) == (robot == "ur5")
        (goal,) = request.goals
        assert set(goal) < set(request.start)


def test_a_panda_problem() -> None:
    folder = FOLDER / "panda" / "cage"
    problem = load_problem(folder / "scene0003.yaml", folder / "request0003.yaml")
    assert problem.name == "cage/scene0003"
    assert problem.robot.gripper is not None
    assert problem.robot.gripper.width == pytest.approx(0.13)
    np.testing.assert_allclose(problem.start, [0, -0.785, 0, -2.356, 0, 1.571, 0.785])
    np.testing.assert_allclose(problem.scene["Cube1"].X_WO[:3, 3], [0.768, 0.101, 0.329], atol=6e-4)
