"""Friction in the joints of an arm in Drake."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydrake.multibody.plant import MultibodyPlant
from pydrake.multibody.tree import ModelInstanceIndex

from edmp.dynamics.arm import friction_damping

Array = NDArray[np.float64]


class JointFriction:
    """Viscous and Coulomb friction as damping that is set anew before every step.

    Drake's discrete plants step damping implicitly, so that friction stops a joint and does not shake it; the law is
    that of `edmp.dynamics`.

    Args:
        plant: discrete, finalized.
        arm: the arm in it.
        names: of its joints, in the order of the robot's.
        viscous: (dof,) [Nm s/rad or N s/m].
        coulomb: (dof,) [Nm or N].
    """

    def __init__(
        self, plant: MultibodyPlant, arm: ModelInstanceIndex, names: tuple[str, ...], viscous: Array, coulomb: Array
    ) -> None:
        self._plant: Any = plant
        self._arm, self._viscous, self._coulomb = arm, viscous, coulomb
        self._joints: list[Any] = [self._plant.GetJointByName(name, arm) for name in names]
        self._any = bool(viscous.any() or coulomb.any())

    def set(self, context: Any) -> None:
        """For the step that comes next; ``context`` is that of the plant."""
        if not self._any:
            return
        v = np.array(self._plant.GetVelocities(context, self._arm))
        for joint, damping in zip(self._joints, friction_damping(v, self._viscous, self._coulomb), strict=True):
            joint.SetDamping(context, damping)
