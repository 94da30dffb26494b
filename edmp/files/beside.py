"""Large arrays of a text file lie beside it: ``plan.json`` and ``plan.json.3f2a9c01d4b7e856.npz``.

A document may hold numpy arrays where it holds numbers. `write_beside` writes these into a file of their own, whose
name has a digest of what is in it, and leaves ``{"array": DIGEST, "file": NAME}`` in the text, where the first digest
is that of the array. So no text goes with arrays that it was not written with: they are written first, under a name of
their own; then the text takes the place of the older one; and only then is removed what the older one had beside
itself, unless another text in the folder, a copy of the older one, names it. Who reads computes the digest again.

Files that stand alone, recordings and traces, hold the arrays inside (`set_aside`); there ``file`` is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError
from edmp.files.npz import read_npz, write_npz
from edmp.files.reading import is_file

LARGEST_TEXT = 1 << 28
"""An older text that is longer is not searched for what it had beside itself [bytes]."""
MOST_SEARCHED = 1 << 28
"""Where the files of a folder are longer in all, none is removed that one of them might name [bytes]."""


def digest_of(array: NDArray[Any]) -> str:
    """Of type, shape and content: 16 hexadecimal digits."""
    array = np.ascontiguousarray(array)
    content = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=8)
    content.update(array.reshape(-1).view(np.uint8).data)
    return content.hexdigest()


# --- writing ---------------------------------------------------------------------------------------------------------


def set_aside(document: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The document with a reference in the place of every array, and the arrays by their digests, each once."""
    plain, arrays, _ = _set_aside(document)
    return plain, arrays


def _set_aside(document: Any) -> tuple[Any, dict[str, NDArray[Any]], list[dict[str, str]]]:
    """`set_aside`, and the references."""
    arrays: dict[str, NDArray[Any]] = {}
    references: list[dict[str, str]] = []
    known: dict[int, str] = {}  # a task shows the same array in scene after scene

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            digest = known.get(id(value)) or known.setdefault(id(value), digest_of(value))
            arrays[digest] = value
            references.append({"array": digest})
            return references[-1]
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, list) else value

    return plain(document), arrays, references


def write_beside(path: str | Path, document: dict[str, Any], write: Callable[[Path, dict[str, Any]], None]) -> None:
    """Write a document by ``write(path, plain document)``, and its arrays beside it; both or none.

    Raises:
        InvalidInputError: one of them cannot be written; an older file is then left as it was, with its arrays.
    """
    path = Path(path)
    plain, arrays, references = _set_aside(document)
    older = _beside(path)
    if not arrays:
        write(path, plain)
    else:
        name = f"{path.name}.{hashlib.blake2b(' '.join(arrays).encode(), digest_size=8).hexdigest()}.npz"
        for reference in references:
            reference["file"] = name
        beside, there = path.with_name(name), path.with_name(name).exists()
        write_npz(beside, arrays)
        try:
            write(path, plain)
        except BaseException:
            if not there:
                beside.unlink(missing_ok=True)
            raise
        older -= {name}
    for one in older - _named_elsewhere(path, older):
        with contextlib.suppress(OSError):
            path.with_name(one).unlink(missing_ok=True)


def _beside(path: Path) -> set[str]:
    """The files of arrays that a text names as its own; none if it is not there or cannot be read."""
    try:
        if not is_file(path) or path.stat().st_size > LARGEST_TEXT:
            return set()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    return set(re.findall(re.escape(path.name) + r"\.[0-9a-f]{16}\.npz", text))


def _named_elsewhere(path: Path, names: set[str]) -> set[str]:
    """Those of ``names`` that another file of the folder holds, such as a copy of the text; all, if it is not known."""
    found: set[str] = set()
    left = MOST_SEARCHED
    try:
        for other in path.parent.iterdir() if names else ():
            if other.name == path.name or other.suffix == ".npz" or not is_file(other):
                continue
            left -= other.stat().st_size
            if left < 0:
                return names
            content = other.read_bytes()
            found |= {name for name in names if name.encode() in content}
    except OSError:
        return names
    return found


# --- reading ---------------------------------------------------------------------------------------------------------


class Arrays:
    """Where a document's arrays are, each read once.

    Attributes:
        made: what was made of them, by whoever reads: the same for all places in the document that name it.
    """

    def __init__(self, folder: Path | None = None, inside: Mapping[str, NDArray[Any]] | None = None) -> None:
        self._folder = folder
        self._files: dict[str | None, Mapping[str, NDArray[Any]]] = {None: inside or {}}
        self.made: dict[Any, Any] = {}

    def find(self, digest: str, file: str | None) -> NDArray[Any]:
        """The array of that digest.

        Raises:
            FileFormatError: it is not there, or another than the one that was written.
        """
        if file is not None and file not in self._files:
            if self._folder is None:
                raise FileFormatError("a file that stands alone names no other")
            if Path(file).name != file or Path(file).suffix != ".npz":
                raise FileFormatError(f"arrays lie beside this file, in a .npz, not in {file!r:.80}")
            self._files[file] = read_npz(self._folder / file, "file of arrays")
        array = self._files[file].get(digest)
        if array is None:
            where = "this file" if file is None else file
            raise FileFormatError(f"{where} holds no array {digest!r:.40}: was it exchanged, or lost?")
        if digest_of(array) != digest:
            raise FileFormatError(f"array {digest} is not the one that this was written with; it holds other numbers")
        return array

    def fitting(self, digest: str, file: str | None, dtype: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """`find`, of a type and shape; None stands for any length.

        Raises:
            FileFormatError: it is another.
        """
        array = self.find(digest, file)
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if array.dtype != np.dtype(dtype) or not fits:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise FileFormatError(f"expected an array of {dtype} ({wanted}), got {array.dtype} {array.shape}")
        return array
