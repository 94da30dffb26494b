"""What a motion must keep to all the way, as data: upright tools, planes, lines, boxes, joint ranges, distances."""

from edmp.constraints.bands import Band, BandKind
from edmp.constraints.findings import Broken, Kept, both_kept
from edmp.constraints.kinds import (
    Constraint,
    InBox,
    InRegion,
    JointRange,
    KeepDistance,
    LookAt,
    OnLine,
    OnPlane,
    Oriented,
    Upright,
    bands_of,
    distances_of,
    settled,
)

__all__ = [
    "Band",
    "BandKind",
    "Broken",
    "Constraint",
    "InBox",
    "InRegion",
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
