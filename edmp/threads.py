"""How many threads compute: kernels, and torch on small matrices."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from edmp.errors import InvalidInputError

THREADS_VARIABLE = "EDMP_NUM_THREADS"
"""Environment variable: the most threads that CPU kernels use."""


def num_threads() -> int:
    """Threads that CPU kernels use: ``EDMP_NUM_THREADS`` if set, else the cores this process may run on.

    Raises:
        InvalidInputError: the variable holds something else than a whole number of at least 1.
    """
    text = os.environ.get(THREADS_VARIABLE, "").strip()
    if not text:
        return len(os.sched_getaffinity(0))
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text)):
        raise InvalidInputError(
            f"the environment variable {THREADS_VARIABLE} must be a whole number >= 1, got {text!r}; "
            "unset, all cores are used"
        )
    return int(text)


@contextlib.contextmanager
def kernel_threads(count: int) -> Iterator[None]:
    """CPU kernels of this process, and of those it starts, use ``count`` threads meanwhile."""
    before = os.environ.get(THREADS_VARIABLE)
    set_kernel_threads(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS_VARIABLE]
        else:
            os.environ[THREADS_VARIABLE] = before


def set_kernel_threads(count: int) -> None:
    """CPU kernels of this process, and of those it starts, use ``count`` threads from now on."""
    os.environ[THREADS_VARIABLE] = str(count)


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


# A forked child has none of OpenMP's threads, and waits for them for ever where the parent has used them.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
