"""Contacts that a motion may begin or end with: what rests on something, and what the robot names.

A link that touches an obstacle no deeper than `REST_TOLERANCE` where a path begins or ends is at rest there, which is
no penetration. Pairs that the robot names (`Robot.with_allowed_contacts`) may touch deeper where the path begins. Of
such a pair the judge proves, with the same inequalities as everything else (`edmp.validate.proof`):

- from the beginning until it has parted, it is nowhere deeper than `REST_TOLERANCE`, or deeper by that than it was;
- from then on it never touches again, unless it is to touch at the end: from when it last comes near, it is again
  nowhere deeper than that.

It has parted where it is further apart than `REST_TOLERANCE` at one of the configurations looked at, between which no
point of the arm moves further than `LOOK_STEP`. Depths are along the direction that frees the pair soonest, and proved
to within the contact tolerance of 0.01 mm. A mesh that is not convex has no such direction: a piece of the arm is as
deep in it as it has to be made smaller, on all sides, to be free.

A path may also be asked to lead out of what should not be touched at all (`Judge`'s ``escape``): of pairs, of links
too, that are in contact where it begins, no deeper than that. Of each the judge proves that it parts, that it is
nowhere deeper than before (`edmp.validate.retreat`), and that it never touches again.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Environment
from edmp.validate.kinematic_tree import MotionBound, Poses
from edmp.validate.probe import Key, Prober, Touch
from edmp.validate.proof import Proof
from edmp.validate.retreat import deepening

Array = NDArray[np.float64]

REST_TOLERANCE = 1e-4
"""What is no deeper in something than this rests on it [m]."""
_DEEPEST = 0.1
"""What is deeper than this is in there for good, named or not [m]."""
LOOK_STEP = 5e-3
"""No point of the arm moves further between two looks whether a pair has parted [m]."""


@dataclass(frozen=True)
class _Stretch:
    """A pair that may touch from the beginning of the path to ``until``, and from ``again`` to its end, no deeper than
    ``depth`` [m]. Places on the path are numbers of edges, with fractions."""

    key: Key
    depth: float
    until: float
    again: float


def proofs_with_contacts(
    arm: Arm,
    environment: Environment,
    bound: MotionBound,
    path: Array,
    tightness: float | None,
    named: Collection[tuple[str, str]],
    keep: Mapping[str, float] | None = None,
    escape: float = 0.0,
) -> list[Proof]:
    """Proofs of the parts of a path, in order, up to the first that fails; empty if nothing touches at its ends.

    Args:
        arm, environment, bound, path, tightness: as for `Proof`.
        named: (link, obstacle) that may touch deeper than what rests.
        keep: as for `Proof`; what has to keep a distance may not rest.
        escape: depth of other contacts that the path may begin with [m].
    """
    last = float(len(path) - 1)
    # Whether an end touches is quicker to say than what it touches, and how deep.
    clear = Proof(arm, environment, bound, path[[0, -1]], None, keep=keep).clear()
    begin = {} if clear[0] else _resting(Proof(arm, environment, bound, path[:1], None, keep=keep), named, escape)
    end = {} if clear[1] else _resting(Proof(arm, environment, bound, path[-1:], None, keep=keep), named)
    stretches = []
    for key, (pair, _) in {**end, **begin}.items():
        at_start, at_end = begin.get(key, (pair, 0.0))[1], end.get(key, (pair, 0.0))[1]
        depth = max(REST_TOLERANCE, at_start + REST_TOLERANCE * (at_start > REST_TOLERANCE))
        if at_end > depth:
            continue  # deeper in at the end than it was: that is for the proof to find
        until = _parting(arm, environment, path, pair) if key in begin else 0.0
        again = last - _parting(arm, environment, path[::-1], pair) if key in end else last
        if at_start > REST_TOLERANCE and Prober(arm, environment).names(pair)[:2] not in named:
            if until == last:
                continue  # it never parts: that, too, is for the proof to find
            if (deeper := deepening(arm, environment, bound, _part(path, 0.0, until), pair)) is not None:
                return [deeper]
        stretches.append(_Stretch(key, depth, until, again))
    if not stretches:
        return []
    cuts = sorted({0.0, last, *(s.until for s in stretches), *(s.again for s in stretches)})
    proofs: list[Proof] = []
    for a, b in itertools.pairwise(cuts) if last > 0 else [(0.0, 0.0)]:
        slack = {s.key: s.depth for s in stretches if b <= s.until or a >= s.again}
        proof = Proof(arm, environment, bound, _part(path, a, b), tightness, slack, keep)
        proof.run()
        proofs.append(proof)
        if proof.touch is not None:
            break
    return proofs


def way_out(
    prober: Prober, poses: Poses, touch: Touch, named: Collection[tuple[str, str]]
) -> tuple[float, Array] | None:
    """Depth [m] and direction (3,) of a contact with which a motion may begin: a shallow, or a named one; else None.

    The arm rests on things, not on itself.
    """
    link, other, with_self = prober.names(touch.pair)
    if with_self:
        return None
    most = _DEEPEST if (link, other) in named else REST_TOLERANCE
    return prober.excess(poses, touch, most)


def _resting(proof: Proof, named: Collection[tuple[str, str]], escape: float = 0.0) -> dict[Key, tuple[int, float]]:
    """Pairs that touch, as they may: their number, and how deep [m]."""
    found = {}
    for _, answer in proof.close(REST_TOLERANCE):
        if not isinstance(answer, Touch) or proof.prober.names(answer.pair)[1] in proof.keep:
            continue
        way = way_out(proof.prober, proof.poses, answer, named)
        if way is None and escape > 0.0:
            way = proof.prober.excess(proof.poses, answer, escape)
        if way is not None:
            found[proof.prober.key(answer.pair)] = (answer.pair, way[0])
    return found


def _parting(arm: Arm, environment: Environment, path: Array, pair: int) -> float:
    """The first place on the path where a pair that touches at its beginning is seen to have parted; or its end."""
    edges = np.diff(path, axis=0)
    reach = arm.motion_bound(np.abs(path).max(axis=0)).reach.max(axis=0, initial=0.0)
    cuts = np.maximum(1, np.ceil(np.abs(edges) @ reach / LOOK_STEP)).astype(np.int64)
    places = np.concatenate([[0.0], *(k + np.arange(1, n + 1) / n for k, n in enumerate(cuts))])
    prober = Prober(arm, environment)
    for few in np.array_split(places, 1 + len(places) // 64):
        poses = arm.tree.poses(np.array([_at(path, place) for place in few]))
        for k, place in enumerate(few):
            answer = prober.separate(poses, k, pair)
            if not isinstance(answer, Touch) and answer.distance > REST_TOLERANCE:
                return float(place)
        prober = Prober(arm, environment)  # it remembers poses by their numbers
    return float(places[-1])


def _at(path: Array, place: float) -> Array:
    k = min(int(place), len(path) - 1)
    return path[k] if place == k else path[k] + (place - k) * (path[k + 1] - path[k])


def _part(path: Array, a: float, b: float) -> Array:
    """The polyline from place ``a`` to place ``b``."""
    inner = path[int(np.floor(a)) + 1 : int(np.ceil(b))]
    return np.vstack([_at(path, a), inner, _at(path, b)]) if b > a else _at(path, a)[None]
