"""A plan in the making: how the batch of candidates goes from noise to motions, kept to be looked at later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError
from edmp.files.beside import Arrays, set_aside
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.npz import read_npz, write_npz
from edmp.files.writing import check_writable
from edmp.planfile import PlanFile, plan_document, plan_of
from edmp.trajectory import clamped_spline

Array = NDArray[np.float32]

VERSION = 1
STAGES = ("sample", "repair", "polish")


@dataclass(frozen=True, eq=False)
class Batch:
    """All candidates at one moment of planning. A candidate keeps its row through sampling and repair.

    Attributes:
        stage: ``"sample"`` (denoising), ``"repair"`` or ``"polish"``.
        level: noise level of a sample, in units of the diffused variable, 0 when it is clean; iterations done of a
            repair; 0 of the polished.
        control_points: (B, K, dof) of the clamped cubic B-splines [rad or m].
        costs: (B,) clearance cost, summed over the waypoints.
        valid: (B,) found free by the sphere model.
    """

    stage: str
    level: float
    control_points: Array
    costs: Array
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.control_points)

    def waypoints(self, count: int = 64) -> NDArray[np.float64]:
        """(B, count, dof) along the splines."""
        points = np.asarray(self.control_points, dtype=np.float64).swapaxes(0, 1)
        return clamped_spline(points)(np.linspace(0.0, 1.0, count)).swapaxes(0, 1)


@dataclass(frozen=True, eq=False)
class Trace:
    """A problem, its result, and the batches on the way there, in order."""

    plan: PlanFile
    batches: tuple[Batch, ...]

    def round(self) -> tuple[Batch, ...]:
        """The batches of the last round: where planning starts over, rows mean other candidates."""
        begins = [0] + [
            k
            for k in range(1, len(self.batches))
            if self.batches[k].stage == "sample"
            and (self.batches[k - 1].stage != "sample" or self.batches[k].level > self.batches[k - 1].level)
        ]
        return self.batches[begins[-1] :]


def save_trace(path: str | Path, trace: Trace) -> None:
    """Write a trace (.npz), whole or not at all; the plan is inside, so the file stands alone.

    Raises:
        InvalidInputError: it cannot be written.
    """
    path = check_writable(path, "trace", suffixes=(".npz",))
    plan, sensed = set_aside(plan_document(trace.plan.problem, trace.plan.result))
    head = {
        "edmp_trace": VERSION,
        "plan": plan,
        "batches": [{"stage": batch.stage, "level": batch.level} for batch in trace.batches],
    }
    arrays = {
        f"{name}_{k}": getattr(batch, name)
        for k, batch in enumerate(trace.batches)
        for name in ("control_points", "costs", "valid")
    }
    write_npz(path, {"head": np.array(json.dumps(head, allow_nan=False)), **arrays, **sensed})


def load_trace(path: str | Path) -> Trace:
    """Read a trace.

    Raises:
        FileFormatError: it is none, damaged, or of a version that this edmp does not know.
    """
    arrays = read_npz(Path(path), "trace of edmp")
    if "head" not in arrays or arrays["head"].dtype.kind != "U" or arrays["head"].ndim:
        raise FileFormatError(f"{path}: not a trace of edmp: it holds no text 'head'")
    head = parse_json(str(arrays["head"]), f"{path}: head", arrays=Arrays(inside=arrays))
    if (version := head["edmp_trace"]).value != VERSION:
        version.fail(f"trace format {version.value!r:.60}; this edmp reads version {VERSION}")
    plan = plan_of(head["plan"])
    dof = plan.problem.robot.dof
    return Trace(plan, tuple(_batch(entry, k, arrays, dof) for k, entry in enumerate(head["batches"].entries())))


def _batch(entry: JsonNode, k: int, arrays: Mapping[str, NDArray[Any]], dof: int) -> Batch:
    stage, level = entry["stage"].one_of(STAGES), entry["level"].number(0)
    found = []
    for name, kind in (("control_points", "f"), ("costs", "f"), ("valid", "b")):
        array = arrays.get(f"{name}_{k}")
        if array is None:
            entry.fail(f"the file holds no array {name}_{k}")
        if array.dtype.kind != kind or (kind == "f" and np.isnan(array).any()):
            entry.fail(f"{name}_{k}: expected {'numbers' if kind == 'f' else 'true or false'}, got {array.dtype}")
        found.append(array)
    points, costs, valid = found
    if points.ndim != 3 or points.shape[1] < 4 or points.shape[2] != dof or not np.isfinite(points).all():
        entry.fail(f"control_points_{k}: expected finite numbers (B, 4 or more, {dof}), got {points.shape}")
    if costs.shape != points.shape[:1] or valid.shape != points.shape[:1]:
        entry.fail(f"{len(points)} candidates, but costs {costs.shape} and valid {valid.shape}")
    return Batch(stage, level, points, costs, valid)
