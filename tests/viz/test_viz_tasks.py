"""Tasks in viewers: the object moves with the hand."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import edmp
from edmp.cli.main import app
from edmp.taskplan import TaskPlan
from edmp.viz import Subject, save_movie, save_plots, subject_of
from edmp.viz.staging import Staging
from edmp.viz.surfaces import body_poses
from edmp.viz.web_scene import scene_document

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
PLACE = np.array([[0, -1, 0, 0.5], [1, 0, 0, -0.25], [0, 0, 1, 0.24], [0, 0, 0, 1]], dtype=np.float64)


@functools.cache
def task() -> TaskPlan:
    scene = edmp.Scene.of(
        {
            "table": (edmp.Box((0.6, 1.0, 0.2)), (0.55, 0.0, 0.1)),
            "block": (edmp.Box((0.05, 0.04, 0.08)), (0.5, 0.1, 0.24)),
        }
    )
    plan = edmp.pick_and_place(scene, HOME, "block", PLACE, time_budget=60.0)
    assert plan.solved, plan.message
    return plan


def corners(subject: Subject, name: str, q: np.ndarray) -> np.ndarray:
    """(n, 3) points of a link where the viewer has them [m]."""
    link = subject.robot.links[subject.robot.link_index(name)]
    X_WB = body_poses(subject.robot, q[None])[0, link.body]
    return link.hulls_B[0] @ X_WB[:3, :3].T + X_WB[:3, 3]


def test_the_object_is_where_the_plan_has_it_and_moves_with_the_hand():
    plan, subject = task(), subject_of(task())
    (motion,) = subject.motions
    assert "block" not in subject.scene
    assert "table" in subject.scene
    for time in np.linspace(0.0, plan.duration, 60):
        moment, q = plan.at(float(time)), motion.at(time)
        assert np.allclose(q[:7], moment.q, atol=1e-4)
        if moment.phase.held is not None:
            robot = moment.phase.robot
            body = body_poses(robot, moment.q[None])[0, robot.links[robot.link_index("block")].body]
            hull = robot.links[robot.link_index("block")].hulls_B[0]
            wanted = (hull @ body[:3, :3].T + body[:3, 3]).mean(axis=0)
            assert np.allclose(corners(subject, "block", q).mean(axis=0), wanted, atol=1e-3)
        assert abs(q[7] - moment.width / 2) < 1e-3
    for q, X_WO in ((motion.positions[0], plan.scene["block"].X_WO), (motion.positions[-1], PLACE)):
        half = np.array([0.025, 0.02, 0.04])
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        box = (signs * half) @ X_WO[:3, :3].T + X_WO[:3, 3]
        shown = corners(subject, "block", q)
        assert max(np.linalg.norm(shown - one, axis=1).min() for one in box) < 1e-3


def test_fingers_are_where_the_phase_has_them():
    plan, subject = task(), subject_of(task())
    arm = plan.phases[1].robot
    begin = float(plan.begins[1])
    q, own = subject.motions[0].at(begin), plan.phases[1].start
    for name in ("panda_leftfinger", "panda_rightfinger"):
        link = arm.links[arm.link_index(name)]
        X_WB = body_poses(arm, own[None])[0, link.body]
        assert np.allclose(corners(subject, name, q), link.hulls_B[0] @ X_WB[:3, :3].T + X_WB[:3, 3], atol=1e-3)


def test_movie_and_page_show_it(tmp_path: Path):
    task().save(tmp_path / "task.json")
    save_movie(tmp_path / "task.json", tmp_path / "task.gif", fps=2, size=(96, 64), renderer="numpy", geometry="boxes")
    assert (tmp_path / "task.gif").stat().st_size > 1000
    document = scene_document(Staging(subject_of(tmp_path / "task.json"), "hulls"))
    (block,) = [link for link in document["robot"]["links"] if link["name"] == "block"]
    assert block["body"] == len(document["robot"]["joints"])
    assert len(document["motions"][0]["positions"][0]) == 7 + 2 + 6
    told = CliRunner().invoke(app, ["view", str(tmp_path / "task.json"), "--html", str(tmp_path / "task.html")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "task.html").stat().st_size > 100_000


def test_plots_are_of_the_arm_alone(tmp_path: Path):
    subject = subject_of(task())
    assert subject.arm is not None
    assert subject.arm.robot.joint_names == task().robot.joint_names
    assert subject.arm.motions == (task().trajectory,)
    save_plots(task(), tmp_path / "plots.png")
    assert (tmp_path / "plots.png").stat().st_size > 10_000


def test_a_task_that_fails_is_shown_with_its_reason():
    far = np.eye(4)
    far[:3, 3] = (3.0, 0.0, 0.2)
    plan = edmp.pick_and_place(task().scene, HOME, "block", far, time_budget=3.0)
    assert not plan.solved
    subject = subject_of(plan)
    assert subject.failed
    assert subject.message == plan.message
