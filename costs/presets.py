"""Ensembles by name."""

from __future__ import annotations

from functools import cache

from edmp.arguments import checked
from edmp.costs.clearance import SphereClearance
from edmp.costs.ensemble import Ensemble, Member
from edmp.costs.schedule import Constant, Linear, Ramp, Schedule, Varying
from edmp.costs.volume import IntersectionVolume, SweptVolume
from edmp.errors import unknown_name


@cache
def default() -> Ensemble:
    """Sphere clearance at four distances."""
    return Ensemble(
        tuple(Member(SphereClearance(), Constant(d), num_seeds=16) for d in (0.01, 0.02, 0.035, 0.05)), name="default"
    )


@cache
def edmp12() -> Ensemble:
    """The twelve guides of EDMP (Saha et al. 2023), ten seeds each; the comments give the paper's guide numbers."""

    def intersection(clearance: Schedule) -> Member:
        return Member(IntersectionVolume(), clearance=clearance, scale=Varying(), num_seeds=10)

    def swept(clearance: float, expansion: Schedule, scale: Schedule, normalise: bool) -> Member:
        return Member(SweptVolume(), Constant(clearance), expansion, scale, normalise, 10)

    late, slow = Ramp(80, 80, high=0.4), Ramp(20, 150, high=0.4)
    quick = Ramp(10, 40, high=0.4, cutoff=20)
    return Ensemble(
        (
            *(intersection(Constant(clearance)) for clearance in (0.10, 0.05, 0.01, 0.15)),  # 1, 2, 3, 4
            intersection(Linear(0.01, 0.15)),  # 5
            swept(0.06, late, Varying(), False),  # 10
            swept(0.0, slow, Constant(0.05), True),  # 11
            swept(0.0, slow, Constant(0.01), True),  # 13
            swept(0.02, slow, Constant(0.1), True),  # 14
            swept(0.10, slow, Constant(0.1), True),  # 16
            swept(0.05, quick, Constant(0.05), True),  # 18
            swept(0.05, quick, Constant(0.1), True),  # 21
        ),
        name="edmp12",
    )


_PRESETS = {"default": default, "edmp12": edmp12}


def ensemble_names() -> tuple[str, ...]:
    """Every name that `ensemble_by_name` answers to."""
    return tuple(_PRESETS)


@checked
def ensemble_by_name(name: str) -> Ensemble:
    """A built-in ensemble, or some of its members: ``default@0+2`` is the first and the third of ``default``.

    Raises:
        UnknownNameError: there is none of this name, or it has no such member; the message lists the valid ones.
    """
    preset, at, chosen = name.partition("@")
    if preset not in _PRESETS:
        raise unknown_name("ensemble", preset, _PRESETS)
    ensemble = _PRESETS[preset]()
    return ensemble.of_members([word.strip() for word in chosen.split("+")], name=name) if at else ensemble
