"""JSON that somebody else wrote, taken out as what it should be.

`parse_json(text, source)` gives the root `JsonNode`; its methods take a value out, or raise a `FileFormatError` such as
``plan.json: result.best.path: expected numbers (any, 7), got numbers (3, 6)``.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edmp.errors import EdmpError, FileFormatError
from edmp.files.beside import Arrays
from edmp.files.reading import read_text

Array = NDArray[np.float64]

LARGEST = 1e9
"""No length, angle, time or count in edmp's files is larger than this; squares and sums of such stay finite."""


@dataclass(frozen=True)
class JsonNode:
    """A value in a JSON file.

    Attributes:
        value: as `json` reads it.
        source: the file, or file and line, for messages.
        place: the keys on the way to the value, joined by dots.
        arrays: where the file's large arrays are, see `edmp.files.beside`.
    """

    value: Any
    source: str
    place: str = ""
    arrays: Arrays = field(default_factory=Arrays, compare=False)

    def fail(self, why: str) -> NoReturn:
        """Raise the `FileFormatError` for this value."""
        raise FileFormatError(f"{self.source}: {self.place}: {why}" if self.place else f"{self.source}: {why}")

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever is refused while something is made of this value is refused in its name."""
        try:
            yield
        except EdmpError as error:
            if isinstance(error, FileFormatError) and str(error).startswith(f"{self.source}: "):
                raise
            self.fail(str(error))

    @property
    def is_null(self) -> bool:
        return self.value is None

    # --- objects and lists ---

    def __getitem__(self, key: str) -> JsonNode:
        """The value under a key that must be there."""
        if key not in self._object():
            self.fail(f"missing key {key!r}")
        return self._under(key, self.value[key])

    def get(self, key: str) -> JsonNode | None:
        """The value under a key; None where it is absent or null."""
        value = self._object().get(key)
        return None if value is None else self._under(key, value)

    def has(self, key: str) -> bool:
        """Whether an object has a key."""
        return key in self._object()

    def items(self) -> Iterator[tuple[str, JsonNode]]:
        """Key and value of each entry of an object."""
        for key, value in self._object().items():
            yield self._under(key, key).text(), self._under(key, value)

    def entries(self, *, least: int = 0) -> list[JsonNode]:
        """The values of a list, at least so many."""
        if not isinstance(self.value, list):
            self.fail(f"expected a list, got {self._kind()}")
        if len(self.value) < least:
            self.fail(f"expected a list of at least {least}, got {len(self.value)}")
        return [self._at(f"{self.place}[{k}]", value) for k, value in enumerate(self.value)]

    # --- values ---

    def text(self, *, least: int = 0) -> str:
        """A string, of at least so many letters, that can be printed."""
        if not isinstance(self.value, str):
            self.fail(f"expected text, got {self._kind()}")
        if len(self.value) < least:
            self.fail("expected text, got an empty string")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            self.fail("expected text, got half of a surrogate pair")
        return self.value

    def one_of(self, names: Iterable[str]) -> str:
        """One of some words."""
        names = list(names)
        if self.text() not in names:
            self.fail(f"expected one of {', '.join(names)}, got {_short(self.value)}")
        return self.value

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.fail(f"expected true or false, got {self._kind()}")
        return self.value

    def number(self, low: float = -LARGEST, high: float = LARGEST) -> float:
        """A number from ``low`` to ``high``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail(f"expected a number, got {self._kind()}")
        if not low <= self.value <= high:  # false for NaN, and exact for integers that no float holds
            self.fail(f"expected a number from {low:g} to {high:g}, got {_short(self.value)}")
        return float(self.value)

    def integer(self, low: int = 0, high: int = int(LARGEST)) -> int:
        """A whole number from ``low`` to ``high``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"expected a whole number, got {self._kind()}")
        if not low <= self.value <= high:
            self.fail(f"expected a whole number from {low} to {high}, got {_short(self.value)}")
        return self.value

    def array(self, *shape: int | None, limit: float = LARGEST) -> Array:
        """Finite numbers of a shape, none larger in magnitude than ``limit``; None stands for any length.

        An empty list has the shape (0, ...).
        """
        if not isinstance(self.value, list):
            self.fail(f"expected {_shape_name(shape)}, got {self._kind()}")
        if not self.value and shape[0] in (None, 0):
            return np.zeros((0, *(length or 0 for length in shape[1:])))
        try:
            array = np.array(self.value)
        except (ValueError, OverflowError):
            self.fail(f"expected {_shape_name(shape)}, got rows of different lengths, or no numbers")
        if array.dtype.kind not in "iuf":
            self.fail(f"expected {_shape_name(shape)}, got something that is no number")
        if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
            self.fail(f"expected {_shape_name(shape)}, got {_shape_name(array.shape)}")
        array = array.astype(np.float64)
        if not (np.abs(array) <= limit).all():  # NaN is not, either
            bad = array[~(np.abs(array) <= limit)][0]
            self.fail(f"expected numbers of magnitude {limit:g} at most, got {bad:g}")
        return array

    def whole_array(self, *shape: int | None) -> NDArray[np.int64]:
        """`array`, of whole numbers."""
        array = self.array(*shape)  # up to 1e9: they are whole numbers of 32 bits, too
        if (array != np.round(array)).any():
            self.fail(f"expected whole numbers, got {array[array != np.round(array)][0]:g}")
        return array.astype(np.int64)

    def array_beside(self, dtype: str, *shape: int | None) -> NDArray[Any]:
        """A large array that the file names: of a type and shape, None for any length; its numbers may be any."""
        if not isinstance(self.value, dict) or "array" not in self.value:
            self.fail(f"expected {{array: ..., file: ...}}, arrays lie beside the file; got {self._kind()}")
        digest, file = self["array"].text(), self.get("file")
        with self.blamed():
            return self.arrays.fitting(digest, None if file is None else file.text(), dtype, shape)

    def plain(self, *, depth: int = 50) -> Any:
        """The value as it is, once every text in it can be printed, and none lies deeper. Numbers may be any."""
        if depth == 0:
            self.fail("nested too deeply")
        if isinstance(self.value, dict):
            return {key: node.plain(depth=depth - 1) for key, node in self.items()}
        if isinstance(self.value, list):
            return [node.plain(depth=depth - 1) for node in self.entries()]
        if isinstance(self.value, str):
            return self.text()
        return self.value

    def keys_plain(self) -> dict[str, Any]:
        """`plain`, of an object with keys."""
        self._object()
        return self.plain()

    # --- for messages ---

    def _object(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            self.fail(f"expected an object with keys, got {self._kind()}")
        return self.value

    def _under(self, key: str, value: Any) -> JsonNode:
        key = _short(key, quoted=False)
        return self._at(f"{self.place}.{key}" if self.place else key, value)

    def _at(self, place: str, value: Any) -> JsonNode:
        return JsonNode(value, self.source, place, self.arrays)

    def _kind(self) -> str:
        if isinstance(self.value, dict):
            return "an object"
        if isinstance(self.value, list):
            return f"a list of {len(self.value)}"
        return _short(self.value)


def parse_json(text: str | bytes, source: str, *, constants: bool = False, arrays: Arrays | None = None) -> JsonNode:
    """The root of a JSON text.

    Args:
        text: what was read.
        source: for messages.
        constants: take the words NaN and Infinity, which are no JSON.
        arrays: where large arrays are that it names; it must not name any if left out.

    Raises:
        FileFormatError: not JSON, or deeper than it can be read.
    """
    try:
        value = json.loads(text, parse_constant=float if constants else _refuse_constant)
        return JsonNode(value, source, arrays=arrays or Arrays())
    except json.JSONDecodeError as error:
        place = source if error.lineno == 1 and ":" in source else f"{source}:{error.lineno}"
        raise FileFormatError(f"{place}: malformed JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{source}: is not text (UTF-8 expected)") from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{source}: malformed JSON: {error}") from None


def read_json(path: str | Path, what: str) -> JsonNode:
    """The root of a JSON file that is to be a ``what``; arrays that it names lie beside it.

    Raises as `parse_json` and `edmp.files.reading.read_text`.
    """
    return parse_json(read_text(Path(path), what), str(path), arrays=Arrays(Path(path).parent))


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _shape_name(shape: tuple[int | None, ...]) -> str:
    return f"numbers ({', '.join('any' if n is None else str(n) for n in shape)}{',' * (len(shape) == 1)})"


def _short(value: Any, *, quoted: bool = True) -> str:
    """A value for a message, not longer than a message should be."""
    if isinstance(value, int) and not isinstance(value, bool) and math.log2(abs(value) + 1) > 200:
        return "an integer of more than 60 digits"
    text = ascii(value) if quoted else value.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:50]}..."
