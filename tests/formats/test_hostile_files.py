"""Every reader takes a file or refuses it in words: no other exception, no waiting, no memory without bound.

A seed file of every format is mutated a thousand times; each mutant loads or raises an `EdmpError`. To look longer, set
EDMP_TEST_MUTANTS; at one format: ``python tests/formats/hostile.py plan 20000``.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import FORMATS, TOGETHER

MUTANTS = int(os.environ.get("EDMP_TEST_MUTANTS", "1000"))
HERE = Path(__file__).parent

Outcome = concurrent.futures.Future[dict[str, Any]]


def attack(name: str) -> dict[str, Any]:
    """Of one format, or several with commas between them, in a process of its own, whose memory is bounded.

    One that hangs where no signal reaches it is ended.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile.py"), name, str(MUTANTS)],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{name}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    """All formats, as many at a time as there are cores."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        alone = [(name,) for name in FORMATS if not any(name in group for group in TOGETHER)]
        groups = {group: pool.submit(attack, ",".join(group)) for group in (*TOGETHER, *alone)}
        yield {name: outcome for group, outcome in groups.items() for name in group}


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_loads_or_is_refused_in_words(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name].result()[name]
    assert not outcome["failures"], "\n".join(map(str, outcome["failures"][:10]))
    assert 0 < outcome["refused"] < MUTANTS
