"""Arguments of the wrong kind, told by name: what a signature promises is what is asked of the caller.

`checked` reads the annotations of a public function or class and refuses what does not fit them before any work is
done. Ranges, shapes and lengths are the function's own to check; this is about kinds.
"""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from edmp.errors import InvalidInputError

F = TypeVar("F", bound=Callable[..., Any])


class Numeric:
    """Stands for ``ArrayLike`` while annotations are read: numbers in any form, but no text that looks like some."""


def checked(function: F) -> F:
    """`checked_but` of no argument: every one is checked."""
    return checked_but()(function)


def checked_but(*own: str) -> Callable[[F], F]:
    """Decorator of a public function, method or class: arguments that do not fit their annotations are refused.

    A number that is annotated ``float`` must not be NaN, one that is ``int`` must be whole; ``bool`` is neither.
    Sequences and mappings are looked into. Arrays must hold numbers; their shapes are for the function to check.

    What is decorated raises `InvalidInputError`, which names the argument, what it must be, and what it was.

    Args:
        own: names of arguments that the function checks itself, because it knows more to say of them.
    """
    return functools.partial(_checked, own=own)


def _checked(function: F, *, own: tuple[str, ...]) -> F:
    if isinstance(function, type):
        function.__init__ = _checked(function.__init__, own=own)  # type: ignore[misc]
        return function
    signature = inspect.signature(function)
    annotated = functools.cache(lambda: typing.get_type_hints(function, localns={"ArrayLike": Numeric}))

    @functools.wraps(function)
    def with_checks(*arguments: Any, **options: Any) -> Any:
        hints = annotated()
        for name, value in signature.bind(*arguments, **options).arguments.items():
            if name not in hints or name in own:  # self and cls have no annotation
                continue
            several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            for one in value if several else (value,):
                if not fits(one, hints[name]):
                    raise InvalidInputError(f"{name} must be {_in_words(hints[name])}, got {shown(one)}")
        return function(*arguments, **options)

    return with_checks  # type: ignore[return-value]


def numbers(values: Any) -> NDArray[np.float64] | None:
    """A float array of any shape, from lists, arrays or torch tensors; None if these are not numbers of one shape."""
    try:
        if hasattr(values, "detach"):  # numpy takes no tensor that is on a GPU or requires a gradient
            values = values.detach().cpu()
        array = np.asarray(values)
        # Text is no number, even where it looks like one.
        return None if array.dtype.kind not in "fiu" and not _objects(array) else array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
        return None


def shown(value: Any) -> str:
    """A value for a message, not longer than a message should be."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({type(value).__name__})"


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is of the kind that an annotation, as `typing.get_type_hints` returns it, speaks of."""
    if hint is Any or hint is object or isinstance(hint, TypeVar):
        return True
    kind = get_origin(hint) or hint
    if kind in _UNIONS:
        members = [one for one in get_args(hint) if not (_numeric_union(hint) and one in _LIKE_NUMBERS)]
        return any(fits(value, one) for one in members)
    if kind is np.ndarray:
        found = numbers(value)
        return found is not None and found.ndim > 0
    if _numeric(kind):
        return numbers(value) is not None
    if kind in _SIMPLE:
        return _SIMPLE[kind](value)
    if kind is Callable:
        return callable(value)
    if issubclass(kind, Mapping):
        pair = get_args(hint) or (Any, Any)
        return isinstance(value, Mapping) and all(fits(k, pair[0]) and fits(v, pair[1]) for k, v in value.items())
    if kind is tuple or (issubclass(kind, Collection) and kind.__module__ == "collections.abc"):
        return _fits_collection(value, kind, get_args(hint))
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name in _members(kind))
    return isinstance(value, kind)


def _objects(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array of Python objects may hold numbers: single values that know how to become a float."""
    return array.dtype.kind == "O" and all(hasattr(one, "__float__") for one in array.flat)


def _fits_collection(value: Any, kind: Any, members: tuple[Any, ...]) -> bool:
    """An array counts as a collection: of its rows."""
    wanted = (list, tuple, np.ndarray) if kind is tuple else (kind, np.ndarray)
    if isinstance(value, str | bytes) or not isinstance(value, wanted):
        return False
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return False
    entries = [*value]
    if kind is tuple and members and members[-1] is not Ellipsis:
        return len(entries) == len(members) and all(map(fits, entries, members))
    return not members or all(fits(one, members[0]) for one in entries)


def _is_number(value: Any) -> bool:
    number = numbers(value)
    return number is not None and number.ndim == 0 and not np.isnan(number)


_SIMPLE: dict[Any, Callable[[Any], bool]] = {
    types.NoneType: lambda value: value is None,
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool | np.bool_),
    int: lambda value: isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) < 2**63,
    float: _is_number,
    Path: lambda value: isinstance(value, os.PathLike),
}
_UNIONS = (typing.Union, types.UnionType)
_LIKE_NUMBERS = (bool, int, float, complex, str, bytes)
"""Members of numpy's ``ArrayLike`` that are not meant where an array of numbers is."""


def _numeric(kind: Any) -> bool:
    return kind is Numeric or getattr(kind, "__module__", "").startswith("numpy._typing")


def _numeric_union(hint: Any) -> bool:
    """An alias made with ``ArrayLike``, all of whose members now are members of the union."""
    return any("numpy._typing" in getattr(get_origin(one) or one, "__module__", "") for one in get_args(hint))


def _members(protocol: type) -> list[str]:
    names = {**vars(protocol), **inspect.get_annotations(protocol)}
    return [name for name in names if not name.startswith("_")]


_WORDS = {
    types.NoneType: "None",
    str: "a string",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    Callable: "a function",
    Path: "a path",
}


def _in_words(hint: Any) -> str:
    """An annotation for a message."""
    kind = get_origin(hint) or hint
    if kind in _UNIONS:
        members = [one for one in get_args(hint) if not (_numeric_union(hint) and one in _LIKE_NUMBERS)]
        return " or ".join(dict.fromkeys(map(_in_words, members)))
    if kind is np.ndarray:
        return "an array of numbers"
    if _numeric(kind):
        return "numbers"
    if kind in _WORDS:
        return _WORDS[kind]
    if issubclass(kind, Mapping):
        return "a dictionary"
    if kind is tuple or kind.__module__ == "collections.abc":
        members = [one for one in get_args(hint) if one is not Ellipsis]
        fixed = kind is tuple and Ellipsis not in get_args(hint)
        each = " or ".join(dict.fromkeys(map(_in_words, members))) or "anything"
        return f"{len(members)} values, each {each}" if fixed else f"a list, each entry {each}"
    return f"a {kind.__name__}" if kind.__name__[0] not in "AEIOU" else f"an {kind.__name__}"
