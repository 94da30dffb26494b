"""The example of a third-party cost works as it stands."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from edmp.costs import cost_by_name

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_guides_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("04_custom_cost")
    assert cost_by_name("upright_tool") is example.UprightTool
    value, gradient = example.guiding_gradient()
    assert torch.isfinite(value).all()
    norms = gradient.flatten(1).norm(dim=1)
    mine = example.ENSEMBLE.rows == 1
    assert mine.sum() == 8
    torch.testing.assert_close(norms[mine], torch.full((8,), 0.5))
