"""A plan in the making: how the batch of candidates goes from noise to motions, kept to be looked at later."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edmp.outfile import check_writable, written_whole
from edmp.planfile import PlanFile, plan_document, plan_from_document
from edmp.robots.errors import FileFormatError
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
    head = {
        "edmp_trace": VERSION,
        "plan": plan_document(trace.plan.problem, trace.plan.result),
        "batches": [{"stage": batch.stage, "level": batch.level} for batch in trace.batches],
    }
    arrays = {
        f"{name}_{k}": getattr(batch, name)
        for k, batch in enumerate(trace.batches)
        for name in ("control_points", "costs", "valid")
    }
    content = io.BytesIO()
    np.savez_compressed(content, head=np.array(json.dumps(head, allow_nan=False)), **arrays)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


def load_trace(path: str | Path) -> Trace:
    """Read a trace.

    Raises:
        FileFormatError: it is none, or of a version that this edmp does not know.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            if head["edmp_trace"] != VERSION:
                raise FileFormatError(f"{path}: trace format {head['edmp_trace']!r}; this edmp reads version {VERSION}")
            batches = tuple(
                Batch(
                    entry["stage"],
                    float(entry["level"]),
                    *(file[f"{name}_{k}"] for name in ("control_points", "costs", "valid")),
                )
                for k, entry in enumerate(head["batches"])
            )
            return Trace(plan_from_document(head["plan"]), batches)
    except FileFormatError:
        raise
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: not a trace of edmp: {error}") from None
