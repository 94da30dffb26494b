"""Output files: known to be writable before the work starts, and written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edmp.errors import InvalidInputError


def check_writable(path: str | Path, what: str, *, suffixes: tuple[str, ...] = ()) -> Path:
    """The path, if a file could be written there now; nothing is left behind.

    Args:
        path: of the file to come.
        what: it is, for the message.
        suffixes: allowed endings, any if empty.

    Raises:
        InvalidInputError: says what stands in the way.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InvalidInputError(f"{what}: {path} must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InvalidInputError(f"{what}: {path} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise InvalidInputError(f"{what}: the folder {path.parent} does not exist; make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with path.open("ab"):
                pass
    except OSError as error:
        raise InvalidInputError(f"{what}: cannot write {path}: {error.strerror or error}") from error
    return path


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path``, same ending; renamed to ``path`` if the block succeeds, else removed.

    It has the permissions that a plain ``open`` would have given, whatever the writer in the block gives to its files.

    Raises:
        InvalidInputError: the file cannot be written; an older file of that name is then left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}.partial{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write plain data as strict JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
