"""The XML of a URDF as a tree that knows its lines, and what is refused before anybody looks at links and joints."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

import numpy as np

from edmp.errors import FileFormatError
from edmp.files.reading import read_bytes
from edmp.robots.description import entry_numbers
from edmp.robots.parts import Array

MAX_DEPTH = 100
"""Elements nested deeper than this are no robot."""

EXPAND = "this is xacro, not yet a URDF: expand it first with 'xacro FILE > arm.urdf' (ROS; pip install xacro)"

_FOREIGN = {
    "sdf": "this is SDF (Gazebo); a URDF of the same robot is needed",
    "mujoco": "this is MJCF (MuJoCo); a URDF of the same robot is needed",
    "COLLADA": "this is a Collada mesh, which a URDF may name as the geometry of a link",
    "launch": "this is a ROS launch file; the URDF is what it loads as robot_description",
    "package": "this is the manifest of a ROS package; the URDF is usually in its folder urdf",
}


class Element(ElementTree.Element):
    """An element that remembers where it began."""

    line: int = 0


def read_xml(path: Path) -> Element:
    """The root element `<robot>` of a URDF.

    Raises:
        FileFormatError: with file and line: not readable, not XML, entities, xacro, or another kind of file.
    """
    data = read_bytes(path, "URDF file")
    text = data.lstrip(b"\xef\xbb\xbf").lstrip() if data[:1] in b"\xef \t\r\n" else data
    first = data[: len(data) - len(text)].count(b"\n")
    if not text:
        raise FileFormatError(f"{path}: the file is empty; expected a URDF")
    builder = _Builder(path, first)
    try:
        return builder.parse(text)
    except expat.ExpatError as error:
        raise FileFormatError(f"{path}:{error.lineno + first}: not XML: {error}{_encoding_hint(text)}") from None
    except (ValueError, LookupError) as error:  # encodings that are unknown, or that expat cannot read
        raise FileFormatError(f"{path}: not XML that can be read: {error}") from None


def _encoding_hint(text: bytes) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        return f"; line {line} is not UTF-8: save the file as UTF-8, or declare its encoding in the first line"
    return ""


class _Builder:
    """Expat's events to elements. Entities are refused: a few lines of them can stand for gigabytes."""

    def __init__(self, path: Path, first_line: int) -> None:
        self._path = path
        self._first = first_line
        self._depth = 0
        # Prefixes stay as they are written: old files use prefixes that they never declare.
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._entity
        self._tree = ElementTree.TreeBuilder(element_factory=Element)

    def parse(self, text: bytes) -> Element:
        self._parser.Parse(text, True)
        root = self._tree.close()
        assert isinstance(root, Element)
        return root

    def _fail(self, message: str) -> NoReturn:
        raise FileFormatError(f"{self._path}:{self._parser.CurrentLineNumber + self._first}: {message}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and tag != "robot":
            foreign = f": {_FOREIGN[tag]}" if tag in _FOREIGN else ""
            self._fail(f"not a URDF: the root element is <{tag}>, expected <robot>{foreign}")
        if self._depth >= MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} elements inside one another: not a URDF")
        if tag.startswith("xacro:"):
            self._fail(f"<{tag}>: {EXPAND}")
        self._depth += 1
        element = self._tree.start(tag, attributes)
        assert isinstance(element, Element)
        element.line = self._parser.CurrentLineNumber + self._first

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(tag)

    def _entity(self, name: str, *_: object) -> None:
        self._fail(f"declares the entity {name!r}: entities are not read; write out what it stands for")


# --- values ----------------------------------------------------------------------------------------------------------


def at(path: object, element: ElementTree.Element, what: str) -> str:
    """``file:line: what``, the start of a message about an element."""
    return f"{path}:{element.line}: {what}" if isinstance(element, Element) and element.line else f"{path}: {what}"


def attribute(element: ElementTree.Element, name: str, place: str) -> str:
    """An attribute that must be there."""
    value = element.get(name)
    if value is None or not value.strip():
        raise FileFormatError(f"{place}: <{element.tag}> lacks the attribute {name}")
    return plain(value, f"{place}: {name}")


def plain(text: str, place: str) -> str:
    """The text, unless xacro would have to fill it in first."""
    if "${" in text or "$(" in text:
        raise FileFormatError(f"{place}: {text!r}: {EXPAND}")
    return text


def floats(text: str, count: int, place: str) -> Array:
    """``count`` finite numbers with spaces between them; a message quotes what stands there instead."""
    words = plain(text, place).split()
    try:
        if len(words) != count:
            raise ValueError
        return entry_numbers([float(word) for word in words], (count,), f"{place}: {text!r}")
    except ValueError as error:
        if isinstance(error, FileFormatError):
            raise
        expected = "one number" if count == 1 else f"{count} numbers with spaces between them"
        commas = ", without commas" if "," in text else ""
        raise FileFormatError(f"{place}: expected {expected}{commas}, got {text!r}") from None


def number(text: str, place: str) -> float:
    return float(floats(text, 1, place)[0])


def limit(text: str, place: str) -> float:
    """One number, where infinity has a meaning; NaN has none."""
    word = plain(text, place).strip()
    try:
        value = float(word)
    except ValueError:
        return number(text, place)
    return number(text, place) if np.isnan(value) else value
