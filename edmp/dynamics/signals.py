"""From what sensors said, tick by tick, to smooth signals and their derivatives that fit each other.

All filters run forwards and backwards (Butterworth, `scipy.signal.filtfilt`), so that nothing is late. Positions and
velocities are smoothed before they are differentiated; later the torques and every column that explains them pass one
more filter alike, and are thinned out to what that leaves (parallel filtering and decimation: Khalil and Dombre,
Modeling, Identification and Control of Robots, section 12.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt

from edmp.errors import InvalidInputError
from edmp.ranges import Range, check_fields

Array = NDArray[np.float64]

_ORDER = 4
_LONGEST_TICK = 4e-3
"""Of a controller that moves an arm [s]."""


@dataclass(frozen=True)
class SignalSettings:
    """How recordings are smoothed.

    Attributes:
        smoothing: cut-off of positions and velocities, before they are differentiated [Hz].
        cutoff: cut-off of torques and of what explains them [Hz].
        slowest: recordings with fewer rows a second are refused [Hz].
        longest_gap: time between two ticks beyond which a recording has a gap [s].
        shortest: motions shorter than this are refused [s].
    """

    smoothing: float = 20.0
    cutoff: float = 8.0
    slowest: float = 10.0
    longest_gap: float = 0.05
    shortest: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, dict.fromkeys(vars(self), Range(0, above=True)))
        if self.cutoff > self.smoothing:
            raise InvalidInputError(f"cutoff {self.cutoff:g} Hz must not be above smoothing {self.smoothing:g} Hz")

    def at(self, rate: float) -> SignalSettings:
        """These, or where rows are too few for that [Hz], with cut-offs as high as they allow."""
        smoothing = min(self.smoothing, 0.4 * rate)
        return replace(self, smoothing=smoothing, cutoff=min(self.cutoff, 0.5 * smoothing))


@dataclass(frozen=True, eq=False)
class Signals:
    """Even rows.

    Attributes:
        times: (n,) [s].
        positions, velocities, accelerations: (n, dof), smooth [rad or m].
        torques: (n, dof) that belong to them, as recorded [Nm or N].
    """

    times: Array
    positions: Array
    velocities: Array
    accelerations: Array
    torques: Array


def smooth_signals(
    times: Array,
    positions: Array,
    velocities: Array | None,
    torques: Array,
    settings: SignalSettings,
) -> Signals:
    """Of a recording without gaps.

    A torque that is recorded with a state was exerted during the tick that led to it: it belongs half a tick earlier.
    Rows that are further apart than ticks are samples: half a tick all the same.

    Args:
        times: (n,) increasing [s].
        positions: (n, dof) measured.
        velocities: (n, dof) measured; None differentiates the positions.
        torques: (n, dof) that the motors exerted.
        settings: see `SignalSettings`.
    """
    period = float(np.median(np.diff(times)))
    rate = 1.0 / period
    settings = settings.at(rate)
    even = np.arange(times[0], times[-1] + 1e-9, period)
    q = low_pass(columns_at(even, times, positions), settings.smoothing, rate)
    if velocities is None:
        v = np.gradient(q, period, axis=0)
    else:
        v = low_pass(columns_at(even, times, velocities), settings.smoothing, rate)
    tau = columns_at(even, times - 0.5 * min(period, _LONGEST_TICK), torques)
    return Signals(even, q, v, np.gradient(v, period, axis=0), tau)


def low_pass(values: Array, cutoff: float, rate: float) -> Array:
    """Columns without what is faster than ``cutoff`` [Hz], not late; ``rate`` [Hz] is that of the rows."""
    if cutoff >= 0.45 * rate:
        return values
    b, a = butter(_ORDER, cutoff, fs=rate)
    pad = min(len(values) - 1, round(3 * rate / cutoff))
    return np.asarray(filtfilt(b, a, values, axis=0, padtype="constant" if pad < 1 else "odd", padlen=pad))


def thinned(values: Array, cutoff: float, rate: float) -> Array:
    """Rows of ``values`` (n, ...) that are left below ``cutoff`` [Hz], about independent; none at the edges."""
    step = max(1, round(rate / (2.0 * cutoff)))
    edge = round(0.5 * rate / cutoff)
    return low_pass(values, cutoff, rate)[edge : len(values) - edge : step]


def columns_at(when: Array, times: Array, values: Array) -> Array:
    """(m, dof) ``values`` (n, dof) at ``times`` (n,), between rows, at ``when`` (m,); beyond them, the nearest."""
    return np.stack([np.interp(when, times, column) for column in values.T], axis=1)
