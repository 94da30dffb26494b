"""`show`: a plan, a problem or a scene in a window that plays it."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from edmp.arguments import checked
from edmp.errors import EdmpError, MissingDependencyError
from edmp.viz.models import robot_parts
from edmp.viz.renderers import advice
from edmp.viz.setting import takes_setting
from edmp.viz.subject import Subject, Viewable, subject_of

log = logging.getLogger(__name__)

BUG = 70
"""How the window's process ends after an error that no missing library or driver explains."""


@takes_setting
@checked
def show(
    source: Viewable | Subject,
    *,
    geometry: str = "auto",
) -> None:
    """Open a window with the scene, the robot and, if there is one, its motion; returns when the window is closed.

    The window is Open3D's. It belongs to a process of its own, since a graphics library that lacks something may well
    end the process that calls it.

    Args:
        source: a result, a plan file or what `edmp.viz.subject_of` makes.
        geometry: ``"meshes"``, ``"hulls"``, ``"spheres"`` or ``"boxes"``; by default meshes where they are installed.

    Raises:
        InvalidInputError: something is missing.
        UnknownNameError: no such geometry.
        MissingDependencyError: there is no Open3D, or it lacks a library; the message says what to install.
        EdmpError: there is no screen, or the window has a bug, which is logged.
    """
    subject = subject_of(source)
    if geometry != "auto":
        robot_parts(subject.robot, geometry)  # says what is wrong with it before there is a window
    check_screen()
    with tempfile.TemporaryDirectory() as folder:
        handed_over = Path(folder, "subject.pickle")
        handed_over.write_bytes(pickle.dumps(subject))
        code = "import sys; from edmp.viz.window import run; run(*sys.argv[1:])"
        done = _run_child([sys.executable, "-c", code, str(handed_over), geometry])
    if done.returncode == BUG:
        log.error("the window failed:\n%s", done.stderr)
        error = done.stderr.strip().splitlines()[-1]
        raise EdmpError(f"the window failed: {error}; this is a bug of edmp, and the log has the traceback")
    if done.returncode != 0:
        trouble = advice("open3d", done.stderr, done.returncode)
        raise MissingDependencyError(f"no window: {trouble}; a browser shows the same: edmp view --web")


def run(subject_file: str, geometry: str) -> None:
    """What the process of the window does: show the pickled subject until the window, or the parent, is closed."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        from edmp.viz.window_app import main

        main(subject_file, geometry)
    except (ImportError, OSError):
        raise
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1 if str(error).startswith("[Open3D") else BUG)  # at their usual end, Open3D's libraries crash


def end_with_parent() -> None:
    """End this process at the end of its standard input, a pipe that closes with its parent."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def _run_child(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard input ends when this process does, however it ends."""
    readable, held_open = os.pipe()
    try:
        return subprocess.run(command, stdin=readable, capture_output=True, text=True, errors="replace")
    finally:
        os.close(readable)
        os.close(held_open)


def check_screen() -> None:
    """Raises `EdmpError` where no window can open."""
    if not has_screen():
        raise EdmpError("no screen to open a window on (DISPLAY is not set); --web shows the same in a browser")


def has_screen() -> bool:
    """Whether windows can open here."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
