"""A YAML file as plain data, whoever wrote it: every key once, nothing constructed, and time linear in its length.

PyYAML's safe loader is safe but not careful: tags with values that do not fit them raise whatever Python raises, the
second of two keys wins, and a few lines of aliases that name one another stand for gigabytes.
"""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from edmp.errors import FileFormatError

MAX_DEPTH = 50
"""Lists and mappings nested deeper than this are no description."""

# libyaml's parser is about ten times as fast; PyYAML may have been built without it.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def parse_yaml_document(text: str, *, source: str) -> Any:
    """The one document in ``text`` as dicts, lists, strings, numbers, booleans and None; ``source`` names it.

    Raises:
        FileFormatError: with file and line: not YAML, several documents, keys that stand twice, tags other than those
            of plain data, or aliases that multiply what the file holds.
    """
    try:
        root = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else source
        raise FileFormatError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from None
    return None if root is None else _Reader(source, len(text)).read(root, 0)


class _Reader:
    """Nodes to data. An alias is read again each time it stands, and what is read in all is bounded."""

    def __init__(self, source: str, length: int) -> None:
        self._source = source
        self._left = 10_000 + 2 * length

    def read(self, node: yaml.Node, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            self._fail(node, "aliases repeat so much that the file would hold many times its length: write it out")
        if depth > MAX_DEPTH:
            self._fail(node, f"more than {MAX_DEPTH} lists or mappings inside one another")
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fail(key, "keys must be plain names")
            if key.value in entries:
                self._fail(key, f"the key {key.value!r} stands twice")
            entries[key.value] = self.read(value, depth + 1)
        return entries

    def _scalar(self, node: yaml.Node) -> Any:
        kind, text = str(node.tag).removeprefix(_TAG), node.value
        try:
            if kind in _NUMBERS and ":" not in text:  # to the base of sixty, which nobody means in these files
                return _NUMBERS[kind](text)
        except (ValueError, OverflowError):
            self._fail(node, f"{text[:50]!r} is no number")
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if kind in (*_NUMBERS, "str", "timestamp", "merge", "value"):  # a name may look like a date
            return text
        self._fail(
            node,
            f"{text[:50]!r} with the tag {node.tag!r} is not read: expected plain text, numbers, lists and mappings",
        )

    def _fail(self, node: yaml.Node, message: str) -> NoReturn:
        raise FileFormatError(f"{self._source}:{node.start_mark.line + 1}: {message}")


def _float(text: str) -> float:
    word = text.replace("_", "").lower()
    return float({".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}.get(word, word))


def _int(text: str) -> int:
    word = text.replace("_", "").lower()
    sign = -1 if word.startswith("-") else 1
    word = word.lstrip("+-")
    if word.startswith(("0x", "0b")):
        return sign * int(word, 0)
    return sign * int(word, 8 if word.startswith("0") and len(word) > 1 else 10)


_NUMBERS = {"float": _float, "int": _int}
