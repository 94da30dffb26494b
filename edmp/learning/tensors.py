"""Tensors on disk: safetensors with a JSON description in the header. Nothing here ever unpickles."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edmp.errors import FileFormatError
from edmp.files.json_nodes import JsonNode, parse_json
from edmp.files.reading import is_file
from edmp.files.writing import written_whole

_METADATA_KEY = "edmp"


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and a JSON description to ``path``, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {_METADATA_KEY: json.dumps(metadata)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=header)


def read_header(path: Path) -> JsonNode:
    """The JSON description in the file's header; `FileFormatError` tells what is wrong with a file that has none."""
    if not is_file(path):
        raise FileFormatError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(f"{path}: {_diagnosis(path)} ({error})") from None
    if _METADATA_KEY not in metadata:
        raise FileFormatError(f"{path}: a safetensors file, but not one written by edmp (no {_METADATA_KEY!r} entry)")
    # A training that has not been validated yet has a loss that is no number.
    return parse_json(metadata[_METADATA_KEY], f"{path}: its description of the network", constants=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], JsonNode]:
    """The tensors of a file written by `write_tensors`, on the CPU, and its JSON description."""
    header = read_header(path)
    return load_tensors(path), header


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        FileFormatError: it is none, or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    # Besides its own errors: types of numbers that this torch does not have, and files cut off meanwhile.
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise FileFormatError(f"{path}: not tensors, or a truncated file ({error})") from None


def load_state(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Give a network the tensors of a file, as float32.

    Raises:
        FileFormatError: they are not those of the network, or not finite.
    """
    try:
        state = {name: tensor.float() for name, tensor in tensors.items()}
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(f"{path}: its tensors do not fit its config: {error}") from None
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise FileFormatError(f"{path}: not finite: {', '.join(broken)}")


def _diagnosis(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    if size == 0:
        return "the file is empty"
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return "a pickle or torch.save file; edmp reads safetensors only, because unpickling runs code"
    if head.startswith(b"version "):
        return "a Git LFS pointer, not the weights: run `git lfs pull`"
    if len(head) == 8 and head[7] == 0 and 2 <= struct.unpack("<Q", head)[0] < 100_000_000:
        return "a truncated or damaged safetensors file"
    return "not a safetensors file"
