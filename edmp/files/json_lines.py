"""Files of one JSON object a line: frozen dataclasses, each field checked as it is read, each line flushed to disk."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from edmp.errors import EdmpWarning, InvalidInputError
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.reading import is_file, read_bytes, shortened

T = TypeVar("T")

Read = Callable[[JsonNode], Any]
"""Takes out of a JSON value what a field must be, or raises a `FileFormatError`."""


@dataclass(frozen=True)
class Layout(Generic[T]):
    """How a dataclass lies in a JSON object: a key for each field.

    Attributes:
        made: the dataclass.
        fields: what is read for each of its fields. A field without a default must be there; for one with a default,
            null stands for it, and so does no such key.
    """

    made: type[T]
    fields: Mapping[str, Read]

    def parse(self, node: JsonNode) -> T:
        """The dataclass, every field checked; keys that are no fields are left out.

        Raises:
            FileFormatError: names the field.
        """
        for key in self._required:
            node[key]
        given = {key: value for key, value in node.items() if key in self.fields}
        taken = {key: value for key, value in given.items() if not value.is_null or key in self._required}
        return self.made(**{key: self.fields[key](value) for key, value in taken.items()})

    @property
    def _required(self) -> list[str]:
        missing = dataclasses.MISSING
        return [
            each.name
            for each in dataclasses.fields(self.made)  # type: ignore[arg-type]
            if each.name in self.fields and each.default is missing and each.default_factory is missing
        ]


def or_null(read: Read) -> Read:
    """What ``read`` takes out, or None for null: for a field that must be there, and may be null."""
    return lambda node: None if node.is_null else read(node)


def each(layout: Layout[T]) -> Callable[[JsonNode], tuple[T, ...]]:
    """Takes out a list of dataclasses."""
    return lambda node: tuple(layout.parse(entry) for entry in node.entries())


def read_lines(path: str | Path, what: str) -> Iterator[JsonNode]:
    """The objects of a file, a line each; a last line that was cut off is left out.

    Raises:
        InvalidInputError: there is no such file.
        FileFormatError: with the line that is not an object.
    """
    path = Path(path)
    if not is_file(path):
        raise InvalidInputError(f"{what}: no such file: {path}")
    whole = read_bytes(path, f"{what} file").split(b"\n")[:-1]  # what follows the last newline was never finished
    for number, text in enumerate(whole, start=1):
        node = parse_json(text, f"{path}:{number}: not a line of {what}")
        if not isinstance(node.value, dict):
            node.fail("expected an object with keys")
        yield node


def warn_of_unknown(path: str | Path, unknown: Collection[str], *, stacklevel: int = 2) -> None:
    """Say which keys of a file were left out, if any: those of a newer edmp. ``stacklevel`` as of `warnings.warn`."""
    if unknown:
        names = ", ".join(shortened(ascii(name)) for name in sorted(unknown)[:5])
        message = f"{path}: keys of a newer edmp are left out: {names}"
        warnings.warn(message, EdmpWarning, stacklevel=stacklevel + 1)


class LineWriter:
    """Appends lines to a file, each flushed to disk before it goes on."""

    def __init__(self, path: str | Path, *, append: bool) -> None:
        self._path = Path(path)
        if append and self._path.exists():
            _cut_unfinished_line(self._path)
        self._file = self._path.open("a" if append else "w", encoding="utf-8")

    def write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _cut_unfinished_line(path: Path) -> None:
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
