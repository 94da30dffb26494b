"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest

MBM = Path(__file__).parents[2] / "shared" / "data" / "mbm"


@pytest.fixture(scope="session")
def mbm_panda() -> Path:
    """The folder of MotionBenchMaker problems for the Panda; tests that need it are skipped where it is not."""
    if not MBM.is_dir():
        pytest.skip("MotionBenchMaker problems are not beside this checkout")
    return MBM / "panda"
