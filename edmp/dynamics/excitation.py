"""Torques that shake an arm: chirps and multisines in the bands of arXiv 2604.13366."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edmp.dynamics.arm import effort_scale
from edmp.errors import unknown_name
from edmp.robots.robot import Robot

Array = NDArray[np.float64]

CHIRP_TORQUE = 4.0
"""Largest torque of a chirp at the strongest joint [Nm]; others get less in proportion to their effort limits, where
the paper shakes all joints alike: 4 Nm would throw a wrist against its limits."""
MULTISINE_TORQUE = 30.0
"""The same of a multisine, for each Hz [Nm/Hz]."""
NUM_SINES = 3
"""In a multisine; each has a third of the torque."""
BANDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "chirp": {"D1": (0.3, 0.3), "D2": (0.2, 0.4), "D3": (0.2, 0.6), "D4": (0.1, 0.7), "held-out": (0.5, 0.5)},
    "multisine": {
        "D1": (0.15, 0.15),
        "D2": (0.05, 0.15),
        "D3": (0.05, 0.25),
        "D4": (0.01, 0.3),
        "held-out": (0.5, 0.5),
    },
}
"""Frequencies [Hz]; ``held-out`` is for tests, beyond what D1 (and most of the others) shows of an arm."""


def band_of(kind: str, band: str) -> tuple[float, float]:
    """Its frequencies [Hz].

    Raises:
        UnknownNameError: no such excitation or band.
    """
    if kind not in BANDS:
        raise unknown_name("excitation", kind, BANDS)
    if band not in BANDS[kind]:
        raise unknown_name(f"band of {kind}", band, BANDS[kind])
    return BANDS[kind][band]


def excitation(robot: Robot, kind: str, band: str, times: Array, rng: np.random.Generator) -> Array:
    """(T, dof) torques at ``times`` (T,) [Nm or N].

    A chirp of a joint goes evenly from one frequency of the band to another within the times; a multisine is a sum of
    `NUM_SINES`. Phases, frequencies and shares of the largest torque are random.

    Raises:
        UnknownNameError: no such excitation or band.
    """
    low, high = band_of(kind, band)
    share = effort_scale(robot) / effort_scale(robot).max()
    count = 1 if kind == "chirp" else NUM_SINES
    begin, end = rng.uniform(low, high, (2, count, robot.dof))
    if kind == "multisine":
        end = begin
    phase = rng.uniform(0.0, 2.0 * np.pi, (count, robot.dof))
    most = CHIRP_TORQUE if kind == "chirp" else MULTISINE_TORQUE * begin / NUM_SINES
    amplitude = rng.uniform(-1.0, 1.0, (count, robot.dof)) * most * share
    t = times[:, None, None]
    duration = max(float(times[-1]), 1e-9)
    turns = begin * t + 0.5 * (end - begin) * t**2 / duration
    return (amplitude * np.sin(2.0 * np.pi * turns + phase)).sum(axis=1)
