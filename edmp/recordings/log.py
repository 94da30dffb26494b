"""A log: where the joints of an arm were, and what else is known of them, row by row; whoever wrote it down."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import checked
from edmp.errors import InvalidInputError, unknown_name
from edmp.files.json_nodes import LARGEST
from edmp.recordings.recording import Recording
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

OPTIONAL = ("velocities", "torques", "commanded", "commanded_velocities")
"""What a log need not hold."""

TABLES = ("positions", *OPTIONAL)

GAP = 3.0
"""Rows further apart than so many median periods have a gap between them."""


_LATEST = 1e11
"""Seconds since 1970 are less."""


@dataclass(frozen=True)
class Gap:
    """Rows that are missing.

    Attributes:
        row: the row before.
        time: of this row [s].
        duration: until the row after [s].
    """

    row: int
    time: float
    duration: float


@checked
@dataclass(frozen=True, eq=False)
class Log:
    """What an arm did, as far as it was written down. A gap is no error, see `gaps`.

    Attributes:
        joint_names: (dof) column order.
        times: (n,) strictly increasing, n at least 2 [s].
        positions: (n, dof) measured [rad or m].
        velocities: (n, dof) measured [rad/s or m/s].
        torques: (n, dof) that the motors exerted, gravity included [Nm or N].
        commanded, commanded_velocities: (n, dof) where the joints were to be, and how fast [rad or m], [rad/s or m/s].
        source: whose log this is, for messages.
        spread: standard deviations (n, dof) of tables that were computed, not measured, by the name of the table.

    Raises:
        InvalidInputError: shapes that do not go together, numbers that are none or beyond 1e9, a clock that stands
            still or runs backwards; says which row.
    """

    joint_names: tuple[str, ...]
    times: Array
    positions: Array
    velocities: Array | None = None
    torques: Array | None = None
    commanded: Array | None = None
    commanded_velocities: Array | None = None
    source: str = "log"
    spread: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.joint_names
        if not names or len(set(names)) < len(names):
            raise InvalidInputError(f"{self.source}: joint_names must be there, each once, got {', '.join(names)}")
        times = np.array(self.times, dtype=np.float64)
        if times.ndim != 1 or len(times) < 2:
            raise InvalidInputError(f"{self.source}: times: expected shape (n,), n at least 2, got {times.shape}")
        self._check_clock(times)
        object.__setattr__(self, "times", times)
        for name in TABLES:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, self._table(name, value))
        if unknown := [name for name in self.spread if name not in TABLES]:
            raise unknown_name("table of spread", unknown[0], TABLES)
        object.__setattr__(
            self, "spread", {name: self._table(f"spread of {name}", x) for name, x in self.spread.items()}
        )

    def _check_clock(self, times: Array) -> None:
        if bad := np.flatnonzero(~(np.abs(times) <= _LATEST)).tolist():
            raise InvalidInputError(f"{self.source}: times: row {bad[0]} is {times[bad[0]]}")
        steps = np.diff(times)
        if bad := np.flatnonzero(steps <= 0.0).tolist():
            row = bad[0] + 1
            what = "runs backwards" if steps[row - 1] < 0.0 else "stands still"
            raise InvalidInputError(
                f"{self.source}: the clock {what} at row {row}: {times[row]:.9g} s after {times[row - 1]:.9g} s"
            )

    def _table(self, name: str, value: Array) -> Array:
        table = np.array(value, dtype=np.float64)
        shape = (len(self.times), self.dof)
        if table.shape != shape:
            raise InvalidInputError(f"{self.source}: {name}: expected shape {shape}, got {table.shape}")
        if not (sane := np.abs(table) <= LARGEST).all():  # what is not a number is not, either
            row, column = np.argwhere(~sane)[0]
            raise InvalidInputError(
                f"{self.source}: {name}: row {row}, joint {self.joint_names[column]} is {table[row, column]}"
            )
        return table

    @classmethod
    @checked
    def of(cls, recording: Recording, *, source: str = "recording") -> Log:
        """The log of a recording, by the clock of the arm.

        Ticks at which nothing new was measured are left out. Torques that are zero throughout, as drivers give them
        that know none, are none.

        Raises:
            InvalidInputError: as of `Log`; the clock runs backwards at a tick; nothing was measured at all.
        """
        times = np.asarray(recording.times)
        news = np.concatenate([[True], np.diff(times) != 0.0])[: len(times)]
        if news.sum() < 2:
            raise InvalidInputError(f"{source}: holds no motion: {int(news.sum())} measurements")

        def table(values: Array, *, zero: bool = False) -> Array | None:
            """None where the driver did not know."""
            rows = values[news]
            return None if np.isnan(rows).all() or (zero and not rows.any()) else rows

        return cls(
            tuple(recording.joint_names),
            times[news],
            recording.measured[news],
            table(recording.measured_velocities),
            table(recording.torques, zero=True),
            table(recording.commanded),
            table(recording.commanded_velocities),
            source,
        )

    @property
    def dof(self) -> int:
        return len(self.joint_names)

    @property
    def duration(self) -> float:
        """[s]"""
        return float(self.times[-1] - self.times[0])

    @property
    def period(self) -> float:
        """Median time between rows [s]."""
        return float(np.median(np.diff(self.times)))

    def gaps(self) -> tuple[Gap, ...]:
        """Where rows are missing: more than `GAP` median periods between two."""
        steps = np.diff(self.times)
        rows = np.flatnonzero(steps > GAP * self.period).tolist()
        return tuple(Gap(row, float(self.times[row]), float(steps[row])) for row in rows)

    @checked
    def piece(self, begin: int, end: int) -> Log:
        """Rows ``begin`` to ``end`` - 1."""
        tables = {name: getattr(self, name) for name in TABLES}
        kept = {name: table[begin:end] for name, table in tables.items() if table is not None}
        spread = {name: table[begin:end] for name, table in self.spread.items()}
        return dataclasses.replace(self, times=self.times[begin:end], spread=spread, **kept)

    @checked
    def with_joints(self, names: Sequence[str]) -> Log:
        """The same with these joints, in this order.

        Raises:
            UnknownNameError: a joint that the log does not have.
        """
        for name in names:
            if name not in self.joint_names:
                raise unknown_name(f"joint in {self.source}", name, self.joint_names)
        columns = [self.joint_names.index(name) for name in names]
        tables = {name: getattr(self, name) for name in TABLES}
        return dataclasses.replace(
            self,
            joint_names=tuple(names),
            **{name: value[:, columns] for name, value in tables.items() if value is not None},
            spread={name: value[:, columns] for name, value in self.spread.items()},
        )

    @checked
    def for_robot(self, robot: Robot) -> Log:
        """The same with the joints of ``robot``, in its order.

        Raises:
            UnknownNameError: the robot has a joint that the log does not have: it is of another robot.
        """
        return self if self.joint_names == robot.joint_names else self.with_joints(robot.joint_names)
