"""Where a pose goal wants the tool is shown, in failures above all; and labels stay off the curves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from plan_cases import failed, solved

import edmp
from edmp.planfile import PlanFile
from edmp.problem import load_example
from edmp.result import Status
from edmp.viz import save_image, subject_of
from edmp.viz.playback import Playback
from edmp.viz.plots import draw_plots
from edmp.viz.staging import Staging
from edmp.viz.web_scene import scene_document

GOAL = edmp.PoseGoal((0.3, 0.5, 0.7), (1, 0, 0, 0))


def failing(goal: edmp.PoseGoal = GOAL, message: str = "no inverse kinematics") -> PlanFile:
    problem = dataclasses.replace(load_example("bookshelf"), goal=goal)
    return PlanFile(problem, failed(Status.GOAL_UNREACHABLE, message))


def picture(plan: PlanFile, path: Path) -> np.ndarray:
    save_image(plan, path, geometry="hulls", azimuth=0.3, elevation=0.4, renderer="numpy")
    return np.asarray(Image.open(path).convert("RGB"), dtype=int)


def test_a_failure_shows_the_tool_where_the_goal_wants_it(tmp_path: Path) -> None:
    seen = picture(failing(), tmp_path / "failed.png")
    red, green, blue = np.moveaxis(seen[:740, :990], -1, 0)  # the scene without its legend
    orange = (red > 150) & (red > 1.3 * green) & (green > 1.3 * blue)
    assert orange.sum() > 300


def test_the_ghost_is_the_tool_at_the_pose_and_red_if_at_fault() -> None:
    stage = Staging(subject_of(failing(message="panda_hand is 3 mm inside something")), "hulls")
    robot = stage.robot
    moved = [surface.vertices.mean(axis=0) for surface in stage.goal_ghost()]
    X_WB = GOAL.X_WT @ np.linalg.inv(robot.tool.X_BT)
    for part, at in zip([part for part in stage.parts if part.body == robot.tool.body], moved, strict=True):
        np.testing.assert_allclose(at, X_WB[:3, :3] @ part.surface.vertices.mean(axis=0) + X_WB[:3, 3], atol=1e-9)
    assert len(stage.goal_frame()) == 3


def test_a_goal_far_away_does_not_make_the_robot_a_dot() -> None:
    near, far = (Staging(subject_of(failing(edmp.PoseGoal((x, 0.5, 0.7), (1, 0, 0, 0)))), "hulls") for x in (0.3, 1e5))
    assert near.goal_in_sight
    assert not far.goal_in_sight
    assert np.linalg.norm(far.orbit()[0]) < 20


def test_page_and_window_have_the_goal_pose() -> None:
    subject = subject_of(failing())
    document = scene_document(Staging(subject, "hulls"))["goal_pose"]
    assert len(document["frame"]) == 3
    assert len(document["ghost"]) >= 1
    playback = Playback(subject)
    assert playback.visible["goal pose"]
    playback.press("f")
    assert not playback.visible["goal pose"]
    plain = subject_of(load_example("bookshelf"))
    assert scene_document(Staging(plain, "hulls"))["goal_pose"] == {"frame": [], "ghost": []}
    assert "goal pose" not in Playback(plain).visible


@pytest.mark.parametrize("clearance", [0.0123, 0.0, 0.035])
def test_no_words_lie_on_the_curve_of_the_clearance(clearance: float) -> None:
    problem = load_example("bookshelf")
    best = solved(problem).best
    assert best is not None
    figure = Figure(figsize=(15.2, 9.0))
    draw_plots(figure, problem.robot, problem.scene, dataclasses.replace(best, min_clearance=clearance))
    figure.canvas.draw()  # type: ignore[attr-defined]
    axes = figure.axes[-1]
    box = axes.get_window_extent()
    assert len(axes.texts) == 0
    left, right = axes.title.get_window_extent(), axes.get_title(loc="right")
    assert right == f"dotted: {1e3 * clearance:.1f} mm proved"
    assert left.y0 > box.y1 - 1
    assert left.x1 < axes._right_title.get_window_extent().x0  # type: ignore[attr-defined]
