"""Settings that make sense: a table of what each field may be, and one message for whatever is outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from edmp.errors import InvalidInputError


@dataclass(frozen=True)
class Range:
    """The finite numbers that a setting may take.

    Attributes:
        low, high: the ends.
        above: ``low`` itself is not allowed.
        whole: integers only.
        several: the setting is a tuple with at least one entry, each of them in the range.
    """

    low: float
    high: float = math.inf
    above: bool = False
    whole: bool = False
    several: bool = False

    def holds(self, value: Any) -> bool:
        if self.several:
            return isinstance(value, tuple | list) and len(value) > 0 and all(map(self._holds_one, value))
        return self._holds_one(value)

    def _holds_one(self, value: Any) -> bool:
        try:
            if not isinstance(value, Integral if self.whole else Real) or not math.isfinite(value):
                return False
        except OverflowError:  # an integer that no float holds
            return False
        number = float(value)
        return (number > self.low if self.above else number >= self.low) and number <= self.high

    def __str__(self) -> str:
        if math.isfinite(self.high):
            bounds = f"in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"
        elif self.above and self.low == 0:
            bounds = "positive"
        else:
            bounds = f"{'above' if self.above else 'at least'} {self.low:g}"
        if self.several:
            return f"a tuple of one or more {'whole ' if self.whole else ''}numbers, each {bounds}"
        return f"{bounds} and whole" if self.whole else bounds


def check_fields(settings: object, ranges: Mapping[str, Range]) -> None:
    """Every field of a settings object that the table names lies in its range.

    Raises:
        InvalidInputError: names the field, its value and what would be right.
    """
    for name, allowed in ranges.items():
        value = getattr(settings, name)
        if not allowed.holds(value):
            raise InvalidInputError(f"{name} must be {allowed}, got {value!r}")
