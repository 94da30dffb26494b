"""Commands for an arm that takes them late: sent ahead of the time at which they are to be reached."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from edmp.execution.driver import Command

Array = NDArray[np.float64]


class Ahead:
    """Remembers what was commanded, and knows what an arm that is ``lead`` late has to have reached.

    Args:
        lead: commands are sent this much before they are to be reached [s].
        period: between commands [s].
    """

    def __init__(self, lead: float, period: float) -> None:
        ticks = lead / period
        self._whole = math.floor(ticks + 1e-9)
        self._part = max(ticks - self._whole, 0.0)
        self._sent: deque[Command] = deque(maxlen=self._whole + 2)

    def due(self, command: Command) -> Command:
        """What is to be reached when ``command`` is the last that was sent; call it once a tick.

        Before the first command the arm was at rest where that begins.
        """
        if not self._sent:
            self._sent.extend([Command.hold(command.positions)] * (self._whole + 2))
        self._sent.append(command)
        earlier, later = self._sent[0], self._sent[1]
        if self._part == 0.0:
            return later
        return Command(
            *(
                (1.0 - self._part) * getattr(later, name) + self._part * getattr(earlier, name)
                for name in ("positions", "velocities", "accelerations")
            )
        )
