"""Write plain data as YAML that a person can read: mappings in blocks, lists of numbers on one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from edmp.files.writing import write_text


class _Dumper(yaml.SafeDumper):
    """Lists of scalars in flow style, everything else in block style; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flow = all(not isinstance(item, list | dict) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    # repr is the shortest text that reads back to the same number; YAML 1.1 wants a dot before an exponent.
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(float, _represent_float)


def dump_yaml(document: dict[str, Any]) -> str:
    """``document`` (dict, list, str, int, float, bool, None) as YAML text, in the order given."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=120, allow_unicode=True)


def write_yaml(path: str | Path, document: dict[str, Any]) -> None:
    """Write a YAML file whole or not at all.

    Raises:
        InvalidInputError: if the file cannot be written; an older file of that name is then left as it was.
    """
    write_text(path, dump_yaml(document))
