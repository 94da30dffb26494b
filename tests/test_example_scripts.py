"""Every script in examples/ runs as it stands, in this process, and ends with a certified motion."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from edmp.result import Status

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_examples_are_numbered() -> None:
    assert [name[:2] for name in SCRIPTS] == [f"{k:02d}" for k in range(1, len(SCRIPTS) + 1)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_example(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    # A module may be there already: importing an example twice would register its cost twice.
    result = (sys.modules.get(name) or importlib.import_module(name)).main(headless=True)
    assert result.status is Status.SOLVED, result.message
    assert "certified motion" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
