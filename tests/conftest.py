"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell makes what it runs in the background deaf to Ctrl-C, and so would be the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

MBM = Path(__file__).parents[2] / "shared" / "data" / "mbm"


@pytest.fixture(scope="session")
def mbm_panda() -> Path:
    """The folder of MotionBenchMaker problems for the Panda; tests that need it are skipped where it is not."""
    if not MBM.is_dir():
        pytest.skip("MotionBenchMaker problems are not beside this checkout")
    return MBM / "panda"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests keep fits in a folder of their own, and find none of the user's."""
    folder = tmp_path_factory.mktemp("fits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edmp.robots.fit_cache.cache_folder", lambda: folder)
        yield
