"""The command where it finds no home, no terminal, no reader of its output, no English."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EDMP = (sys.executable, "-m", "edmp")
PLAN = (*EDMP, "plan", "--scene", "table")


def run(*command: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/dev/null")
    done = run(*PLAN, "--json", cwd=tmp_path, **nowhere, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["solved"]
    notices = [line for line in done.stderr.splitlines() if line.startswith("warning: compiled kernels go to ")]
    assert len(notices) == 1
    assert str(tmp_path) in notices[0]
    assert "Traceback" not in done.stderr
    assert any(tmp_path.glob("edmp-kernels-*/*")), "the kernels are not where the notice says"


def test_nothing_is_said_of_gpus_where_none_is_asked_for() -> None:
    done = run(*PLAN, "--json")
    assert done.returncode == 0
    assert done.stderr == ""


def test_only_warps_line_about_drivers_is_left_out() -> None:
    code = (
        "import os; from edmp.warp_start import _NO_DRIVER, _without_line\n"
        "with _without_line(_NO_DRIVER):\n"
        "    os.write(2, _NO_DRIVER + b'. And so on.\\nWarp CUDA error: a real one\\n')\n"
    )
    assert run(sys.executable, "-c", code).stderr == "Warp CUDA error: a real one\n"


@pytest.mark.parametrize("arguments", ["plan --scene table", "plan --scene table --json", "--help", "robot list"])
def test_a_reader_that_has_gone_ends_it_in_silence(arguments: str) -> None:
    gone, ours = os.pipe()
    os.close(gone)
    try:
        command = [*EDMP, *arguments.split()]
        done = subprocess.run(command, cwd=ROOT, stdout=ours, stderr=subprocess.PIPE, text=True, timeout=300)
    finally:
        os.close(ours)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "no_such"])
def test_locales_and_names_beyond_ascii(locale: str, tmp_path: Path) -> None:
    folder = tmp_path / "zwei Wörter – ığİ 机器人"
    folder.mkdir()
    scene = folder / "Tisch ü.yaml"
    scene.write_bytes((ROOT / "scenes" / "examples" / "table.yaml").read_bytes())
    out = folder / "plan ß.json"
    done = run(*EDMP, "plan", "--scene", scene, "--out", out, cwd=folder, LANG=locale, LC_ALL=locale)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["result"]["status"] == "SOLVED"


def test_an_output_in_a_folder_that_is_not_there_is_told_before_planning(tmp_path: Path) -> None:
    done = run(*PLAN, "--out", tmp_path / "missing" / "plan.json")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --out")
    assert "missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only for root")
def test_a_current_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert run(*PLAN, cwd=tmp_path).returncode == 0
        done = run(*PLAN, "--out", "plan.json", cwd=tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --out")


def test_closed_standard_streams() -> None:
    for redirection in ("<&-", "2>&-", "<&- 2>&-"):
        done = run("sh", "-c", f"{sys.executable} -m edmp plan --scene table --json {redirection}")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["solved"]


def test_an_interrupt_while_planning_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    import edmp
    from edmp.cli import main

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(vars(edmp), "plan", interrupted)
    with pytest.raises(SystemExit) as exit_:
        main(["plan", "--scene", "table"])
    assert exit_.value.code == 130
