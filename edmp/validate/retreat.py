"""Proof that a path that begins inside of something leads out of it, and never deeper in on the way.

Of each pair that is in contact where the path begins, the part until it has parted is cut into steps on which no point
of the one moves further than `LOOK`, as seen from the other. With ``n`` the direction that frees the pair soonest where
a step begins,

    depth on the whole step  <=  -min(g_a(n), g_b(n)) + stray

(see `edmp.validate.proof` for ``g`` and ``stray``). The retreat is proved if that is nowhere more than the depth
where the step began, which in turn is nowhere more than at the step before, both within the contact tolerance of
0.01 mm. Steps of which that cannot be said are halved. With an obstacle of many parts it is the depth in the part that
is deepest. A mesh that is not convex has no such direction: the depth in it, which no motion changes by more than its
length, is looked at where steps begin. Between bodies with many edges the depth is a bound from above, good to about a
tenth of a millimetre: it is this that never grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edmp.validate.bodies import Arm, Environment
from edmp.validate.kinematic_tree import MotionBound
from edmp.validate.path_table import Intervals
from edmp.validate.probe import CONTACT_TOLERANCE, Touch
from edmp.validate.proof import Proof

Array = NDArray[np.float64]

LOOK = 1e-3
"""No point of a body in contact moves further between two looks at how deep it is [m]."""
_DEEPEST = 0.1
"""Depths in meshes that are not convex are looked for up to here [m]."""
_HALVINGS = 8
"""Steps are halved so many times at most."""


def deepening(arm: Arm, environment: Environment, bound: MotionBound, path: Array, pair: int) -> Proof | None:
    """A proof that failed, with the contact where it did, unless a pair gets nowhere deeper than before on a polyline.

    Args:
        arm, environment, bound, path: as for `Proof`.
        pair: what is in contact where the path begins, by its number.
    """
    proof = Proof(arm, environment, bound, path, None)
    proof.touch = _deeper(proof, _steps(proof, path, pair), pair)
    return proof if proof.touch is not None else None


def _steps(proof: Proof, path: Array, pair: int) -> Array:
    """(k, dof) the path with its edges cut, so that the pair moves no further than `LOOK` on each."""
    travel = _motion(proof, path, pair)[1]
    cuts = np.maximum(1, np.ceil(travel / LOOK)).astype(np.int64)
    edges = zip(path[:-1], np.diff(path, axis=0), cuts.tolist(), strict=True)
    return np.vstack([path[:1], *(a + np.arange(1, n + 1)[:, None] / n * step for a, step, n in edges)])


def _motion(proof: Proof, q: Array, pair: int) -> tuple[Array, Array]:
    """(edges,) stray and travel of one of a pair as seen from the other, on the edges of ``q`` (n, dof) [m]."""
    rho = proof.bound.axis_distance(proof.arm.tree.poses(q))
    width = np.abs(np.diff(q, axis=0))
    motion = proof.bound.between(rho[:-1], rho[1:], width, np.zeros_like(width))
    (moving,), (ref,) = proof.bodies_of(np.array([pair]))
    return motion.stray[:, moving, ref], motion.travel[:, moving, ref]


def _deeper(proof: Proof, q: Array, pair: int) -> Touch | None:
    stray, least = _motion(proof, q, pair)[0], np.inf
    looks = proof.add(q)
    for a, b, wide in zip(looks[:-1].tolist(), looks[1:].tolist(), stray.tolist(), strict=True):
        answer = proof.prober.separate(proof.poses, a, pair)
        if not isinstance(answer, Touch):  # parted: from here on it is free, which is proved elsewhere
            least = min(least, 0.0)
            continue
        way = proof.prober.excess(proof.poses, answer, _DEEPEST)
        if way is None or way[0] > least + CONTACT_TOLERANCE:
            return answer
        least = min(least, way[0])
        if not answer.n.any():
            continue
        if proof.prober.is_crowd(pair):
            if not _parts_no_deeper(proof, a, b, pair, way[0]):
                return answer
            continue
        after = float(_gap(proof, b, pair, answer))
        if -min(answer.gap, after) + wide > way[0] + CONTACT_TOLERANCE and not _halved(proof, a, b, pair, _HALVINGS):
            return answer
    return None


def _parts_no_deeper(proof: Proof, a: int, b: int, pair: int, depth: float) -> bool:
    """Whether a step is proved to lead into no part of a crowd deeper than ``depth`` [m]."""
    proof.slack = {proof.prober.key(pair): depth}
    at, to, one = np.array([a]), np.array([b]), np.zeros(1, dtype=np.int64)
    step = Intervals(at, to, one, one + 1, at, np.zeros((1, proof.q.shape[1])))
    return proof.prove_crowds(step, proof.motion(step), one, np.array([pair]))


def _halved(proof: Proof, a: int, b: int, pair: int, times: int) -> bool:
    """Whether both halves of a step are proved not to lead deeper than it began."""
    if times == 0:
        return False
    (middle,) = proof.add(0.5 * (proof.q[a] + proof.q[b])[None]).tolist()
    for one, other in ((a, middle), (middle, b)):
        answer = proof.prober.separate(proof.poses, one, pair)
        if not isinstance(answer, Touch):
            continue
        (wide,) = _motion(proof, proof.q[[one, other]], pair)[0].tolist()
        after = float(_gap(proof, other, pair, answer))
        begun = max(0.0, -answer.gap) + CONTACT_TOLERANCE
        if -min(answer.gap, after) + wide > begun and not _halved(proof, one, other, pair, times - 1):
            return False
    return True


def _gap(proof: Proof, config: int, pair: int, direction: Touch) -> float:
    """Gap of the pair at another configuration along the direction of a contact [m]."""
    moving, ref = proof.bodies_of(np.array([pair]))
    return float(proof.gaps(np.array([config]), moving, ref, direction.n[None], np.array([direction.h]))[0])
