"""Where numbers come from: machine, versions and settings of a run."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edmp.bench.planners import PlannerSpec, row

PACKAGES = ("edmp", "numpy", "scipy", "torch", "warp-lang", "python-fcl", "drake", "ompl", "vamp-planner", "ray")
"""Packages whose versions are written down where they are installed."""


def describe_run(
    specs: Sequence[PlannerSpec], *, command: str, robot: str, seed: int, workers: int, timeout: float
) -> dict[str, Any]:
    """What a line ``{"run": ...}`` of a results file holds.

    Keys: command, date (ISO, UTC), machine (operating system and architecture), cpu, cores (that this process may use),
    workers, versions (by package), robot, seed, timeout [s], options (by planner, defaults included).
    """
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "workers": workers,
        "versions": {"python": platform.python_version(), **_versions()},
        "robot": robot,
        "seed": seed,
        "timeout": timeout,
        "options": {spec.text: {**row(spec.name).defaults(), **spec.options} for spec in specs},
    }


def cpu_model() -> str:
    """As Linux calls it; empty if it does not."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return found[1].strip() if found else platform.processor()
    return ""


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
