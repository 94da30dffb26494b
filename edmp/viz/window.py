"""`show`: a plan, a problem or a scene in a window that plays it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from numpy.typing import ArrayLike

from edmp.problem import Problem
from edmp.robots.errors import EdmpError, MissingDependencyError
from edmp.robots.robot import Robot
from edmp.scenes.scene import Scene
from edmp.viz.models import robot_parts
from edmp.viz.renderers import advice
from edmp.viz.subject import Subject, Viewable, subject_of


def show(
    source: Viewable | Subject,
    *,
    robot: Robot | str | Path | None = None,
    scene: Scene | None = None,
    problem: Problem | None = None,
    request: str | Path | None = None,
    q: ArrayLike | str | None = None,
    geometry: str = "auto",
) -> None:
    """Open a window with the scene, the robot and, if there is one, its motion; returns when the window is closed.

    The window is Open3D's. It belongs to a process of its own, since a graphics library that lacks something may well
    end the process that calls it.

    Args:
        source: a plan file alone is enough; see `edmp.viz.subject_of`.
        robot, scene, problem, request, q: what the source does not say; see `edmp.viz.subject_of`.
        geometry: ``"meshes"``, ``"hulls"``, ``"spheres"`` or ``"boxes"``; by default meshes where they are installed.

    Raises:
        InvalidInputError: something is missing.
        UnknownNameError: no such geometry.
        MissingDependencyError: there is no Open3D, or it lacks a library; the message says what to install.
        EdmpError: there is no screen.
    """
    subject = subject_of(source, robot=robot, scene=scene, problem=problem, request=request, q=q)
    if geometry != "auto":
        robot_parts(subject.robot, geometry)  # says what is wrong with it before there is a window
    check_screen()
    with tempfile.TemporaryDirectory() as folder:
        handed_over = Path(folder, "subject.pickle")
        handed_over.write_bytes(pickle.dumps(subject))
        code = "import sys; from edmp.viz.window_app import main; main(*sys.argv[1:])"
        command = [sys.executable, "-c", code, str(handed_over), geometry]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        trouble = advice("open3d", done.stderr, done.returncode)
        raise MissingDependencyError(f"no window: {trouble}; a browser shows the same: edmp view --web")


def check_screen() -> None:
    """Raises `EdmpError` where no window can open."""
    if not has_screen():
        raise EdmpError("no screen to open a window on (DISPLAY is not set); --web shows the same in a browser")


def has_screen() -> bool:
    """Whether windows can open here."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
