"""The wheel, installed into an environment of its own, plans from another folder.

The environment is new and holds nothing but the wheel; the dependencies are lent to it from the environment that runs
the tests (a ``.pth`` file with their folder), so that nothing large is downloaded. A line in a ``.pth`` file does not
make the ``.pth`` files in that folder count, so an editable install of edmp there stays invisible.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Built from a copy: what earlier builds left behind would end up in the wheel.
    left_out = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=left_out)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source")
    (path,) = folder.glob("edmp-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").stdout.strip())
    (site / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{sysconfig.get_paths()['platlib']}\n")
    return folder


def _run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"edmp", next(n.split("/")[0] for n in names if "dist-info" in n)}
    for path in ("edmp/cli/main.py", "edmp/costs/__init__.py", "edmp/robots/panda.yaml"):
        assert path in names
    assert "edmp/scenes/examples/bookshelf.yaml" in names
    assert {"edmp/viz/web_page.html", "edmp/viz/web_page.js"} <= set(names)
    weights = {path.name for path in (ROOT / "edmp").glob("*/weights/*.safetensors")}
    assert {Path(name).name for name in names if name.endswith(".safetensors")} == weights


def test_planning_from_another_folder(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "costs").mkdir()  # a folder of the user's own must not be taken for ours
    (tmp_path / "costs" / "__init__.py").write_text("raise AssertionError('the wrong costs')\n")
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    python = environment / "bin" / "python"
    where = _run(python, "-c", "import edmp; print(edmp.__file__)", cwd=tmp_path, env=quiet).stdout
    assert str(environment) in where
    command = (environment / "bin" / "edmp", "plan", "--scene", "bookshelf", "--out", "plan.json")
    report = _run(*command, "--picture", "plan.png", cwd=tmp_path, env=quiet).stdout
    assert "SOLVED" in report
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["result"]["solved"]
    assert (tmp_path / "plan.png").stat().st_size > 20_000
