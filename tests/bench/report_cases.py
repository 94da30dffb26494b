"""Records as a results file has them, without planning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edmp.bench import Record, read_records

Line = dict[str, Any]

RUN = {
    "command": "edmp bench run --planners a|b", "date": "2026-01-02T03:04:05+00:00", "machine": "Linux-x86_64",
    "cpu": "A CPU <fast>", "cores": 2, "workers": 1, "versions": {"python": "3.11.9", "edmp": "0.1.0"},
    "robot": "panda", "seed": 0, "timeout": 120.0, "options": {"a": {"num_seeds": 48}},
}  # fmt: skip


def line(planner: str, index: int, *, of: str = "shelf", solved: bool = True, **changes: Any) -> Line:
    """One line of results, with every key that matters here."""
    motion: dict[str, Any] = {
        "length_rad": 4.0, "duration_s": 2.0, "min_clearance_m": 0.01, "sparc": -1.6, "rms_jerk": 30.0,
        "stage": "sample",
    }  # fmt: skip
    return {
        "set": of, "index": index, "planner": planner, "robot": "panda", "seed": 0, "version": "0.1.0",
        "claimed": solved, "solved": solved, "refuted": None, "status": "SOLVED" if solved else "NO_PATH_FOUND",
        "message": "" if solved else "stuck | at a_board", "time_s": 0.1 * index, "coarse_solved": solved,
        "num_obstacles": 5 + index, "best_known_rad": 3.2, "peak_rss_mb": 500.0,
        **(motion if solved else dict.fromkeys(motion)), **changes,
    }  # fmt: skip


def write(path: Path, *lines: Line, run: bool = False) -> Path:
    """A results file."""
    every = [{"run": RUN}] * run + list(lines)
    path.write_text("".join(json.dumps(each) + "\n" for each in every))
    return path


def read(folder: Path, *lines: Line) -> list[Record]:
    """Lines as they are read back, absent keys filled in."""
    return read_records(write(folder / "lines.jsonl", *lines))
