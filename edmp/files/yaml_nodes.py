"""YAML read as a tree that remembers its file and lines, so that every complaint can say where.

`read_yaml(path)` gives the root `YamlNode`; its methods take a value out as what it should be, or raise a
`FileFormatError` such as ``scene.yaml:12: obstacles.table.size: expected 3 numbers, got 2``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from edmp.errors import EdmpError, EdmpWarning, FileFormatError

# libyaml's parser is about ten times as fast; PyYAML may have been built without it.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class YamlNode:
    """A value in a YAML file.

    Attributes:
        file: the file, as the caller named it.
        place: keys and indices that lead here, for messages; empty at the root.
        node: PyYAML's node.
    """

    file: str
    place: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """Line in the file, from 1."""
        return self.node.start_mark.line + 1

    def fail(self, message: str) -> NoReturn:
        """Raise a `FileFormatError` with file, line and place."""
        place = f"{self.place}: " if self.place else ""
        raise FileFormatError(f"{self.file}:{self.line}: {place}{message}")

    def refuse(self, error: EdmpError) -> NoReturn:
        """Raise what was wrong with a value as a `FileFormatError` with file, line and place."""
        self.fail(str(error))

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_null(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == "tag:yaml.org,2002:null"

    def mapping(self) -> dict[str, YamlNode]:
        """The entries of a mapping; a key that appears twice is refused."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"expected a mapping, got {self._kind()}")
        entries: dict[str, YamlNode] = {}
        for key, value in self.node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.fail("keys must be plain names")
            child = YamlNode(self.file, f"{self.place}.{key.value}" if self.place else key.value, value)
            if key.value in entries:
                YamlNode(self.file, child.place, key).fail("this key appears twice")
            entries[key.value] = child
        return entries

    def only(self, *known: str) -> dict[str, YamlNode]:
        """`mapping`, refusing keys other than ``known``."""
        entries = self.mapping()
        for key, child in entries.items():
            if key not in known:
                child.fail(f"unknown key {key!r}; valid: {', '.join(known)}")
        return entries

    def get(self, key: str) -> YamlNode | None:
        """The entry ``key`` of a mapping; None if it is missing or null."""
        child = self.mapping().get(key)
        return None if child is None or child.is_null else child

    def need(self, key: str) -> YamlNode:
        """The entry ``key`` of a mapping, which must be there."""
        entries = self.mapping()
        if key not in entries:
            self.fail(f"missing key {key!r}; found: {', '.join(entries) or '(none)'}")
        return entries[key]

    def items(self) -> list[YamlNode]:
        """The items of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"expected a list, got {self._kind()}")
        return [YamlNode(self.file, f"{self.place}[{i}]", item) for i, item in enumerate(self.node.value)]

    def __iter__(self) -> Iterator[YamlNode]:
        return iter(self.items())

    def text(self) -> str:
        """A scalar as text."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"expected text, got {self._kind()}")
        return str(self.node.value)

    def number(self) -> float:
        """A scalar as a finite number."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"expected a number, got {self._kind()}")
        try:
            value = float(self.node.value)
        except ValueError:
            # YAML writes non-finite numbers as .nan and .inf
            special = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}
            if self.node.value.lower() not in special:
                self.fail(f"expected a number, got {self.node.value!r}")
            value = special[self.node.value.lower()]
        if not math.isfinite(value):
            self.fail(f"expected a finite number, got {self.node.value}")
        return value

    def numbers(self, length: int | None = None) -> list[float]:
        """A list of finite numbers, of ``length`` of them if given."""
        values = [item.number() for item in self.items()]
        if length is not None and len(values) != length:
            self.fail(f"expected {length} numbers, got {len(values)}: {values}")
        return values

    def indices(self, length: int | None = None) -> list[int]:
        """A list of whole numbers, of ``length`` of them if given."""
        values = self.numbers(length)
        if any(value != int(value) for value in values):
            self.fail(f"expected whole numbers, got {values}")
        return [int(value) for value in values]

    def plain(self, *, depth: int = 10) -> Any:
        """The value as a dict, a list, a finite number, text, or None; nothing may lie deeper than ``depth``."""
        if depth == 0:
            self.fail("nested too deeply")
        if self.is_mapping:
            return {key: child.plain(depth=depth - 1) for key, child in self.mapping().items()}
        if self.is_list:
            return [item.plain(depth=depth - 1) for item in self.items()]
        if self.is_null:
            return None
        if getattr(self.node, "style", None) in (None, "") and _is_number(self.text()):
            return self.number()
        return self.text()

    def _kind(self) -> str:
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list"
        return f"{self.node.value!r}" if self.node.value else "nothing"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in (".nan", ".inf", "-.inf")
    return True


def read_yaml(path: str | Path) -> YamlNode:
    """The root of the first document in a YAML file, see `parse_yaml`.

    Raises:
        FileFormatError: if the file cannot be read, is not YAML, or is empty.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """A text file.

    Raises:
        FileFormatError: it cannot be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: is not a text file (UTF-8 expected): {error}") from error


def parse_yaml(text: str, file: str) -> YamlNode:
    """The root of the first document in ``text``, with a warning if there are more; ``file`` is its name in messages.

    ``ros2 topic echo`` ends each document with ``---``.
    """
    try:
        loader = Loader(text)
        root = loader.get_node() if loader.check_node() else None
        further = root is not None and loader.check_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise FileFormatError(f"{file}{line}: malformed YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise FileFormatError(f"{file}: malformed YAML: {error}") from None
    if root is None:
        raise FileFormatError(f"{file}:1: the file is empty; expected a YAML mapping")
    if further:
        warnings.warn(f"{file}: only the first of its documents, which --- divides, is read", EdmpWarning, stacklevel=3)
    node = YamlNode(file, "", root)
    if not node.is_mapping:
        node.fail(f"expected a YAML mapping at the top, got {node._kind()}")
    return node
