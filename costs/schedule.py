"""Schedules: numbers that change while a trajectory is denoised, as small pieces of data.

A schedule is evaluated at ``remaining``: the share of the denoising still ahead, from 1 (noise) down to 0 (the last
step, and everything after it). EDMP counts steps t = T..1 with T = 255 and indexes its schedules by t - 1, so its
index is ``remaining * 255``; schedules that speak of an index mean this one, whatever the number of steps taken.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from edmp.arguments import numbers, shown
from edmp.errors import InvalidInputError, unknown_name

EDMP_STEPS = 255
_ROUNDING = 1e-6  # an index that went through remaining = index / 255 comes back up to rounding


class Schedule(ABC):
    """A number as a function of ``remaining`` in [0, 1]."""

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, remaining: float) -> float: ...

    def __post_init__(self) -> None:
        for key, value in dataclasses.asdict(self).items():  # type: ignore[call-overload]
            given = numbers(value)
            if given is None or given.ndim or not math.isfinite(given):
                raise InvalidInputError(f"schedule {self.kind!r}: {key} must be a finite number, got {shown(value)}")


@dataclass(frozen=True)
class Constant(Schedule):
    """Always ``value``."""

    kind: ClassVar[str] = "constant"
    value: float = 0.0

    def __call__(self, remaining: float) -> float:
        return self.value


@dataclass(frozen=True)
class Linear(Schedule):
    """From ``low`` at index 0 (the last step) to ``high`` at index 254 (the first)."""

    kind: ClassVar[str] = "linear"
    low: float = 0.0
    high: float = 0.0

    def __call__(self, remaining: float) -> float:
        index = min(remaining * EDMP_STEPS, EDMP_STEPS - 1.0)
        return self.low + (self.high - self.low) * index / (EDMP_STEPS - 1)


@dataclass(frozen=True)
class Ramp(Schedule):
    """``low`` up to index ``first``, ``high`` from index ``last``, linear between; ``low`` at indices below ``cutoff``.

    With ``first == last`` it is a step.
    """

    kind: ClassVar[str] = "ramp"
    first: float = 0.0
    last: float = 0.0
    low: float = 0.0
    high: float = 0.0
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first > self.last:
            raise InvalidInputError(f"schedule 'ramp': first {self.first} is after last {self.last}")

    def __call__(self, remaining: float) -> float:
        index = remaining * EDMP_STEPS + _ROUNDING
        if index >= self.last:
            return self.high
        if index <= self.first or index < self.cutoff:
            return self.low
        return self.low + (self.high - self.low) * (index - _ROUNDING - self.first) / (self.last - self.first)


@dataclass(frozen=True)
class Varying(Schedule):
    """EDMP's "varying" gradient scale: ``base + (t - 1) / T``, which is ``base + remaining``."""

    kind: ClassVar[str] = "varying"
    base: float = 1.4

    def __call__(self, remaining: float) -> float:
        return self.base + remaining


_KINDS: dict[str, type[Schedule]] = {kind.kind: kind for kind in (Constant, Linear, Ramp, Varying)}


def schedule_from(data: Schedule | float | str | Mapping[str, Any]) -> Schedule:
    """A schedule from plain data: a number, ``"varying"``, or ``{"kind": "ramp", "first": 20, ...}``."""
    if isinstance(data, Schedule):
        return data
    if isinstance(data, int | float) and not isinstance(data, bool):
        return Constant(data)
    if isinstance(data, str):
        data = {"kind": data}
    if not isinstance(data, Mapping) or "kind" not in data:
        raise InvalidInputError(f"a schedule is a number or a mapping with 'kind', got {data!r}")
    if data["kind"] not in _KINDS:
        raise unknown_name("schedule", data["kind"], _KINDS)
    kind = _KINDS[data["kind"]]
    valid = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    parameters = {key: value for key, value in data.items() if key != "kind"}
    for key in parameters:
        if key not in valid:
            raise unknown_name(f"parameter of schedule {data['kind']!r}", key, valid)
    return kind(**parameters)


def schedule_data(schedule: Schedule) -> float | dict[str, Any]:
    """What `schedule_from` turns back into ``schedule``."""
    if isinstance(schedule, Constant):
        return schedule.value
    return {"kind": schedule.kind, **dataclasses.asdict(schedule)}  # type: ignore[call-overload]
