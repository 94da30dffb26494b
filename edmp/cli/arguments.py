"""Reading what was typed: lists of numbers, ranges, names; and the consoles to write on."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from edmp.errors import InvalidInputError

REPORT_WIDTH = 220
"""Columns for tables when the output is not a terminal, so that nothing is cut off in a file."""


def progress_console() -> Console:
    """For what passes: on stderr, so that stdout holds results only."""
    return Console(stderr=True, markup=False)


def report_console() -> Console:
    """For results, on stdout."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=REPORT_WIDTH)


def numbers(text: str, count: int, what: str) -> list[float]:
    """``count`` finite numbers, separated by spaces or commas.

    Raises:
        InvalidInputError: for anything else.
    """
    words = [word for word in re.split(r"[\s,]+", text.strip().strip("[]()")) if word]
    values = []
    for word in words:
        try:
            values.append(float(word))
        except ValueError:
            raise InvalidInputError(f"{what}: {word!r} is not a number") from None
    if len(values) != count:
        raise InvalidInputError(f"{what}: expected {count} numbers, got {len(values)}: {text!r}")
    if bad := [value for value in values if not math.isfinite(value)]:
        raise InvalidInputError(f"{what}: every number must be finite, got {bad[0]}")
    return values


def deadlines(text: str) -> tuple[float, ...]:
    """``"0.05,0.1"`` as times in seconds, ascending.

    Raises:
        InvalidInputError: for anything else.
    """
    from edmp.bench.statistics import checked_deadlines

    words = [word for word in text.split(",") if word.strip()]
    return checked_deadlines(numbers(",".join(words), len(words), "--deadlines"))


def names(text: str | None) -> list[str] | None:
    """Names separated by commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def ranges(text: str | None) -> set[int] | None:
    """``"1-3,7"`` as {1, 2, 3, 7}; None stays None.

    Raises:
        InvalidInputError: for anything else.
    """
    if text is None:
        return None
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not match:
            raise InvalidInputError(f"numbers: {part!r} is neither a number nor a range such as 1-50")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InvalidInputError(f"numbers: the range {part.strip()!r} runs backwards")
        chosen.update(range(first, last + 1))
    return chosen


def key_values(texts: Iterable[str], what: str) -> dict[str, Any]:
    """``["widths=[32,64]"]`` as {"widths": (32, 64)}; values are JSON, lists become tuples.

    Raises:
        InvalidInputError: for anything else.
    """
    chosen = {}
    for text in texts:
        key, sign, value = text.partition("=")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not sign or parsed is None:
            raise InvalidInputError(f"{what}: expected KEY=JSON such as widths=[32,64], got {text!r}")
        chosen[key.strip()] = tuple(parsed) if isinstance(parsed, list) else parsed
    return chosen


def driver_options(texts: Iterable[str]) -> dict[str, Any]:
    """``["delay=0.02"]`` as {"delay": 0.02}; a value that is no JSON is text.

    Raises:
        InvalidInputError: for anything else.
    """
    chosen: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InvalidInputError(f"--option: expected KEY=VALUE such as delay=0.02, got {text!r}")
        try:
            chosen[key.strip()] = json.loads(value)
        except ValueError:
            chosen[key.strip()] = value
    return chosen


@contextlib.contextmanager
def scene_file(scene: str | Path) -> Iterator[Path]:
    """The file of a ``--scene``: one that is there, or a shipped example by its name.

    Raises:
        EdmpError: there is neither; the message lists the examples.
    """
    from edmp.scenes.files import example_names, example_path

    path = Path(scene)
    if not path.exists() and "/" not in str(scene) and not path.suffix:
        with example_path(str(scene)) as example:  # says which examples there are if it is none
            yield example
        return
    if not path.is_file():
        raise InvalidInputError(f"--scene: no such file: {scene}; shipped examples: {', '.join(example_names())}")
    yield path
