"""``edmp logs``: what is in a log, and whether an arm can be identified from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command import run

from edmp.recordings import Log, write_log
from edmp.robots import load_robot

ROBOT = load_robot("panda")


def swung(*, still: int | None = None, n: int = 300) -> Log:
    """A Panda that swings about its home for 3 s; one joint stands still. A few rows are missing."""
    times = np.delete(0.01 * np.arange(n), range(100, 120))
    amplitude = np.where(np.arange(7) == still, 0.0, 0.2)
    w = 2.0 + 0.3 * np.arange(7)
    q = np.array(ROBOT.home) + amplitude * np.sin(w * times[:, None])
    return Log(ROBOT.joint_names, times, q, amplitude * w * np.cos(w * times[:, None]), 10 + 0 * q)


def test_info_says_what_is_there_and_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path / "log.csv", swung(still=2))
    assert run("logs", "info", tmp_path / "log.csv", "--robot", "panda") == 0
    out = capsys.readouterr().out
    assert "280 in 2.99 s, 100 a second" in out
    assert "0.21 s after 0.99 s, row 99" in out
    assert "commanded" in out.partition("lacks")[2].partition("\n")[0]
    (still,) = [line for line in out.splitlines() if "panda_joint3" in line]
    assert "hardly moves: what it carries does not show" in still
    assert "not all parameters show" in out


def test_info_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path / "log.mcap", swung())
    assert run("logs", "info", tmp_path / "log.mcap", "--robot", "panda", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 280
    assert found["rate"] == pytest.approx(100)
    assert found["jitter"] < 1e-6
    assert [gap["row"] for gap in found["gaps"]] == [99]
    assert found["missing"] == ["commanded", "commanded_velocities"]
    joint = found["joints"][6]
    assert joint["upper"] - joint["lower"] == pytest.approx(0.4, abs=0.01)
    assert joint["effort_share"] == pytest.approx(10 / ROBOT.limits.effort[6])
    assert joint["beyond_limit"] == 0
    assert not joint["notes"]


def test_names_of_columns_are_given_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("Zeit,A1,B1\n0,1,2\n1000,1,3\n2000,1,4\n")
    path = tmp_path / "log.csv"
    assert run("logs", "info", path, "--column", "time=Zeit[ms]", "--column", "position_elbow=B1[deg]", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["duration"] == pytest.approx(2.0)
    assert found["joints"][0]["name"] == "elbow"
    assert found["joints"][0]["upper"] == pytest.approx(np.radians(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.csv",), "missing.csv: no such log"),
        (("log.csv", "--column", "time"), "--column: expected MEANT=THEIRS such as time=Zeit[ms], got 'time'"),
        (("log.csv", "--robot", "ur5"), "no joint shoulder_pan_joint"),
        (("log.csv", "--rate", "0"), "rate must be in (0, 1e+06] [Hz], got 0.0"),
    ],
)
def test_misuse_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_log(Path("log.csv"), swung())
    assert run("logs", "info", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_other_programs_packages_are_loaded_when_they_are_needed(tmp_path: Path) -> None:
    import subprocess

    write_log(tmp_path / "log.csv", swung())
    code = (
        f"import sys; from edmp.recordings import read_log; read_log({str(tmp_path / 'log.csv')!r}); "
        "print([name for name in ('pyarrow', 'h5py', 'mcap') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
