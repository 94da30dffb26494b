"""What a renderer gets: a camera, things that stand still, things that move, and one small protocol to draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edmp.viz.camera import Camera
from edmp.viz.surfaces import Surface

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """Surfaces drawn together, over what is there, with ``opacity`` in 0..1; they hide each other fully."""

    surfaces: Sequence[Surface]
    opacity: float


@dataclass(frozen=True, eq=False)
class Body:
    """A rigid thing that moves: its surface in its own frame, and how opaque it is."""

    surface: Surface
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Shot:
    """Attributes:
    camera: the view.
    still: opaque surfaces in the world that do not move.
    layers: translucent ones that do not move, drawn in this order.
    bodies: what moves.
    ground: height of the floor [m].
    """

    camera: Camera
    still: Sequence[Surface] = ()
    layers: Sequence[Layer] = ()
    bodies: Sequence[Body] = field(default_factory=tuple)
    ground: float = 0.0


class View(Protocol):
    """A shot that has been set up, to be drawn as often as something moves."""

    def frame(self, X_WB: Array, bodies: Sequence[Body] | None = None) -> Array:
        """A picture.

        Args:
            X_WB: (n, 4, 4) poses of the n bodies of the shot in the world.
            bodies: the same bodies in other colours or shapes; slow with some renderers.

        Returns:
            (height, width, 3) red, green, blue in 0..1.
        """

    def close(self) -> None:
        """Free what the view holds."""


class Renderer(Protocol):
    """Draws shots."""

    name: str

    def open(self, shot: Shot) -> View:
        """Set a shot up."""
