"""Pickles read as data, never run: only classes that the caller names, and those as empty stand-ins.

A pickle is a program that may call anything that can be imported. `load_plain` lets it call nothing but the builders of
plain containers and of the stand-ins below: it never imports a module for a pickle, and NumPy's own restoring code,
which trusts what it is given, is not called either.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError

CONTAINERS: dict[str, Any] = {"dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset}

_NUMBERS = re.compile(r"[biuf][1248]")


class PlainObject:
    """Stands in for an object of a class in a pickle: its attributes, and nothing of what it could do."""


class PlainArray:
    """Stands in for a NumPy array of numbers; `values` makes one."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = (0,)
        self._dtype = PlainDtype("f8")
        self._raw = b""
        self._order = "C"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        self.fill(raw, dtype, shape, "F" if fortran else "C")

    def fill(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        if not (isinstance(dtype, PlainDtype) and isinstance(raw, bytes | bytearray) and order in ("C", "F")):
            raise pickle.UnpicklingError("an array that is not one of plain numbers")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise pickle.UnpicklingError(f"an array of shape {shape!r}")
        self._raw, self._dtype, self._shape, self._order = bytes(raw), dtype, tuple(shape), order

    def values(self) -> NDArray[Any]:
        """The numbers, in an array of the shape and type that the pickle gives.

        Raises:
            ValueError: there are more or fewer numbers than the shape asks for.
        """
        flat = np.frombuffer(self._raw, self._dtype.numpy())
        return flat.reshape(self._shape, order=self._order)  # type: ignore[call-overload]


class PlainDtype:
    """Stands in for a NumPy type of numbers."""

    def __init__(self, code: Any) -> None:
        if not (isinstance(code, str) and _NUMBERS.fullmatch(code)):
            raise pickle.UnpicklingError(f"an array of type {code!r}; only numbers are read")
        self._code, self._order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("an array of a structured type; only numbers are read")
        self._order = state[1]

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._code)


class _Unpickler(pickle.Unpickler):
    """Looks names up in tables instead of importing them.

    Everything it gives out is made for this one file (bound methods, fresh classes) or cannot be changed (built-in
    types), so that nothing a pickle does to it lasts.
    """

    def __init__(self, file: Any, path: Path, classes: Collection[str]) -> None:
        super().__init__(file)
        self._path = path
        self._objects = {name: type(name.rpartition(".")[2], (PlainObject,), {}) for name in classes}
        self._ndarray = type("ndarray", (), {})
        core = ("numpy.core", "numpy._core")
        self._builders: dict[str, Any] = {
            **{f"{module}.{name}": kind for module in ("builtins", "__builtin__") for name, kind in CONTAINERS.items()},
            **{f"{module}.multiarray._reconstruct": self._array for module in core},
            **{f"{module}.multiarray.scalar": self._scalar for module in core},
            **{f"{module}.numeric._frombuffer": self._filled for module in core},
            "numpy.ndarray": self._ndarray,
            "numpy.dtype": self._dtype,
            "_codecs.encode": self._encode,
            "copyreg._reconstructor": self._empty,
            "copy_reg._reconstructor": self._empty,
            "builtins.object": object,
            "__builtin__.object": object,
            "collections.OrderedDict": dict,
            "collections.defaultdict": self._dict,
        }

    def find_class(self, module: str, name: str) -> Any:
        key = f"{module}.{name}"
        if key in self._objects:
            return self._objects[key]
        if key in self._builders:
            return self._builders[key]
        self._refuse(key)

    def persistent_load(self, pid: Any) -> Any:
        self._refuse(f"persistent object {pid!r}")

    def _refuse(self, what: str) -> NoReturn:
        allowed = ", ".join(sorted(self._objects))
        raise FileFormatError(
            f"{self._path}: refused to load {what}: a pickle may hold only numbers, text, containers, NumPy arrays "
            f"and {allowed}"
        )

    def _array(self, subtype: Any, shape: Any, code: Any) -> PlainArray:
        return PlainArray()

    def _filled(self, raw: Any, dtype: Any, shape: Any, order: Any) -> PlainArray:
        array = PlainArray()
        array.fill(raw, dtype, shape, order)
        return array

    def _scalar(self, dtype: Any, raw: Any) -> Any:
        array = PlainArray()
        array.fill(raw, dtype, (), "C")
        return array.values().item()

    def _dtype(self, code: Any, align: Any = False, copy: Any = True) -> PlainDtype:
        return PlainDtype(code)

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """How pickles of old protocols write bytes."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
        return text.encode("latin1")

    def _empty(self, kind: Any, base: Any, state: Any) -> Any:
        """How pickles of old protocols make an object before its attributes are set."""
        if kind not in self._objects.values():
            raise pickle.UnpicklingError(f"an object of {kind!r}")
        return kind()

    def _dict(self, *_factory: Any) -> dict[Any, Any]:
        return {}


def load_plain(path: str | Path, classes: Collection[str]) -> Any:
    """The contents of a pickle: plain containers and values, `PlainArray` for NumPy arrays, `PlainObject` for objects.

    Args:
        path: of the pickle, any protocol.
        classes: full names of the classes (``module.Class``) whose objects it may hold.

    Raises:
        FileFormatError: it names anything else, which has not been imported or called then; or it is not a pickle.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _Unpickler(file, path, classes).load()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except FileFormatError:
        raise
    except Exception as error:  # a pickle that is broken, or made to break, can raise nearly anything
        raise FileFormatError(f"{path}: not a pickle of plain data: {error!r}") from None
