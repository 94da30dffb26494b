"""The window on a screen that exists in memory only: what is drawn, and what its keys do."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageGrab
from plan_cases import solved

from edmp.errors import EdmpError, MissingDependencyError
from edmp.planfile import save_plan
from edmp.problem import load_example
from edmp.viz.renderers import trouble_with
from edmp.viz.subject import subject_of
from edmp.viz.window import show

SIZE = (1280, 860)
PATIENCE = 150.0
"""Drawing in software on a busy machine is slow [s]."""


def missing() -> str:
    """Why the window cannot be tested here; nothing if it can."""
    programs = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
    if programs:
        return f"needs {' and '.join(programs)}: apt install xvfb xdotool"
    if importlib.util.find_spec("open3d") is None:
        return "needs Open3D: pip install edmp[viz]"
    return trouble_with("open3d") or ""


@pytest.fixture
def screen() -> Iterator[str]:
    """The name of a display."""
    if reason := missing():
        pytest.skip(reason)
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        display = f":{pipe.readline().strip()}"
    yield display
    server.terminate()
    server.wait()


def seen(display: str) -> NDArray[np.int64]:
    """(height, width, 3) of the screen."""
    picture: Image.Image = ImageGrab.grab(xdisplay=display)
    return np.asarray(picture.convert("RGB")).astype(np.int64)


def share_of_path(picture: NDArray[np.int64]) -> float:
    """Share of pixels in the colour of the tool path: purple, which nothing else is."""
    red, green, blue = picture[:, 420:].reshape(-1, 3).T
    return float(((red > green + 70) & (blue > green + 40)).mean())


def until(condition: object, display: str) -> NDArray[np.int64]:
    """The screen as soon as the condition holds for it."""
    assert callable(condition)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        picture = seen(display)
        if condition(picture):
            return picture
        time.sleep(0.5)
    raise AssertionError("the window never showed what it should")


def test_the_window_shows_the_plan_and_obeys_its_keys(screen: str, tmp_path: Path) -> None:
    problem = load_example("bookshelf")
    plan = tmp_path / "plan.json"
    save_plan(plan, problem, solved(problem))
    code = "import sys; from edmp.viz import show; show(sys.argv[1], geometry='hulls')"
    environment = {**os.environ, "DISPLAY": screen}
    viewer = subprocess.Popen([sys.executable, "-c", code, str(plan)], env=environment, stderr=subprocess.PIPE)

    def press(key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=environment, check=True)

    try:
        until(lambda picture: picture[300, 1250].sum() > 500, screen)  # the background: something has been drawn
        subprocess.run(["xdotool", "search", "--name", "edmp", "windowfocus"], env=environment, check=True)
        press("space")
        press("a")  # this path is short, and within the arm at start and goal
        press("g")
        first = until(lambda picture: share_of_path(picture) > 1e-4, screen)
        press("t")
        hidden = until(lambda picture: share_of_path(picture) < 2e-5, screen)
        # The robot stands in the middle, below the shelf, where nothing else is; the background is one colour.
        background = hidden[300, 1250]
        foreign = (np.abs(hidden[480:740, 560:800] - background).sum(axis=2) > 12).mean()
        assert 0.05 < foreign < 0.9
        press("o")
        bare = until(lambda picture: (np.abs(picture - hidden).sum(axis=2) > 12)[:, 420:].mean() > 0.05, screen)
        assert (np.abs(bare[90:130, 960:1000] - background).sum(axis=2) < 40).mean() > 0.9  # no shelf any more
        assert first[850:, :100].std() > 1  # the transport bar
        press("q")
        assert viewer.wait(timeout=60) == 0, viewer.stderr.read() if viewer.stderr else ""
    finally:
        viewer.kill()
        viewer.communicate()


def test_the_window_ends_when_its_parent_is_killed(screen: str) -> None:
    code = "from edmp.viz import show; show('bookshelf', geometry='hulls')"
    environment = {**os.environ, "DISPLAY": screen}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)

    def windows() -> list[bytes]:
        return subprocess.run(
            ["xdotool", "search", "--name", "edmp"], env=environment, capture_output=True
        ).stdout.split()

    try:
        until(lambda _: len(windows()) > 0, screen)
        parent.kill()
        until(lambda _: len(windows()) == 0, screen)
    finally:
        parent.kill()
        parent.wait()


def test_a_process_ends_with_its_parent() -> None:
    code = "from edmp.viz.window import end_with_parent; end_with_parent()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert child.stdin is not None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=1)
    child.stdin.close()
    assert child.wait(timeout=60) == 0


class Unreadable(str):
    """A name that the process of the window fails to read."""

    def __reduce__(self) -> tuple[object, ...]:
        return int, ("seven",)


def test_an_error_of_ours_is_called_a_bug_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("open3d")
    monkeypatch.setenv("DISPLAY", ":99")  # it fails before it asks for the screen
    subject = dataclasses.replace(subject_of(load_example("bookshelf")), name=Unreadable("x"))
    with pytest.raises(EdmpError, match=r"ValueError: invalid literal.*this is a bug of edmp") as raised:
        show(subject)
    assert not isinstance(raised.value, MissingDependencyError)
    assert "Traceback" in caplog.text
    assert "window_app.py" in caplog.text


def test_a_missing_library_is_no_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "open3d.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("DISPLAY", ":99")
    with pytest.raises(MissingDependencyError, match=r"libGL\.so\.1.*try: apt install libgl1; a browser"):
        show(load_example("bookshelf"))


def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EdmpError, match="no screen to open a window on"):
        show(load_example("bookshelf"))
