"""Run a kernel over the rows of a batch on all cores.

Warp runs a CPU launch on the calling thread and releases the GIL meanwhile, so a batch is cut into pieces, one a core.
On CUDA one launch takes the whole batch; no test has run there yet.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from edmp.threads import num_threads
from edmp.warp_start import wp


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=size, thread_name_prefix="edmp-kernel")


# A forked child has the pools of its parent, but none of their threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


def launch_rows(
    kernel: wp.Kernel,
    rows: int,
    columns: tuple[int, ...],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    device: str,
    *,
    grain: int = 4,
) -> None:
    """Launch ``kernel`` over (rows, *columns).

    Args:
        kernel: takes ``inputs``, then ``first: int`` (the row that its thread index 0 stands for), then ``outputs``.
        rows: number of rows; each is independent of the others.
        columns: further launch dimensions.
        inputs, outputs: kernel arguments.
        device: Warp device name.
        grain: fewest rows worth a thread of their own.
    """

    def piece(first: int, count: int) -> None:
        wp.launch(kernel, dim=(count, *columns), inputs=[*inputs, first, *outputs], device=device)

    pieces = min(num_threads(), -(-rows // grain)) if device == "cpu" else 1
    if pieces <= 1:
        piece(0, rows)
        return
    bounds = [rows * i // pieces for i in range(pieces + 1)]
    pool = _pool(pieces - 1)
    futures = [pool.submit(piece, bounds[i], bounds[i + 1] - bounds[i]) for i in range(1, pieces)]
    piece(0, bounds[1])
    for future in futures:
        future.result()
