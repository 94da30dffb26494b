"""Worker processes for work that takes minutes: one thread each, ended at once when the run ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


@contextlib.contextmanager
def worker_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that end with the block: at once, whatever they are at, if an exception ends it."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        # The public shutdown waits for running work, minutes each; `_processes` is what it waits for.
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()
        raise
    pool.shutdown()


@contextlib.contextmanager
def shard_pool(count: int, out: Path) -> Iterator[ProcessPoolExecutor]:
    """A `worker_pool` that leaves no half-written shard behind in the folder ``out``."""
    try:
        with worker_pool(count) as pool:
            yield pool
    except BaseException:
        for leftover in out.glob(".shard-*.partial.safetensors"):
            leftover.unlink(missing_ok=True)
        raise


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent ends its workers
    import torch

    from edmp.threads import set_kernel_threads

    set_kernel_threads(1)
    torch.set_num_threads(1)
