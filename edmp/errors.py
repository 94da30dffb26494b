"""The exceptions of this project: one root, raised for misuse. A planning failure is a value, not an exception.

And one category of warnings, `EdmpWarning`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdmpError(Exception):
    """Root of every exception that edmp raises on purpose."""


class InvalidInputError(EdmpError, ValueError):
    """An argument has the wrong shape, a non-finite number, or a value outside what is meaningful."""


class UnknownNameError(EdmpError, KeyError):
    """A name that nothing answers to; the message lists the names that are valid."""

    def __str__(self) -> str:
        return str(self.args[0])


class FileFormatError(EdmpError, ValueError):
    """A file that cannot be read as what it should be; the message says file, place and what was expected."""


class EdmpWarning(UserWarning):
    """Something in the input was mended, assumed or left out; the message says what, where, and what to do about it.

    Raise it by ``warnings.warn(message, EdmpWarning, stacklevel=...)``; the command line shows a line for each on
    standard error.
    """


class MissingDependencyError(EdmpError, ImportError):
    """An optional package is needed; the message gives the command that installs it."""


def unknown_name(what: str, name: str, valid: Iterable[str]) -> UnknownNameError:
    """An `UnknownNameError` that lists the valid names and points at the closest one."""
    valid = sorted(valid)
    close = difflib.get_close_matches(str(name), valid, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"unknown {what} {name!r}; valid: {', '.join(valid) or '(none)'}.{hint}")
