"""Out of what the arm is in where it starts: a short retreat, found step by step and then judged as a whole.

After a grasp, or with a calibration that is a little off, an arm may stand with a finger some millimetres in a table.
Each step of the retreat is a linear program over the joints: all contacts get shallower as fast as the one that does so
slowest, nothing else comes nearer than it may, and the joints move little (velocity dampers, Faverjon and Tournassoud
1987). Where contacts hold each other, as between two boards, a step leads sideways instead, with no contact deeper.
What was touched is left until it is as far away as there is room for. The judge then proves the retreat: no contact is
deeper than before anywhere on it, and nothing else is touched (`edmp.validate.retreat`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from edmp.validate import Judge, Verdict
from edmp.validate.nearby import Near
from edmp.validate.probe import CONTACT_TOLERANCE, Key

Array = NDArray[np.float64]

_CLEAR, _ENOUGH = 0.015, 1e-3
"""How far from what it touched the arm goes if there is room, and what will do [m]."""
_STEP, _TURN = 2e-3, 0.03
"""A point in contact moves by this, and a joint by that, at most in one step [m; rad or m]."""
_STEPS = 60
_NEAR = 0.03
"""What is further away than this does not matter to a step [m]."""
_KEEP = 5e-4
"""Nothing that is not touched comes nearer than this [m]."""
_STUCK = 2e-5
"""A step that frees by less than this leads nowhere [m]."""
_POINTS = (6, 12, 24)
"""Control points of the retreat: few make a smooth motion, more follow it closely."""


def retreat(judge: Judge, q: Array, lead: Array | None = None, *, until: float = math.inf) -> Array | str | None:
    """(n, dof) control points from ``q`` to where the arm is free, or why there is no such way; None if time ran out.

    Args:
        judge: its ``escape`` is the depth of what may be left [m].
        q: (dof,) a configuration in contact.
        lead: (dof,) where the arm comes from, if that is outside its limits.
        until: look no longer than to this time of `time.perf_counter` [s].
    """
    verdict = judge.check(q)
    if (reason := too_much(judge, verdict, judge.escape)) is not None:
        return reason
    touched = judge.near(q, CONTACT_TOLERANCE)
    touching = {one.key for one in touched}
    drifts: list[Array | None] = [None, *_sideways(touched)]
    for drift in drifts:
        way = _walk(judge, q, touching, drift, until)
        if time.perf_counter() > until:
            return None
        if way is None:
            continue
        for points in (*_POINTS, len(way)):
            thinned = _resampled(way, points)
            whole = thinned if lead is None else np.vstack([lead, thinned])
            if judge.check(thinned[-1]).valid and judge.check_path(whole).valid:
                return thinned
    names = ", ".join(
        sorted({contact.other if not contact.with_self else contact.link for contact in verdict.contacts})
    )
    return f"no short retreat was found that gets nowhere deeper and touches nothing else, away from {names}"


def too_much(judge: Judge, verdict: Verdict, depth: float) -> str | None:
    """Why no retreat may lead out of what is wrong with a configuration; None if one may [m]."""
    if verdict.limits or not verdict.contacts:
        return "it is not only in contact"
    fixed = {link.name for link in judge.robot.links if link.body == 0}
    for contact in verdict.contacts:
        if contact.link in fixed and (not contact.with_self or contact.other in fixed):
            return f"{contact.link} does not move"
    if verdict.contacts[0].depth > depth:
        return f"that is deeper than the {1e3 * depth:g} mm that escape leads out of"
    return None


def _walk(judge: Judge, q: Array, touching: Collection[Key], drift: Array | None, until: float) -> Array | None:
    """(n, dof) steps from ``q`` until all that it touches is `_CLEAR` away, or as far as it goes; None if that is not
    out, or time runs out."""
    way, near = [q], judge.near(q, _NEAR)
    for _ in range(_STEPS):
        pushed = [one for one in near if one.key in touching and one.distance < _CLEAR]
        if not pushed:
            break
        if time.perf_counter() > until:
            return None
        step = _step(judge, way[-1], near, {one.key for one in pushed}, drift)
        for share in (1.0, 0.5, 0.25):
            if step is None:
                break
            there = way[-1] + share * step
            after = judge.near(there, _NEAR)
            if _no_worse(near, after, touching):
                way, near = [*way, there], after
                break
        else:
            step = None
        if step is None:
            break
    left = [one.distance for one in near if one.key in touching]
    return np.array(way) if len(way) > 1 and min(left, default=np.inf) >= _ENOUGH else None


def _no_worse(before: tuple[Near, ...], after: tuple[Near, ...], touching: Collection[Key]) -> bool:
    """Whether a step made no contact deeper, and none new."""
    was = {one.key: one.distance for one in before}
    for one in after:
        parted = was.get(one.key, _NEAR) > CONTACT_TOLERANCE
        least = CONTACT_TOLERANCE if parted or one.key not in touching else was[one.key] - 1e-6
        if one.distance < least:
            return False
    return True


def _step(judge: Judge, q: Array, near: tuple[Near, ...], pushed: Collection[Key], drift: Array | None) -> Array | None:
    """(dof,) the joints' motion that frees all of ``pushed`` fastest, or leads towards ``drift``; None if none does.

    The program: x = (dq, |dq|, t) with t the least rate at which what is pushed gets away.
    """
    from scipy.optimize import linprog

    limits, n = judge.robot.limits, len(q)
    rows, bounds = [], []
    for one in near:
        for rate in one.rates:
            if one.key in pushed:
                rows.append(np.concatenate([-rate, np.zeros(n), [1.0]]))
                bounds.append(0.0)
            else:
                rows.append(np.concatenate([-rate, np.zeros(n + 1)]))
                bounds.append(0.5 * max(0.0, one.distance - _KEEP))
    sizes = np.block([[np.eye(n), -np.eye(n), np.zeros((n, 1))], [-np.eye(n), -np.eye(n), np.zeros((n, 1))]])
    gain = np.zeros(2 * n + 1)
    gain[-1], gain[n:-1] = 1.0, -1e-3
    if drift is not None:
        deepest = min((one for one in near if one.key in pushed), key=lambda one: one.distance)
        gain[-1], gain[:n] = 10.0, drift @ deepest.moves[0]
        rows.append(np.concatenate([gain[:n], np.zeros(n + 1)]))
        bounds.append(2 * _STEP)
    room = np.stack([np.maximum(limits.lower - q, -_TURN), np.minimum(limits.upper - q, _TURN)], axis=1)
    room = np.stack([np.minimum(room[:, 0], 0.0), np.maximum(room[:, 1], 0.0)], axis=1)
    box = [*room.tolist(), *[(0.0, _TURN)] * n, (0.0, _STEP)]
    found = linprog(
        -gain, A_ub=np.vstack([np.array(rows), sizes]), b_ub=np.array([*bounds, *np.zeros(2 * n)]), bounds=box
    )
    if not found.success:
        return None
    step, freed = found.x[:n], float(found.x[-1])
    moved = 0.0 if drift is None else float(gain[:n] @ step)
    return step if max(freed, moved) > _STUCK else None


def _sideways(touching: tuple[Near, ...]) -> list[Array]:
    """Directions (3,) across that in which the deepest contact is left, in the world."""
    if not touching:
        return []
    away = min(touching, key=lambda one: one.distance).away
    across = np.linalg.svd(away[None])[2][1:]
    angles = np.linspace(0.0, 2 * np.pi, 8, endpoint=False)
    return [np.cos(angle) * across[0] + np.sin(angle) * across[1] for angle in angles]


def _resampled(way: Array, points: int) -> Array:
    """(points, dof) of a polyline, the first few close together, as a motion from rest needs them."""
    arc = np.concatenate([[0.0], np.linalg.norm(np.diff(way, axis=0), axis=1).cumsum()])
    share = np.linspace(0.0, 1.0, points) ** 1.3
    return np.stack([np.interp(share * arc[-1], arc, column) for column in way.T], axis=1)
