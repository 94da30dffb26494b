"""Masses: what a description says of them, and what the geometry has to stand in for.

A description may give mass and centre of mass of its links. Tensors of inertia are those of the convex pieces at
uniform density, scaled to the mass; a link without a mass gets `DENSITY`, one without a centre of mass that of its
pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.robots.parts import Link

Array = NDArray[np.float64]

DENSITY = 1000.0
"""Of a link whose description gives no mass [kg/m^3]: that of water, and about that of a Panda's links."""


@dataclass(frozen=True, eq=False)
class Inertia:
    """A rigid body's mass.

    Attributes:
        mass: [kg].
        com_B: (3,) centre of mass in the body frame [m].
        I_C_B: (3, 3) rotational inertia about the centre of mass, in the axes of the body frame [kg m^2].
    """

    mass: float
    com_B: Array
    I_C_B: Array


def link_inertia(link: Link) -> Inertia | None:
    """The inertia of a link in the frame of its body; None for a link without geometry, mass and so without weight.

    A link with a mass and no geometry is a point.
    """
    import trimesh

    pieces: list[Any] = [trimesh.convex.convex_hull(hull) for hull in link.hulls_B]
    volumes = np.array([piece.volume for piece in pieces])
    if not len(pieces) or volumes.sum() < 1e-12:
        if link.mass is None:
            return None
        at = link.X_BL[:3, 3] if link.com_B is None else link.com_B
        return Inertia(link.mass, at.copy(), np.zeros((3, 3)))
    mass = DENSITY * float(volumes.sum()) if link.mass is None else link.mass
    density = mass / volumes.sum()
    centres = np.array([piece.center_mass for piece in pieces])
    middle = volumes @ centres / volumes.sum()
    tensor = np.zeros((3, 3))
    for piece, volume, centre in zip(pieces, volumes, centres, strict=True):
        d = centre - middle  # parallel axes (Steiner)
        tensor += density * (piece.moment_inertia + volume * (d @ d * np.eye(3) - np.outer(d, d)))
    return Inertia(mass, middle if link.com_B is None else link.com_B.copy(), 0.5 * (tensor + tensor.T))
