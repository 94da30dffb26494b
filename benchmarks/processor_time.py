"""How long something takes, in processor time: for machines that do other work as well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def spent_ms(function: Callable[[], object], repeats: int = 5) -> list[float]:
    """Processor time of each of some runs [ms]."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - begin))
    return times


def median_ms(function: Callable[[], object], repeats: int = 5) -> float:
    """Of some runs the median of the processor time [ms]."""
    return statistics.median(spent_ms(function, repeats))
