"""`Gripper`: two fingers that a driver moves, simulated or real.

Like the arm it is never waited for: it is told what to do, goes about it while the arm's ticks pass, and says how far
it has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edmp.errors import EdmpError


class DriverError(EdmpError):
    """The arm cannot be reached, does not answer any more, or refuses; the message says which and what helps."""


GRASP_TOLERANCE = 5e-3
"""What is held may be thicker or thinner than expected by this [m]."""


@dataclass(frozen=True)
class GripperState:
    """What the fingers do.

    Attributes:
        width: gap between them [m].
        moving: they are still about what they were told.
        holding: they press on something about as wide as was expected.
    """

    width: float
    moving: bool
    holding: bool


class Gripper(Protocol):
    """A parallel gripper."""

    def move(self, width: float) -> None:
        """Begin to open or close to a gap [m]."""

    def grasp(self, width: float, force: float) -> None:
        """Begin to close on something about ``width`` wide [m], and keep pressing with ``force`` [N]."""

    def state(self) -> GripperState:
        """What the fingers do now."""


class BlockingGripper:
    """A `Gripper` of calls that return when the fingers have arrived: each runs in a thread of its own.

    Args:
        move: opens or closes to a gap [m].
        grasp: closes on something so wide [m] with a force [N]; whether it holds it.
        width: the gap now [m].
    """

    def __init__(
        self,
        move: Callable[[float], object],
        grasp: Callable[[float, float], bool],
        width: Callable[[], float],
    ) -> None:
        self._move, self._grasp, self._width = move, grasp, width
        self._thread: threading.Thread | None = None
        self._holding = False
        self._error: Exception | None = None

    def move(self, width: float) -> None:
        self._begin(lambda: self._move(width), holds=False)

    def grasp(self, width: float, force: float) -> None:
        self._begin(lambda: self._grasp(width, force), holds=True)

    def state(self) -> GripperState:
        """As told by the gripper.

        Raises:
            DriverError: what it was told failed.
        """
        moving = self._thread is not None and self._thread.is_alive()
        if not moving and self._error is not None:
            error, self._error = self._error, None
            raise DriverError(f"the gripper: {error}") from error
        return GripperState(self._width(), moving, self._holding and not moving)

    def join(self) -> None:
        """Wait for what it is about."""
        if self._thread is not None:
            self._thread.join()

    def _begin(self, call: Callable[[], object], *, holds: bool) -> None:
        self.join()
        self._holding, self._error = False, None

        def run() -> None:
            try:
                done = call()
                if done is False and not holds:
                    raise DriverError("it did not get there")
                self._holding = bool(done) and holds
            except Exception as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="gripper", daemon=True)
        self._thread.start()
