"""Fields of constraints: taken in any form, or refused by the name of the class and of the field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.arguments import numbers, shown
from edmp.errors import InvalidInputError
from edmp.geometry.poses import FARTHEST, finite_vector

Array = NDArray[np.float64]


def number(constraint: Any, field: str, *, above: float = -math.inf, most: float = math.inf) -> float:
    """A finite number above ``above``, at most ``most``."""
    given = numbers(getattr(constraint, field))
    what = f"{type(constraint).__name__} {field}"
    if given is None or given.ndim or not math.isfinite(float(given)):
        raise InvalidInputError(f"{what} must be a finite number, got {shown(getattr(constraint, field))}")
    number = float(given)
    if not above < number <= most:
        bounds = f"above {above:g}" + (f" and at most {most:.4g}" if math.isfinite(most) else "")
        raise InvalidInputError(f"{what} must be {bounds}, got {number:g}")
    return number


def point(constraint: Any, field: str) -> Array:
    """(3,) finite numbers, not too far from the origin."""
    what = f"{type(constraint).__name__} {field}"
    found = finite_vector(getattr(constraint, field), 3, what)
    if np.abs(found).max() > FARTHEST:
        raise InvalidInputError(f"{what} must be within {FARTHEST:.0e} m of the origin, got {found.tolist()}")
    return found


def unit(constraint: Any, field: str) -> Array:
    """(3,) a direction, made a unit vector."""
    what = f"{type(constraint).__name__} {field}"
    vector = finite_vector(getattr(constraint, field), 3, what)
    length = float(np.linalg.norm(vector))
    if not 1e-9 < length < math.inf:
        raise InvalidInputError(f"{what} must have a direction, got {vector.tolist()}")
    return np.asarray(vector / length)


def positive_three(constraint: Any, field: str) -> Array:
    """(3,) positive numbers, infinite where there is no bound."""
    what = f"{type(constraint).__name__} {field}"
    given = numbers(getattr(constraint, field))
    if given is None or given.shape != (3,) or not (given > 0).all() or not np.isfinite(given).any():
        raise InvalidInputError(
            f"{what} must be three positive numbers (inf: no bound), one finite at least, "
            f"got {shown(getattr(constraint, field))}"
        )
    return np.asarray(given, dtype=np.float64)
