"""`Band`: one number of a robot's configuration that has to stay between two bounds.

Every constraint on frames and joints comes down to bands, and whoever works with constraints works with bands: the
kernels of the optimiser, the judge's proof, and the dumb checker of the tests each evaluate them in their own way.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class BandKind(enum.IntEnum):
    """What number it is, of the frame F with pose ``X_WF`` in the world.

    ANGLE: angle between the unit vector ``axis`` of F and the unit vector ``direction`` of the world [rad].
    COORDINATE: ``direction . (p_WF - point)`` [m].
    OFFSET: distance of ``p_WF`` from the line through ``point`` along the unit vector ``direction``, or from ``point``
        itself where ``direction`` is zero [m].
    ROTATION: component ``index`` of the rotation vector (axis times angle, at most pi) of ``R_TF = rotation^T R_WF``,
        which is the same in F and in T [rad].
    GAZE: angle between the unit vector ``axis`` of F and the way from ``p_WF`` to ``point`` [rad].
    JOINT: the position of joint ``index`` [rad or m].
    """

    ANGLE = 0
    COORDINATE = 1
    OFFSET = 2
    ROTATION = 3
    GAZE = 4
    JOINT = 5


def _zero() -> Array:
    return np.zeros(3)


@dataclass(frozen=True, eq=False)
class Band:
    """``lower <= value <= upper`` at every moment of a motion.

    Attributes:
        kind: what the value is; see `BandKind`.
        lower, upper: bounds, in the unit of the value; infinite where there is none.
        body: index of the body that carries the frame F (0 is the base), unless the kind is JOINT.
        X_BF: (4, 4) pose of F in that body.
        axis: (3,) unit vector in F.
        direction: (3,) unit vector, or zero, in the world.
        point: (3,) in the world [m].
        rotation: (3, 3) R_WT in the world.
        index: of a component, or a joint.
    """

    kind: BandKind
    lower: float
    upper: float
    body: int = 0
    X_BF: Array = field(default_factory=lambda: np.eye(4))
    axis: Array = field(default_factory=_zero)
    direction: Array = field(default_factory=_zero)
    point: Array = field(default_factory=_zero)
    rotation: Array = field(default_factory=lambda: np.eye(3))
    index: int = 0
