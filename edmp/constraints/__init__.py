"""What a motion must keep to all the way, as data: upright tools, planes, lines, boxes, joint ranges, distances."""

from edmp.constraints.bands import Band, BandKind
from edmp.constraints.base import Constraint, bands_of, settled
from edmp.constraints.findings import Broken, Kept, both_kept
from edmp.constraints.kinds import JointRange, KeepDistance, LookAt, Oriented, Upright, distances_of
from edmp.constraints.places import InBox, InRegion, InSphere, OnLine, OnPlane

__all__ = [
    "Band",
    "BandKind",
    "Broken",
    "Constraint",
    "InBox",
    "InRegion",
    "InSphere",
    "JointRange",
    "KeepDistance",
    "Kept",
    "LookAt",
    "OnLine",
    "OnPlane",
    "Oriented",
    "Upright",
    "bands_of",
    "both_kept",
    "distances_of",
    "settled",
]
