"""How many threads torch takes for small matrices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Matrices this small gain nothing from more threads, and OpenMP threads that wait for a busy core lose much.

    The compiled kernels use all cores by themselves.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
