"""Where numbers come from: machine, versions and settings of a run."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edmp.bench.planners import PlannerSpec, row
from edmp.files.json_lines import Layout
from edmp.files.json_nodes import JsonNode

PACKAGES = ("edmp", "numpy", "scipy", "torch", "warp-lang", "python-fcl", "drake", "ompl", "vamp-planner", "ray")
"""Packages whose versions are written down where they are installed."""


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """What a line ``{"run": ...}`` of a results file holds. None is what an older file leaves out.

    Attributes:
        command: the command line.
        date: ISO, UTC.
        machine: operating system and architecture.
        cpu: as Linux calls it.
        cores: that the process may use.
        workers: processes side by side.
        versions: by package.
        robot: name or description file.
        seed: given to every plan, or to the first crossing.
        timeout: wall time for one plan [s].
        options: by planner, defaults included.
        execute: settings of ``edmp bench execute``, if it was that.
        replan: settings of ``edmp bench replan``, if it was that.
    """

    command: str | None = None
    date: str | None = None
    machine: str | None = None
    cpu: str | None = None
    cores: int | None = None
    workers: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    robot: str | None = None
    seed: int | None = None
    timeout: float | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    execute: Mapping[str, Any] | None = None
    replan: Mapping[str, Any] | None = None

    def to_line(self) -> dict[str, Any]:
        """The line as plain data for JSON, without what is not known."""
        return {"run": {key: value for key, value in asdict(self).items() if value is not None}}


_LAYOUT = Layout(
    RunDescription,
    {
        "command": JsonNode.text,
        "date": JsonNode.text,
        "machine": JsonNode.text,
        "cpu": JsonNode.text,
        "cores": JsonNode.integer,
        "workers": JsonNode.integer,
        "versions": lambda node: {name: version.text() for name, version in node.items()},
        "robot": JsonNode.text,
        "seed": lambda node: node.integer(0, 2**64),
        "timeout": lambda node: node.number(0),
        "options": lambda node: {planner: options.keys_plain() for planner, options in node.items()},
        "execute": JsonNode.keys_plain,
        "replan": JsonNode.keys_plain,
    },
)


def parse_run(node: JsonNode) -> RunDescription:
    """What is known of a run, every field checked; keys that this edmp does not know are left out.

    Raises:
        FileFormatError: names the field.
    """
    return _LAYOUT.parse(node)


def describe_run(
    specs: Sequence[PlannerSpec], *, command: str, robot: str, seed: int, workers: int, timeout: float
) -> RunDescription:
    """This run, on this machine."""
    return RunDescription(
        command=command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=platform.platform(),
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        workers=workers,
        versions={"python": platform.python_version(), **_versions()},
        robot=robot,
        seed=seed,
        timeout=timeout,
        options={spec.text: {**row(spec.name).defaults(), **spec.options} for spec in specs},
    )


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
