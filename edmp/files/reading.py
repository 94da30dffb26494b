"""Files that somebody else wrote: read whole, or refused in words."""

from __future__ import annotations

from pathlib import Path

from edmp.errors import FileFormatError

MAX_BYTES = 1 << 30
"""Descriptions and meshes larger than this are refused unread."""


def is_file(path: Path) -> bool:
    """`Path.is_file`, False also for names that no file system takes."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """`Path.is_dir`, False also for names that no file system takes."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, what: str) -> bytes:
    """The bytes of a file that is to be a ``what``.

    Raises:
        FileFormatError: there is no such file, it cannot be read, or it is larger than `MAX_BYTES`.
    """
    if not is_file(path):
        why = "this is a folder" if is_folder(path) else f"no such {what}"
        raise FileFormatError(f"{shortened(path)}: {why}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FileFormatError(f"{path}: {size} bytes; a {what} has at most {MAX_BYTES}")
        return path.read_bytes()
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error or "not enough memory"
        raise FileFormatError(f"{path}: cannot be read: {reason}") from error


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark.

    Raises:
        FileFormatError: as `read_bytes`, or with the line that is not UTF-8.
    """
    data = read_bytes(path, what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileFormatError(f"{path}:{line}: not text: {error.reason}; a {what} is UTF-8") from None


def is_urdf(path: Path) -> bool:
    """Whether a file is to be read as a URDF: it begins as XML does, whatever its name, or is called .urdf."""
    if path.suffix.lower() == ".urdf":
        return True
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except (OSError, ValueError):
        return False
    # Text in UTF-16 has a zero byte beside each letter.
    return start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe\0 \t\r\n")[:1] == b"<"


def shortened(path: object) -> str:
    """A path or name for a message, not longer than a message should be."""
    text = str(path)
    return text if len(text) <= 200 else f"{text[:150]}... ({len(text)} characters)"
